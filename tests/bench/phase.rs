//! One run of one phase, on a server and a data directory of its own.

use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bench::corpus::{Corpus, Request, spans_of};
use bench::figures::{Figures, millis, percentile};
use bench::options::{Options, Transport};
use bench::proc;
use bench::sender::{self, Sent};
use bench::server::{Metrics, Server};

use crate::device;

/// The most that a server lets spans take in memory.
const MEMORY_BYTES: u64 = 1_536 << 20;
/// Spans differ, and what is on its way counts too.
const USABLE_MEMORY: f64 = 0.9;
/// Enough to tell how much memory a span takes and how large a sync is.
const TRIAL_SPANS: u64 = 50_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Buffer,
    Segments,
}

impl Phase {
    pub const ALL: [Self; 2] = [Self::Buffer, Self::Segments];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Buffer => "buffer",
            Self::Segments => "segments",
        }
    }

    fn settings(self, durability: &str) -> Vec<(&'static str, String)> {
        let mut settings = vec![("SPANHOUSE_WAL_DURABILITY", durability.to_owned())];
        if self == Self::Buffer {
            let hour = || "1h".to_owned();
            settings.extend([
                ("SPANHOUSE_FLUSH_MAX_AGE", hour()),
                ("SPANHOUSE_FLUSH_MAX_BYTES", MEMORY_BYTES.to_string()),
                ("SPANHOUSE_MEMORY_SPANS_BYTES", MEMORY_BYTES.to_string()),
                ("SPANHOUSE_ASSEMBLY_ROOT_GRACE", hour()),
                ("SPANHOUSE_ASSEMBLY_MAX_AGE", hour()),
            ]);
        }
        settings
    }
}

#[derive(Debug)]
pub struct Bench<'a> {
    options: &'a Options,
    corpus: &'a Corpus,
    folder: &'a Path,
    /// What fits into memory.
    buffered: &'a [Request],
    buffer_bytes_per_span: f64,
    /// Of the last run; 0 without syncs.
    group_bytes: u64,
}

impl<'a> Bench<'a> {
    /// Learns from a small trial how much the buffer takes, and how large the server's syncs are.
    pub fn new(options: &'a Options, corpus: &'a Corpus, folder: &'a Path) -> anyhow::Result<Self> {
        let mut bench = Self { options, corpus, folder, buffered: &[], buffer_bytes_per_span: 0.0, group_bytes: 0 };
        let data = bench.data_folder()?;
        let server = bench.start(Phase::Buffer, data.path())?;
        let trial = corpus.first(TRIAL_SPANS);
        bench.send(&server, trial).context("trial")?;
        let metrics = server.metrics()?;
        bench.group_bytes = bench.group_bytes_of(&metrics)?;
        bench.buffer_bytes_per_span = metrics.value("spanhouse_memory_bytes")? / spans_of(trial) as f64;
        let fitting = MEMORY_BYTES as f64 * USABLE_MEMORY / bench.buffer_bytes_per_span;
        bench.buffered = corpus.first(fitting as u64);
        Ok(bench)
    }

    pub fn buffer_note(&self) -> String {
        let spans = spans_of(self.buffered);
        let share = if spans < self.corpus.spans { "all that fit" } else { "all" };
        format!("{spans} spans, {share}, at {:.0} bytes of memory a span", self.buffer_bytes_per_span)
    }

    fn data_folder(&self) -> anyhow::Result<tempfile::TempDir> {
        tempfile::Builder::new().prefix("data-").tempdir_in(self.folder).context("no folder for data")
    }

    fn start(&self, phase: Phase, data: &Path) -> anyhow::Result<Server> {
        Server::start(&self.options.server, data, &phase.settings(&self.options.durability))
    }

    fn send(&self, server: &Server, requests: &[Request]) -> anyhow::Result<Sent> {
        let listener = match self.options.sending.transport {
            Transport::Http => "otlp-http",
            Transport::Grpc => "otlp-grpc",
        };
        let sent = sender::send(server.address(listener)?, self.options.sending, requests)?;
        ensure!(sent.rejected_spans == 0, "the server rejected {} spans", sent.rejected_spans);
        Ok(sent)
    }

    pub fn run(&mut self, phase: Phase) -> anyhow::Result<Figures> {
        let requests = match phase {
            Phase::Buffer => self.buffered,
            Phase::Segments => &self.corpus.requests,
        };
        let spans = spans_of(requests);
        let data = self.data_folder()?;
        let mut syncs = self.device_syncs()?;
        let server = self.start(phase, data.path())?;
        let mut figures = self.measure(phase, &server, requests)?;

        let counted = server.count("SELECT count(*) FROM spans")?;
        ensure!(counted == spans, "{spans} spans were sent, but SQL counts {counted}");
        let metrics = server.metrics()?;
        if phase == Phase::Segments {
            let in_segments = metrics.table("spanhouse_table_rows", "spans")?;
            ensure!(in_segments == spans as f64, "{spans} spans were flushed, but the segments have {in_segments}");
            figures.extend([
                ("stored_bytes_per_span", stored_bytes(data.path())? as f64 / spans as f64),
                ("spans_table_bytes_per_span", metrics.table("spanhouse_table_bytes", "spans")? / spans as f64),
                ("spans_table_segments", metrics.table("spanhouse_table_segments", "spans")?),
            ]);
        }
        figures.push(("wal_bytes", metrics.value("spanhouse_wal_bytes")?));
        match phase {
            Phase::Buffer => drop(server), // What it has would only be thrown away.
            Phase::Segments => server.stop()?,
        }
        self.group_bytes = self.group_bytes_of(&metrics)?;
        if self.group_bytes > 0 {
            let sync_count = metrics.value("spanhouse_wal_sync_seconds_count")?;
            let sync_millis = metrics.value("spanhouse_wal_sync_seconds_sum")? * 1e3;
            let after = self.device_syncs()?;
            figures.extend([
                ("wal_syncs", sync_count),
                ("wal_sync_mean_ms", sync_millis / sync_count),
                ("wal_group_mean_bytes", self.group_bytes as f64),
                ("device_sync_before_p50_ms", millis(percentile(&syncs, 50))),
                ("device_sync_before_p99_ms", millis(percentile(&syncs, 99))),
                ("device_sync_after_p50_ms", millis(percentile(&after, 50))),
                ("device_sync_after_p99_ms", millis(percentile(&after, 99))),
            ]);
            syncs.extend(after);
            figures.push(("ack_p99_limit_ms", 2.0 * millis(percentile(&syncs, 99)) + 5.0));
        }
        Ok(figures)
    }

    /// Sends, in the phase to segments also flushes, and takes what that cost before anything else is asked.
    fn measure(&self, phase: Phase, server: &Server, requests: &[Request]) -> anyhow::Result<Figures> {
        let spans = spans_of(requests) as f64;
        let (before, machine_before, own_before) = (server.usage()?, proc::machine_cpu()?, proc::own_cpu());
        let sent = self.send(server, requests)?;
        let while_sending = server.usage()?.since(&before);
        let flush_begun = Instant::now();
        let mut flush_seconds = None;
        if phase == Phase::Segments {
            server.flush()?;
            flush_seconds = Some(flush_begun.elapsed().as_secs_f64());
            server.wait_for_rest()?;
        }
        let used = server.usage()?.since(&before);
        let own = proc::own_cpu().saturating_sub(own_before);
        let others = proc::machine_cpu()?.saturating_sub(machine_before).saturating_sub(used.cpu() + own);

        let per_million = |time: Duration| time.as_secs_f64() / (spans / 1e6);
        let mut figures: Figures = vec![
            ("server_cpu_seconds_per_million_spans", per_million(used.cpu())),
            ("server_user_cpu_seconds_per_million_spans", per_million(used.user)),
            ("spans_per_second", spans / sent.elapsed.as_secs_f64()),
            ("ack_p50_ms", millis(percentile(&sent.latencies, 50))),
            ("ack_p99_ms", millis(percentile(&sent.latencies, 99))),
            ("ack_max_ms", millis(percentile(&sent.latencies, 100))),
            ("peak_memory_mib", used.peak_memory_bytes as f64 / f64::from(1 << 20)),
            ("written_bytes_per_span", used.written_bytes as f64 / spans),
            ("refusals", sent.refusals as f64),
            ("refused_pause_seconds", sent.paused.as_secs_f64()),
            ("sender_cpu_seconds_per_million_spans", per_million(sent.cpu)),
            ("other_cpu_seconds", others.as_secs_f64()),
        ];
        if let Some(flush_seconds) = flush_seconds {
            figures.extend([
                ("server_cpu_seconds_per_million_spans_while_sending", per_million(while_sending.cpu())),
                ("flush_seconds", flush_seconds),
            ]);
        }
        Ok(figures)
    }

    fn device_syncs(&self) -> anyhow::Result<Vec<Duration>> {
        match self.group_bytes {
            0 => Ok(Vec::new()),
            bytes => device::syncs(self.folder, bytes),
        }
    }

    /// What a sync of the log covered on average; 0 if acknowledgements do not wait for syncs.
    fn group_bytes_of(&self, metrics: &Metrics) -> anyhow::Result<u64> {
        let syncs = metrics.value("spanhouse_wal_sync_seconds_count")?;
        if self.options.durability != "fsync" || syncs == 0.0 {
            return Ok(0);
        }
        Ok((metrics.value("spanhouse_body_bytes_total")? / syncs) as u64)
    }
}

/// Everything but the write-ahead log, which is preallocated and recycled.
fn stored_bytes(data: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(data)? {
        let entry = entry?;
        if entry.file_name() != "wal" {
            bytes += bytes_under(&entry.path())?;
        }
    }
    Ok(bytes)
}

fn bytes_under(path: &Path) -> anyhow::Result<u64> {
    let metadata = match path.symlink_metadata() {
        // The server may still be tidying up.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        metadata => metadata?,
    };
    if !metadata.is_dir() {
        return Ok(metadata.len());
    }
    std::fs::read_dir(path)?.map(|entry| bytes_under(&entry?.path())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_all_but_the_log() {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in [("wal/1.log", 1_000), ("spans/a.parquet", 30), ("spans/_delta_log/0.json", 4)] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, vec![0; bytes]).unwrap();
        }
        assert_eq!(stored_bytes(folder.path()).unwrap(), 34);
        assert_eq!(bytes_under(&folder.path().join("gone")).unwrap(), 0);
    }
}
