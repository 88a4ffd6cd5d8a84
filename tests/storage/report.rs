//! What is printed: bytes by table and column, a table a question, ratios; and JSON with the raw values.

use std::fmt::Write;

use bench::corpus::Corpus;
use bench::figures::millis;
use bench::proc::Usage;
use bench::server::Metrics;
use serde_json::{Map, Value, json};

use crate::ask::System;
use crate::floor::Floors;
use crate::footprint::{Footprint, Table};
use crate::options::Options;
use crate::peers::Outcome;
use crate::questions::Questions;

/// Columns below it are printed as one, bytes a span.
const SMALL: f64 = 0.01;

#[derive(Debug)]
pub struct Report<'a> {
    pub options: &'a Options,
    pub corpus: &'a Corpus,
    pub footprint: &'a Footprint,
    pub ours: &'a [System],
    pub peers: &'a Outcome,
}

// Writing to a string does not fail, here and below.

pub fn storage(footprint: &Footprint, floors: &Floors) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "\n{:<44} {:>9} {:>8} {:>10} {:>10} {:>8}",
        "table", "rows", "segments", "bytes", "log", "B/span"
    );
    for (name, table) in &footprint.tables {
        let (bytes, log) = (table.bytes(), table.log_bytes);
        let per_span = footprint.per_span(bytes);
        let _ =
            writeln!(text, "{name:<44} {:>9} {:>8} {bytes:>10} {log:>10} {per_span:>8.2}", table.rows, table.segments);
    }
    for (name, table) in &footprint.tables {
        let _ = writeln!(
            text,
            "\n{:<44} {:>9} {:>9} {:>8} {:>8} encodings",
            format!("column of {name}"),
            "bytes",
            "inflated",
            "B/span",
            "floor"
        );
        text.push_str(&columns(name, table, footprint, floors));
    }
    let floor: f64 = floors.iter().map(|(_, bytes)| bytes).sum();
    let _ = writeln!(text, "\n{:<52} {:>8}", "sum", "B/span");
    let sums = [
        ("spans without derived columns, with its log", footprint.per_span(footprint.received_bytes())),
        ("spans, with its log", footprint.per_span(footprint.tables.get("spans").map_or(0, Table::bytes))),
        ("everything", footprint.per_span(footprint.bytes())),
        ("floor of ids and times (start_time with start_nanos)", floor),
    ];
    for (name, bytes) in sums {
        let _ = writeln!(text, "{name:<52} {bytes:>8.2}");
    }
    text
}

/// The sums alone.
pub fn sums(what: &str, footprint: &Footprint) -> String {
    let [received, spans, all] =
        [footprint.received_bytes(), footprint.tables.get("spans").map_or(0, Table::bytes), footprint.bytes()]
            .map(|bytes| footprint.per_span(bytes));
    format!("{what}: {all:.2} bytes a span, spans {spans:.2}, without derived columns {received:.2}")
}

/// What a compaction took.
pub fn compaction(usage: &Usage, spans: u64) -> String {
    let cpu_micros = usage.cpu().as_secs_f64() * 1e6 / spans.max(1) as f64;
    let peak_mib = usage.peak_memory_bytes >> 20;
    format!("compaction: {cpu_micros:.2} us of CPU a span; peak memory of the server {peak_mib} MiB")
}

/// What the server knows of where traces are, without which they are searched.
pub fn trace_index(metrics: &Metrics) -> anyhow::Result<String> {
    let value = |name: &str| metrics.value(&format!("spanhouse_trace_index_{name}"));
    let mib = |name: &str| Ok::<_, anyhow::Error>(value(name)? / f64::from(1 << 20));
    Ok(format!(
        "trace index: {} segments, {} with rows, {:.1} of {:.0} MiB",
        value("segments")?,
        value("segments_with_rows")?,
        mib("bytes")?,
        mib("budget_bytes")?
    ))
}

fn columns(table_name: &str, table: &Table, footprint: &Footprint, floors: &Floors) -> String {
    let mut text = String::new();
    let (mut small, mut small_bytes) = (0, 0);
    for (name, column) in &table.columns {
        let floor = floors.iter().find(|(known, _)| table_name == "spans" && known == name).map(|(_, bytes)| bytes);
        let per_span = footprint.per_span(column.bytes);
        if per_span < SMALL && floor.is_none() {
            small += 1;
            small_bytes += column.bytes;
            continue;
        }
        let floor = floor.map_or_else(String::new, |bytes| format!("{bytes:.2}"));
        let words: Vec<&str> = column.encodings.iter().chain(&column.compressions).map(String::as_str).collect();
        let (bytes, inflated) = (column.bytes, column.inflated_bytes);
        let _ = writeln!(text, "{name:<44} {bytes:>9} {inflated:>9} {per_span:>8.2} {floor:>8} {}", words.join(" "));
    }
    let others = [
        (format!("{small} columns below {SMALL}"), small_bytes),
        ("blooms".to_owned(), table.bloom_bytes),
        ("page indexes".to_owned(), table.index_bytes),
        ("footers".to_owned(), table.footer_bytes),
        ("Delta log".to_owned(), table.log_bytes),
    ];
    for (name, bytes) in others {
        let _ = writeln!(text, "{name:<44} {bytes:>9} {:>9} {:>8.2}", "", footprint.per_span(bytes));
    }
    text
}

/// A table a question, with ratios to the first system.
pub fn answers(questions: &Questions, systems: &[&[System]]) -> String {
    let mut text = String::new();
    for question in &questions.all {
        let _ = writeln!(
            text,
            "\n{:<64} {:>9} {:>5} {:>9} {:>9} {:>9} {:>8} {:>8}",
            question.title, "spans", "runs", "p50 ms", "p95 ms", "CPU ms", "p50 x", "CPU x"
        );
        let mut first = None;
        for system in systems.iter().copied().flatten() {
            let Some(timing) = system.answer(&question.name) else { continue };
            let (p50, p95, cpu) = (timing.percentile_ms(50), timing.percentile_ms(95), timing.cpu_ms);
            let (first_p50, first_cpu) = *first.get_or_insert((p50, cpu));
            let _ = writeln!(
                text,
                "{:<64} {:>9} {:>5} {p50:>9.2} {p95:>9.2} {cpu:>9.2} {:>8} {:>8}",
                system.name,
                system.spans,
                timing.latencies.len(),
                ratio(p50, first_p50),
                ratio(cpu, first_cpu)
            );
        }
    }
    text
}

/// What took less than a tick of the clock has no ratio.
fn ratio(value: f64, to: f64) -> String {
    if to > 0.0 { format!("{:.2}", value / to) } else { "-".to_owned() }
}

impl Report<'_> {
    pub fn text(&self, questions: &Questions) -> String {
        let mut text = answers(questions, &[self.ours, &self.peers.systems]);
        let _ =
            writeln!(text, "\n{:<40} {:<24} {:>9} {:>12} {:>8} {:>6}", "stored", "", "spans", "bytes", "B/span", "x");
        let ours = self.footprint.per_span(self.footprint.bytes());
        let mut line = |system: &str, part: &str, spans: u64, bytes: u64| {
            let per_span = bytes as f64 / spans as f64;
            let _ = writeln!(
                text,
                "{system:<40} {part:<24} {spans:>9} {bytes:>12} {per_span:>8.2} {:>6}",
                ratio(per_span, ours)
            );
        };
        line("Spanhouse", "everything", self.footprint.spans, self.footprint.bytes());
        for stored in &self.peers.stored {
            line(&stored.system, "everything", stored.spans, stored.parts.iter().map(|(_, bytes)| bytes).sum());
            for (part, bytes) in &stored.parts {
                line("", part, stored.spans, *bytes);
            }
        }
        for missing in &self.peers.missing {
            let _ = writeln!(text, "missing: {missing}");
        }
        text.push('\n');
        text
    }

    pub fn json(&self, questions: &Questions, floors: &Floors) -> Value {
        let footprint = self.footprint;
        let tables = footprint.tables.iter().map(|(name, table)| (name.clone(), table_json(table)));
        let asked = questions.all.iter().map(|question| (question.name.clone(), json!(question.title)));
        json!({
            "bench": "storage",
            "server": self.options.sending.server.display().to_string(),
            "corpus": {"name": self.corpus.name, "spans": self.corpus.spans, "requests": self.corpus.requests.len()},
            "spans": footprint.spans,
            "bytes_per_span": {
                "received": footprint.per_span(footprint.received_bytes()),
                "spans": footprint.per_span(footprint.tables.get("spans").map_or(0, Table::bytes)),
                "everything": footprint.per_span(footprint.bytes()),
            },
            "floors": floors.iter().map(|(name, bytes)| ((*name).to_owned(), json!(bytes))).collect::<Map<_, _>>(),
            "tables": tables.collect::<Map<_, _>>(),
            "questions": asked.collect::<Map<_, _>>(),
            "answers": self.ours.iter().map(system_json).collect::<Vec<_>>(),
            "peers": self.peers.raw,
        })
    }
}

fn table_json(table: &Table) -> Value {
    let columns = table.columns.iter().map(|(name, column)| {
        json!({
            "name": name,
            "bytes": column.bytes,
            "inflated_bytes": column.inflated_bytes,
            "encodings": column.encodings,
            "compressions": column.compressions,
        })
    });
    json!({
        "rows": table.rows,
        "segments": table.segments,
        "columns": columns.collect::<Vec<_>>(),
        "bloom_bytes": table.bloom_bytes,
        "index_bytes": table.index_bytes,
        "footer_bytes": table.footer_bytes,
        "log_bytes": table.log_bytes,
    })
}

fn system_json(system: &System) -> Value {
    let answers = system.answers.iter().map(|(question, timing)| {
        let latencies: Vec<f64> = timing.latencies.iter().map(|latency| millis(*latency)).collect();
        (question.clone(), json!({"latencies_ms": latencies, "cpu_ms": timing.cpu_ms, "tally": timing.tally}))
    });
    json!({"name": system.name, "spans": system.spans, "answers": answers.collect::<Map<_, _>>()})
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::ask::Timing;
    use crate::footprint::Column;
    use crate::questions::{Kind, Question};

    fn words(text: &str, start: &str) -> String {
        let line = text.lines().find(|line| line.starts_with(start)).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn small_columns_are_one_line() {
        let column = |bytes| Column { bytes, inflated_bytes: bytes, ..Column::default() };
        let columns = [("span_id", 800), ("kind", 0), ("flags", 0), ("is_root", 25)];
        let columns = columns.map(|(name, bytes)| (name.to_owned(), column(bytes))).into();
        let spans = Table { rows: 100, segments: 1, columns, log_bytes: 75, ..Table::default() };
        let footprint = Footprint { spans: 100, tables: BTreeMap::from([("spans".to_owned(), spans)]) };
        let text = storage(&footprint, &vec![("span_id", 7.5)]);
        assert_eq!(words(&text, "span_id"), "span_id 800 800 8.00 7.50");
        assert_eq!(words(&text, "2 columns"), "2 columns below 0.01 0 0.00");
        assert_eq!(words(&text, "spans without"), "spans without derived columns, with its log 8.75");
        assert_eq!(words(&text, "everything"), "everything 9.00");
    }

    #[test]
    fn ratios_are_to_the_first() {
        let system = |name: &str, latency, cpu_ms| {
            let timing = Timing { latencies: vec![Duration::from_millis(latency); 3], cpu_ms, tally: 1 };
            System { name: name.to_owned(), spans: 9, answers: vec![("count".to_owned(), timing)] }
        };
        let question = Question {
            name: "count".to_owned(),
            title: "how many".to_owned(),
            kind: Kind::Count,
            parameters: Vec::new(),
        };
        let questions = Questions { all: vec![question], trace_spans: 0 };
        let text = answers(&questions, &[&[system("ours", 2, 0.0)], &[system("theirs", 5, 4.0)]]);
        assert_eq!(words(&text, "ours"), "ours 9 3 2.00 2.00 0.00 1.00 -");
        assert_eq!(words(&text, "theirs"), "theirs 9 3 5.00 5.00 4.00 2.50 -");
    }
}
