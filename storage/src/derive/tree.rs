//! The shape of one trace: who is whose child, how deep, by which path, and where the time went.

use std::cmp::Reverse;
use std::sync::Arc;

use hashbrown::HashMap;

use super::RootNames;
use super::children::Children;
use super::critical::{Share, Window};
use super::operation::{Operation, Operations, Role};
use super::path::{Above, PathId};
use super::twice::{self, SameIds};
use crate::model::{SpanBatch, SpanId, UnixNanos};
use crate::rows::SpanRef;

/// A span's place in its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanShape {
    /// The parent among the trace's spans, where it is there.
    pub parent: Option<usize>,
    pub is_root: bool,
    pub is_entry: bool,
    /// Steps from a root; `None` where a parent is missing on the way, or in a cycle.
    pub depth: Option<i32>,
    /// `None` in a cycle, and below one.
    pub path: Option<PathId>,
    /// Nanoseconds of the span that no child covers.
    pub self_ns: i64,
    /// How many of them lie on the critical path that ends with the span's root, or with the topmost span above it where a
    /// parent is missing; `None` in a cycle, and below one.
    pub critical_ns: Option<i64>,
}

/// A whole trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceShape {
    /// One for each span, in order.
    pub spans: Vec<SpanShape>,
    /// The earliest root among them.
    pub root: Option<usize>,
    /// Whether there is a root and every parent.
    pub complete: bool,
    pub same_ids: SameIds,
}

/// What a shape follows from, read once a span.
#[derive(Debug, Clone, Copy)]
struct Node<'b> {
    span_id: SpanId,
    parent_span_id: Option<SpanId>,
    start: UnixNanos,
    duration_nanos: i64,
    operation: Operation<'b>,
}

impl<'b> Node<'b> {
    fn of(batches: &'b [Arc<SpanBatch>], operations: &mut Operations<'b>, span: SpanRef) -> Self {
        let head = &batches[span.batch as usize].heads()[span.row as usize];
        Self {
            span_id: head.span_id,
            parent_span_id: head.parent_span_id(),
            start: head.start,
            duration_nanos: head.duration_nanos,
            operation: operations.of(span, head.template),
        }
    }

    fn window(&self) -> Window {
        Window { from: self.start, to: self.start.plus(self.duration_nanos) }
    }
}

/// The names of a root.
pub(super) fn root_names(batches: &[Arc<SpanBatch>], root: SpanRef) -> RootNames {
    let batch = &batches[root.batch as usize];
    let template = batch.template(root.row as usize);
    RootNames {
        service: Arc::from(batch.texts().text(batch.service_name(template))),
        name: Arc::from(batch.texts().text(template.span_name)),
    }
}

/// Up to this many spans are looked through for a parent; among more it is looked up.
const FEW: usize = 12;

/// A span that is reached from above, and what it has from there.
#[derive(Debug, Clone, Copy)]
struct Visit {
    index: usize,
    depth: Option<i32>,
    above: Above,
    window: Window,
}

/// Computes shapes of traces whose spans lie in `batches`; what it needs on the way is allocated once for many traces.
#[derive(Debug)]
pub(super) struct Tree<'b> {
    batches: &'b [Arc<SpanBatch>],
    operations: Operations<'b>,
    by_id: HashMap<SpanId, usize>,
    parents: Vec<Option<usize>>,
    children: Children,
    stack: Vec<Visit>,
}

impl<'b> Tree<'b> {
    pub(super) fn over(batches: &'b [Arc<SpanBatch>]) -> Self {
        Self {
            batches,
            operations: Operations::new(batches),
            by_id: HashMap::new(),
            parents: Vec::new(),
            children: Children::default(),
            stack: Vec::new(),
        }
    }

    /// The shape of the trace with these spans, of which those that came twice are left out. Time and memory are linear in
    /// them but for sorting siblings; any parent ids end, cycles included.
    pub(super) fn shape_of(&mut self, spans: &mut Vec<SpanRef>) -> TraceShape {
        let mut nodes = self.nodes(spans);
        let mut same_ids = SameIds::default();
        if self.find_ids(&nodes) {
            same_ids = twice::leave_out(self.batches, spans);
            nodes = self.nodes(spans);
            self.find_ids(&nodes);
        }
        let (root, missing_parent) = self.find_parents(&nodes);
        self.children.fill(&self.parents);
        let mut shapes: Vec<SpanShape> = (0..nodes.len()).map(|index| self.alone(&nodes, index)).collect();
        let reached = self.walk(&nodes, &mut shapes);
        let complete = root.is_some() && !missing_parent && reached == nodes.len();
        TraceShape { spans: shapes, root, complete, same_ids }
    }

    fn nodes(&mut self, spans: &[SpanRef]) -> Vec<Node<'b>> {
        spans.iter().map(|span| Node::of(self.batches, &mut self.operations, *span)).collect()
    }

    /// What a span is by itself, its parent and its children, which are put in the order of their ends, the last one first.
    fn alone(&mut self, nodes: &[Node<'_>], index: usize) -> SpanShape {
        let (node, parent) = (&nodes[index], self.parents[index]);
        let children = self.children.of_mut(index);
        let mut self_ns = node.duration_nanos;
        if !children.is_empty() {
            if children.len() > 1 {
                // Equal ends: the longest one, and then whatever does not depend on the order of arrival.
                children.sort_unstable_by_key(|&child| {
                    let child = &nodes[child];
                    (Reverse(child.window().to), child.start, child.span_id)
                });
            }
            let mut share = Share::new(node.window());
            for &child in &*children {
                share.take(nodes[child].window());
            }
            self_ns = share.own_nanos();
        }
        SpanShape {
            parent,
            is_root: node.parent_span_id.is_none(),
            is_entry: is_entry(node, parent.map(|parent| &nodes[parent])),
            depth: None,
            path: None,
            self_ns,
            critical_ns: None,
        }
    }

    /// Fills in what follows from above, from all roots and all spans without their parent on; returns how many spans that
    /// reaches. The others are in cycles, or below them.
    fn walk(&mut self, nodes: &[Node<'_>], shapes: &mut [SpanShape]) -> usize {
        let Self { parents, children, stack, .. } = self;
        let tops = nodes.iter().enumerate().filter(|(index, _)| parents[*index].is_none());
        stack.clear();
        stack.extend(tops.map(|(index, node)| {
            let is_root = node.parent_span_id.is_none();
            let above = if is_root { Above::Nothing } else { Above::Unknown };
            Visit { index, depth: is_root.then_some(0), above, window: node.window() }
        }));
        let mut reached = 0;
        while let Some(Visit { index, depth, above, window }) = stack.pop() {
            reached += 1;
            let path = PathId::of(above, nodes[index].operation.step);
            let depth_below = depth.map(|depth| depth.saturating_add(1));
            let mut share = Share::new(window);
            // A parent's number comes to each child once, so each is visited once.
            stack.extend(children.of(index).iter().map(|&child| Visit {
                index: child,
                depth: depth_below,
                above: Above::Parent(path),
                window: share.take(nodes[child].window()),
            }));
            let shape = &mut shapes[index];
            shape.depth = depth;
            shape.path = Some(path);
            shape.critical_ns = Some(share.own_nanos());
        }
        reached
    }

    /// Fills `by_id` where spans are many; returns whether two have the same id.
    fn find_ids(&mut self, nodes: &[Node<'_>]) -> bool {
        self.by_id.clear();
        if nodes.len() <= FEW {
            let has_earlier = |(index, node): (usize, &Node<'_>)| {
                nodes.iter().take(index).any(|earlier| earlier.span_id == node.span_id)
            };
            return nodes.iter().enumerate().any(has_earlier);
        }
        for (index, node) in nodes.iter().enumerate() {
            // Of spans with the same id the first one is the parent that children meant.
            self.by_id.entry(node.span_id).or_insert(index);
        }
        self.by_id.len() < nodes.len()
    }

    /// Fills `parents`; returns the earliest root, and whether a parent is missing.
    fn find_parents(&mut self, nodes: &[Node<'_>]) -> (Option<usize>, bool) {
        let Self { by_id, parents, .. } = self;
        let find = |id: SpanId| match nodes.len() {
            0..=FEW => nodes.iter().position(|node| node.span_id == id),
            _ => by_id.get(&id).copied(),
        };
        parents.clear();
        let mut missing_parent = false;
        let mut root: Option<usize> = None;
        for (index, node) in nodes.iter().enumerate() {
            let mut parent = None;
            match node.parent_span_id {
                None => {
                    if root.is_none_or(|earliest| node.start < nodes[earliest].start) {
                        root = Some(index);
                    }
                }
                Some(id) => {
                    parent = find(id).filter(|&parent| parent != index);
                    missing_parent |= parent.is_none();
                }
            }
            parents.push(parent);
        }
        (root, missing_parent)
    }
}

/// Where a trace enters a service: at the root, under a parent of another service, or in a server or consumer span that
/// its own service called.
fn is_entry(node: &Node<'_>, parent: Option<&Node<'_>>) -> bool {
    let receives = node.operation.role == Role::Receives;
    match parent {
        _ if node.parent_span_id.is_none() => true,
        // The parent is elsewhere or lost; the kind is what is known.
        None => receives,
        Some(parent) => {
            parent.operation.service_name != node.operation.service_name
                || (receives && parent.operation.role == Role::Calls)
        }
    }
}
