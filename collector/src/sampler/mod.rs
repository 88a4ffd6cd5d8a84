//! Decides pending traces: which are due, and what becomes of them.
//!
//! - `assembly`: when a trace is ripe. Pure.
//! - this file: decisions of a tick. Everything is kept; a budget takes its place here.

mod assembly;

pub use assembly::{AssemblyConfig, Ripeness};

use storage::model::{TraceId, UnixNanos};
use storage::{Decision, Store};

/// `keep_reason` where no budget is set.
const KEEP_ALL: &str = "all";

/// Decides what is due at `now`, and waits until that is durable. Returns how many traces it was.
pub async fn decide_due(store: &Store, config: &AssemblyConfig, now: UnixNanos) -> Result<usize, storage::Error> {
    let mut budget = config.decisions_per_tick;
    let due = store.pending(|late, trace| {
        let ripe = Ripeness::of(trace, late).is_ripe(config, now);
        let chosen = ripe && budget > 0;
        budget -= usize::from(chosen);
        chosen
    });
    decide(store, due).await
}

/// Decides every pending trace, ripe or not.
pub async fn decide_all(store: &Store) -> Result<usize, storage::Error> {
    let all = store.pending(|_, _| true);
    decide(store, all).await
}

async fn decide(store: &Store, ids: Vec<TraceId>) -> Result<usize, storage::Error> {
    if ids.is_empty() {
        return Ok(0);
    }
    let count = ids.len();
    let decisions = ids
        .into_iter()
        .map(|trace_id| Decision {
            trace_id,
            keep: true,
            adjusted_count: Some(1.0),
            keep_reason: KEEP_ALL.to_owned(),
            policy_revision: 0,
        })
        .collect();
    store.decide(decisions).await?;
    Ok(count)
}
