//! Real traces are counted right: in memory, in segments, after a restart, and after a kill.

use anyhow::{Context, ensure};
use tests::{Server, TraceSet, real_traces, spanhouse};

const SETS: [&str; 4] = ["dev-small-hotel", "dev-small-onlineboutique", "dev-small-trainticket", "traceweaver-hotel"];

#[test]
fn counts_are_those_of_the_set_before_and_after_flush_restart_and_kill() -> anyhow::Result<()> {
    for name in SETS {
        let Some(set) = real_traces(name)? else { return Ok(()) };
        let directory = tempfile::tempdir()?;
        // No flush of its own, so that "before flush" is just that.
        let mut server = Server::on(directory.path()).variable("SPANHOUSE_FLUSH_MAX_AGE", "1h").start()?;
        import(&server, &set)?;
        check(&server, &set).context("before flush")?;
        server.kill()?;
        let server_after_kill = server.start_again()?;
        check(&server_after_kill, &set).context("after a kill before flush")?;
        server = server_after_kill;
        server.flush()?;
        check(&server, &set).context("after flush")?;
        ensure!(server.count("SELECT count(*) FROM spans WHERE keep_reason = 'pending'")? == 0);
        let (status, log) = server.stop()?;
        ensure!(status.success(), "{log}");
        let mut server = server.start_again()?;
        check(&server, &set).context("after a restart")?;
        server.kill()?;
        let server = server.start_again()?;
        check(&server, &set).context("after a kill")?;
    }
    Ok(())
}

fn import(server: &Server, set: &TraceSet) -> anyhow::Result<()> {
    let folder = set.folder.display().to_string();
    let output = spanhouse(&["import", &folder, "--to", &format!("http://{}", server.otlp_http())]).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn check(server: &Server, set: &TraceSet) -> anyhow::Result<()> {
    let name = set.name;
    ensure!(server.count("SELECT count(*) FROM spans")? == set.spans(), "{name}: spans");
    ensure!(server.count("SELECT count(DISTINCT trace_id) FROM spans")? == set.traces(), "{name}: traces");
    ensure!(server.count("SELECT count(*) FROM traces")? == set.traces(), "{name}: digests");
    ensure!(server.count("SELECT sum(span_count) FROM traces")? <= set.spans(), "{name}: spans of digests");
    let by_service: Vec<(String, i64)> = server
        .sql("SELECT service_name, count(*) FROM spans GROUP BY service_name ORDER BY service_name")?
        .iter()
        .filter_map(|row| Some((row[0].as_str()?.to_owned(), row[1].as_i64()?)))
        .collect();
    ensure!(by_service == set.by_service()?, "{name}: {by_service:?}");
    Ok(())
}
