//! Derived columns: what a span is within its trace, computed once, when its trace is decided.
//!
//! - `tree`: parents, depths, entries, paths, self and critical times of one trace, without recursion.
//! - `children`: who hangs on whom. `operation`: what is read once a template rather than once a span.
//! - `critical`: how a span's part of the critical path is handed on to its children.
//! - `path`: the numbers of call paths. `exception`: the exception that left a span.
//! - `twice`, `content`: spans that came twice are left out.
//! - `digest`: the row of `traces` for each of many traces.
//!
//! Pure: spans in, rows out. Also used for pending traces whenever a query asks for them.
//!
//! # What is known of a trace's parts
//!
//! Critical times of a trace add up to its root's duration, or to the durations of its roots. Spans whose parent is missing,
//! and those below them, have none where a root is known: whether the root waited for them is not. Where no root is known,
//! each of them begins a path of its own, so that services behind a caller that does not report have critical times, too.
//! Late spans are derived by themselves: those decided before them are not at hand, and count as missing.

mod children;
mod content;
mod critical;
mod digest;
mod exception;
mod operation;
mod path;
mod tree;
mod twice;

use std::sync::Arc;

use arrow::array::RecordBatch;

use crate::Result;
use crate::metrics::Tally;
use crate::model::{SpanBatch, TraceId};
use crate::rows::{SpanRef, SpanRow, SpanRows, TraceFacts};

pub(crate) use exception::exception_type;
#[cfg(feature = "catalog")]
pub(crate) use exception::is_exception;
pub use path::PathId;
use tree::Tree;
pub use tree::{SpanShape, TraceShape};
pub use twice::SameIds;

/// What the sampler said of a trace, as its rows show it.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    pub keep: bool,
    pub adjusted_count: Option<f64>,
    pub head_count: Option<f64>,
    pub keep_reason: Arc<str>,
    /// `None` before the decision, as the shape.
    pub class: Option<Arc<str>>,
    pub shape: Option<u64>,
    pub policy_revision: i64,
}

impl Verdict {
    /// What a trace shows before its decision.
    pub fn pending() -> Self {
        static REASON: std::sync::LazyLock<Arc<str>> = std::sync::LazyLock::new(|| Arc::from(PENDING));
        Self {
            keep: true,
            adjusted_count: Some(1.0),
            head_count: Some(1.0),
            keep_reason: Arc::clone(&REASON),
            class: None,
            shape: None,
            policy_revision: 0,
        }
    }
}

/// `keep_reason` of a trace that has no decision yet.
pub const PENDING: &str = "pending";

/// The root of a trace, remembered for spans that come after the decision.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RootNames {
    pub service: Arc<str>,
    pub name: Arc<str>,
}

/// One trace's spans, and what was said of it.
#[derive(Debug, Clone)]
pub struct TraceSpans {
    pub trace_id: TraceId,
    pub spans: Vec<SpanRef>,
    pub verdict: Verdict,
    /// Set where the spans are late: the trace has its digest already, and its root may be known.
    pub late: Option<Option<RootNames>>,
}

/// Rows for both tables, and the roots that were found.
#[derive(Debug)]
pub struct Derived {
    /// The kept traces' rows.
    pub spans: SpanRows,
    /// A row for each trace that is not late; `None` if all were.
    pub traces: Option<RecordBatch>,
    /// For each trace handed in, in order.
    pub roots: Vec<Option<RootNames>>,
    /// Of all traces together.
    pub same_ids: SameIds,
}

/// Computes the rows of `traces`, whose spans lie in `batches`.
pub fn derive(batches: Vec<Arc<SpanBatch>>, traces: Vec<TraceSpans>) -> Result<Derived> {
    derive_and(batches, traces, |_, _, _| {})
}

/// The same of traces that are decided, which are counted.
pub fn derive_counted(batches: Vec<Arc<SpanBatch>>, traces: Vec<TraceSpans>, tally: &mut Tally) -> Result<Derived> {
    derive_and(batches, traces, |batches, spans, shapes| tally.count(batches, spans, shapes))
}

/// Shows each trace's spans and their shapes to `see`.
fn derive_and(
    batches: Vec<Arc<SpanBatch>>,
    traces: Vec<TraceSpans>,
    mut see: impl FnMut(&[Arc<SpanBatch>], &[SpanRef], &[SpanShape]),
) -> Result<Derived> {
    let mut tree = Tree::over(&batches);
    let mut digests = digest::Digests::default();
    let mut roots = Vec::with_capacity(traces.len());
    let count = traces.iter().filter(|trace| trace.verdict.keep).map(|trace| trace.spans.len()).sum();
    let mut rows = Vec::with_capacity(count);
    let mut facts = Vec::with_capacity(traces.len());
    let mut same_ids = SameIds::default();
    for mut trace in traces {
        let shape = tree.shape_of(&mut trace.spans);
        same_ids += shape.same_ids;
        see(&batches, &trace.spans, &shape.spans);
        let own = shape.root.map(|root| tree::root_names(&batches, trace.spans[root]));
        let root = own.or_else(|| trace.late.clone().flatten());
        if trace.late.is_none() && !trace.spans.is_empty() {
            digests.push(&batches, &trace, &shape);
        }
        roots.push(root.clone());
        if !trace.verdict.keep {
            continue;
        }
        let first = rows.len() as u32;
        rows.extend(trace.spans.iter().zip(&shape.spans).map(|(span, shape)| SpanRow {
            span: *span,
            trace: facts.len() as u32,
            parent: shape.parent.map_or(SpanRow::NOWHERE, |parent| first + parent as u32),
            depth: shape.depth.unwrap_or(-1),
            path: shape.path,
            self_ns: shape.self_ns,
            critical_ns: critical_ns(shape, root.is_some()),
            is_root: shape.is_root,
            is_entry: shape.is_entry,
        }));
        facts.push(TraceFacts { trace_id: trace.trace_id, root, verdict: trace.verdict, complete: shape.complete });
    }
    Ok(Derived { spans: SpanRows { batches, rows, traces: facts }, traces: digests.finish()?, roots, same_ids })
}

/// What a row says of the critical path.
fn critical_ns(shape: &SpanShape, root_is_known: bool) -> i64 {
    let hangs_on_root = shape.depth.is_some();
    shape.critical_ns.filter(|_| hangs_on_root || !root_is_known).unwrap_or(SpanRow::UNKNOWN)
}

#[cfg(test)]
mod tests;
