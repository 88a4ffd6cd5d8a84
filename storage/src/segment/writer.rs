//! Rows in any order to the bytes of segments, one a partition.

use std::collections::BTreeMap;

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt64Array};
use arrow::compute::{SortColumn, concat_batches, lexsort_to_indices, take_record_batch};
use arrow::datatypes::TimestampMicrosecondType;
use parquet::arrow::ArrowWriter;

use super::{ColumnRanges, layout};
use crate::catalog::partition_of;
use crate::model::UnixNanos;
use crate::schema::{Table, spans};
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

/// Sorts `batches` and encodes them, one segment for each UTC date among their starts.
pub fn encode(table: Table, batches: &[RecordBatch]) -> Result<Vec<EncodedSegment>> {
    let rows = concat_batches(&table.schema(), batches)?;
    let starts = start_micros(&rows)?;
    let mut by_date: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut day: Option<(i64, String)> = None;
    for (row, &micros) in starts.iter().enumerate() {
        let number = micros.div_euclid(86_400_000_000);
        // Neighbours mostly share their day; formatting it for each would cost more than sorting.
        let date = match &day {
            Some((known, date)) if *known == number => date.clone(),
            _ => {
                let date = partition_of(micros);
                day = Some((number, date.clone()));
                date
            }
        };
        by_date.entry(date).or_default().push(row as u64);
    }
    let whole = by_date.len() == 1;
    by_date
        .into_iter()
        .map(|(date, of_date)| {
            if whole {
                encode_one(table, date, &rows)
            } else {
                encode_one(table, date, &take_record_batch(&rows, &UInt64Array::from(of_date))?)
            }
        })
        .collect()
}

fn encode_one(table: Table, date: String, rows: &RecordBatch) -> Result<EncodedSegment> {
    let keys: Vec<SortColumn> = layout::sort_columns(table)
        .iter()
        .filter_map(|name| rows.column_by_name(name))
        .map(|column| SortColumn { values: ArrayRef::clone(column), options: None })
        .collect();
    let order = lexsort_to_indices(&keys, None)?;
    let sorted = take_record_batch(rows, &order)?;
    let starts = start_micros(&sorted)?;
    let nanos = sorted
        .column_by_name(spans::START_NANOS)
        .and_then(|column| column.as_primitive_opt::<arrow::datatypes::Int32Type>());
    let start =
        |row: usize| UnixNanos::from_micros_and_remainder(starts[row], nanos.map_or(0, |nanos| nanos.value(row)));
    let range = (0..sorted.num_rows())
        .map(start)
        .fold((UnixNanos(i64::MAX), UnixNanos(i64::MIN)), |range, start| (range.0.min(start), range.1.max(start)));

    let mut bytes = Vec::new();
    let properties = layout::properties(table, sorted.num_rows());
    let mut writer = ArrowWriter::try_new(&mut bytes, sorted.schema(), Some(properties)).map_err(encode_error)?;
    writer.write(&sorted).map_err(encode_error)?;
    writer.close().map_err(encode_error)?;
    Ok(EncodedSegment {
        date,
        bytes,
        row_count: sorted.num_rows() as u64,
        start_range: range,
        ranges: ColumnRanges::of(table, &sorted),
    })
}

fn start_micros(rows: &RecordBatch) -> Result<&[i64]> {
    rows.column_by_name(spans::START_TIME)
        .and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>())
        .map(|starts| &starts.values()[..])
        .ok_or_else(|| arrow::error::ArrowError::SchemaError("there is no start_time".to_owned()).into())
}

fn encode_error(error: parquet::errors::ParquetError) -> Error {
    Error::Columns(error.into())
}
