//! Head sampling on the real binary, asked by clients that we did not write: OpenTelemetry's sampler for Node, and gRPC for
//! Python.
//!
//! The binary has no budget to thin for, so it says that everything is kept. What happens when it says less stands in
//! `collector/src/remote/tests/clients.rs`, with the same program.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tests::{Server, get, node_modules, post, python, workspace};

/// A sample of `/metrics`.
fn polls(server: &Server, transport: &str, result: &str) -> anyhow::Result<u64> {
    let page = get(server.http(), "/metrics")?.text();
    let name = format!("spanhouse_sampling_polls_total{{transport=\"{transport}\",result=\"{result}\"}} ");
    let value = page.lines().find_map(|line| line.strip_prefix(&name)).with_context(|| page.clone())?;
    Ok(value.parse()?)
}

#[test]
fn opentelemetry_for_node_keeps_everything_once_it_was_told() -> anyhow::Result<()> {
    let Some(modules) = node_modules() else { return Ok(()) };
    let directory = tempfile::tempdir()?;
    let mut server = Server::on(directory.path()).start()?;
    let mut node = Command::new("node")
        .arg(workspace().join("tests/fixtures/remote_sampler.cjs"))
        .args([&format!("http://{}", server.sampling_http()), "cart", "GET /cart", "POST /cart"])
        .env("NODE_PATH", modules)
        .stdout(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(node.stdout.take().context("no standard output")?).lines();
    let begin = Instant::now();
    let mut seen = Vec::new();
    // It starts with a sampler that keeps nothing.
    let told = loop {
        let line = lines.next().context("the sampler ended")??;
        seen.push(line);
        let is_told = seen.last().is_some_and(|line| line == "[1,1]") && polls(&server, "http", "served")? >= 2;
        if is_told || begin.elapsed() > Duration::from_secs(60) {
            break is_told;
        }
    };
    // The client is connected still, and does not hold the end up.
    let stopping = Instant::now();
    let (status, log) = server.stop()?;
    node.kill()?;
    node.wait()?;
    ensure!(told, "{} answers, the last {:?}", seen.len(), seen.last());
    ensure!(status.success(), "{log}");
    ensure!(stopping.elapsed() < Duration::from_secs(8), "{:?}", stopping.elapsed());
    Ok(())
}

#[test]
fn grpc_for_python_is_told_the_same_as_http() -> anyhow::Result<()> {
    let Some(python) = python() else { return Ok(()) };
    let directory = tempfile::tempdir()?;
    let server = Server::on(directory.path()).start()?;
    let over_http = get(server.sampling_http(), "/sampling?service=cart")?;
    ensure!(over_http.status == 200, "{}", over_http.text());
    let told = over_http.json()?;
    ensure!(told["operationSampling"]["defaultSamplingProbability"] == 1, "{told}");
    ensure!(told["probabilisticSampling"]["samplingRate"] == 1, "{told}");
    let json = [("content-type", "application/json")];
    let posted = post(server.sampling_http(), "/api/v2/samplingStrategy", &json, br#"{"serviceName":"cart"}"#)?;
    ensure!(posted.status == 200 && posted.json()? == told, "{} instead of {told}", posted.text());
    let output = Command::new(python)
        .arg(workspace().join("tests/fixtures/poll_strategy.py"))
        .args([&server.sampling_grpc().to_string(), "cart", &over_http.text()])
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    ensure!((polls(&server, "grpc", "served")?, polls(&server, "http", "served")?) == (1, 2));
    Ok(())
}

#[test]
fn a_poll_without_a_service_is_told_what_is_wrong() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::on(directory.path()).start()?;
    for target in ["/sampling", "/", "/api/sampling?service=a&service=b"] {
        let reply = get(server.sampling_http(), target)?;
        ensure!(reply.status == 400 && reply.text() == "'service' parameter must be provided once", "{}", reply.text());
    }
    ensure!(get(server.sampling_http(), "/api/sampling?service=cart")?.status == 200);
    let page = get(server.http(), "/metrics")?.text();
    ensure!(page.contains("\nspanhouse_sampling_ledger_services 1\n"), "{page}");
    ensure!((polls(&server, "http", "refused")?, polls(&server, "http", "served")?) == (3, 1));
    Ok(())
}
