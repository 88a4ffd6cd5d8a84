//! Merges segments in memory, with Arrow's writer: for tables that `merge` does not know yet, which are small.

use std::io::Write;
use std::sync::atomic::Ordering;

use arrow::array::{ArrayRef, AsArray};
use arrow::compute::{SortColumn, concat_batches, lexsort_to_indices, take_record_batch};
use arrow::datatypes::Int32Type;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::reader::ChunkReader;

use super::merge::{MergeInput, MergeLimits, MergeReport};
use super::writer::{micros, range};
use super::{ColumnRanges, layout};
use crate::model::UnixNanos;
use crate::schema::{Table, traces};
use crate::{Error, Result};

/// As [`merge`](super::merge()) does it.
pub fn merge_whole<R: ChunkReader + 'static, W: Write + Send>(
    table: Table,
    inputs: Vec<MergeInput<R>>,
    out: W,
    limits: &MergeLimits,
) -> Result<MergeReport> {
    let mut batches = Vec::new();
    for MergeInput { name, file } in inputs {
        let failed = |source| Error::Read { what: name.clone(), source };
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| failed(Box::new(error)))?;
        for batch in reader.build().map_err(|error| failed(Box::new(error)))? {
            if limits.cancelled.load(Ordering::Relaxed) {
                return Err(Error::Closed);
            }
            let batch = batch.map_err(|error| failed(Box::new(error)))?;
            batches.push(batch.with_schema(table.schema()).map_err(|error| failed(Box::new(error)))?);
        }
    }
    let rows = concat_batches(&table.schema(), &batches)?;
    drop(batches);
    let sort = |name: &&str| {
        let column = rows.column_by_name(name)?;
        Some(SortColumn { values: ArrayRef::clone(column), options: None })
    };
    let keys: Vec<SortColumn> = layout::sort_columns(table).iter().filter_map(sort).collect();
    let sorted = take_record_batch(&rows, &lexsort_to_indices(&keys, None)?)?;
    let nanos = sorted.column_by_name(traces::START_NANOS).and_then(|column| column.as_primitive_opt::<Int32Type>());
    let start_range = match table.time_column() {
        Some(time) if sorted.num_rows() > 0 => {
            Some(range(micros(&sorted, time)?.iter().enumerate().map(|(row, micros)| {
                UnixNanos::from_micros_and_remainder(*micros, nanos.map_or(0, |nanos| nanos.value(row)))
            })))
        }
        _ => None,
    };
    let properties = layout::properties(table, sorted.num_rows());
    let failed = |error: parquet::errors::ParquetError| Error::Write {
        what: "a merged segment".to_owned(),
        source: std::io::Error::other(error),
    };
    let mut writer = ArrowWriter::try_new(out, sorted.schema(), Some(properties)).map_err(failed)?;
    writer.write(&sorted).map_err(failed)?;
    writer.finish().map_err(failed)?;
    let (rows, bytes) = (sorted.num_rows() as u64, writer.bytes_written() as u64);
    Ok(MergeReport { rows, bytes, start_range, ranges: ColumnRanges::of(table, &sorted) })
}
