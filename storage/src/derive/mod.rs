//! Derived columns: what a span is within its trace, computed once, when its trace is decided.
//!
//! - `tree`: parents, depths, entries and self times of one trace. Pure and without recursion.
//! - `spans`: the derived and sampling columns of many traces' spans.
//! - `digest`: the row of `traces` for each of them.
//!
//! Pure: rows in, columns out. Also used for pending traces whenever a query asks for them.

mod digest;
mod spans;
mod tree;

use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;

use crate::Result;
use crate::model::SpanColumns;

pub use tree::{SpanShape, TraceShape, shape_of};

/// What the sampler said of a trace, as its rows show it.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    pub keep: bool,
    pub adjusted_count: Option<f64>,
    pub keep_reason: Arc<str>,
    pub policy_revision: i64,
}

impl Verdict {
    /// What a trace shows before its decision.
    pub fn pending() -> Self {
        Self { keep: true, adjusted_count: Some(1.0), keep_reason: Arc::from(PENDING), policy_revision: 0 }
    }
}

/// `keep_reason` of a trace that has no decision yet.
pub const PENDING: &str = "pending";

/// The root of a trace, remembered for spans that come after the decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootNames {
    pub service: Arc<str>,
    pub name: Arc<str>,
}

/// One trace's rows in a batch, and what was said of it.
#[derive(Debug, Clone)]
pub struct TraceRows {
    pub rows: Range<usize>,
    pub verdict: Verdict,
    /// Set where the rows are late: the trace has its digest already, and its root may be known.
    pub late: Option<Option<RootNames>>,
}

/// Rows for both tables, and the roots that were found.
#[derive(Debug)]
pub struct Derived {
    /// The kept traces' rows, with all columns of `spans`; `None` if none were kept.
    pub spans: Option<RecordBatch>,
    /// A row for each trace that is not late; `None` if all were.
    pub traces: Option<RecordBatch>,
    /// For each trace handed in, in order.
    pub roots: Vec<Option<RootNames>>,
}

/// Computes the rows of `traces`, whose received columns lie in `received` trace by trace.
pub fn derive(received: &RecordBatch, traces: &[TraceRows]) -> Result<Derived> {
    let columns = SpanColumns::new(received)?;
    let shapes: Vec<TraceShape> = traces.iter().map(|trace| shape_of(&columns, trace.rows.clone())).collect();
    let roots: Vec<Option<RootNames>> = traces
        .iter()
        .zip(&shapes)
        .map(|(trace, shape)| {
            let own = shape.root.map(|row| RootNames {
                service: Arc::from(columns.service_name.value(row)),
                name: Arc::from(columns.span_name.value(row)),
            });
            own.or_else(|| trace.late.clone().flatten())
        })
        .collect();
    let spans = spans::rows(received, &columns, traces, &shapes, &roots)?;
    let digests = digest::rows(&columns, traces, &shapes)?;
    Ok(Derived { spans, traces: digests, roots })
}

#[cfg(test)]
mod tests;
