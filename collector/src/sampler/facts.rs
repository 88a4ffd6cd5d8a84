//! What is known of a pending trace, as the sampler's core wants it, and where it began. Pure but for the durations it
//! remembers and the ledger of head sampling.

use std::sync::Arc;

use hashbrown::HashMap;
use sampling::shape::{Edge, KnownEdges, ShapeBuilder};
use sampling::sketch::SlowSpans;
use sampling::{Facts, Head, Priority, tracestate};
use storage::model::{SpanBatch, SpanId, Template, TextId, TraceId, UnixNanos};
use storage::rows::SpanRef;
use xxhash_rust::xxh3::xxh3_64;

use super::source::{Heads, Source, instance, sampled};
use super::wish::{self, Wish};

const STATUS_ERROR: &[u8] = b"error";
const HTTP_STATUS: [&[u8]; 2] = [b"http.response.status_code", b"http.status_code"];

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
    wish: Wish,
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
#[derive(Debug)]
pub struct Surveyor {
    /// By batch and template.
    named: Vec<Vec<Option<Named>>>,
    /// By batch and resource.
    instances: Vec<Vec<Option<u64>>>,
    nodes: Vec<Node>,
    by_id: HashMap<SpanId, usize>,
    shape: ShapeBuilder,
    known_edges: KnownEdges,
    force_keep: Vec<String>,
}

impl Surveyor {
    pub fn new(max_edges: u32) -> Self {
        Self {
            named: Vec::new(),
            instances: Vec::new(),
            nodes: Vec::new(),
            by_id: HashMap::new(),
            shape: ShapeBuilder::default(),
            known_edges: KnownEdges::new(max_edges as usize),
            force_keep: Vec::new(),
        }
    }

    /// Begins with other batches. The attributes in `force_keep` are clients' wishes to keep a trace.
    pub fn begin(&mut self, batches: &[Arc<SpanBatch>], force_keep: &[String]) {
        self.force_keep.clear();
        self.force_keep.extend_from_slice(force_keep);
        self.named.clear();
        self.named.extend(batches.iter().map(|batch| vec![None; batch.templates().len()]));
        self.instances.clear();
        self.instances.extend(batches.iter().map(|batch| vec![None; batch.resource_count()]));
    }

    /// The facts of a trace that has spans. `cost_per_byte` is what a byte of memory costs, where that is what is budgeted;
    /// else a span costs 1.
    pub fn survey<'a>(
        &mut self,
        batches: &'a [Arc<SpanBatch>],
        trace_id: &TraceId,
        spans: &[SpanRef],
        cost_per_byte: Option<f64>,
        (slow, now_nanos): (&mut SlowSpans, u64),
        heads: &dyn Heads,
    ) -> (Facts, Source<'a>) {
        self.read(batches, spans);
        let Self { nodes, by_id, shape, known_edges, instances, force_keep, .. } = self;
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
        let (mut first, mut last) = (i64::MAX, i64::MIN);
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
            first = first.min(node.start.0);
            last = last.max(node.start.0.saturating_add_unsigned(node.duration_nanos));
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
            match wish::of(&batches[node.span.batch as usize], node.span.row as usize, named.wish, force_keep) {
                Priority::Keep => facts.priority = Priority::Keep,
                Priority::Drop if facts.priority == Priority::Unset => facts.priority = Priority::Drop,
                _ => {}
            }
            shape.edge(Edge {
                parent_service: parent.map_or(0, |parent| parent.named.service),
                parent_name: parent.map_or(0, |parent| parent.named.name),
                service: named.service,
                name: named.name,
                kind: named.kind,
                error: named.has_error,
                parent_missing: parent.is_none() && !is_root,
            });
        }
        facts.lasted_nanos = u64::try_from(last.saturating_sub(first)).unwrap_or(0);
        let head = root.or(top).or(nodes.first());
        if let Some(head) = head {
            facts.operation = if root.is_some() { head.named.operation } else { head.named.service };
            facts.service = head.named.service;
            facts.root_duration_nanos = root.map(|root| root.duration_nanos);
            facts.root_failed = root.is_some_and(|root| root.named.has_error);
        }
        let shape = shape.finish_known(facts.operation, known_edges);
        (facts.shape, facts.coarse_shape) = (shape.fine, shape.coarse);
        let mut source = Source {
            service: "",
            operation: "",
            has_root: root.is_some(),
            instance: 0,
            own_spans: 0,
            likely_head: 1.0,
        };
        let (mut state, mut told) = ("", Some(1.0));
        if let Some(head) = head {
            let batch = &batches[head.span.batch as usize];
            let template = batch.template(head.span.row as usize);
            let text = |id| batch.texts().text(id);
            state = text(template.trace_state);
            (source.service, source.operation) = (text(batch.service_name(template)), text(template.span_name));
            let resource = batch.resource_of(template);
            let known = instances.get_mut(head.span.batch as usize).and_then(|known| known.get_mut(resource.index()));
            source.instance = known.map_or(0, |known| *known.get_or_insert_with(|| instance(batch, resource)));
            let own = nodes.iter().filter(|node| node.named.service == head.named.service).count();
            source.own_spans = u32::try_from(own).unwrap_or(u32::MAX);
            (told, source.likely_head) = sampled(heads, &source, head.start);
        }
        let origin = tracestate::Origin::of(trace_id.as_bytes(), state, told);
        (facts.randomness, facts.head) = (origin.randomness, origin.head);
        if let Head::Threshold(threshold) = origin.head {
            source.likely_head = threshold.probability();
        }
        facts.cost = cost_per_byte.map_or(nodes.len() as f64, |cost| cost * bytes(batches, spans));
        (facts, source)
    }

    fn read(&mut self, batches: &[Arc<SpanBatch>], spans: &[SpanRef]) {
        let Self { named, nodes, force_keep, .. } = self;
        nodes.clear();
        nodes.extend(spans.iter().map(|span| {
            let batch = &batches[span.batch as usize];
            let head = &batch.heads()[span.row as usize];
            let known = &mut named[span.batch as usize][head.template as usize];
            Node {
                named: *known
                    .get_or_insert_with(|| name(batch, &batch.templates()[head.template as usize], force_keep)),
                span_id: head.span_id,
                parent_span_id: head.parent_span_id(),
                start: head.start,
                duration_nanos: head.duration_nanos.unsigned_abs(),
                span: *span,
            }
        }));
    }
}

/// The operation of a trace with a root.
pub fn operation(batches: &[Arc<SpanBatch>], spans: &[SpanRef]) -> Option<u64> {
    spans.iter().find_map(|span| {
        let batch = batches.get(span.batch as usize)?;
        let head = batch.heads().get(span.row as usize).filter(|head| head.parent_span_id().is_none())?;
        batch.templates().get(head.template as usize).map(|template| name(batch, template, &[]).operation)
    })
}

fn name(batch: &SpanBatch, template: &Template, force_keep: &[String]) -> Named {
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
        wish: Wish::place(texts, keys, force_keep),
    }
}

fn integer(batches: &[Arc<SpanBatch>], node: &Node, at: Option<usize>) -> Option<i64> {
    wish::number(&batches[node.span.batch as usize], node.span.row as usize, at).map(|number| number as i64)
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use sampling::{Policy, Threshold};
    use storage::model::{SpanBatchBuilder, SpanFields};

    use super::*;
    use crate::remote::{Ledger, Strategy};

    #[derive(Clone, Copy)]
    struct Given<'a> {
        id: u64,
        parent: u64,
        service: &'a str,
        name: &'a str,
        kind: &'a str,
        status: &'a str,
        start: i64,
        attribute: Option<(&'a str, i64)>,
        state: Option<&'a str>,
    }

    const ROOT: Given<'_> = Given {
        id: 1,
        parent: 0,
        service: "web",
        name: "GET /",
        kind: "server",
        status: "unset",
        start: 10,
        attribute: None,
        state: None,
    };
    const CALL: Given<'_> = Given { id: 2, parent: 1, name: "call", kind: "client", start: 20, ..ROOT };
    const SERVED: Given<'_> = Given { id: 3, parent: 2, service: "cart", name: "add", start: 30, ..ROOT };

    fn facts_and_cost(given: &[Given<'_>], cost_per_byte: Option<f64>) -> Facts {
        survey(&mut Surveyor::new(1_000), given, cost_per_byte)
    }

    fn survey(surveyor: &mut Surveyor, given: &[Given<'_>], cost_per_byte: Option<f64>) -> Facts {
        let trace_id = TraceId::from_bytes([7; 16]).unwrap();
        let mut builder = SpanBatchBuilder::default();
        let resource = builder.resource(|_| {});
        for span in given {
            let origin = builder.origin(resource, span.service, None, None);
            if let Some((key, value)) = span.attribute {
                builder.attributes().push_int(key, value);
            }
            builder.append(&SpanFields {
                trace_id,
                span_id: SpanId::from_bytes(span.id.to_be_bytes()).unwrap(),
                parent_span_id: SpanId::from_bytes(span.parent.to_be_bytes()).ok(),
                origin,
                span_name: span.name.into(),
                kind: span.kind,
                status_code: span.status,
                status_message: None,
                start: UnixNanos(span.start),
                duration_nanos: span.start * 3,
                trace_state: span.state,
                flags: 0,
            });
        }
        let batches = [Arc::new(builder.finish().unwrap())];
        let spans: Vec<SpanRef> = (0..given.len() as u32).map(|row| SpanRef { batch: 0, row }).collect();
        surveyor.begin(&batches, &["http.request.header.x-force-trace".to_owned()]);
        let mut slow = SlowSpans::new(&Policy::default());
        let (facts, source) = surveyor.survey(&batches, &trace_id, &spans, cost_per_byte, (&mut slow, 0), &told());
        assert_eq!(source.own_spans as usize, given.iter().filter(|span| span.service == source.service).count());
        facts
    }

    /// A thousand seconds ago `web` was told to keep half of `thinned`, and a fortieth of `odd` a moment ago.
    fn told() -> Mutex<Ledger> {
        let mut ledger = Ledger::default();
        let half = ("thinned".into(), 0.5);
        ledger.serve("web", Strategy::new(1.0, [half.clone()]), UnixNanos(-1_000_000_000_000));
        ledger.serve("web", Strategy::new(1.0, [half, ("odd".into(), 0.025)]), UnixNanos(0));
        ledger.into()
    }

    fn shape_by(surveyor: &mut Surveyor, given: &[Given<'_>]) -> u64 {
        survey(surveyor, given, None).shape
    }

    fn facts(given: &[Given<'_>]) -> Facts {
        facts_and_cost(given, None)
    }

    #[test]
    fn the_root_names_the_operation_whatever_comes_first() {
        let facts_of = facts(&[SERVED, CALL, ROOT]);
        assert_eq!(facts_of.operation, facts(&[ROOT]).operation);
        assert_ne!(facts_of.operation, facts(&[Given { kind: "consumer", ..ROOT }]).operation);
        assert_eq!((facts_of.root_duration_nanos, facts_of.cost), (Some(30), 3.0));
        // Without a root it is that of the service of the earliest span whose parent is elsewhere. There is no duration to judge,
        // but how long it has lasted so far.
        let rootless = facts(&[SERVED, Given { parent: 99, ..CALL }]);
        assert_eq!(rootless.operation, facts(&[Given { parent: 99, name: "other", ..ROOT }]).operation);
        assert_ne!(rootless.operation, facts(&[Given { parent: 99, service: "cart", ..ROOT }]).operation);
        assert_eq!((rootless.root_duration_nanos, rootless.lasted_nanos), (None, 30 + 90 - 20));
        let earlier = Given { parent: 99, start: 5, ..SERVED };
        assert_eq!(facts(&[earlier, ROOT]).operation, facts_of.operation);
        // Two that are each other's parent, too.
        assert_eq!(facts(&[Given { parent: 3, ..CALL }, SERVED]).cost, 2.0);
    }

    #[test]
    fn errors_count_by_where_they_are() {
        let seen = |given: &[Given<'_>]| {
            let facts = facts(given);
            (facts.root_failed, facts.entry_failed, facts.inner_error)
        };
        let error = |span| Given { status: "error", ..span };
        assert_eq!(seen(&[ROOT, CALL, SERVED]), (false, false, false));
        assert_eq!(seen(&[error(ROOT), CALL, SERVED]), (true, true, true));
        assert_eq!(seen(&[ROOT, CALL, error(SERVED)]), (false, true, true));
        assert_eq!(seen(&[ROOT, error(CALL), SERVED]), (false, false, true));
        let status = |key, code| Given { attribute: Some((key, code)), ..SERVED };
        assert_eq!(seen(&[ROOT, CALL, status("http.response.status_code", 503)]), (false, true, false));
        assert_eq!(seen(&[ROOT, CALL, status("http.status_code", 404)]), (false, false, false));
        let called = Given { attribute: Some(("http.status_code", 500)), ..CALL };
        assert_eq!(seen(&[ROOT, called, SERVED]), (false, false, false));
    }

    #[test]
    fn a_wish_to_keep_outweighs_one_to_drop() {
        let wish = |span, value| Given { attribute: Some(("sampling.priority", value)), ..span };
        assert_eq!(facts(&[ROOT, CALL]).priority, Priority::Unset);
        assert_eq!(facts(&[wish(ROOT, 0), CALL]).priority, Priority::Drop);
        assert_eq!(facts(&[wish(ROOT, 0), wish(CALL, 1)]).priority, Priority::Keep);
        assert_eq!(facts(&[wish(ROOT, 2), wish(CALL, 0)]).priority, Priority::Keep);
        let forced = Given { attribute: Some(("http.request.header.x-force-trace", 1)), ..CALL };
        assert_eq!(facts(&[ROOT, forced]).priority, Priority::Keep);
    }

    #[test]
    fn shapes_tell_ways_apart_and_not_how_often_they_were_gone() {
        let shape = |given: &[Given<'_>]| (facts(given).shape, facts(given).coarse_shape);
        let whole = shape(&[ROOT, CALL, SERVED]);
        assert_eq!(shape(&[SERVED, CALL, ROOT, Given { id: 4, ..CALL }]), whole);
        let renamed = shape(&[ROOT, CALL, Given { name: "remove", ..SERVED }]);
        assert_ne!(renamed.0, whole.0);
        assert_eq!(renamed.1, whole.1);
        let many: Vec<Given<'_>> =
            (0..40).map(|id| Given { id: 100 + id, ..CALL }).chain([ROOT, CALL, SERVED]).collect();
        assert_eq!(shape(&many), whole);
    }

    #[test]
    fn which_spans_are_missing_makes_no_shape() {
        let mut surveyor = Surveyor::new(1_000);
        let other = Given { id: 4, name: "remove", ..SERVED };
        let whole = shape_by(&mut surveyor, &[ROOT, CALL, SERVED, other]);
        let one = shape_by(&mut surveyor, &[ROOT, SERVED]);
        assert!(one == shape_by(&mut surveyor, &[ROOT, other]) && one != whole);
        let unknown = Given { id: 5, name: "never had", parent: 1, ..CALL };
        assert_ne!(shape_by(&mut surveyor, &[ROOT, SERVED, unknown]), one);
    }

    #[test]
    fn the_roots_trace_state_says_what_the_client_sampled() {
        let head = |state| facts(&[Given { state, ..ROOT }, Given { state: Some("ot=th:8"), ..CALL }]).head;
        assert_eq!(head(None), Head::Ratio(1.0));
        assert_eq!(head(Some("vendor=1,ot=th:0")), Head::Threshold(Threshold::from_probability(1.0)));
        assert_eq!(head(Some("ot=th:nonsense")), Head::Unknown);
    }

    #[test]
    fn without_a_threshold_the_ledger_says_what_the_client_sampled() {
        let head = |given| facts(&[given]).head;
        let thinned = Given { name: "thinned", ..ROOT };
        assert_eq!(head(thinned), Head::Ratio(0.5));
        assert_eq!(head(Given { service: "other", ..thinned }), Head::Ratio(1.0));
        assert_eq!(head(Given { name: "odd", ..ROOT }), Head::Unknown, "not all instances have polled");
        assert_eq!(head(Given { state: Some("ot=th:0"), ..thinned }), Head::Threshold(Threshold::ALWAYS));
        // Which root is missing, and whether it was told anything, nobody knows.
        assert_eq!(head(Given { parent: 9, ..thinned }), Head::Unknown);
        assert_eq!(head(Given { parent: 9, service: "other", ..thinned }), Head::Ratio(1.0));
    }

    #[test]
    fn bytes_cost_what_their_batch_takes() {
        let of_bytes = facts_and_cost(&[ROOT, CALL], Some(0.5)).cost;
        assert!((of_bytes * 2.0 - facts_and_cost(&[ROOT, CALL], Some(1.0)).cost).abs() < 1e-6);
        assert!(of_bytes > 50.0, "{of_bytes}");
    }
}
