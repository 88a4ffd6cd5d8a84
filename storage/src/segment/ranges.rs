//! What the table's log says of a segment's columns, so that any engine can skip it unopened.

use std::ops::Range;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use chrono::DateTime;
use serde_json::{Map, Value};

use crate::rows::SpanRows;
use crate::schema::{Table, edge_metrics, paths, span_metrics, spans, traces};

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
            Table::SpanMetrics => &[span_metrics::SERVICE_NAME, span_metrics::SPAN_NAME, span_metrics::WINDOW_START],
            Table::EdgeMetrics => {
                &[edge_metrics::CLIENT_SERVICE, edge_metrics::SERVER_SERVICE, edge_metrics::WINDOW_START]
            }
            Table::Paths => &[paths::SERVICE_NAME, paths::SPAN_NAME],
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

    /// The same for rows of `spans`, without making their columns.
    pub fn of_spans(spans: &SpanRows, rows: Range<u32>) -> Self {
        let mut ranges = Self::default();
        let mut seen: Vec<Vec<bool>> = spans.batches.iter().map(|batch| vec![false; batch.templates().len()]).collect();
        let mut texts: [Option<(&str, &str)>; 3] = [None; 3];
        let mut starts: Option<(i64, i64)> = None;
        let mut durations: Option<(i64, i64)> = None;
        for row in rows {
            let head = spans.head(row as usize);
            widen(&mut starts, head.start.micros());
            widen(&mut durations, head.duration_nanos);
            let number = spans.rows[row as usize].span.batch as usize;
            if !std::mem::replace(&mut seen[number][head.template as usize], true) {
                let (batch, template) = spans.template(row as usize);
                let of = [batch.service_name(template), template.span_name, template.status_code];
                texts.iter_mut().zip(of).for_each(|(range, id)| widen(range, batch.texts().text(id)));
            }
        }
        let [services, names, statuses] = texts.map(|range| range.and_then(text_range));
        ranges.add(spans::SERVICE_NAME, services);
        ranges.add(spans::SPAN_NAME, names);
        ranges.add(spans::START_TIME, starts.and_then(time_range));
        ranges.add(spans::DURATION_NS, durations.map(|(smallest, largest)| (smallest.into(), largest.into())));
        ranges.add(spans::STATUS_CODE, statuses);
        ranges
    }

    /// A column without NULL whose smallest and largest values are known.
    pub(super) fn add_texts(&mut self, name: &str, range: Option<(&str, &str)>) {
        self.add(name, range.and_then(text_range));
    }

    /// The same of times in microseconds, or of other numbers.
    pub(super) fn add_numbers(&mut self, name: &str, is_time: bool, range: Option<(i64, i64)>) {
        let numbers = |(smallest, largest): (i64, i64)| Some((smallest.into(), largest.into()));
        self.add(name, if is_time { range.and_then(time_range) } else { range.and_then(numbers) });
    }

    /// Those of further rows of the same table, added.
    pub(super) fn widen(&mut self, other: Self) {
        if self.null_counts.is_empty() {
            *self = other;
            return;
        }
        for (name, nulls) in other.null_counts {
            let known = self.null_counts.get(&name).and_then(Value::as_u64).unwrap_or_default();
            self.null_counts.insert(name, known.saturating_add(nulls.as_u64().unwrap_or_default()).into());
        }
        widen_all(&mut self.smallest, other.smallest, |known, value| value < known);
        widen_all(&mut self.largest, other.largest, |known, value| value > known);
    }

    /// A column without NULL.
    fn add(&mut self, name: &str, range: Option<(Value, Value)>) {
        self.null_counts.insert(name.to_owned(), 0.into());
        if let Some((smallest, largest)) = range {
            self.smallest.insert(name.to_owned(), smallest);
            self.largest.insert(name.to_owned(), largest);
        }
    }
}

fn widen<T: Ord + Copy>(range: &mut Option<(T, T)>, value: T) {
    *range = Some(range.map_or((value, value), |(smallest, largest)| (smallest.min(value), largest.max(value))));
}

/// What one of both does not know, both together do not. Times compare as their texts do.
fn widen_all(
    ranges: &mut Map<String, Value>,
    others: Map<String, Value>,
    is_beyond: fn(&Bound<'_>, &Bound<'_>) -> bool,
) {
    ranges.retain(|name, _| others.contains_key(name));
    for (name, value) in others {
        if let Some(known) = ranges.get_mut(&name)
            && is_beyond(&bound(known), &bound(&value))
        {
            *known = value;
        }
    }
}

type Bound<'v> = (Option<i64>, Option<&'v str>);

fn bound(value: &Value) -> Bound<'_> {
    (value.as_i64(), value.as_str())
}

fn text_range((smallest, largest): (&str, &str)) -> Option<(Value, Value)> {
    (smallest.len().max(largest.len()) <= TEXT_BYTES).then(|| (smallest.into(), largest.into()))
}

fn time_range((earliest, latest): (i64, i64)) -> Option<(Value, Value)> {
    let text = |micros: i64| {
        let time = DateTime::from_timestamp_micros(micros)?;
        Some(Value::from(time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()))
    };
    text(earliest).zip(text(latest))
}

fn range(column: &dyn Array) -> Option<(Value, Value)> {
    if let Some(text) = column.as_string_view_opt() {
        let values = || text.iter().flatten();
        return text_range((values().min()?, values().max()?));
    }
    if let Some(times) = column.as_primitive_opt::<TimestampMicrosecondType>() {
        return time_range((arrow::compute::min(times)?, arrow::compute::max(times)?));
    }
    let numbers = column.as_primitive_opt::<Int64Type>()?;
    Some((arrow::compute::min(numbers)?.into(), arrow::compute::max(numbers)?.into()))
}
