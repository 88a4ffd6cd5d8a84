//! Where every decoded span is: `received` is the sum of the rest, at any moment.
//!
//! Spans move under the read side of a lock that a reader of the books takes whole, so that none is ever seen in two places
//! or in none.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use super::metrics::{Metrics, add};
use crate::otlp::Rejected;

/// Spans since the start. What becomes of stored ones is the store's part of the books.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Books {
    pub received: u64,
    /// Acknowledged, and new.
    pub stored: u64,
    /// Acknowledged again: their request was stored before.
    pub duplicate: u64,
    /// Invalid, and told so.
    pub rejected: u64,
    /// Of requests that failed as a whole after they were decoded; their clients still have them.
    pub refused: u64,
    pub in_flight: u64,
}

impl Books {
    /// Whether every span is in one place.
    pub fn is_balanced(&self) -> bool {
        let Self { received, stored, duplicate, rejected, refused, in_flight } = *self;
        received == [stored, duplicate, rejected, refused, in_flight].iter().sum::<u64>()
    }
}

/// The part of the books that nobody else counts.
#[derive(Debug, Default)]
pub struct Moves {
    received: AtomicU64,
    duplicate: AtomicU64,
    refused: AtomicU64,
    in_flight: AtomicU64,
    gate: RwLock<()>,
}

impl Moves {
    fn moving(&self, act: impl FnOnce()) {
        // The gate guards no data, so a panic behind it left none half-written.
        let _moving = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        act();
    }
}

/// Spans of one request between decoding and answer; refused if dropped.
#[derive(Debug)]
pub struct Carried<'m> {
    metrics: &'m Metrics,
    spans: u64,
}

impl Metrics {
    pub fn books(&self) -> Books {
        let moves = &self.moves;
        let _still = moves.gate.write().unwrap_or_else(PoisonError::into_inner);
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Books {
            received: read(&moves.received),
            stored: read(&self.spans),
            duplicate: read(&moves.duplicate),
            rejected: read(&self.rejected_spans),
            refused: read(&moves.refused),
            in_flight: read(&moves.in_flight),
        }
    }

    /// `spans` were decoded, rejected ones among them.
    pub(super) fn receive(&self, spans: u64) -> Carried<'_> {
        self.moves.moving(|| {
            add(&self.moves.received, spans);
            add(&self.moves.in_flight, spans);
        });
        Carried { metrics: self, spans }
    }
}

impl Carried<'_> {
    /// All but the rejected ones are stored.
    pub fn stored(mut self, rejected: &Rejected) {
        self.metrics.moves.moving(|| {
            let spans = self.leave();
            add(&self.metrics.spans, spans.saturating_sub(rejected.spans));
            for tally in &rejected.tallies {
                self.metrics.reject(tally.reason, tally.spans);
            }
        });
    }

    /// They were stored, and rejected, before.
    pub fn duplicate(mut self) {
        self.metrics.moves.moving(|| {
            let spans = self.leave();
            add(&self.metrics.moves.duplicate, spans);
        });
    }

    fn leave(&mut self) -> u64 {
        let spans = std::mem::take(&mut self.spans);
        self.metrics.moves.in_flight.fetch_sub(spans, Ordering::Relaxed);
        spans
    }
}

impl Drop for Carried<'_> {
    fn drop(&mut self) {
        if self.spans == 0 {
            return;
        }
        let moves = &self.metrics.moves;
        moves.moving(|| {
            let spans = self.leave();
            add(&moves.refused, spans);
        });
    }
}
