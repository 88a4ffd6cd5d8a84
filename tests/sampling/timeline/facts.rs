//! What is known of a trace when it is decided.

use sampling::shape::{Edge, KnownEdges, ShapeBuilder};
use sampling::sketch::{Quantile, Recent, SlowSpans};
use sampling::{Facts, Policy, Threshold};

use super::nanos;
use crate::metrics::Metrics;
use crate::random::mix;
use crate::world::{Node, Present, START_NANOS, Span, Trace, World};

const BUCKETS: u32 = 640;

pub struct Assembly<'a> {
    world: &'a World,
    shapes: ShapeBuilder,
    known: KnownEdges,
    slow_spans: SlowSpans,
    /// Of roots, by operation: whether one that is late is slow. The sampler has the same and does not tell.
    durations: Vec<Recent>,
    slow_root: Quantile,
    pub metrics: Metrics,
}

impl<'a> Assembly<'a> {
    pub fn new(world: &'a World, policy: &Policy) -> Self {
        Self {
            world,
            shapes: ShapeBuilder::default(),
            known: KnownEdges::new(policy.limits.max_edges as usize),
            slow_spans: SlowSpans::new(policy),
            durations: world.plan.operations.iter().map(|_| Recent::new(BUCKETS, START_NANOS)).collect(),
            slow_root: Quantile {
                q: policy.slow.root_quantile,
                min_values: policy.slow.min_values,
                half_nanos: (policy.slow.window_seconds * 5e8) as u64,
            },
            metrics: Metrics::default(),
        }
    }

    pub fn facts(&mut self, trace: &Trace, now: u32) -> Facts {
        let (world, now_nanos) = (self.world, nanos(now));
        let nodes = world.nodes(trace);
        let mut facts = Facts { randomness: trace.randomness, shed: Threshold::ALWAYS, ..Facts::default() };
        let arrived = world.spans(trace).iter().filter(|span| span.arrival_millis <= now);
        let present = Present::of(arrived.clone());
        let (mut first, mut last) = (f64::INFINITY, 0.0_f64);
        for span in arrived.clone() {
            let Some(node) = nodes.get(usize::from(span.node)) else { continue };
            facts.cost += world.cost_of_span(span);
            facts.inner_error |= span.error;
            let begin = f64::from(node.start) * f64::from(trace.duration_micros);
            (first, last) = (first.min(begin), last.max(begin + f64::from(span.duration_micros)));
            let is_root = span.node == 0;
            facts.root_failed |= is_root && span.error;
            facts.entry_failed |= node.entry && span.error;
            self.shapes.edge(edge(world, nodes, node, span, present));
            facts.slow_span |= self.observe(node, span, span.arrival_millis, now_nanos);
        }
        facts.lasted_nanos = (1e3 * (last - first).max(0.0)) as u64;
        let root = if present.has(0) { nodes.first() } else { self.topmost(trace, nodes, present) };
        if let Some((node, name)) = root.and_then(|node| Some((node, world.plan.names.get(usize::from(node.name))?))) {
            facts.operation = mix(name.key ^ u64::from(node.kind));
            facts.service = mix(u64::from(name.service) + 1);
        }
        if !present.has(0) {
            facts.operation = mix(facts.service);
        }
        let shape = self.shapes.finish_known(facts.operation, &mut self.known);
        (facts.shape, facts.coarse_shape) = (shape.fine, shape.coarse);
        if present.has(0) {
            let duration = u64::from(trace.duration_micros) * 1_000;
            facts.root_duration_nanos = Some(duration);
            if let Some(durations) = self.durations.get_mut(usize::from(trace.operation)) {
                durations.record(now_nanos, self.slow_root.half_nanos, duration);
            }
        }
        facts
    }

    /// A span after the decision; whether it is a reason to rescue its trace.
    pub fn late(&mut self, trace: &Trace, span: &Span) -> bool {
        let Some(node) = self.world.nodes(trace).get(usize::from(span.node)) else { return false };
        let now_nanos = nanos(span.arrival_millis);
        self.observe(node, span, span.arrival_millis, now_nanos);
        let mut slow = false;
        if span.node == 0
            && let Some(durations) = self.durations.get_mut(usize::from(trace.operation))
        {
            let duration = u64::from(trace.duration_micros) * 1_000;
            slow = durations.quantile(now_nanos, self.slow_root).is_some_and(|threshold| duration > threshold);
            durations.record(now_nanos, self.slow_root.half_nanos, duration);
        }
        slow || (node.entry && span.error)
    }

    fn observe(&mut self, node: &Node, span: &Span, arrival_millis: u32, now_nanos: u64) -> bool {
        let duration_nanos = u64::from(span.duration_micros) * 1_000;
        self.metrics.count(node.name, arrival_millis, span.error, duration_nanos);
        let key = self.world.plan.names.get(usize::from(node.name)).map_or(0, |name| name.key);
        self.slow_spans.observe(now_nanos, key, duration_nanos)
    }

    /// Of those without a parent here, the one that began first by its own clock.
    fn topmost<'n>(&self, trace: &Trace, nodes: &'n [Node], present: Present) -> Option<&'n Node> {
        let began = |node: &Node| {
            let service = self.world.plan.names.get(usize::from(node.name)).map_or(0, |name| name.service);
            let off = self.world.plan.clock_off_millis.get(usize::from(service)).copied().unwrap_or_default();
            f64::from(node.start) * f64::from(trace.duration_micros) / 1_000.0 + off
        };
        let here = (0..).zip(nodes).filter(|(at, _)| present.has(*at)).map(|(_, node)| node);
        let top = here.filter(|node| !present.has(node.parent));
        top.min_by(|a, b| (a.parent, began(a)).partial_cmp(&(b.parent, began(b))).unwrap_or(std::cmp::Ordering::Equal))
    }
}

/// A span and its parent, if that is here.
pub fn edge(world: &World, nodes: &[Node], node: &Node, span: &Span, present: Present) -> Edge {
    let named = |node: &Node| {
        world.plan.names.get(usize::from(node.name)).map_or((0, 0), |name| (mix(u64::from(name.service) + 1), name.key))
    };
    let (service, name) = named(node);
    let parent = nodes.get(usize::from(node.parent)).filter(|_| span.node != 0 && present.has(node.parent));
    let (parent_service, parent_name) = parent.map_or((0, 0), named);
    let parent_missing = span.node != 0 && parent.is_none();
    Edge { parent_service, parent_name, service, name, kind: node.kind, error: span.error, parent_missing }
}
