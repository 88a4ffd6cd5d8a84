//! The shape of one trace: who is whose child, how deep, and where the time went that no child covers.

use std::collections::HashMap;
use std::ops::Range;

use crate::model::{SpanColumns, SpanId};

/// A span's place in its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanShape {
    /// Row of the parent, where it is there.
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
    /// One for each row, in order.
    pub spans: Vec<SpanShape>,
    /// Row of the earliest root.
    pub root: Option<usize>,
    /// Whether there is a root and every parent.
    pub complete: bool,
}

/// Computes the shape of the trace in `rows`. Time and memory are linear in them but for sorting siblings; any
/// parent ids end, cycles included.
pub fn shape_of(columns: &SpanColumns<'_>, rows: Range<usize>) -> TraceShape {
    let first = rows.start;
    let count = rows.len();
    let mut by_id: HashMap<SpanId, usize> = HashMap::with_capacity(count);
    for row in rows.clone() {
        if let Some(id) = columns.span_id(row) {
            // Of spans with the same id the first one is the parent that children meant.
            by_id.entry(id).or_insert(row - first);
        }
    }

    let mut parents: Vec<Option<usize>> = vec![None; count];
    let mut is_root = vec![false; count];
    let mut missing_parent = false;
    let mut root: Option<usize> = None;
    for index in 0..count {
        let row = first + index;
        match columns.parent_span_id(row) {
            None => {
                is_root[index] = true;
                if root.is_none_or(|earliest| columns.start(row) < columns.start(first + earliest)) {
                    root = Some(index);
                }
            }
            Some(parent) => match by_id.get(&parent) {
                Some(&parent) if parent != index => parents[index] = Some(parent),
                _ => missing_parent = true,
            },
        }
    }

    let children = Children::new(&parents);
    let mut depths: Vec<Option<i32>> = vec![None; count];
    let mut stack: Vec<usize> = (0..count).filter(|&index| is_root[index]).collect();
    for &index in &stack {
        depths[index] = Some(0);
    }
    let mut reached = stack.len();
    while let Some(index) = stack.pop() {
        let depth = depths[index].map(|depth| depth.saturating_add(1));
        for &child in children.of(index) {
            // A parent's row comes to each child once, so each is visited once.
            depths[child] = depth;
            stack.push(child);
            reached += 1;
        }
    }

    let mut intervals = Vec::new();
    let spans = (0..count)
        .map(|index| SpanShape {
            parent: parents[index].map(|parent| first + parent),
            is_root: is_root[index],
            is_entry: is_entry(columns, first, index, parents[index], is_root[index]),
            depth: depths[index],
            self_ns: self_time(columns, first, index, children.of(index), &mut intervals),
        })
        .collect();
    TraceShape {
        spans,
        root: root.map(|root| first + root),
        complete: root.is_some() && !missing_parent && reached == count,
    }
}

/// Children of every row, in one allocation: no vector a span.
struct Children {
    starts: Vec<usize>,
    rows: Vec<usize>,
}

impl Children {
    fn new(parents: &[Option<usize>]) -> Self {
        let mut starts = vec![0; parents.len() + 1];
        for &parent in parents.iter().flatten() {
            starts[parent + 1] += 1;
        }
        for index in 0..parents.len() {
            starts[index + 1] += starts[index];
        }
        let mut next = starts.clone();
        let mut rows = vec![0; starts[parents.len()]];
        for (index, parent) in parents.iter().enumerate() {
            if let Some(parent) = *parent {
                rows[next[parent]] = index;
                next[parent] += 1;
            }
        }
        Self { starts, rows }
    }

    fn of(&self, index: usize) -> &[usize] {
        &self.rows[self.starts[index]..self.starts[index + 1]]
    }
}

/// Where a trace enters a service: at the root, under a parent of another service, or in a server or consumer span that
/// its own service called.
fn is_entry(columns: &SpanColumns<'_>, first: usize, index: usize, parent: Option<usize>, is_root: bool) -> bool {
    let row = first + index;
    let receives = matches!(columns.kind.value(row), "server" | "consumer");
    match parent {
        _ if is_root => true,
        // The parent is elsewhere or lost; the kind is what is known.
        None => receives,
        Some(parent) => {
            let parent = first + parent;
            columns.service_name.value(parent) != columns.service_name.value(row)
                || (receives && matches!(columns.kind.value(parent), "client" | "producer"))
        }
    }
}

/// The span's duration less the union of its children, cut to the span.
fn self_time(
    columns: &SpanColumns<'_>,
    first: usize,
    index: usize,
    children: &[usize],
    intervals: &mut Vec<(i64, i64)>,
) -> i64 {
    let row = first + index;
    let duration = columns.duration_ns.value(row);
    if children.is_empty() {
        return duration;
    }
    let (start, end) = (columns.start(row), columns.end(row));
    intervals.clear();
    intervals.extend(children.iter().filter_map(|&child| {
        let from = columns.start(first + child).max(start).since(start);
        let to = columns.end(first + child).min(end).since(start);
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
    duration.saturating_sub(covered)
}
