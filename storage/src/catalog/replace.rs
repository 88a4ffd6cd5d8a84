//! Commits that take segments out of a table, and what the log knows of those that were.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use deltalake_core::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake_core::kernel::{Action, Remove};
use deltalake_core::logstore::LogStoreRef;
use deltalake_core::protocol::DeltaOperation;
use deltalake_core::table::state::DeltaTableState;
use futures::TryStreamExt;
use object_store::path::Path;

use super::delta::{DeltaCatalog, NewSegment, add_action, catalog_error, location_of};
use crate::model::UnixNanos;
use crate::schema::Table;
use crate::schema::promoted::Promoted;
use crate::snapshot::Segment;
use crate::{Error, Result};

/// Commits that others may make first, one after the other.
const TRIES: u32 = 5;

/// Why segments go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replacing {
    /// Their rows are in what comes: no reader needs to look again.
    Merged,
    /// Their rows are added up, or derived anew, in what comes.
    Changed,
    /// Some or all of their rows are to be gone.
    Expired,
}

impl Replacing {
    /// Whether a reader that has the removed rows must look again.
    fn changes_data(self) -> bool {
        self != Self::Merged
    }
}

impl DeltaCatalog {
    /// Takes `removed` out of the table and makes `added` live, with columns for `promoted` behind those of the table, in one
    /// commit. It says nothing of flush epochs, so those stay as they are. If the table has it so already, nothing changes; so
    /// what failed may be tried again.
    pub async fn replace(
        &mut self,
        removed: &[Path],
        added: &[NewSegment],
        promoted: &[Promoted],
        why: Replacing,
        now: UnixNanos,
    ) -> Result<()> {
        let mut tries = 0;
        self.catch_up().await?;
        loop {
            if self.has_replaced(removed, added) {
                return Ok(());
            }
            match self.try_replace(removed, added, promoted, why, now).await {
                Err(error @ Error::Catalog { .. }) => {
                    // It may be there all the same, or another commit may have come first: the log says which, not the error.
                    self.read_again().await?;
                    tries += 1;
                    if tries == TRIES && !self.has_replaced(removed, added) {
                        return Err(error);
                    }
                }
                settled => return settled,
            }
        }
    }

    async fn try_replace(
        &mut self,
        removed: &[Path],
        added: &[NewSegment],
        promoted: &[Promoted],
        why: Replacing,
        now: UnixNanos,
    ) -> Result<()> {
        let removes = self.remove_actions(removed, why, now);
        if removes.len() != removed.len() {
            return Err(Error::Busy(format!(
                "{} of {} segments of {} that were to be replaced are not live any more",
                removed.len() - removes.len(),
                removed.len(),
                self.table.name()
            )));
        }
        let adds = added.iter().map(|new| {
            let mut add = add_action(self.table, new);
            add.data_change = why.changes_data();
            Action::Add(add)
        });
        let mut actions = self.growing(added, promoted)?;
        actions.extend(removes.into_iter().map(Action::Remove).chain(adds));
        let operation = match why {
            Replacing::Merged | Replacing::Changed => DeltaOperation::Optimize {
                predicate: None,
                target_size: added.iter().filter_map(|new| i64::try_from(new.segment.size_bytes).ok()).sum(),
            },
            Replacing::Expired => DeltaOperation::Delete { predicate: None },
        };
        let properties = CommitProperties::default()
            // The crate would put it behind a commit that removed the same segments already, and their rows would be there twice.
            .with_max_retries(0)
            .with_create_checkpoint(false)
            .with_cleanup_expired_logs(Some(false));
        let committed = CommitBuilder::from(properties)
            .with_actions(actions)
            .build(Some(&self.state), Arc::clone(&self.log_store), operation)
            .await
            .map_err(|error| catalog_error(self.table, "commit a replacement of segments", error))?;
        self.state = committed.snapshot;
        let removed: HashSet<&Path> = removed.iter().collect();
        self.segments.retain(|segment| !removed.contains(&segment.location));
        self.segments.extend(added.iter().map(|new| Arc::new(new.segment.clone())));
        if !promoted.is_empty() {
            self.read_promoted()?;
        }
        Ok(())
    }

    fn has_replaced(&self, removed: &[Path], added: &[NewSegment]) -> bool {
        let live: HashSet<&Path> = self.segments.iter().map(|segment| &segment.location).collect();
        added.iter().all(|new| live.contains(&new.segment.location))
            && !removed.iter().any(|location| live.contains(location))
    }

    fn remove_actions(&self, removed: &[Path], why: Replacing, now: UnixNanos) -> Vec<Remove> {
        let removed: HashSet<&Path> = removed.iter().collect();
        let files = self.state.log_data().into_iter();
        let files = files.filter(|file| removed.contains(&location_of(self.table, &file.object_store_path())));
        files
            .map(|file| Remove {
                deletion_timestamp: Some(now.micros() / 1_000),
                ..file.remove_action(why.changes_data())
            })
            .collect()
    }

    /// What the log says now of files.
    pub async fn files(&mut self) -> Result<LoggedFiles> {
        self.catch_up().await?;
        Ok(LoggedFiles {
            table: self.table,
            collector: self.collector.clone(),
            committed_epoch: self.epoch,
            live: self.segments.clone(),
            log_store: Arc::clone(&self.log_store),
            state: self.state.clone(),
        })
    }
}

/// The files of a table as its log has them at one version.
#[derive(Debug, Clone)]
pub struct LoggedFiles {
    pub table: Table,
    pub collector: String,
    /// Files of later epochs may be on their way into the table.
    pub committed_epoch: u64,
    pub live: Vec<Arc<Segment>>,
    log_store: LogStoreRef,
    state: DeltaTableState,
}

impl LoggedFiles {
    /// Files that were live once, and when they were taken out. Reads the log.
    pub async fn removed(&self) -> Result<HashMap<Path, UnixNanos>> {
        let failed = |source| catalog_error(self.table, "read what was removed", source);
        let mut removed = HashMap::new();
        let mut found = self.state.all_tombstones(self.log_store.as_ref());
        while let Some(file) = found.try_next().await.map_err(failed)? {
            let path = file.path();
            let within = Path::parse(path.as_ref()).unwrap_or_else(|_| Path::from(path.as_ref()));
            let at =
                file.deletion_timestamp().map_or(UnixNanos(0), |ms| UnixNanos::from_micros(ms.saturating_mul(1_000)));
            removed.insert(location_of(self.table, &within), at);
        }
        Ok(removed)
    }
}

#[cfg(test)]
mod tests;
