//! Decides pending traces: which are due, and what becomes of them.
//!
//! - `assembly`: when a trace is ripe. Pure.
//! - this file: decisions of a tick. Everything is kept; a budget takes its place here.

mod assembly;

pub use assembly::{AssemblyConfig, Ripeness};

use storage::model::{TraceId, UnixNanos};
use storage::{Decision, PendingTrace, Store};

/// `keep_reason` where no budget is set.
const KEEP_ALL: &str = "all";

/// Decides what is due at `now`, and waits until that is durable. Returns how many traces it was.
pub async fn decide_due(store: &Store, config: &AssemblyConfig, now: UnixNanos) -> Result<usize, storage::Error> {
    let config = config.under_pressure(store.memory_pressure());
    let due = due(store, |late, trace| Ripeness::of(trace, late).is_ripe(&config, now));
    decide(store, due, config.spans_per_record).await
}

/// Decides every pending trace, ripe or not.
pub async fn decide_all(store: &Store, config: &AssemblyConfig) -> Result<usize, storage::Error> {
    decide(store, due(store, |_, _| true), config.spans_per_record).await
}

/// A trace to decide.
struct Due {
    trace_id: TraceId,
    first_arrival: UnixNanos,
    span_count: usize,
}

/// The traces that `choose` takes, in the order of their arrival, so that those that came together are decided together.
fn due(store: &Store, mut choose: impl FnMut(bool, &PendingTrace) -> bool) -> Vec<Due> {
    let mut due = Vec::new();
    store.pending(|late, trace_id, trace| {
        if choose(late, trace) {
            due.push(Due { trace_id: *trace_id, first_arrival: trace.first_arrival, span_count: trace.span_count() });
        }
    });
    due.sort_unstable_by_key(|due| (due.first_arrival, due.trace_id));
    due
}

/// One record after the other, each small, so that requests are acknowledged in between.
async fn decide(store: &Store, due: Vec<Due>, spans_per_record: usize) -> Result<usize, storage::Error> {
    let count = due.len();
    let mut decisions = Vec::new();
    let mut spans = 0;
    for (at, trace) in due.into_iter().enumerate() {
        spans += trace.span_count;
        decisions.push(Decision {
            trace_id: trace.trace_id,
            keep: true,
            adjusted_count: Some(1.0),
            keep_reason: KEEP_ALL.to_owned(),
            policy_revision: 0,
        });
        if spans >= spans_per_record || at + 1 == count {
            spans = 0;
            store.decide(std::mem::take(&mut decisions)).await?;
        }
    }
    Ok(count)
}
