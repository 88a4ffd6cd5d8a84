//! The store: requests in, snapshots out, and flushes in between.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use object_store::ObjectStore;
use tokio::sync::{Notify, oneshot, watch};

use crate::catalog::SyncedStore;
use crate::clock::Clock;
use crate::config::Config;
use crate::decided::Remembered;
use crate::derive::SameIds;
use crate::flush::{Catalogs, committed, flush};
use crate::lock::DirectoryLock;
use crate::memory::{Gathered, Memory, PendingTrace};
use crate::metrics::BatchCounts;
use crate::model::{SpanBatch, TraceId, UnixNanos};
use crate::recovery::{self, DataDirectory};
use crate::repeats::{Repeats, Seen};
use crate::request::{Appended, Decoder, Request};
use crate::schema::Table;
use crate::snapshot::{Snapshot, SnapshotSource};
use crate::view::View;
use crate::wal::{self, Decision, Durable, LocalDisk, Record, WalHandle, WalStatus};
use crate::{Error, Result};

/// What a durable record does to memory, and whom to tell.
#[derive(Debug)]
enum Effect {
    Insert {
        arrival: UnixNanos,
        batch: Box<SpanBatch>,
        counts: BatchCounts,
        bytes: usize,
        hash: u128,
        done: oneshot::Sender<Result<()>>,
    },
    Decide {
        decisions: Vec<Decision>,
        done: oneshot::Sender<Result<()>>,
    },
    Seal {
        epoch: u64,
        done: oneshot::Sender<Result<()>>,
    },
}

/// How far flushing has come.
#[derive(Debug, Clone, Default)]
struct FlushProgress {
    /// The last epoch in segments.
    committed: u64,
    segments: usize,
    /// Why the epoch after it is not there yet.
    failure: Option<(u64, String)>,
}

/// What one flush did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FlushReport {
    pub epoch: u64,
    pub spans: u64,
    pub traces: u64,
    pub segments: usize,
    pub elapsed: Duration,
}

/// What the store holds now.
#[derive(Debug, Clone, Default)]
pub struct StoreStatus {
    pub pending_traces: usize,
    pub pending_spans: usize,
    pub buffer_spans: usize,
    pub memory_bytes: usize,
    /// Of the spans that were decided since the start.
    pub same_ids: SameIds,
    pub wal: WalStatus,
    pub tables: Vec<TableStatus>,
}

#[derive(Debug, Clone)]
pub struct TableStatus {
    pub table: Table,
    /// Rows in segments.
    pub rows: u64,
    pub segments: usize,
    pub bytes: u64,
    pub version: i64,
}

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
    objects: Arc<SyncedStore>,
    sealed: Notify,
    /// The open epoch may be due.
    due: Notify,
    closing: AtomicBool,
    progress: watch::Sender<FlushProgress>,
    failed: watch::Sender<Option<Arc<Error>>>,
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
        config.validate()?;
        std::fs::create_dir_all(directory)
            .map_err(|source| Error::Write { what: format!("data directory {}", directory.display()), source })?;
        let lock = DirectoryLock::exclusive(directory)?;
        let directory = DataDirectory::new(directory);
        let collector = directory.create()?;
        let catalogs = recovery::open_tables(&directory, &collector).await?;
        let objects = recovery::segment_store(&directory)?;
        let disk = LocalDisk::open(directory.wal())
            .map_err(|source| Error::Write { what: "the WAL directory".to_owned(), source })?;
        let disk = Arc::new(disk);

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
        let shared = Arc::new(Shared {
            collector,
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
        let flusher = tokio::spawn(flush_sealed(Arc::clone(&shared), catalogs));
        let sealer = tokio::spawn(seal_when_due(Arc::clone(&shared)));
        let running = Running {
            shared: Arc::clone(&shared),
            threads: Mutex::new(vec![writer, applier]),
            tasks: vec![flusher, sealer],
            _lock: lock,
        };
        Ok(Self { shared, running: Arc::new(running) })
    }

    /// Stores a request. Returns once it is durable and its spans are visible to queries.
    pub async fn append(&self, request: Request, batch: SpanBatch) -> Result<Appended> {
        let shared = &self.shared;
        let hash = request.content_hash;
        let in_flight = match lock(&shared.repeats).begin(hash, request.arrival) {
            Seen::New => None,
            Seen::Stored => return Ok(Appended::Duplicate),
            Seen::InFlight(outcome) => Some(outcome),
        };
        if let Some(mut outcome) = in_flight {
            let stored = outcome.wait_for(Option::is_some).await.is_ok_and(|stored| *stored == Some(true));
            return if stored {
                Ok(Appended::Duplicate)
            } else {
                Err(Error::Busy("the same request is being stored; send it again".to_owned()))
            };
        }
        let (done, wait) = oneshot::channel();
        let arrival = request.arrival;
        let counts = BatchCounts::of(&batch);
        let bytes = batch.size_bytes() + counts.size_bytes();
        let queued = shared.take_room(bytes).and_then(|()| {
            let effect = Effect::Insert { arrival, batch: Box::new(batch), counts, bytes, hash, done };
            shared.wal.append(Record::Request(request), effect).inspect_err(|_| shared.give_back_room(bytes))
        });
        if let Err(error) = queued {
            lock(&shared.repeats).failed(hash);
            return Err(error);
        }
        shared.outcome(wait).await.map(|()| Appended::Stored)
    }

    /// Makes decisions durable and moves the named traces out of pending.
    pub async fn decide(&self, decisions: Vec<Decision>) -> Result<()> {
        let (done, wait) = oneshot::channel();
        self.shared.wal.append(Record::Decisions(decisions.clone()), Effect::Decide { decisions, done })?;
        self.shared.outcome(wait).await
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

    /// Makes all decided spans segments now, and waits for it.
    pub async fn flush(&self) -> Result<FlushReport> {
        let start = Instant::now();
        let shared = &self.shared;
        let sealed = shared.seal().await?;
        let wanted = match &sealed {
            Some(report) => report.epoch,
            // Nothing new; whatever is being flushed still counts as memory.
            None => lock(&shared.memory).sealed.back().map_or(0, |epoch| epoch.number),
        };
        let mut progress = shared.progress.subscribe();
        let reached = progress
            .wait_for(|progress| {
                progress.committed >= wanted || progress.failure.as_ref().is_some_and(|(epoch, _)| *epoch <= wanted)
            })
            .await
            .map_err(|_| Error::Closed)?
            .clone();
        if reached.committed < wanted {
            let why = reached.failure.map_or_else(String::new, |(_, why)| why);
            return Err(Error::Busy(format!("flush epoch {wanted} is not in segments yet: {why}")));
        }
        let report = sealed.unwrap_or_default();
        Ok(FlushReport {
            segments: if report.epoch > 0 { reached.segments } else { 0 },
            elapsed: start.elapsed(),
            ..report
        })
    }

    /// Resolves when the WAL cannot be written any more: the process must stop.
    pub async fn failed(&self) -> Arc<Error> {
        let mut failed = self.shared.failed.subscribe();
        match failed.wait_for(Option::is_some).await.map(|error| error.clone()) {
            Ok(Some(error)) => error,
            _ => std::future::pending().await,
        }
    }

    pub fn status(&self) -> StoreStatus {
        let memory = lock(&self.shared.memory);
        let table = |table: Table| {
            let committed = memory.tables.table(table);
            TableStatus {
                table,
                rows: committed.segments.iter().map(|segment| segment.row_count).sum(),
                segments: committed.segments.len(),
                bytes: committed.segments.iter().map(|segment| segment.size_bytes).sum(),
                version: committed.version,
            }
        };
        StoreStatus {
            pending_traces: memory.pending.trace_count(),
            pending_spans: memory.pending.span_count(),
            buffer_spans: memory.open.span_count + memory.sealed.iter().map(|epoch| epoch.span_count).sum::<usize>(),
            memory_bytes: memory.bytes(),
            same_ids: *lock(&self.shared.same_ids),
            wal: self.shared.wal.status(),
            tables: vec![
                table(Table::Spans),
                table(Table::Traces),
                table(Table::SpanMetrics),
                table(Table::EdgeMetrics),
                table(Table::Paths),
            ],
        }
    }

    /// Flushes what is decided and ends all writing. What is pending stays in the WAL.
    pub async fn close(&self) -> Result<()> {
        self.shared.closing.store(true, Ordering::Relaxed);
        let flushed = self.flush().await.map(|_| ());
        let threads = self.running.stop();
        let joined = tokio::task::spawn_blocking(move || threads.into_iter().all(|thread| thread.join().is_ok())).await;
        if !joined.unwrap_or(false) {
            return Err(Error::Closed);
        }
        flushed
    }
}

impl SnapshotSource for Store {
    fn snapshot(&self) -> Result<Snapshot> {
        self.shared.view.snapshot(&self.shared.memory)
    }

    fn object_store(&self) -> Arc<dyn ObjectStore> {
        recovery::as_objects(&self.shared.objects)
    }
}

impl Shared {
    /// Reserves memory for a batch on its way to be applied, and refuses if that is too much with what is there.
    fn take_room(&self, bytes: usize) -> Result<()> {
        let under_way = self.under_way_bytes.fetch_add(bytes, Ordering::Relaxed);
        let taken = lock(&self.memory).bytes().saturating_add(under_way);
        // A request that is larger than all that is allowed must still get through an empty store.
        if taken > 0 && taken.saturating_add(bytes) > self.config.memory_bytes {
            self.give_back_room(bytes);
            // Whatever is decided can go at once.
            self.due.notify_one();
            return Err(Error::Busy(format!("{taken} bytes of spans wait to become segments")));
        }
        Ok(())
    }

    fn give_back_room(&self, bytes: usize) {
        self.under_way_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    async fn outcome(&self, wait: oneshot::Receiver<Result<()>>) -> Result<()> {
        // A sender that goes without a word is a WAL that failed.
        wait.await.unwrap_or(Err(Error::Closed))
    }

    /// Applies durable records in order: the only writer of memory but for commits.
    fn apply_groups(&self, groups: &mpsc::Receiver<Result<Vec<Durable<Effect>>>>) {
        while let Ok(group) = groups.recv() {
            match group {
                Ok(group) => {
                    if !group.into_iter().all(|durable| self.apply(durable)) {
                        break;
                    }
                }
                Err(error) => {
                    tracing::error!(error = %error, "the WAL failed; nothing more is accepted");
                    self.failed.send_replace(Some(Arc::new(error)));
                    break;
                }
            }
        }
    }

    /// Whether memory is what the log says, and can be used on.
    fn apply(&self, Durable { lsn, payload }: Durable<Effect>) -> bool {
        // Whoever asked may be gone; the record counts all the same.
        match payload {
            Effect::Insert { arrival, batch, counts, bytes, hash, done } => {
                let has_many_metrics = {
                    let mut memory = lock(&self.memory);
                    memory.insert(lsn, self.clock.now(), arrival, *batch, counts);
                    memory.open.metric_rows() >= self.config.metric_rows
                };
                if has_many_metrics {
                    self.due.notify_one();
                }
                self.give_back_room(bytes);
                lock(&self.repeats).stored(hash, arrival);
                let _ = done.send(Ok(()));
            }
            Effect::Decide { decisions, done } => {
                let decided = lock(&self.memory).decide(lsn, self.clock.now(), &decisions);
                match decided {
                    Ok(same_ids) => *lock(&self.same_ids) += same_ids,
                    Err(error) => {
                        // The log is right and memory is not; a restart reads the log.
                        tracing::error!(error = %error, "decided traces could not be derived; nothing more is accepted");
                        self.failed.send_replace(Some(Arc::new(error)));
                        return false;
                    }
                }
                if self.is_due() {
                    self.due.notify_one();
                }
                let _ = done.send(Ok(()));
            }
            Effect::Seal { epoch, done } => {
                lock(&self.memory).seal(lsn, epoch);
                self.sealed.notify_one();
                let _ = done.send(Ok(()));
            }
        }
        true
    }

    /// Seals the open epoch; `None` if it is empty.
    async fn seal(self: &Arc<Self>) -> Result<Option<FlushReport>> {
        let shared = Arc::clone(self);
        // A caller that leaves must not free the epoch's number before its seal is applied: a second seal of the same
        // number would take the next epoch's spans with it.
        tokio::spawn(async move { shared.seal_to_the_end().await }).await.unwrap_or(Err(Error::Closed))
    }

    async fn seal_to_the_end(&self) -> Result<Option<FlushReport>> {
        let _one_at_a_time = self.sealing.lock().await;
        let report = {
            let memory = lock(&self.memory);
            if memory.open.is_empty() {
                return Ok(None);
            }
            FlushReport {
                epoch: memory.open.number,
                spans: memory.open.span_count as u64,
                traces: memory.open.traces.iter().map(|rows| rows.num_rows() as u64).sum(),
                ..FlushReport::default()
            }
        };
        let (done, wait) = oneshot::channel();
        self.wal.append(Record::Seal { epoch: report.epoch }, Effect::Seal { epoch: report.epoch, done })?;
        self.outcome(wait).await?;
        Ok(Some(report))
    }

    fn is_due(&self) -> bool {
        let memory = lock(&self.memory);
        let age = i64::try_from(self.config.flush_age.as_nanos()).unwrap_or(i64::MAX);
        let is_full = memory.bytes() >= self.config.memory_bytes - self.config.memory_bytes / 8;
        memory.open.size_bytes() >= self.config.flush_bytes
            || memory.open.metric_rows() >= self.config.metric_rows
            // More small segments are better than refused requests.
            || (is_full && memory.sealed.is_empty() && memory.open.has_decided())
            || memory.open.since.is_some_and(|since| self.clock.now().since(since) >= age)
    }
}

/// Seals the open epoch whenever its size or age says so.
async fn seal_when_due(shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(Duration::from_millis(250));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shared.due.notified() => {}
        }
        if shared.is_due() && matches!(shared.seal().await, Err(Error::Closed)) {
            return;
        }
    }
}

/// Flushes sealed epochs, oldest first, and tries again what fails.
async fn flush_sealed(shared: Arc<Shared>, mut catalogs: Catalogs) {
    let mut pause = Duration::from_secs(1);
    loop {
        let Some(epoch) = lock(&shared.memory).sealed.front().cloned() else {
            shared.sealed.notified().await;
            continue;
        };
        let start = Instant::now();
        let flushed = flush(&epoch, &mut catalogs, &*shared.objects, &shared.collector, shared.clock.now()).await;
        match flushed {
            Ok(segments) => {
                let tables = committed(&catalogs);
                let needed_from = {
                    let mut memory = lock(&shared.memory);
                    memory.committed(epoch.number, tables);
                    memory.needed_from()
                };
                shared.view.forget();
                // Where memory has gone wrong, the log alone knows what is needed.
                if shared.failed.borrow().is_none() {
                    shared.wal.release(needed_from);
                }
                tracing::debug!(
                    epoch = epoch.number,
                    spans = epoch.span_count,
                    segments,
                    ms = start.elapsed().as_millis() as u64,
                    "flushed"
                );
                shared.progress.send_modify(|progress| {
                    *progress = FlushProgress { committed: epoch.number, segments, failure: None };
                });
                pause = Duration::from_secs(1);
                for table in Table::ALL {
                    if let Err(error) = catalogs.table_mut(table).maintain().await {
                        tracing::warn!(error = %error, "a table's log could not be shortened; it is tried again later");
                    }
                }
            }
            Err(error) => {
                let why = with_causes(&error);
                tracing::error!(epoch = epoch.number, error = why, "a flush failed and is tried again");
                shared.progress.send_modify(|progress| progress.failure = Some((epoch.number, why)));
                if shared.closing.load(Ordering::Relaxed) {
                    return;
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(30));
            }
        }
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests;
