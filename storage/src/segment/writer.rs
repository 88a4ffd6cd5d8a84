//! Rows in any order to the bytes of segments, one a partition.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt64Array};
use arrow::compute::{SortColumn, concat_batches, lexsort_to_indices, take_record_batch};
use arrow::datatypes::{Int32Type, TimestampMicrosecondType};

use super::order::Templates;
use super::placing::Placing;
use super::{ColumnRanges, layout, order};
use crate::catalog::partition_of;
use crate::model::UnixNanos;
use crate::promotion::KeyCounts;
use crate::rows::SpanRows;
use crate::schema::promoted::{Keys, Promoted};
use crate::schema::{Table, traces};
use crate::{Error, Result};

/// A segment's file before it is anywhere.
#[derive(Debug)]
pub struct EncodedSegment {
    /// The UTC date of its rows' times; `None` where they are of no time, as the next.
    pub date: Option<String>,
    pub bytes: Vec<u8>,
    pub row_count: u64,
    pub start_range: Option<(UnixNanos, UnixNanos)>,
    pub ranges: ColumnRanges,
    pub keys: Keys,
}

const DAY_MICROS: i64 = 86_400_000_000;

/// Row numbers by the UTC date of their starts.
fn by_date(starts_micros: impl Iterator<Item = i64>) -> BTreeMap<i64, Vec<u32>> {
    let mut days: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
    for (row, micros) in starts_micros.enumerate() {
        days.entry(micros.div_euclid(DAY_MICROS)).or_default().push(row as u32);
    }
    days
}

fn range(starts: impl Iterator<Item = UnixNanos>) -> (UnixNanos, UnixNanos) {
    starts.fold((UnixNanos(i64::MAX), UnixNanos(i64::MIN)), |range, start| (range.0.min(start), range.1.max(start)))
}

/// Rows of `spans` in the order of segments.
pub struct SortedSpans {
    spans: SpanRows,
    templates: Templates,
    /// Days since the epoch, and their rows.
    days: Vec<(i64, Range<u32>)>,
}

impl SortedSpans {
    pub fn new(mut spans: SpanRows) -> Self {
        let days = order::sort(&mut spans);
        let templates = Templates::new(&spans);
        Self { spans, templates, days }
    }

    /// How many segments there will be.
    pub fn segment_count(&self) -> usize {
        self.days.len()
    }

    /// How many spans have which attributes.
    pub fn key_counts(&self) -> KeyCounts {
        KeyCounts::of(&self.spans, &self.templates.row_counts())
    }

    /// Encodes one of them. A flush may have many, so that it should not hold them all. Attributes that are named in
    /// `promoted`, the table's list, go to columns of their own.
    pub fn encode(&self, segment: usize, promoted: &Arc<[Promoted]>) -> Result<EncodedSegment> {
        let (day, rows) = self.days[segment].clone();
        let spans = &self.spans;
        let placing = Placing::new(spans, &self.templates, rows.clone(), promoted);
        Ok(EncodedSegment {
            date: Some(partition_of(day * DAY_MICROS)),
            bytes: super::spans::write(spans, &self.templates, &placing, rows.clone(), layout::ROW_GROUP_ROWS)
                .map_err(encode_error)?,
            row_count: rows.len() as u64,
            start_range: Some(range(rows.clone().map(|row| spans.head(row as usize).start))),
            ranges: ColumnRanges::of_spans(spans, rows),
            keys: placing.keys,
        })
    }
}

/// Sorts rows of `spans` and encodes them all, with no attribute promoted.
#[cfg(test)]
pub fn encode_spans(spans: SpanRows) -> Result<Vec<EncodedSegment>> {
    encode_promoted(spans, Arc::default())
}

/// The same with these promoted.
#[cfg(test)]
pub fn encode_promoted(spans: SpanRows, promoted: Arc<[Promoted]>) -> Result<Vec<EncodedSegment>> {
    let sorted = SortedSpans::new(spans);
    (0..sorted.segment_count()).map(|segment| sorted.encode(segment, &promoted)).collect()
}

/// Sorts rows of a table and encodes them. Rows of `spans` have their own way.
pub fn encode(table: Table, batches: &[RecordBatch]) -> Result<Vec<EncodedSegment>> {
    let rows = concat_batches(&table.schema(), batches)?;
    if rows.num_rows() == 0 {
        return Ok(Vec::new());
    }
    let Some(time) = table.time_column() else { return Ok(vec![encode_part(table, &rows, None)?]) };
    let encode_day = |(day, of_day): (i64, Vec<u32>)| {
        let of_day = UInt64Array::from_iter_values(of_day.into_iter().map(u64::from));
        let date = partition_of(day * DAY_MICROS);
        encode_part(table, &take_record_batch(&rows, &of_day)?, Some((time, date)))
    };
    by_date(micros(&rows, time)?.iter().copied()).into_iter().map(encode_day).collect()
}

/// Rows of one partition: the column of their times, and its date.
fn encode_part(table: Table, rows: &RecordBatch, partition: Option<(&str, String)>) -> Result<EncodedSegment> {
    let keys: Vec<SortColumn> = layout::sort_columns(table)
        .iter()
        .filter_map(|name| rows.column_by_name(name))
        .map(|column| SortColumn { values: ArrayRef::clone(column), options: None })
        .collect();
    let sorted = take_record_batch(rows, &lexsort_to_indices(&keys, None)?)?;
    let nanos = sorted.column_by_name(traces::START_NANOS).and_then(|column| column.as_primitive_opt::<Int32Type>());
    let starts = |time| {
        let starts = micros(&sorted, time)?.iter().enumerate().map(|(row, micros)| {
            UnixNanos::from_micros_and_remainder(*micros, nanos.map_or(0, |nanos| nanos.value(row)))
        });
        Ok::<_, Error>(range(starts))
    };
    Ok(EncodedSegment {
        row_count: sorted.num_rows() as u64,
        start_range: partition.as_ref().map(|(time, _)| starts(time)).transpose()?,
        date: partition.map(|(_, date)| date),
        ranges: ColumnRanges::of(table, &sorted),
        bytes: write(table, &sorted)?,
        keys: Keys::default(),
    })
}

fn write(table: Table, sorted: &RecordBatch) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let properties = layout::properties(table, sorted.num_rows(), layout::ZSTD_LEVEL);
    let mut writer = layout::writer(&mut bytes, sorted.schema(), properties).map_err(encode_error)?;
    writer.write(sorted).map_err(encode_error)?;
    writer.close().map_err(encode_error)?;
    Ok(bytes)
}

fn micros<'r>(rows: &'r RecordBatch, column: &str) -> Result<&'r [i64]> {
    rows.column_by_name(column)
        .and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>())
        .map(|times| &times.values()[..])
        .ok_or_else(|| arrow::error::ArrowError::SchemaError(format!("there is no {column}")).into())
}

fn encode_error(error: parquet::errors::ParquetError) -> Error {
    Error::Columns(error.into())
}
