//! Merges what is due, one merge at a time, and deletes files that nobody needs any more. What is to be stored no longer goes between
//! them, as [`super::expiring`] has it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Int64Type;
use object_store::path::Path;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior};

use super::committing::{Change, with_causes};
use super::turns::{Turns, Worker};
use super::{Shared, Store, lock};
use crate::catalog::{LoggedFiles, NewSegment, Replacing, SegmentName};
use crate::compact::{self, Merge, Vacuumed, Written};
use crate::schema::{Table, paths};
use crate::snapshot::Segment;
use crate::{Error, Result};

/// How often it is looked what is due.
const LOOK: Duration = Duration::from_secs(2);
/// Segments whose merge failed are left alone for so long, so that others get their turn.
pub(super) const AVOIDED: Duration = Duration::from_secs(600);
/// How often files are looked through, at the rarest.
const VACUUM: Duration = Duration::from_secs(60);

/// What is asked of maintenance.
#[derive(Debug)]
pub(super) enum Ask {
    Compact {
        to_the_end: bool,
        done: oneshot::Sender<Result<CompactReport>>,
    },
    /// Another retention is in force.
    Expire {
        done: oneshot::Sender<Result<()>>,
    },
    /// Rules take out what they have to, to the end. How many segments were looked at.
    #[cfg(test)]
    ExpireRows {
        done: oneshot::Sender<Result<u64>>,
    },
    #[cfg(test)]
    Vacuum {
        at_start: bool,
        done: oneshot::Sender<Result<Vacuumed>>,
    },
}

/// What a compaction on demand did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CompactReport {
    pub merges: u64,
    pub segments_before: u64,
    pub segments_after: u64,
    pub read_bytes: u64,
    pub written_bytes: u64,
    pub elapsed: Duration,
}

impl Store {
    /// Merges until nothing is due, and waits for it. With `to_the_end` every date counts as over.
    pub async fn compact(&self, to_the_end: bool) -> Result<CompactReport> {
        self.ask(|done| Ask::Compact { to_the_end, done }).await
    }

    pub(super) async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<Result<T>>) -> Ask) -> Result<T> {
        let (done, wait) = oneshot::channel();
        self.shared.asks.send(ask(done)).await.map_err(|_| Error::Closed)?;
        wait.await.unwrap_or(Err(Error::Closed))
    }
}

/// The task that does it.
#[derive(Debug)]
pub(super) struct Upkeep {
    pub(super) shared: Arc<Shared>,
    changes: mpsc::Sender<Change>,
    pub(super) avoided: HashMap<Path, Instant>,
    /// Whose turn it is, by its place in [`Table::ALL`].
    first_table: usize,
}

impl Worker for Upkeep {
    async fn merge_one(&mut self) -> bool {
        if !self.shared.config.compaction.enabled {
            return false;
        }
        let merged = self.merge_next(None).await;
        let was_due = !matches!(merged, Ok(None));
        self.note(merged.map(drop), "a merge of segments failed; they are left alone for ten minutes");
        was_due
    }

    /// Lets rules take rows out of a segment.
    async fn look_at_one(&mut self) -> bool {
        let looked_at = self.expire_rows_next().await;
        looked_at.unwrap_or_else(|error| {
            let what = "rules could not take rows out of a segment; it is left alone for ten minutes";
            self.shared.note_expiring(&error, what);
            true
        })
    }

    fn now(&self) -> Instant {
        Instant::now()
    }
}

impl Upkeep {
    pub(super) fn new(shared: Arc<Shared>, changes: mpsc::Sender<Change>) -> Self {
        Self { shared, changes, avoided: HashMap::new(), first_table: 0 }
    }

    pub(super) async fn run(mut self, mut asked: mpsc::Receiver<Ask>) {
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut vacuumed, mut turns): (Option<Instant>, _) = (None, Turns::default());
        loop {
            self.vacuum_when_due(&mut vacuumed).await;
            tokio::select! {
                ask = asked.recv() => match ask {
                    Some(ask) => self.answer(ask).await,
                    None => return,
                },
                _ = ticks.tick() => {}
            }
            self.keep_retention().await;
            self.avoided.retain(|_, until| *until > Instant::now());
            while asked.is_empty() && !self.shared.closing.load(Ordering::Relaxed) {
                if !turns.take(&mut self).await {
                    break;
                }
                // Both may be due for hours, and each leaves files behind.
                self.vacuum_when_due(&mut vacuumed).await;
                self.keep_retention().await;
            }
        }
    }

    async fn vacuum_when_due(&mut self, vacuumed: &mut Option<Instant>) {
        let every = VACUUM.min(self.shared.config.compaction.keep_replaced / 4);
        if vacuumed.is_none_or(|at| at.elapsed() >= every) {
            let result = self.vacuum(vacuumed.is_none()).await;
            self.note(result.map(drop), "files that nobody needs could not be deleted; it is tried again");
            *vacuumed = Some(Instant::now());
        }
    }

    async fn answer(&mut self, ask: Ask) {
        // Whoever asked may be gone.
        match ask {
            Ask::Compact { to_the_end, done } => {
                let _ = done.send(self.compact(to_the_end).await);
            }
            Ask::Expire { done } => {
                let _ = done.send(self.expire().await);
            }
            #[cfg(test)]
            Ask::ExpireRows { done } => {
                let _ = done.send(self.expire_all_rows().await);
            }
            #[cfg(test)]
            Ask::Vacuum { at_start, done } => {
                let _ = done.send(self.vacuum(at_start).await);
            }
        }
    }

    #[cfg(test)]
    async fn expire_all_rows(&mut self) -> Result<u64> {
        let mut count = 0;
        while self.expire_rows_next().await.inspect_err(|error| self.shared.note_expiring(error, "failed"))? {
            count += 1;
        }
        self.expire().await?;
        Ok(count)
    }

    fn note(&self, result: Result<()>, what: &'static str) {
        if let Err(error) = result {
            let why = with_causes(&error);
            tracing::error!(error = why, "{what}");
            let mut status = lock(&self.shared.compaction);
            status.failures += 1;
            status.last_error = Some(why);
        }
    }

    async fn compact(&mut self, to_the_end: bool) -> Result<CompactReport> {
        let start = Instant::now();
        let count = |shared: &Shared| {
            let memory = lock(&shared.memory);
            Table::ALL.iter().map(|table| memory.tables.table(*table).segments.len() as u64).sum()
        };
        let mut report = CompactReport { segments_before: count(&self.shared), ..CompactReport::default() };
        self.avoided.clear();
        // What is flushed meanwhile would keep it going for ever.
        let to_the_end = to_the_end.then(|| self.shared.progress.borrow().committed);
        while let Some(merged) = self.merge_next(to_the_end).await? {
            report.merges += 1;
            report.read_bytes += merged.0;
            report.written_bytes += merged.1;
        }
        Ok(CompactReport { segments_after: count(&self.shared), elapsed: start.elapsed(), ..report })
    }

    /// Makes the next merge that is due. With an epoch every date counts as over, and what was flushed later is left alone. Bytes
    /// read and written; `None` if nothing is due.
    async fn merge_next(&mut self, to_the_end: Option<u64>) -> Result<Option<(u64, u64)>> {
        let now = self.shared.clock.now();
        for place in 0..Table::ALL.len() {
            let place = (self.first_table + place) % Table::ALL.len();
            let table = Table::ALL[place];
            let mut segments: Vec<Arc<Segment>> = lock(&self.shared.memory).tables.table(table).segments.clone();
            segments.retain(|segment| !self.avoided.contains_key(&segment.location));
            if let Some(last) = to_the_end {
                let epoch = |segment: &Segment| SegmentName::parse(&segment.location).map(|name| name.epoch);
                segments.retain(|segment| epoch(segment).is_some_and(|epoch| epoch <= last));
            }
            let planned = compact::plan(&segments, now, &self.shared.config.compaction, to_the_end.is_some());
            if let Some(merge) = planned.into_iter().next() {
                // A table that always has something due must not keep others from their turn.
                self.first_table = place + 1;
                let merged = self.merge(table, &merge).await;
                if merged.is_err() {
                    let until = Instant::now() + AVOIDED;
                    let inputs = merge.segments.iter().map(|segment| (segment.location.clone(), until));
                    self.avoided.extend(inputs);
                }
                return merged.map(Some);
            }
        }
        Ok(None)
    }

    async fn merge(&self, table: Table, planned: &Merge) -> Result<(u64, u64)> {
        let shared = &self.shared;
        let start = Instant::now();
        let promoted = Arc::clone(&lock(&shared.memory).tables.table(table).promoted);
        let Written { segment, why, paths } =
            compact::write(table, promoted, planned, &shared.objects, &shared.collector, shared.clock.now()).await?;
        let bytes = (planned.bytes(), segment.segment.size_bytes);
        // Before the spans that refer to them.
        if let Some(paths) = paths {
            self.add_paths(paths, planned.epoch).await?;
        }
        // If this fails the file may be live all the same, so it stays: the vacuum asks the log.
        let removed = planned.segments.iter().map(|segment| segment.location.clone()).collect();
        self.replace(table, removed, vec![segment], why).await?;
        tracing::debug!(
            table = table.name(),
            date = planned.date,
            segments = planned.segments.len(),
            read_bytes = bytes.0,
            written_bytes = bytes.1,
            level = planned.level,
            ms = start.elapsed().as_millis() as u64,
            "merged"
        );
        let mut status = lock(&shared.compaction);
        status.merges += 1;
        status.merged_segments += planned.segments.len() as u64;
        status.read_bytes += bytes.0;
        status.written_bytes += bytes.1;
        Ok(bytes)
    }

    /// Makes those rows of `paths` live that the table has not.
    async fn add_paths(&self, rows: RecordBatch, epoch: u64) -> Result<()> {
        let shared = &self.shared;
        let ids: Vec<i64> = {
            let ids = rows.column_by_name(paths::PATH_ID).and_then(|ids| ids.as_primitive_opt::<Int64Type>());
            ids.map(|ids| ids.values().to_vec()).unwrap_or_default()
        };
        // From here on no epoch brings them, too.
        let is_new: Vec<bool> = {
            let known = &mut lock(&shared.memory).known_paths;
            let mut is_new = |id: &i64| {
                let before = known.len();
                known.is_stored(*id);
                known.len() > before
            };
            ids.iter().map(&mut is_new).collect()
        };
        if !is_new.contains(&true) {
            return Ok(());
        }
        let added = async {
            let rows = filter_record_batch(&rows, &BooleanArray::from(is_new.clone()))?;
            let now = shared.clock.now();
            let written = compact::write_paths(rows, epoch, &shared.objects, &shared.collector, now).await?;
            self.replace(Table::Paths, Vec::new(), written, Replacing::Changed).await
        };
        added.await.inspect_err(|_| {
            let known = &mut lock(&shared.memory).known_paths;
            ids.iter().zip(&is_new).filter(|(_, is_new)| **is_new).for_each(|(id, _)| known.forget(*id));
        })
    }

    pub(super) async fn replace(
        &self,
        table: Table,
        removed: Vec<Path>,
        added: Vec<NewSegment>,
        why: Replacing,
    ) -> Result<()> {
        let (done, wait) = oneshot::channel();
        let change = Change::Replace { table, removed, added, why, done };
        self.changes.send(change).await.map_err(|_| Error::Closed)?;
        wait.await.unwrap_or(Err(Error::Closed))
    }

    async fn logged(&self, table: Table) -> Result<LoggedFiles> {
        let (done, wait) = oneshot::channel();
        self.changes.send(Change::Files { table, done }).await.map_err(|_| Error::Closed)?;
        wait.await.map_err(|_| Error::Closed)?
    }

    async fn vacuum(&self, at_start: bool) -> Result<Vacuumed> {
        let shared = &self.shared;
        let mut all = Vacuumed::default();
        for table in Table::ALL {
            // Files before log: see `list`.
            let listed = compact::list(&*shared.objects, table).await?;
            let logged = self.logged(table).await?;
            let keep = shared.config.compaction.keep_replaced;
            all += compact::vacuum(&*shared.objects, &listed, &logged, shared.clock.now(), keep, at_start).await?;
        }
        if all.deleted > 0 {
            tracing::debug!(files = all.deleted, bytes = all.deleted_bytes, "deleted what nobody needs");
        }
        let mut status = lock(&shared.compaction);
        status.waiting_files = all.waiting;
        status.waiting_bytes = all.waiting_bytes;
        status.deleted_files += all.deleted;
        status.deleted_bytes += all.deleted_bytes;
        Ok(all)
    }
}
