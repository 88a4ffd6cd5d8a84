//! Which attributes get a column of their own: those that are frequent.
//!
//! - `counts`: how many spans of about the last hour have a key, by scope and type.
//! - `choice`: which keys get a column by these counts. Pure.
//!
//! # Invariants
//!
//! - An epoch is counted once, however often its flush is tried.
//! - What is chosen is only in force once a commit has made it the table's; a flush that fails chooses again.
//! - Memory is bounded whatever clients send: keys that no column could be named after are not counted, and of others at most
//!   a few thousand, the most frequent.

mod choice;
mod counts;

use crate::config::PromotionSettings;
use crate::model::UnixNanos;
use crate::schema::promoted::Promoted;

pub use counts::KeyCounts;

/// What a collector knows of the keys that came.
#[derive(Debug)]
pub struct Promotion {
    settings: PromotionSettings,
    counts: KeyCounts,
    /// The last epoch that is counted, and when.
    counted: Option<(u64, UnixNanos)>,
}

impl Promotion {
    pub fn new(settings: PromotionSettings) -> Self {
        Self { settings, counts: KeyCounts::default(), counted: None }
    }

    /// Whether counting leads to anything.
    pub fn is_on(&self) -> bool {
        self.settings.columns > 0
    }

    /// Whether the epoch still has to be counted.
    pub fn misses(&self, epoch: u64) -> bool {
        self.is_on() && self.counted.is_none_or(|(last, _)| last != epoch)
    }

    /// Counts an epoch's keys, on top of what is left of those before.
    pub fn count(&mut self, epoch: u64, now: UnixNanos, of_epoch: KeyCounts) {
        if let Some((_, last)) = self.counted {
            self.counts.age(now.since(last));
        }
        self.counts.add(of_epoch);
        self.counted = Some((epoch, now));
    }

    /// The keys that should be promoted beside those that are.
    pub fn choose(&self, promoted: &[Promoted]) -> Vec<Promoted> {
        if !self.is_on() {
            return Vec::new();
        }
        choice::choose(&self.counts, promoted, &self.settings)
    }
}

#[cfg(test)]
mod tests;
