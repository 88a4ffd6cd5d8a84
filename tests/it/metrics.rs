//! Metrics through the whole server: they say what was sent, whatever is sampled, repeated or killed.

use std::path::Path;

use anyhow::ensure;
use serde_json::{Value, json};
use tests::{Server, post};

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

fn span(trace: u64, number: u64, parent: Option<u64>, nanos: u64) -> Value {
    let now = std::time::UNIX_EPOCH.elapsed().map_or(0, |now| now.as_nanos());
    json!({
        "traceId": format!("{:032x}", u128::from(trace) + 1), "spanId": format!("{:016x}", number + 1),
        "parentSpanId": parent.map_or(String::new(), |parent| format!("{:016x}", parent + 1)),
        "name": if number == 0 { "GET /" } else { "reserve" }, "kind": if number == 1 { 3 } else { 2 },
        "startTimeUnixNano": now.to_string(), "endTimeUnixNano": (now + u128::from(nanos)).to_string(),
        "status": if trace.is_multiple_of(50) { json!({"code": 2}) } else { json!({}) },
    })
}

/// Traces of three spans: a request at the front, its call, and what the stock does for it.
fn body(traces: std::ops::Range<u64>) -> Value {
    let of = |service: &str, spans: Vec<Value>| {
        let service = json!({"key": "service.name", "value": {"stringValue": service}});
        json!({"resource": {"attributes": [service]}, "scopeSpans": [{"spans": spans}]})
    };
    let front = traces.clone().flat_map(|trace| [span(trace, 0, None, 9_000), span(trace, 1, Some(0), 8_000)]);
    let stock = traces.map(|trace| span(trace, 2, Some(1), 5_000));
    json!({"resourceSpans": [of("front", front.collect()), of("stock", stock.collect())]})
}

fn send(server: &Server, body: &Value) -> anyhow::Result<()> {
    let answer = post(server.otlp_http(), "/v1/traces", &JSON, &serde_json::to_vec(body)?)?;
    ensure!(answer.status == 200, "{}", answer.text());
    Ok(())
}

fn on_a_budget(data: &Path) -> tests::ServerBuilder {
    Server::on(data)
        .variable("SPANHOUSE_SAMPLING_BUDGET", "300 spans/s")
        .variable("SPANHOUSE_ASSEMBLY_ROOT_GRACE", "100ms")
        .variable("SPANHOUSE_ASSEMBLY_LATE_GRACE", "100ms")
}

fn all_decided(server: &Server) -> anyhow::Result<()> {
    server.wait_until("all are decided", |server| {
        Ok(server.count("SELECT count(*) FROM traces WHERE keep_reason = 'pending'")? == 0)
    })
}

/// What the metrics say, after `traces` traces of three spans.
fn check(server: &Server, traces: i64) -> anyhow::Result<()> {
    let by_operation = server.sql(
        "SELECT service_name, span_name, kind, sum(span_count), sum(adjusted_count), min(duration_min_ns), \
         sum(duration_sum_ns), bool_and(exact) FROM span_metrics GROUP BY 1, 2, 3 ORDER BY 1, 2",
    )?;
    let expected = json!([
        ["front", "GET /", "server", traces, traces as f64, 9_000, traces * 9_000, true],
        ["front", "reserve", "client", traces, traces as f64, 8_000, traces * 8_000, true],
        ["stock", "reserve", "server", traces, traces as f64, 5_000, traces * 5_000, true],
    ]);
    ensure!(json!(by_operation) == expected, "{by_operation:?}");
    let failed = server.count("SELECT sum(span_count) FROM span_metrics WHERE status_code = 'error'")?;
    ensure!(failed == 3 * (traces / 50), "{failed} failed");
    let buckets = server.count("SELECT sum(n) FROM (SELECT unnest(bucket_counts) AS n FROM span_metrics)")?;
    ensure!(buckets == 3 * traces, "{buckets} in buckets");
    let edges = server.sql(
        "SELECT client_service, server_service, span_name, sum(span_count), sum(error_count), max(duration_max_ns) \
         FROM edge_metrics GROUP BY 1, 2, 3",
    )?;
    ensure!(json!(edges) == json!([["front", "stock", "reserve", traces, traces / 50, 5_000]]), "{edges:?}");
    let paths = server.sql("SELECT depth, path FROM paths ORDER BY depth")?;
    let expected = ["front:GET /", "front:GET / > front:reserve", "front:GET / > front:reserve > stock:reserve"];
    ensure!(json!(paths) == json!([[0, expected[0]], [1, expected[1]], [2, expected[2]]]), "{paths:?}");
    // Every stored span has its path's row, and one.
    let joined = "SELECT count(*) FROM spans s JOIN paths p ON s.path_id = p.path_id AND s.depth = p.depth";
    ensure!(server.count(joined)? == server.count("SELECT count(*) FROM spans")?);
    Ok(())
}

#[test]
fn metrics_count_what_was_sent_whatever_is_sampled_repeated_or_killed() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let mut server = on_a_budget(directory.path()).start()?;
    let first = body(0..1_000);
    send(&server, &first)?;
    // Acknowledged is counted, before anything is decided.
    ensure!(server.count("SELECT sum(span_count) FROM span_metrics")? == 3_000);
    // A client that lost the answer sends it again.
    send(&server, &first)?;
    all_decided(&server)?;
    check(&server, 1_000)?;
    let kept = server.count("SELECT count(*) FROM traces WHERE kept")?;
    ensure!((1..700).contains(&kept), "{kept} traces are kept");

    // From the log alone.
    server.kill()?;
    let mut server = server.start_again()?;
    check(&server, 1_000)?;
    // From tables, beside requests that the log still has.
    server.flush()?;
    check(&server, 1_000)?;
    send(&server, &body(1_000..1_500))?;
    ensure!(server.count("SELECT sum(span_count) FROM span_metrics")? == 4_500);
    server.kill()?;
    let mut server = server.start_again()?;
    ensure!(server.count("SELECT sum(span_count) FROM span_metrics")? == 4_500);
    all_decided(&server)?;
    check(&server, 1_500)?;
    server.flush()?;
    server.kill()?;
    let server = server.start_again()?;
    check(&server, 1_500)?;
    ensure!(server.count("SELECT count(*) FROM spans")? < 4_500);
    for table in ["span_metrics", "edge_metrics", "paths"] {
        ensure!(directory.path().join("tables").join(table).join("_delta_log").is_dir(), "{table}");
    }
    Ok(())
}
