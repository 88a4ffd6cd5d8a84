//! Counting: rows add up to the spans, however they are cut into batches, and a view does not change.

use std::collections::BTreeMap;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use proptest::prelude::*;

use super::*;
use crate::model::{SpanBatch, SpanBatchBuilder, SpanFields, SpanId, TraceId};

#[derive(Debug, Clone)]
struct Counted {
    service: usize,
    name: usize,
    is_error: bool,
    start: i64,
    nanos: i64,
    head: Option<&'static str>,
}

const SERVICES: [&str; 3] = ["front", "cart", ""];
const NAMES: [&str; 3] = ["GET /", "SELECT", "a name that is too long for a view to hold it within itself"];

fn batch(spans: &[Counted]) -> SpanBatch {
    let mut builder = SpanBatchBuilder::default();
    let resource = builder.resource(|_| {});
    let origins = SERVICES.map(|service| builder.origin(resource, service, None, None));
    for (at, span) in spans.iter().enumerate() {
        if at % 3 == 0 {
            builder.attributes().push_int("third", 1);
        }
        builder.append(&SpanFields {
            trace_id: TraceId::from_bytes([1; 16]).unwrap(),
            span_id: SpanId::from_bytes([1; 8]).unwrap(),
            parent_span_id: None,
            origin: origins[span.service],
            span_name: NAMES[span.name].into(),
            kind: "server",
            status_code: if span.is_error { "error" } else { "unset" },
            status_message: None,
            start: UnixNanos(span.start),
            duration_nanos: span.nanos,
            trace_state: span.head,
            flags: 0,
        });
    }
    builder.finish().unwrap()
}

fn counted() -> impl Strategy<Value = Counted> {
    let start = prop_oneof![8 => 0..60_000_000_000_i64, 1 => any::<i64>(), 1 => Just(i64::MIN), 1 => Just(i64::MAX)];
    let nanos = prop_oneof![1 => Just(0), 6 => 1..100_000_000_i64, 1 => 0..=i64::MAX];
    let head = prop_oneof![4 => Just(None), 1 => Just(Some("ot=th:8")), 1 => Just(Some("ot=th:x"))];
    (0..3_usize, 0..3_usize, any::<bool>(), start, nanos, head).prop_map(
        |(service, name, is_error, start, nanos, head)| Counted { service, name, is_error, start, nanos, head },
    )
}

type Key = (i64, String, String, String);

#[derive(Debug, Clone, PartialEq)]
struct Expected {
    spans: i64,
    adjusted: f64,
    sum: i64,
    min: i64,
    max: i64,
    zeros: i64,
    buckets: BTreeMap<i32, i64>,
    is_exact: bool,
}

/// The truth, one span after the other.
fn truth(spans: &[Counted]) -> BTreeMap<Key, Expected> {
    let mut truth: BTreeMap<Key, Expected> = BTreeMap::new();
    for span in spans {
        let window = i128::from(span.start).div_euclid(i128::from(WINDOW_NANOS)) * i128::from(WINDOW_NANOS);
        let micros = window.max(i128::from(i64::MIN)).div_euclid(1_000) as i64;
        let status = if span.is_error { "error" } else { "unset" };
        let key = (micros, SERVICES[span.service].to_owned(), NAMES[span.name].to_owned(), status.to_owned());
        let row = truth.entry(key).or_insert_with(|| Expected {
            spans: 0,
            adjusted: 0.0,
            sum: 0,
            min: i64::MAX,
            max: 0,
            zeros: 0,
            buckets: BTreeMap::new(),
            is_exact: true,
        });
        row.spans += 1;
        row.adjusted += if span.head == Some("ot=th:8") { 2.0 } else { 1.0 };
        row.sum = row.sum.saturating_add(span.nanos);
        row.min = row.min.min(span.nanos);
        row.max = row.max.max(span.nanos);
        row.is_exact &= span.head.is_none();
        if span.nanos == 0 {
            row.zeros += 1;
        } else {
            *row.buckets.entry(i32::from(buckets::place_of(span.nanos as u64)) - 1).or_default() += 1;
        }
    }
    truth
}

fn read(rows: &RecordBatch) -> BTreeMap<Key, Expected> {
    let text = |name| rows.column_by_name(name).unwrap().as_string_view();
    let number = |name| rows.column_by_name(name).unwrap().as_primitive::<Int64Type>();
    let mut found = BTreeMap::new();
    for row in 0..rows.num_rows() {
        let window = rows.column_by_name("window_start").unwrap().as_primitive::<TimestampMicrosecondType>().value(row);
        let of = |name| text(name).value(row).to_owned();
        let list = |name| rows.column_by_name(name).unwrap().as_list::<i32>().value(row);
        let (indexes, counts) = (list("bucket_indexes"), list("bucket_counts"));
        let indexes = indexes.as_primitive::<Int32Type>().values().iter().copied();
        assert!(indexes.clone().is_sorted());
        let expected = Expected {
            spans: number("span_count").value(row),
            adjusted: rows.column_by_name("adjusted_count").unwrap().as_primitive::<Float64Type>().value(row),
            sum: number("duration_sum_ns").value(row),
            min: number("duration_min_ns").value(row),
            max: number("duration_max_ns").value(row),
            zeros: number("zero_count").value(row),
            buckets: indexes.zip(counts.as_primitive::<Int64Type>().values().iter().copied()).collect(),
            is_exact: rows.column_by_name("exact").unwrap().as_boolean().value(row),
        };
        let key = (window, of("service_name"), of("span_name"), of("status_code"));
        assert!(found.insert(key, expected).is_none(), "two rows of one epoch have the same key");
    }
    found
}

proptest! {
    #[test]
    fn rows_add_up_to_the_spans_however_they_are_cut(
        spans in proptest::collection::vec(counted(), 0..400), cut in 1usize..20,
    ) {
        let mut metrics = SpanMetrics::default();
        for part in spans.chunks(cut) {
            let batch = batch(part);
            metrics.add(BatchCounts::of(&batch));
        }
        let view = metrics.view();
        prop_assert_eq!(view.row_count(), view.columns().unwrap().num_rows());
        prop_assert_eq!(read(&view.merged().columns().unwrap()), truth(&spans));
        // As they lie, rows are sums of parts.
        let sum = |rows: &RecordBatch| -> i64 {
            rows.column_by_name("span_count").unwrap().as_primitive::<Int64Type>().values().iter().sum()
        };
        prop_assert_eq!(sum(&view.columns().unwrap()), spans.len() as i64);
    }
}

#[test]
fn a_view_stays_as_it_was_and_is_the_same_until_something_changes() {
    let span = |name, start| Counted { service: 0, name, is_error: false, start, nanos: 5, head: None };
    let add = |metrics: &mut SpanMetrics, spans: &[Counted]| {
        let batch = batch(spans);
        metrics.add(BatchCounts::of(&batch));
    };
    let mut metrics = SpanMetrics::default();
    let many: Vec<Counted> = (0..300).map(|window| span(0, window * WINDOW_NANOS)).collect();
    add(&mut metrics, &many);
    let before = metrics.freeze();
    assert!(std::sync::Arc::ptr_eq(&before, &metrics.freeze()));
    add(&mut metrics, &[span(0, 0), span(1, 0)]);
    let after = metrics.freeze();
    assert_eq!((before.row_count(), after.row_count()), (300, 302));
    let spans = |frozen: &Frozen<4>| -> i64 {
        let rows = frozen.columns().unwrap();
        rows.column_by_name("span_count").unwrap().as_primitive::<Int64Type>().values().iter().sum()
    };
    assert_eq!((spans(&before), spans(&after)), (300, 302));
    assert_eq!(after.merged().row_count(), 301);
    assert!(metrics.size_bytes() > 300 * 80);
}

#[test]
fn nothing_is_counted_of_an_empty_request() {
    let batch = batch(&[]);
    let counts = BatchCounts::of(&batch);
    assert!(counts.is_empty());
    let mut metrics = SpanMetrics::default();
    metrics.add(counts);
    assert!(metrics.is_empty());
    assert_eq!(metrics.view().columns().unwrap().num_rows(), 0);
}

#[test]
fn many_small_requests_leave_few_rows() {
    let span = Counted { service: 0, name: 0, is_error: false, start: 5, nanos: 5, head: None };
    let mut metrics = SpanMetrics::default();
    for _ in 0..1_000 {
        metrics.add(BatchCounts::of(&batch(std::slice::from_ref(&span))));
    }
    assert!(metrics.len() < 100, "{} rows", metrics.len());
    assert_eq!(metrics.len(), metrics.view().row_count());
    let merged = metrics.view().merged().columns().unwrap();
    let counts = merged.column_by_name("span_count").unwrap().as_primitive::<Int64Type>();
    assert_eq!(counts.values()[..], [1_000]);
    // What merging freed is not counted any more.
    assert!(metrics.size_bytes() < 100 * 300, "{} bytes", metrics.size_bytes());
}
