//! Other engines read the tables of a live data directory and count the same.

use anyhow::ensure;
use serde_json::Value;
use tests::{Server, payloads, python, workspace};

#[test]
fn duckdb_and_delta_rs_read_what_a_running_server_wrote() -> anyhow::Result<()> {
    let Some(python) = python() else { return Ok(()) };
    let directory = tempfile::tempdir()?;
    let server = Server::on(directory.path()).start()?;
    // Two flushes, so that there are several segments and log entries.
    for seed in [1, 2] {
        for (body, _) in payloads(3_000, seed)? {
            ensure!(server.export(&body, None)?.status == 200);
        }
        server.flush()?;
    }
    let output = std::process::Command::new(&python)
        .arg(workspace().join("tests/fixtures/read_tables.py"))
        .arg(directory.path().join("tables"))
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read: Value = serde_json::from_slice(&output.stdout)?;
    let spans = server.count("SELECT count(*) FROM spans")?;
    let traces = server.count("SELECT count(*) FROM traces")?;
    let errors = server.count("SELECT count(*) FROM spans WHERE status_code = 'error'")?;
    let nanos = server.value("SELECT CAST(sum(duration_ns) AS VARCHAR) FROM spans")?;
    let routes = server.count("SELECT count(*) FROM spans WHERE attributes['http.route'] IS NOT NULL")?;
    let newest = server.value("SELECT CAST(max(start_time) AS VARCHAR) FROM spans")?;
    for engine in ["duckdb", "deltalake"] {
        let read = &read[engine];
        ensure!(read["spans"] == spans && read["traces"] == traces, "{engine}: {read}, {spans} {traces}");
        ensure!(read["errors"] == errors, "{engine}: {read}, {errors} errors");
        ensure!(read["duration_ns"] == nanos, "{engine}: {read}, {nanos}");
    }
    ensure!(read["duckdb"]["routes"] == routes, "{read}, {routes} routes");
    // Found by a filter on the column that so frequent a key has, which DuckDB hands to the reader of the log.
    ensure!(read["duckdb"]["in_column"] == routes, "{read}, {routes} routes");
    let newest = newest.as_str().unwrap_or_default().replace('T', " ");
    ensure!(newest.starts_with(read["duckdb"]["newest"].as_str().unwrap_or("?")), "{read}, {newest}");
    Ok(())
}
