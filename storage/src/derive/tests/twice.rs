//! Spans that came twice, in batches that number their texts differently.

use std::slice::from_ref;

use super::*;
use crate::model::AttributesBuilder;

#[derive(Debug, Clone, Copy)]
enum Value {
    Text(&'static str),
    Json(&'static str),
    Int(i64),
    Float(f64),
    Bool(bool),
    Unset,
}

/// A span as its client said it.
#[derive(Debug, Clone)]
struct Said {
    id: u64,
    parent: u64,
    name: &'static str,
    kind: &'static str,
    status: (&'static str, Option<&'static str>),
    start: i64,
    duration: i64,
    trace_state: Option<&'static str>,
    flags: u32,
    service: &'static str,
    scope: (Option<&'static str>, Option<&'static str>),
    resource: &'static [(&'static str, &'static str)],
    value: Value,
    attributes: &'static [(&'static str, &'static str)],
    events: &'static [(i64, &'static str, &'static str)],
    link: (u8, u64, Option<&'static str>, u32, &'static str),
}

fn said(id: u64) -> Said {
    Said {
        id,
        parent: 0,
        name: "GET /",
        kind: "server",
        status: ("error", Some("no stock")),
        start: 1_000,
        duration: 90,
        trace_state: Some("a=b"),
        flags: 1,
        service: "shop",
        scope: (Some("http"), Some("1.2")),
        resource: &[("host.name", "one"), ("region", "eu")],
        value: Value::Int(7),
        attributes: &[("route", "/"), ("user", "ann")],
        events: &[(1_001, "retry", "busy")],
        link: (2, 9, Some("c=d"), 3, "cause"),
    }
}

fn texts(to: &mut AttributesBuilder<'_>, list: &[(&str, &str)]) {
    list.iter().for_each(|(key, value)| to.push_text(key, value));
}

/// A request. `before` comes first in it, so that texts get other numbers than in other requests.
fn request(before: &str, spans: &[Said]) -> Arc<SpanBatch> {
    let mut builder = SpanBatchBuilder::default();
    builder.resource(|to| to.push_text(before, before));
    for span in spans {
        let resource = builder.resource(|to| texts(to, span.resource));
        let origin = builder.origin(resource, span.service, span.scope.0, span.scope.1);
        texts(&mut builder.attributes(), span.attributes);
        let mut attributes = builder.attributes();
        match span.value {
            Value::Text(text) => attributes.push_text("value", text),
            Value::Json(text) => attributes.push_json("value", text),
            Value::Int(number) => attributes.push_int("value", number),
            Value::Float(number) => attributes.push_float("value", number),
            Value::Bool(flag) => attributes.push_bool("value", flag),
            Value::Unset => attributes.push_null("value"),
        }
        for (time, name, why) in span.events {
            builder.event(UnixNanos(*time), name, |to| to.push_text("why", why));
        }
        let (of, to, state, flags, why) = span.link;
        let of = TraceId::from_bytes([of; 16]).unwrap();
        builder.link(of, id(to), state, flags, |to| to.push_text("why", why));
        builder.append(&SpanFields {
            trace_id: TraceId::from_bytes([1; 16]).unwrap(),
            span_id: id(span.id),
            parent_span_id: (span.parent != 0).then(|| id(span.parent)),
            origin,
            span_name: span.name.into(),
            kind: span.kind,
            status_code: span.status.0,
            status_message: span.status.1,
            start: UnixNanos(span.start),
            duration_nanos: span.duration,
            trace_state: span.trace_state,
            flags: span.flags,
        });
    }
    Arc::new(builder.finish().unwrap())
}

/// One trace of all spans of these requests.
fn derived(requests: Vec<Arc<SpanBatch>>) -> Derived {
    let spans = requests.iter().enumerate().flat_map(|(batch, request)| {
        (0..request.span_count()).map(move |row| SpanRef { batch: batch as u32, row: row as u32 })
    });
    let trace = TraceSpans {
        trace_id: TraceId::from_bytes([1; 16]).unwrap(),
        spans: spans.collect(),
        verdict: Verdict::pending(),
        late: None,
    };
    derive(requests, vec![trace]).unwrap()
}

fn digest(derived: &Derived, column: &str) -> i64 {
    use arrow::array::AsArray;
    let column = derived.traces.as_ref().unwrap().column_by_name(column).unwrap();
    column.as_primitive::<arrow::datatypes::Int64Type>().value(0)
}

fn kept(derived: &Derived) -> Vec<(u32, u32)> {
    derived.spans.rows.iter().map(|row| (row.span.batch, row.span.row)).collect()
}

#[test]
fn otlp_508_what_came_in_two_batches_is_one_span_and_counts_once_in_the_digest() {
    let child = Said { parent: 1, start: 1_010, duration: 40, ..said(2) };
    let first = request("x", &[said(1), child.clone()]);
    let again = request("a longer text", &[child, said(3), said(1)]);
    let derived = derived(vec![first, again]);
    assert_eq!(derived.same_ids, SameIds { repeated: 2, conflicting: 0 });
    assert_eq!(kept(&derived), [(0, 0), (0, 1), (1, 1)]);
    assert_eq!((digest(&derived, "span_count"), digest(&derived, "error_count")), (3, 3));
    // The child is there once, and once among its parent's children.
    assert_eq!(
        derived.spans.rows.iter().map(|row| (row.depth, row.self_ns)).collect::<Vec<_>>(),
        [(0, 50), (1, 40), (0, 90)]
    );
}

#[test]
fn otlp_508_children_of_a_large_trace_keep_their_parents() {
    let chain: Vec<Said> = (1..=30).map(|at| Said { parent: at - 1, ..said(at) }).collect();
    let twice: Vec<Said> = chain.iter().flat_map(|span| [span.clone(), span.clone()]).collect();
    let derived = derived(vec![request("x", &twice)]);
    let depths: Vec<i32> = derived.spans.rows.iter().map(|row| row.depth).collect();
    assert_eq!(depths, (0..30).collect::<Vec<i32>>());
    assert!(derived.spans.traces[0].complete);
}

#[test]
fn otlp_508_the_order_of_attributes_means_nothing() {
    let swapped: &[(&str, &str)] = &[("user", "ann"), ("route", "/")];
    let resource: &[(&str, &str)] = &[("region", "eu"), ("host.name", "one")];
    let again = Said { attributes: swapped, resource, ..said(1) };
    let derived = derived(vec![request("x", &[said(1)]), request("y", &[again])]);
    assert_eq!(derived.same_ids, SameIds { repeated: 1, conflicting: 0 });
}

#[test]
fn otlp_509_whatever_differs_both_are_kept_and_counted() {
    type Change = fn(&mut Said);
    let changes: &[Change] = &[
        |_| {},
        |span| span.parent = 8,
        |span| span.name = "GET /x",
        |span| span.kind = "client",
        |span| span.status.0 = "ok",
        |span| span.status.1 = Some("no stock left"),
        |span| span.status.1 = Some(""),
        |span| span.status.1 = None,
        |span| span.start += 1,
        |span| span.duration += 1,
        |span| span.trace_state = Some("a=c"),
        |span| span.trace_state = None,
        |span| span.flags = 0,
        |span| span.service = "cart",
        |span| span.scope.0 = Some("grpc"),
        |span| span.scope.0 = None,
        |span| span.scope.1 = Some(""),
        |span| span.scope.1 = None,
        |span| (span.service, span.scope.0) = ("shopht", Some("tp")),
        |span| span.resource = &[("host.name", "two"), ("region", "eu")],
        |span| span.resource = &[("host.name", "one")],
        |span| span.attributes = &[("route", "/"), ("user", "bob")],
        |span| span.attributes = &[("route", "/"), ("use", "rann")],
        |span| span.attributes = &[("route", "/"), ("name", "ann")],
        |span| span.attributes = &[("route", "/")],
        |span| span.value = Value::Int(8),
        |span| span.value = Value::Float(f64::from_bits(7)),
        |span| span.value = Value::Text("7"),
        |span| span.value = Value::Json("7"),
        |span| span.value = Value::Json(""),
        |span| span.value = Value::Unset,
        |span| span.value = Value::Bool(true),
        |span| span.value = Value::Bool(false),
        |span| span.events = &[(1_002, "retry", "busy")],
        |span| span.events = &[(1_001, "again", "busy")],
        |span| span.events = &[(1_001, "retry", "slow")],
        |span| span.events = &[(1_001, "retry", "busy"), (1_001, "retry", "busy")],
        |span| span.events = &[],
        |span| span.link.0 = 3,
        |span| span.link.1 = 8,
        |span| span.link.2 = None,
        |span| span.link.3 = 2,
        |span| span.link.4 = "effect",
    ];
    let variants: Vec<Said> = changes
        .iter()
        .map(|change| {
            let mut span = said(1);
            change(&mut span);
            span
        })
        .collect();
    for (at, one) in variants.iter().enumerate() {
        for other in &variants[..at] {
            let derived = derived(vec![request("x", from_ref(one)), request("y", from_ref(other))]);
            assert_eq!(derived.same_ids, SameIds { repeated: 0, conflicting: 1 }, "{one:?} {other:?}");
            assert_eq!((kept(&derived), digest(&derived, "span_count")), (vec![(0, 0), (1, 0)], 2));
        }
    }
    // The whole trace again.
    let derived = derived(vec![request("x", &variants), request("y", &variants)]);
    let count = variants.len() as u64;
    assert_eq!(derived.same_ids, SameIds { repeated: count, conflicting: count - 1 });
    assert!(kept(&derived).iter().all(|(batch, _)| *batch == 0));
}

#[test]
fn otlp_509_of_many_with_one_id_each_content_is_kept_once() {
    let spans: Vec<Said> = (0..30).map(|at| Said { start: 1_000 + at % 10, ..said(1 + at as u64 % 2) }).collect();
    let derived = derived(vec![request("x", &spans)]);
    assert_eq!(derived.spans.len(), 10);
    assert_eq!(derived.same_ids, SameIds { repeated: 20, conflicting: 8 });
}

#[test]
fn otlp_509_100_000_contents_of_one_id_end() {
    let spans: Vec<Said> = (0..100_000).map(|at| Said { start: at, ..said(1) }).collect();
    let derived = derived(vec![request("x", &spans)]);
    assert_eq!(derived.same_ids, SameIds { repeated: 0, conflicting: 99_999 });
}
