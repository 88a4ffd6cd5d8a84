//! The answers, and what is remembered of them.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use super::server::Server;
use crate::remote::{Head, Ledger, LedgerConfig, Outcome, Transport};

pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn json(&self) -> Value {
        assert_eq!((self.status, &self.headers["content-type"]), (200, &"application/json".parse().unwrap()));
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A request over HTTP, with further headers.
pub async fn ask(server: &Server, method: Method, target: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let mut request = Request::builder().method(method).uri(format!("http://{}{target}", server.http));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = client.request(request.body(Full::new(Bytes::from(body.to_owned()))).unwrap()).await.unwrap();
    let (head, body) = response.into_parts();
    Reply { status: head.status.as_u16(), headers: head.headers, body: body.collect().await.unwrap().to_bytes() }
}

pub async fn get(server: &Server, target: &str) -> Reply {
    ask(server, Method::GET, target, &[], "").await
}

fn own(answer: &Value) -> Option<f64> {
    let operations = answer["operationSampling"]["perOperationStrategies"].as_array().unwrap();
    let found = operations.iter().find(|one| one["operation"] == "GET /cart");
    found.map(|one| one["probabilisticSampling"]["samplingRate"].as_f64().unwrap())
}

#[tokio::test]
async fn every_path_answers_and_so_does_a_post() {
    let server = Server::start().await;
    server.publish(10_000.0);
    let first = get(&server, "/sampling?service=cart").await;
    assert_eq!(own(&first.json()), Some(0.2));
    for target in ["/?service=cart", "/api/sampling?service=cart", "/any/where?x=y&service=c%61rt"] {
        assert_eq!(get(&server, target).await.body, first.body, "{target}");
    }
    let path = "/api/v2/samplingStrategy";
    assert_eq!(get(&server, &format!("{path}?service=cart")).await.body, first.body);
    let posted = ask(&server, Method::POST, path, &[], r#"{"serviceName":"cart"}"#).await;
    assert_eq!(posted.json(), first.json());
    let other = get(&server, "/sampling?service=other").await.json();
    assert_eq!((own(&other), &other["probabilisticSampling"]["samplingRate"]), (None, &1.into()));
    assert_eq!(server.polls(Transport::Http, Outcome::Served), 7);
}

#[tokio::test]
async fn without_a_budget_everything_is_kept() {
    let server = Server::keeping_all().await;
    server.publish(1e9);
    let expected = r#"{"strategyType":"PROBABILISTIC","probabilisticSampling":{"samplingRate":1},"operationSampling":{"defaultSamplingProbability":1,"defaultLowerBoundTracesPerSecond":0,"defaultUpperBoundTracesPerSecond":0,"perOperationStrategies":[]}}"#;
    assert_eq!(get(&server, "/sampling?service=cart").await.text(), expected);
    assert_eq!(server.head("GET /cart"), Head::Known(1.0));
}

#[tokio::test]
async fn a_load_is_thinned_at_once_and_let_back_in_step_by_step() {
    let server = Server::start().await;
    let mut told = Vec::new();
    for (seconds, spans_per_second) in
        [(0, 100.0), (60, 10_000.0), (60, 40_000.0), (60, 100.0), (10, 100.0), (10, 100.0), (50, 100.0)]
    {
        server.pass_seconds(seconds);
        server.publish(spans_per_second);
        let answer = get(&server, "/sampling?service=cart").await.json();
        told.push(own(&answer).unwrap_or(1.0));
    }
    let rounded: Vec<_> = told.iter().map(|own| (own * 1e6).round() / 1e6).collect();
    // Of the two short of each other the second may come from an instance that polled before the first.
    assert_eq!(rounded, [1.0, 0.2, 0.05, 0.075, 0.1125, 0.1125, 0.16875]);
}

#[tokio::test]
async fn what_was_told_is_remembered() {
    let server = Server::start().await;
    assert_eq!(server.head("GET /cart"), Head::Unserved);
    server.publish(10_000.0);
    get(&server, "/sampling?service=cart").await;
    let remembered = [&server.metrics.ledger_services, &server.metrics.ledger_probabilities];
    assert_eq!(remembered.map(|count| count.load(Ordering::Relaxed)), [1, 2]);
    // Some of its instances have not polled yet.
    server.pass_seconds(30);
    assert_eq!(server.head("GET /cart"), Head::Between { lowest: 0.2, highest: 1.0 });
    server.pass_seconds(60);
    assert_eq!((server.head("GET /cart"), server.head("POST /cart")), (Head::Known(0.2), Head::Known(1.0)));
    get(&server, "/sampling?service=cart").await;
    server.publish(20_000.0);
    server.pass_seconds(30);
    get(&server, "/sampling?service=cart").await;
    assert_eq!(server.head("GET /cart"), Head::Between { lowest: 0.1, highest: 0.2 });
    server.pass_seconds(66);
    assert_eq!(server.head("GET /cart"), Head::Known(0.1));
}

#[tokio::test]
async fn an_answer_that_is_known_is_not_sent_again() {
    let server = Server::start().await;
    let target = "/sampling?service=cart";
    let first = get(&server, target).await;
    let tag = first.headers["etag"].to_str().unwrap().to_owned();
    for method in [Method::GET, Method::HEAD] {
        let again = ask(&server, method, target, &[("if-none-match", &tag)], "").await;
        assert_eq!((again.status, again.body.len(), &again.headers["etag"]), (304, 0, &tag.parse().unwrap()));
    }
    assert_eq!(server.polls(Transport::Http, Outcome::Unchanged), 2);
    // It counts as told all the same.
    server.publish(10_000.0);
    let changed = ask(&server, Method::GET, target, &[("if-none-match", &tag)], "").await;
    assert_eq!((changed.status, own(&changed.json())), (200, Some(0.2)));
    assert_ne!(changed.headers["etag"], first.headers["etag"]);
    let head = ask(&server, Method::HEAD, target, &[], "").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[tokio::test]
async fn a_strategy_is_on_disk_before_it_is_served() {
    let server = Server::start().await;
    let known = |server: &Server| {
        let bytes = server.written.bytes.lock().unwrap().clone();
        let now = storage::model::UnixNanos(1_800_000_300_000_000_000);
        Ledger::restore(LedgerConfig::default(), &bytes, now).map(|ledger| ledger.head("cart", "GET /cart", now))
    };
    assert_eq!(get(&server, "/sampling?service=cart").await.status, 200);
    assert!(server.written.bytes.lock().unwrap().is_empty(), "who keeps everything needs no entry");
    server.publish(10_000.0);
    server.written.fails.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        let refused = get(&server, "/sampling?service=cart").await;
        assert_eq!(refused.status, 503, "{}", refused.text());
    }
    for _ in 0..20 {
        server.pass_seconds(10);
        assert_eq!(server.head("GET /cart"), Head::Known(1.0), "nobody was told anything else");
    }
    assert!(server.written.bytes.lock().unwrap().is_empty());
    server.written.fails.store(false, Ordering::SeqCst);
    let told = get(&server, "/sampling?service=cart").await;
    assert_eq!(own(&told.json()), Some(0.2));
    assert_eq!(known(&server).unwrap(), Head::Known(0.2));
    // What is told again is not written again.
    server.written.bytes.lock().unwrap().clear();
    assert_eq!(get(&server, "/sampling?service=cart").await.body, told.body);
    assert!(server.written.bytes.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_disk_counts_though_the_client_has_left() {
    let server = Server::start().await;
    server.publish(10_000.0);
    let disk = server.written.waits.lock().await;
    let poll = get(&server, "/sampling?service=cart");
    let waited = std::time::Duration::from_millis(300);
    assert!(tokio::time::timeout(waited, poll).await.is_err(), "answered before it was written");
    assert_eq!(server.head("GET /cart"), Head::Unserved);
    drop(disk);
    let begun = std::time::Instant::now();
    while server.head("GET /cart") == Head::Unserved {
        assert!(begun.elapsed().as_secs() < 10, "what was written was never in the ledger");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert!(!server.written.bytes.lock().unwrap().is_empty());
}
