//! What the environment asks for. Every option has a default.

use std::fmt;
use std::path::PathBuf;

use anyhow::{Context, bail};
use demo::send::Compression;

const MAX_CONNECTIONS: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Http,
    Grpc,
}

/// How requests are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sending {
    pub transport: Transport,
    pub encoding: Compression,
    /// Each has one request under way at a time.
    pub connections: usize,
    /// 0: as fast as the server acknowledges.
    pub spans_per_second: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// A file of requests; without one the shop's are generated.
    pub corpus: Option<PathBuf>,
    pub spans: u64,
    pub runs: usize,
    pub sending: Sending,
    /// `fsync` or `os`.
    pub durability: String,
    pub server: PathBuf,
}

impl Options {
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let text = |name: &str| variable(name).filter(|value| !value.is_empty());
        let number = |name: &str, default: u64, range: std::ops::RangeInclusive<u64>| {
            let Some(value) = text(name) else { return Ok(default) };
            let number = value.parse().ok().filter(|number| range.contains(number));
            number.with_context(|| format!("{name}={value}, but it takes a number from {range:?}"))
        };
        let transport = match text("TRANSPORT").as_deref() {
            None | Some("http") => Transport::Http,
            Some("grpc") => Transport::Grpc,
            Some(other) => bail!("TRANSPORT={other}, but it takes http or grpc"),
        };
        let encoding = match text("ENCODING").as_deref() {
            None | Some("identity") => Compression::None,
            Some("zstd") => Compression::Zstd,
            Some("gzip") => Compression::Gzip,
            Some(other) => bail!("ENCODING={other}, but it takes identity, zstd or gzip"),
        };
        let durability = text("DURABILITY").unwrap_or_else(|| "fsync".to_owned());
        if !["fsync", "os"].contains(&durability.as_str()) {
            bail!("DURABILITY={durability}, but it takes fsync or os");
        }
        let server = match text("SERVER") {
            Some(path) => PathBuf::from(path),
            None => target_folder()?.join("release").join("spanhouse"),
        };
        Ok(Self {
            corpus: text("CORPUS").map(PathBuf::from),
            spans: number("SPANS", 1_000_000, 1..=1_000_000_000)?,
            runs: usize::try_from(number("RUNS", 3, 1..=1_000)?)?,
            sending: Sending {
                transport,
                encoding,
                connections: usize::try_from(number("CONNECTIONS", 4, 1..=MAX_CONNECTIONS as u64)?)?,
                spans_per_second: number("RATE", 0, 0..=1_000_000_000)?,
            },
            durability,
            server,
        })
    }
}

impl fmt::Display for Sending {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = match self.transport {
            Transport::Http => "http",
            Transport::Grpc => "grpc",
        };
        let encoding = self.encoding.name().unwrap_or("identity");
        write!(out, "OTLP/{transport}, {encoding}, {} connections, ", self.connections)?;
        match self.spans_per_second {
            0 => write!(out, "flood"),
            rate => write!(out, "{rate} spans/s"),
        }
    }
}

/// Cargo's target folder, in which this program lies as `release/bench`.
pub fn target_folder() -> anyhow::Result<PathBuf> {
    let mut path = std::env::current_exe().context("this program does not know where it lies")?;
    path.pop();
    path.pop();
    Ok(path)
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
    fn everything_has_a_default() {
        let options = options(&[("RATE", "")]).unwrap();
        assert_eq!((options.runs, options.spans, options.sending.spans_per_second), (3, 1_000_000, 0));
        assert_eq!(options.sending.to_string(), "OTLP/http, identity, 4 connections, flood");
        assert!(options.server.ends_with("release/spanhouse"), "{options:?}");
    }

    #[test]
    fn what_is_asked_for_is_taken() {
        let asked = [("ENCODING", "zstd"), ("TRANSPORT", "grpc"), ("CONNECTIONS", "9"), ("RATE", "50000")];
        let options = options(&asked).unwrap();
        assert_eq!(options.sending.to_string(), "OTLP/grpc, zstd, 9 connections, 50000 spans/s");
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (name, value) in [("RUNS", "0"), ("SPANS", "many"), ("ENCODING", "lz4"), ("DURABILITY", "none")] {
            let error = options(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(&format!("{name}={value}")), "{error}");
        }
    }
}
