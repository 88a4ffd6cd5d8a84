//! Sorted segments of a table and a date to one larger sorted segment, or one of them to a smaller one.
//!
//! Rows are never made. The sort columns alone are read first and say in which order the inputs' rows come; then leaf by leaf
//! each input is read page by page, and what its pages have goes to the output's in that order. Values that an input numbers
//! in a dictionary are looked at once, not once a row.
//!
//! - `column`: how a leaf of the output is written, and what is seen of it meanwhile.
//! - `input`: an input's file, and which of its columns are the table's.
//! - `unpack`, `values`, `pages`: a page's levels, numbers and values.
//! - `order`: the merged order, as runs of the inputs' rows, those that are to be gone among them.
//! - `numbered`: texts and nested columns. `typed`: numbers, flags and random ids.
//! - `shared`, `late`, `overrides`: traces whose spans meet here are derived again.
//! - `promotion`, `moved`: attributes that leave the maps of older inputs for columns of their own.
//! - `sources`: which files a leaf's rows come from.
//! - `small`, `sums`: metrics and paths, of which rows become one, and which are merged as rows.
//! - `flat`: columns of a segment for who only looks at them.
//!
//! # Invariants
//!
//! - The output has the inputs' rows, each once, sorted as its table is; equal keys in the order of the inputs. Only derived
//!   columns of traces whose spans meet change, and rows of metrics and paths become one. A segment that is rewritten without
//!   some of its rows has the others as they were: nothing is derived anew because rows are gone.
//! - Of all promoted attributes of the table the output has every value in a column and none in its maps, whichever of them
//!   an input knew. It has the columns of which there is a value.
//! - Memory holds the order's runs, of one leaf a page and a dictionary of each input, and the pages of one leaf of a row
//!   group, compressed; never rows of all columns. Beside that, trace ids as hashes, and what late traces are derived from,
//!   both bounded. Of promoted attributes that older inputs have in their maps: of each column of a row group a dictionary, of
//!   some 256 KiB, for each number of columns that inputs knew, and the pages, compressed.
//! - An input that has a column which the table has not, or lacks one that is never NULL, is an error: nothing is dropped.

mod column;
mod flat;
mod input;
mod late;
mod moved;
mod numbered;
mod order;
mod overrides;
mod pages;
mod promotion;
mod shared;
mod small;
mod sources;
mod sums;
mod typed;
mod unpack;
mod values;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrow::array::RecordBatch;
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{Schema, SchemaRef};
use parquet::arrow::ArrowSchemaConverter;
use parquet::errors::ParquetError;
use parquet::file::reader::ChunkReader;
use parquet::schema::types::SchemaDescriptor;
use zstd::bulk::Compressor;

use self::column::{Column, Seen};
pub use self::flat::FlatColumns;
use self::input::Input;
use self::late::Rederived;
use self::moved::MapMoves;
use self::order::{Order, Run};
use self::promotion::Promotion;
use self::sources::Leaf;
use super::{ColumnRanges, layout};
use crate::model::UnixNanos;
use crate::schema::Table;
use crate::schema::promoted::{Keys, Promoted};
use crate::{Error, Result};

/// A segment's file.
#[derive(Debug)]
pub struct MergeInput<R: ChunkReader> {
    /// What errors call it.
    pub name: String,
    pub file: R,
    /// Of a segment of `spans`: where its attributes are.
    pub keys: Keys,
    /// Whether rows that were in it are gone: what of its spans was derived from them cannot be derived again.
    pub lost_rows: bool,
}

/// What a merge may take.
#[derive(Debug, Clone)]
pub struct MergeLimits {
    /// Rows of a row group at most.
    pub group_rows: usize,
    /// Spans that are derived again at most. They are in memory together, with some 300 bytes each.
    pub rederived_rows: usize,
    /// Once true, the merge ends with [`Error::Closed`] before its next page.
    pub cancelled: Arc<AtomicBool>,
}

impl Default for MergeLimits {
    fn default() -> Self {
        Self { group_rows: layout::ROW_GROUP_ROWS, rederived_rows: 1 << 18, cancelled: Arc::default() }
    }
}

/// What was written.
#[derive(Debug, Default)]
pub struct MergeReport {
    pub rows: u64,
    /// Rows of the input that were left out.
    pub gone_rows: u64,
    pub bytes: u64,
    /// `None` where rows are of no time, or there are none.
    pub start_range: Option<(UnixNanos, UnixNanos)>,
    pub ranges: ColumnRanges,
    /// Traces of which several inputs had spans, and that were derived again.
    pub rederived_traces: u64,
    /// Such traces that were left as they were, since their spans are too many.
    pub left_traces: u64,
    /// Rows of `paths` that the derived spans refer to. The table may have some of them, or all.
    pub paths: Option<RecordBatch>,
    /// Of a segment of `spans`: where its attributes are.
    pub keys: Keys,
}

/// Compressed pages of a leaf are in memory until its chunk is whole; row groups of large texts have fewer rows.
const CHUNK_BYTES: u64 = 64 << 20;

/// Merges segments of one date into `out`, which the caller syncs. `promoted` are all columns of attributes that the table
/// has; other tables than `spans` have none.
///
/// Works for as long as the inputs take, without waiting for anything but files: call it on a thread of its own.
pub fn merge<R: ChunkReader + 'static, W: Write + Send>(
    table: Table,
    promoted: &[Promoted],
    inputs: Vec<MergeInput<R>>,
    out: W,
    limits: &MergeLimits,
) -> Result<MergeReport> {
    if is_small(table) {
        let stored = ArrowSchemaConverter::new().convert(&table.schema()).map_err(write_failed)?;
        return small::merge(table, &stored, inputs, out, limits);
    }
    merge_rows(table, promoted, inputs, None, out, limits)
}

/// Writes the rows of a segment of spans or digests that are `kept` to `out`, which the caller syncs; else as [`merge`].
pub fn rewrite<R: ChunkReader + 'static, W: Write + Send>(
    table: Table,
    promoted: &[Promoted],
    input: MergeInput<R>,
    kept: &BooleanBuffer,
    out: W,
    limits: &MergeLimits,
) -> Result<MergeReport> {
    if is_small(table) {
        return Err(Error::Config(format!("segments of {} go whole", table.name())));
    }
    merge_rows(table, promoted, vec![input], Some(kept), out, limits)
}

/// Whether rows of the table become one, in memory.
fn is_small(table: Table) -> bool {
    matches!(table, Table::SpanMetrics | Table::EdgeMetrics | Table::Paths)
}

fn merge_rows<R: ChunkReader + 'static, W: Write + Send>(
    table: Table,
    promoted: &[Promoted],
    inputs: Vec<MergeInput<R>>,
    kept: Option<&BooleanBuffer>,
    out: W,
    limits: &MergeLimits,
) -> Result<MergeReport> {
    let stored = ArrowSchemaConverter::new().convert(&table.schema()).map_err(write_failed)?;
    if inputs.len() > Run::MAX_INPUTS {
        return Err(Error::Config(format!("at most {} segments can be merged at once", Run::MAX_INPUTS)));
    }
    let whole = columns_of(table, promoted)?;
    let mut keys = Vec::with_capacity(inputs.len());
    let mut opened = Vec::with_capacity(inputs.len());
    let lost_rows: Vec<bool> = inputs.iter().map(|input| input.lost_rows).collect();
    for MergeInput { name, file, keys: of_input, .. } in inputs {
        let Some(known) = promoted.get(..of_input.promoted) else {
            return Err(input::damaged(&name, "it has more promoted columns than its table"));
        };
        opened.push(Input::open(name, file, &columns_of(table, known)?, Arc::clone(&limits.cancelled))?);
        keys.push(of_input);
    }
    let inputs = opened;
    let order = Order::of(table, &whole, &inputs, group_rows(&whole, &inputs, limits), kept)?;
    let promotion = Promotion::of(promoted, &whole, stored.num_columns(), &inputs, &keys)?;

    let out = Counted { out, bytes: 0 };
    let properties = layout::properties(table, limits.group_rows.min(order.rows as usize), layout::MERGED_ZSTD_LEVEL);
    let there = promoted.iter().zip(&promotion.is_there).filter(|(_, is_there)| **is_there).map(|(column, _)| column);
    let writer = layout::writer(out, schema(table, there), properties).map_err(write_failed)?;
    let (mut file, _) = writer.into_serialized_writer().map_err(write_failed)?;
    let columns = Column::all(table, &whole, file.schema_descr(), file.properties());
    let mut seen: Vec<Seen> = columns.iter().map(Seen::of).collect();
    let mut compressor = Compressor::new(layout::MERGED_ZSTD_LEVEL).map_err(|error| write_failed(error.into()))?;
    let rederived = match table {
        // Spans of one segment have met before.
        Table::Spans if kept.is_none() => {
            late::derive_again(&whole, &inputs, &lost_rows, &order, limits.rederived_rows)?
        }
        _ => Rederived::default(),
    };
    for (number, group) in order.groups.iter().enumerate() {
        let overrides = rederived.overrides.group(number);
        let mut row_group = file.next_row_group().map_err(write_failed)?;
        let mut gathered = promotion.gather(promoted, group, &limits.cancelled)?;
        for (column, seen) in columns.iter().zip(&mut seen) {
            let taken = match column.leaf.checked_sub(stored.num_columns()) {
                Some(place) => promotion.take(place, &mut gathered)?,
                None => Vec::new(),
            };
            let mut leaf = Leaf::new(column, &inputs, group, overrides);
            for (class, file) in &taken {
                leaf.redirect(file, |input| promotion.class_of(input) == Some(*class));
            }
            if column.is_typed {
                typed::write(&leaf, &mut row_group, seen)?;
            } else {
                let map = MapMoves::of(column, &promotion, &mut gathered);
                numbered::write(&leaf, map, &mut row_group, &mut compressor, seen)?;
            }
        }
        row_group.close().map_err(write_failed)?;
    }
    let bytes = file.into_inner().map_err(write_failed)?.bytes;
    let mut ranges = ColumnRanges::default();
    seen.iter().zip(&columns).for_each(|(seen, column)| seen.add_to(&mut ranges, column));
    Ok(MergeReport {
        rows: order.rows,
        gone_rows: order.gone,
        bytes,
        start_range: order.start_range,
        ranges,
        rederived_traces: rederived.traces,
        left_traces: rederived.left_traces,
        paths: rederived.paths,
        keys: Keys { promoted: promoted.len(), mixed: promotion.mixed },
    })
}

fn columns_of(table: Table, promoted: &[Promoted]) -> Result<SchemaDescriptor> {
    ArrowSchemaConverter::new().convert(&schema(table, promoted)).map_err(write_failed)
}

/// A table's columns, and behind them those that are promoted.
fn schema<'p>(table: Table, promoted: impl IntoIterator<Item = &'p Promoted>) -> SchemaRef {
    let stored = table.schema();
    let promoted = promoted.into_iter().map(|column| Arc::new(column.field()));
    Arc::new(Schema::new(stored.fields().iter().cloned().chain(promoted).collect::<Vec<_>>()))
}

/// Rows of a row group, so that no chunk is too large for memory.
fn group_rows(schema: &SchemaDescriptor, inputs: &[Input], limits: &MergeLimits) -> usize {
    let rows = inputs.iter().map(|input| input.rows).fold(0, u64::saturating_add);
    let bytes = |leaf| inputs.iter().map(|input| input.leaf_bytes(leaf)).fold(0, u64::saturating_add);
    let largest = (0..schema.num_columns()).map(bytes).max().unwrap_or_default();
    if largest <= CHUNK_BYTES {
        return limits.group_rows;
    }
    let of_chunk = u128::from(rows) * u128::from(CHUNK_BYTES) / u128::from(largest);
    limits.group_rows.min(usize::try_from(of_chunk).unwrap_or(usize::MAX).max(layout::ATTRIBUTE_PAGE_ROWS))
}

/// What of the output could not be written.
fn write_failed(error: ParquetError) -> Error {
    let source = match error {
        ParquetError::External(source) => match source.downcast::<std::io::Error>() {
            Ok(error) => *error,
            Err(other) => std::io::Error::other(other),
        },
        other => std::io::Error::other(other),
    };
    Error::Write { what: "a merged segment".to_owned(), source }
}

/// Counts what goes through.
struct Counted<W> {
    out: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}
