//! Other engines read the tables of a live data directory and count the same, also while it is written and merged.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, ensure};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;
use serde_json::{Value, json};
use tests::{Server, payloads, python, workspace};

const ENGINES: [&str; 3] = ["duckdb", "polars", "deltalake"];
const SERVICE: &str = "frontend";
const ROUTE: &str = "/checkout";

fn attribute(key: &str, text: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(text.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn of_service(name: &str, spans: Vec<Span>) -> ResourceSpans {
    let resource = Some(Resource { attributes: vec![attribute("service.name", name)], ..Resource::default() });
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }
}

fn now_nanos() -> u64 {
    std::time::UNIX_EPOCH.elapsed().map_or(0, |now| now.as_nanos() as u64)
}

/// A call to another service that throws there: the shop's never do.
fn thrown(seed: u64) -> Vec<u8> {
    let now = now_nanos();
    let exception = Event {
        time_unix_nano: now + 1_234,
        name: "exception".to_owned(),
        attributes: vec![attribute("exception.type", "java.lang.Überlauf")],
        ..Event::default()
    };
    let caller = Span {
        trace_id: u128::from(seed).to_be_bytes().to_vec(),
        span_id: seed.to_be_bytes().to_vec(),
        name: "pay".to_owned(),
        kind: SpanKind::Client.into(),
        // At first there is no column for it.
        attributes: vec![attribute("http.route", ROUTE)],
        start_time_unix_nano: now,
        end_time_unix_nano: now + 5_000_000,
        ..Span::default()
    };
    let called = Span {
        span_id: (seed + 100).to_be_bytes().to_vec(),
        parent_span_id: caller.span_id.clone(),
        attributes: Vec::new(),
        kind: SpanKind::Server.into(),
        events: vec![exception],
        status: Some(Status { code: StatusCode::Error.into(), ..Status::default() }),
        ..caller.clone()
    };
    let resource_spans = vec![of_service("till", vec![caller]), of_service("bank", vec![called])];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

fn flush(server: &Server) -> anyhow::Result<()> {
    let pending = "SELECT count(*) FROM spans WHERE keep_reason = 'pending'";
    server.wait_until("all is decided", |server| Ok(server.count(pending)? == 0))?;
    server.flush()?;
    Ok(())
}

/// Two flushes, so that there are several segments and log entries; columns of attributes come with the second.
fn flush_twice(server: &Server) -> anyhow::Result<()> {
    for (seed, spans) in [(1, 600), (2, 4_000)] {
        ensure!(server.export(&thrown(seed), None)?.status == 200);
        for (body, _) in payloads(spans, seed)? {
            ensure!(server.export(&body, None)?.status == 200);
        }
        flush(server)?;
    }
    Ok(())
}

fn compact(server: &Server) -> anyhow::Result<Value> {
    let answer = server.post_json("/api/spanhouse/compact", &json!({"to_the_end": true}))?;
    ensure!(answer.status == 200, "{}", answer.text());
    answer.json()
}

/// What the server itself counts, under the names that `read_tables.py` gives.
fn counted(server: &Server) -> anyhow::Result<Vec<(&'static str, String)>> {
    let route = "attributes['http.route']";
    let newest = "CAST(date_part('epoch', date_trunc('second', start_time)) AS BIGINT) * 1000000000
        + CAST(date_part('microsecond', start_time) AS BIGINT) % 1000000 * 1000 + start_nanos";
    let events = "(SELECT unnest(events) AS event FROM spans)";
    let questions = [
        ("spans", "count(*) FROM spans".to_owned()),
        ("traces", "count(*) FROM traces".to_owned()),
        ("paths", "count(*) FROM paths".to_owned()),
        ("span_metrics", "sum(span_count) FROM span_metrics".to_owned()),
        ("span_metrics_ns", "sum(duration_sum_ns) FROM span_metrics".to_owned()),
        ("edge_metrics", "sum(span_count) FROM edge_metrics".to_owned()),
        ("edge_errors", "sum(error_count) FROM edge_metrics".to_owned()),
        ("errors", "count(*) FROM spans WHERE status_code = 'error'".to_owned()),
        ("duration_ns", "sum(duration_ns) FROM spans".to_owned()),
        ("of_service", format!("count(*) FROM spans WHERE service_name = '{SERVICE}'")),
        ("of_route", format!("count(*) FROM spans WHERE {route} = '{ROUTE}'")),
        ("with_route", format!("count({route}) FROM spans")),
        ("events", format!("count(*) FROM {events} WHERE event['name'] = 'exception'")),
        ("joined_ns", "sum(traces.duration_ns) FROM spans JOIN traces ON spans.trace_id = traces.trace_id".to_owned()),
        ("newest_nanos", format!("max({newest}) FROM spans")),
        ("least_id", "min(span_id) FROM spans".to_owned()),
    ];
    questions
        .into_iter()
        .map(|(name, question)| {
            let value = server.value(&format!("SELECT {question}"))?;
            Ok((name, value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        })
        .collect()
}

fn script(python: &Path, name: &str) -> Command {
    let mut command = Command::new(python);
    command.arg(workspace().join("tests/fixtures").join(name));
    command
}

fn answer_of(command: &mut Command) -> anyhow::Result<Value> {
    let output = command.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Every engine counts what the server does; how many rows of the route have it in its column.
fn check(python: &Path, server: &Server, directory: &Path) -> anyhow::Result<i64> {
    let read = answer_of(script(python, "read_tables.py").arg(directory.join("tables")).args([SERVICE, ROUTE]))?;
    for (name, counted) in counted(server)? {
        ensure!(counted != "0" && counted != "null", "{name} is {counted}, which says nothing");
        for engine in ENGINES {
            ensure!(read[engine][name] == counted, "{name}: {counted}, but {engine} says {}", read[engine][name]);
        }
    }
    let in_column = &read[ENGINES[0]]["in_column"];
    ensure!(ENGINES.iter().all(|engine| read[engine]["in_column"] == *in_column), "in_column: {read}");
    Ok(in_column.as_str().context("in_column")?.parse()?)
}

#[test]
fn duckdb_polars_and_delta_rs_count_the_same_before_and_after_a_merge() -> anyhow::Result<()> {
    let Some(python) = python() else { return Ok(()) };
    let directory = tempfile::tempdir()?;
    let server = Server::on(directory.path()).variable("SPANHOUSE_FLUSH_MAX_AGE", "1h").start()?;
    flush_twice(&server)?;
    let of_route = server.count(&format!("SELECT count(*) FROM spans WHERE attributes['http.route'] = '{ROUTE}'"))?;
    let in_column = check(&python, &server, directory.path())?;
    ensure!(0 < in_column && in_column < of_route, "{in_column} of {of_route} rows are in the column");
    let merged = compact(&server)?;
    ensure!(merged["segments_before"].as_u64() > merged["segments_after"].as_u64(), "{merged}");
    ensure!(check(&python, &server, directory.path())? == of_route);
    Ok(())
}

#[test]
fn the_queries_that_the_docs_print_answer_as_the_server_does() -> anyhow::Result<()> {
    let Some(python) = python() else { return Ok(()) };
    let directory = tempfile::tempdir()?;
    // Where the printed queries look for it.
    let data = directory.path().join("spanhouse-data");
    let server = Server::on(&data).variable("SPANHOUSE_FLUSH_MAX_AGE", "1h").start()?;
    flush_twice(&server)?;
    let mut printed = script(&python, "printed_queries.py");
    let answers = answer_of(printed.arg(workspace().join("docs/operations.md")).current_dir(directory.path()))?;
    let answers = answers.as_array().context("no answers")?;
    ensure!(answers.len() == 5, "{} queries are printed", answers.len());
    let of_route =
        format!("SELECT service_name, count(*) FROM spans WHERE attributes['http.route'] = '{ROUTE}' GROUP BY 1");
    let exceptions = "SELECT root_name, 'java.lang.Überlauf' FROM traces WHERE root_name = 'pay' LIMIT 1";
    let calls = "SELECT server_service, sum(span_count) FROM edge_metrics WHERE client_service = 'frontend' GROUP BY 1";
    // The same question to three engines, then one to each of two.
    for (question, asked) in [(of_route.as_str(), &answers[..3]), (exceptions, &answers[3..4]), (calls, &answers[4..])]
    {
        let rows = server.sql(question)?;
        ensure!(!rows.is_empty(), "{question}: nothing");
        for answer in asked {
            let said = answer["answer"].to_string();
            let is_said =
                |value: &Value| said.contains(&value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            ensure!(rows.iter().flatten().all(is_said), "{}\n{said}\ninstead of {rows:?}", answer["block"]);
        }
    }
    Ok(())
}

/// Spans of a flush, each a trace of its own.
const STEP: u64 = 100;

fn write(server: &Server, number: u64) -> anyhow::Result<()> {
    let now = now_nanos();
    let spans = (0..STEP).map(|span| {
        let id = number * STEP + span + 1;
        Span {
            trace_id: u128::from(id).to_be_bytes().to_vec(),
            span_id: id.to_be_bytes().to_vec(),
            name: format!("operation {}", span % 7),
            start_time_unix_nano: now + span,
            end_time_unix_nano: now + span + 1_000,
            ..Span::default()
        }
    });
    let request = ExportTraceServiceRequest { resource_spans: vec![of_service("writer", spans.collect())] };
    ensure!(server.export(&request.encode_to_vec(), None)?.status == 200);
    flush(server)
}

/// How often segments of `spans` were merged.
fn merges(directory: &Path) -> anyhow::Result<usize> {
    let mut merges = 0;
    for entry in std::fs::read_dir(directory.join("tables/spans/_delta_log"))? {
        let entry = std::fs::read(entry?.path())?;
        merges += usize::from(String::from_utf8_lossy(&entry).contains(r#""operation":"OPTIMIZE""#));
    }
    Ok(merges)
}

/// An engine that reads again and again.
struct Reader {
    engine: &'static str,
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Reader {
    /// Starts it, and waits until it has read once.
    fn start(python: &Path, directory: &Path, engine: &'static str) -> anyhow::Result<Self> {
        let mut command = script(python, "follow_tables.py");
        command.arg(directory.join("tables")).args([engine, &STEP.to_string()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut said = BufReader::new(child.stdout.take().context("no standard output")?);
        let mut line = String::new();
        said.read_line(&mut line)?;
        ensure!(line == "reading\n", "{engine} did not read: {line}");
        Ok(Self { engine, child, said })
    }

    /// Lets it read once more, and checks that it saw the tables grow to so many flushes.
    fn end(mut self, flushes: u64) -> anyhow::Result<()> {
        drop(self.child.stdin.take());
        let mut said = String::new();
        self.said.read_to_string(&mut said)?;
        let (engine, status) = (self.engine, self.child.wait()?);
        ensure!(status.success(), "{engine}: {status}, its standard error is above");
        let seen: Value = serde_json::from_str(&said)?;
        eprintln!("{engine}: {seen} of {flushes} flushes");
        ensure!(seen["last"].as_u64() == Some(flushes * STEP), "{engine} ended with {seen} of {flushes} flushes");
        ensure!(seen["steps"].as_u64() > Some(2), "{engine} saw too little happen: {seen}");
        Ok(())
    }
}

#[test]
fn every_read_beside_flushes_and_merges_sees_whole_flushes_and_no_span_twice() -> anyhow::Result<()> {
    let Some(python) = python() else { return Ok(()) };
    // More of them by hand.
    let flushes =
        std::env::var("SPANHOUSE_TEST_ENGINES_FLUSHES").ok().map(|count| count.parse()).transpose()?.unwrap_or(16);
    let directory = tempfile::tempdir()?;
    // Merged as often as can be; nothing is flushed but when this test says so.
    let settings = [
        ("FLUSH_MAX_AGE", "1h"),
        ("ASSEMBLY_ROOT_GRACE", "10ms"),
        ("COMPACTION_MERGE_SEGMENTS", "2"),
        ("COMPACTION_KEEP_REPLACED", "30s"),
    ];
    let server = settings.iter().fold(Server::on(directory.path()), |server, (name, value)| {
        server.variable(&format!("SPANHOUSE_{name}"), value)
    });
    let server = server.start()?;
    write(&server, 0)?;
    let start = |engine| Reader::start(&python, directory.path(), engine);
    let readers = ENGINES.into_iter().map(start).collect::<anyhow::Result<Vec<_>>>()?;
    for number in 1..flushes {
        write(&server, number)?;
        if number % 4 == 0 {
            compact(&server)?;
        }
    }
    ensure!(merges(directory.path())? > 0, "nothing was merged");
    for reader in readers {
        reader.end(flushes)?;
    }
    ensure!(server.count("SELECT count(*) FROM spans")? == (flushes * STEP) as i64);
    Ok(())
}
