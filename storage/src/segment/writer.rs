//! Rows in any order to the bytes of segments, one a partition.

use std::collections::BTreeMap;
use std::ops::Range;

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt64Array};
use arrow::compute::{SortColumn, concat_batches, lexsort_to_indices, take_record_batch};
use arrow::datatypes::{Int32Type, TimestampMicrosecondType};
use parquet::arrow::ArrowWriter;

use super::order::Templates;
use super::{ColumnRanges, layout, order};
use crate::catalog::partition_of;
use crate::model::UnixNanos;
use crate::rows::SpanRows;
use crate::schema::{Table, traces};
use crate::{Error, Result};

/// A segment's file before it is anywhere.
#[derive(Debug)]
pub struct EncodedSegment {
    pub date: String,
    pub bytes: Vec<u8>,
    pub row_count: u64,
    pub start_range: (UnixNanos, UnixNanos),
    pub ranges: ColumnRanges,
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

    /// Encodes one of them. A flush may have many, so that it should not hold them all.
    pub fn encode(&self, segment: usize) -> Result<EncodedSegment> {
        let (day, rows) = self.days[segment].clone();
        let spans = &self.spans;
        Ok(EncodedSegment {
            date: partition_of(day * DAY_MICROS),
            bytes: super::spans::write(spans, &self.templates, rows.clone(), layout::ROW_GROUP_ROWS)
                .map_err(encode_error)?,
            row_count: rows.len() as u64,
            start_range: range(rows.clone().map(|row| spans.head(row as usize).start)),
            ranges: ColumnRanges::of_spans(spans, rows),
        })
    }
}

/// Sorts rows of `spans` and encodes them all.
#[cfg(test)]
pub fn encode_spans(spans: SpanRows) -> Result<Vec<EncodedSegment>> {
    let sorted = SortedSpans::new(spans);
    (0..sorted.segment_count()).map(|segment| sorted.encode(segment)).collect()
}

/// Sorts rows of `traces` and encodes them.
pub fn encode_traces(batches: &[RecordBatch]) -> Result<Vec<EncodedSegment>> {
    let rows = concat_batches(&Table::Traces.schema(), batches)?;
    let days = by_date(start_micros(&rows)?.iter().copied());
    let encode_day = |(day, of_day): (i64, Vec<u32>)| {
        let of_day = UInt64Array::from_iter_values(of_day.into_iter().map(u64::from));
        let rows = take_record_batch(&rows, &of_day)?;
        let keys: Vec<SortColumn> = layout::sort_columns(Table::Traces)
            .iter()
            .filter_map(|name| rows.column_by_name(name))
            .map(|column| SortColumn { values: ArrayRef::clone(column), options: None })
            .collect();
        let sorted = take_record_batch(&rows, &lexsort_to_indices(&keys, None)?)?;
        let nanos =
            sorted.column_by_name(traces::START_NANOS).and_then(|column| column.as_primitive_opt::<Int32Type>());
        let starts = start_micros(&sorted)?.iter().enumerate().map(|(row, micros)| {
            UnixNanos::from_micros_and_remainder(*micros, nanos.map_or(0, |nanos| nanos.value(row)))
        });
        Ok(EncodedSegment {
            date: partition_of(day * DAY_MICROS),
            row_count: sorted.num_rows() as u64,
            start_range: range(starts),
            ranges: ColumnRanges::of(Table::Traces, &sorted),
            bytes: write_traces(&sorted)?,
        })
    };
    days.into_iter().map(encode_day).collect()
}

fn write_traces(sorted: &RecordBatch) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let properties = layout::properties(Table::Traces, sorted.num_rows());
    let mut writer = ArrowWriter::try_new(&mut bytes, sorted.schema(), Some(properties)).map_err(encode_error)?;
    writer.write(sorted).map_err(encode_error)?;
    writer.close().map_err(encode_error)?;
    Ok(bytes)
}

fn start_micros(rows: &RecordBatch) -> Result<&[i64]> {
    rows.column_by_name(traces::START_TIME)
        .and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>())
        .map(|starts| &starts.values()[..])
        .ok_or_else(|| arrow::error::ArrowError::SchemaError("there is no start_time".to_owned()).into())
}

fn encode_error(error: parquet::errors::ParquetError) -> Error {
    Error::Columns(error.into())
}
