//! What is printed: a line a run, a table of medians and raw values, one line of JSON.

use std::fmt::Write;

use bench::corpus::Corpus;
use bench::figures::{Figures, find, median};
use bench::options::Options;
use serde_json::{Map, Value, json};

use crate::phase::Phase;

/// What a figure should be at most, on two cores.
fn target(phase: Phase, name: &str, medians: &Figures) -> Option<f64> {
    match (phase, name) {
        (Phase::Buffer, "server_cpu_seconds_per_million_spans") => Some(1.0),
        (Phase::Segments, "server_cpu_seconds_per_million_spans") => Some(4.0),
        (Phase::Segments, "peak_memory_mib") => Some(300.0),
        (_, "ack_p99_ms") => find(medians, "ack_p99_limit_ms"),
        (_, "sender_cpu_seconds_per_million_spans") => Some(0.2),
        _ => None,
    }
}

/// The main figures of one run.
pub fn line(phase: Phase, figures: &Figures) -> String {
    let figure = |name| number(find(figures, name).unwrap_or_default());
    format!(
        "{:<9} {} CPU-s a million spans, {} spans/s, ack p50 {} ms, p99 {} ms, peak {} MiB",
        phase.name(),
        figure("server_cpu_seconds_per_million_spans"),
        figure("spans_per_second"),
        figure("ack_p50_ms"),
        figure("ack_p99_ms"),
        figure("peak_memory_mib"),
    )
}

pub fn table(runs: &[(Phase, Figures)]) -> String {
    let mut text = String::new();
    for phase in Phase::ALL {
        let (medians, values) = medians(phase, runs);
        // Writing to a string does not fail.
        let _ = writeln!(text, "\n{:<52} {:>12}  {:<18} values", format!("to {}", phase.name()), "median", "target");
        for ((name, median), values) in medians.iter().zip(&values) {
            let target = target(phase, name, &medians).map_or_else(String::new, |target| {
                format!("<= {} {}", number(target), if *median <= target { "met" } else { "MISSED" })
            });
            let values: Vec<String> = values.iter().map(|value| number(*value)).collect();
            let _ = writeln!(text, "{name:<52} {:>12}  {target:<18} {}", number(*median), values.join("  "));
        }
    }
    text.push('\n');
    text
}

pub fn json(options: &Options, corpus: &Corpus, runs: &[(Phase, Figures)]) -> Value {
    let phases: Map<String, Value> = Phase::ALL
        .into_iter()
        .map(|phase| {
            let (medians, values) = medians(phase, runs);
            let figures = medians
                .iter()
                .zip(&values)
                .map(|((name, median), values)| ((*name).to_owned(), json!({"median": rounded(*median), "values": values.iter().copied().map(rounded).collect::<Vec<_>>()})));
            (phase.name().to_owned(), Value::Object(figures.collect()))
        })
        .collect();
    json!({
        "bench": "ingest",
        "server": options.server.display().to_string(),
        "sending": options.sending.to_string(),
        "durability": options.durability,
        "corpus": {
            "name": corpus.name,
            "spans": corpus.spans,
            "requests": corpus.requests.len(),
            "inflated_bytes": corpus.inflated_bytes,
            "wire_bytes": corpus.wire_bytes,
        },
        "phases": phases,
    })
}

/// Medians of a phase, and for each the values it comes from.
fn medians(phase: Phase, runs: &[(Phase, Figures)]) -> (Figures, Vec<Vec<f64>>) {
    let runs: Vec<&Figures> = runs.iter().filter(|(of, _)| *of == phase).map(|(_, figures)| figures).collect();
    let names = runs.first().into_iter().flat_map(|figures| figures.iter().map(|(name, _)| *name));
    names
        .map(|name| {
            let values: Vec<f64> = runs.iter().filter_map(|figures| find(figures, name)).collect();
            ((name, median(&values)), values)
        })
        .unzip()
}

fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// As many digits as tell something.
fn number(value: f64) -> String {
    match value.abs() {
        _ if value == value.trunc() => format!("{value:.0}"),
        1_000.0.. => format!("{value:.0}"),
        100.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs() -> Vec<(Phase, Figures)> {
        let run = |cpu, limit| {
            (
                Phase::Buffer,
                vec![("server_cpu_seconds_per_million_spans", cpu), ("ack_p99_ms", 9.0), ("ack_p99_limit_ms", limit)],
            )
        };
        vec![run(1.5, 10.0), run(0.5, 8.0), run(0.75, 8.5), (Phase::Segments, vec![("peak_memory_mib", 300.0)])]
    }

    #[test]
    fn medians_meet_or_miss_their_targets() {
        let table = table(&runs());
        let line = |name: &str| {
            table.lines().find(|line| line.starts_with(name)).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(line("server_cpu"), "server_cpu_seconds_per_million_spans 0.75 <= 1 met 1.50 0.50 0.75");
        assert_eq!(line("ack_p99_ms"), "ack_p99_ms 9 <= 8.50 MISSED 9 9 9");
        assert_eq!(line("peak"), "peak_memory_mib 300 <= 300 met 300");
    }

    #[test]
    fn numbers_keep_what_tells_something() {
        let numbers = [3.0, 0.123, 45.678, 345.67, 98_765.4];
        assert_eq!(numbers.map(number), ["3", "0.12", "45.68", "345.7", "98765"]);
    }
}
