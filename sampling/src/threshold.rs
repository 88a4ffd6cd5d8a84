//! Randomness and rejection thresholds of 56 bits, as in OpenTelemetry's consistent probability sampling
//! (specification "TraceState: Probability Sampling"; Ertl, arXiv 2107.07703).
//!
//! # Invariants
//!
//! - A trace is kept iff `R >= T`, so of two thresholds the lower keeps a superset.
//! - A threshold made from a probability is rounded *before* anything is decided; its probability is exact in an `f64`.
//! - A probability above zero never becomes "never".

use xxhash_rust::xxh3::xxh3_64;

/// 2^56: the number of values that randomness can have.
pub const RANGE: u64 = 1 << 56;
const DIGITS: u32 = 14;
/// Hex digits that a threshold keeps after its initial run of `f`.
const PRECISION: u32 = 4;

/// The 56 random bits of a trace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Randomness(u64);

impl Randomness {
    /// The low 56 bits of `bits`.
    pub fn new(bits: u64) -> Self {
        Self(bits & (RANGE - 1))
    }

    /// What a trace id with W3C's random flag carries: its last seven bytes.
    pub fn of_random_id(trace_id: &[u8; 16]) -> Self {
        let low = u64::from_be_bytes([
            0,
            trace_id[9],
            trace_id[10],
            trace_id[11],
            trace_id[12],
            trace_id[13],
            trace_id[14],
            trace_id[15],
        ]);
        Self(low)
    }

    /// A coin that no sampler before us has thrown. Older samplers compare low values of the id itself, so the id must
    /// not be used again.
    pub fn hashed(trace_id: &[u8; 16]) -> Self {
        Self(xxh3_64(trace_id) >> 8)
    }

    pub fn bits(self) -> u64 {
        self.0
    }

    /// How far from the top, in `(0, 1]`: kept by every probability that is at least this.
    pub fn height(self) -> f64 {
        (RANGE - self.0) as f64 / RANGE as f64
    }
}

/// A trace is rejected when its randomness is below. 0 keeps all, 2^56 none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Threshold(u64);

impl Threshold {
    pub const ALWAYS: Self = Self(0);
    pub const NEVER: Self = Self(RANGE);

    /// Exactly this threshold; beyond 2^56 it is [`Self::NEVER`].
    pub fn new(bits: u64) -> Self {
        Self(bits.min(RANGE))
    }

    /// Rounded up to four hex digits after the initial run of `f`, so the probability is never larger than asked for.
    /// Not a number counts as 0, and 0 or less is [`Self::NEVER`].
    pub fn from_probability(probability: f64) -> Self {
        if probability >= 1.0 {
            return Self::ALWAYS;
        }
        if probability > 0.0 {
            // Exact: a power of two only moves the exponent, and what is below 2^53 loses nothing as an integer.
            let accepted = ((probability * RANGE as f64) as u64).clamp(1, RANGE);
            return Self(RANGE - accepted).rounded_up();
        }
        Self::NEVER
    }

    fn rounded_up(self) -> Self {
        let run = (self.0 << 8).leading_ones() / 4;
        let kept = run.saturating_add(PRECISION);
        if kept >= DIGITS {
            return self;
        }
        let mask = (1u64 << (4 * (DIGITS - kept))) - 1;
        // The digit after the run is at most `e`, so the carry stays inside the 56 bits.
        Self(self.0.saturating_add(mask) & !mask)
    }

    pub fn bits(self) -> u64 {
        self.0
    }

    pub fn keeps(self, randomness: Randomness) -> bool {
        randomness.0 >= self.0
    }

    pub fn probability(self) -> f64 {
        (RANGE - self.0) as f64 / RANGE as f64
    }

    /// How many traces a kept one stands for; infinite for [`Self::NEVER`], which keeps none.
    pub fn adjusted_count(self) -> f64 {
        RANGE as f64 / (RANGE - self.0) as f64
    }
}
