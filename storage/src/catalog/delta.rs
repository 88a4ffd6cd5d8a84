//! One Delta table: its live segments, and commits of flush epochs to it.

use std::collections::HashMap;
use std::path::Path as FilePath;
use std::sync::Arc;

use chrono::DateTime;
use deltalake_core::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake_core::kernel::{Action, Add, LogicalFileView, StructField, Transaction};
use deltalake_core::logstore::LogStoreRef;
use deltalake_core::operations::create::CreateBuilder;
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::table::state::DeltaTableState;
use deltalake_core::{DeltaTable, DeltaTableBuilder, TableProperty, checkpoints};
use object_store::path::Path;
use serde_json::{Value, json};

use super::SyncedStore;
use super::columns::{self, DATE};
use crate::model::UnixNanos;
use crate::schema::Table;
use crate::segment::ColumnRanges;
use crate::snapshot::Segment;
use crate::{Error, Result};

/// A checkpoint spares readers that many log entries.
const CHECKPOINT_INTERVAL: u64 = 100;
/// Longer than any engine's longest query.
const LOG_RETENTION: &str = "interval 6 hours";
/// How long checkpoints tell of removed files. A merge of 16 every four minutes makes 1,500 in that time, a week's would be 40,000.
const REMOVED_RETENTION: &str = "interval 6 hours";

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
    /// A commit may be in the log of which nothing here is known, since the log could not be read behind an error.
    is_behind: bool,
}

impl DeltaCatalog {
    /// Opens the table below `tables`, or creates it. A table of an earlier version gets the columns that it lacks.
    pub async fn open_or_create(table: Table, tables: &FilePath, collector: String) -> Result<Self> {
        let failed = |doing| move |source| catalog_error(table, doing, source);
        let directory = tables.join(table.name());
        std::fs::create_dir_all(&directory)
            .map_err(|source| Error::Write { what: format!("directory of table {}", table.name()), source })?;
        let mut opened = builder(table, &directory)?;
        if has_log(&directory) {
            opened.load().await.map_err(failed("open the table"))?;
            let missing = missing_columns(table, &opened)?;
            if !missing.is_empty() {
                opened = opened.add_columns().with_fields(missing).await.map_err(failed("add columns to the table"))?;
            }
            if !has_removed_retention(table, &opened)? {
                let property =
                    (TableProperty::DeletedFileRetentionDuration.as_ref().to_owned(), REMOVED_RETENTION.to_owned());
                opened = opened
                    .set_tbl_properties()
                    .with_properties(HashMap::from([property]))
                    .await
                    .map_err(failed("set the table's properties"))?;
            }
        } else {
            opened = create(table, opened.log_store()).await.map_err(failed("create the table"))?;
        }
        Self::from_table(table, opened, collector).await
    }

    /// Opens the table for reading; `None` if there is none yet. Columns that it lacks show NULL.
    pub async fn open_existing(table: Table, tables: &FilePath, collector: String) -> Result<Option<Self>> {
        let directory = tables.join(table.name());
        if !has_log(&directory) {
            return Ok(None);
        }
        let mut opened = builder(table, &directory)?;
        opened.load().await.map_err(|source| catalog_error(table, "open the table", source))?;
        missing_columns(table, &opened)?;
        Self::from_table(table, opened, collector).await.map(Some)
    }

    async fn from_table(table: Table, opened: DeltaTable, collector: String) -> Result<Self> {
        let log_store = opened.log_store();
        let state = opened
            .state
            .ok_or_else(|| catalog_error(table, "open the table", deltalake_core::DeltaTableError::NotInitialized))?;
        let mut catalog = Self { table, log_store, state, collector, epoch: 0, segments: Vec::new(), is_behind: false };
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
        self.segments = self.state.log_data().iter().map(|file| Arc::new(listed(self.table, &file))).collect();
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

    /// Before anything is built on what is known here: a file that is live unbeknown would be deleted as a leftover.
    pub(super) async fn catch_up(&mut self) -> Result<()> {
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

    /// Makes `segments` live as flush epoch `epoch`. Committing an epoch that the table has already changes nothing, so
    /// a commit whose outcome is unknown may be tried again.
    pub async fn commit(&mut self, epoch: u64, segments: &[NewSegment]) -> Result<()> {
        let table = self.table;
        let failed = |source| catalog_error(table, "commit a flush epoch", source);
        self.catch_up().await?;
        if self.epoch >= epoch {
            return Ok(());
        }
        let actions = segments.iter().map(|new| Action::Add(add_action(self.table, new))).collect();
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
                Ok(())
            }
            Err(error) => {
                // The entry may have been written all the same; the next try asks the log, not this error.
                self.read_again().await?;
                Err(failed(error))
            }
        }
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

/// A live file as the log tells of it.
fn listed(table: Table, file: &LogicalFileView) -> Segment {
    let stats: Value = file.stats().and_then(|stats| serde_json::from_str(&stats).ok()).unwrap_or(Value::Null);
    let bound =
        |side: &str| parse_timestamp(stats.get(side)?.get(table.time_column()?)?.as_str()?).map(UnixNanos::from_micros);
    Segment {
        location: location_of(table, &file.object_store_path()),
        size_bytes: u64::try_from(file.size()).unwrap_or(0),
        row_count: stats.get("numRecords").and_then(Value::as_u64).unwrap_or(0),
        // The log holds microseconds; the rows' remainders lie within the next one.
        start_range: bound("minValues").zip(bound("maxValues").map(|latest| latest.plus(999))),
        written_at: UnixNanos::from_micros(file.modification_time().saturating_mul(1_000)),
        keys: crate::schema::promoted::Keys::default(),
    }
}

/// Where a file of the table lies below the tables' directory.
pub(super) fn location_of(table: Table, within: &Path) -> Path {
    Path::from_iter(Path::from(table.name()).parts().chain(within.parts()))
}

pub(super) fn catalog_error(table: Table, doing: &'static str, source: deltalake_core::DeltaTableError) -> Error {
    Error::Catalog { table: table.name(), doing, source: Box::new(source) }
}

/// Whether the table was ever created. A log directory alone may be left by a creation that was cut short.
fn has_log(directory: &FilePath) -> bool {
    std::fs::read_dir(directory.join("_delta_log")).is_ok_and(|mut entries| {
        entries.any(|entry| entry.is_ok_and(|entry| entry.file_name().to_string_lossy().ends_with(".json")))
    })
}

fn builder(table: Table, directory: &FilePath) -> Result<DeltaTable> {
    let unusable =
        |detail: String| Error::Read { what: format!("directory of table {}", table.name()), source: detail.into() };
    let directory = directory.canonicalize().map_err(|error| unusable(error.to_string()))?;
    let url = url::Url::from_directory_path(&directory).map_err(|()| unusable("its path is no URL".to_owned()))?;
    DeltaTableBuilder::from_url(url.clone())
        .map(|builder| builder.with_storage_backend(Arc::new(SyncedStore::at_root()), url))
        .and_then(DeltaTableBuilder::build)
        .map_err(|source| catalog_error(table, "open the table", source))
}

async fn create(table: Table, log_store: LogStoreRef) -> Result<DeltaTable, deltalake_core::DeltaTableError> {
    CreateBuilder::new()
        .with_log_store(log_store)
        .with_table_name(table.name())
        .with_columns(columns::of(table)?.fields().cloned())
        .with_partition_columns(table.time_column().map(|_| DATE))
        .with_configuration_property(TableProperty::LogRetentionDuration, Some(LOG_RETENTION))
        .with_configuration_property(TableProperty::DeletedFileRetentionDuration, Some(REMOVED_RETENTION))
        .with_configuration_property(
            TableProperty::DataSkippingStatsColumns,
            Some(ColumnRanges::columns(table).join(",")),
        )
        .await
}

/// Tables of versions that merged nothing have none.
fn has_removed_retention(table: Table, opened: &DeltaTable) -> Result<bool> {
    let snapshot = opened.snapshot().map_err(|source| catalog_error(table, "read the table's properties", source))?;
    let key = TableProperty::DeletedFileRetentionDuration;
    Ok(snapshot.metadata().configuration().contains_key(key.as_ref()))
}

/// What the stored table lacks of this version's columns.
fn missing_columns(table: Table, opened: &DeltaTable) -> Result<Vec<StructField>> {
    let doing = "compare the table's columns";
    let known = columns::of(table).map_err(|source| catalog_error(table, doing, source))?;
    let snapshot = opened.snapshot().map_err(|source| catalog_error(table, doing, source))?;
    columns::missing(&known, &snapshot.schema()).map_err(|mismatch| Error::Catalog {
        table: table.name(),
        doing,
        source: Box::new(mismatch),
    })
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
