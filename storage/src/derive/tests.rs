//! Shapes of small traces, written as spans with single-digit ids.

mod critical;
mod path;
mod twice;

use proptest::prelude::*;

use super::*;
use crate::model::{SpanBatchBuilder, SpanFields, SpanId, TraceId, UnixNanos};

/// (id, parent or 0, service, kind, start, duration)
type Row = (u64, u64, &'static str, &'static str, i64, i64);

fn id(number: u64) -> SpanId {
    SpanId::from_bytes(number.to_be_bytes()).unwrap()
}

fn batch(rows: &[Row]) -> Vec<Arc<SpanBatch>> {
    let mut builder = SpanBatchBuilder::default();
    let resource = builder.resource(|_| {});
    for &(span, parent, service, kind, start, duration) in rows {
        let origin = builder.origin(resource, service, None, None);
        builder.append(&SpanFields {
            trace_id: TraceId::from_bytes([1; 16]).unwrap(),
            span_id: id(span),
            parent_span_id: (parent != 0).then(|| id(parent)),
            origin,
            span_name: "work".into(),
            kind,
            status_code: "unset",
            status_message: None,
            start: UnixNanos(1_000_000 + start),
            duration_nanos: duration,
            trace_state: None,
            flags: 0,
        });
    }
    vec![Arc::new(builder.finish().unwrap())]
}

fn spans(rows: std::ops::Range<usize>) -> Vec<SpanRef> {
    rows.map(|row| SpanRef { batch: 0, row: row as u32 }).collect()
}

fn shape(rows: &[Row]) -> TraceShape {
    Tree::over(&batch(rows)).shape_of(&mut spans(0..rows.len()))
}

#[track_caller]
fn check<T: PartialEq + std::fmt::Debug>(rows: &[Row], get: impl Fn(&SpanShape) -> T, expected: &[T]) {
    let actual: Vec<T> = shape(rows).spans.iter().map(get).collect();
    assert_eq!(actual, expected);
}

#[test]
fn depth_counts_steps_from_the_root_whatever_the_order_of_rows() {
    let rows = [(3, 2, "b", "server", 2, 1), (1, 0, "a", "server", 0, 9), (2, 1, "a", "client", 1, 5)];
    check(&rows, |span| span.depth, &[Some(2), Some(0), Some(1)]);
    assert_eq!(shape(&rows).root, Some(1));
    assert!(shape(&rows).complete);
}

#[test]
fn below_a_missing_parent_depth_is_unknown_and_the_trace_incomplete() {
    let rows = [(1, 0, "a", "server", 0, 9), (2, 7, "b", "server", 1, 2), (3, 2, "b", "internal", 1, 1)];
    check(&rows, |span| span.depth, &[Some(0), None, None]);
    check(&rows, |span| span.parent, &[None, None, Some(1)]);
    assert!(!shape(&rows).complete);
}

#[test]
fn otlp_1105_cycles_and_spans_that_are_their_own_parent_end() {
    let rows = [(1, 2, "a", "server", 0, 9), (2, 1, "a", "client", 1, 2), (3, 3, "a", "internal", 1, 1)];
    check(&rows, |span| span.depth, &[None, None, None]);
    let shape = shape(&rows);
    assert!(!shape.complete && shape.root.is_none());
}

#[test]
fn an_entry_is_a_root_a_change_of_service_or_a_call_received() {
    let rows = [
        (1, 0, "a", "internal", 0, 9),
        (2, 1, "a", "client", 1, 8),
        (3, 2, "b", "unspecified", 2, 7),
        (4, 3, "b", "internal", 3, 6),
        (5, 2, "a", "server", 3, 1),
        (6, 99, "c", "consumer", 3, 1),
        (7, 99, "c", "internal", 3, 1),
    ];
    check(&rows, |span| span.is_entry, &[true, false, true, false, true, true, false]);
}

#[test]
fn self_time_leaves_out_the_union_of_children_cut_to_the_span() {
    let rows = [
        (1, 0, "a", "server", 0, 100),
        (2, 1, "a", "client", 10, 20),  // 10..30
        (3, 1, "a", "client", 20, 30),  // 20..50 overlaps
        (4, 1, "a", "client", 90, 500), // outlives: 90..100
        (5, 1, "a", "client", -50, 20), // before its parent: nothing
    ];
    check(&rows, |span| span.self_ns, &[100 - 40 - 10, 20, 30, 500, 20]);
}

#[test]
fn otlp_1105_a_chain_of_100_000_spans_ends() {
    let rows: Vec<Row> = (1..=100_000).map(|span| (span, span - 1, "a", "internal", 0, 1)).collect();
    assert_eq!(shape(&rows).spans.last().unwrap().depth, Some(99_999));
}

#[test]
fn dropped_traces_have_a_digest_and_no_spans_and_late_rows_the_reverse() {
    let rows = batch(&[(1, 0, "a", "server", 0, 9), (2, 0, "b", "server", 0, 9), (3, 9, "c", "internal", 0, 9)]);
    let verdict = |keep| Verdict { keep, ..Verdict::pending() };
    let root = RootNames { service: Arc::from("front"), name: Arc::from("GET /") };
    let trace = |row: usize, keep, late| TraceSpans {
        trace_id: TraceId::from_bytes([1; 16]).unwrap(),
        spans: spans(row..row + 1),
        verdict: verdict(keep),
        late,
    };
    let traces = vec![trace(0, false, None), trace(1, true, None), trace(2, true, Some(Some(root.clone())))];
    let derived = derive(rows, traces).unwrap();
    assert_eq!(derived.traces.unwrap().num_rows(), 2);
    assert_eq!(derived.spans.len(), 2);
    let (batch, service) = derived.spans.service(0);
    assert_eq!(derived.spans.batches[batch as usize].texts().text(service), "b");
    assert_eq!(derived.roots[2], Some(root));
}

proptest! {
    /// Whatever the parents, every span gets a shape, and self time lies between nothing and the duration.
    #[test]
    fn any_parents_end(links in proptest::collection::vec((0u64..20, -50i64..50, 0i64..100), 1..20)) {
        let rows: Vec<Row> = links
            .iter()
            .enumerate()
            .map(|(index, &(parent, start, duration))| (index as u64 + 1, parent, "a", "internal", start, duration))
            .collect();
        let shape = shape(&rows);
        prop_assert_eq!(shape.spans.len(), rows.len());
        for (span, row) in shape.spans.iter().zip(&rows) {
            prop_assert!((0..=row.5).contains(&span.self_ns));
            prop_assert_eq!(span.is_root, row.1 == 0);
            if let (Some(depth), Some(parent)) = (span.depth, span.parent) {
                prop_assert_eq!(Some(depth - 1), shape.spans[parent].depth);
            }
        }
    }
}
