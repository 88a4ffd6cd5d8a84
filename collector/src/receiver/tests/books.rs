//! The books: `received = stored + duplicate + rejected + refused + in flight`, at every moment.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use opentelemetry_proto::tonic::trace::v1::Span;

use super::client::{WAYS, Way, Word, request, send, span};
use super::server::{Mood, Server, until};
use crate::otlp::{Cause, Reason};
use crate::receiver::{Answer, Books};

#[tokio::test]
async fn each_span_is_in_the_books_once() {
    let server = Server::start().await;
    let mut expected = Books::default();
    for (first, way) in (0..).step_by(100).zip(WAYS) {
        let message = request(vec![span(first), span(first + 1), Span { span_id: vec![], ..span(first + 2) }]);
        for (mood, word) in [
            (Mood::Busy, Word::SlowDown),
            (Mood::Closed, Word::Unavailable),
            (Mood::Panics, Word::Other(if way == Way::Grpc { 13 } else { 500 })),
        ] {
            server.set_mood(mood);
            assert_eq!(send(&server, way, &message).await.word, word, "{way:?}");
            expected.received += 3;
            expected.refused += 3;
            assert_eq!(server.metrics.books(), expected, "{mood:?}");
        }
        server.set_mood(Mood::Stores);
        assert_eq!(send(&server, way, &message).await.word, Word::Rejected(1));
        expected.received += 3;
        expected.stored += 2;
        expected.rejected += 1;
        assert_eq!(server.metrics.books(), expected);
        assert_eq!(send(&server, way, &message).await.word, Word::Rejected(1));
        expected.received += 3;
        expected.duplicate += 3;
        assert_eq!(server.metrics.books(), expected);
        assert_eq!(send(&server, way, &request(vec![Span::default(); 4])).await.word, Word::Rejected(4));
        expected.received += 4;
        expected.rejected += 4;
        assert_eq!(server.metrics.books(), expected);

        server.hold_syncs();
        let held = async {
            server.wait_for_appends(1).await;
            let books = server.metrics.books();
            let in_flight_bytes = server.metrics.in_flight_bytes();
            server.release_syncs();
            (books, in_flight_bytes)
        };
        let message = request(vec![span(first + 10)]);
        let (reply, (books, in_flight_bytes)) = tokio::join!(send(&server, way, &message), held);
        assert_eq!(reply.word, Word::Ok);
        assert_eq!(books, Books { received: expected.received + 1, in_flight: 1, ..expected });
        assert!(in_flight_bytes > 0);
        expected.received += 1;
        expected.stored += 1;
        assert_eq!(server.metrics.books(), expected);
    }
    assert_eq!(server.metrics.in_flight_bytes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_books_are_balanced_whenever_they_are_read() {
    let server = Server::start().await;
    let stop = AtomicBool::new(false);
    let (server, stop) = (&server, &stop);
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut reads = 0_u64;
            while !stop.load(Relaxed) {
                let books = server.metrics.books();
                assert!(books.is_balanced(), "{books:?}");
                reads += 1;
            }
            reads
        });
        let sending = (0..40).map(|sender| async move {
            for number in 0..10 {
                let first = 1_000 * sender + 10 * number;
                let message = request(vec![span(first), span(first + 1), Span::default()]);
                send(server, WAYS[sender as usize % 3], &message).await;
            }
        });
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(futures::future::join_all(sending));
        });
        stop.store(true, Relaxed);
        assert!(reading.join().unwrap() > 100);
    });
    assert_eq!(server.metrics.books().received, 1_200);
}

#[tokio::test]
async fn each_reason_cause_and_refusal_is_counted_apart() {
    let server = Server::start().await;
    for way in WAYS {
        let parent = Span { parent_span_id: vec![1; 7], ..span(way as u64) };
        send(&server, way, &request(vec![parent, Span { trace_id: vec![], ..span(1) }, Span::default()])).await;
        super::client::Call::new(way, b"\x07").send(&server).await;
    }
    let rejected: Vec<_> = server.metrics.rejected_by_reason().filter(|(_, spans)| *spans > 0).collect();
    assert_eq!(rejected, [(Reason::InvalidTraceId, 6)]);
    let warned: Vec<_> = server.metrics.warned_by_cause().filter(|(_, count)| *count > 0).collect();
    assert_eq!(warned, [(Cause::ParentId, 3)]);
    let refused: Vec<_> = server.metrics.refused_by_answer().filter(|(_, count)| *count > 0).collect();
    assert_eq!(refused, [(Answer::Bad, 3)]);
    until("no connection is open", || server.metrics.connections.open() == 0).await;
}
