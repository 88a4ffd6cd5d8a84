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
/// How far a quotient of two weights may be from the probability that it was made of: some roundings of an `f64`.
const ROUNDINGS: f64 = 1.0 / (1u64 << 48) as f64;

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

    /// The threshold behind a weight: the shortest that gives exactly this weight, as one that was rounded here does; where none
    /// does, the nearest of all digits. `None` for what is no weight.
    pub fn from_adjusted_count(count: f64) -> Option<Self> {
        if !(1.0..f64::INFINITY).contains(&count) {
            return None;
        }
        let accepted = RANGE as f64 / count;
        Some(Self::shortest(accepted, |threshold| threshold.adjusted_count() == count))
    }

    /// The threshold behind a probability that has gone through roundings, such as a quotient of two weights.
    pub(crate) fn near_probability(probability: f64) -> Self {
        let accepted = probability.clamp(0.0, 1.0) * RANGE as f64;
        let error = |threshold: Self| (threshold.probability() * RANGE as f64 - accepted).abs();
        Self::shortest(accepted, |threshold| error(threshold) <= accepted * ROUNDINGS)
    }

    /// That of the fewest digits which `fits`, or else of all of them.
    fn shortest(accepted: f64, fits: impl Fn(Self) -> bool) -> Self {
        let nearest = RANGE - (accepted.round() as u64).clamp(1, RANGE);
        let rounded = (1..DIGITS).rev().map(|cut| {
            let unit = 1u64 << (4 * cut);
            (nearest + unit / 2) & !(unit - 1)
        });
        // The division may have been rounded to the one beside it.
        let mut all = rounded.chain([nearest, nearest.saturating_sub(1), nearest + 1]).map(Self);
        all.find(|threshold| *threshold < Self::NEVER && fits(*threshold)).unwrap_or(Self(nearest))
    }

    pub(crate) fn rounded_up(self) -> Self {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rounds_up_to_four_digits_after_the_run() {
        for (p, bits) in [
            (1.0, 0),
            (2.0, 0),
            (0.5, 0x80_0000_0000_0000),
            (0.25, 0xc0_0000_0000_0000),
            (0.9, 0x19_9a00_0000_0000),
            (0.01, 0xfd_70b0_0000_0000),
            (0.001, 0xff_be77_0000_0000),
            (1e-16, 0xff_ffff_ffff_fff9),
            (1e-30, RANGE - 1),
            (0.0, RANGE),
            (-1.0, RANGE),
            (f64::NAN, RANGE),
        ] {
            let threshold = Threshold::from_probability(p);
            assert_eq!(threshold.bits(), bits, "{p}: {:x}", threshold.bits());
        }
        assert_eq!(Threshold::from_probability(0.25).adjusted_count(), 4.0);
        assert_eq!(Threshold::NEVER.probability(), 0.0);
        for count in [0.0, 0.5, f64::NAN, f64::INFINITY] {
            assert_eq!(Threshold::from_adjusted_count(count), None, "{count}");
        }
        assert!(!Threshold::NEVER.keeps(Randomness::new(u64::MAX)));
    }

    #[test]
    fn the_coin_without_a_threshold_is_another_than_the_id() {
        // Survivors of a sampler that keeps low ids at 1 %: by the id a threshold of half would keep none of them.
        let (mut by_id, mut hashed) = (0, 0);
        let half = Threshold::from_probability(0.5);
        for n in 0..10_000_u64 {
            let mut id = [7; 16];
            id[8..].copy_from_slice(&(n << 40).to_be_bytes());
            by_id += u32::from(half.keeps(Randomness::of_random_id(&id)));
            hashed += u32::from(half.keeps(Randomness::hashed(&id)));
        }
        assert!(by_id == 0 && (4_800..5_200).contains(&hashed), "{by_id} {hashed}");
    }

    proptest! {
        #[test]
        fn rounding_never_raises_a_probability_and_stays(exponent in -50.0..0.0f64) {
            let p = exponent.exp2();
            let threshold = Threshold::from_probability(p);
            let rounded = threshold.probability();
            prop_assert!(rounded > 0.0 && rounded <= p);
            prop_assert!(exponent < -40.0 || rounded >= p * (1.0 - 1.0 / 4096.0), "{} for {}", rounded, p);
            prop_assert_eq!(Threshold::from_probability(rounded), threshold);
            prop_assert_eq!(threshold.adjusted_count(), 1.0 / rounded);
        }

        #[test]
        fn a_weight_gives_its_threshold_back(exponent in -55.0..0.0f64, head in 0.001..1.0f64) {
            let threshold = Threshold::from_probability(exponent.exp2());
            let count = threshold.adjusted_count();
            prop_assert_eq!(Threshold::from_adjusted_count(count), Some(threshold));
            // As the sampler multiplies, and as it is taken apart again.
            let total = 1.0 / (head * threshold.probability());
            prop_assert_eq!(Threshold::near_probability(1.0 / head / total), threshold);
        }

        #[test]
        fn a_weight_that_no_threshold_gives_is_nearly_read_back(count in 1.0..1e6f64) {
            let back = Threshold::from_adjusted_count(count).unwrap().adjusted_count();
            prop_assert!((back / count - 1.0).abs() <= count / RANGE as f64 + f64::EPSILON, "{} for {}", back, count);
        }

        #[test]
        fn a_larger_probability_keeps_a_superset(a in 0.0..1.0f64, b in 0.0..1.0f64, bits in any::<u64>()) {
            let (low, high) = (Threshold::from_probability(a.min(b)), Threshold::from_probability(a.max(b)));
            let randomness = Randomness::new(bits);
            prop_assert!(high <= low);
            prop_assert!(!low.keeps(randomness) || high.keeps(randomness));
        }
    }
}
