//! The fold over the WAL's records, as far as holes need it: which spans wait for what when the records end.

use std::collections::HashMap;

use super::plan::{AtHole, Event, Span};
use crate::model::TraceId;
use crate::wal::Decision;

#[derive(Debug)]
pub struct Fold {
    committed: u64,
    pending: HashMap<TraceId, Vec<Span>>,
    /// Kept spans decided since the last seal or hole.
    decided: Vec<Span>,
    pub events: Vec<Event>,
    /// Whatever comes is in no table.
    is_past_committed: bool,
}

impl Fold {
    pub fn new(committed: u64) -> Self {
        Self {
            committed,
            pending: HashMap::new(),
            decided: Vec::new(),
            events: Vec::new(),
            is_past_committed: committed == 0,
        }
    }

    pub fn request(&mut self, spans: Vec<Span>) {
        if !self.is_past_committed {
            for span in spans {
                self.pending.entry(span.trace_id).or_default().push(span);
            }
        }
    }

    pub fn decide(&mut self, decisions: &[Decision]) {
        for decision in decisions {
            let spans = self.pending.remove(&decision.trace_id).unwrap_or_default();
            if decision.keep {
                self.decided.extend(spans);
            }
        }
    }

    pub fn seal(&mut self, epoch: u64) {
        self.decided.clear();
        self.events.push(Event::Seal);
        if epoch > self.committed {
            self.is_past_committed = true;
            self.pending.clear();
        }
    }

    /// Here `room` records are missing; `None` if nobody knows how many.
    pub fn hole(&mut self, room: Option<u64>) {
        let decided = std::mem::take(&mut self.decided);
        let pending = if self.is_past_committed { HashMap::new() } else { self.pending.clone() };
        self.events.push(Event::Hole(AtHole { room, pending: pending.into_values().collect(), decided }));
    }
}
