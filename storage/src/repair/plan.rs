//! What to put in the holes of a log.
//!
//! The decision that a hole swallowed took all that its trace had pending there, and an epoch is in the spans table whole
//! or not at all. So all spans of a trace that are pending at a hole are in the table if the lost decision's epoch is, and
//! none of them otherwise; and the same holds for the spans that were decided between two seals or holes. Where only some
//! are in the table, a client has sent spans twice: then they are left to be stored again rather than lost.

use std::collections::HashSet;

use crate::model::{SpanId, TraceId, UnixNanos};

/// Enough of a span to find it in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span {
    pub trace_id: TraceId,
    pub span_id: SpanId,
    pub start: UnixNanos,
}

/// What was known where records are missing.
#[derive(Debug, Default)]
pub struct AtHole {
    /// How many records are missing; `None` if nobody knows.
    pub room: Option<u64>,
    /// The pending spans of each trace.
    pub pending: Vec<Vec<Span>>,
    /// Kept spans decided since the seal or hole before.
    pub decided: Vec<Span>,
}

#[derive(Debug)]
pub enum Event {
    Seal,
    Hole(AtHole),
}

/// What to put in one hole: decisions first, then the seal.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Mending {
    pub decisions: Vec<TraceId>,
    pub seal: Option<u64>,
}

/// Every span that [`plan`] may ask for.
pub fn questions(events: &[Event]) -> HashSet<Span> {
    let holes = events.iter().filter_map(|event| match event {
        Event::Hole(hole) => Some(hole.pending.iter().flatten().chain(&hole.decided).copied()),
        Event::Seal => None,
    });
    holes.flatten().collect()
}

/// One mending for each hole, for tables that have the epochs up to `committed`.
pub fn plan(events: &[Event], committed: u64, is_stored: impl Fn(&Span) -> bool) -> Vec<Mending> {
    let mut mended = Vec::new();
    // Decided by the mending of a hole before.
    let mut taken: HashSet<Span> = HashSet::new();
    // Whether stored spans are decided and their epoch, which the tables have, has no seal yet.
    let mut is_unsealed = false;
    for event in events {
        match event {
            Event::Seal => is_unsealed = false,
            Event::Hole(hole) => {
                let mut mending = Mending::default();
                let left = |spans: &[Span]| -> Vec<Span> {
                    spans.iter().filter(|span| !taken.contains(span)).copied().collect()
                };
                let decided = left(&hole.decided);
                if !decided.is_empty() {
                    // Spans of a later epoch would be lost with a seal behind them.
                    is_unsealed = decided.iter().all(&is_stored);
                }
                let has_room = |records: u64| hole.room.is_none_or(|room| records <= room);
                if has_room(1) {
                    let gone: Vec<Vec<Span>> = hole.pending.iter().map(|spans| left(spans)).collect();
                    let gone = gone.into_iter().filter(|spans| !spans.is_empty() && spans.iter().all(&is_stored));
                    for spans in gone {
                        mending.decisions.extend(spans.first().map(|span| span.trace_id));
                        taken.extend(spans);
                    }
                    mending.decisions.sort_unstable();
                    is_unsealed |= !mending.decisions.is_empty();
                }
                if is_unsealed && has_room(1 + u64::from(!mending.decisions.is_empty())) {
                    mending.seal = Some(committed);
                    is_unsealed = false;
                }
                mended.push(mending);
            }
        }
    }
    mended
}
