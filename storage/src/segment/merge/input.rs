//! A segment that is merged: its file, and where it has each column.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parquet::basic::Repetition;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::reader::{ChunkReader, FileReader};
use parquet::file::serialized_reader::{ReadOptionsBuilder, SerializedFileReader};
use parquet::schema::types::{ColumnDescPtr, SchemaDescriptor};

use crate::schema::FORMAT_VERSION;
use crate::{Error, Result};

pub(super) struct Input {
    name: String,
    file: Box<dyn FileReader>,
    pub rows: u64,
    /// By leaf of the table: the file's, or `None` if the whole column is from after it.
    leaves: Vec<Option<usize>>,
    cancelled: Arc<AtomicBool>,
}

impl Input {
    pub fn open<R: ChunkReader + 'static>(
        name: String,
        file: R,
        table: &SchemaDescriptor,
        cancelled: Arc<AtomicBool>,
    ) -> Result<Self> {
        let options = ReadOptionsBuilder::new().with_page_index().build();
        let file = SerializedFileReader::new_with_options(file, options).map_err(|error| failed(&name, error))?;
        let mut input = Self { name, rows: 0, leaves: Vec::new(), file: Box::new(file), cancelled };
        check_version(&input.name, input.metadata())?;
        let rows = |group: &RowGroupMetaData| u64::try_from(group.num_rows()).ok();
        let rows = input.metadata().row_groups().iter().map(rows).try_fold(0_u64, |sum, rows| sum.checked_add(rows?));
        input.rows = rows.ok_or_else(|| input.damaged("its footer counts rows below zero"))?;
        input.leaves = find_leaves(&input.name, input.metadata(), table)?;
        Ok(input)
    }

    pub fn file(&self) -> &dyn FileReader {
        self.file.as_ref()
    }

    pub fn metadata(&self) -> &ParquetMetaData {
        self.file.metadata()
    }

    /// The file's leaf for one of the table, of which it may be from before the last ones.
    pub fn leaf(&self, of_table: usize) -> Option<usize> {
        self.leaves.get(of_table).copied().flatten()
    }

    pub fn column(&self, leaf: usize) -> ColumnDescPtr {
        self.metadata().file_metadata().schema_descr().column(leaf)
    }

    pub fn group_rows(&self, group: usize) -> u64 {
        self.metadata().row_group(group).num_rows().unsigned_abs()
    }

    /// The compressed bytes of a leaf of the table.
    pub fn leaf_bytes(&self, of_table: usize) -> u64 {
        let Some(leaf) = self.leaf(of_table) else { return 0 };
        let of_group = |group: &RowGroupMetaData| group.column(leaf).compressed_size();
        self.metadata().row_groups().iter().map(of_group).map(i64::unsigned_abs).fold(0, u64::saturating_add)
    }

    /// An error once someone waits for the merge to end. Asked between pages.
    pub fn check_cancelled(&self) -> Result<()> {
        if self.cancelled.load(Ordering::Relaxed) { Err(Error::Closed) } else { Ok(()) }
    }

    pub fn damaged(&self, detail: &str) -> Error {
        damaged(&self.name, detail)
    }

    pub fn failed(&self, error: ParquetError) -> Error {
        failed(&self.name, error)
    }
}

/// A disk that does not answer is not a file that is wrong.
pub(super) fn failed(name: &str, error: ParquetError) -> Error {
    let what = format!("segment {name}");
    match error {
        ParquetError::External(source) => Error::Read { what, source },
        error => Error::Damaged { what, detail: error.to_string() },
    }
}

/// An error if the file is of a later version.
pub(super) fn check_version(name: &str, metadata: &ParquetMetaData) -> Result<()> {
    let file = metadata.file_metadata();
    let known = file.key_value_metadata().into_iter().flatten().find(|entry| entry.key == super::layout::VERSION_KEY);
    let version = known.and_then(|entry| entry.value.as_deref()).and_then(|version| version.parse::<u32>().ok());
    match version {
        Some(version) if version > FORMAT_VERSION => Err(damaged(
            name,
            &format!("it has format {version}, and this version knows formats up to {FORMAT_VERSION}"),
        )),
        _ => Ok(()),
    }
}

/// By leaf of `table`: the file's, or `None` if the file is from before the whole column.
pub(super) fn find_leaves(
    name: &str,
    metadata: &ParquetMetaData,
    table: &SchemaDescriptor,
) -> Result<Vec<Option<usize>>> {
    let own = metadata.file_metadata().schema_descr();
    let mut found = Vec::with_capacity(table.num_columns());
    for (index, column) in table.columns().iter().enumerate() {
        let path = column.path().string();
        let Some((at, of_file)) = own.columns().iter().enumerate().find(|(_, of_file)| of_file.path() == column.path())
        else {
            let top = table.get_column_root(index);
            if top.get_basic_info().repetition() != Repetition::OPTIONAL
                || own.columns().iter().any(|own| own.path().parts().first() == column.path().parts().first())
            {
                return Err(damaged(name, &format!("it has no {path}, which is not NULL")));
            }
            found.push(None);
            continue;
        };
        let is_nested = column.max_rep_level() > 0 || column.max_def_level() > 1;
        let has_other_levels =
            (of_file.max_rep_level(), of_file.max_def_level()) != (column.max_rep_level(), column.max_def_level());
        if of_file.physical_type() != column.physical_type()
            || of_file.max_rep_level() != column.max_rep_level()
            || (has_other_levels && (is_nested || of_file.max_def_level() > 1))
        {
            return Err(damaged(name, &format!("its {path} is of another type")));
        }
        found.push(Some(at));
    }
    // What this version does not know would be lost.
    match own.columns().iter().find(|own| !table.columns().iter().any(|column| column.path() == own.path())) {
        Some(unknown) => Err(damaged(name, &format!("it has {}, which its table has not", unknown.path().string()))),
        None => Ok(found),
    }
}

pub(super) fn damaged(name: &str, detail: &str) -> Error {
    Error::Damaged { what: format!("segment {name}"), detail: detail.to_owned() }
}
