//! The API through its router, over spans in memory and in a segment.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use query::testing::{TestSource, TestSpan};
use query::{Config as QueryConfig, Engine, UnixNanos};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::control::{
    Compacted, Compaction, ControlError, Expired, Expiring, Flushed, Ingest, Memory, Retention, SamplingPolicy,
    ServerControl, Status, Wal,
};
use crate::otlp::{OtlpEncoder, OtlpForm};
use crate::{Config, router};

struct Control;

#[async_trait]
impl ServerControl for Control {
    fn status(&self) -> Status {
        Status {
            version: "0.1.0".to_owned(),
            started_at: UnixNanos(1),
            now: UnixNanos(i64::MAX),
            ready: false,
            data_dir: "data".to_owned(),
            listeners: Vec::new(),
            ingest: Ingest::default(),
            memory: Memory::default(),
            wal: Wal::default(),
            tables: Vec::new(),
            compaction: Compaction::default(),
            retention: Expired::default(),
            hints: Vec::new(),
            alarms: Vec::new(),
        }
    }

    async fn flush(&self) -> Result<Flushed, ControlError> {
        Ok(Flushed { epoch: 7, spans: 3, ..Flushed::default() })
    }

    async fn compact(&self, to_the_end: bool) -> Result<Compacted, ControlError> {
        Ok(Compacted { merges: if to_the_end { 5 } else { 2 }, ..Compacted::default() })
    }

    async fn retention(&self) -> Result<Retention, ControlError> {
        let expiring = Expiring { table: "spans".to_owned(), why: "max_age".to_owned(), ..Expiring::default() };
        let rules = vec!["rule 1 (service checkout, 90 d)".to_owned()];
        let unread = vec!["segment 1 is damaged".to_owned()];
        Ok(Retention { max_age_seconds: Some(60), max_bytes: None, rules, expiring: vec![expiring], unread })
    }

    fn metrics(&self) -> String {
        "spanhouse_up 1\n".to_owned()
    }

    fn sampling(&self) -> SamplingPolicy {
        SamplingPolicy { revision: 3, policy: json!({"diversity": 0.1}) }
    }

    async fn set_sampling(&self, policy: Value) -> Result<SamplingPolicy, ControlError> {
        match policy.get("diversity").and_then(Value::as_f64) {
            Some(_) => Ok(SamplingPolicy { revision: 4, policy }),
            None => Err(ControlError::Refused("diversity must be a number".to_owned())),
        }
    }

    async fn preview_sampling(&self, _: Value) -> Result<Value, ControlError> {
        Ok(json!({"kept": 1}))
    }
}

/// Says what it was given.
struct Encoder;

impl OtlpEncoder for Encoder {
    fn encode(&self, trace: &query::trace::TraceRows, form: OtlpForm) -> Result<Vec<u8>, ControlError> {
        let spans: usize = trace.batches.iter().map(|batch| batch.num_rows()).sum();
        Ok(format!("{form:?} {} {spans} {:?}", trace.trace_id, trace.head_count).into_bytes())
    }
}

const T1: &str = "abababababababab0000000000000001";

async fn api() -> Router {
    let memory = vec![
        TestSpan::new(1, 1, None)
            .name("GET /")
            .times(1_700_000_000_000_000_001, 5_000)
            .attribute("big", i64::MAX)
            .attribute("text", "a \"quote\", and a comma")
            .event("note", &[("n", 1.into())]),
        TestSpan::new(1, 2, Some(1))
            .service("db")
            .name("SELECT")
            .times(1_700_000_000_000_001_000, 1_000)
            .error()
            .event("exception", &[("exception.type", "Timeout".into())]),
    ];
    let segment = vec![TestSpan::new(2, 3, None).name("other").attribute("ratio", f64::NAN)];
    let source = TestSource::new(&memory, &[segment]).await;
    let engine = Engine::new(QueryConfig { threads: 1, ..QueryConfig::default() }, source).unwrap();
    router(
        Arc::new(engine),
        Arc::new(Control),
        Arc::new(Encoder),
        Config { host_names: vec!["traces.example".to_owned()], ..Config::default() },
    )
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).header(header::HOST, "localhost:7317").body(Body::empty()).unwrap()
}

fn post(path: &str, body: &Value) -> Request<Body> {
    Request::post(path)
        .header(header::HOST, "localhost:7317")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))
        .unwrap()
}

async fn send(request: Request<Body>) -> Response<Body> {
    api().await.oneshot(request).await.unwrap()
}

async fn bytes(response: Response<Body>) -> Vec<u8> {
    response.into_body().collect().await.unwrap().to_bytes().to_vec()
}

async fn json_of(request: Request<Body>) -> (StatusCode, Value) {
    let response = send(request).await;
    let status = response.status();
    let body = bytes(response).await;
    (status, serde_json::from_slice(&body).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&body))))
}

async fn sql(query: &str) -> (StatusCode, Value) {
    json_of(post("/api/sql", &json!({"query": query}))).await
}

#[tokio::test]
async fn sql_answers_json_that_loses_nothing() {
    let (status, body) = sql(
        "SELECT trace_id, start_time, duration_ns, attributes['big']::bigint AS big, attributes, is_root, depth, events \
         FROM spans WHERE span_name = 'GET /'",
    )
    .await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(
        body["columns"],
        json!([
            {"name": "trace_id", "type": "id"},
            {"name": "start_time", "type": "timestamp"},
            {"name": "duration_ns", "type": "bigint"},
            {"name": "big", "type": "bigint"},
            {"name": "attributes", "type": "attributes"},
            {"name": "is_root", "type": "boolean"},
            {"name": "depth", "type": "int"},
            {"name": "events", "type": "list<struct<time timestamp, time_nanos int, name text, attributes attributes>>"},
        ])
    );
    assert_eq!(
        body["rows"],
        json!([[
            T1,
            "2023-11-14T22:13:20.000000Z",
            5000,
            "9223372036854775807",
            {"big": "9223372036854775807", "text": "a \"quote\", and a comma"},
            true,
            0,
            [{"time": "2023-11-14T22:13:20.000000Z", "time_nanos": 6, "name": "note", "attributes": {"n": 1}}],
        ]])
    );
    assert_eq!(body["truncated"], json!(false));
    assert!(body["stats"]["ms"].as_f64().unwrap() > 0.0, "{body}");
    let (_, body) =
        sql("SELECT attributes['ratio']::double, NULL, 1.5, 'a''b' FROM spans WHERE span_name = 'other'").await;
    assert_eq!(body["rows"], json!([["NaN", null, 1.5, "a'b"]]));
    assert_eq!(body["stats"]["segments_total"], json!(1), "{body}");
    assert_eq!(body["stats"]["segments_scanned"], json!(1), "{body}");
}

#[tokio::test]
async fn parameters_and_limits_are_taken() {
    let body = json!({"query": "SELECT span_name FROM spans WHERE trace_id = $1 AND duration_ns > $2 ORDER BY 1",
        "parameters": [T1.to_uppercase(), -1], "limit": 1});
    let (status, body) = json_of(post("/api/sql", &body)).await;
    assert_eq!((status, &body["rows"], &body["truncated"]), (StatusCode::OK, &json!([["GET /"]]), &json!(true)));
    let (status, body) = json_of(post("/api/sql", &json!({"query": "SELECT $1", "parameters": [[1]]}))).await;
    assert_eq!((status, &body["error"]["code"]), (StatusCode::BAD_REQUEST, &json!("bad_query")));
}

#[tokio::test]
async fn csv_and_arrow_stream_the_same_rows() {
    let query = "SELECT span_name, attributes['text'] AS t, status_message FROM spans ORDER BY span_name";
    let response = send(post("/api/sql", &json!({"query": query, "format": "csv"}))).await;
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/csv; charset=utf-8");
    let text = String::from_utf8(bytes(response).await).unwrap();
    assert_eq!(
        text,
        "span_name,t,status_message\r\nGET /,\"a \"\"quote\"\", and a comma\",\r\nSELECT,,\r\nother,,\r\n"
    );
    let response =
        send(post("/api/sql", &json!({"query": "SELECT trace_id, attributes FROM spans", "format": "arrow"}))).await;
    assert_eq!(response.headers()[header::CONTENT_TYPE], super::ARROW);
    let body = bytes(response).await;
    let reader = arrow::ipc::reader::StreamReader::try_new(body.as_slice(), None).unwrap();
    let batches: Vec<_> = reader.map(Result::unwrap).collect();
    assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 3);
    assert_eq!(batches[0].column(0).data_type(), &arrow::datatypes::DataType::Utf8);
    // No rows still have columns.
    let none = json!({"query": "SELECT span_name FROM spans WHERE false", "format": "csv"});
    assert_eq!(bytes(send(post("/api/sql", &none)).await).await, b"span_name\r\n");
}

#[tokio::test]
async fn errors_have_a_code_a_message_and_a_place() {
    for (query, status, code, message, position) in [
        ("SELEC 1", 400, "bad_query", "expected", json!({"line": 1, "column": 1})),
        (
            "SELECT\n nothing FROM spans",
            400,
            "bad_query",
            "there is no column nothing",
            json!({"line": 2, "column": 2}),
        ),
        ("DROP TABLE spans", 400, "bad_query", "DROP is not allowed", Value::Null),
        ("SELECT 1 FROM spans WHERE trace_id = 'abc'", 400, "bad_query", "which is not 32 hex digits", Value::Null),
    ] {
        let (got, body) = sql(query).await;
        assert_eq!((got.as_u16(), body["error"]["code"].as_str().unwrap()), (status, code), "{query}: {body}");
        assert!(body["error"]["message"].as_str().unwrap().contains(message), "{query}: {body}");
        assert_eq!(body["error"]["position"], position, "{query}: {body}");
    }
    let (status, body) = json_of(get("/api/nothing")).await;
    assert_eq!((status, &body["error"]["code"]), (StatusCode::NOT_FOUND, &json!("not_found")));
    let (status, _) = json_of(get("/api/sql")).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    let (status, body) = json_of(post("/api/sql", &json!({"quary": "SELECT 1"}))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
}

#[tokio::test]
async fn a_trace_comes_as_json_and_as_arrow() {
    let (status, body) = json_of(get(&format!("/api/spanhouse/traces/{T1}"))).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    for (key, value) in [
        ("trace_id", json!(T1)),
        ("start", json!("1700000000000000001")),
        ("duration_ns", json!(5000)),
        ("span_count", json!(2)),
        ("error_count", json!(1)),
        ("services", json!(["db", "shop"])),
        ("root_name", json!("GET /")),
        ("complete", json!(true)),
        ("missing_parents", json!(0)),
        ("truncated", json!(false)),
        ("keep_reason", json!("all")),
    ] {
        assert_eq!(body[key], value, "{key}: {body}");
    }
    assert_eq!(body["spans"][1]["parent_span_id"], json!("cd00000000000001"));
    assert_eq!(body["spans"][1]["depth"], json!(1));
    assert_eq!(body["spans"][0]["has_events"], json!(1));
    assert_eq!([0, 1].map(|row| body["spans"][row]["exception_type"].clone()), [json!(null), json!("Timeout")]);
    let mut request = get(&format!("/api/spanhouse/traces/{T1}"));
    request.headers_mut().insert(header::ACCEPT, super::ARROW.parse().unwrap());
    let response = send(request).await;
    assert_eq!(response.headers()["x-spanhouse-span-count"], "2");
    let body = bytes(response).await;
    let mut reader = arrow::ipc::reader::StreamReader::try_new(body.as_slice(), None).unwrap();
    let facts: Value = serde_json::from_str(&reader.schema().metadata()["spanhouse.trace"]).unwrap();
    assert_eq!(facts["span_count"], json!(2));
    let spans = reader.next().unwrap().unwrap();
    let exceptions = spans.column_by_name("exception_type").unwrap();
    assert_eq!((spans.num_rows(), exceptions.null_count()), (2, 1));
    let unknown = get("/api/spanhouse/traces/ffffffffffffffffffffffffffffffff");
    assert_eq!(json_of(unknown).await.0, StatusCode::NOT_FOUND);
    let (status, body) = json_of(get("/api/spanhouse/traces/xyz")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
}

/// A trace that was kept for many, and one that was dropped.
async fn sampled(request: Request<Body>) -> Value {
    let spans = vec![
        TestSpan::new(1, 1, None).times(1_700_000_000_000_000_000, 700).class("slow").weight(12.25),
        TestSpan::new(2, 2, None).times(1_700_000_000_000_001_000, 900).class("normal").weight(0.0).dropped(),
    ];
    let source = TestSource::new(&[], &[spans]).await;
    let engine = Engine::new(QueryConfig { threads: 1, ..QueryConfig::default() }, source).unwrap();
    let router = router(Arc::new(engine), Arc::new(Control), Arc::new(Encoder), Config::default());
    serde_json::from_slice(&bytes(router.oneshot(request).await.unwrap()).await).unwrap()
}

#[tokio::test]
async fn traces_say_what_sampling_decided() {
    let body = sampled(post("/api/spanhouse/query/list", &json!({"rows": "traces"}))).await;
    let decided = |row: usize| {
        let row = &body["rows"][row];
        json!([row["kept"], row["class"], row["adjusted_count"], row["head_count"]])
    };
    assert_eq!(decided(0), json!([false, "normal", 0.0, 1.0]), "{body}");
    assert_eq!(decided(1), json!([true, "slow", 12.25, 1.0]), "{body}");
    // A dropped trace is its digest, not unknown.
    let body = sampled(get("/api/spanhouse/traces/abababababababab0000000000000002")).await;
    for (key, value) in [
        ("kept", json!(false)),
        ("class", json!("normal")),
        ("adjusted_count", json!(0.0)),
        ("policy_revision", json!(0)),
        ("duration_ns", json!(900)),
        ("span_count", json!(1)),
        ("spans", json!([])),
    ] {
        assert_eq!(body[key], value, "{key}: {body}");
    }
}

#[tokio::test]
async fn a_trace_that_lost_spans_to_retention_is_not_exact() {
    let span = |trace, span, parent| TestSpan::new(trace, span, parent);
    // In the test's source what is not kept is counted by the digest alone.
    let spans = vec![span(1, 1, None), span(1, 2, Some(1)), span(2, 3, None), span(2, 4, Some(3)).dropped()];
    let dropped = vec![span(3, 5, None).dropped()];
    let others = vec![span(4, 6, None), span(4, 7, Some(6))];
    let late = vec![span(3, 8, Some(5)), span(4, 9, Some(6))];
    let all = TestSource::new(&[], &[spans, dropped, others, late]).await;
    let before = all.without(&[3], &[3]);
    let ask = async |source: Arc<TestSource>, trace: u64| -> Value {
        let engine = Engine::new(QueryConfig { threads: 1, ..QueryConfig::default() }, source).unwrap();
        let router = router(Arc::new(engine), Arc::new(Control), Arc::new(Encoder), Config::default());
        let request = get(&format!("/api/spanhouse/traces/{}", query::testing::trace_id(trace)));
        let body: Value = serde_json::from_slice(&bytes(router.oneshot(request).await.unwrap()).await).unwrap();
        json!([body["span_count"], body["missing_spans"], body["exact"]])
    };
    assert_eq!(ask(Arc::clone(&all), 1).await, json!([2, 0, true]));
    assert_eq!(ask(Arc::clone(&all), 2).await, json!([1, 1, false]));
    assert_eq!(ask(Arc::clone(&before), 3).await, json!([1, 0, true]), "its digest is all there ever was");
    assert_eq!(ask(Arc::clone(&before), 4).await, json!([2, 0, true]));
    assert_eq!(ask(all.without(&[0], &[]), 1).await, json!([2, 2, false]), "nothing of it is left");
    assert_eq!(ask(before.without(&[], &[2]), 4).await, json!([2, null, false]), "it outlives its digest");
    // Of late spans there is no digest while the trace is remembered.
    assert_eq!(ask(all.without(&[], &[3]), 4).await, json!([3, 0, true]));
    assert_eq!(ask(all.without(&[], &[3]).thinned(), 4).await, json!([3, null, false]), "any of them may be gone");
    assert_eq!(ask(all.without(&[2], &[3]), 4).await, json!([1, 1, false]), "at least one");
    assert_eq!(
        ask(all.without(&[], &[3]).thinned(), 3).await,
        json!([1, null, false]),
        "late spans of a dropped trace"
    );
    // Later they have one of their own.
    assert_eq!(ask(Arc::clone(&all), 4).await, json!([3, 0, true]));
    assert_eq!(ask(all.without(&[2], &[]), 4).await, json!([1, 2, false]));
    assert_eq!(ask(Arc::clone(&all), 3).await, json!([1, 0, true]));
}

#[tokio::test]
async fn a_span_comes_with_its_attributes_and_events() {
    let (status, body) = json_of(get(&format!("/api/spanhouse/traces/{T1}/spans/cd00000000000001"))).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(body["attributes"], json!({"big": "9223372036854775807", "text": "a \"quote\", and a comma"}));
    assert_eq!(body["events"], json!([{"time": "1700000000000000006", "name": "note", "attributes": {"n": 1}}]));
    assert_eq!(body["scope"], json!({"name": "test", "version": null}));
    let missing = get(&format!("/api/spanhouse/traces/{T1}/spans/cd00000000000009"));
    assert_eq!(json_of(missing).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn searches_and_catalogues_answer() {
    let list = json!({"from": "1700000000000000000", "rows": "traces", "limit": 10,
        "filter": {"and": [{"field": "service_name", "op": "=", "value": "db"}, {"not": {"attribute": "x", "op": "exists"}}]}});
    let (status, body) = json_of(post("/api/spanhouse/query/list", &list)).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(body["rows"][0]["trace_id"], json!(T1), "{body}");
    assert_eq!(body["rows"][0]["matched_span_id"], json!("cd00000000000002"));
    assert_eq!(body["cursor"], Value::Null);
    let (status, body) =
        json_of(post("/api/spanhouse/query/list", &json!({"filter": {"field": "nope", "op": "="}}))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(body["error"]["message"].as_str().unwrap().contains("there is no field nope"), "{body}");
    let (_, body) = json_of(get("/api/spanhouse/services?from=1")).await;
    assert_eq!(
        body["services"],
        json!([{"name": "db", "spans": 1, "operations": 1, "errors": 1}, {"name": "shop", "spans": 2, "operations": 2, "errors": 0}])
    );
    let (_, body) = json_of(get("/api/spanhouse/operations?service=db")).await;
    assert_eq!(body["operations"], json!([{"name": "SELECT", "kind": "server", "spans": 1}]));
    let (_, body) = json_of(get("/api/spanhouse/attributes?prefix=b")).await;
    assert_eq!(
        body["attributes"],
        json!([{"key": "big", "scope": "span", "type": "int", "spans": 1, "values": ["9223372036854775807"]}])
    );
    let (_, body) = json_of(get("/api/spanhouse/schema")).await;
    assert!(body["tables"].as_array().unwrap().iter().any(|table| table["name"] == "spans"), "{body}");
    assert!(body["functions"].as_array().unwrap().len() > 100);
}

#[tokio::test]
async fn the_server_tells_of_itself() {
    let (_, body) = json_of(get("/api/spanhouse/status")).await;
    assert_eq!((&body["started_at"], &body["now"]), (&json!("1"), &json!("9223372036854775807")));
    let request =
        Request::post("/api/spanhouse/flush").header(header::HOST, "127.0.0.1:7317").body(Body::empty()).unwrap();
    assert_eq!(json_of(request).await.1["epoch"], json!(7));
    assert_eq!(bytes(send(get("/healthz")).await).await, b"ok");
    assert_eq!(send(get("/readyz")).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(bytes(send(get("/metrics")).await).await, b"spanhouse_up 1\n");
}

#[tokio::test]
async fn only_named_hosts_and_the_own_page_are_answered() {
    for (host, allowed) in [
        ("localhost", true),
        ("LOCALHOST:7317", true),
        ("127.0.0.1:1", true),
        ("[::1]:7317", true),
        ("traces.example:80", true),
        ("evil.example", false),
        ("127.0.0.1.evil.example", false),
        ("localhost.evil.example:7317", false),
        ("", false),
    ] {
        let request = Request::get("/healthz").header(header::HOST, host).body(Body::empty()).unwrap();
        let status = send(request).await.status();
        assert_eq!(status, if allowed { StatusCode::OK } else { StatusCode::FORBIDDEN }, "{host}");
    }
    for (origin, content_type, allowed) in [
        (None, Some("application/json"), true),
        (None, Some("application/json; charset=utf-8"), true),
        (None, None, true),
        (Some("http://localhost:7317"), Some("application/json"), true),
        (Some("http://localhost:8080"), Some("application/json"), false),
        (Some("http://evil.example"), Some("application/json"), false),
        (Some("null"), Some("application/json"), false),
        (None, Some("text/plain"), false),
        (None, Some("application/x-www-form-urlencoded"), false),
    ] {
        let mut request = Request::post("/api/spanhouse/flush").header(header::HOST, "localhost:7317");
        if let Some(origin) = origin {
            request = request.header(header::ORIGIN, origin);
        }
        if let Some(content_type) = content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        let status = send(request.body(Body::empty()).unwrap()).await.status();
        assert_eq!(status, if allowed { StatusCode::OK } else { StatusCode::FORBIDDEN }, "{origin:?} {content_type:?}");
    }
}

#[tokio::test]
async fn the_page_has_a_policy_with_its_own_nonce() {
    let mut nonces = Vec::new();
    for path in ["/", "/trace/abc"] {
        let response = send(get(path)).await;
        assert_eq!(response.status(), StatusCode::OK);
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'self'; frame-ancestors 'none'"), "{policy}");
        assert_eq!(response.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(response.headers()[header::REFERRER_POLICY], "no-referrer");
        let html = String::from_utf8(bytes(response).await).unwrap();
        assert!(!html.contains("__CSP_NONCE__"));
        nonces.push(policy.split("'nonce-").nth(1).unwrap().trim_end_matches('\'').to_owned());
    }
    assert_ne!(nonces[0], nonces[1]);
    assert_eq!(send(get("/missing.js")).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(send(get("/assets/../../Cargo.toml")).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn large_answers_are_compressed_on_request() {
    let mut request = post("/api/sql", &json!({"query": "SELECT value FROM generate_series(1, 1000)"}));
    request.headers_mut().insert(header::ACCEPT_ENCODING, "gzip".parse().unwrap());
    let response = send(request).await;
    assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip");
}

#[test]
fn the_description_names_every_route() {
    let document: Value = serde_json::from_str(super::server::OPENAPI).unwrap();
    let described: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    let mut served: Vec<&str> = super::routes().into_iter().map(|(path, _)| path).collect();
    served.sort_unstable();
    assert_eq!(described, served);
}

#[tokio::test]
async fn compaction_takes_what_it_is_asked_for_and_retention_says_what_would_go() {
    for (body, merges) in [(json!({}), 2), (json!({"to_the_end": true}), 5)] {
        let (status, answer) = json_of(post("/api/spanhouse/compact", &body)).await;
        assert_eq!((status, &answer["merges"]), (StatusCode::OK, &json!(merges)));
    }
    let (status, _) = json_of(post("/api/spanhouse/compact", &json!({"all": true}))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let (status, answer) = json_of(get("/api/spanhouse/retention")).await;
    assert_eq!((status, &answer["expiring"][0]["why"]), (StatusCode::OK, &json!("max_age")));
    assert_eq!((&answer["max_bytes"], &answer["rules"][0]), (&Value::Null, &json!("rule 1 (service checkout, 90 d)")));
}

#[tokio::test]
async fn a_trace_leaves_as_otlp_in_the_form_that_is_asked_for() {
    let path = format!("/api/spanhouse/traces/{T1}/otlp");
    for (accept, form, content_type, ending) in [
        ("*/*", "Json", "application/json", "json"),
        ("application/x-protobuf", "Protobuf", "application/x-protobuf", "pb"),
    ] {
        let mut request = get(&path);
        request.headers_mut().insert(header::ACCEPT, accept.parse().unwrap());
        let response = send(request).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[header::CONTENT_TYPE], content_type);
        let file = format!("attachment; filename=\"trace-{T1}.otlp.{ending}\"");
        assert_eq!(response.headers()[header::CONTENT_DISPOSITION], file);
        assert_eq!(String::from_utf8(bytes(response).await).unwrap(), format!("{form} {T1} 2 Some(1.0)"));
    }
    for (id, status) in [("ff", StatusCode::BAD_REQUEST), (&T1.replace('1', "7"), StatusCode::NOT_FOUND)] {
        let (found, body) = json_of(get(&format!("/api/spanhouse/traces/{id}/otlp"))).await;
        assert_eq!(found, status, "{body}");
    }
}
