//! The shape of one trace: who is whose child, how deep, and where the time went that no child covers.

use std::sync::Arc;

use hashbrown::HashMap;

use super::RootNames;
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
    /// Nanoseconds of the span that no child covers.
    pub self_ns: i64,
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

/// What of a span's kind says who called it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Calls,
    Receives,
    Neither,
}

/// What a shape follows from, read once a span.
#[derive(Debug, Clone, Copy)]
struct Node<'b> {
    span_id: SpanId,
    parent_span_id: Option<SpanId>,
    start: UnixNanos,
    duration_nanos: i64,
    service_name: &'b [u8],
    role: Role,
}

impl<'b> Node<'b> {
    fn of(batches: &'b [Arc<SpanBatch>], span: SpanRef) -> Self {
        let batch = &batches[span.batch as usize];
        let head = &batch.heads()[span.row as usize];
        let template = &batch.templates()[head.template as usize];
        Self {
            span_id: head.span_id,
            parent_span_id: head.parent_span_id(),
            start: head.start,
            duration_nanos: head.duration_nanos,
            service_name: batch.texts().bytes(batch.service_name(template)),
            role: match batch.texts().bytes(template.kind) {
                b"server" | b"consumer" => Role::Receives,
                b"client" | b"producer" => Role::Calls,
                _ => Role::Neither,
            },
        }
    }

    fn end(&self) -> UnixNanos {
        self.start.plus(self.duration_nanos)
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

/// Computes shapes; what it needs on the way is allocated once for many traces.
#[derive(Debug, Default)]
pub(super) struct Tree {
    by_id: HashMap<SpanId, usize>,
    parents: Vec<Option<usize>>,
    children: Children,
    depths: Vec<Option<i32>>,
    stack: Vec<usize>,
    intervals: Vec<(i64, i64)>,
}

impl Tree {
    /// The shape of the trace with these spans, of which those that came twice are left out. Time and memory are linear in
    /// them but for sorting siblings; any parent ids end, cycles included.
    pub(super) fn shape_of(&mut self, batches: &[Arc<SpanBatch>], spans: &mut Vec<SpanRef>) -> TraceShape {
        let nodes_of =
            |spans: &[SpanRef]| -> Vec<Node<'_>> { spans.iter().map(|span| Node::of(batches, *span)).collect() };
        let mut nodes = nodes_of(spans);
        let mut same_ids = SameIds::default();
        if self.find_ids(&nodes) {
            same_ids = twice::leave_out(batches, spans);
            nodes = nodes_of(spans);
            self.find_ids(&nodes);
        }
        let count = nodes.len();
        let (root, missing_parent) = self.find_parents(&nodes);
        self.children.fill(&self.parents);

        let Self { parents, children, depths, stack, intervals, .. } = self;
        depths.clear();
        depths.resize(count, None);
        stack.clear();
        stack.extend((0..count).filter(|&index| nodes[index].parent_span_id.is_none()));
        for &index in &*stack {
            depths[index] = Some(0);
        }
        let mut reached = stack.len();
        while let Some(index) = stack.pop() {
            let depth = depths[index].map(|depth| depth.saturating_add(1));
            for &child in children.of(index) {
                // A parent's number comes to each child once, so each is visited once.
                depths[child] = depth;
                stack.push(child);
                reached += 1;
            }
        }

        let shapes = (0..count).map(|index| SpanShape {
            parent: parents[index],
            is_root: nodes[index].parent_span_id.is_none(),
            is_entry: is_entry(&nodes, index, parents[index]),
            depth: depths[index],
            self_ns: self_time(&nodes, index, children.of(index), intervals),
        });
        TraceShape {
            spans: shapes.collect(),
            root,
            complete: root.is_some() && !missing_parent && reached == count,
            same_ids,
        }
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

/// Children of every span, in one allocation: no vector a span.
#[derive(Debug, Default)]
struct Children {
    starts: Vec<usize>,
    next: Vec<usize>,
    rows: Vec<usize>,
}

impl Children {
    fn fill(&mut self, parents: &[Option<usize>]) {
        let Self { starts, next, rows } = self;
        starts.clear();
        starts.resize(parents.len() + 1, 0);
        for &parent in parents.iter().flatten() {
            starts[parent + 1] += 1;
        }
        for index in 0..parents.len() {
            starts[index + 1] += starts[index];
        }
        next.clone_from(starts);
        rows.clear();
        rows.resize(starts[parents.len()], 0);
        for (index, parent) in parents.iter().enumerate() {
            if let Some(parent) = *parent {
                rows[next[parent]] = index;
                next[parent] += 1;
            }
        }
    }

    fn of(&self, index: usize) -> &[usize] {
        &self.rows[self.starts[index]..self.starts[index + 1]]
    }
}

/// Where a trace enters a service: at the root, under a parent of another service, or in a server or consumer span that
/// its own service called.
fn is_entry(nodes: &[Node<'_>], index: usize, parent: Option<usize>) -> bool {
    let node = &nodes[index];
    let receives = node.role == Role::Receives;
    match parent {
        _ if node.parent_span_id.is_none() => true,
        // The parent is elsewhere or lost; the kind is what is known.
        None => receives,
        Some(parent) => {
            let parent = &nodes[parent];
            parent.service_name != node.service_name || (receives && parent.role == Role::Calls)
        }
    }
}

/// The span's duration less the union of its children, cut to the span.
fn self_time(nodes: &[Node<'_>], index: usize, children: &[usize], intervals: &mut Vec<(i64, i64)>) -> i64 {
    let node = &nodes[index];
    if children.is_empty() {
        return node.duration_nanos;
    }
    let (start, end) = (node.start, node.end());
    intervals.clear();
    intervals.extend(children.iter().filter_map(|&child| {
        let from = nodes[child].start.max(start).since(start);
        let to = nodes[child].end().min(end).since(start);
        (from < to).then_some((from, to))
    }));
    intervals.sort_unstable();
    let mut covered = 0_i64;
    let mut covered_to = 0_i64;
    for &(from, to) in intervals.iter() {
        let from = from.max(covered_to);
        if to > from {
            covered = covered.saturating_add(to - from);
            covered_to = to;
        }
    }
    node.duration_nanos.saturating_sub(covered)
}
