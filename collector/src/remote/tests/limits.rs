//! What is refused, and how connections end.

use std::time::Duration;

use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::polls::{ask, get};
use super::server::Server;
use crate::remote::{Outcome, Transport};

#[tokio::test]
async fn a_poll_names_one_service() {
    let server = Server::start().await;
    for target in ["/sampling", "/", "/sampling?service=a&service=b", "/sampling?service=%", "/?Service=a"] {
        let reply = get(&server, target).await;
        assert_eq!(
            (reply.status, reply.text().as_str()),
            (400, "'service' parameter must be provided once"),
            "{target}"
        );
    }
    assert_eq!(server.polls(Transport::Http, Outcome::Refused), 5);
    assert_eq!(server.ledger.lock().unwrap().services(), 0);
}

#[tokio::test]
async fn what_is_no_poll_is_refused() {
    let server = Server::start().await;
    let long = "x".repeat(9_000);
    let path = "/api/v2/samplingStrategy";
    for (method, target, body, status) in [
        (Method::PUT, "/sampling?service=cart", "", 405),
        (Method::POST, "/sampling?service=cart", "", 404),
        (Method::POST, path, "{", 400),
        (Method::POST, path, r#"{"serviceName":7}"#, 400),
        (Method::POST, path, &format!(r#"{{"serviceName":"{long}"}}"#), 413),
    ] {
        let reply = ask(&server, method.clone(), target, &[], body).await;
        assert_eq!(reply.status, status, "{method} {target} {body}");
        assert!(!reply.text().is_empty() && reply.headers["content-type"] == "text/plain; charset=utf-8");
    }
    let allowed = ask(&server, Method::DELETE, path, &[], "").await;
    assert_eq!(allowed.headers["allow"], "GET, HEAD, POST");
    let mixed_up = ask(&server, Method::POST, "/", &[("content-type", "application/grpc")], "").await;
    assert_eq!(mixed_up.headers["grpc-status"], "12");
    assert!(mixed_up.headers["grpc-message"].to_str().unwrap().contains(&server.grpc.to_string()));
}

#[tokio::test]
async fn pages_that_rebind_their_name_learn_nothing() {
    let server = Server::with(|config| config.host_names = vec!["spans.example".to_owned()]).await;
    for (host, status) in [("evil.example", 403), ("spans.example", 200), ("localhost:1", 200)] {
        let reply = ask(&server, Method::GET, "/sampling?service=cart", &[("host", host)], "").await;
        assert_eq!(reply.status, status, "{host}");
        assert!(reply.headers.keys().all(|name| !name.as_str().starts_with("access-control")));
    }
}

#[tokio::test]
async fn long_names_and_heads_are_bounded() {
    let server = Server::start().await;
    let name = "x".repeat(1_000);
    assert_eq!(get(&server, &format!("/sampling?service={name}")).await.status, 200);
    assert_eq!(server.ledger.lock().unwrap().services(), 0, "it keeps everything, so there is nothing to remember");
    let name = "x".repeat(20_000);
    assert_eq!(get(&server, &format!("/sampling?service={name}")).await.status, 431);
}

#[tokio::test]
async fn stalled_heads_are_ended_and_a_drain_answers_what_came() {
    let mut server = Server::with(|config| config.head_timeout = Duration::from_secs(1)).await;
    let mut stalled = TcpStream::connect(server.http).await.unwrap();
    stalled.write_all(b"GET /sampling?serv").await.unwrap();
    let mut rest = Vec::new();
    timeout(Duration::from_secs(5), stalled.read_to_end(&mut rest)).await.unwrap().ok();
    assert_eq!(rest, b"");
    let mut idle = TcpStream::connect(server.http).await.unwrap();
    idle.write_all(b"GET /?service=cart HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut came = vec![0; 4_096];
    let count = timeout(Duration::from_secs(5), idle.read(&mut came)).await.unwrap().unwrap();
    assert!(came[..count].starts_with(b"HTTP/1.1 200"));
    assert_eq!(server.metrics.connections.open(), 1);
    for task in server.shut_down() {
        timeout(Duration::from_secs(5), task).await.unwrap().unwrap();
    }
    assert_eq!(timeout(Duration::from_secs(5), idle.read(&mut came)).await.unwrap().unwrap(), 0);
    assert!(TcpStream::connect(server.http).await.is_err());
    assert_eq!(server.metrics.connections.open(), 0);
}

#[tokio::test]
async fn connections_are_bounded() {
    let server = Server::with(|config| {
        config.max_connections = 2;
        config.head_timeout = Duration::from_secs(1);
    })
    .await;
    let one = TcpStream::connect(server.http).await.unwrap();
    let other = TcpStream::connect(server.http).await.unwrap();
    let mut third = TcpStream::connect(server.http).await.unwrap();
    third.write_all(b"GET /?service=cart HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut came = vec![0; 4_096];
    assert!(timeout(Duration::from_millis(300), third.read(&mut came)).await.is_err());
    assert!(server.metrics.connections.open() <= 2);
    drop((one, other));
    let count = timeout(Duration::from_secs(5), third.read(&mut came)).await.unwrap().unwrap();
    assert!(came[..count].starts_with(b"HTTP/1.1 200"));
}
