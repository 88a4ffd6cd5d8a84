//! What the environment asks for, beside what every bench of a server takes.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

/// More spans are the same corpus again, renewed.
const MAX_CORPUS_SPANS: u64 = 1_000_000;
const PEERS: [&str; 2] = ["clickhouse", "postgres"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Server, corpus and sender.
    pub sending: bench::options::Options,
    pub spans: u64,
    /// Of each question.
    pub queries: usize,
    /// Of [`PEERS`].
    pub peers: Vec<String>,
    pub python: PathBuf,
    pub postgres_spans: u64,
    json: Option<PathBuf>,
}

impl Options {
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let text = |name: &str| variable(name).filter(|value| !value.is_empty());
        let number = |name: &str, default: u64, range: std::ops::RangeInclusive<u64>| {
            let Some(value) = text(name) else { return Ok(default) };
            let number = value.parse().ok().filter(|number| range.contains(number));
            number.with_context(|| format!("{name}={value}, but it takes a number from {range:?}"))
        };
        let mut sending = bench::options::Options::from_environment(&variable)?;
        let spans = sending.spans;
        sending.spans = spans.min(MAX_CORPUS_SPANS);
        // Bodies are looked into.
        sending.sending.encoding = demo::send::Compression::None;
        let peers = match text("PEERS").as_deref() {
            None => PEERS.map(str::to_owned).to_vec(),
            Some("none") => Vec::new(),
            Some(names) => names.split(',').map(str::to_owned).collect(),
        };
        for peer in &peers {
            ensure!(PEERS.contains(&peer.as_str()), "PEERS={peer}, but it takes none or some of {}", PEERS.join(","));
        }
        Ok(Self {
            sending,
            spans,
            queries: usize::try_from(number("QUERIES", 100, 1..=100_000)?)?,
            peers,
            python: text("PYTHON").unwrap_or_else(|| "python3".to_owned()).into(),
            postgres_spans: number("POSTGRES_SPANS", 200_000, 1..=MAX_CORPUS_SPANS)?,
            json: text("JSON").map(PathBuf::from),
        })
    }

    /// Where the raw values go.
    pub fn output(&self, folder: &Path) -> PathBuf {
        self.json.clone().unwrap_or_else(|| folder.join("storage.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(variables: &[(&str, &str)]) -> anyhow::Result<Options> {
        Options::from_environment(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn many_spans_are_few_again_and_again() {
        let options = options(&[("SPANS", "20000000"), ("ENCODING", "gzip")]).unwrap();
        assert_eq!((options.spans, options.sending.spans), (20_000_000, MAX_CORPUS_SPANS));
        assert_eq!(options.sending.sending.encoding, demo::send::Compression::None);
    }

    #[test]
    fn peers_can_be_chosen_or_left_out() {
        assert_eq!(options(&[]).unwrap().peers, ["clickhouse", "postgres"]);
        assert_eq!(options(&[("PEERS", "postgres")]).unwrap().peers, ["postgres"]);
        assert!(options(&[("PEERS", "none")]).unwrap().peers.is_empty());
        assert!(options(&[("PEERS", "clickhouse,oracle")]).unwrap_err().to_string().contains("PEERS=oracle"));
    }
}
