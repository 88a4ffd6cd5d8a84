//! What is known of a pending trace, as the sampler's core wants it. Pure but for the durations it remembers.

use std::sync::Arc;

use hashbrown::HashMap;
use sampling::shape::{Edge, ShapeBuilder};
use sampling::sketch::SlowSpans;
use sampling::{Facts, Priority, tracestate};
use storage::model::{SpanBatch, SpanId, Template, TextId, TraceId, UnixNanos, ValueType};
use storage::rows::SpanRef;
use xxhash_rust::xxh3::xxh3_64;

const STATUS_ERROR: &[u8] = b"error";
const HTTP_STATUS: [&[u8]; 2] = [b"http.response.status_code", b"http.status_code"];
const PRIORITY: &[u8] = b"sampling.priority";

/// What spans of a template have in common.
#[derive(Debug, Clone, Copy)]
struct Named {
    service: u64,
    name: u64,
    /// Of service and name.
    span: u64,
    /// Of service, name and kind.
    operation: u64,
    kind: u8,
    calls: bool,
    receives: bool,
    has_error: bool,
    http_status_at: Option<usize>,
    priority_at: Option<usize>,
}

/// A span of the trace at hand.
#[derive(Debug, Clone, Copy)]
struct Node {
    named: Named,
    span_id: SpanId,
    parent_span_id: Option<SpanId>,
    start: UnixNanos,
    duration_nanos: u64,
    span: SpanRef,
}

/// Up to this many spans are looked through for a parent; among more it is looked up.
const FEW: usize = 12;

/// Surveys the traces whose spans lie in some batches; what it needs on the way is allocated once for many.
#[derive(Debug, Default)]
pub struct Surveyor {
    /// By batch and template.
    named: Vec<Vec<Option<Named>>>,
    nodes: Vec<Node>,
    by_id: HashMap<SpanId, usize>,
    shape: ShapeBuilder,
}

impl Surveyor {
    /// Begins with other batches.
    pub fn begin(&mut self, batches: &[Arc<SpanBatch>]) {
        self.named.clear();
        self.named.extend(batches.iter().map(|batch| vec![None; batch.templates().len()]));
    }

    /// The facts of a trace that has spans. `cost_per_byte` is what a byte of memory costs, where that is what is budgeted;
    /// else a span costs 1.
    pub fn survey(
        &mut self,
        batches: &[Arc<SpanBatch>],
        trace_id: &TraceId,
        spans: &[SpanRef],
        cost_per_byte: Option<f64>,
        (slow, now_nanos): (&mut SlowSpans, u64),
    ) -> Facts {
        self.read(batches, spans);
        let Self { nodes, by_id, shape, .. } = self;
        by_id.clear();
        if nodes.len() > FEW {
            for (at, node) in nodes.iter().enumerate() {
                by_id.entry(node.span_id).or_insert(at);
            }
        }
        let parent_of = |at: usize, id: SpanId| {
            let found = match nodes.len() {
                0..=FEW => nodes.iter().position(|node| node.span_id == id),
                _ => by_id.get(&id).copied(),
            };
            found.filter(|parent| *parent != at).map(|parent| &nodes[parent])
        };

        let mut facts = Facts::default();
        // The earliest root; where there is none, the earliest span whose parent is elsewhere.
        let (mut root, mut top): (Option<&Node>, Option<&Node>) = (None, None);
        for (at, node) in nodes.iter().enumerate() {
            let parent = node.parent_span_id.and_then(|id| parent_of(at, id));
            let is_root = node.parent_span_id.is_none();
            let earlier = |known: Option<&Node>| known.is_none_or(|known| node.start < known.start);
            if is_root && earlier(root) {
                root = Some(node);
            }
            if parent.is_none() && earlier(top) {
                top = Some(node);
            }
            let named = &node.named;
            let is_entry = is_root
                || match parent {
                    None => named.receives,
                    Some(parent) => parent.named.service != named.service || named.receives && parent.named.calls,
                };
            let status = || integer(batches, node, named.http_status_at).is_some_and(|code| (500..600).contains(&code));
            facts.entry_failed |= is_entry && (named.has_error || status());
            facts.inner_error |= named.has_error;
            facts.slow_span |= slow.observe(now_nanos, named.span, node.duration_nanos);
            match number(batches, node, named.priority_at) {
                Some(wish) if wish > 0.0 => facts.priority = Priority::Keep,
                Some(_) if facts.priority == Priority::Unset => facts.priority = Priority::Drop,
                _ => {}
            }
            shape.edge(Edge {
                parent_service: parent.map_or(0, |parent| parent.named.service),
                parent_name: parent.map_or(0, |parent| parent.named.name),
                service: named.service,
                name: named.name,
                kind: named.kind,
                error: named.has_error,
            });
        }
        let shape = shape.finish();
        (facts.shape, facts.coarse_shape) = (shape.fine, shape.coarse);
        let head = root.or(top).or(nodes.first());
        if let Some(head) = head {
            facts.operation = head.named.operation;
            facts.service = head.named.service;
            facts.root_duration_nanos = root.map(|root| root.duration_nanos);
            facts.root_failed = root.is_some_and(|root| root.named.has_error);
        }
        let state = head.map_or("", |head| {
            let batch = &batches[head.span.batch as usize];
            batch.texts().text(batch.template(head.span.row as usize).trace_state)
        });
        let origin = tracestate::Origin::of(trace_id.as_bytes(), state, Some(1.0));
        (facts.randomness, facts.head) = (origin.randomness, origin.head);
        facts.cost = cost_per_byte.map_or(nodes.len() as f64, |cost| cost * bytes(batches, spans));
        facts
    }

    fn read(&mut self, batches: &[Arc<SpanBatch>], spans: &[SpanRef]) {
        let Self { named, nodes, .. } = self;
        nodes.clear();
        nodes.extend(spans.iter().map(|span| {
            let batch = &batches[span.batch as usize];
            let head = &batch.heads()[span.row as usize];
            let known = &mut named[span.batch as usize][head.template as usize];
            Node {
                named: *known.get_or_insert_with(|| name(batch, &batch.templates()[head.template as usize])),
                span_id: head.span_id,
                parent_span_id: head.parent_span_id(),
                start: head.start,
                duration_nanos: head.duration_nanos.unsigned_abs(),
                span: *span,
            }
        }));
    }
}

fn name(batch: &SpanBatch, template: &Template) -> Named {
    let texts = batch.texts();
    let hash = |id: TextId| xxh3_64(texts.bytes(id));
    let both = |a: u64, b: u64| xxh3_64(&[a.to_le_bytes(), b.to_le_bytes()].concat());
    let (service, name) = (hash(batch.service_name(template)), hash(template.span_name));
    let kind = texts.bytes(template.kind);
    let keys = batch.keys(template);
    let place = |wanted: &[u8]| keys.iter().position(|key| texts.bytes(key.key()) == wanted);
    Named {
        service,
        name,
        span: both(service, name),
        operation: both(both(service, name), xxh3_64(kind)),
        kind: kind.first().copied().unwrap_or_default(),
        calls: matches!(kind, b"client" | b"producer"),
        receives: matches!(kind, b"server" | b"consumer"),
        has_error: texts.bytes(template.status_code) == STATUS_ERROR,
        http_status_at: HTTP_STATUS.iter().find_map(|key| place(key)),
        priority_at: place(PRIORITY),
    }
}

/// What a span's attribute says as a number; text is read, too, as Zipkin's tags are text.
fn number(batches: &[Arc<SpanBatch>], node: &Node, at: Option<usize>) -> Option<f64> {
    let batch = &batches[node.span.batch as usize];
    let row = node.span.row as usize;
    let key = batch.keys(batch.template(row)).get(at?)?;
    let value = *batch.values(row).get(at?)?;
    match key.value_type() {
        ValueType::Int => Some(batch.word(value).cast_signed() as f64),
        ValueType::Float => Some(f64::from_bits(batch.word(value))),
        ValueType::Text => batch.texts().text(TextId(value.0)).parse().ok(),
        ValueType::Bool => Some(f64::from(value.0)),
        ValueType::Json => None,
    }
}

fn integer(batches: &[Arc<SpanBatch>], node: &Node, at: Option<usize>) -> Option<i64> {
    number(batches, node, at).map(|number| number as i64)
}

/// A trace's share of the batches that its spans lie in.
fn bytes(batches: &[Arc<SpanBatch>], spans: &[SpanRef]) -> f64 {
    let mean = |batch: &SpanBatch| batch.size_bytes() as f64 / batch.span_count().max(1) as f64;
    let mut known: Option<(u32, f64)> = None;
    let share = |span: &SpanRef| match known {
        Some((batch, bytes)) if batch == span.batch => bytes,
        _ => {
            let bytes = mean(&batches[span.batch as usize]);
            known = Some((span.batch, bytes));
            bytes
        }
    };
    spans.iter().map(share).sum()
}
