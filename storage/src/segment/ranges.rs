//! What the table's log says of a segment's columns, so that any engine can skip it unopened.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use chrono::DateTime;
use serde_json::{Map, Value};

use crate::schema::{Table, spans, traces};

/// Text above this length is left out: a cut one would have to be rounded.
const TEXT_BYTES: usize = 128;

/// Smallest and largest values and counts of NULL by column, as Delta writes them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ColumnRanges {
    pub smallest: Map<String, Value>,
    pub largest: Map<String, Value>,
    pub null_counts: Map<String, Value>,
}

impl ColumnRanges {
    /// The columns that queries prune by.
    pub fn columns(table: Table) -> &'static [&'static str] {
        match table {
            Table::Spans => {
                &[spans::SERVICE_NAME, spans::SPAN_NAME, spans::START_TIME, spans::DURATION_NS, spans::STATUS_CODE]
            }
            Table::Traces => &[traces::START_TIME, traces::DURATION_NS],
        }
    }

    pub fn of(table: Table, rows: &RecordBatch) -> Self {
        let mut ranges = Self::default();
        for name in Self::columns(table) {
            let Some(column) = rows.column_by_name(name) else { continue };
            ranges.null_counts.insert((*name).to_owned(), column.null_count().into());
            if let Some((smallest, largest)) = range(column.as_ref()) {
                ranges.smallest.insert((*name).to_owned(), smallest);
                ranges.largest.insert((*name).to_owned(), largest);
            }
        }
        ranges
    }
}

fn range(column: &dyn Array) -> Option<(Value, Value)> {
    if let Some(text) = column.as_string_view_opt() {
        let values = || text.iter().flatten();
        let (smallest, largest) = (values().min()?, values().max()?);
        return (smallest.len().max(largest.len()) <= TEXT_BYTES).then(|| (smallest.into(), largest.into()));
    }
    if let Some(times) = column.as_primitive_opt::<TimestampMicrosecondType>() {
        let text = |micros: i64| {
            let time = DateTime::from_timestamp_micros(micros)?;
            Some(Value::from(time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()))
        };
        return text(arrow::compute::min(times)?).zip(text(arrow::compute::max(times)?));
    }
    let numbers = column.as_primitive_opt::<Int64Type>()?;
    Some((arrow::compute::min(numbers)?.into(), arrow::compute::max(numbers)?.into()))
}
