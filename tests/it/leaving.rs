//! A trace leaves as OTLP, and is what it was where it is imported.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tests::{Server, get, get_as, post, real_traces, spanhouse};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// All but what depends on when spans came and what a budget made of them.
const ROWS: &str = "SELECT * EXCEPT (keep_reason, policy_revision, trace_complete) FROM spans";

fn rows(server: &Server, trace_ids: &[String]) -> anyhow::Result<Vec<Vec<Value>>> {
    let ids: Vec<String> = trace_ids.iter().map(|id| format!("'{id}'")).collect();
    let mut rows = server.sql(&format!("{ROWS} WHERE trace_id IN ({})", ids.join(", ")))?;
    // Some clients give an id twice.
    rows.sort_by_cached_key(|row| format!("{row:?}"));
    Ok(rows)
}

fn import(server: &Server, from: &Path) -> anyhow::Result<()> {
    let to = format!("http://{}", server.otlp_http());
    let output = spanhouse(&["import", &from.display().to_string(), "--to", &to]).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Downloads the traces into `folder`, in both forms by turns.
fn export(server: &Server, trace_ids: &[String], folder: &Path) -> anyhow::Result<()> {
    for (at, id) in trace_ids.iter().enumerate() {
        let accept = if at % 2 == 0 { "*/*" } else { "application/x-protobuf" };
        let answer = get_as(server.http(), &format!("/api/spanhouse/traces/{id}/otlp"), accept)?;
        ensure!(answer.status == 200, "{}", answer.text());
        let named = answer.header("content-disposition").and_then(|header| header.split('"').nth(1));
        std::fs::write(folder.join(named.context("no file name")?), &answer.body)?;
    }
    Ok(())
}

/// Downloads the traces, and imports them into an empty server; the rows of both.
fn there_and_back(server: &Server, trace_ids: &[String]) -> anyhow::Result<(Server, tempfile::TempDir)> {
    let directory = tempfile::tempdir()?;
    let files = directory.path().join("files");
    std::fs::create_dir(&files)?;
    export(server, trace_ids, &files)?;
    let there = Server::on(&directory.path().join("data")).start()?;
    import(&there, &files)?;
    there.flush()?;
    ensure!(there.count("SELECT count(DISTINCT trace_id) FROM spans")? == trace_ids.len() as i64);
    Ok((there, directory))
}

fn same_rows(one: &[Vec<Value>], other: &[Vec<Value>]) -> anyhow::Result<()> {
    for (one, other) in one.iter().zip(other) {
        ensure!(one == other, "{one:?}\n{other:?}");
    }
    ensure!(one.len() == other.len() && !one.is_empty(), "{} and {}", one.len(), other.len());
    Ok(())
}

/// A trace that uses every field.
fn rich(weight: &str) -> Value {
    let now = std::time::UNIX_EPOCH.elapsed().map_or(0, |now| now.as_nanos());
    let text = |key: &str, text: &str| json!({"key": key, "value": {"stringValue": text}});
    let nested = json!({"arrayValue": {"values": [
        {"doubleValue": 51.248178375505404}, {"intValue": "9007199254740993"}, {},
        {"kvlistValue": {"values": [{"key": "raw", "value": {"bytesValue": "AP8="}}]}},
    ]}});
    let every = json!([
        text("text", "a \"quote\" and é"), {"key": "int", "value": {"intValue": "-9223372036854775808"}},
        {"key": "float", "value": {"doubleValue": 1e300}}, {"key": "nan", "value": {"doubleValue": "NaN"}},
        {"key": "bool", "value": {"boolValue": true}}, {"key": "nested", "value": nested},
        {"key": "bytes", "value": {"bytesValue": "3q2+7w=="}}, {"key": "unset"},
    ]);
    let event = json!({"timeUnixNano": (now + 7).to_string(), "name": "note", "attributes": every, "droppedAttributesCount": 3});
    let link = json!({"traceId": "b".repeat(32), "spanId": "c".repeat(16), "traceState": "a=1", "flags": 257, "attributes": every});
    let span = |id: u64, parent: &str, kind: u32| {
        json!({
            "traceId": TRACE, "spanId": format!("{id:016x}"), "parentSpanId": parent, "name": format!("op {id}"), "kind": kind,
            "traceState": weight, "flags": 769, "startTimeUnixNano": (now + u128::from(id)).to_string(),
            "endTimeUnixNano": (now + 5_001).to_string(), "attributes": every, "droppedAttributesCount": 1,
            "events": [event, event], "droppedEventsCount": 4, "links": [link], "droppedLinksCount": 5,
            "status": {"code": 2, "message": "it broke"},
        })
    };
    let scope = json!({"name": "lib", "version": "1.2", "attributes": [text("a", "b")], "droppedAttributesCount": 6});
    let resource =
        |name: &str| json!({"attributes": [text("service.name", name), text("x", "y")], "droppedAttributesCount": 7});
    let root = "0000000000000001";
    json!({"resourceSpans": [
        {"resource": resource("shop"), "schemaUrl": "https://example.com/r", "scopeSpans": [
            {"scope": scope, "schemaUrl": "https://example.com/s", "spans": [span(1, "", 2), span(2, root, 3)]},
            {"spans": [span(3, root, 1), span(4, "eeeeeeeeeeeeeeee", 77)]},
        ]},
        {"resource": resource("db"), "scopeSpans": [{"spans": [span(5, "0000000000000002", 2)]}]},
    ]})
}

#[test]
fn every_field_of_a_trace_survives_while_it_is_pending_and_later() -> anyhow::Result<()> {
    // The id is above a half.
    for (weight, count) in [("", 1.0), ("vendor=a:b, ot=p:8;th:2;rv:e0000000000000,x=y", 32.0 / 28.0)] {
        let directory = tempfile::tempdir()?;
        let server = Server::on(directory.path()).variable("SPANHOUSE_ASSEMBLY_ROOT_GRACE", "20s").start()?;
        let body = serde_json::to_vec(&rich(weight))?;
        let json = [("content-type", "application/json")];
        ensure!(post(server.otlp_http(), "/v1/traces", &json, &body)?.status == 200);
        ensure!(server.count("SELECT count(*) FROM spans WHERE keep_reason = 'pending'")? == 5);
        let path = format!("/api/spanhouse/traces/{TRACE}/otlp");
        let pending = get(server.http(), &path)?;
        server.flush()?;
        ensure!(server.count("SELECT count(*) FROM spans WHERE keep_reason = 'pending'")? == 0);
        let stored = get(server.http(), &path)?;
        ensure!(pending.json()? == stored.json()?, "{}\n{}", pending.text(), stored.text());
        let resources = stored.json()?["resourceSpans"].as_array().map(Vec::len);
        ensure!(resources == Some(2), "{}", stored.text());

        let ids = [TRACE.to_owned()];
        let (there, _directory) = there_and_back(&server, &ids)?;
        let before = rows(&server, &ids)?;
        same_rows(&before, &rows(&there, &ids)?)?;
        for server in [&server, &there] {
            let found = server.value("SELECT adjusted_count FROM traces")?.as_f64();
            ensure!(found == Some(count), "{weight}: {found:?}");
            let states = server.sql("SELECT DISTINCT coalesce(trace_state, '') FROM spans")?;
            ensure!(states == [[json!(weight)]], "{states:?}");
        }
    }
    Ok(())
}

#[test]
fn recorded_traces_are_the_same_rows_where_they_are_imported() -> anyhow::Result<()> {
    for name in ["dev-small-hotel", "dev-small-onlineboutique", "dev-small-trainticket", "elastic-opbeans-node"] {
        let Some(set) = real_traces(name)? else { return Ok(()) };
        let directory = tempfile::tempdir()?;
        let server = Server::on(directory.path()).start()?;
        import(&server, &set.folder)?;
        server.flush()?;
        let largest = "SELECT trace_id FROM traces ORDER BY span_count DESC, trace_id LIMIT 40";
        let ids: Vec<String> =
            server.sql(largest)?.iter().filter_map(|row| Some(row[0].as_str()?.to_owned())).collect();
        let (there, _directory) = there_and_back(&server, &ids)?;
        let before = rows(&server, &ids)?;
        same_rows(&before, &rows(&there, &ids)?).context(name)?;
        println!("{name}: {} spans of {} traces", before.len(), ids.len());
    }
    Ok(())
}

#[test]
fn weights_of_a_budget_survive() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::on(directory.path())
        .variable("SPANHOUSE_SAMPLING_BUDGET", "600 spans/s")
        .variable("SPANHOUSE_ASSEMBLY_ROOT_GRACE", "100ms")
        .start()?;
    let now = std::time::UNIX_EPOCH.elapsed().map_or(0, |now| now.as_nanos());
    // By turns: without a word of sampling, with the client's threshold, and with its randomness.
    let spans = |trace: u64| {
        // Spread over the upper half, which is what a client that says th:8 keeps.
        let random = trace.wrapping_mul(0x9e_3779_b97f_4a7d) >> 9 | 1 << 55;
        let id = u128::from(trace) << 64 | u128::from(random);
        let state = ["a=1".to_owned(), "ot=th:8;p:1,a=1".to_owned(), format!("ot=rv:{random:014x};p:1,a=1")];
        let span = |span: u32, parent: &str| {
            json!({
                "traceId": format!("{id:032x}"), "spanId": format!("{span:016x}"), "parentSpanId": parent, "name": "op",
                "traceState": state[trace as usize % 3], "startTimeUnixNano": now.to_string(),
                "endTimeUnixNano": (now + 5_000).to_string(), "status": {"code": if trace.is_multiple_of(100) { 2 } else { 0 }},
            })
        };
        [span(1, ""), span(2, "0000000000000001")]
    };
    let service = json!({"key": "service.name", "value": {"stringValue": "shop"}});
    let spans: Vec<Value> = (0..1_000).flat_map(spans).collect();
    let body = json!({"resourceSpans": [{"resource": {"attributes": [service]}, "scopeSpans": [{"spans": spans}]}]});
    let json = [("content-type", "application/json")];
    ensure!(post(server.otlp_http(), "/v1/traces", &json, &serde_json::to_vec(&body)?)?.status == 200);
    server.wait_until("all are decided", |server| {
        Ok(server.count("SELECT count(*) FROM traces WHERE keep_reason = 'pending'")? == 0)
    })?;

    let weights = |server: &Server| -> anyhow::Result<BTreeMap<String, f64>> {
        let rows = server.sql("SELECT DISTINCT trace_id, adjusted_count FROM spans")?;
        rows.iter().map(|row| Ok((row[0].to_string(), row[1].as_f64().context("no weight")?))).collect()
    };
    let before = weights(&server)?;
    let ids: Vec<String> = before.keys().map(|id| id.trim_matches('"').to_owned()).collect();
    let distinct = "SELECT count(DISTINCT adjusted_count) FROM spans WHERE adjusted_count > 1";
    ensure!(before.len() > 20 && server.count(distinct)? > 1, "{before:?}");
    let (there, _directory) = there_and_back(&server, &ids)?;
    ensure!(weights(&there)? == before);
    ensure!(there.count("SELECT count(*) FROM spans WHERE adjusted_count IS NULL")? == 0);
    // What is not of sampling stays.
    for others in ["trace_state LIKE '%a=1'", "trace_state LIKE '%p:1%'"] {
        let count = format!("SELECT count(*) FROM spans WHERE {others}");
        ensure!(there.count(&count)? == server.count(&count)? && there.count(&count)? > 0, "{others}");
    }
    ensure!(there.count("SELECT count(*) FROM spans WHERE trace_state NOT LIKE 'ot=th:%'")? == 0);
    println!("{} traces, {} weights", before.len(), server.count(distinct)?);
    Ok(())
}

#[test]
fn what_is_not_stored_does_not_leave() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::on(directory.path()).start()?;
    let answer = get(server.http(), &format!("/api/spanhouse/traces/{TRACE}/otlp"))?;
    ensure!(answer.status == 404 && answer.text().contains(TRACE), "{}", answer.text());
    Ok(())
}
