//! Known rows of one file, some of a row group after the other.

use std::collections::VecDeque;
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};

use arrow::array::{Int64Array, RecordBatch, UInt32Array};
use arrow::datatypes::SchemaRef;
use datafusion::common::{DataFusionError, Result};
use datafusion::parquet::arrow::arrow_reader::{ParquetRecordBatchReader, RowSelection, RowSelector};
use datafusion::parquet::arrow::async_reader::AsyncFileReader;
use datafusion::parquet::arrow::{ProjectionMask, parquet_to_arrow_field_levels};
use datafusion::parquet::errors::Result as ParquetResult;
use datafusion::parquet::file::metadata::ParquetMetaData;
use futures::{FutureExt, Stream, TryStreamExt, stream};
use storage::Segment;
use zstd::bulk::Decompressor;

use super::chunk::{Chunk, ThinChunk, wrong};
use super::columns::{self, Leaf};
use super::dictionaries::{Dictionaries, OfColumn};
use super::groups::{Group, SmallPages};
use super::pages::{Parts, Zstd};
use super::pick::Pick;
use super::picked::{Flat, Nested};
use crate::error::Error;

/// Rows of a segment, ascending.
#[derive(Debug)]
pub(super) struct FileRows {
    pub(super) segment: Arc<Segment>,
    pub(super) rows: Vec<u32>,
    /// Given behind the columns, with the row, if that is asked for.
    pub(super) number: Option<u32>,
}

/// Rows of a row group.
struct Part {
    group: usize,
    /// The first row of the group in the file.
    start: u64,
    /// Counted from it.
    rows: Vec<usize>,
}

impl Part {
    fn of_file(&self) -> ParquetResult<Int64Array> {
        let row = |row: &usize| Ok(Some(i64::try_from(self.start.saturating_add(u64::try_from(*row)?))?));
        self.rows.iter().map(row).collect()
    }
}

/// Rows that are read at once: as many columns of them are in memory.
const ROWS_AT_ONCE: usize = 16_384;

/// A file whose footer was read.
pub(super) struct OpenFile {
    reader: Box<dyn AsyncFileReader + Send>,
    footer: Arc<ParquetMetaData>,
    file: Arc<FileRows>,
    schema: SchemaRef,
    leaves: Vec<Leaf>,
    /// What is still to be read.
    parts: VecDeque<Part>,
    zstd: Zstd,
    dictionaries: Option<Arc<Dictionaries>>,
}

impl OpenFile {
    pub(super) async fn open(
        reader: Box<dyn AsyncFileReader + Send>,
        file: Arc<FileRows>,
        schema: &SchemaRef,
        dictionaries: Option<Arc<Dictionaries>>,
    ) -> Result<Self> {
        let opened = Self::try_open(reader, Arc::clone(&file), schema, dictionaries);
        unpanicked(opened).await.map_err(|error| failed(&file.segment, &error))
    }

    async fn try_open(
        mut reader: Box<dyn AsyncFileReader + Send>,
        file: Arc<FileRows>,
        schema: &SchemaRef,
        dictionaries: Option<Arc<Dictionaries>>,
    ) -> ParquetResult<Self> {
        let footer = reader.get_metadata(None).await?;
        let leaves = columns::leaves(footer.file_metadata().schema_descr(), schema)?;
        let parts = parts(&footer, &file.rows)?;
        let zstd = Arc::new(Mutex::new(Decompressor::new()?));
        Ok(Self { reader, footer, file, schema: Arc::clone(schema), leaves, parts, zstd, dictionaries })
    }

    /// Of so many rows each.
    pub(super) fn batches(self, batch_rows: usize) -> impl Stream<Item = Result<RecordBatch>> + Send {
        let batch_rows = batch_rows.max(1);
        stream::try_unfold(self, |mut file| async move {
            let Some(part) = file.parts.pop_front() else { return Ok(None) };
            let read = unpanicked(file.read(&part)).await.map_err(|error| failed(&file.file.segment, &error))?;
            Ok::<_, DataFusionError>(Some((read, file)))
        })
        .map_ok(move |read| {
            let starts = (0..read.num_rows()).step_by(batch_rows);
            let batches: Vec<_> =
                starts.map(|start| Ok(read.slice(start, batch_rows.min(read.num_rows() - start)))).collect();
            stream::iter(batches)
        })
        .try_flatten()
    }

    async fn read(&mut self, part: &Part) -> ParquetResult<RecordBatch> {
        let mut ranges = Vec::new();
        let plan = self.plan(part, &mut ranges)?;
        let starts: Vec<u64> = ranges.iter().map(|range| range.start).collect();
        let bytes = if ranges.is_empty() { Vec::new() } else { self.reader.get_byte_ranges(ranges).await? };
        let bytes = Arc::new(Parts::new(self.file.segment.size_bytes, starts.into_iter().zip(bytes).collect()));
        self.columns(part, plan, bytes)
    }

    /// How each leaf is read; adds the bytes to read to `ranges`.
    fn plan(&self, part: &Part, ranges: &mut Vec<Range<u64>>) -> ParquetResult<Plan> {
        let (group, rows) = (part.group, part.rows.as_slice());
        let known = self.dictionaries.as_deref();
        let of = |leaf: usize| OfColumn { location: self.file.segment.location.clone(), group, leaf };
        let (mut flat, mut others) = (Vec::new(), Vec::new());
        for leaf in &self.leaves {
            let chunk = Chunk::of(&self.footer, group, leaf.number)?;
            let wanted = self.schema.field(leaf.place).data_type();
            match Flat::new(chunk.column, wanted, rows.len()).filter(|_| chunk.has_index()) {
                Some(filled) => {
                    flat.push((leaf.place, Pick::plan(&chunk, of(leaf.number), filled, rows, known, ranges)?));
                }
                None => others.push((leaf.number, chunk)),
            }
        }
        let nested = |(_, chunk): &(usize, Chunk<'_>)| Nested::new(chunk.column).filter(|_| chunk.has_index());
        let nested: Option<Vec<Nested>> = others.iter().map(nested).collect();
        let leaves: Vec<usize> = others.iter().map(|(leaf, _)| *leaf).collect();
        let others = match nested {
            Some(nested) => {
                let pick = |((leaf, chunk), filled): (&(usize, Chunk<'_>), Nested)| {
                    Ok((*leaf, Pick::plan(chunk, of(*leaf), filled, rows, known, ranges)?))
                };
                Others::Picked(others.iter().zip(nested).map(pick).collect::<ParquetResult<Vec<_>>>()?)
            }
            None => {
                let thin = |(leaf, chunk): &(usize, Chunk<'_>)| chunk.thin(*leaf, rows, ranges);
                Others::Thin(others.iter().map(thin).collect::<ParquetResult<Vec<_>>>()?)
            }
        };
        Ok(Plan { flat, leaves, others })
    }

    /// The columns of the table, from the bytes that were planned for.
    fn columns(&self, part: &Part, plan: Plan, bytes: Arc<Parts>) -> ParquetResult<RecordBatch> {
        let Plan { flat, leaves, others } = plan;
        let rows = part.rows.as_slice();
        let picked = |(place, pick): (usize, Pick<Flat>)| {
            let named = |error| wrong(&format!("{}: {error}", self.schema.field(place).name()));
            let filled = pick.read(rows, &bytes, &self.zstd, self.dictionaries.as_deref()).map_err(named)?;
            Ok((place, filled.finish()))
        };
        let mut flat = flat.into_iter().map(picked).collect::<ParquetResult<Vec<_>>>()?;
        if let Some((number, place)) = self.file.number.zip(self.schema.fields().len().checked_sub(2)) {
            flat.push((place, Arc::new(UInt32Array::from_value(number, rows.len()))));
            flat.push((place + 1, Arc::new(part.of_file()?)));
        }
        let nested = if leaves.is_empty() { None } else { Some(self.made(part, &leaves, others, bytes)?) };
        Ok(columns::as_wanted(rows.len(), flat, nested.as_ref(), &self.schema)?)
    }

    /// Columns of these leaves, which the crate makes.
    fn made(&self, part: &Part, leaves: &[usize], others: Others, parts: Arc<Parts>) -> ParquetResult<RecordBatch> {
        let (group, rows) = (part.group, part.rows.as_slice());
        let of_file = self.footer.file_metadata().schema_descr();
        let mask = ProjectionMask::leaves(of_file, leaves.iter().copied());
        let levels = parquet_to_arrow_field_levels(of_file, mask, None)?;
        let footer = Arc::clone(&self.footer);
        let mut reader = match others {
            Others::Picked(picks) => {
                let page = |(leaf, pick): (usize, Pick<Nested>)| {
                    let named = |error| wrong(&format!("{}: {error}", of_file.column(leaf).path()));
                    let filled = pick.read(rows, &parts, &self.zstd, self.dictionaries.as_deref()).map_err(named)?;
                    Ok((leaf, filled.finish()?))
                };
                let pages = picks.into_iter().map(page).collect::<ParquetResult<Vec<_>>>()?;
                let pages = SmallPages { footer, group, row_count: rows.len(), pages };
                ParquetRecordBatchReader::try_new_with_row_groups(&levels, &pages, rows.len(), None)?
            }
            Others::Thin(chunks) => {
                let row_count = usize::try_from(footer.row_group(group).num_rows())?;
                let zstd = Arc::clone(&self.zstd);
                let pages = Group { footer, group, row_count, chunks, parts, zstd };
                let ranges = rows.iter().map(|row| *row..row + 1);
                let steps = by_steps(RowSelection::from_consecutive_ranges(ranges, row_count));
                ParquetRecordBatchReader::try_new_with_row_groups(&levels, &pages, rows.len(), Some(steps))?
            }
        };
        // It ends without a word where a page has fewer rows than the index says.
        let read = reader.next().transpose()?.filter(|read| read.num_rows() == rows.len());
        read.ok_or_else(|| wrong("rows are missing"))
    }
}

/// How the rows of a part are read.
struct Plan {
    /// Columns of single values, by their places among the wanted ones.
    flat: Vec<(usize, Pick<Flat>)>,
    /// Of all other columns.
    leaves: Vec<usize>,
    others: Others,
}

enum Others {
    Picked(Vec<(usize, Pick<Nested>)>),
    /// One of them cannot be: pages that hold rows.
    Thin(Vec<ThinChunk>),
}

/// The crate trusts what a file says of itself, and panics where that is damaged.
async fn unpanicked<T>(work: impl Future<Output = ParquetResult<T>>) -> ParquetResult<T> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| Err(wrong("it is damaged")))
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

/// The rows by row group, counted from its first, some at once.
fn parts(footer: &ParquetMetaData, rows: &[u32]) -> ParquetResult<VecDeque<Part>> {
    let (mut parts, mut start, mut rest) = (VecDeque::new(), 0_u64, rows);
    for (group, of_group) in footer.row_groups().iter().enumerate() {
        let count = u64::try_from(of_group.num_rows()).map_err(|_| wrong("a row group has less than no rows"))?;
        let end = start.checked_add(count).ok_or_else(|| wrong("its rows are without number"))?;
        let (within, beyond) = rest.split_at(rest.partition_point(|row| u64::from(*row) < end));
        for part in within.chunks(ROWS_AT_ONCE) {
            let local = part.iter().map(|row| usize::try_from(u64::from(*row).saturating_sub(start)));
            let rows = local.collect::<std::result::Result<_, _>>()?;
            parts.push_back(Part { group, start, rows });
        }
        (start, rest) = (end, beyond);
    }
    if rest.is_empty() { Ok(parts) } else { Err(wrong(&format!("a row lies beyond its {start} rows"))) }
}

fn failed(segment: &Segment, error: &dyn std::fmt::Display) -> DataFusionError {
    Error::Internal(format!("cannot read segment {}: {error}", segment.location)).into()
}
