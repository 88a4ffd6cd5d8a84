//! The one task that changes tables: sealed epochs as they come, and between them what maintenance wants. So no commit ever
//! meets another one of this process.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use object_store::path::Path;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::{Shared, lock};
use crate::Result;
use crate::catalog::{LoggedFiles, NewSegment, Replacing};
use crate::flush::{Catalogs, committed, flush};
use crate::memory::{Committed, Epoch};
use crate::promotion::Promotion;
use crate::schema::Table;

/// How far flushing has come.
#[derive(Debug, Clone, Default)]
pub(super) struct FlushProgress {
    /// The last epoch in segments.
    pub(super) committed: u64,
    pub(super) segments: usize,
    /// Why the epoch after it is not there yet.
    pub(super) failure: Option<(u64, String)>,
}

/// What maintenance wants of a table.
#[derive(Debug)]
pub(super) enum Change {
    /// One step: what is removed is out of it, and what is added is live.
    Replace {
        table: Table,
        removed: Vec<Path>,
        added: Vec<NewSegment>,
        why: Replacing,
        done: oneshot::Sender<Result<()>>,
    },
    /// No change: what its log says now.
    Files { table: Table, done: oneshot::Sender<Result<LoggedFiles>> },
}

/// How long a failed flush waits before it is tried again.
const PAUSES: std::ops::Range<Duration> = Duration::from_secs(1)..Duration::from_secs(30);

/// Flushes sealed epochs, oldest first, and tries again what fails; where there is nothing to flush it makes `changes`.
pub(super) async fn commit_changes(shared: Arc<Shared>, mut catalogs: Catalogs, mut changes: mpsc::Receiver<Change>) {
    let mut promotion = Promotion::new(shared.config.promotion);
    let mut pause = PAUSES.start;
    let mut next_try = Instant::now();
    loop {
        let epoch = lock(&shared.memory).sealed.front().cloned();
        if let Some(epoch) = epoch.clone().filter(|_| next_try <= Instant::now()) {
            let flushed = shared.flush_epoch(&epoch, &mut catalogs, &mut promotion).await;
            // Flushes that lag must not keep merges away: they lag because there are so many segments.
            if let Ok(change) = changes.try_recv() {
                shared.make(change, &mut catalogs).await;
            }
            if flushed {
                pause = PAUSES.start;
                continue;
            }
            if shared.closing.load(Ordering::Relaxed) {
                return;
            }
            next_try = Instant::now() + pause;
            pause = (pause * 2).min(PAUSES.end);
        }
        tokio::select! {
            () = shared.sealed.notified() => {}
            () = tokio::time::sleep_until(next_try), if epoch.is_some() => {}
            Some(change) = changes.recv() => shared.make(change, &mut catalogs).await,
        }
    }
}

impl Shared {
    /// Whether the epoch is in segments.
    async fn flush_epoch(&self, epoch: &Arc<Epoch>, catalogs: &mut Catalogs, promotion: &mut Promotion) -> bool {
        let start = Instant::now();
        match flush(epoch, catalogs, promotion, &*self.objects, &self.collector, self.clock.now()).await {
            Ok(segments) => {
                let tables = committed(catalogs);
                let needed_from = {
                    let mut memory = lock(&self.memory);
                    memory.committed(epoch.number, tables);
                    memory.needed_from()
                };
                self.view.forget();
                // Where memory has gone wrong, the log alone knows what is needed.
                if self.failed.borrow().is_none() {
                    self.wal.release(needed_from);
                }
                tracing::debug!(
                    epoch = epoch.number,
                    spans = epoch.span_count,
                    segments,
                    ms = start.elapsed().as_millis() as u64,
                    "flushed"
                );
                self.progress.send_modify(|progress| {
                    *progress = FlushProgress { committed: epoch.number, segments, failure: None };
                });
                for table in Table::ALL {
                    shorten_log(table, catalogs).await;
                }
                true
            }
            Err(error) => {
                let why = with_causes(&error);
                tracing::error!(epoch = epoch.number, error = why, "a flush failed and is tried again");
                self.progress.send_modify(|progress| progress.failure = Some((epoch.number, why)));
                false
            }
        }
    }

    async fn make(&self, change: Change, catalogs: &mut Catalogs) {
        match change {
            Change::Replace { table, removed, added, why, done } => {
                let catalog = catalogs.table_mut(table);
                let replaced = catalog.replace(&removed, &added, &[], why, self.clock.now()).await;
                // Also after an error: then the log was read again, and may say more than before.
                *lock(&self.memory).tables.table_mut(table) = Committed::of(catalog);
                shorten_log(table, catalogs).await;
                // Whoever asked may be gone.
                let _ = done.send(replaced);
            }
            Change::Files { table, done } => {
                let _ = done.send(catalogs.table_mut(table).files().await);
            }
        }
    }
}

async fn shorten_log(table: Table, catalogs: &mut Catalogs) {
    if let Err(error) = catalogs.table_mut(table).maintain().await {
        tracing::warn!(error = %error, "a table's log could not be shortened; it is tried again later");
    }
}

pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
