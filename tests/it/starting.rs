//! What a server does by itself once it has started.

use anyhow::ensure;
use tests::{Server, get, payloads};

fn metric(server: &Server, name: &str) -> anyhow::Result<u64> {
    let page = get(server.http(), "/metrics")?.text();
    let sample = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(sample.unwrap_or_default().parse()?)
}

#[test]
fn a_start_learns_where_traces_are_before_anybody_asks() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let mut server = Server::on(directory.path()).variable("SPANHOUSE_ASSEMBLY_ROOT_GRACE", "100ms").start()?;
    let (body, _) = payloads(300, 7)?.remove(0);
    ensure!(server.export(&body, None)?.status == 200);
    server.wait_until("a trace is decided", |server| {
        Ok(server.count("SELECT count(*) FROM traces WHERE keep_reason <> 'pending'")? > 0)
    })?;
    server.flush()?;
    ensure!(metric(&server, "spanhouse_trace_index_segments")? == 0);
    let (status, log) = server.stop()?;
    ensure!(status.success(), "{log}");
    let server = server.start_again()?;
    server.wait_until("traces are indexed", |server| {
        // At least one of spans and one of traces.
        Ok(metric(server, "spanhouse_trace_index_segments")? >= 2
            && metric(server, "spanhouse_trace_index_segments_with_rows")? >= 2
            && metric(server, "spanhouse_trace_index_bytes")? > 0)
    })?;
    ensure!(metric(&server, "spanhouse_trace_index_budget_bytes")? == 128 << 20);
    Ok(())
}
