//! Chapter 9 of the cases: back-pressure.

use std::time::{Duration, Instant};

use super::client::{Call, WAYS, Way, Word, client, encode, request, send, span, text};
use super::server::{Mood, Server};

#[tokio::test]
async fn otlp_902_and_909_a_full_store_slows_clients_down() {
    let server = Server::start().await;
    server.set_mood(Mood::Busy);
    for way in WAYS {
        let reply = send(&server, way, &request(vec![span(1)])).await;
        assert_eq!(reply.word, Word::SlowDown, "{way:?}");
        assert!((1..=30).contains(&reply.retry_seconds.unwrap()));
    }
    server.set_mood(Mood::Stores);
    assert_eq!(send(&server, Way::Grpc, &request(vec![span(1)])).await.word, Word::Ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn otlp_903_bytes_in_flight_over_their_budget_slow_clients_down() {
    let server = Server::with(|config| {
        config.limits.request_bytes = 100_000;
        config.limits.in_flight_bytes = 100_000;
    })
    .await;
    for way in WAYS {
        server.hold_syncs();
        let mut large = span(way as u64);
        large.attributes = vec![text("k", &"x".repeat(80_000))];
        let large = request(vec![large]);
        let first = send(&server, way, &large);
        let second = async {
            server.wait_for_appends(1).await;
            let reply = send(&server, way, &large).await;
            server.release_syncs();
            reply
        };
        let (first, second) = tokio::join!(first, second);
        assert_eq!((first.word, second.word), (Word::Ok, Word::SlowDown), "{way:?}");
    }
    assert_eq!(server.metrics.in_flight_bytes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn otlp_903_what_inflates_counts_inflated() {
    let server = Server::with(|config| {
        config.limits.request_bytes = 1_000_000;
        config.limits.in_flight_bytes = 1_000_000;
    })
    .await;
    server.hold_syncs();
    let large = |number| {
        let mut large = span(number);
        large.attributes = vec![text("k", &"x".repeat(900_000))];
        zstd::encode_all(&encode(Way::Grpc, &request(vec![large]))[..], 3).unwrap()
    };
    let first = Call::compressed(Way::Grpc, "zstd", &large(1)).send(&server);
    let second = async {
        server.wait_for_appends(1).await;
        let reply = Call::compressed(Way::Grpc, "zstd", &large(2)).send(&server).await;
        server.release_syncs();
        reply
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!((first.word, second.word), (Word::Ok, Word::SlowDown));
}

#[tokio::test]
async fn otlp_904_a_long_sync_is_unavailable_before_clients_give_up() {
    let server = Server::with(|config| config.receiver.ack_timeout = Duration::from_millis(300)).await;
    server.hold_syncs();
    for (number, way) in (0..).zip(WAYS) {
        assert_eq!(send(&server, way, &request(vec![span(number)])).await.word, Word::Unavailable, "{way:?}");
    }
    // What was begun ends by itself, and the retry finds it done.
    server.release_syncs();
    while server.sink.span_count() < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(send(&server, Way::Grpc, &request(vec![span(0)])).await.word, Word::Ok);
    assert_eq!(server.sink.span_count(), 3);
}

#[tokio::test]
async fn otlp_908_shutdown_answers_what_is_in_flight() {
    for way in WAYS {
        let mut server = Server::start().await;
        server.hold_syncs();
        let call = Call::new(way, &encode(way, &request(vec![span(1)])));
        let (address, client) = (if way == Way::Grpc { server.grpc } else { server.http }, client(call.version));
        let reply = tokio::spawn(async move { call.send_to(&client, address).await });
        server.wait_for_appends(1).await;
        let servers = server.shut_down();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(tokio::net::TcpStream::connect(address).await.is_err(), "new clients are refused");
        server.release_syncs();
        assert_eq!(reply.await.unwrap().word, Word::Ok, "{way:?}");
        for server in servers {
            server.await.unwrap();
        }
    }
}

#[tokio::test]
async fn otlp_908_the_drain_ends_even_if_a_request_does_not() {
    let mut server = Server::with(|config| config.receiver.drain_timeout = Duration::from_millis(300)).await;
    server.hold_syncs();
    let call = Call::new(Way::Grpc, &encode(Way::Grpc, &request(vec![span(1)])));
    let (address, client) = (server.grpc, client(call.version));
    let reply = tokio::spawn(async move { call.send_to(&client, address).await });
    server.wait_for_appends(1).await;
    let begin = Instant::now();
    for server in server.shut_down() {
        server.await.unwrap();
    }
    assert!(begin.elapsed() < Duration::from_secs(2));
    assert!(reply.await.is_err());
}

#[tokio::test]
async fn otlp_911_the_clients_deadline_is_kept() {
    let server = Server::start().await;
    server.hold_syncs();
    let message = encode(Way::Grpc, &request(vec![span(1)]));
    let reply = Call::new(Way::Grpc, &message).header("grpc-timeout", "200m").send(&server).await;
    assert_eq!(reply.word, Word::Other(4));
    server.release_syncs();
    while server.sink.span_count() < 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(Call::new(Way::Grpc, &message).send(&server).await.word, Word::Ok);
    assert_eq!(server.sink.span_count(), 1);
}

/// A request that takes 30 KiB of the budget.
fn greedy(number: u64) -> Call {
    let mut large = span(number);
    large.attributes = vec![text("k", &"x".repeat(30_000))];
    Call::new(Way::Grpc, &encode(Way::Grpc, &request(vec![large])))
}

#[tokio::test(flavor = "multi_thread")]
async fn otlp_913_a_greedy_sender_is_slowed_down_and_delays_no_other() {
    // Three of its requests fit, and some small ones beside them.
    let server = Server::with(|config| {
        config.limits.request_bytes = 100_000;
        config.limits.in_flight_bytes = 100_000;
        config.receiver.decoders = 1;
    })
    .await;
    server.hold_syncs();
    let client = client(http::Version::HTTP_2);
    let greedy = (0..50).map(|number| greedy(number).send_with(&client, &server));
    let others = async {
        server.wait_for_appends(3).await;
        server.sink.lets_small_through.store(true, std::sync::atomic::Ordering::SeqCst);
        for (number, way) in (1_000..).zip(WAYS.repeat(10)) {
            let small = request(vec![span(number)]);
            let reply = tokio::time::timeout(Duration::from_secs(5), send(&server, way, &small)).await.unwrap();
            assert_eq!(reply.word, Word::Ok, "{way:?}");
        }
        server.release_syncs();
    };
    let (replies, ()) = tokio::join!(futures::future::join_all(greedy), others);
    let count = |word: Word| replies.iter().filter(|reply| reply.word == word).count();
    assert_eq!((count(Word::Ok), count(Word::SlowDown)), (3, 47));
}

#[tokio::test(flavor = "multi_thread")]
async fn otlp_914_normal_answers_follow_the_overload_at_once() {
    let server = Server::with(|config| {
        // One greedy request takes all of it.
        config.limits.request_bytes = 30 * 1_024;
        config.limits.in_flight_bytes = 30 * 1_024;
    })
    .await;
    for (number, way) in (0..).zip(WAYS) {
        server.hold_syncs();
        let small = request(vec![span(100 + number)]);
        let overload = async {
            server.wait_for_appends(1).await;
            assert_eq!(send(&server, way, &small).await.word, Word::SlowDown, "{way:?}");
            server.release_syncs();
        };
        let (reply, ()) = tokio::join!(greedy(number).send(&server), overload);
        assert_eq!(reply.word, Word::Ok);
        let begin = Instant::now();
        assert_eq!(send(&server, way, &small).await.word, Word::Ok, "{way:?}");
        assert!(begin.elapsed() < Duration::from_secs(5));
    }
    assert_eq!(server.metrics.in_flight_bytes(), 0);
}
