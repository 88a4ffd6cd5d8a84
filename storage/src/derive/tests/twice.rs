//! Spans that came twice, in batches that number their texts differently.

use super::*;
use crate::model::AttributesBuilder;

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
    number: Option<i64>,
    attributes: &'static [(&'static str, &'static str)],
    event: (i64, &'static str, &'static str),
    link: (u64, Option<&'static str>, u32, &'static str),
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
        number: Some(7),
        attributes: &[("route", "/"), ("user", "ann")],
        event: (1_001, "retry", "busy"),
        link: (9, Some("c=d"), 3, "cause"),
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
        match span.number {
            Some(number) => builder.attributes().push_int("number", number),
            None => builder.attributes().push_null("number"),
        }
        builder.event(UnixNanos(span.event.0), span.event.1, |to| to.push_text("why", span.event.2));
        builder.link(TraceId::from_bytes([2; 16]).unwrap(), id(span.link.0), span.link.1, span.link.2, |to| {
            to.push_text("why", span.link.3);
        });
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
    let changes: [(&str, Change); 25] = [
        ("parent", |span| span.parent = 8),
        ("name", |span| span.name = "GET /x"),
        ("kind", |span| span.kind = "client"),
        ("status", |span| span.status.0 = "ok"),
        ("status message", |span| span.status.1 = Some("no stock left")),
        ("no status message", |span| span.status.1 = None),
        ("empty status message", |span| span.status.1 = Some("")),
        ("start", |span| span.start += 1),
        ("duration", |span| span.duration += 1),
        ("trace state", |span| span.trace_state = Some("a=c")),
        ("flags", |span| span.flags = 0),
        ("service", |span| span.service = "cart"),
        ("scope", |span| span.scope.0 = Some("grpc")),
        ("scope version", |span| span.scope.1 = None),
        ("resource", |span| span.resource = &[("host.name", "two"), ("region", "eu")]),
        ("number", |span| span.number = Some(8)),
        ("no number", |span| span.number = None),
        ("attribute", |span| span.attributes = &[("route", "/"), ("user", "bob")]),
        ("key", |span| span.attributes = &[("route", "/"), ("name", "ann")]),
        ("one attribute less", |span| span.attributes = &[("route", "/")]),
        ("event time", |span| span.event.0 += 1),
        ("event name", |span| span.event.1 = "again"),
        ("event attribute", |span| span.event.2 = "slow"),
        ("link", |span| span.link.0 = 8),
        ("link state, flags, attribute", |span| span.link = (9, None, 2, "effect")),
    ];
    for (what, change) in changes {
        let mut other = said(1);
        change(&mut other);
        let derived = derived(vec![request("x", &[said(1)]), request("y", &[other])]);
        assert_eq!(derived.same_ids, SameIds { repeated: 0, conflicting: 1 }, "{what}");
        assert_eq!(kept(&derived), [(0, 0), (1, 0)], "{what}");
        assert_eq!(digest(&derived, "span_count"), 2, "{what}");
    }
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
