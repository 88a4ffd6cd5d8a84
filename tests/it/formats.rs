//! Data directories of every format version: each was written by the binary of its time, and lies in `fixtures/formats`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use serde_json::Value;
use tests::{Server, ServerBuilder, get, spanhouse, workspace};

/// What `setup/format-fixture.py` asked the binary that wrote the directory.
struct Fixture {
    told: Value,
    directory: tempfile::TempDir,
}

/// A trace of the fixtures that uses every field.
const RICH: &str = "0af7651916cd43dd8448eb211c80319c";
const TABLES: [&str; 5] = ["spans", "traces", "span_metrics", "edge_metrics", "paths"];

fn folder() -> PathBuf {
    workspace().join("tests/fixtures/formats")
}

impl Fixture {
    fn unpack(version: u32) -> anyhow::Result<Self> {
        let told = std::fs::read(folder().join(format!("v{version}.json")))?;
        let directory = tempfile::tempdir()?;
        let packed = folder().join(format!("v{version}.tar.gz"));
        let unpacked = Command::new("tar").arg("-xzf").arg(packed).arg("-C").arg(directory.path()).status()?;
        ensure!(unpacked.success(), "tar: {unpacked}");
        Ok(Self { told: serde_json::from_slice(&told)?, directory })
    }

    /// Nothing is decided, flushed or merged but when the test wants it.
    fn server(&self) -> ServerBuilder {
        let settings = [("FLUSH_MAX_AGE", "1h"), ("ASSEMBLY_MAX_AGE", "1h"), ("COMPACTION_KEEP_REPLACED", "30s")];
        settings.iter().fold(Server::on(self.directory.path()), |server, (name, value)| {
            server.variable(&format!("SPANHOUSE_{name}"), value)
        })
    }

    fn path(&self) -> String {
        self.directory.path().display().to_string()
    }

    /// Every question has the answer that it had when the directory was written.
    fn check(&self, server: &Server, when: &str) -> anyhow::Result<()> {
        for (name, asked) in self.told["answers"].as_object().context("no answers")? {
            let query = asked["query"].as_str().context("no query")?;
            let rows = server.sql(query).with_context(|| format!("{name}, {when}"))?;
            ensure!(
                asked["rows"] == serde_json::json!(rows),
                "{name}, {when}:\n{rows:?}\ninstead of\n{}",
                asked["rows"]
            );
        }
        let trace = get(server.http(), &format!("/api/spanhouse/traces/{RICH}"))?;
        ensure!(trace.status == 200, "{when}: {}", trace.text());
        let trace = trace.text();
        ensure!(trace.contains("7e57000000000001") && trace.contains("7e57000000000002"), "{when}: {trace}");
        self.check_lacking(server, when)
    }

    /// What a version did not write is NULL or not there in rows that it flushed, and is there for what was in its log alone.
    fn check_lacking(&self, server: &Server, when: &str) -> anyhow::Result<()> {
        let version = self.told["version"].as_i64().context("no version")?;
        let flushed = self.told["flushed_spans"].as_i64().context("no flushed_spans")?;
        let old = "start_time < '2025-11-20T01:00:00Z'";
        let all = server.count(&format!("SELECT count(*) FROM spans WHERE {old}"))?;
        let known = server.sql(&format!("SELECT count(critical_ns), count(path_id) FROM spans WHERE {old}"))?;
        let without = if version < 2 { flushed } else { 0 };
        ensure!(known == [[all - without, all - without]], "{when}: {known:?} of {all}");
        let counted =
            server.count("SELECT sum(span_count) FROM span_metrics WHERE window_start < '2025-11-20T01:00:00Z'")?;
        let without = if version < 3 { flushed } else { 0 };
        ensure!(counted == all - without, "{when}: metrics of {counted} spans of {all}");
        let exceptions = server.count(&format!("SELECT count(exception_type) FROM spans WHERE {old}"))?;
        let with_events = if version < 5 { 0 } else { 2 };
        ensure!(exceptions == with_events, "{when}: {exceptions} exceptions");
        Ok(())
    }
}

/// Format versions for which there is a fixture.
fn fixtures() -> anyhow::Result<Vec<u32>> {
    let mut versions = Vec::new();
    for entry in std::fs::read_dir(folder())? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        versions.extend(
            name.strip_prefix('v').and_then(|name| name.strip_suffix(".json")).map(str::parse::<u32>).transpose()?,
        );
    }
    versions.sort_unstable();
    Ok(versions)
}

fn log_of(directory: &Path, table: &str) -> anyhow::Result<BTreeMap<PathBuf, String>> {
    let mut entries = BTreeMap::new();
    for entry in std::fs::read_dir(directory.join("tables").join(table).join("_delta_log"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            entries.insert(path.clone(), std::fs::read_to_string(path)?);
        }
    }
    Ok(entries)
}

/// The key of the property, as text in a table's log.
const VERSION_KEY: &str = "\"spanhouse.format_version\":\"";

/// What tables that this build creates say of their format.
fn current_version(directory: &Path) -> anyhow::Result<u32> {
    let log: String = log_of(directory, "spans")?.into_values().collect();
    let (_, behind) = log.split_once(VERSION_KEY).context("the table does not say its format")?;
    Ok(behind.split('"').next().unwrap_or_default().parse()?)
}

/// Spans of the fixtures' date, enough for attributes of theirs to get columns.
fn later() -> Vec<u8> {
    let attribute = |key: &str, value: any_value::Value| KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    };
    let text = |text: &str| any_value::Value::StringValue(text.to_owned());
    let spans = (1..=1_500_u64).map(|number| Span {
        trace_id: (u128::from(number) << 64 | 1).to_be_bytes().to_vec(),
        span_id: (number << 32).to_be_bytes().to_vec(),
        name: "work".to_owned(),
        // Two o'clock on 2025-11-20.
        start_time_unix_nano: 1_763_604_000_000_000_000 + number,
        end_time_unix_nano: 1_763_604_000_001_000_000 + number,
        attributes: vec![
            attribute("http.route", text("/checkout")),
            attribute("http.response.status_code", any_value::Value::IntValue(200)),
            attribute("mixed", any_value::Value::IntValue(7)),
            attribute("ratio", any_value::Value::DoubleValue(0.75)),
        ],
        ..Span::default()
    });
    let scope_spans = vec![ScopeSpans { spans: spans.collect(), ..ScopeSpans::default() }];
    let resource = Resource { attributes: vec![attribute("service.name", text("later"))], ..Resource::default() };
    let resource_spans = vec![ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

#[test]
fn every_format_version_has_a_fixture() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    drop(Server::on(directory.path()).start()?);
    let current = current_version(directory.path())?;
    let wanted: Vec<u32> = (1..=current).collect();
    let remedy =
        "commit, build, and run `tests/setup/format-fixture.py target/debug/spanhouse $(git rev-parse --short HEAD)`";
    ensure!(fixtures()? == wanted, "there are fixtures of {:?} instead of {wanted:?}: {remedy}", fixtures()?);
    Ok(())
}

#[test]
fn directories_of_every_format_version_are_read_written_and_merged() -> anyhow::Result<()> {
    for version in fixtures()? {
        read_written_and_merged(version).with_context(|| format!("format {version}"))?;
    }
    Ok(())
}

fn read_written_and_merged(version: u32) -> anyhow::Result<()> {
    let fixture = Fixture::unpack(version)?;
    let checked = spanhouse(&["repair", "--check", "--data", &fixture.path()]).output()?;
    ensure!(checked.status.success(), "{checked:?}");
    let spans = "SELECT count(*) FROM spans";
    let read = spanhouse(&["sql", spans, "--format", "csv", "--data", &fixture.path()]).output()?;
    let read = String::from_utf8_lossy(&read.stdout).into_owned();

    let mut server = fixture.server().start()?;
    let old = server.count(spans)?;
    ensure!(read.lines().nth(1) == Some(old.to_string().as_str()), "{read}");
    fixture.check(&server, "as it was")?;

    let sent = server.export(&later(), None)?;
    ensure!(sent.status == 200, "{}", sent.text());
    // What the fixture's log had undecided is decided by now if it is older than that may be.
    let pending = "SELECT count(*) FROM spans WHERE keep_reason = 'pending' AND service_name = 'later'";
    server.wait_until("what was sent is decided", |server| Ok(server.count(pending)? == 0))?;
    server.flush()?;
    ensure!(
        log_of(fixture.directory.path(), "spans")?
            .values()
            .any(|entry| entry.contains("attributes__text__http__route"))
    );
    fixture.check(&server, "once more was flushed")?;

    let to = format!("http://{}", server.http());
    let compacted = spanhouse(&["compact", "--to-the-end", "--to", &to]).output()?;
    ensure!(compacted.status.success(), "{compacted:?}");
    fixture.check(&server, "once it was merged")?;
    let date = fixture.directory.path().join("tables/spans/date=2025-11-20");
    let names =
        std::fs::read_dir(date)?.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()));
    ensure!(names.into_iter().any(|name| name.contains("compacted")), "nothing was merged");
    ensure!(server.count(spans)? == old + 1_500);

    let (status, log) = server.stop()?;
    ensure!(status.success(), "{log}");
    let server = server.start_again()?;
    fixture.check(&server, "after a restart")?;
    ensure!(server.count(spans)? == old + 1_500);
    let text = "SELECT count(*) FROM spans WHERE attributes['http.route'] = '/checkout' AND service_name = 'later'";
    ensure!(server.count(text)? == 1_500);
    Ok(())
}

const SQL: &[&str] = &["sql", "SELECT count(*) FROM spans", "--data"];
const CHECK: &[&str] = &["repair", "--check", "--data"];
const REPAIR: &[&str] = &["repair", "--yes", "--data"];

/// The commands and a server refuse the directory in these words.
fn refused(fixture: &Fixture, commands: &[&[&str]], words: &[&str]) -> anyhow::Result<()> {
    let mut answers = Vec::new();
    for command in commands {
        let output = spanhouse(&[command, &[fixture.path().as_str()][..]].concat()).output()?;
        ensure!(!output.status.success(), "{command:?}: {output:?}");
        answers.push((command.join(" "), String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let Err(error) = fixture.server().start() else { bail!("a server started") };
    answers.push(("serve".to_owned(), error.to_string()));
    for (command, said) in answers {
        ensure!(words.iter().all(|word| said.contains(word)), "{command} does not say {words:?}: {said}");
    }
    Ok(())
}

#[test]
fn tables_of_a_later_format_are_refused_by_name() -> anyhow::Result<()> {
    let newest = fixtures()?.into_iter().max().context("no fixtures")?;
    for table in TABLES {
        let fixture = Fixture::unpack(newest)?;
        for (path, entry) in log_of(fixture.directory.path(), table)? {
            let (now, then) = (format!("{VERSION_KEY}{newest}\""), format!("{VERSION_KEY}{}\"", newest + 1));
            std::fs::write(path, entry.replace(&now, &then))?;
        }
        let later = format!("format {}", newest + 1);
        // A repair asks the spans alone what is stored.
        let commands = if table == "spans" { &[SQL, CHECK, REPAIR][..] } else { &[SQL] };
        refused(&fixture, commands, &[&format!("table {table}"), &later, "use the version that wrote it"])?;
    }
    Ok(())
}

#[test]
fn a_log_of_a_later_format_is_refused_by_name() -> anyhow::Result<()> {
    let fixture = Fixture::unpack(fixtures()?.into_iter().max().context("no fixtures")?)?;
    let wal = fixture.directory.path().join("wal");
    let mut logs = std::fs::read_dir(&wal)?.filter_map(|entry| Some(entry.ok()?.path()));
    let newest = logs.find(|path| path.extension().is_some_and(|extension| extension == "log")).context("no log")?;
    let mut bytes = std::fs::read(&newest)?;
    // All behind the name may mean something else there.
    bytes.splice(..8, *b"SPANWAL2");
    bytes.iter_mut().skip(16).for_each(|byte| *byte ^= 0x5A);
    std::fs::write(&newest, &bytes)?;
    let name = newest.file_name().context("no name")?.to_string_lossy().into_owned();
    refused(&fixture, &[SQL, CHECK, REPAIR], &[&name, "format 2", "use the version that wrote it"])?;
    ensure!(std::fs::read(&newest)? == bytes && std::fs::read_dir(&wal)?.count() == 2, "the log was touched");
    Ok(())
}
