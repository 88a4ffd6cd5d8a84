//! Known rows of one file, a row group after the other.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use datafusion::common::{DataFusionError, Result};
use datafusion::parquet::arrow::arrow_reader::{ParquetRecordBatchReader, RowSelection, RowSelector};
use datafusion::parquet::arrow::async_reader::AsyncFileReader;
use datafusion::parquet::arrow::{FieldLevels, ProjectionMask, parquet_to_arrow_field_levels};
use datafusion::parquet::errors::Result as ParquetResult;
use datafusion::parquet::file::metadata::ParquetMetaData;
use futures::{FutureExt, Stream, TryStreamExt, stream};
use storage::Segment;
use zstd::bulk::Decompressor;

use super::columns;
use super::pages::{Chunk, Group, Parts, Zstd, wrong};
use crate::error::Error;
use crate::table::selection;

/// Rows of a segment, ascending.
#[derive(Debug)]
pub(super) struct FileRows {
    pub(super) segment: Arc<Segment>,
    pub(super) rows: Vec<u32>,
}

/// A file whose footer was read.
pub(super) struct OpenFile {
    reader: Box<dyn AsyncFileReader + Send>,
    footer: Arc<ParquetMetaData>,
    file: Arc<FileRows>,
    schema: SchemaRef,
    leaves: Vec<usize>,
    levels: FieldLevels,
    /// Row groups that are still to be read, and their rows.
    groups: VecDeque<(usize, Vec<usize>)>,
    zstd: Zstd,
    batch_rows: usize,
}

impl OpenFile {
    pub(super) async fn open(
        reader: Box<dyn AsyncFileReader + Send>,
        file: Arc<FileRows>,
        schema: &SchemaRef,
        batch_rows: usize,
    ) -> Result<Self> {
        let opened = Self::try_open(reader, Arc::clone(&file), schema, batch_rows);
        unpanicked(opened).await.map_err(|error| failed(&file.segment, &error))
    }

    async fn try_open(
        mut reader: Box<dyn AsyncFileReader + Send>,
        file: Arc<FileRows>,
        schema: &SchemaRef,
        batch_rows: usize,
    ) -> ParquetResult<Self> {
        let footer = reader.get_metadata(None).await?;
        let of_file = footer.file_metadata().schema_descr();
        let leaves = columns::leaves(of_file, schema)?;
        let mask = ProjectionMask::leaves(of_file, leaves.iter().copied());
        let levels = parquet_to_arrow_field_levels(of_file, mask, None)?;
        let groups = by_group(&footer, &file.rows)?;
        let zstd = Arc::new(Mutex::new(Decompressor::new()?));
        Ok(Self { reader, footer, file, schema: Arc::clone(schema), leaves, levels, groups, zstd, batch_rows })
    }

    pub(super) fn batches(self) -> impl Stream<Item = Result<RecordBatch>> + Send {
        stream::try_unfold(self, |mut file| async move {
            let Some((group, rows)) = file.groups.pop_front() else { return Ok(None) };
            let read = unpanicked(file.read(group, &rows)).await.map_err(|error| failed(&file.file.segment, &error))?;
            let (schema, of_file) = (Arc::clone(&file.schema), Arc::clone(&file.file));
            let wanted = move |batch: std::result::Result<RecordBatch, ArrowError>| {
                let batch = batch.and_then(|batch| columns::as_wanted(&batch, &schema));
                batch.map_err(|error| failed(&of_file.segment, &error))
            };
            Ok::<_, DataFusionError>(Some((
                stream::iter(Decoded { reader: Some(read), rows_left: rows.len() }.map(wanted)),
                file,
            )))
        })
        .try_flatten()
    }

    async fn read(&mut self, group: usize, rows: &[usize]) -> ParquetResult<ParquetRecordBatchReader> {
        let mut ranges = Vec::new();
        let chunk = |leaf: &usize| Chunk::plan(&self.footer, group, *leaf, rows, &mut ranges);
        let chunks = self.leaves.iter().map(chunk).collect::<ParquetResult<Vec<_>>>()?;
        let starts: Vec<u64> = ranges.iter().map(|range| range.start).collect();
        let parts = if ranges.is_empty() { Vec::new() } else { self.reader.get_byte_ranges(ranges).await? };
        let parts = Parts::new(self.file.segment.size_bytes, starts.into_iter().zip(parts).collect());
        let row_count = usize::try_from(self.footer.row_group(group).num_rows())?;
        let (footer, zstd) = (Arc::clone(&self.footer), Arc::clone(&self.zstd));
        let pages = Group { footer, group, row_count, chunks, parts: Arc::new(parts), zstd };
        let rows = by_steps(selection(rows.iter().copied(), row_count));
        ParquetRecordBatchReader::try_new_with_row_groups(&self.levels, &pages, self.batch_rows, Some(rows))
    }
}

/// The crate trusts what a file says of itself, and panics where that is damaged.
async fn unpanicked<T>(work: impl Future<Output = ParquetResult<T>>) -> ParquetResult<T> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| Err(wrong("it is damaged")))
}

/// The batches of a row group. The crate's reader ends without a word where a page has fewer rows than the index says.
struct Decoded {
    reader: Option<ParquetRecordBatchReader>,
    rows_left: usize,
}

impl Iterator for Decoded {
    type Item = std::result::Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let damaged = |what: &str| Some(Err(ArrowError::ParquetError(what.to_owned())));
        let mut reader = self.reader.take()?;
        match catch_unwind(AssertUnwindSafe(|| reader.next())) {
            Ok(Some(Ok(batch))) => {
                self.rows_left = self.rows_left.saturating_sub(batch.num_rows());
                self.reader = Some(reader);
                Some(Ok(batch))
            }
            Ok(None) if self.rows_left > 0 => damaged("rows are missing"),
            Ok(ended) => ended,
            Err(_) => damaged("a page is damaged"),
        }
    }
}

/// Short steps are otherwise read with what lies between them, and filtered then: also pages that are not there. The crate
/// decides by the mean length of steps (`ReadPlanBuilder::build`, a mask below 32), before it cuts off what is passed at the
/// end; that costs nothing and makes steps long.
fn by_steps(selection: RowSelection) -> RowSelection {
    const LONG: usize = 64;
    let mut steps: Vec<RowSelector> = selection.into();
    steps.push(RowSelector::skip(steps.len().saturating_add(1).saturating_mul(LONG)));
    RowSelection::from(steps)
}

/// The rows by row group, counted from its first.
fn by_group(footer: &ParquetMetaData, rows: &[u32]) -> ParquetResult<VecDeque<(usize, Vec<usize>)>> {
    let (mut groups, mut start, mut rest) = (VecDeque::new(), 0_u64, rows);
    for (group, of_group) in footer.row_groups().iter().enumerate() {
        let count = u64::try_from(of_group.num_rows()).map_err(|_| wrong("a row group has less than no rows"))?;
        let end = start.checked_add(count).ok_or_else(|| wrong("its rows are without number"))?;
        let (within, beyond) = rest.split_at(rest.partition_point(|row| u64::from(*row) < end));
        if !within.is_empty() {
            let local = within.iter().map(|row| usize::try_from(u64::from(*row).saturating_sub(start)));
            groups.push_back((group, local.collect::<std::result::Result<_, _>>()?));
        }
        (start, rest) = (end, beyond);
    }
    if rest.is_empty() { Ok(groups) } else { Err(wrong(&format!("a row lies beyond its {start} rows"))) }
}

fn failed(segment: &Segment, error: &dyn std::fmt::Display) -> DataFusionError {
    Error::Internal(format!("cannot read segment {}: {error}", segment.location)).into()
}
