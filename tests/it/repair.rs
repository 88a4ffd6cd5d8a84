//! A damaged log: the server refuses it and says what to do, and after that it has everything that was whole.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use tests::{Server, payloads, spanhouse};

/// An encoded request, and the ids of its spans.
type Payload = (Vec<u8>, Vec<Vec<u8>>);

/// The log file that has something in it, and its bytes.
fn log_with(directory: &Path, body: &[u8]) -> anyhow::Result<(PathBuf, Vec<u8>, usize)> {
    for entry in std::fs::read_dir(directory.join("wal"))? {
        let path = entry?.path();
        let bytes = std::fs::read(&path)?;
        if let Some(at) = bytes.windows(body.len()).position(|window| window == body) {
            return Ok((path, bytes, at));
        }
    }
    anyhow::bail!("no log file has the request")
}

fn repair(data: &str, flags: &[&str]) -> anyhow::Result<(Option<i32>, String, String)> {
    let output = spanhouse(&[&["repair", "--data", data], flags].concat()).output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((output.status.code(), text(&output.stdout), text(&output.stderr)))
}

fn count(payloads: &[Payload]) -> i64 {
    payloads.iter().map(|(_, ids)| ids.len() as i64).sum()
}

#[test]
fn a_damaged_log_is_refused_by_name_and_opens_again_after_repair() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let data = directory.path().display().to_string();
    let mut server = Server::on(directory.path()).variable("SPANHOUSE_FLUSH_MAX_AGE", "1h").start()?;
    let requests = payloads(600, 11)?;
    ensure!(requests.len() > 4, "{} requests are too few", requests.len());
    let (flushed, rest) = requests.split_at(2);
    for (body, _) in flushed {
        ensure!(server.export(body, None)?.status == 200);
    }
    server.flush()?;
    for (body, _) in rest {
        ensure!(server.export(body, None)?.status == 200);
    }
    let (status, _, refused) = repair(&data, &["--yes"])?;
    ensure!(status == Some(1) && refused.contains(&format!("process {}", server.pid())), "{refused}");
    server.kill()?;
    ensure!(repair(&data, &["--check"])?.0 == Some(0));

    let (path, mut bytes, at) = log_with(directory.path(), &rest[1].0)?;
    for byte in bytes.iter_mut().skip(at).take(rest[1].0.len()) {
        *byte ^= 0xFF;
    }
    std::fs::write(&path, &bytes)?;
    let name = path.file_name().context("a name")?.to_string_lossy().into_owned();

    let off = ["--otlp-grpc", "off", "--otlp-http", "off", "--http", "off"];
    let refused = spanhouse(&[&["serve", "--data", &data], &off[..]].concat()).output()?;
    let refused = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(refused.contains(&name) && refused.contains(&format!("spanhouse repair --data {data}")), "{refused}");
    let (status, told, _) = repair(&data, &["--check"])?;
    ensure!(status == Some(1) && told.contains(&name) && told.contains("missing: lsn"), "{told}");
    let (status, _, asked) = repair(&data, &[])?;
    ensure!(status == Some(1) && asked.contains("--yes"), "{asked}");
    ensure!(std::fs::read(&path)? == bytes, "nothing was agreed to");
    let (status, told, _) = repair(&data, &["--yes"])?;
    ensure!(status == Some(0) && told.contains("damaged-"), "{told}");

    let server = server.start_again()?;
    let lost = count(&rest[1..2]);
    ensure!(server.count("SELECT count(*) FROM spans")? == count(&requests) - lost);
    server.flush()?;
    ensure!(server.count("SELECT count(*) FROM spans")? == count(&requests) - lost);
    ensure!(server.count("SELECT count(DISTINCT span_id) FROM spans")? == count(&requests) - lost);
    Ok(())
}
