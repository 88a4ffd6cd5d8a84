//! A real `spanhouse serve` on free ports.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::http::{self, Response};

/// The binary that this build made.
pub fn binary() -> PathBuf {
    let mut path = std::env::current_exe().unwrap_or_default();
    // target/debug/deps/it-... stands two folders below target/debug/spanhouse.
    path.pop();
    path.pop();
    path.join("spanhouse")
}

/// `spanhouse` with `arguments`, and without settings from outside.
pub fn spanhouse(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SPANHOUSE_") {
            command.env_remove(name);
        }
    }
    command
}

#[derive(Debug, Clone)]
pub struct ServerBuilder {
    data: PathBuf,
    command: &'static str,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
}

impl ServerBuilder {
    pub fn demo(mut self) -> Self {
        self.command = "demo";
        self
    }

    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it, and waits until it is ready.
    pub fn start(self) -> anyhow::Result<Server> {
        let mut command = spanhouse(&[self.command, "--data"]);
        command.arg(&self.data);
        for flag in ["--otlp-grpc", "--otlp-http", "--http", "--sampling-http", "--sampling-grpc"] {
            command.args([flag, "127.0.0.1:0"]);
        }
        let mut child = command
            .args(&self.arguments)
            .envs(self.variables.clone())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}; build it with cargo build", binary().display()))?;
        let stdout = child.stdout.take().context("no standard output")?;
        let mut stderr = child.stderr.take().context("no standard error")?;
        let log = std::thread::spawn(move || {
            let mut log = String::new();
            let _ = stderr.read_to_string(&mut log);
            log
        });
        let mut addresses = BTreeMap::new();
        let mut lines = BufReader::new(stdout).lines();
        // One line a listener, also of those that are off.
        for _ in 0..6 {
            let Some(Ok(line)) = lines.next() else {
                let _ = child.kill();
                let _ = child.wait();
                bail!("the server did not start:\n{}", log.join().unwrap_or_default());
            };
            if let Some((name, rest)) = line.split_once(" listening on ") {
                let address = rest.split(": ").next().unwrap_or(rest);
                addresses.insert(name.to_owned(), address.parse().with_context(|| line.clone())?);
            }
        }
        // Whoever prints must find a reader until the end.
        std::thread::spawn(move || lines.for_each(drop));
        let server = Server { child, addresses, log: Some(log), builder: self };
        server.wait_until("it is ready", |server| Ok(http::get(server.http(), "/readyz")?.status == 200))?;
        Ok(server)
    }
}

#[derive(Debug)]
pub struct Server {
    child: Child,
    addresses: BTreeMap<String, SocketAddr>,
    log: Option<std::thread::JoinHandle<String>>,
    builder: ServerBuilder,
}

impl Server {
    pub fn on(data: &Path) -> ServerBuilder {
        ServerBuilder { data: data.to_owned(), command: "serve", arguments: Vec::new(), variables: Vec::new() }
    }

    fn address(&self, name: &str) -> SocketAddr {
        self.addresses.get(name).copied().unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)))
    }

    pub fn http(&self) -> SocketAddr {
        self.address("http")
    }

    pub fn otlp_http(&self) -> SocketAddr {
        self.address("otlp-http")
    }

    pub fn otlp_grpc(&self) -> SocketAddr {
        self.address("otlp-grpc")
    }

    pub fn sampling_http(&self) -> SocketAddr {
        self.address("sampling-http")
    }

    pub fn sampling_grpc(&self) -> SocketAddr {
        self.address("sampling-grpc")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Posts an OTLP request as protobuf.
    pub fn export(&self, body: &[u8], encoding: Option<&str>) -> anyhow::Result<Response> {
        let mut headers = vec![("content-type", "application/x-protobuf")];
        headers.extend(encoding.map(|encoding| ("content-encoding", encoding)));
        http::post(self.otlp_http(), "/v1/traces", &headers, body)
    }

    pub fn post_json(&self, path: &str, body: &Value) -> anyhow::Result<Response> {
        http::post(self.http(), path, &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    /// The rows of a query.
    pub fn sql(&self, query: &str) -> anyhow::Result<Vec<Vec<Value>>> {
        let response = self.post_json("/api/sql", &json!({"query": query, "limit": 1_000_000}))?;
        if response.status != 200 {
            bail!("{query}: {} {}", response.status, response.text());
        }
        let answer = response.json()?;
        let rows = answer["rows"].as_array().context("no rows")?;
        Ok(rows.iter().filter_map(|row| row.as_array().cloned()).collect())
    }

    /// The only value of a query.
    pub fn value(&self, query: &str) -> anyhow::Result<Value> {
        let rows = self.sql(query)?;
        rows.first().and_then(|row| row.first()).cloned().with_context(|| format!("{query}: no row"))
    }

    pub fn count(&self, query: &str) -> anyhow::Result<i64> {
        self.value(query)?.as_i64().with_context(|| format!("{query}: no number"))
    }

    pub fn flush(&self) -> anyhow::Result<Value> {
        let response = self.post_json("/api/spanhouse/flush", &json!({}))?;
        if response.status != 200 {
            bail!("flush: {} {}", response.status, response.text());
        }
        response.json()
    }

    /// Looks again and again, half a minute at most.
    pub fn wait_until(&self, what: &str, mut done: impl FnMut(&Self) -> anyhow::Result<bool>) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut last = None;
        while Instant::now() < deadline {
            match done(self) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => last = Some(error),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("waited in vain until {what}: {last:?}")
    }

    /// SIGKILL, as a machine's memory killer would.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, and the end of the process with its log.
    pub fn stop(&mut self) -> anyhow::Result<(ExitStatus, String)> {
        Command::new("kill").arg(self.pid().to_string()).status()?;
        let deadline = Instant::now() + Duration::from_secs(60);
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                let log = self.log.take().and_then(|log| log.join().ok()).unwrap_or_default();
                return Ok((status, log));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("the server did not stop within a minute")
    }

    /// The same again, after `kill` or `stop`.
    pub fn start_again(&self) -> anyhow::Result<Server> {
        self.builder.clone().start()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}
