//! Flags, files, locks and messages.

use anyhow::{Context, ensure};
use serde_json::json;
use tests::{Server, payloads, spanhouse};

fn stderr(arguments: &[&str]) -> anyhow::Result<String> {
    let output = spanhouse(arguments).output()?;
    ensure!(!output.status.success(), "{arguments:?} succeeded");
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

fn stdout(arguments: &[&str]) -> anyhow::Result<String> {
    let output = spanhouse(arguments).output()?;
    ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_data_directory_has_one_server_and_the_lock_says_which() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let data = directory.path().display().to_string();
    let server = Server::on(directory.path()).start()?;
    let off = ["--otlp-grpc", "off", "--otlp-http", "off", "--http", "off"];
    let refused = stderr(&[&["serve", "--data", &data], &off[..]].concat())?;
    ensure!(refused.contains(&data) && refused.contains(&format!("process {}", server.pid())), "{refused}");
    let refused = stderr(&["sql", "SELECT 1", "--data", &data])?;
    ensure!(refused.contains("--to"), "{refused}");
    Ok(())
}

#[test]
fn addresses_beyond_loopback_need_a_word() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let data = directory.path().display().to_string();
    for flag in ["--http", "--sampling-http", "--sampling-grpc"] {
        let refused = stderr(&["serve", "--data", &data, flag, "0.0.0.0:0"])?;
        ensure!(refused.contains("--allow-remote") && refused.contains(&format!("{flag} 0.0.0.0:0")), "{refused}");
    }
    let server = Server::on(directory.path()).argument("--allow-remote").start()?;
    ensure!(tests::get(server.http(), "/healthz")?.status == 200);
    Ok(())
}

/// What a server says of its six listeners when each flag has this address.
fn listener_lines(address: &str) -> anyhow::Result<Vec<String>> {
    let directory = tempfile::tempdir()?;
    let mut command = spanhouse(&["serve", "--data"]);
    command.arg(directory.path());
    for flag in ["--otlp-grpc", "--otlp-http", "--http", "--postgres", "--sampling-http", "--sampling-grpc"] {
        command.args([flag, address]);
    }
    let mut child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null()).spawn()?;
    let lines: Vec<String> = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().context("stdout")?))
        .take(6)
        .collect::<Result<_, _>>()?;
    child.kill()?;
    child.wait()?;
    Ok(lines)
}

#[test]
fn every_address_flag_is_taken_and_listeners_to_come_say_that_they_are_off() -> anyhow::Result<()> {
    let lines = listener_lines("127.0.0.1:0")?;
    for name in ["otlp-grpc", "otlp-http", "http", "sampling-http", "sampling-grpc"] {
        ensure!(lines.iter().any(|line| line.starts_with(&format!("{name} listening on 127.0.0.1:"))), "{lines:?}");
    }
    ensure!(lines.iter().any(|line| line.starts_with("postgres off")), "{lines:?}");
    Ok(())
}

#[test]
fn listeners_that_are_off_say_so() -> anyhow::Result<()> {
    let lines = listener_lines("off")?;
    for (name, line) in
        ["otlp-grpc", "otlp-http", "http", "sampling-http", "sampling-grpc", "postgres"].iter().zip(&lines)
    {
        ensure!(line.starts_with(&format!("{name} off")), "{lines:?}");
    }
    Ok(())
}

#[test]
fn a_taken_port_is_named_with_the_flag_that_changes_it() -> anyhow::Result<()> {
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let directory = tempfile::tempdir()?;
    let data = directory.path().display().to_string();
    let refused = stderr(&["serve", "--data", &data, "--otlp-http", &address, "--http", "off", "--otlp-grpc", "off"])?;
    ensure!(refused.contains(&address) && refused.contains("--otlp-http"), "{refused}");
    Ok(())
}

#[test]
fn config_check_prints_the_effective_configuration_or_names_the_mistake() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("spanhouse.toml");
    std::fs::write(&file, "[wal]\ndurability = \"os\"\n")?;
    let path = file.display().to_string();
    let printed = stdout(&["config", "check", &path])?;
    ensure!(printed.contains("durability = \"os\"") && printed.contains("request_bytes"), "{printed}");
    std::fs::write(&file, "[wal]\ndurabillity = \"os\"\n")?;
    let refused = stderr(&["config", "check", &path])?;
    ensure!(refused.contains(&path) && refused.contains("durabillity") && refused.contains("line 2"), "{refused}");
    let refused = stderr(&["serve", "--config", &path])?;
    ensure!(refused.contains("durabillity"), "{refused}");
    Ok(())
}

#[test]
fn sql_says_the_same_of_a_server_and_of_its_directory_afterwards() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let data = directory.path().display().to_string();
    let mut server = Server::on(directory.path()).variable("SPANHOUSE_FLUSH_MAX_AGE", "1h").start()?;
    let requests = payloads(2_000, 3)?;
    for (body, _) in &requests[..2] {
        ensure!(server.export(body, None)?.status == 200);
    }
    server.flush()?;
    for (body, _) in &requests[2..4] {
        ensure!(server.export(body, None)?.status == 200);
    }
    let to = format!("http://{}", server.http());
    let query = "SELECT service_name, count(*) AS spans, min(trace_id) AS first, max(duration_ns) AS slowest \
                 FROM spans GROUP BY service_name ORDER BY service_name";
    let mut asked = Vec::new();
    for format in ["table", "csv", "json"] {
        asked.push(stdout(&["sql", query, "--to", &to, "--format", format])?);
    }
    server.kill()?;
    for (format, of_server) in ["table", "csv", "json"].iter().zip(&asked) {
        let of_directory = stdout(&["sql", query, "--data", &data, "--format", format])?;
        ensure!(of_directory == *of_server, "{format}:\n{of_server}\n{of_directory}");
    }
    ensure!(asked[1].starts_with("service_name,spans,first,slowest\r\n"), "{}", asked[1]);
    for format in ["arrow", "parquet"] {
        let output = spanhouse(&["sql", query, "--data", &data, "--format", format]).output()?;
        ensure!(output.status.success() && output.stdout.len() > 100, "{format}");
        let says_arrow = output.stdout.windows(12).any(|bytes| bytes == b"ARROW:schema");
        ensure!(format != "parquet" || !says_arrow, "texts are views to whoever reads the file");
    }
    let refused = stderr(&["sql", "SELECT nope FROM spans", "--data", &data])?;
    ensure!(refused.contains("nope"), "{refused}");
    let refused = stderr(&["sql", "DROP TABLE spans", "--data", &data])?;
    ensure!(!refused.contains("panicked") && refused.to_lowercase().contains("drop"), "{refused}");
    Ok(())
}

#[test]
fn commands_without_a_server_say_how_to_start_one() -> anyhow::Result<()> {
    // Nobody listens on a port that was just free.
    let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let to = format!("http://{address}");
    for arguments in [&["flush", "--to", &to][..], &["sql", "SELECT 1", "--to", &to]] {
        let refused = stderr(arguments)?;
        ensure!(refused.contains(&to) && refused.contains("spanhouse serve"), "{refused}");
    }
    Ok(())
}

#[test]
fn flush_makes_segments_and_reports_them() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::on(directory.path()).variable("SPANHOUSE_FLUSH_MAX_AGE", "1h").start()?;
    for (body, _) in payloads(500, 4)? {
        ensure!(server.export(&body, None)?.status == 200);
    }
    let said = stdout(&["flush", "--to", &format!("http://{}", server.http())])?;
    ensure!(said.starts_with("flushed 500 spans of "), "{said}");
    let status = tests::get(server.http(), "/api/spanhouse/status")?.json()?;
    ensure!(status["tables"][0]["rows"] == 500, "{status}");
    ensure!(status["memory"]["buffer_spans"] == 0 && status["memory"]["pending_spans"] == 0, "{status}");
    Ok(())
}

#[test]
fn foreign_hosts_and_origins_are_refused() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::on(directory.path()).start()?;
    let json = ("content-type", "application/json");
    let body = json!({"query": "SELECT 1"}).to_string();
    let ask = |headers: &[(&str, &str)]| tests::post(server.http(), "/api/sql", headers, body.as_bytes());
    ensure!(ask(&[json])?.status == 200);
    ensure!(ask(&[json, ("origin", "http://evil.example")])?.status == 403);
    ensure!(ask(&[("content-type", "text/plain")])?.status != 200);
    Ok(())
}
