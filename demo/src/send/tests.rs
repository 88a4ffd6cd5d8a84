use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use prost::Message;
use tokio::net::TcpListener;

use super::fake_server::{FakeServer, Reply, grpc, grpc_ok, http_ok, reply};
use super::status::{Delay, Detail, RetryInfo, RpcStatus};
use super::*;

fn quick() -> Retry {
    Retry { max_tries: 4, initial_backoff: Duration::from_millis(5), ..Retry::default() }
}

fn status(code: i32, message: &str, wait_nanos: Option<i32>) -> RpcStatus {
    let details = wait_nanos.map(|nanos| Detail {
        type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
        value: RetryInfo { retry_delay: Some(Delay { seconds: 0, nanos }) }.encode_to_vec(),
    });
    RpcStatus { code, message: message.to_owned(), details: details.into_iter().collect() }
}

fn grpc_status(code: i32, message: &str, wait_nanos: Option<i32>) -> Reply {
    let details = STANDARD_NO_PAD.encode(status(code, message, wait_nanos).encode_to_vec());
    let message = message.replace(' ', "%20");
    let trailers = [("grpc-status", code.to_string()), ("grpc-message", message), ("grpc-status-details-bin", details)];
    grpc(&trailers, Vec::new())
}

fn partial(rejected_spans: i64, error_message: &str) -> Vec<u8> {
    let partial_success = ExportTracePartialSuccess { rejected_spans, error_message: error_message.to_owned() };
    ExportTraceServiceResponse { partial_success: Some(partial_success) }.encode_to_vec()
}

fn request() -> ExportTraceServiceRequest {
    let config = crate::shop::Config { spans: Some(40), ..Default::default() };
    let exports: Vec<_> = crate::export::requests(config).unwrap().collect();
    ExportTraceServiceRequest { resource_spans: exports.into_iter().flat_map(|e| e.request.resource_spans).collect() }
}

/// The answers lead to `expected` (its text, or `ok`) after so many requests.
async fn check(transport: Transport, script: Vec<fn() -> Reply>, expected: &str, requests: usize) -> FakeServer {
    let server = FakeServer::start(script).await;
    let outcome = server.client(transport, quick()).send(&request(), Compression::None).await;
    let text = match &outcome {
        Ok(accepted) => format!("ok, {} rejected, {}", accepted.rejected_spans, accepted.message),
        Err(error) => format!("{} {error}", if error.is_retryable() { "later:" } else { "never:" }),
    };
    assert!(text.contains(expected), "expected {expected:?}, got {text:?}");
    assert_eq!(server.requests(), requests, "{text}");
    server
}

#[tokio::test]
async fn every_compression_arrives_whole_over_both_transports() {
    for transport in [Transport::Http, Transport::Grpc] {
        let ok = if transport == Transport::Http { http_ok } else { grpc_ok };
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let server = FakeServer::start(vec![ok]).await;
            let sent = request();
            server.client(transport, quick()).send(&sent, compression).await.unwrap();
            let seen = server.seen.lock().unwrap();
            let mut body = seen[0].body.to_vec();
            let header = if transport == Transport::Http { "content-encoding" } else { "grpc-encoding" };
            assert_eq!(seen[0].headers.get(header).map(|value| value.to_str().unwrap()), compression.name());
            if transport == Transport::Grpc {
                assert_eq!(seen[0].path, "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
                assert_eq!(seen[0].headers["te"], "trailers");
                assert_eq!(body[0], u8::from(compression != Compression::None));
                assert_eq!(u32::from_be_bytes(body[1..5].try_into().unwrap()) as usize, body.len() - 5);
                body.drain(..5);
            } else {
                assert_eq!(seen[0].path, "/v1/traces");
                assert_eq!(seen[0].headers["content-type"], "application/x-protobuf");
            }
            let mut plain = Vec::new();
            match compression {
                Compression::None => plain = body,
                Compression::Gzip => {
                    flate2::read::GzDecoder::new(&*body).read_to_end(&mut plain).unwrap();
                }
                Compression::Zstd => plain = zstd::decode_all(&*body).unwrap(),
            }
            assert_eq!(ExportTraceServiceRequest::decode(&*plain).unwrap(), sent);
        }
    }
}

#[tokio::test]
async fn partial_success_is_reported_and_not_retried() {
    let body = || reply(200, &[("content-type", "application/x-protobuf")], partial(3, "invalid_span_id: 3"));
    check(Transport::Http, vec![body], "ok, 3 rejected, invalid_span_id: 3", 1).await;
    let json = || {
        let body = br#"{"partialSuccess":{"rejectedSpans":"2","errorMessage":"no id"}}"#.to_vec();
        reply(200, &[("content-type", "application/json")], body)
    };
    check(Transport::Http, vec![json], "ok, 2 rejected, no id", 1).await;
    let trailers = || grpc(&[("grpc-status", "0".to_owned())], partial(0, "only a warning"));
    check(Transport::Grpc, vec![trailers], "ok, 0 rejected, only a warning", 1).await;
}

#[tokio::test]
async fn passing_states_are_retried_until_they_pass() {
    let busy: [fn() -> Reply; 4] = [
        || reply(429, &[], Vec::new()),
        || reply(502, &[], Vec::new()),
        || reply(503, &[], Vec::new()),
        || reply(504, &[], Vec::new()),
    ];
    for busy in busy {
        check(Transport::Http, vec![busy, busy, http_ok], "ok", 3).await;
    }
    let away: fn() -> Reply = || grpc_status(14, "draining", None);
    let slow: fn() -> Reply = || grpc_status(8, "too many bytes in flight", Some(1_000_000));
    check(Transport::Grpc, vec![away, slow, grpc_ok], "ok", 3).await;
}

#[tokio::test]
async fn tries_are_bounded_and_the_servers_words_survive() {
    let busy = || reply(503, &[], status(14, "disk is almost full", None).encode_to_vec());
    check(Transport::Http, vec![busy], "later: http://127.0.0.1", 4).await;
    check(Transport::Http, vec![busy], "after 4 tries: 503 Service Unavailable: disk is almost full", 4).await;
    let busy = || grpc_status(14, "disk is almost full", None);
    check(Transport::Grpc, vec![busy], "after 4 tries: UNAVAILABLE: disk is almost full", 4).await;
}

#[tokio::test]
async fn permanent_errors_are_not_retried() {
    let bad = || reply(400, &[], status(3, "truncated at byte 7", None).encode_to_vec());
    check(Transport::Http, vec![bad], "refused it: 400 Bad Request: truncated at byte 7", 1).await;
    let bad = || reply(400, &[("content-type", "application/json")], br#"{"code":3,"message":"bad id"}"#.to_vec());
    check(Transport::Http, vec![bad], "never: ", 1).await;
    check(Transport::Http, vec![|| reply(413, &[], Vec::new())], "413 Payload Too Large", 1).await;
    check(Transport::Http, vec![|| reply(500, &[], b"oops".to_vec())], "500 Internal Server Error: oops", 1).await;
    check(Transport::Grpc, vec![|| grpc_status(3, "bad id", None)], "never: ", 1).await;
    check(Transport::Grpc, vec![|| grpc_status(8, "too large", None)], "RESOURCE_EXHAUSTED: too large", 1).await;
    check(Transport::Grpc, vec![|| reply(404, &[], Vec::new())], "is this the gRPC port?", 1).await;
}

#[tokio::test]
async fn a_status_in_the_headers_counts_too() {
    let only_headers = || reply(200, &[("grpc-status", "12"), ("grpc-message", "traces%20only")], Vec::new());
    check(Transport::Grpc, vec![only_headers], "UNIMPLEMENTED: traces only", 1).await;
}

async fn check_wait(transport: Transport, script: Vec<fn() -> Reply>, wait: Duration) {
    let server = check(transport, script, "ok", 2).await;
    let seen = server.seen.lock().unwrap();
    let waited = seen[1].at - seen[0].at;
    assert!(waited >= wait, "{waited:?} instead of {wait:?}");
}

#[tokio::test]
async fn the_wait_that_a_server_asks_for_is_kept() {
    let second = Duration::from_secs(1);
    check_wait(Transport::Http, vec![|| reply(429, &[("retry-after", "1")], Vec::new()), http_ok], second).await;
    let wait = Duration::from_millis(300);
    check_wait(Transport::Grpc, vec![|| grpc_status(8, "slow down", Some(300_000_000)), grpc_ok], wait).await;
    let body = || reply(503, &[], status(14, "slow down", Some(300_000_000)).encode_to_vec());
    check_wait(Transport::Http, vec![body, http_ok], wait).await;
}

#[tokio::test]
async fn a_wait_beyond_our_patience_ends_the_tries_at_once() {
    let server = FakeServer::start(vec![|| reply(503, &[("retry-after", "3000")], Vec::new())]).await;
    let error = server.client(Transport::Http, quick()).send(&request(), Compression::None).await;
    assert!(matches!(error, Err(Error::Overloaded { tries: 1, .. })), "{error:?}");
}

#[tokio::test]
async fn an_absent_server_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    for transport in [Transport::Http, Transport::Grpc] {
        let client =
            Client::new(Endpoint::parse(&address, transport).unwrap(), Config { retry: quick(), ..Config::default() });
        let error = client.send(&request(), Compression::None).await.unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::Unreachable { tries: 4, .. }), "{error:?}");
        assert!(text.contains(&address) && text.contains("refused"), "{text}");
    }
}

#[tokio::test]
async fn a_server_that_never_answers_is_left_alone_after_the_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let config = Config { timeout: Duration::from_millis(80), retry: Retry::never(), jitter_seed: 0 };
    let client = Client::new(Endpoint::parse(&address, Transport::Http).unwrap(), config);
    let error = client.send(&request(), Compression::None).await.unwrap_err();
    assert!(error.to_string().contains("no answer within 80ms"), "{error}");
    drop(listener);
}

#[tokio::test]
async fn connections_are_reused() {
    for (transport, ok) in [(Transport::Http, http_ok as fn() -> Reply), (Transport::Grpc, grpc_ok)] {
        let server = FakeServer::start(vec![ok]).await;
        let client = server.client(transport, quick());
        for _ in 0..5 {
            client.send(&request(), Compression::None).await.unwrap();
        }
        let seen = server.seen.lock().unwrap();
        assert!(seen.iter().all(|request| request.peer == seen[0].peer), "{transport:?}");
    }
}
