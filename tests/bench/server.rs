//! A `spanhouse serve` on free ports, without settings from outside.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::http::Connection;
use crate::proc::Usage;

const LISTENERS: [&str; 5] = ["--otlp-grpc", "--otlp-http", "--http", "--sampling-http", "--sampling-grpc"];
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// A drain writes all that is in memory.
const STOP_TIMEOUT: Duration = Duration::from_secs(300);
/// Of twenty million spans it takes minutes.
const COMPACT_TIMEOUT: Duration = Duration::from_secs(3_600);
const FLUSH_TIMEOUT: Duration = Duration::from_secs(300);
/// Less than 3 % of a core over so many looks in a row is rest.
const REST_LOOKS: u32 = 4;
const REST_LOOK: Duration = Duration::from_millis(500);
const REST_CPU: Duration = Duration::from_millis(15);
const REST_TIMEOUT: Duration = Duration::from_secs(240);

#[derive(Debug)]
pub struct Server {
    child: Child,
    addresses: BTreeMap<String, SocketAddr>,
    log: Option<JoinHandle<String>>,
}

impl Server {
    /// Starts it, and waits until it is ready.
    pub fn start(binary: &Path, data: &Path, settings: &[(&str, String)]) -> anyhow::Result<Self> {
        let mut command = Command::new(binary);
        command.arg("serve").arg("--data").arg(data);
        for flag in LISTENERS {
            command.args([flag, "127.0.0.1:0"]);
        }
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SPANHOUSE_") {
                command.env_remove(name);
            }
        }
        command.envs(settings.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start {}", binary.display()))?;
        let stdout = child.stdout.take().context("no standard output")?;
        let mut stderr = child.stderr.take().context("no standard error")?;
        let log = std::thread::spawn(move || {
            let mut log = Vec::new();
            let _ = stderr.read_to_end(&mut log);
            String::from_utf8_lossy(&log).into_owned()
        });
        let mut server = Self { child, addresses: BTreeMap::new(), log: Some(log) };
        let mut lines = BufReader::new(stdout).lines();
        while server.addresses.len() < LISTENERS.len() {
            let Some(Ok(line)) = lines.next() else {
                bail!("the server did not start:\n{}", server.end());
            };
            if let Some((name, rest)) = line.split_once(" listening on ") {
                let address = rest.split(": ").next().unwrap_or(rest);
                server.addresses.insert(name.to_owned(), address.parse().with_context(|| line.clone())?);
            }
        }
        // Whoever prints must find a reader until the end.
        std::thread::spawn(move || lines.for_each(drop));
        let deadline = Instant::now() + START_TIMEOUT;
        while server.connect()?.get("/readyz")?.status != 200 {
            ensure!(Instant::now() < deadline, "the server is not ready after {START_TIMEOUT:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    pub fn address(&self, name: &str) -> anyhow::Result<SocketAddr> {
        self.addresses.get(name).copied().with_context(|| format!("the server does not listen for {name}"))
    }

    fn connect(&self) -> anyhow::Result<Connection> {
        Connection::open(self.address("http")?)
    }

    pub fn usage(&self) -> anyhow::Result<Usage> {
        Usage::of(self.child.id())
    }

    pub fn metrics(&self) -> anyhow::Result<Metrics> {
        let answer = self.connect()?.get("/metrics")?;
        ensure!(answer.status == 200, "/metrics: {} {}", answer.status, answer.text());
        Ok(Metrics::parse(&answer.text()))
    }

    /// Everything in memory becomes segments.
    pub fn flush(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + FLUSH_TIMEOUT;
        loop {
            let answer = self.connect()?.post_json("/api/spanhouse/flush", &json!({}))?;
            match answer.status {
                200 => return Ok(()),
                429 | 503 if Instant::now() < deadline => {
                    std::thread::sleep(answer.retry_after.unwrap_or(Duration::from_secs(1)));
                }
                status => bail!("flush: {status} {}", answer.text()),
            }
        }
    }

    /// Small segments become large ones, as many dates later.
    pub fn compact(&self) -> anyhow::Result<()> {
        let mut connection = self.connect()?;
        connection.wait_for(COMPACT_TIMEOUT)?;
        let answer = connection.post_json("/api/spanhouse/compact", &json!({"to_the_end": true}))?;
        ensure!(answer.status == 200, "compact: {} {}", answer.status, answer.text());
        Ok(())
    }

    pub fn count(&self, query: &str) -> anyhow::Result<u64> {
        let answer = self.connect()?.post_json("/api/sql", &json!({"query": query}))?;
        ensure!(answer.status == 200, "{query}: {} {}", answer.status, answer.text());
        let rows: Value = serde_json::from_slice(&answer.body).with_context(|| answer.text())?;
        let count = rows.pointer("/rows/0/0").and_then(Value::as_u64);
        count.with_context(|| format!("{query}: no number in {}", answer.text()))
    }

    /// Waits until it does next to nothing.
    pub fn wait_for_rest(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + REST_TIMEOUT;
        let (mut last, mut calm_looks) = (self.usage()?.cpu(), 0);
        while calm_looks < REST_LOOKS {
            ensure!(Instant::now() < deadline, "the server is still busy after {REST_TIMEOUT:?}");
            std::thread::sleep(REST_LOOK);
            let cpu = self.usage()?.cpu();
            calm_looks = if cpu.saturating_sub(last) < REST_CPU { calm_looks + 1 } else { 0 };
            last = cpu;
        }
        Ok(())
    }

    /// SIGTERM, and the end of the process.
    pub fn stop(mut self) -> anyhow::Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let deadline = Instant::now() + STOP_TIMEOUT;
        let status: ExitStatus = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            ensure!(Instant::now() < deadline, "the server did not stop within {STOP_TIMEOUT:?}");
            std::thread::sleep(Duration::from_millis(20));
        };
        ensure!(status.success(), "the server ended with {status}:\n{}", self.end());
        Ok(())
    }

    /// Ends it if it has not ended, and gives its log.
    pub fn end(&mut self) -> String {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.log.take().and_then(|log| log.join().ok()).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// `/metrics`, by name and labels as they are printed.
#[derive(Debug)]
pub struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    fn parse(text: &str) -> Self {
        // The words of a comment are no number, and its name is never asked for.
        let samples = text.lines().filter_map(|line| line.rsplit_once(' '));
        Self(samples.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect())
    }

    pub fn value(&self, name: &str) -> anyhow::Result<f64> {
        self.0.get(name).copied().with_context(|| format!("/metrics has no {name}"))
    }

    /// Of one table.
    pub fn table(&self, name: &str, table: &str) -> anyhow::Result<f64> {
        self.value(&format!("{name}{{table=\"{table}\"}}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_found_by_name_and_table() {
        let metrics = Metrics::parse("# HELP a_total A.\na_total 7\nrows{table=\"spans\"} 1.5\nbroken\n");
        assert_eq!(metrics.value("a_total").unwrap(), 7.0);
        assert_eq!(metrics.table("rows", "spans").unwrap(), 1.5);
        assert!(metrics.value("b_total").unwrap_err().to_string().contains("b_total"));
    }
}
