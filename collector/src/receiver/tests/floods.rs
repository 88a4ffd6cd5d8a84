//! Cases 1401 and 1406: frames of HTTP/2 in numbers that no client needs.

use std::time::{Duration, Instant};

use super::client::{Call, Way, Word, client, encode, request, span};
use super::http2::{
    CONTINUATION, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Frame, HEADERS, Http2, PING, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, call_head, frame,
};
use super::server::Server;

const SOON: Duration = Duration::from_secs(10);

/// Sends until the server closes, while an honest client beside it is served; what the server said, and how long that
/// client waited at most.
async fn flood(server: &Server, settings: &[u8], mut next: impl FnMut(u32) -> Vec<u8>) -> (Vec<u32>, Duration) {
    let mut bad = Http2::connect(server.grpc, settings).await;
    let flooding = async {
        let begin = Instant::now();
        for round in 0.. {
            assert!(begin.elapsed() < SOON, "the flood goes on");
            if !bad.send(&next(round)).await {
                break;
            }
            tokio::task::yield_now().await;
        }
        bad.end(SOON).await.unwrap()
    };
    let honest = async {
        let client = client(http::Version::HTTP_2);
        let mut slowest = Duration::ZERO;
        for number in 0..100 {
            let call = Call::new(Way::Grpc, &encode(Way::Grpc, &request(vec![span(number)])));
            let begin = Instant::now();
            assert_eq!(call.send_with(&client, server).await.word, Word::Ok);
            slowest = slowest.max(begin.elapsed());
        }
        slowest
    };
    tokio::join!(flooding, honest)
}

async fn check(name: &str, expected: &[u32], next: impl FnMut(u32) -> Vec<u8>) {
    let server = Server::start().await;
    let (codes, slowest) = flood(&server, &[], next).await;
    println!("{name}: {codes:?}, an honest client waited at most {slowest:?}");
    assert_eq!(codes, expected, "{name}");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    assert_eq!(server.sink.span_count(), 100);
}

#[tokio::test]
async fn otlp_1401_pings_are_answered_and_floods_of_them_ended() {
    let server = Server::start().await;
    let mut client = Http2::connect(server.grpc, &[]).await;
    for number in 0..100 {
        assert!(client.send(&frame(PING, 0, 0, &[number; 8])).await);
        let pong = loop {
            match client.next().await.unwrap() {
                Frame { kind: PING, payload, .. } => break payload,
                _ => continue,
            }
        };
        assert_eq!(pong, [number; 8]);
    }
    drop(client);
    check("pings", &[ENHANCE_YOUR_CALM], |_| frame(PING, 0, 0, &[0; 8]).repeat(100)).await;
}

#[tokio::test]
async fn otlp_1406_floods_of_settings_and_windows_are_ended() {
    check("settings", &[ENHANCE_YOUR_CALM], |_| frame(SETTINGS, 0, 0, &[]).repeat(100)).await;
    check("windows", &[ENHANCE_YOUR_CALM], |_| frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]).repeat(100)).await;
}

#[tokio::test]
async fn otlp_1406_rapid_resets_are_ended() {
    check("resets", &[ENHANCE_YOUR_CALM], |round| {
        let streams = (0..100).map(|number| 200 * round + 2 * number + 1);
        let reset = |stream| {
            [frame(HEADERS, END_HEADERS, stream, &call_head()), frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
        };
        streams.flat_map(reset).collect()
    })
    .await;
}

#[tokio::test]
async fn otlp_1406_endless_heads_are_ended() {
    check("continuations", &[ENHANCE_YOUR_CALM], |round| {
        let more = frame(CONTINUATION, 0, 1, &[0; 1_000]);
        if round == 0 { frame(HEADERS, 0, 1, &call_head()) } else { more }
    })
    .await;
}

#[tokio::test]
async fn otlp_1406_answers_that_nobody_lets_out_are_given_up() {
    let server = Server::with(|config| config.receiver.head_timeout = Duration::from_secs(1)).await;
    const INITIAL_WINDOW_OF_ZERO: [u8; 6] = [0, 4, 0, 0, 0, 0];
    let mut bad = Http2::connect(server.grpc, &INITIAL_WINDOW_OF_ZERO).await;
    for stream in 0..100 {
        let call = [
            frame(HEADERS, END_HEADERS, 2 * stream + 1, &call_head()),
            frame(super::http2::DATA, END_STREAM, 2 * stream + 1, &super::client::frame(0, b"")),
        ];
        assert!(bad.send(&call.concat()).await);
    }
    let begin = Instant::now();
    assert!(bad.end(SOON).await.is_some(), "the connection goes on");
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert_eq!(server.metrics.connections.broken.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[tokio::test]
async fn otlp_1404_slow_heads_of_http_2_are_ended() {
    let server = Server::with(|config| config.receiver.head_timeout = Duration::from_secs(1)).await;
    let begin = Instant::now();
    let whole = frame(HEADERS, END_HEADERS, 1, &call_head());
    let no_end = frame(HEADERS, 0, 1, &call_head());
    let address = server.grpc;
    let cases = [&whole[..5], &whole[..20], &no_end[..]].map(|bytes| async move {
        let mut bad = Http2::connect(address, &[]).await;
        assert!(bad.send(bytes).await);
        assert!(bad.end(SOON).await.is_some(), "{bytes:?}");
    });
    futures::future::join_all(cases).await;
    assert!(begin.elapsed() < Duration::from_secs(5));
}
