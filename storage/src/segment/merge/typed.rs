//! Flat columns of numbers, flags and random ids: by Parquet's own readers and writers.

use std::io::Write;

use parquet::basic::Type;
use parquet::column::reader::{ColumnReaderImpl, get_typed_column_reader};
use parquet::data_type::{BoolType, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedRowGroupWriter;

use super::column::Seen;
use super::input::Input;
use super::overrides::{self, Change};
use super::sources::{Leaf, Source};
use super::write_failed;
use crate::Result;

/// Values that are read together.
const READ_ROWS: usize = 8_192;

/// A leaf's rows from one of them on. A file that has not the leaf has NULL.
pub(super) struct TypedRows<'i, T: DataType> {
    input: &'i Input,
    leaf: Option<usize>,
    /// Of the table, which may have NULL where the file has none, and the reverse.
    max_definition: i16,
    next_group: usize,
    reader: Option<ColumnReaderImpl<T>>,
    skip_rows: u64,
    values: Vec<T::T>,
    /// A level for each row; none where all rows have a value.
    definitions: Vec<i16>,
    rows: usize,
    at_row: usize,
    at_value: usize,
}

impl<'i, T: DataType> TypedRows<'i, T> {
    pub fn open(input: &'i Input, leaf: Option<usize>, max_definition: i16, first_row: u64) -> Self {
        let (next_group, skip_rows) = (0, first_row);
        let (values, definitions) = (Vec::new(), Vec::new());
        let (reader, rows, at_row, at_value) = (None, 0, 0, 0);
        Self { input, leaf, max_definition, next_group, reader, skip_rows, values, definitions, rows, at_row, at_value }
    }

    /// Reads rows if there are none at hand. False at the end.
    fn fill(&mut self, leaf: usize) -> Result<bool> {
        while self.at_row == self.rows {
            self.input.check_cancelled()?;
            let failed = |error: ParquetError| self.input.failed(error);
            let Some(reader) = &mut self.reader else {
                while self.next_group < self.input.metadata().num_row_groups()
                    && self.skip_rows >= self.input.group_rows(self.next_group)
                {
                    self.skip_rows -= self.input.group_rows(self.next_group);
                    self.next_group += 1;
                }
                if self.next_group == self.input.metadata().num_row_groups() {
                    return Ok(false);
                }
                let group = self.input.file().get_row_group(self.next_group).map_err(failed)?;
                self.reader = Some(get_typed_column_reader::<T>(group.get_column_reader(leaf).map_err(failed)?));
                self.next_group += 1;
                continue;
            };
            if self.skip_rows > 0 {
                let passed = reader.skip_records(self.skip_rows as usize).map_err(failed)? as u64;
                self.skip_rows = self.skip_rows.saturating_sub(passed);
                if passed == 0 {
                    self.reader = None;
                }
                continue;
            }
            self.values.clear();
            self.definitions.clear();
            (self.at_row, self.at_value) = (0, 0);
            let read = reader.read_records(READ_ROWS, Some(&mut self.definitions), None, &mut self.values);
            self.rows = read.map_err(failed)?.0;
            if self.definitions.iter().any(|level| !(0..=1).contains(level)) {
                return Err(self.input.damaged(&format!("{}: it has levels that there are not", self.path(leaf))));
            }
            if self.values.len() == self.rows {
                self.definitions.clear();
            } else if self.max_definition == 0 {
                return Err(self.input.damaged(&format!("{}: it has NULL, which the table has not", self.path(leaf))));
            }
            if self.rows == 0 {
                self.reader = None;
            }
        }
        Ok(true)
    }

    fn path(&self, leaf: usize) -> String {
        self.input.column(leaf).path().string()
    }

    /// The next rows' values, of a column without NULL: at least one, unless there are no more.
    pub fn look_ahead(&mut self, count: usize) -> Result<&[T::T]> {
        if let Some(leaf) = self.leaf {
            self.fill(leaf)?;
        }
        Ok(&self.values[self.at_value..self.values.len().min(self.at_value + count)])
    }

    /// Passes rows that were looked at.
    pub fn skip(&mut self, count: usize) {
        self.at_row += count;
        self.at_value += count;
    }

    /// Leaves the next rows out.
    fn pass(&mut self, count: usize) {
        let within = count.min(self.rows - self.at_row);
        let values = if self.definitions.is_empty() {
            within
        } else {
            self.definitions[self.at_row..self.at_row + within].iter().filter(|level| **level > 0).count()
        };
        self.at_row += within;
        self.at_value += values;
        self.skip_rows += (count - within) as u64;
    }

    /// Moves at most `count` rows to `page`, and returns how many.
    fn take(&mut self, count: usize, page: &mut TypedPage<T>) -> Result<usize> {
        let Some(leaf) = self.leaf else {
            page.definitions.resize(page.definitions.len() + count, 0);
            return Ok(count);
        };
        if !self.fill(leaf)? {
            return Err(self.input.damaged("a column has fewer rows than its footer says"));
        }
        let count = count.min(self.rows - self.at_row);
        let values = if self.definitions.is_empty() {
            page.definitions.resize(page.definitions.len() + count, self.max_definition);
            count
        } else {
            let definitions = &self.definitions[self.at_row..self.at_row + count];
            page.definitions.extend_from_slice(definitions);
            definitions.iter().filter(|level| **level > 0).count()
        };
        page.values.extend_from_slice(&self.values[self.at_value..self.at_value + values]);
        self.at_row += count;
        self.at_value += values;
        Ok(count)
    }
}

/// Rows of the output.
pub(super) struct TypedPage<T: DataType> {
    pub values: Vec<T::T>,
    pub definitions: Vec<i16>,
}

/// Writes the column of a row group.
pub(super) fn write<W: Write + Send>(
    leaf: &Leaf<'_>,
    row_group: &mut SerializedRowGroupWriter<'_, W>,
    seen: &mut Seen,
) -> Result<()> {
    let (name, rows) = (leaf.column.name(), leaf.overrides);
    match leaf.column.descriptor.physical_type() {
        Type::BOOLEAN => {
            let change = Change { rows, value_of: overrides::flag(name) };
            write_typed::<BoolType, W>(leaf, row_group, change, |_| {})
        }
        Type::INT32 => {
            let change = Change { rows, value_of: overrides::small(name) };
            write_typed::<Int32Type, W>(leaf, row_group, change, |_| {})
        }
        Type::INT64 => {
            let change = Change { rows, value_of: overrides::number(name) };
            write_typed::<Int64Type, W>(leaf, row_group, change, |page| seen.numbers(&page.values))
        }
        Type::DOUBLE => {
            let change = Change { rows, value_of: None };
            write_typed::<DoubleType, W>(leaf, row_group, change, |_| {})
        }
        Type::BYTE_ARRAY => {
            let change = Change { rows, value_of: None };
            write_typed::<ByteArrayType, W>(leaf, row_group, change, |_| {})
        }
        other => Err(write_failed(ParquetError::NYI(format!("{other} in segments")))),
    }
}

fn write_typed<'g, T: DataType, W: Write + Send>(
    leaf: &Leaf<'g>,
    row_group: &mut SerializedRowGroupWriter<'_, W>,
    change: Change<'_, T::T>,
    mut see: impl FnMut(&TypedPage<T>),
) -> Result<()> {
    let max_definition = leaf.column.descriptor.max_def_level();
    let open = |source: &Source<'g>| TypedRows::open(source.input, source.leaf, max_definition, source.first_row);
    let mut sources: Vec<TypedRows<'g, T>> = leaf.sources.iter().map(open).collect();
    let too_few = || ParquetError::General("the schema has too few columns".to_owned());
    let mut writer = row_group.next_column().and_then(|writer| writer.ok_or_else(too_few)).map_err(write_failed)?;
    let mut page = TypedPage::<T> { values: Vec::new(), definitions: Vec::new() };
    let mut first_row = 0;
    let mut write_page = |page: &mut TypedPage<T>| {
        overrides::put_values(&change, first_row, page, max_definition);
        first_row += page.definitions.len();
        see(page);
        let definitions = (max_definition > 0).then_some(&page.definitions[..]);
        writer.typed::<T>().write_batch(&page.values, definitions, None).map_err(write_failed)?;
        page.values.clear();
        page.definitions.clear();
        Ok::<_, crate::Error>(())
    };
    for run in &leaf.group.runs {
        if run.is_gone() {
            leaf.passed_in(*run).into_iter().for_each(|source| sources[source].pass(run.count()));
            continue;
        }
        let source = &mut sources[leaf.source_of(*run)];
        let mut left = run.count();
        while left > 0 {
            left -= source.take(left.min(leaf.column.page_rows - page.definitions.len()), &mut page)?;
            if page.definitions.len() == leaf.column.page_rows {
                write_page(&mut page)?;
            }
        }
    }
    write_page(&mut page)?;
    writer.close().map_err(write_failed)
}
