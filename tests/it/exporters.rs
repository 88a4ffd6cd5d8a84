//! Exporters that we did not write: OpenTelemetry's own for Python, over gRPC and over HTTP.

use anyhow::ensure;
use serde_json::Value;
use tests::{Server, python, workspace};

#[test]
fn what_python_exports_is_found_again_with_everything_in_it() -> anyhow::Result<()> {
    let Some(python) = python() else { return Ok(()) };
    for (transport, compression) in [("grpc", "none"), ("grpc", "gzip"), ("http", "none"), ("http", "gzip")] {
        let directory = tempfile::tempdir()?;
        let server = Server::on(directory.path()).start()?;
        let address = if transport == "grpc" { server.otlp_grpc() } else { server.otlp_http() };
        let output = std::process::Command::new(&python)
            .arg(workspace().join("tests/fixtures/export.py"))
            .args([transport, &address.to_string(), compression])
            .output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let sent: Value = serde_json::from_slice(&output.stdout)?;
        // In memory first, then in segments: both must say the same.
        check(&server, &sent)?;
        server.flush()?;
        check(&server, &sent)?;
    }
    Ok(())
}

fn check(server: &Server, sent: &Value) -> anyhow::Result<()> {
    let trace = sent["trace_id"].as_str().unwrap_or_default();
    let one = |sql: &str| server.value(&sql.replace("{trace}", trace));
    let expect = |sql: &str, expected: Value| -> anyhow::Result<()> {
        let actual = one(sql)?;
        ensure!(actual == expected, "{sql}: {actual} instead of {expected}");
        Ok(())
    };
    expect("SELECT count(*) FROM spans WHERE trace_id = '{trace}'", 2.into())?;
    let child = "FROM spans WHERE trace_id = '{trace}' AND span_name = 'charge card'";
    expect(&format!("SELECT span_id {child}"), sent["child_id"].clone())?;
    expect(&format!("SELECT parent_span_id {child}"), sent["root_id"].clone())?;
    expect(&format!("SELECT kind {child}"), "client".into())?;
    expect(&format!("SELECT status_code {child}"), "error".into())?;
    expect(&format!("SELECT status_message {child}"), "card refused".into())?;
    expect(&format!("SELECT service_name {child}"), "checkout".into())?;
    expect(&format!("SELECT resource['service.version'] {child}"), "2.4.1".into())?;
    expect(&format!("SELECT scope_name {child}"), "shop.payments".into())?;
    expect(&format!("SELECT scope_version {child}"), "1.2.3".into())?;
    expect(&format!("SELECT attributes['text'] {child}"), "grüße 🦀".into())?;
    expect(&format!("SELECT attributes['int'] {child}"), "9007199254740993".into())?;
    expect(&format!("SELECT count(*) {child} AND attributes['int'] = 9007199254740993"), 1.into())?;
    expect(&format!("SELECT count(*) {child} AND attributes['int'] = 9007199254740992"), 0.into())?;
    expect(&format!("SELECT count(*) {child} AND attributes['float'] > 1.4"), 1.into())?;
    expect(&format!("SELECT count(*) {child} AND attributes['bool'] = true"), 1.into())?;
    expect(&format!("SELECT attributes['list'] {child}"), "[\"a\",\"b\"]".into())?;
    expect(&format!("SELECT duration_ns {child}"), sent["child_duration_ns"].clone())?;
    expect(
        &format!("SELECT CAST(CAST(start_time AS BIGINT) * 1000 + start_nanos AS VARCHAR) {child}"),
        sent["child_start_ns"].clone(),
    )?;
    let id = sent["child_id"].as_str().unwrap_or_default();
    let detail = tests::get(server.http(), &format!("/api/spanhouse/traces/{trace}/spans/{id}"))?;
    ensure!(detail.status == 200, "{}", detail.text());
    let detail = detail.json()?;
    ensure!(detail["attributes"]["int"] == "9007199254740993", "{}", detail["attributes"]);
    ensure!(detail["attributes"]["bool"] == true && detail["attributes"]["float"] == 1.5);
    ensure!(detail["attributes"]["list"] == serde_json::json!(["a", "b"]), "{}", detail["attributes"]);
    let events = detail["events"].as_array().cloned().unwrap_or_default();
    ensure!(events.len() == 2, "{events:?}");
    ensure!(events[0]["name"] == "retry" && events[0]["attributes"]["attempt"] == 2, "{events:?}");
    ensure!(events[1]["name"] == "exception", "{events:?}");
    ensure!(events[1]["attributes"]["exception.type"] == "ValueError", "{events:?}");
    ensure!(detail["links"][0]["trace_id"] == sent["linked_trace_id"], "{}", detail["links"]);
    ensure!(detail["links"][0]["attributes"]["why"] == "batch", "{}", detail["links"]);
    Ok(())
}
