//! What was decided within the last hour, for spans that come later.
//!
//! The server does not use it: its store remembers decisions beside the traces, as replay needs it. It is what a sampler without such a
//! store has, and what bench-sampling measures late spans with.
//!
//! - `filter`: ids of dropped traces, at 3.3 bytes each.
//!
//! Generations of ten minutes hold a map of kept traces and a filter of dropped ones; a generation goes as a whole, an hour
//! after it ended. It ends early when its filter is full or it holds its part of kept traces, and when all together are
//! larger than the setting the oldest goes early, which is counted.
//!
//! # Invariants
//!
//! - Kept wins over dropped: a late rescue, or another node's verdict, is added as kept.
//! - Within its hour and its bytes nothing is forgotten. A trace that was never decided is taken for dropped in about
//!   8/2^24 of cases for each full generation, 3 in a million for seven.

mod filter;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::class::KeepReason;
use crate::table::Mixed;
use crate::threshold::{RANGE, Threshold};
use filter::Filter;

/// Randomness is a hash of the id too; kept traces have the top of its range, so places must come from another.
const SEED: u64 = 0x5370_616e_686f_7573;
const GENERATION_NANOS: u64 = 600_000_000_000;
const GENERATIONS: u64 = 6;
/// A slot of the map, with its control byte and the room that must stay empty.
const KEPT_BYTES: usize = 20;
const MIN_DROPPED: usize = 4096;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Of kept and dropped together.
    pub max_bytes: usize,
}

impl Default for Limits {
    /// An hour of about 3,000 traces a second.
    fn default() -> Self {
        Self { max_bytes: 64 << 20 }
    }
}

/// A verdict that was kept. The threshold has four digits after its run of `f`, as the tail's have; a finer one is rounded
/// up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    pub threshold: Threshold,
    pub reason: KeepReason,
    /// Its lower 40 bits.
    pub revision: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decided {
    Kept(Kept),
    Dropped,
}

#[derive(Debug)]
struct Generation {
    started_nanos: u64,
    /// When the next one began.
    ended_nanos: u64,
    kept: HashMap<u64, u64, Mixed>,
    dropped: Filter,
}

impl Generation {
    fn new(now_nanos: u64, dropped: usize) -> Self {
        Self {
            started_nanos: now_nanos,
            ended_nanos: u64::MAX,
            kept: HashMap::default(),
            dropped: Filter::new(dropped),
        }
    }

    fn bytes(&self) -> usize {
        self.kept.capacity().saturating_mul(KEPT_BYTES).saturating_add(self.dropped.bytes())
    }
}

#[derive(Debug)]
pub struct DecisionCache {
    /// The oldest first; never empty after the first call.
    generations: VecDeque<Generation>,
    limits: Limits,
    forgotten: u64,
}

impl DecisionCache {
    pub fn new(limits: Limits) -> Self {
        Self { generations: VecDeque::new(), limits, forgotten: 0 }
    }

    pub fn keep(&mut self, trace_id: &[u8; 16], now_nanos: u64, kept: Kept) {
        let max = self.limits.max_bytes / (2 * GENERATIONS as usize) / KEPT_BYTES;
        let full = self.generations.back().is_some_and(|last| last.kept.len() >= max.max(16));
        self.turn(now_nanos, full);
        if let Some(last) = self.generations.back_mut() {
            last.kept.insert(place(trace_id), pack(kept));
        }
        self.shrink();
    }

    pub fn drop(&mut self, trace_id: &[u8; 16], now_nanos: u64) {
        let full = self.generations.back().is_some_and(|last| last.dropped.is_full());
        self.turn(now_nanos, full);
        if let Some(last) = self.generations.back_mut() {
            last.dropped.add(place(trace_id));
        }
        self.shrink();
    }

    pub fn get(&self, trace_id: &[u8; 16], now_nanos: u64) -> Option<Decided> {
        let place = place(trace_id);
        let live = || self.generations.iter().rev().filter(|generation| !is_over(generation, now_nanos));
        if let Some(packed) = live().find_map(|generation| generation.kept.get(&place)) {
            return Some(Decided::Kept(unpack(*packed)));
        }
        live().any(|generation| generation.dropped.contains(place)).then_some(Decided::Dropped)
    }

    /// Memory of all generations.
    pub fn bytes(&self) -> usize {
        self.generations.iter().map(Generation::bytes).sum()
    }

    /// Decisions that went before their hour, for want of bytes.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Lets go of what is over, and begins a generation when the last is ten minutes old or full.
    fn turn(&mut self, now_nanos: u64, full: bool) {
        while self.generations.front().is_some_and(|first| is_over(first, now_nanos)) {
            self.generations.pop_front();
        }
        let old = |last: &Generation| now_nanos.saturating_sub(last.started_nanos) >= GENERATION_NANOS;
        let next = match self.generations.back_mut() {
            Some(last) if !full && !old(last) => return,
            None => MIN_DROPPED * 16,
            Some(last) => {
                last.ended_nanos = now_nanos.max(last.started_nanos);
                if last.dropped.is_full() { last.dropped.len() * 2 } else { last.dropped.len() / 4 * 5 }
            }
        };
        // No single one may claim all bytes.
        let mut entries = next.max(MIN_DROPPED);
        while entries > 64 && Filter::bytes_for(entries) > self.limits.max_bytes / (GENERATIONS as usize + 2) {
            entries /= 2;
        }
        self.generations.push_back(Generation::new(now_nanos, entries));
    }

    fn shrink(&mut self) {
        while self.generations.len() > 1 && self.bytes() > self.limits.max_bytes {
            if let Some(first) = self.generations.pop_front() {
                self.forgotten = self.forgotten.saturating_add((first.kept.len() + first.dropped.len()) as u64);
            }
        }
    }
}

fn is_over(generation: &Generation, now_nanos: u64) -> bool {
    now_nanos.saturating_sub(generation.ended_nanos) >= GENERATIONS * GENERATION_NANOS
}

fn place(trace_id: &[u8; 16]) -> u64 {
    xxh3_64_with_seed(trace_id, SEED)
}

/// 4 bits: length of the run of `f`, 15 for never; 16 bits: the digits behind it; 4 bits: reason; 40 bits: revision.
fn pack(kept: Kept) -> u64 {
    let bits = kept.threshold.rounded_up().bits();
    let (run, digits) = if bits >= RANGE {
        (15, 0)
    } else {
        let run = u64::from((bits << 8).leading_ones() / 4);
        (run, (bits << (8 + 4 * run)) >> 48)
    };
    run << 60 | digits << 44 | (kept.reason as u64) << 40 | (kept.revision & ((1 << 40) - 1))
}

fn unpack(packed: u64) -> Kept {
    let (run, digits) = (packed >> 60, packed >> 44 & 0xffff);
    let bits = if run > 13 { RANGE } else { (RANGE - 1) & !((RANGE - 1) >> (4 * run)) | (digits << 40) >> (4 * run) };
    let reason = KeepReason::ALL.get((packed >> 40 & 0xf) as usize).copied().unwrap_or(KeepReason::Normal);
    Kept { threshold: Threshold::new(bits), reason, revision: packed & ((1 << 40) - 1) }
}
