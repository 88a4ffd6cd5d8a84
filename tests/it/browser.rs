//! The page in a real browser, against the real server. The steps themselves stand in `ui/web/e2e`.

use anyhow::ensure;
use tests::{Server, workspace};

#[test]
fn search_a_trace_a_span_and_sql_work_in_a_browser() -> anyhow::Result<()> {
    let web = workspace().join("ui/web");
    if std::env::var_os("SPANHOUSE_TEST_BROWSER").is_none() {
        eprintln!("skipped: SPANHOUSE_TEST_BROWSER is not set; `make test` sets up Chromium and the page");
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    // Empty, as a newcomer finds it; the steps send their own spans.
    let server = Server::on(directory.path()).start()?;
    let output = std::process::Command::new("npm")
        .args(["run", "--silent", "e2e"])
        .current_dir(web)
        .env("SPANHOUSE_URL", format!("http://{}", server.http()))
        .output()?;
    ensure!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
