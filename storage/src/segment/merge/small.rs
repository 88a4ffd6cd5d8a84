//! Tables that are small, and of whose rows several become one: as rows.
//!
//! A row's sort columns are compared as bytes; rows of which they are equal are held together until all inputs are past them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, new_null_array};
use arrow::compute::{cast, max, min};
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use arrow::row::{OwnedRow, Row, RowConverter, Rows, SortField};
use hashbrown::HashMap;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use parquet::file::reader::ChunkReader;
use parquet::schema::types::SchemaDescriptor;

use super::super::{ColumnRanges, layout, open_file};
use super::input::{check_version, damaged, failed, find_leaves};
use super::sums::{Columns, Sums};
use super::{Counted, MergeInput, MergeLimits, MergeReport, write_failed};
use crate::model::UnixNanos;
use crate::schema::Table;
use crate::{Error, Result};

/// Rows of an input that are in memory together. A row of metrics may have a kilobyte of buckets.
const READ_ROWS: usize = 1_024;
const WRITE_ROWS: usize = 8_192;

pub(super) fn merge<R: ChunkReader + 'static, W: Write + Send>(
    table: Table,
    parquet_schema: &SchemaDescriptor,
    inputs: Vec<MergeInput<R>>,
    out: W,
    limits: &MergeLimits,
) -> Result<MergeReport> {
    let schema = table.schema();
    let sort: Vec<usize> =
        layout::sort_columns(table).iter().map(|name| schema.index_of(name)).collect::<Result<_, _>>()?;
    let columns = Columns::of(table);
    let sort = Projection::new(&schema, &sort)?;
    let identity = Projection::new(&schema, &columns.identity)?;
    let kept = Projection::new(&schema, &columns.kept)?;
    let read = [&sort, &identity, &kept];

    let mut rows_before: u64 = 0;
    let mut sources = Vec::with_capacity(inputs.len());
    let mut waiting = BinaryHeap::with_capacity(inputs.len());
    for (number, input) in inputs.into_iter().enumerate() {
        let mut source = Source::open(table, parquet_schema, input)?;
        rows_before = rows_before.saturating_add(source.row_count);
        if source.fill(read)? {
            waiting.push(Reverse((source.key()?, number)));
        }
        sources.push(source);
    }
    let properties = layout::properties(table, rows_before as usize, layout::MERGED_ZSTD_LEVEL).into_builder();
    let properties = properties.set_max_row_group_row_count(Some(limits.group_rows.max(1))).build();
    let writer = layout::writer(Counted { out, bytes: 0 }, table.schema(), properties).map_err(write_failed)?;
    let mut group = Output {
        table,
        columns,
        kept: &kept,
        writer,
        report: MergeReport::default(),
        same: Same::default(),
        done: Same::default(),
    };
    let mut current: Option<OwnedRow> = None;
    while let Some(Reverse((key, number))) = waiting.pop() {
        if limits.cancelled.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(Error::Closed);
        }
        if current.as_ref() != Some(&key) {
            group.end_same()?;
        }
        let source = &mut sources[number];
        // All rows of the input with this key.
        loop {
            group.take(source)?;
            source.at += 1;
            if !source.fill(read)? {
                break;
            }
            let next = source.key()?;
            if next != key {
                if next < key {
                    return Err(damaged(&source.name, "its rows are not sorted as its table's are"));
                }
                waiting.push(Reverse((next, number)));
                break;
            }
        }
        current = Some(key);
    }
    group.end_same()?;
    group.finish()
}

struct Source {
    name: String,
    schema: SchemaRef,
    reader: ParquetRecordBatchReader,
    row_count: u64,
    batch: RecordBatch,
    /// Of the batch: sort columns, what tells rows apart, and what is kept of the first of equal ones.
    rows: Option<[Rows; 3]>,
    at: usize,
}

/// Some columns of a table as bytes that compare as they do.
struct Projection {
    columns: Vec<usize>,
    converter: RowConverter,
}

impl Projection {
    fn new(schema: &SchemaRef, columns: &[usize]) -> Result<Self> {
        let fields = columns.iter().map(|index| SortField::new(schema.field(*index).data_type().clone())).collect();
        Ok(Self { columns: columns.to_vec(), converter: RowConverter::new(fields)? })
    }

    fn rows(&self, batch: &RecordBatch) -> Result<Rows> {
        let columns: Vec<ArrayRef> = self.columns.iter().map(|index| Arc::clone(batch.column(*index))).collect();
        Ok(self.converter.convert_columns(&columns)?)
    }
}

impl Source {
    fn open<R: ChunkReader + 'static>(
        table: Table,
        parquet_schema: &SchemaDescriptor,
        input: MergeInput<R>,
    ) -> Result<Self> {
        let MergeInput { name, file, .. } = input;
        let builder = open_file(file).map_err(|error| failed(&name, error))?;
        check_version(&name, builder.metadata())?;
        find_leaves(&name, builder.metadata(), parquet_schema)?;
        let row_count = builder.metadata().file_metadata().num_rows().unsigned_abs();
        let reader = builder.with_batch_size(READ_ROWS).build().map_err(|error| failed(&name, error))?;
        let (schema, rows) = (table.schema(), None);
        let batch = RecordBatch::new_empty(SchemaRef::clone(&schema));
        Ok(Self { name, schema, reader, row_count, batch, rows, at: 0 })
    }

    /// Reads rows if there are none at hand. False at the end.
    fn fill(&mut self, [sort, identity, kept]: [&Projection; 3]) -> Result<bool> {
        while self.at == self.batch.num_rows() {
            let Some(batch) = self.reader.next() else { return Ok(false) };
            let batch = batch.map_err(|error| damaged(&self.name, &error.to_string()))?;
            self.batch = self.as_table(&batch)?;
            self.at = 0;
            self.rows = Some([sort.rows(&self.batch)?, identity.rows(&self.batch)?, kept.rows(&self.batch)?]);
        }
        Ok(true)
    }

    /// Columns of the table, those that the file has not as NULL.
    fn as_table(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let column = |field: &Arc<arrow::datatypes::Field>| match batch.column_by_name(field.name()) {
            Some(column) if column.data_type() == field.data_type() => Ok(Arc::clone(column)),
            Some(column) => cast(column, field.data_type()),
            None => Ok(new_null_array(field.data_type(), batch.num_rows())),
        };
        let columns = self.schema.fields().iter().map(column).collect::<Result<Vec<_>, _>>();
        columns
            .and_then(|columns| RecordBatch::try_new(SchemaRef::clone(&self.schema), columns))
            .map_err(|error| damaged(&self.name, &error.to_string()))
    }

    /// Sort columns of the row that is next.
    fn key(&self) -> Result<OwnedRow> {
        Ok(self.next_row()?[0].owned())
    }

    fn next_row(&self) -> Result<[Row<'_>; 3]> {
        let rows = self.rows.as_ref().filter(|_| self.at < self.batch.num_rows());
        let rows = rows.ok_or_else(|| damaged(&self.name, "it has fewer rows than it says"))?;
        Ok(rows.each_ref().map(|rows| rows.row(self.at)))
    }
}

/// Rows that are one by now.
#[derive(Default)]
struct Same {
    numbers: HashMap<Box<[u8]>, usize>,
    kept: Vec<OwnedRow>,
    sums: Vec<Sums>,
}

struct Output<'p, W: Write + Send> {
    table: Table,
    columns: Columns,
    kept: &'p Projection,
    writer: ArrowWriter<Counted<W>>,
    report: MergeReport,
    /// Of equal sort columns, more of which may come.
    same: Same,
    /// Of those before, not written yet.
    done: Same,
}

impl<W: Write + Send> Output<'_, W> {
    /// Takes the row that is next in `source`.
    fn take(&mut self, source: &Source) -> Result<()> {
        let [_, identity, kept] = source.next_row()?;
        let sums = self.columns.sums(&source.batch, source.at);
        let sums = sums.ok_or_else(|| damaged(&source.name, "its buckets are not as many as their counts"))?;
        let same = &mut self.same;
        match same.numbers.get(identity.data()) {
            Some(&known) => self.columns.add(&mut same.sums[known], sums),
            None => {
                same.numbers.insert(identity.data().into(), same.sums.len());
                same.kept.push(kept.owned());
                same.sums.push(sums);
            }
        }
        Ok(())
    }

    /// No input has further rows of the same.
    fn end_same(&mut self) -> Result<()> {
        self.same.numbers.clear();
        self.done.kept.append(&mut self.same.kept);
        self.done.sums.append(&mut self.same.sums);
        if self.done.sums.len() >= WRITE_ROWS { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<()> {
        if self.done.sums.is_empty() {
            return Ok(());
        }
        let kept = self.kept.converter.convert_rows(self.done.kept.iter().map(OwnedRow::row))?;
        let mut columns: Vec<(usize, ArrayRef)> = self.columns.kept.iter().copied().zip(kept).collect();
        columns.extend(self.columns.columns(&self.done.sums));
        columns.sort_by_key(|(index, _)| *index);
        let columns = columns.into_iter().map(|(_, column)| column).collect();
        let rows = RecordBatch::try_new(self.table.schema(), columns)?;
        self.done = Same::default();
        self.writer.write(&rows).map_err(write_failed)?;
        self.report.rows += rows.num_rows() as u64;
        self.report.ranges.widen(ColumnRanges::of(self.table, &rows));
        let times = self.table.time_column().and_then(|time| rows.column_by_name(time));
        if let Some(times) = times.and_then(|times| times.as_primitive_opt::<TimestampMicrosecondType>()) {
            let range = min(times).zip(max(times));
            let known = &mut self.report.start_range;
            if let Some((first, last)) =
                range.map(|(first, last)| (UnixNanos::from_micros(first), UnixNanos::from_micros(last)))
            {
                *known = Some(known.map_or((first, last), |known| (known.0.min(first), known.1.max(last))));
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<MergeReport> {
        self.write()?;
        self.report.bytes = self.writer.into_inner().map_err(write_failed)?.bytes;
        Ok(self.report)
    }
}
