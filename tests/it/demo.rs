//! `spanhouse demo`: a newcomer sees a living page within a minute.

use anyhow::ensure;
use tests::Server;

#[test]
fn the_shop_fills_the_page_with_services_and_faults() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let mut server = Server::on(directory.path()).demo().start()?;
    server.wait_until("twelve services have sent spans", |server| {
        Ok(server.count("SELECT count(DISTINCT service_name) FROM spans")? >= 12)
    })?;
    server.wait_until("something failed", |server| {
        Ok(server.count("SELECT count(*) FROM traces WHERE error_count > 0")? > 0)
    })?;
    server.wait_until("spans of this minute are there", |server| {
        Ok(server.count("SELECT count(*) FROM spans WHERE start_time > now() - interval '1 minute'")? > 0)
    })?;
    let (status, log) = server.stop()?;
    ensure!(status.success(), "{log}");
    ensure!(!log.contains("ERROR") && !log.contains("panicked"), "{log}");
    Ok(())
}
