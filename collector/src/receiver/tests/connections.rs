//! Parts of chapters 7, 8, 9 and 14 of the cases: connections and hostile input, over raw sockets.

use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::client::{Call, Way, Word, encode, request, send, span};
use super::server::Server;

/// Writes, and reads until the server closes.
pub async fn raw(address: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(text.as_bytes()).await;
    read_to_end(&mut stream).await
}

async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

pub const HEAD: &str = "POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";

async fn serves(server: &Server) {
    for way in super::client::WAYS {
        let message = request(vec![span(Instant::now().elapsed().as_nanos() as u64)]);
        assert_eq!(send(server, way, &message).await.word, Word::Ok);
    }
}

#[tokio::test]
async fn otlp_709_bodies_of_another_length_are_bad() {
    let server = Server::start().await;
    let mut short = TcpStream::connect(server.http).await.unwrap();
    short.write_all(format!("{HEAD}content-length: 100\r\n\r\n{{}}").as_bytes()).await.unwrap();
    short.shutdown().await.unwrap();
    let answer = read_to_end(&mut short).await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("\"message\""), "{answer}");
    let broken = raw(server.http, &format!("{HEAD}transfer-encoding: chunked\r\n\r\nxyz\r\n")).await;
    assert!(broken.starts_with("HTTP/1.1 400"), "{broken}");
    // What follows a body is read as the next request, which it is not.
    let long = raw(server.http, &format!("{HEAD}content-length: 2\r\n\r\n{{}}garbage\r\n\r\n")).await;
    assert!(long.starts_with("HTTP/1.1 200") && long.contains("HTTP/1.1 400"), "{long}");
    assert_eq!(server.sink.request_count(), 0);
    serves(&server).await;
}

#[tokio::test]
async fn otlp_710_and_804_an_early_error_is_read_and_no_reset() {
    let server = Server::with(|config| config.limits.request_bytes = 1_000).await;
    let size = 20 << 20;
    let mut stream = TcpStream::connect(server.http).await.unwrap();
    stream.write_all(format!("{HEAD}content-length: {size}\r\n\r\n").as_bytes()).await.unwrap();
    // As many clients do: all of the body first, and then the answer.
    stream.write_all(&vec![b' '; size]).await.unwrap();
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    // A gRPC length above the limit is refused although nothing follows it.
    let mut call = Call::new(Way::Grpc, b"");
    call.body = vec![0, 0xff, 0xff, 0xff, 0xff];
    assert_eq!(call.send(&server).await.word, Word::TooLarge);
    assert_eq!(server.metrics.in_flight_bytes(), 0);
}

#[tokio::test]
async fn otlp_805_a_chunked_body_is_too_large_as_soon_as_it_is() {
    let server = Server::with(|config| config.limits.request_bytes = 1_000).await;
    let mut stream = TcpStream::connect(server.http).await.unwrap();
    let chunk = format!("3e9\r\n{}\r\n", " ".repeat(1_001));
    stream.write_all(format!("{HEAD}transfer-encoding: chunked\r\n\r\n{chunk}").as_bytes()).await.unwrap();
    let mut begin = [0; 12];
    timeout(Duration::from_secs(5), stream.read_exact(&mut begin)).await.unwrap().unwrap();
    assert_eq!(&begin, b"HTTP/1.1 413");
}

#[tokio::test]
async fn otlp_912_a_client_that_leaves_in_its_body_leaves_nothing() {
    let server = Server::start().await;
    for _ in 0..20 {
        let mut stream = TcpStream::connect(server.http).await.unwrap();
        stream.write_all(format!("{HEAD}content-length: 60000\r\n\r\n{{\"resou").as_bytes()).await.unwrap();
    }
    while server.metrics.in_flight_bytes() > 0 || server.metrics.connections.accepted.load(Relaxed) < 20 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(server.sink.request_count(), 0);
    serves(&server).await;
}

#[tokio::test]
async fn otlp_1403_keep_alive_pipelining_http_1_0_trailers_and_expect() {
    let server = Server::start().await;
    let good = format!("{HEAD}content-length: 2\r\n\r\n{{}}");
    let bad = format!("{HEAD}content-length: 1\r\n\r\n[");
    let last = format!("{HEAD}content-length: 2\r\nconnection: close\r\n\r\n{{}}");
    let answers = raw(server.http, &format!("{good}{bad}{good}{last}")).await;
    let statuses: Vec<&str> = answers.lines().filter_map(|line| line.split("HTTP/1.1 ").nth(1)).collect();
    assert_eq!(statuses, ["200 OK", "400 Bad Request", "200 OK", "200 OK"]);

    let old = "POST /v1/traces HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    assert!(raw(server.http, old).await.starts_with("HTTP/1.0 200"));

    let chunked =
        format!("{HEAD}transfer-encoding: chunked\r\nconnection: close\r\n\r\n2\r\n{{}}\r\n0\r\nx-trailer: 1\r\n\r\n");
    assert!(raw(server.http, &chunked).await.starts_with("HTTP/1.1 200"));

    let expect = format!("{HEAD}content-length: 2\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n{{}}");
    let answer = raw(server.http, &expect).await;
    assert!(answer.starts_with("HTTP/1.1 100") && answer.contains("HTTP/1.1 200"), "{answer}");
}

fn impatient(config: &mut crate::Config) {
    config.receiver.head_timeout = Duration::from_secs(1);
}

#[tokio::test]
async fn otlp_1404_slow_heads_and_bodies_are_ended() {
    let server = Server::with(impatient).await;
    let head = async {
        let mut stream = TcpStream::connect(server.http).await.unwrap();
        drip(&mut stream, HEAD.as_bytes()).await
    };
    let body = async {
        let mut stream = TcpStream::connect(server.http).await.unwrap();
        stream.write_all(format!("{HEAD}content-length: 1000\r\n\r\n").as_bytes()).await.unwrap();
        drip(&mut stream, &[b' '; 900]).await
    };
    let preface = async {
        let mut stream = TcpStream::connect(server.grpc).await.unwrap();
        stream.write_all(b"PR").await.unwrap();
        read_to_end(&mut stream).await
    };
    let begin = Instant::now();
    let (head, body, preface) = tokio::join!(head, body, preface);
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert_eq!((head.as_str(), preface.as_str()), ("", ""));
    assert!(body.starts_with("HTTP/1.1 408"), "{body}");
    serves(&server).await;
}

/// A byte each 100 ms until the server answers or closes.
async fn drip(stream: &mut TcpStream, bytes: &[u8]) -> String {
    for byte in bytes {
        if stream.write_all(&[*byte]).await.is_err() {
            break;
        }
        let mut next = [0; 1];
        if let Ok(read) = timeout(Duration::from_millis(100), stream.peek(&mut next)).await {
            if read.is_err() || read.is_ok_and(|count| count == 0) {
                return String::new();
            }
            break;
        }
    }
    read_to_end(stream).await
}

#[tokio::test]
async fn otlp_1405_two_lengths_are_bad() {
    let server = Server::start().await;
    let answer = raw(server.http, &format!("{HEAD}content-length: 2\r\ncontent-length: 3\r\n\r\n{{}}")).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    serves(&server).await;
}

#[tokio::test]
async fn otlp_1408_other_protocols_are_closed_and_counted() {
    let server = Server::start().await;
    let tls: &[u8] = b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n";
    let random: Vec<u8> = (0..2_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for address in [server.grpc, server.http] {
        for bytes in [tls, &random] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(bytes).await.unwrap();
            let begin = Instant::now();
            read_to_end(&mut stream).await;
            assert!(begin.elapsed() < Duration::from_secs(8));
        }
    }
    assert_eq!(server.metrics.connections.broken.load(Relaxed), 4);
    serves(&server).await;
}

#[tokio::test]
async fn otlp_1402_an_old_connection_is_ended_and_no_answer_lost() {
    let server = Server::with(|config| config.receiver.max_connection_age = Duration::from_millis(100)).await;
    for way in super::client::WAYS {
        let client =
            super::client::client(if way == Way::Grpc { http::Version::HTTP_2 } else { http::Version::HTTP_11 });
        let begin = Instant::now();
        let mut number = 1_000 * way as u64;
        while begin.elapsed() < Duration::from_millis(1_300) {
            number += 1;
            let call = || Call::new(way, &encode(way, &request(vec![span(number)])));
            let address = if way == Way::Grpc { server.grpc } else { server.http };
            let reply = match call().try_send_to(&client, address).await {
                Ok(reply) => reply,
                // HTTP/1.1 has no word for "no more requests": one may meet the end of its connection, and is sent again.
                Err(_) if way != Way::Grpc => call().send_to(&client, address).await,
                Err(error) => panic!("{way:?}: {error}"),
            };
            assert_eq!(reply.word, Word::Ok);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    assert!(server.metrics.connections.accepted.load(Relaxed) > 3);
}
