//! Chapter 7 of the cases: errors.

use super::client::{Call, WAYS, Way, Word, encode, request, send, span};
use super::server::{Mood, Server};
use crate::receiver::Answer;

#[tokio::test]
async fn otlp_701_undecodable_bytes_are_bad_and_named() {
    let server = Server::start().await;
    for way in WAYS {
        let (body, says) = match way {
            Way::Json => (&br#"{"resourceSpans":[{"scopeSpans":7}]}"#[..], "resourceSpans[0].scopeSpans, byte 32"),
            _ => (&b"\x0a\x02\x0a\x05"[..], "byte 4"),
        };
        let reply = Call::new(way, body).send(&server).await;
        assert_eq!(reply.word, Word::Bad, "{way:?}");
        assert!(reply.message.contains(says), "{}", reply.message);
    }
    assert_eq!(server.metrics.answered(Answer::Bad), 3);
    assert_eq!(server.metrics.refused_requests(), 3);
}

#[tokio::test]
async fn otlp_702_each_refusal_of_ours_has_a_status_body() {
    let server = Server::with(|config| config.limits.request_bytes = 100_000).await;
    for way in [Way::Protobuf, Way::Json] {
        let good = Call::new(way, &encode(way, &request(vec![span(1)])));
        let mut elsewhere = good.clone();
        elsewhere.path = "/v1/logs".to_owned();
        let mut put = good.clone();
        put.method = http::Method::PUT;
        let calls = [
            (400, Mood::Stores, Call::new(way, b"\x07")),
            (403, Mood::Stores, good.clone().header("host", "evil.example")),
            (404, Mood::Stores, elsewhere),
            (405, Mood::Stores, put),
            (413, Mood::Stores, Call::new(way, &[0; 100_001])),
            (415, Mood::Stores, good.clone().header("content-encoding", "br")),
            (429, Mood::Busy, good.clone()),
            (500, Mood::Panics, good.clone()),
            (503, Mood::Closed, good.clone()),
        ];
        for (status, mood, call) in calls {
            server.set_mood(mood);
            // Reading the answer decodes its body as a Status, in the encoding that its type names.
            let media_type = call.headers[0].1.clone();
            let reply = call.send(&server).await;
            assert_eq!(reply.status, status, "{way:?}");
            assert_eq!(reply.headers["content-type"], media_type);
            assert!(reply.code > 0 && !reply.message.is_empty(), "{way:?} {status}");
        }
    }
}

#[tokio::test]
async fn otlp_703_and_1005_other_content_types_are_refused() {
    let server = Server::start().await;
    for media_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "",
        "application/grpc-web",
    ] {
        let reply = Call::new(Way::Protobuf, b"").header("content-type", media_type).send(&server).await;
        assert_eq!((reply.status, &reply.headers["content-type"]), (415, &"application/json".parse().unwrap()));
    }
    let mut call = Call::new(Way::Protobuf, b"");
    call.headers.clear();
    let reply = call.clone().send(&server).await;
    assert_eq!((reply.status, &reply.headers["content-type"]), (415, &"application/json".parse().unwrap()));
    let reply = call.header("accept", "application/x-protobuf").send(&server).await;
    assert_eq!((reply.status, &reply.headers["content-type"]), (415, &"application/x-protobuf".parse().unwrap()));
}

#[tokio::test]
async fn otlp_704_a_panic_is_internal_and_the_connection_lives() {
    let server = Server::start().await;
    for way in WAYS {
        server.set_mood(Mood::Panics);
        let call = Call::new(way, &encode(way, &request(vec![span(way as u64)])));
        let client = super::client::client(call.version);
        let reply = call.clone().send_with(&client, &server).await;
        assert_eq!((reply.code, reply.status), (13, if way == Way::Grpc { 200 } else { 500 }));
        server.set_mood(Mood::Stores);
        assert_eq!(call.send_with(&client, &server).await.word, Word::Ok);
    }
    assert_eq!(server.metrics.connections.accepted.load(std::sync::atomic::Ordering::Relaxed), 3);
}

#[tokio::test]
async fn otlp_705_a_failed_sync_is_unavailable() {
    let server = Server::start().await;
    for mood in [Mood::WriteFails, Mood::Closed] {
        server.set_mood(mood);
        for way in WAYS {
            assert_eq!(send(&server, way, &request(vec![span(1)])).await.word, Word::Unavailable, "{way:?}");
        }
    }
    assert_eq!(server.metrics.spans.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[tokio::test]
async fn otlp_707_long_messages_are_cut() {
    let server = Server::start().await;
    let mut call = Call::new(Way::Grpc, b"");
    call.path = format!("/{}", "é%".repeat(1_500).replace('é', "%C3%A9").replace("%%", "%25%"));
    call.path.truncate(6_001);
    let reply = call.send(&server).await;
    let size: usize = reply.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    assert_eq!(reply.word, Word::Other(12));
    assert!(size < 8_192, "{size}");
}

#[tokio::test]
async fn otlp_708_large_heads_are_refused() {
    let server = Server::start().await;
    let large = "x".repeat(17 * 1024);
    let reply = super::connections::raw(
        server.http,
        &format!("POST /v1/traces HTTP/1.1\r\nhost: localhost\r\nx: {large}\r\n\r\n"),
    )
    .await;
    assert!(reply.starts_with("HTTP/1.1 431"), "{reply}");
    // Over HTTP/2 the stream is refused, by headers without a body or by a reset.
    let client = super::client::client(http::Version::HTTP_2);
    let uri: http::Uri = format!("http://{}{}", server.grpc, super::client::EXPORT).parse().unwrap();
    let mut head = http::Request::new(http_body_util::Full::new(bytes::Bytes::new()));
    *head.method_mut() = http::Method::POST;
    *head.uri_mut() = uri;
    *head.version_mut() = http::Version::HTTP_2;
    head.headers_mut().insert("x", large.parse().unwrap());
    if let Ok(response) = client.request(head).await {
        assert_eq!(response.status(), 431);
    }
    assert_eq!(send(&server, Way::Grpc, &request(vec![span(1)])).await.word, Word::Ok);
}
