//! What is said of sampling: once for a trace, on each of its spans.
//!
//! A trace was decided by the `trace_state` of one span. What the others say may differ, and must not contradict it.

use std::collections::HashSet;

use arrow::array::Array;
use sampling::KeepReason;
use sampling::exported::{Exported, Stored};

use storage::derive::PENDING;

use super::columns::{Columns, bytes_at, text_at};

/// What a row has of its trace's decision.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Decided {
    adjusted_count: Option<f64>,
    on_budget: bool,
}

pub struct Weights {
    trace_id: [u8; 16],
    /// Of the span that the decision looked at, as far as the rows tell.
    tracestate: String,
    head_count: Option<f64>,
    /// Spans that are pending behind a decision will follow it.
    first: Option<Decided>,
    known: Option<(Decided, Exported)>,
}

impl Weights {
    pub fn new(batches: &[Columns], head_count: Option<f64>) -> Self {
        let head = head(batches);
        let trace_id = head.and_then(|(columns, row)| bytes_at(&columns.trace_id, row).try_into().ok());
        let tracestate = head.map(|(columns, row)| text_at(&columns.trace_state, row).to_owned());
        Self {
            trace_id: trace_id.unwrap_or_default(),
            tracestate: tracestate.unwrap_or_default(),
            head_count,
            first: rows(batches).find_map(|(columns, row)| decided(columns, row)),
            known: None,
        }
    }

    /// The `trace_state` that a row's span leaves with.
    pub fn write(&mut self, columns: &Columns, row: usize) -> String {
        let received = text_at(&columns.trace_state, row);
        let Some(decided) = decided(columns, row).or(self.first) else { return received.to_owned() };
        let exported = match self.known {
            Some((known, exported)) if known == decided => exported,
            _ => {
                let Decided { adjusted_count, on_budget } = decided;
                let (trace_id, tracestate, head_count) = (&self.trace_id, &*self.tracestate, self.head_count);
                Exported::of(&Stored { trace_id, tracestate, adjusted_count, head_count, on_budget })
            }
        };
        self.known = Some((decided, exported));
        exported.write(received).into_owned()
    }
}

fn rows(batches: &[Columns]) -> impl Iterator<Item = (&Columns, usize)> {
    batches.iter().flat_map(|columns| (0..columns.len()).map(move |row| (columns, row)))
}

fn decided(columns: &Columns, row: usize) -> Option<Decided> {
    let reason = text_at(&columns.keep_reason, row);
    let weights = &columns.adjusted_count;
    let adjusted_count = weights.is_valid(row).then(|| weights.value(row));
    // The sampler's own reasons; without a budget the reason is none of them.
    let on_budget = KeepReason::ALL.iter().any(|known| known.word() == reason);
    (reason != PENDING).then_some(Decided { adjusted_count, on_budget })
}

/// The earliest root; where there is none, the earliest span whose parent is elsewhere, or just a span: as the sampler does.
fn head(batches: &[Columns]) -> Option<(&Columns, usize)> {
    let start = |(columns, row): &(&Columns, usize)| columns.start.at(*row);
    let parent = |columns: &Columns, row| bytes_at(&columns.parent_span_id, row).to_vec();
    let roots = rows(batches).filter(|(columns, row)| parent(columns, *row).is_empty());
    roots.min_by_key(start).or_else(|| {
        let ids: HashSet<&[u8]> = rows(batches).map(|(columns, row)| bytes_at(&columns.span_id, row)).collect();
        let is_top = |(columns, row): &(&Columns, usize)| {
            let parent = parent(columns, *row);
            parent == bytes_at(&columns.span_id, *row) || !ids.contains(&*parent)
        };
        rows(batches).filter(is_top).min_by_key(start).or_else(|| rows(batches).next())
    })
}
