//! Cases of OTLP that need the whole server: what an answer means for queries, and for a start after a kill.

use anyhow::ensure;
use serde_json::{Value, json};
use tests::{Response, Server, post};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn span(trace_id: &str, span_id: &str) -> Value {
    let now = std::time::UNIX_EPOCH.elapsed().map_or(0, |now| now.as_nanos());
    json!({
        "traceId": trace_id, "spanId": span_id, "name": "GET /", "kind": 2,
        "startTimeUnixNano": now.to_string(), "endTimeUnixNano": (now + 5_000).to_string(),
    })
}

fn send(server: &Server, spans: &[Value]) -> anyhow::Result<Response> {
    let service = json!({"key": "service.name", "value": {"stringValue": "shop"}});
    let body = json!({"resourceSpans": [{"resource": {"attributes": [service]}, "scopeSpans": [{"spans": spans}]}]});
    let body = serde_json::to_vec(&body)?;
    post(server.otlp_http(), "/v1/traces", &[("content-type", "application/json")], &body)
}

#[test]
fn otlp_505_the_span_and_its_digest_are_there_with_the_answer() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::on(directory.path()).start()?;
    ensure!(send(&server, &[span(TRACE, "00000000000000a1")])?.status == 200);
    ensure!(server.count(&format!("SELECT count(*) FROM spans WHERE trace_id = '{TRACE}'"))? == 1);
    ensure!(server.count(&format!("SELECT span_count FROM traces WHERE trace_id = '{TRACE}'"))? == 1);
    Ok(())
}

#[test]
fn otlp_506_what_was_answered_is_there_after_a_kill() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let mut server = Server::on(directory.path()).start()?;
    ensure!(send(&server, &[span(TRACE, "00000000000000a1")])?.status == 200);
    server.kill()?;
    let server = server.start_again()?;
    ensure!(server.count(&format!("SELECT count(*) FROM spans WHERE trace_id = '{TRACE}'"))? == 1);
    Ok(())
}

#[test]
fn otlp_608_after_a_kill_the_same_spans_are_rejected_and_none_is_counted_again() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let mut server = Server::on(directory.path()).start()?;
    let answer = send(&server, &[span(TRACE, "00000000000000a1"), span("abcd", "00000000000000a2")])?;
    ensure!(answer.status == 200, "{}", answer.text());
    ensure!(answer.json()?["partialSuccess"]["rejectedSpans"] == "1", "{}", answer.text());
    let rejected = |server: &Server, count: u64| -> anyhow::Result<()> {
        let metrics = tests::get(server.http(), "/metrics")?.text();
        let line = format!("spanhouse_rejected_spans_total{{reason=\"invalid_trace_id\"}} {count}\n");
        ensure!(metrics.contains(&line), "{metrics}");
        Ok(())
    };
    rejected(&server, 1)?;
    server.kill()?;
    let server = server.start_again()?;
    ensure!(server.count("SELECT count(*) FROM spans")? == 1);
    rejected(&server, 0)
}

#[test]
fn otlp_706_what_was_refused_left_nothing_for_the_next_start() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let mut server = Server::on(directory.path()).start()?;
    let refused = server.export(&[0x0a, 0x7f, 0x01], None)?;
    ensure!(refused.status == 400, "{}", refused.text());
    ensure!(send(&server, &[span(TRACE, "00000000000000a1")])?.status == 200);
    server.kill()?;
    let server = server.start_again()?;
    ensure!(server.count("SELECT count(*) FROM spans")? == 1);
    Ok(())
}
