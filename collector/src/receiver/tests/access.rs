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
