//! What the two listeners count; `/metrics` reads it.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Ledger, Transport};
use crate::receiver::ConnectionCounts;
use crate::receiver::metrics::add;

/// What became of a poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Served,
    /// The client has the strategy already.
    Unchanged,
    Refused,
}

impl Outcome {
    pub const ALL: [Outcome; 3] = [Outcome::Served, Outcome::Unchanged, Outcome::Refused];

    pub fn name(self) -> &'static str {
        match self {
            Outcome::Served => "served",
            Outcome::Unchanged => "unchanged",
            Outcome::Refused => "refused",
        }
    }
}

#[derive(Debug, Default)]
pub struct Metrics {
    /// Of both listeners.
    pub connections: ConnectionCounts,
    /// Services and probabilities that the ledger remembers.
    pub ledger_services: AtomicU64,
    pub ledger_probabilities: AtomicU64,
    /// Polls whose strategy found no place in it, so that another was served.
    pub ledger_refused: AtomicU64,
    polls: [[AtomicU64; Outcome::ALL.len()]; Transport::ALL.len()],
}

impl Metrics {
    pub fn polls(&self) -> impl Iterator<Item = (Transport, Outcome, u64)> {
        let pairs = Transport::ALL.into_iter().flat_map(|transport| Outcome::ALL.map(|outcome| (transport, outcome)));
        pairs.map(|(transport, outcome)| {
            let count = self.counter(transport, outcome).map_or(0, |counter| counter.load(Ordering::Relaxed));
            (transport, outcome, count)
        })
    }

    pub(super) fn polled(&self, transport: Transport, outcome: Outcome) {
        if let Some(counter) = self.counter(transport, outcome) {
            add(counter, 1);
        }
    }

    pub(super) fn remembered(&self, ledger: &Ledger) {
        self.ledger_services.store(ledger.services() as u64, Ordering::Relaxed);
        self.ledger_probabilities.store(ledger.probabilities() as u64, Ordering::Relaxed);
        self.ledger_refused.store(ledger.refused(), Ordering::Relaxed);
    }

    fn counter(&self, transport: Transport, outcome: Outcome) -> Option<&AtomicU64> {
        self.polls.get(transport as usize)?.get(outcome as usize)
    }
}
