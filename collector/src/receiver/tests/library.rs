//! Cases 702, 1401 and 1405 where the HTTP library answers before Spanhouse sees a request. docs/operations.md tells it under
//! "Limits of the HTTP library"; if a new version changes it, these fail.

use super::connections::{HEAD, raw};
use super::server::Server;

/// Status, whether there is a body, and whether the connection was closed after it.
#[track_caller]
fn check(answer: &str, status: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    assert!(answer.contains("content-length: 0\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
    assert!(!answer.contains("content-type"), "{answer}");
}

#[tokio::test]
async fn otlp_702_what_is_no_http_is_answered_without_a_body() {
    let server = Server::start().await;
    for (request, status) in [
        ("GARBAGE\r\n\r\n".to_owned(), "400"),
        ("POST /v1/traces HTTP/3.0\r\n\r\n".to_owned(), "400"),
        ("POST /v1/traces HTTP/1.1\r\nno colon\r\n\r\n".to_owned(), "400"),
        ("POST /v1/traces HTTP/1.1\r\nx: \0\r\n\r\n".to_owned(), "400"),
        (format!("{HEAD}content-length: 2\r\ncontent-length: 3\r\n\r\n{{}}"), "400"),
        (format!("{HEAD}content-length: -1\r\n\r\n"), "400"),
        (format!("{HEAD}content-length: 99999999999999999999\r\n\r\n"), "400"),
        (format!("{HEAD}transfer-encoding: gzip\r\n\r\n"), "400"),
        ("POST /v1/traces HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(), "400"),
        (format!("{HEAD}x: {}\r\n\r\n", "x".repeat(17 * 1_024)), "431"),
        (format!("{HEAD}{}\r\n", "x: y\r\n".repeat(100)), "431"),
        (format!("POST /{} HTTP/1.1\r\n\r\n", "x".repeat(70_000)), "431"),
    ] {
        let answer = raw(server.http, &request).await;
        check(&answer, status);
    }
    assert_eq!(server.metrics.refused_requests(), 0);
    assert_eq!(server.metrics.connections.broken.load(std::sync::atomic::Ordering::Relaxed), 12);
}

#[tokio::test]
async fn otlp_1405_of_a_length_and_chunks_the_chunks_count() {
    let server = Server::start().await;
    let chunks = "2\r\n{}\r\n0\r\n\r\n";
    for lengths in
        ["content-length: 9\r\ntransfer-encoding: chunked", "transfer-encoding: chunked\r\ncontent-length: 9"]
    {
        let answer = raw(server.http, &format!("{HEAD}connection: close\r\n{lengths}\r\n\r\n{chunks}")).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "nothing of it is taken as another request: {answer}");
    }
}
