//! Chapter 10 of the cases: access.

use super::client::{Call, WAYS, Way, Word, encode, request, span};
use super::connections::raw;
use super::server::Server;

#[tokio::test]
async fn otlp_1004_foreign_host_names_are_forbidden_on_loopback() {
    let server = Server::with(|config| config.receiver.host_names = vec!["spans.example".to_owned()]).await;
    for (host, status) in [("evil.example", 403), ("localhost:1", 200), ("spans.example", 200)] {
        let reply = raw(
            server.http,
            &format!("POST /v1/traces HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}"),
        )
        .await;
        assert!(reply.starts_with(&format!("HTTP/1.1 {status}")), "{host}: {reply}");
    }
    // The name of a connection and that of its requests may differ, as a page that rebinds its name makes them.
    let mut call = Call::new(Way::Grpc, b"");
    call.path = super::client::EXPORT.to_owned();
    let reply = grpc_with_authority(&server, "evil.example").await;
    assert_eq!(reply, "7");
    assert_eq!(grpc_with_authority(&server, "localhost").await, "0");
}

async fn grpc_with_authority(server: &Server, authority: &str) -> String {
    let stream = tokio::net::TcpStream::connect(server.grpc).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    tokio::spawn(connection);
    let body = http_body_util::Full::new(bytes::Bytes::from(super::client::frame(0, b"")));
    let head = http::Request::post(format!("http://{authority}{}", super::client::EXPORT));
    let response =
        sender.send_request(head.header("content-type", "application/grpc").body(body).unwrap()).await.unwrap();
    if let Some(status) = response.headers().get("grpc-status") {
        return status.to_str().unwrap().to_owned();
    }
    use http_body_util::BodyExt;
    let collected = response.into_body().collect().await.unwrap();
    collected.trailers().unwrap()["grpc-status"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn otlp_1006_and_1009_no_cors_headers_and_no_tenants() {
    let server = Server::start().await;
    for way in [Way::Protobuf, Way::Json] {
        let mut preflight = Call::new(way, b"").header("origin", "https://page.example");
        preflight.method = http::Method::OPTIONS;
        let preflight = preflight.header("access-control-request-method", "POST").send(&server).await;
        assert!(preflight.headers.keys().all(|name| !name.as_str().starts_with("access-control")));
    }
    for (number, way) in (0..).zip(WAYS) {
        let call = Call::new(way, &encode(way, &request(vec![span(number)]))).header("x-scope-orgid", "tenant");
        assert_eq!(call.send(&server).await.word, Word::Ok);
    }
}

const GOOD: &str = "https://good.example";

fn preflight(origin: &str) -> Call {
    let mut call = Call::new(Way::Json, b"");
    call.headers.clear();
    call.method = http::Method::OPTIONS;
    call.header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type")
}

#[tokio::test]
async fn otlp_1007_pages_of_an_allowed_origin_may_send() {
    let server = Server::with(|config| config.receiver.cors_origins = vec![GOOD.to_owned()]).await;
    for version in [http::Version::HTTP_11, http::Version::HTTP_2] {
        let mut call = preflight(GOOD);
        call.version = version;
        // An answer without content is no message that the client of the tests reads.
        let headers = call.send_for_head(&server).await;
        assert_eq!(headers.status, 204);
        for (name, value) in [
            ("access-control-allow-origin", GOOD),
            ("access-control-allow-methods", "POST"),
            ("access-control-allow-headers", "content-type, content-encoding, authorization, traceparent, tracestate"),
            ("vary", "Origin"),
            ("access-control-max-age", "7200"),
        ] {
            assert_eq!(headers.headers[name], value, "{name}");
        }
    }
    for (number, way) in (0..).zip([Way::Protobuf, Way::Json]) {
        let good = Call::new(way, &encode(way, &request(vec![span(number)]))).header("origin", GOOD);
        let bad = Call::new(way, b"\x07").header("origin", GOOD);
        for (call, word) in [(good, Word::Ok), (bad, Word::Bad)] {
            let reply = call.send(&server).await;
            assert_eq!((reply.word, &reply.headers["access-control-allow-origin"]), (word, &GOOD.parse().unwrap()));
            assert_eq!(reply.headers["vary"], "Origin");
        }
    }
    // The origin opens neither other paths nor other names of this host.
    let mut elsewhere = preflight(GOOD);
    elsewhere.path = "/v1/logs".to_owned();
    assert_eq!(elsewhere.send(&server).await.status, 404);
    assert_eq!(preflight(GOOD).header("host", "evil.example").send(&server).await.status, 403);
    assert_eq!(server.sink.span_count(), 2);
}

#[tokio::test]
async fn otlp_1008_other_origins_get_no_cors_headers() {
    let server = Server::with(|config| config.receiver.cors_origins = vec![GOOD.to_owned()]).await;
    for origin in [
        "null",
        "https://good.example.evil.com",
        "https://evil.com",
        "http://good.example",
        "https://good.example:444",
        "https://good.example/",
        "HTTPS://GOOD.EXAMPLE",
        "https://good.example https://evil.com",
        "*",
        "",
    ] {
        let post = Call::new(Way::Json, b"{}").header("origin", origin);
        for (call, status) in [(preflight(origin), 405), (post, 200)] {
            let reply = call.send(&server).await;
            assert_eq!(reply.status, status, "{origin}");
            assert!(reply.headers.keys().all(|name| !name.as_str().starts_with("access-control")), "{origin}");
        }
    }
    // With any origin allowed none is echoed, so that no browser takes it for one with credentials.
    let server = Server::with(|config| config.receiver.cors_origins = vec!["*".to_owned()]).await;
    for origin in ["null", "https://evil.com"] {
        let reply = Call::new(Way::Json, b"{}").header("origin", origin).send(&server).await;
        assert_eq!(reply.headers["access-control-allow-origin"], "*");
        assert!(!reply.headers.contains_key("access-control-allow-credentials"));
    }
}
