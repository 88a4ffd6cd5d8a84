//! One Delta table: its live segments, and commits of flush epochs to it.

use std::path::Path as FilePath;
use std::sync::Arc;

use chrono::DateTime;
use deltalake_core::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake_core::kernel::{Action, Add, LogicalFileView, MetadataExt, Transaction};
use deltalake_core::logstore::LogStoreRef;
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::table::state::DeltaTableState;
use deltalake_core::{DeltaTable, checkpoints};
use object_store::path::Path;
use serde_json::{Value, json};

use super::columns::{self, DATE};
use super::{open, tags};
use crate::model::UnixNanos;
use crate::schema::Table;
use crate::schema::promoted::Promoted;
use crate::segment::ColumnRanges;
use crate::snapshot::Segment;
use crate::{Error, Result};

/// A checkpoint spares readers that many log entries.
const CHECKPOINT_INTERVAL: u64 = 100;

/// A segment that is written and not yet live.
#[derive(Debug, Clone)]
pub struct NewSegment {
    pub segment: Segment,
    /// Its partition, where the table has any.
    pub date: Option<String>,
    pub ranges: ColumnRanges,
}

/// A table's log, and its state as of the last commit.
#[derive(Debug)]
pub struct DeltaCatalog {
    pub(super) table: Table,
    pub(super) log_store: LogStoreRef,
    pub(super) state: DeltaTableState,
    /// Who commits: the versions of `txn` actions are this collector's flush epochs.
    pub(super) collector: String,
    /// The last flush epoch of this collector that the table has.
    pub(super) epoch: u64,
    /// What the state lists, kept beside it: reading it anew costs as much as the table has files.
    pub(super) segments: Vec<Arc<Segment>>,
    /// Attributes with a column of their own, in the order of the columns.
    pub(super) promoted: Arc<[Promoted]>,
    /// A commit may be in the log of which nothing here is known, since the log could not be read behind an error.
    is_behind: bool,
}

impl DeltaCatalog {
    /// Opens the table below `tables`, or creates it. A table of an earlier version gets the columns that it lacks.
    pub async fn open_or_create(table: Table, tables: &FilePath, collector: String) -> Result<Self> {
        Self::from_table(table, open::for_writing(table, tables).await?, collector).await
    }

    /// Opens the table for reading; `None` if there is none yet. Columns that it lacks show NULL.
    pub async fn open_existing(table: Table, tables: &FilePath, collector: String) -> Result<Option<Self>> {
        match open::for_reading(table, tables).await? {
            Some(opened) => Self::from_table(table, opened, collector).await.map(Some),
            None => Ok(None),
        }
    }

    async fn from_table(table: Table, opened: DeltaTable, collector: String) -> Result<Self> {
        let log_store = opened.log_store();
        let state = opened
            .state
            .ok_or_else(|| catalog_error(table, "open the table", deltalake_core::DeltaTableError::NotInitialized))?;
        let mut catalog = Self {
            table,
            log_store,
            state,
            collector,
            epoch: 0,
            segments: Vec::new(),
            promoted: Arc::default(),
            is_behind: false,
        };
        catalog.read_state().await?;
        Ok(catalog)
    }

    /// Takes epoch and segments from the state.
    async fn read_state(&mut self) -> Result<()> {
        let version = self
            .state
            .transaction_version(self.log_store.as_ref(), &self.collector)
            .await
            .map_err(|source| catalog_error(self.table, "read the committed epoch", source))?;
        self.epoch = version.and_then(|version| u64::try_from(version).ok()).unwrap_or(0);
        self.read_promoted()?;
        let files = self.state.log_data();
        let segments = files.iter().map(|file| listed(self.table, &file, self.promoted.len()).map(Arc::new));
        self.segments = segments.collect::<Result<_>>()?;
        Ok(())
    }

    /// Takes the promoted columns from the state.
    pub(super) fn read_promoted(&mut self) -> Result<()> {
        let promoted = columns::promoted(self.table, &self.state.schema()).map_err(|mismatch| Error::Catalog {
            table: self.table.name(),
            doing: "compare the table's columns",
            source: Box::new(mismatch),
        })?;
        self.promoted = promoted.into();
        Ok(())
    }

    /// After an error: what was committed may be there all the same.
    pub(super) async fn read_again(&mut self) -> Result<()> {
        self.is_behind = true;
        self.state
            .update(self.log_store.as_ref(), None)
            .await
            .map_err(|source| catalog_error(self.table, "read the log again", source))?;
        self.read_state().await?;
        self.is_behind = false;
        Ok(())
    }

    /// Before anything is built on what is known here: a file that is live unbeknown would be deleted as a leftover, and columns
    /// that are there unbeknown would be added again.
    pub(crate) async fn catch_up(&mut self) -> Result<()> {
        if self.is_behind { self.read_again().await } else { Ok(()) }
    }

    pub fn version(&self) -> i64 {
        i64::try_from(self.state.version()).unwrap_or(i64::MAX)
    }

    /// The last flush epoch of this collector that the table has.
    pub fn committed_epoch(&self) -> u64 {
        self.epoch
    }

    /// The live segments, with locations below the tables directory.
    pub fn segments(&self) -> &[Arc<Segment>] {
        &self.segments
    }

    /// Attributes with a column of their own, in the order of the columns.
    pub fn promoted(&self) -> &Arc<[Promoted]> {
        &self.promoted
    }

    /// Makes `segments` live as flush epoch `epoch`, with columns for `added` behind the promoted ones that the table has.
    /// Committing an epoch that the table has already changes nothing, so a commit whose outcome is unknown may be tried again.
    pub async fn commit(&mut self, epoch: u64, segments: &[NewSegment], added: &[Promoted]) -> Result<()> {
        let table = self.table;
        let failed = |source| catalog_error(table, "commit a flush epoch", source);
        self.catch_up().await?;
        if self.epoch >= epoch {
            return Ok(());
        }
        let mut actions = self.growing(segments, added)?;
        actions.extend(segments.iter().map(|new| Action::Add(add_action(self.table, new))));
        let version = i64::try_from(epoch).unwrap_or(i64::MAX);
        let properties = CommitProperties::default()
            .with_application_transaction(Transaction::new(&self.collector, version))
            // Both would make a flush wait; `maintain` does them apart from commits.
            .with_create_checkpoint(false)
            .with_cleanup_expired_logs(Some(false));
        let operation = DeltaOperation::Write {
            mode: SaveMode::Append,
            partition_by: table.time_column().map(|_| vec![DATE.to_owned()]),
            predicate: None,
        };
        let committed = CommitBuilder::from(properties)
            .with_actions(actions)
            .build(Some(&self.state), Arc::clone(&self.log_store), operation)
            .await;
        match committed {
            Ok(committed) => {
                self.state = committed.snapshot;
                self.epoch = epoch;
                self.segments.extend(segments.iter().map(|new| Arc::new(new.segment.clone())));
                if !added.is_empty() {
                    self.read_promoted()?;
                }
                Ok(())
            }
            Err(error) => {
                // The entry may have been written all the same; the next try asks the log, not this error.
                self.read_again().await?;
                Err(failed(error))
            }
        }
    }

    /// The change of the table's columns that adds those of `added`, if any. Segments that were written for other columns are
    /// refused: how many there were is all that a segment says of them.
    pub(super) fn growing(&self, segments: &[NewSegment], added: &[Promoted]) -> Result<Vec<Action>> {
        let table = self.table;
        let count = self.promoted.len() + added.len();
        let is_right = |known: usize| if added.is_empty() { known <= count } else { known == count };
        if let Some(new) = segments.iter().find(|new| !is_right(new.segment.keys.promoted)) {
            return Err(Error::Busy(format!(
                "{} was written for {} columns of attributes, and {} would have {count}",
                new.segment.location,
                new.segment.keys.promoted,
                table.name()
            )));
        }
        if added.is_empty() {
            return Ok(Vec::new());
        }
        let failed = |source| catalog_error(table, "add columns of attributes", source);
        let schema = columns::with(&self.state.schema(), added).map_err(failed)?;
        let metadata = self.state.metadata().clone().with_schema(&schema).map_err(|source| failed(source.into()))?;
        Ok(vec![Action::Metadata(metadata)])
    }

    /// Writes a checkpoint and removes expired log entries, each now and then. Returns whether it did.
    pub async fn maintain(&mut self) -> Result<bool> {
        let version = self.state.version();
        if version == 0 || !version.is_multiple_of(CHECKPOINT_INTERVAL) {
            return Ok(false);
        }
        let table = self.table;
        let failed = |doing| move |source| catalog_error(table, doing, source);
        let mut opened = DeltaTable::new(Arc::clone(&self.log_store));
        opened.state = Some(self.state.clone());
        checkpoints::create_checkpoint(&opened, None).await.map_err(failed("write a checkpoint"))?;
        checkpoints::cleanup_metadata(&opened, None).await.map_err(failed("remove expired log entries"))?;
        // The state lists the entries it was read from, so after a clean-up it is read anew.
        self.state =
            DeltaTableState::try_new(self.log_store.as_ref(), None).await.map_err(failed("read the log again"))?;
        Ok(true)
    }
}

/// A live file as the log tells of it, of a table with so many promoted columns.
fn listed(table: Table, file: &LogicalFileView, promoted: usize) -> Result<Segment> {
    #[expect(deprecated, reason = "nothing else shows the tags")]
    let add = file.add_action();
    let stats: Value = add.stats.and_then(|stats| serde_json::from_str(&stats).ok()).unwrap_or(Value::Null);
    let bound =
        |side: &str| parse_timestamp(stats.get(side)?.get(table.time_column()?)?.as_str()?).map(UnixNanos::from_micros);
    let location = location_of(table, &file.object_store_path());
    let keys =
        tags::read(add.tags.as_ref()).filter(|keys| keys.promoted <= promoted).ok_or_else(|| Error::Damaged {
            what: format!("the log of {}", table.name()),
            detail: format!("{location} has columns of attributes that the table has not: {:?}", add.tags),
        })?;
    Ok(Segment {
        location,
        size_bytes: u64::try_from(add.size).unwrap_or(0),
        row_count: stats.get("numRecords").and_then(Value::as_u64).unwrap_or(0),
        // The log holds microseconds; the rows' remainders lie within the next one.
        start_range: bound("minValues").zip(bound("maxValues").map(|latest| latest.plus(999))),
        written_at: UnixNanos::from_micros(add.modification_time.saturating_mul(1_000)),
        keys,
        expired_rows: tags::expired_rows(add.tags.as_ref()),
    })
}

/// Where a file of the table lies below the tables' directory.
pub(super) fn location_of(table: Table, within: &Path) -> Path {
    Path::from_iter(Path::from(table.name()).parts().chain(within.parts()))
}

pub(super) fn catalog_error(table: Table, doing: &'static str, source: deltalake_core::DeltaTableError) -> Error {
    Error::Catalog { table: table.name(), doing, source: Box::new(source) }
}

pub(super) fn add_action(table: Table, new: &NewSegment) -> Add {
    let location = new.segment.location.as_ref();
    let within = location.strip_prefix(table.name()).and_then(|rest| rest.strip_prefix('/')).unwrap_or(location);
    let stats = json!({
        "numRecords": new.segment.row_count,
        "minValues": new.ranges.smallest,
        "maxValues": new.ranges.largest,
        "nullCount": new.ranges.null_counts,
    });
    Add {
        path: within.to_owned(),
        partition_values: new.date.iter().map(|date| (DATE.to_owned(), Some(date.clone()))).collect(),
        size: i64::try_from(new.segment.size_bytes).unwrap_or(i64::MAX),
        modification_time: new.segment.written_at.micros() / 1_000,
        data_change: true,
        stats: Some(stats.to_string()),
        tags: tags::of(&new.segment.keys, new.segment.expired_rows),
        ..Add::default()
    }
}

/// The partition of a start: its UTC date.
pub fn partition_of(start_micros: i64) -> String {
    // The receiver refuses times that no calendar has.
    DateTime::from_timestamp_micros(start_micros).unwrap_or_default().format("%Y-%m-%d").to_string()
}

/// A timestamp of file statistics as microseconds.
fn parse_timestamp(text: &str) -> Option<i64> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp_micros())
}

#[cfg(test)]
mod tests;
