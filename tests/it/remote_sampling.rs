//! Head sampling on the real binary, asked by clients that we did not write: OpenTelemetry's sampler for Node, and gRPC for
//! Python.
//!
//! Without a budget it says that everything is kept. With one the loop is closed: what SDKs are told follows what they send,
//! and weights follow what they were told.

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

/// What a service did in a second.
#[derive(Debug)]
struct Second {
    second: i64,
    started: i64,
    sampled: i64,
}

/// Ends with the test.
struct Service(std::process::Child);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_busy_service_is_thinned_at_its_source_and_weighed_by_what_it_was_told() -> anyhow::Result<()> {
    const TRACES_PER_SECOND: i64 = 400;
    let Some(modules) = node_modules() else { return Ok(()) };
    let directory = tempfile::tempdir()?;
    let mut server = Server::on(directory.path())
        .variable("SPANHOUSE_SAMPLING_BUDGET", "20 spans/s")
        .variable("SPANHOUSE_HEAD_SAMPLING_MAX_SPANS_PER_SECOND", "160")
        .variable("SPANHOUSE_HEAD_SAMPLING_POLL_INTERVAL", "1s")
        .variable("SPANHOUSE_HEAD_SAMPLING_CLOCK_SLACK", "500ms")
        .variable("SPANHOUSE_ASSEMBLY_ROOT_GRACE", "500ms")
        .start()?;
    let mut node = Service(
        Command::new("node")
            .arg(workspace().join("tests/fixtures/thinned_service.cjs"))
            .arg(format!("http://{}", server.sampling_http()))
            .arg(format!("http://{}", server.otlp_http()))
            .args(["shop", &TRACES_PER_SECOND.to_string()])
            .env("NODE_PATH", modules)
            .stdout(Stdio::piped())
            .spawn()?,
    );
    let lines = BufReader::new(node.0.stdout.take().context("no standard output")?).lines();
    let mut seconds: Vec<Second> = Vec::new();
    for line in lines {
        let said: serde_json::Value = serde_json::from_str(&line?)?;
        let number = |key: &str| said[key].as_i64().with_context(|| said.to_string());
        seconds.push(Second { second: number("second")?, started: number("started")?, sampled: number("sampled")? });
        let thinned = seconds.iter().filter(|second| second.sampled * 2 < second.started).count();
        if thinned >= 12 || seconds.len() > 60 {
            break;
        }
    }
    // Ended while its last spans are under way; those seconds are not looked at.
    drop(node);
    server.wait_until("all are decided", |server| {
        Ok(server.count("SELECT count(*) FROM traces WHERE keep_reason = 'pending'")? == 0)
    })?;
    let rows = server.sql(
        "SELECT CAST(date_part('epoch', start_time) AS BIGINT), count(*) - count(head_count), sum(head_count), \
         sum(head_count * (head_count - 1)), sum(adjusted_count), sum(adjusted_count * (adjusted_count - 1)) \
         FROM traces GROUP BY 1",
    )?;
    let number = |row: &[serde_json::Value], at: usize| row.get(at).and_then(serde_json::Value::as_f64).unwrap_or(0.0);
    let (mut started, mut by_head, mut head_variance, mut by_both, mut variance) = (0.0, 0.0, 0.0, 0.0, 0.0);
    let mut looked_at = 0;
    for second in
        seconds.iter().take(seconds.len().saturating_sub(2)).filter(|second| second.sampled * 2 < second.started)
    {
        let row = rows.iter().find(|row| row[0] == second.second).with_context(|| format!("no row of {second:?}"))?;
        if number(row, 1) > 0.0 {
            continue;
        }
        looked_at += 1;
        started += second.started as f64;
        by_head += number(row, 2);
        head_variance += number(row, 3);
        by_both += number(row, 4);
        variance += number(row, 5);
    }
    ensure!(looked_at >= 4, "{seconds:?} {rows:?}");
    for (estimate, variance) in [(by_head, head_variance), (by_both, variance)] {
        let off = (estimate - started) / variance.sqrt();
        eprintln!(
            "{started} traces were begun in {looked_at} s; {estimate} are estimated, {off} standard deviations off"
        );
        ensure!(
            off.abs() < 4.5,
            "{estimate} instead of {started} traces, {off} standard deviations: {seconds:?} {rows:?}"
        );
    }
    let metrics = get(server.http(), "/metrics")?.text();
    ensure!(metrics.contains("spanhouse_sampling_unweighed_traces_total "), "{metrics}");

    // What was told outlives a kill: the service may still sample by it.
    let told = |server: &Server| {
        let told = get(server.sampling_http(), "/sampling?service=shop")?.json()?;
        let own = &told["operationSampling"]["perOperationStrategies"][0]["probabilisticSampling"]["samplingRate"];
        own.as_f64().with_context(|| told.to_string())
    };
    let before = told(&server)?;
    server.kill()?;
    let mut server = server.start_again()?;
    ensure!(told(&server)? == before && before < 1.0, "{} instead of {before}", told(&server)?);
    server.kill()?;
    std::fs::write(directory.path().join("head_sampling.json"), "{")?;
    let error = server.start_again().err().context("it started with a damaged ledger")?;
    ensure!(format!("{error:#}").contains("head_sampling.json is damaged"), "{error:#}");
    Ok(())
}

#[test]
fn counts_are_not_exact_while_a_service_was_told_to_sample() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let told = serde_json::json!({"version": 1, "services": [{"service": "shop", "is_cut": false, "served": [{
        "revision": 1, "first_unix_nanos": 0, "last_unix_nanos": 0, "default": 0.5, "operations": [],
    }]}]});
    std::fs::write(directory.path().join("head_sampling.json"), told.to_string())?;
    let mut server = Server::on(directory.path()).start()?;
    let now = std::time::UNIX_EPOCH.elapsed()?.as_nanos();
    let span = |name: &str, number: u32, state: &str| {
        serde_json::json!({
            "traceId": format!("{number:032x}"), "spanId": format!("{number:016x}"), "name": name, "traceState": state,
            "startTimeUnixNano": now.to_string(), "endTimeUnixNano": (now + 5).to_string(),
        })
    };
    let spans = [span("unsaid", 1, ""), span("other", 2, "vendor=1"), span("said", 3, "ot=th:0")];
    let body = serde_json::json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).to_string();
    let json = [("content-type", "application/json")];
    let answer = post(server.otlp_http(), "/v1/traces", &json, body.as_bytes())?;
    ensure!(answer.status == 200, "{}", answer.text());
    let exact = |server: &Server| server.sql("SELECT span_name, exact FROM span_metrics ORDER BY 1");
    let expected = serde_json::json!([["other", false], ["said", true], ["unsaid", false]]);
    ensure!(serde_json::to_value(exact(&server)?)? == expected, "{:?}", exact(&server)?);
    // A replay says the same, whatever is known of it by then.
    server.kill()?;
    std::fs::remove_file(directory.path().join("head_sampling.json"))?;
    let server = server.start_again()?;
    ensure!(serde_json::to_value(exact(&server)?)? == expected, "{:?}", exact(&server)?);
    Ok(())
}
