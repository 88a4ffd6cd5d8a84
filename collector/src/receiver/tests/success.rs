//! Chapters 5 and 6 of the cases: success and partial success.

use super::client::{Call, WAYS, Way, Word, encode, request, send, span};
use super::server::Server;

#[tokio::test]
async fn otlp_501_one_valid_span_is_answered_with_nothing() {
    let server = Server::start().await;
    for (number, way) in (0..).zip(WAYS) {
        let reply = send(&server, way, &request(vec![span(number)])).await;
        assert_eq!(reply.word, Word::Ok, "{way:?} {}", reply.message);
        let expected: &[u8] = if way == Way::Json { b"{}" } else { b"" };
        assert_eq!(reply.body, expected);
    }
    assert_eq!(server.sink.span_count(), 3);
    assert_eq!(server.metrics.spans.load(std::sync::atomic::Ordering::Relaxed), 3);
    assert!(server.metrics.last_arrival().is_some());
}

#[tokio::test]
async fn otlp_502_and_503_empty_requests_are_ok_and_store_nothing() {
    let server = Server::start().await;
    let empty_spans = request(vec![]);
    for way in WAYS {
        assert_eq!(Call::new(way, b"").send(&server).await.word, Word::Ok, "{way:?}");
        assert_eq!(Call::new(way, &encode(way, &empty_spans)).send(&server).await.word, Word::Ok, "{way:?}");
    }
    for body in
        ["{}", "{\"resourceSpans\":[]}", "{\"resourceSpans\":[{}]}", "{\"resourceSpans\":[{\"scopeSpans\":[{}]}]}"]
    {
        assert_eq!(Call::new(Way::Json, body.as_bytes()).send(&server).await.word, Word::Ok, "{body}");
    }
    assert_eq!(server.sink.request_count(), 0);
}
