//! Cases of OTLP that need the whole server: what an answer means for queries, and for a start after a kill.

use anyhow::{Context, ensure};
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

/// A figure of `/metrics`; `name` may have labels.
fn figure(server: &Server, name: &str) -> anyhow::Result<u64> {
    let metrics = tests::get(server.http(), "/metrics")?.text();
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(line.with_context(|| format!("no {name} in {metrics}"))?.parse()?)
}

fn books_are_balanced(server: &Server) -> anyhow::Result<()> {
    let places = ["stored", "duplicate", "rejected", "refused", "in_flight"];
    let place = |place| figure(server, &format!("spanhouse_span_places{{place=\"{place}\"}}"));
    let sum = places.into_iter().map(place).sum::<anyhow::Result<u64>>()?;
    ensure!(sum == figure(server, "spanhouse_received_spans_total")?);
    Ok(())
}

/// Waits longer for spans than any test does: what is decided is decided by a flush.
fn patient(data: &std::path::Path) -> tests::ServerBuilder {
    Server::on(data).variable("SPANHOUSE_ASSEMBLY_ROOT_GRACE", "1h").variable("SPANHOUSE_ASSEMBLY_MAX_AGE", "1h")
}

#[test]
fn otlp_508_spans_that_came_in_two_batches_are_stored_once() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let mut server = patient(directory.path()).start()?;
    let [a, b, c] = ["00000000000000a1", "00000000000000a2", "00000000000000a3"].map(|id| span(TRACE, id));
    ensure!(send(&server, &[a.clone(), b.clone()])?.status == 200);
    // The client did not see the answer and sends what it has in batches of another size.
    ensure!(send(&server, &[b, a, c])?.status == 200);
    let stored_once = |server: &Server| -> anyhow::Result<()> {
        ensure!(server.count("SELECT count(*) FROM spans")? == 3);
        ensure!(server.count("SELECT sum(span_count) FROM traces")? == 3);
        Ok(())
    };
    stored_once(&server)?;
    server.kill()?;
    let mut server = server.start_again()?;
    stored_once(&server)?;
    ensure!(figure(&server, "spanhouse_repeated_spans_total")? == 0, "nothing is decided yet");
    ensure!(server.flush()?["spans"] == 3);
    stored_once(&server)?;
    ensure!(figure(&server, "spanhouse_repeated_spans_total")? == 2);
    ensure!(figure(&server, "spanhouse_span_id_conflicts_total")? == 0);
    books_are_balanced(&server)?;
    server.kill()?;
    let server = server.start_again()?;
    stored_once(&server)?;
    ensure!(figure(&server, "spanhouse_repeated_spans_total")? == 0, "what was counted is not counted again");
    Ok(())
}

#[test]
fn otlp_509_spans_that_share_an_id_alone_are_both_kept_and_counted() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let server = patient(directory.path()).start()?;
    let client = span(TRACE, "00000000000000a1");
    let mut shared = client.clone();
    shared["kind"] = json!(3);
    ensure!(send(&server, &[client])?.status == 200);
    ensure!(send(&server, &[shared])?.status == 200);
    server.flush()?;
    ensure!(server.count("SELECT count(*) FROM spans")? == 2);
    ensure!(server.count("SELECT count(DISTINCT kind) FROM spans")? == 2);
    ensure!(server.count("SELECT sum(span_count) FROM traces")? == 2);
    ensure!(figure(&server, "spanhouse_span_id_conflicts_total")? == 1);
    ensure!(figure(&server, "spanhouse_repeated_spans_total")? == 0);
    books_are_balanced(&server)
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
