//! The store: requests in, snapshots out, and flushes in between.
//!
//! - `applying`: appends and decisions, from the log to memory.
//! - `sealing`: when an epoch ends, and a flush on demand.
//! - `committing`: the one task that changes tables: sealed epochs, oldest first, and replacements of segments between them.
//! - `maintaining`: merges, and the end of files that nobody needs.
//! - `expiring`: the end of what is too old, too much, or named by a rule. `turns`: whether that or a merge comes next.
//! - `status`: what the store holds.

mod applying;
mod committing;
mod expiring;
mod maintaining;
mod sealing;
mod status;
mod turns;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Instant;

use object_store::ObjectStore;
use tokio::sync::{Notify, oneshot, watch};

use crate::catalog::remove_temporary;
use crate::clock::Clock;
use crate::config::{Config, RetentionSettings};
use crate::decided::Remembered;
use crate::derive::SameIds;
use crate::flush::committed;
use crate::lock::DirectoryLock;
use crate::memory::{Gathered, Memory, PendingTrace};
use crate::model::TraceId;
use crate::recovery::{self, DataDirectory};
use crate::repeats::Repeats;
use crate::request::{Decoder, Request};
use crate::retention::Settled;
use crate::snapshot::{Snapshot, SnapshotSource};
use crate::view::View;
use crate::wal::{self, Durable, LocalDisk, WalHandle};
use crate::{Error, Result};

use applying::Effect;
use committing::{FlushProgress, commit_changes, with_causes};
pub use maintaining::CompactReport;
use maintaining::{Ask, Upkeep};
pub use sealing::FlushReport;
use sealing::seal_when_due;
pub use status::{CompactionStatus, RetentionStatus, StoreStatus, TableStatus};

#[derive(Debug)]
struct Shared {
    config: Config,
    clock: Arc<dyn Clock>,
    collector: String,
    memory: Mutex<Memory>,
    /// Since the start; what replay meets was counted when it was decided.
    same_ids: Mutex<SameIds>,
    repeats: Mutex<Repeats>,
    view: View,
    wal: WalHandle<Effect>,
    /// Bytes of batches between append and apply.
    under_way_bytes: AtomicUsize,
    objects: Arc<dyn ObjectStore>,
    sealed: Notify,
    /// The open epoch may be due.
    due: Notify,
    closing: AtomicBool,
    progress: watch::Sender<FlushProgress>,
    failed: watch::Sender<Option<Arc<Error>>>,
    compaction: Mutex<CompactionStatus>,
    retention: Mutex<RetentionSettings>,
    expired: Mutex<RetentionStatus>,
    settled: Mutex<Settled>,
    /// Who asks what would go has segments read.
    previewing: tokio::sync::Mutex<()>,
    asks: tokio::sync::mpsc::Sender<Ask>,
    /// One seal at a time, since a seal names the epoch that it ends.
    sealing: tokio::sync::Mutex<()>,
}

/// A data directory, open for writing. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    shared: Arc<Shared>,
    running: Arc<Running>,
}

/// What runs behind the store; it ends with the last handle.
#[derive(Debug)]
struct Running {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    _lock: DirectoryLock,
}

impl Running {
    /// Ends all writing after what is queued, without flushing.
    fn stop(&self) -> Vec<JoinHandle<()>> {
        self.shared.wal.close();
        for task in &self.tasks {
            task.abort();
        }
        std::mem::take(&mut *lock(&self.threads))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for thread in self.stop() {
            // A thread that panicked has said so already.
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change is whole before its guard goes, so a panic elsewhere spoils nothing.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store {
    /// Opens `directory`, replays its WAL, and starts writing. Returns once everything acknowledged is visible.
    pub async fn open(
        directory: &Path,
        config: Config,
        clock: Arc<dyn Clock>,
        decoder: Arc<dyn Decoder>,
    ) -> Result<Self> {
        let found = DataDirectory::new(directory);
        let open_disk = |wal: &Path| Ok(Arc::new(LocalDisk::open(wal.to_owned())?) as Arc<dyn wal::Disk>);
        Self::open_on(found, config, clock, decoder, open_disk, |objects| objects).await
    }

    /// The same on a disk and an object store that are handed in: `through` gets the one of the directory.
    async fn open_on(
        directory: DataDirectory,
        config: Config,
        clock: Arc<dyn Clock>,
        decoder: Arc<dyn Decoder>,
        open_disk: impl FnOnce(&Path) -> std::io::Result<Arc<dyn wal::Disk>>,
        through: impl FnOnce(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore>,
    ) -> Result<Self> {
        config.validate()?;
        let failed = |what: &str| {
            let what = what.to_owned();
            move |source| Error::Write { what, source }
        };
        let root = directory.root();
        std::fs::create_dir_all(root).map_err(failed(&format!("data directory {}", root.display())))?;
        let lock = DirectoryLock::exclusive(root)?;
        let collector = directory.create()?;
        remove_temporary(&directory.tables()).map_err(failed("the tables' directory"))?;
        let catalogs = recovery::open_tables(&directory, &collector).await?;
        let objects = through(recovery::segment_store(&directory)?);
        let disk = open_disk(&directory.wal()).map_err(failed("the WAL directory"))?;

        let repeats = Arc::new(Mutex::new(Repeats::new(config.repeat_window, config.repeat_requests)));
        let seen = {
            let repeats = Arc::clone(&repeats);
            move |request: &Request| self::lock(&repeats).stored(request.content_hash, request.arrival)
        };
        let tables = committed(&catalogs);
        let first = FlushProgress { committed: tables.spans.epoch, ..FlushProgress::default() };
        let start = Instant::now();
        let (memory, report) =
            recovery::rebuild(tables, &objects, disk.clone(), decoder, &config, clock.now(), seen).await?;
        tracing::info!(
            records = report.records,
            torn_bytes = report.torn_bytes,
            pending_spans = memory.pending.span_count(),
            ms = start.elapsed().as_millis() as u64,
            "replayed the WAL"
        );

        // Groups wait here while one is applied; the WAL's own queue bounds what is behind them.
        let (groups, applied) = mpsc::sync_channel::<Result<Vec<Durable<Effect>>>>(64);
        let (wal, writer) = wal::start(disk, config.wal.clone(), &report, move |group| {
            // The other end goes only with the process.
            let _ = groups.send(group);
        })?;
        let repeats = Arc::try_unwrap(repeats).map(Mutex::into_inner);
        let repeats = match repeats {
            Ok(repeats) => Mutex::new(repeats.unwrap_or_else(PoisonError::into_inner)),
            Err(_) => return Err(Error::Closed),
        };
        let (asks, asked) = tokio::sync::mpsc::channel(16);
        let shared = Arc::new(Shared {
            collector,
            compaction: Mutex::default(),
            retention: Mutex::new(config.retention.clone()),
            expired: Mutex::default(),
            settled: Mutex::default(),
            previewing: tokio::sync::Mutex::default(),
            asks,
            memory: Mutex::new(memory),
            same_ids: Mutex::default(),
            repeats,
            view: View::default(),
            wal,
            under_way_bytes: AtomicUsize::new(0),
            objects,
            sealed: Notify::new(),
            due: Notify::new(),
            closing: AtomicBool::new(false),
            progress: watch::Sender::new(first),
            failed: watch::Sender::new(None),
            sealing: tokio::sync::Mutex::new(()),
            clock,
            config,
        });
        let applier = {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name("apply".to_owned())
                .spawn(move || shared.apply_groups(&applied))
                .map_err(|source| Error::Write { what: "the apply thread".to_owned(), source })?
        };
        shared.wal.release(self::lock(&shared.memory).needed_from());
        let (changes, wanted) = tokio::sync::mpsc::channel(16);
        let committer = tokio::spawn(commit_changes(Arc::clone(&shared), catalogs, wanted));
        let upkeep = tokio::spawn(Upkeep::new(Arc::clone(&shared), changes).run(asked));
        let sealer = tokio::spawn(seal_when_due(Arc::clone(&shared)));
        let running = Running {
            shared: Arc::clone(&shared),
            threads: Mutex::new(vec![writer, applier]),
            tasks: vec![committer, sealer, upkeep],
            _lock: lock,
        };
        Ok(Self { shared, running: Arc::new(running) })
    }

    /// Shows every pending trace to `see`, which is also told how the trace was decided before: then what is pending of it is
    /// late. Nothing is stored meanwhile.
    pub fn pending(&self, mut see: impl FnMut(Option<&Arc<Remembered>>, &TraceId, &PendingTrace)) {
        let memory = lock(&self.shared.memory);
        let decided = |id| memory.decided.get(id).map(|known| known.verdict);
        memory.pending.traces().for_each(|(id, trace)| see(decided(id), id, trace));
    }

    /// The spans that are pending of these traces now; without those that have none.
    pub fn look(&self, ids: &[TraceId]) -> Gathered {
        lock(&self.shared.memory).pending.look(ids)
    }

    /// How far the memory for spans is used by what earlier decisions would free, as a share of it.
    pub fn memory_pressure(&self) -> f64 {
        let used = lock(&self.shared.memory).pressing_bytes();
        used as f64 / self.shared.config.memory_bytes.max(1) as f64
    }

    /// Resolves when the WAL cannot be written any more: the process must stop.
    pub async fn failed(&self) -> Arc<Error> {
        let mut failed = self.shared.failed.subscribe();
        match failed.wait_for(Option::is_some).await.map(|error| error.clone()) {
            Ok(Some(error)) => error,
            _ => std::future::pending().await,
        }
    }

    /// From now on a full disk fails requests instead of letting them wait for room: whoever waits for their end wants to leave.
    pub fn stop_waiting(&self) {
        self.shared.wal.stop_waiting();
    }

    /// Flushes what is decided and ends all writing. What is pending stays in the WAL, and what could not be flushed as well.
    pub async fn close(&self) -> Result<()> {
        self.shared.closing.store(true, Ordering::Relaxed);
        self.stop_waiting();
        let flushed = self.flush().await.map(|_| ());
        let threads = self.running.stop();
        let joined = tokio::task::spawn_blocking(move || threads.into_iter().all(|thread| thread.join().is_ok())).await;
        if !joined.unwrap_or(false) {
            return Err(Error::Closed);
        }
        match (flushed, &*self.shared.failed.borrow()) {
            (Err(Error::Closed), Some(why)) => Err(repeated(why)),
            (flushed, _) => flushed,
        }
    }
}

/// The error that ended the log, for somebody else.
fn repeated(error: &Error) -> Error {
    match error {
        Error::Write { what, source } => {
            Error::Write { what: what.clone(), source: std::io::Error::new(source.kind(), with_causes(source)) }
        }
        _ => Error::Closed,
    }
}

impl SnapshotSource for Store {
    fn snapshot(&self) -> Result<Snapshot> {
        self.shared.view.snapshot(&self.shared.memory)
    }

    fn object_store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.shared.objects)
    }
}

impl Shared {
    async fn outcome(&self, wait: oneshot::Receiver<Result<()>>) -> Result<()> {
        // A sender that goes without a word is a WAL that failed.
        wait.await.unwrap_or(Err(Error::Closed))
    }
}

#[cfg(test)]
mod tests;
