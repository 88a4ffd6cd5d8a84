//! Acknowledged is durable: a server that is killed under load loses nothing that it acknowledged, and doubles nothing.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tests::{Server, payloads};

const SENDERS: usize = 3;
const KILLS: u64 = 3;

#[derive(Debug, Default)]
struct Books {
    acked: BTreeSet<String>,
    sent: BTreeSet<String>,
}

#[test]
fn kills_under_load_lose_no_acked_span_and_double_none() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    // Often, so that kills meet flushes, too.
    let mut server = Server::on(directory.path())
        .variable("SPANHOUSE_FLUSH_MAX_AGE", "300ms")
        .variable("SPANHOUSE_ASSEMBLY_ROOT_GRACE", "200ms")
        .variable("SPANHOUSE_ASSEMBLY_MAX_AGE", "1s")
        .start()?;
    let books = Arc::new(Mutex::new(Books::default()));
    for kill in 0..KILLS {
        let seed = 100 + kill;
        eprintln!("seed {seed}");
        load_and_kill(&mut server, &books, seed, Duration::from_millis(900 + 400 * kill))?;
        server = server.start_again().context("start after a kill")?;
        check(&server, &books)?;
    }
    server.flush()?;
    check(&server, &books).context("after the last flush")?;
    Ok(())
}

/// Sends from several threads, kills in the middle, and sends what was not acknowledged to nobody.
fn load_and_kill(server: &mut Server, books: &Arc<Mutex<Books>>, seed: u64, after: Duration) -> anyhow::Result<()> {
    let stop = AtomicBool::new(false);
    let requests = payloads(60_000, seed)?;
    let next = std::sync::atomic::AtomicUsize::new(0);
    let pid = server.pid();
    std::thread::scope(|scope| {
        for _ in 0..SENDERS {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let Some((body, ids)) = requests.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
                    let ids = ids.iter().map(|id| hex(id));
                    if let Ok(mut books) = books.lock() {
                        books.sent.extend(ids.clone());
                    }
                    if server.export(body, None).is_ok_and(|response| response.status == 200)
                        && let Ok(mut books) = books.lock()
                    {
                        books.acked.extend(ids);
                    }
                }
            });
        }
        // A busy machine may take long for the first of them.
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline && books.lock().is_ok_and(|books| books.acked.len() <= 1_000) {
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(after);
        let killed = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status();
        stop.store(true, Ordering::Relaxed);
        killed
    })?;
    server.kill()?;
    Ok(())
}

fn check(server: &Server, books: &Mutex<Books>) -> anyhow::Result<()> {
    let books = books.lock().map_err(|_| anyhow::anyhow!("a sender panicked"))?;
    let rows = server.sql("SELECT span_id FROM spans")?;
    let found: Vec<&str> = rows.iter().filter_map(|row| row[0].as_str()).collect();
    let distinct: BTreeSet<&str> = found.iter().copied().collect();
    ensure!(books.acked.len() > 1_000, "only {} spans were acknowledged: no load", books.acked.len());
    ensure!(found.len() == distinct.len(), "{} spans are stored twice", found.len() - distinct.len());
    let lost = books.acked.iter().filter(|id| !distinct.contains(id.as_str())).count();
    ensure!(lost == 0, "{lost} of {} acknowledged spans are lost", books.acked.len());
    let foreign = distinct.iter().filter(|id| !books.sent.contains(**id)).count();
    ensure!(foreign == 0, "{foreign} spans were never sent");
    let digests = server.count("SELECT count(*) FROM traces")?;
    ensure!(digests == server.count("SELECT count(DISTINCT trace_id) FROM spans")?, "digests: {digests}");
    ensure!(digests == server.count("SELECT count(DISTINCT trace_id) FROM traces")?, "a trace has two digests");
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_repeated_request_is_stored_once_also_over_a_kill() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let mut server = Server::on(directory.path()).start()?;
    let (body, ids) = payloads(300, 7)?.remove(0);
    for _ in 0..3 {
        ensure!(server.export(&body, None)?.status == 200);
    }
    server.kill()?;
    let server = server.start_again()?;
    ensure!(server.export(&body, None)?.status == 200);
    ensure!(server.count("SELECT count(*) FROM spans")? == ids.len() as i64);
    Ok(())
}
