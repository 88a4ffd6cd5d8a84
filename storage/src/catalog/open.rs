//! Opens tables, or creates them: columns and properties are as this version wants them, or the table is refused.

use std::collections::HashMap;
use std::path::Path as FilePath;
use std::sync::Arc;

use deltalake_core::kernel::StructField;
use deltalake_core::logstore::LogStoreRef;
use deltalake_core::operations::create::CreateBuilder;
use deltalake_core::{DeltaTable, DeltaTableBuilder, DeltaTableError, TableProperty};

use super::SyncedStore;
use super::columns::{self, DATE};
use super::delta::catalog_error;
use crate::schema::{FORMAT_VERSION, Table};
use crate::segment::ColumnRanges;
use crate::{Error, Result};

/// Longer than any engine's longest query.
const LOG_RETENTION: &str = "interval 6 hours";
/// How long checkpoints tell of removed files. A merge of 16 every four minutes makes 1,500 in that time, a week's would be 40,000.
const REMOVED_RETENTION: &str = "interval 6 hours";
/// The property that says which version of the tables' layout the newest segments may have.
const VERSION_KEY: &str = "spanhouse.format_version";

/// Opens the table below `tables`, or creates it. A table of an earlier version gets what it lacks.
pub(super) async fn for_writing(table: Table, tables: &FilePath) -> Result<DeltaTable> {
    let failed = |doing| move |source| catalog_error(table, doing, source);
    let directory = tables.join(table.name());
    std::fs::create_dir_all(&directory)
        .map_err(|source| Error::Write { what: format!("directory of table {}", table.name()), source })?;
    let mut opened = builder(table, &directory)?;
    if !has_log(&directory) {
        return create(table, opened.log_store()).await.map_err(failed("create the table"));
    }
    opened.load().await.map_err(failed("open the table"))?;
    check_version(table, &opened)?;
    let missing = missing_columns(table, &opened)?;
    if !missing.is_empty() {
        opened = opened.add_columns().with_fields(missing).await.map_err(failed("add columns to the table"))?;
    }
    let properties = missing_properties(table, &opened)?;
    if !properties.is_empty() {
        let changed = opened.set_tbl_properties().with_raise_if_not_exists(false).with_properties(properties);
        opened = changed.await.map_err(failed("set the table's properties"))?;
    }
    Ok(opened)
}

/// Opens the table; `None` if there is none yet. Columns that it lacks show NULL.
pub(super) async fn for_reading(table: Table, tables: &FilePath) -> Result<Option<DeltaTable>> {
    let directory = tables.join(table.name());
    if !has_log(&directory) {
        return Ok(None);
    }
    let mut opened = builder(table, &directory)?;
    opened.load().await.map_err(|source| catalog_error(table, "open the table", source))?;
    check_version(table, &opened)?;
    missing_columns(table, &opened)?;
    Ok(Some(opened))
}

/// Whether the table was ever created. A log directory alone may be left by a creation that was cut short.
fn has_log(directory: &FilePath) -> bool {
    std::fs::read_dir(directory.join("_delta_log")).is_ok_and(|mut entries| {
        entries.any(|entry| entry.is_ok_and(|entry| entry.file_name().to_string_lossy().ends_with(".json")))
    })
}

pub(super) fn builder(table: Table, directory: &FilePath) -> Result<DeltaTable> {
    let unusable =
        |detail: String| Error::Read { what: format!("directory of table {}", table.name()), source: detail.into() };
    let directory = directory.canonicalize().map_err(|error| unusable(error.to_string()))?;
    let url = url::Url::from_directory_path(&directory).map_err(|()| unusable("its path is no URL".to_owned()))?;
    DeltaTableBuilder::from_url(url.clone())
        .map(|builder| builder.with_storage_backend(Arc::new(SyncedStore::at_root()), url))
        .and_then(DeltaTableBuilder::build)
        .map_err(|source| catalog_error(table, "open the table", source))
}

async fn create(table: Table, log_store: LogStoreRef) -> Result<DeltaTable, DeltaTableError> {
    let pruned_by = ColumnRanges::columns(table).join(",");
    let configuration = wanted_properties().into_iter().map(|(key, value)| (key, Some(value)));
    CreateBuilder::new()
        .with_log_store(log_store)
        .with_table_name(table.name())
        .with_columns(columns::of(table)?.fields().cloned())
        .with_partition_columns(table.time_column().map(|_| DATE))
        .with_raise_if_key_not_exists(false)
        .with_configuration(configuration)
        .with_configuration_property(TableProperty::LogRetentionDuration, Some(LOG_RETENTION))
        .with_configuration_property(TableProperty::DataSkippingStatsColumns, Some(pruned_by))
        .await
}

/// Properties that tables of earlier versions may lack.
fn wanted_properties() -> HashMap<String, String> {
    let removed = TableProperty::DeletedFileRetentionDuration.as_ref().to_owned();
    HashMap::from([(removed, REMOVED_RETENTION.to_owned()), (VERSION_KEY.to_owned(), FORMAT_VERSION.to_string())])
}

/// Those of them that are not there, or of an earlier version. Where somebody chose how long removed files are told of, that stays.
fn missing_properties(table: Table, opened: &DeltaTable) -> Result<HashMap<String, String>> {
    let snapshot = opened.snapshot().map_err(|source| catalog_error(table, "read the table's properties", source))?;
    let stored = snapshot.metadata().configuration();
    let mut missing = wanted_properties();
    missing.retain(|key, wanted| stored.get(key).is_none_or(|found| key == VERSION_KEY && found != wanted));
    Ok(missing)
}

/// A layout that is not known here.
#[derive(Debug, thiserror::Error)]
#[error(
    "it has format {found}, and this version of spanhouse knows formats up to {FORMAT_VERSION}; \
     use the version that wrote it, or another data directory"
)]
struct UnknownFormat {
    found: String,
}

/// Refuses a table in which this version would not see everything. Tables before format 4 do not say which they have.
fn check_version(table: Table, opened: &DeltaTable) -> Result<()> {
    let snapshot = opened.snapshot().map_err(|source| catalog_error(table, "read the table's properties", source))?;
    let Some(found) = snapshot.metadata().configuration().get(VERSION_KEY) else { return Ok(()) };
    if found.parse::<u32>().is_ok_and(|version| version <= FORMAT_VERSION) {
        return Ok(());
    }
    let source = Box::new(UnknownFormat { found: found.clone() });
    Err(Error::Catalog { table: table.name(), doing: "check the table's format", source })
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
