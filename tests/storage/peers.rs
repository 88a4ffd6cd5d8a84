//! The same rows and questions for other systems, by `peers.py`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use bench::corpus::Corpus;
use serde_json::Value;

use crate::ask::{System, Timing};
use crate::options::Options;
use crate::questions::Questions;
use crate::rows;

/// What each of them stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub system: String,
    /// Of rows with indexes and side tables; what the parts are is the system's own affair.
    pub parts: Vec<(String, u64)>,
    pub spans: u64,
}

#[derive(Debug, Default)]
pub struct Outcome {
    pub systems: Vec<System>,
    pub stored: Vec<Stored>,
    /// Who could not take part, and why.
    pub missing: Vec<String>,
    /// As it came.
    pub raw: Value,
}

pub fn measure(options: &Options, folder: &Path, corpus: &Corpus, questions: &Questions) -> anyhow::Result<Outcome> {
    let work = tempfile::Builder::new().prefix("peers-").tempdir_in(folder).context("no folder for peers")?;
    let (rows, asked, outcome) =
        (work.path().join("rows.jsonl"), work.path().join("questions.json"), work.path().join("outcome.json"));
    let mut out = BufWriter::new(File::create(&rows)?);
    for request in &corpus.requests {
        rows::write(&request.body, &mut out)?;
    }
    out.flush()?;
    std::fs::write(&asked, questions.json().to_string())?;
    let status = Command::new(&options.python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("peers.py"))
        .arg("--peers")
        .arg(options.peers.join(","))
        .args(["--postgres-spans", &options.postgres_spans.to_string()])
        .args([&rows, &asked, &outcome])
        .status()
        .with_context(|| format!("cannot start {}", options.python.display()))?;
    ensure!(status.success(), "peers.py ended with {status}");
    let text = std::fs::read_to_string(&outcome).context("peers.py left no outcome")?;
    parse(serde_json::from_str(&text)?)
}

fn parse(raw: Value) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome { missing: serde_json::from_value(raw["missing"].clone())?, ..Outcome::default() };
    for system in raw["systems"].as_array().context("no systems")? {
        let (name, spans) = (text(system, "name")?, number(system, "spans")?);
        let mut answers = Vec::new();
        for (question, answer) in system["answers"].as_object().context("no answers")? {
            let latencies: Vec<f64> = serde_json::from_value(answer["latencies_ms"].clone())?;
            let latencies = latencies.into_iter().map(|millis| Duration::from_secs_f64(millis / 1e3)).collect();
            let cpu_ms = answer["cpu_ms"].as_f64().context("no cpu_ms")?;
            answers.push((question.clone(), Timing { latencies, cpu_ms, tally: number(answer, "tally")? }));
        }
        let parts = system["stored_bytes"].as_object().context("no stored_bytes")?;
        let parts = parts.iter().filter_map(|(part, bytes)| Some((part.clone(), bytes.as_u64()?))).collect();
        outcome.stored.push(Stored { system: name.clone(), parts, spans });
        outcome.systems.push(System { name, spans, answers });
    }
    outcome.raw = raw;
    Ok(outcome)
}

fn text(of: &Value, name: &str) -> anyhow::Result<String> {
    of[name].as_str().map(str::to_owned).with_context(|| format!("no {name}"))
}

fn number(of: &Value, name: &str) -> anyhow::Result<u64> {
    of[name].as_u64().with_context(|| format!("no {name}"))
}

/// Whoever has the same spans must have found the same.
pub fn agree(ours: &[System], peers: &[System], copies: u64) -> anyhow::Result<()> {
    let Some((first, others)) = ours.split_first() else { return Ok(()) };
    // In copies there is more to find.
    let peers = peers.iter().filter(|peer| copies == 1 && peer.spans == first.spans);
    for other in others.iter().chain(peers) {
        for (question, found) in &other.answers {
            let Some(expected) = first.answer(question) else { continue };
            let comparable = expected.latencies.len() == found.latencies.len();
            let (name, tally) = (&other.name, expected.tally);
            ensure!(!comparable || found.tally == tally, "{question}: {name} found {}, not {tally}", found.tally);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn system(spans: u64, tally: u64) -> System {
        let timing = Timing { latencies: vec![Duration::from_millis(2); 2], cpu_ms: 1.0, tally };
        System { name: "other".to_owned(), spans, answers: vec![("count".to_owned(), timing)] }
    }

    #[test]
    fn outcomes_are_read() {
        let answer = json!({"latencies_ms": [2.0, 2.0], "cpu_ms": 1.0, "tally": 14});
        let raw = json!({
            "systems": [{
                "name": "other",
                "spans": 7,
                "stored_bytes": {"rows": 70, "indexes": 30},
                "answers": {"count": answer},
            }],
            "missing": ["PostgreSQL: not here"],
        });
        let outcome = parse(raw).unwrap();
        assert_eq!(outcome.systems[0].answer("count"), system(7, 14).answer("count"));
        assert_eq!(outcome.stored[0].parts, [("indexes".to_owned(), 30), ("rows".to_owned(), 70)]);
        assert_eq!(outcome.missing, ["PostgreSQL: not here"]);
        assert!(parse(json!({"missing": []})).unwrap_err().to_string().contains("systems"));
    }

    #[test]
    fn who_has_the_same_spans_finds_the_same() {
        let ours = [system(7, 14)];
        assert!(agree(&ours, &[system(7, 14), system(3, 6)], 1).is_ok());
        assert!(agree(&ours, &[system(7, 13)], 1).unwrap_err().to_string().contains("other found 13, not 14"));
        assert!(agree(&ours, &[system(7, 13)], 2).is_ok());
    }
}
