//! Chapter 8 of the cases: limits.

use super::client::{Call, WAYS, Way, Word, encode, request, span, text};
use super::server::Server;

/// A request of exactly `length` bytes.
fn sized(way: Way, length: usize) -> Vec<u8> {
    let mut message = request(vec![span(way as u64)]);
    let spare = length - encode(way, &message).len() - 100;
    message.resource_spans[0].scope_spans[0].spans[0].attributes = vec![text("k", &"x".repeat(spare))];
    let missing = length - encode(way, &message).len();
    message.resource_spans[0].scope_spans[0].spans[0].attributes = vec![text("k", &"x".repeat(spare + missing))];
    let encoded = encode(way, &message);
    assert_eq!(encoded.len(), length);
    encoded
}

#[tokio::test]
async fn otlp_801_a_body_above_the_default_limit_is_too_large() {
    let server = Server::start().await;
    let body = vec![0; 70 << 20];
    for way in WAYS {
        assert_eq!(Call::new(way, &body).send(&server).await.word, Word::TooLarge, "{way:?}");
    }
    assert_eq!(server.metrics.in_flight_bytes(), 0);
}

#[tokio::test]
async fn otlp_806_exactly_the_limit_is_ok_and_a_byte_more_too_large() {
    let server = Server::with(|config| config.limits.request_bytes = 100_000).await;
    for way in WAYS {
        let exact = sized(way, 100_000);
        let more = sized(way, 100_001);
        assert_eq!(Call::new(way, &exact).send(&server).await.word, Word::Ok, "{way:?}");
        assert_eq!(Call::new(way, &more).send(&server).await.word, Word::TooLarge, "{way:?}");
        for encoding in ["gzip", "zstd"] {
            let pack = |bytes: &[u8]| super::client::compress(encoding, bytes);
            assert_eq!(Call::compressed(way, encoding, &pack(&exact)).send(&server).await.word, Word::Ok);
            assert_eq!(Call::compressed(way, encoding, &pack(&more)).send(&server).await.word, Word::TooLarge);
        }
    }
}
