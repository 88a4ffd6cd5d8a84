//! Case 1407 of the cases and what surrounds it: more connections than there are places or files, and clients that send
//! half of everything beside those that send all.

use std::fs::File;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::alone::{alone, limit_open_files, open_files, resident_bytes};
use super::client::{Call, Way, Word, encode, request, span};
use super::http2::{DATA, END_HEADERS, END_STREAM, HEADERS, Http2, SETTINGS, call_head, frame};
use super::server::{Server, until};

const GOOD: &str = "POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
    content-length: 2\r\n\r\n{}";

async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

/// The status line of an answer on a connection that stays open, if one comes in time.
async fn ask(stream: &mut TcpStream, patience: Duration) -> Option<String> {
    stream.write_all(GOOD.as_bytes()).await.ok()?;
    answer(stream, patience).await
}

async fn answer(stream: &mut TcpStream, patience: Duration) -> Option<String> {
    let mut came = vec![0; 4_096];
    let count = timeout(patience, stream.read(&mut came)).await.ok()?.ok()?;
    Some(String::from_utf8_lossy(&came[..count]).lines().next().unwrap_or_default().to_owned())
}

const OK: Option<&str> = Some("HTTP/1.1 200 OK");
const AT_ONCE: Duration = Duration::from_secs(5);
const NEVER: Duration = Duration::from_millis(300);

#[tokio::test]
async fn connections_without_a_place_wait_and_idle_ones_make_room() {
    let server = Server::with(|config| {
        config.receiver.max_connections = 4;
        config.receiver.head_timeout = Duration::from_secs(1);
    })
    .await;
    let mut busy = connect(server.http).await;
    assert_eq!(ask(&mut busy, AT_ONCE).await.as_deref(), OK);
    let mut idle = Vec::new();
    for _ in 0..3 {
        idle.push(connect(server.http).await);
    }
    until("all places are taken", || server.metrics.connections.open() == 4).await;
    let mut waiting = connect(server.http).await;
    assert_eq!(ask(&mut waiting, NEVER).await, None);
    assert_eq!(ask(&mut busy, AT_ONCE).await.as_deref(), OK, "who has a place keeps it");
    let begin = Instant::now();
    assert_eq!(answer(&mut waiting, AT_ONCE).await.as_deref(), OK);
    assert!(begin.elapsed() < Duration::from_secs(4));
    assert!(server.metrics.connections.open() <= 4);
    // The other listener has places of its own.
    assert_eq!(super::client::send(&server, Way::Grpc, &request(vec![span(1)])).await.word, Word::Ok);
}

#[test]
fn connections_leave_files_to_the_rest_of_the_process() {
    alone("receiver::tests::crowds::connections_leave_files_to_the_rest_of_the_process", || async {
        limit_open_files(400);
        let server = Server::start().await;
        let mut first = connect(server.http).await;
        assert_eq!(ask(&mut first, AT_ONCE).await.as_deref(), OK);
        let mut crowd = Vec::new();
        for _ in 0..150 {
            crowd.push(connect(server.http).await);
        }
        until("a quarter of the files are connections", || server.metrics.connections.open() == 100).await;
        assert!(File::open("/dev/null").is_ok());
        assert_eq!(server.metrics.connections.accept_failures.load(Relaxed), 0);
        assert_eq!(ask(&mut first, AT_ONCE).await.as_deref(), OK);
        let mut late = connect(server.http).await;
        assert_eq!(ask(&mut late, NEVER).await, None);
        crowd.clear();
        assert_eq!(answer(&mut late, AT_ONCE).await.as_deref(), OK);
    });
}

#[test]
fn otlp_1407_out_of_descriptors_it_accepts_again_once_some_are_free() {
    alone("receiver::tests::crowds::otlp_1407_out_of_descriptors_it_accepts_again_once_some_are_free", || async {
        let server = Server::start().await;
        let mut first = connect(server.http).await;
        assert_eq!(ask(&mut first, AT_ONCE).await.as_deref(), OK);
        limit_open_files(100);
        let mut files = Vec::new();
        while let Ok(file) = File::open("/dev/null") {
            files.push(file);
        }
        // One for the client, none for the server.
        files.pop();
        let mut second = connect(server.http).await;
        assert_eq!(ask(&mut second, NEVER).await, None);
        assert_eq!(ask(&mut first, AT_ONCE).await.as_deref(), OK);
        let failures = server.metrics.connections.accept_failures.load(Relaxed);
        assert!((1..20).contains(&failures), "{failures} tries: it neither gave up nor spun");
        drop(files);
        assert_eq!(answer(&mut second, AT_ONCE).await.as_deref(), OK);
    });
}

/// One connection that never spoke, one that idles after a request over each HTTP.
async fn idlers(server: &Server) -> (TcpStream, TcpStream, Http2) {
    let silent = connect(server.grpc).await;
    let mut http1 = connect(server.http).await;
    assert_eq!(ask(&mut http1, AT_ONCE).await.as_deref(), OK);
    let mut http2 = Http2::connect(server.grpc, &[]).await;
    let body = frame(DATA, END_STREAM, 1, &super::client::frame(0, b""));
    assert!(http2.send(&[frame(HEADERS, END_HEADERS, 1, &call_head()), body].concat()).await);
    until("all of them are open", || server.metrics.connections.open() == 3).await;
    until("all were answered", || server.metrics.requests.load(Relaxed) == 2).await;
    (silent, http1, http2)
}

/// The server ends all of them, and none with an error.
async fn are_ended((mut silent, mut http1, mut http2): (TcpStream, TcpStream, Http2)) {
    let mut rest = Vec::new();
    for stream in [&mut silent, &mut http1] {
        assert_eq!(timeout(AT_ONCE, stream.read_to_end(&mut rest)).await.unwrap().unwrap(), 0);
    }
    assert!(http2.end(AT_ONCE).await.unwrap().iter().all(|code| *code == 0));
}

#[tokio::test]
async fn idle_connections_are_ended() {
    let server = Server::with(|config| config.receiver.idle_timeout = Duration::from_millis(500)).await;
    are_ended(idlers(&server).await).await;
    assert_eq!(server.metrics.connections.broken.load(Relaxed), 0);
}

#[tokio::test]
async fn idle_connections_do_not_delay_the_shutdown() {
    let mut server = Server::start().await;
    let idlers = idlers(&server).await;
    let begin = Instant::now();
    let servers = server.shut_down();
    are_ended(idlers).await;
    futures::future::join_all(servers).await;
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn an_end_that_the_client_does_not_confirm_comes_all_the_same() {
    let server = Server::with(|config| {
        config.receiver.idle_timeout = Duration::from_millis(500);
        config.receiver.drain_timeout = Duration::from_secs(1);
        config.receiver.head_timeout = Duration::from_secs(60);
    })
    .await;
    let mut deaf = connect(server.grpc).await;
    deaf.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    deaf.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    timeout(AT_ONCE, deaf.read_to_end(&mut Vec::new())).await.unwrap().unwrap();
    until("it is counted", || server.metrics.connections.broken.load(Relaxed) == 1).await;
}

/// Good requests until told to stop, with a connection for all of them or for each; how many, and the slowest.
async fn honest(server: &Server, way: Way, is_kept: bool, first: u64, stop: &AtomicBool) -> (u64, Duration) {
    let mut client = super::client::client(Call::new(way, b"").version);
    let (mut count, mut slowest) = (0, Duration::ZERO);
    while !stop.load(Relaxed) || count < 20 {
        let call = Call::new(way, &encode(way, &request(vec![span(first + count)])));
        if !is_kept {
            client = super::client::client(call.version);
        }
        let begin = Instant::now();
        assert_eq!(call.send_with(&client, server).await.word, Word::Ok, "{way:?}");
        slowest = slowest.max(begin.elapsed());
        count += 1;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    (count, slowest)
}

const HEAD: &str = "POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";

async fn idle(server: &Server) -> Vec<TcpStream> {
    let mut idle = Vec::new();
    // Fewer where few files may be open: each takes two, and connections only a quarter.
    let count = open_files().map_or(1_000, |files| 1_000.min(files / 16));
    for number in 0..count {
        idle.push(connect(if number % 2 == 0 { server.grpc } else { server.http }).await);
    }
    until("the idle ones stay", || server.metrics.connections.open() >= count).await;
    idle
}

/// Clients that send a part of a request; what they hold open.
async fn hostile(server: &Server) -> Vec<TcpStream> {
    let mut held = Vec::new();
    for number in 0..60 {
        // Slow: half a head, a head and half a body, half a preface.
        let (address, begin) = match number % 3 {
            0 => (server.http, HEAD.to_owned()),
            1 => (server.http, format!("{HEAD}content-length: 60000\r\n\r\n{{\"resou")),
            _ => (server.grpc, "PRI * HTTP/2.0\r\n".to_owned()),
        };
        let mut slow = connect(address).await;
        slow.write_all(begin.as_bytes()).await.unwrap();
        held.push(slow);
        // Half-closed: a whole request, half of one, nothing.
        let mut half = connect(server.http).await;
        let begin = match number % 3 {
            0 => GOOD.as_bytes(),
            1 => &GOOD.as_bytes()[..GOOD.len() - 1],
            _ => b"",
        };
        half.write_all(begin).await.unwrap();
        half.shutdown().await.unwrap();
        if number % 3 == 0 {
            assert_eq!(answer(&mut half, AT_ONCE).await.as_deref(), OK, "a half-closed client still reads");
        }
        held.push(half);
    }
    for number in 0..200 {
        // Aborted half-way, by a reset.
        let mut aborted = connect(server.http).await;
        let _ = aborted.write_all(format!("{HEAD}content-length: 500000\r\n\r\n").as_bytes()).await;
        let _ = aborted.write_all(&vec![b' '; 1_000 * number]).await;
        let _ = aborted.set_zero_linger();
    }
    held
}

#[test]
fn bad_clients_by_the_thousand_cost_honest_ones_nothing() {
    alone("receiver::tests::crowds::bad_clients_by_the_thousand_cost_honest_ones_nothing", || async {
        let server = Server::with(|config| config.receiver.head_timeout = Duration::from_secs(1)).await;
        honest(&server, Way::Json, true, 0, &AtomicBool::new(true)).await;
        let bytes_before = resident_bytes();
        let idle = idle(&server).await;
        let idle_bytes = resident_bytes().saturating_sub(bytes_before);
        // Both ends of each connection are in this process.
        assert!(idle_bytes < idle.len() * 32 * 1_024, "{idle_bytes} bytes of idle connections");
        let spans_before = server.sink.span_count() as u64;
        let stop = AtomicBool::new(false);
        let bad = async {
            let mut bytes = Vec::new();
            for _ in 0..3 {
                let held = hostile(&server).await;
                until("stalled ones are ended", || server.metrics.connections.open() <= idle.len() as u64 + 4).await;
                bytes.push(resident_bytes());
                drop(held);
            }
            until("nothing is held for bodies that do not come", || server.metrics.in_flight_bytes() < 8_192).await;
            stop.store(true, Relaxed);
            bytes[2].saturating_sub(bytes[0])
        };
        let (grpc, protobuf, json, grown_bytes) = tokio::join!(
            honest(&server, Way::Grpc, true, 1_000_000, &stop),
            honest(&server, Way::Protobuf, true, 2_000_000, &stop),
            honest(&server, Way::Json, false, 3_000_000, &stop),
            bad
        );
        let sent = grpc.0 + protobuf.0 + json.0;
        assert_eq!(server.sink.span_count() as u64 - spans_before, sent);
        let slowest = grpc.1.max(protobuf.1).max(json.1);
        println!("{sent} good requests, the slowest {slowest:?}; {idle_bytes} bytes idle, then {grown_bytes} more");
        assert!(grown_bytes < 48 << 20, "{grown_bytes} bytes more");
        drop(idle);
        until("all connections are given back", || server.metrics.connections.open() <= 3).await;
    });
}
