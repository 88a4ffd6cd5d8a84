//! What is done when memory or CPU runs short, from the used share `u` of the budget of pending traces.
//!
//! | u | reaction |
//! |---|---|
//! | > 0.7 | waiting times shrink towards 2 s |
//! | > 0.85 | new traces with `R < T_pre` are not held; `p_pre` falls every 100 ms |
//! | > 0.95, or no CPU | `T_pre` is applied before decoding |
//! | >= 1 | requests are refused |
//!
//! # Invariants
//!
//! - A trace keeps the threshold that counted when its first span came: the caller remembers it and hands it back as
//!   [`crate::Facts::shed`]. The coin is that of the decision, so the probabilities combine by their minimum.
//! - Shedding always ends: below 0.85 the probability grows by 10 % a second until it is 1.

use crate::math::pow;
use crate::threshold::Threshold;

const SHRINK: f64 = 0.7;
const SHED: f64 = 0.85;
const BEFORE_DECODE: f64 = 0.95;
/// Decoding all again starts lower than it ended, or it would flap.
const DECODE_AGAIN: f64 = 0.9;
const AIM: f64 = 0.8;
const STEP_NANOS: u64 = 100_000_000;
const SHORTEST_NANOS: u64 = 2_000_000_000;
const RECOVERY_PER_SECOND: f64 = 1.1;
/// Waiting traces leave only after their grace, so a lower probability comes of impatience; then requests are refused.
const LEAST: f64 = 1.0 / 1024.0;
/// A pause of the caller is not recovery.
const MAX_PAUSE_NANOS: u64 = 1_000_000_000;

/// What to do until the next update.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reaction {
    /// New traces below are not held. [`Threshold::ALWAYS`] when nothing is shed.
    pub threshold: Threshold,
    /// Look at the id before decoding.
    pub before_decode: bool,
    pub refuse: bool,
    /// 1: wait as long as ever; 0: at most 2 s.
    grace: f64,
}

impl Reaction {
    /// How long to wait instead of `nanos`.
    pub fn shorten(&self, nanos: u64) -> u64 {
        let above = nanos.saturating_sub(SHORTEST_NANOS);
        nanos.min(SHORTEST_NANOS).saturating_add((above as f64 * self.grace) as u64)
    }
}

#[derive(Debug, Clone)]
pub struct Shed {
    probability: f64,
    before_decode: bool,
    /// Of the last step; `None` before the first.
    at_nanos: Option<u64>,
}

impl Default for Shed {
    fn default() -> Self {
        Self { probability: 1.0, before_decode: false, at_nanos: None }
    }
}

impl Shed {
    /// Goes on from where an earlier one was.
    pub fn from_probability(probability: f64) -> Self {
        let probability = if probability >= LEAST { probability.min(1.0) } else { LEAST };
        Self { probability, ..Self::default() }
    }

    /// `starved`: no CPU is left, whatever the memory.
    pub fn update(&mut self, now_nanos: u64, used_bytes: u64, limit_bytes: u64, starved: bool) -> Reaction {
        let used = used_bytes as f64 / limit_bytes.max(1) as f64;
        let pressure = if starved { used.max(BEFORE_DECODE + 0.01) } else { used };
        let elapsed = self.at_nanos.map_or(STEP_NANOS, |at| now_nanos.saturating_sub(at));
        if elapsed >= STEP_NANOS || self.at_nanos.is_some_and(|at| now_nanos < at) {
            self.at_nanos = Some(now_nanos);
            self.step(pressure, elapsed.clamp(STEP_NANOS, MAX_PAUSE_NANOS));
        }
        self.before_decode = pressure > BEFORE_DECODE || (self.before_decode && pressure > DECODE_AGAIN);
        Reaction {
            threshold: Threshold::from_probability(self.probability),
            before_decode: self.before_decode,
            refuse: used >= 1.0,
            grace: ((SHED - pressure) / (SHED - SHRINK)).clamp(0.0, 1.0),
        }
    }

    fn step(&mut self, pressure: f64, elapsed_nanos: u64) {
        let factor = if pressure > SHED {
            (AIM / pressure).clamp(0.5, 1.1)
        } else {
            pow(RECOVERY_PER_SECOND, elapsed_nanos as f64 / 1e9)
        };
        self.probability = (self.probability * factor).clamp(LEAST, 1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 1_000_000;

    fn at(shed: &mut Shed, step: u64, used: f64) -> Reaction {
        shed.update(1_000_000_000_000 + step * STEP_NANOS, (used * LIMIT as f64) as u64, LIMIT, false)
    }

    #[test]
    fn each_line_of_the_table() {
        let shed = || Shed::default();
        let calm = at(&mut shed(), 0, 0.7);
        assert_eq!((calm.threshold, calm.before_decode, calm.refuse), (Threshold::ALWAYS, false, false));
        assert_eq!((calm.shorten(30_000_000_000), calm.shorten(500_000_000)), (30_000_000_000, 500_000_000));
        let earlier = at(&mut shed(), 0, 0.775);
        assert_eq!(earlier.threshold, Threshold::ALWAYS);
        assert!(earlier.shorten(30_000_000_000).abs_diff(16_000_000_000) < 1_000, "{earlier:?}");
        let shedding = at(&mut shed(), 0, 0.9);
        assert_eq!(shedding.threshold, Threshold::from_probability(0.8 / 0.9));
        assert_eq!((shedding.shorten(30_000_000_000), shedding.before_decode), (2_000_000_000, false));
        assert!(at(&mut shed(), 0, 0.96).before_decode);
        assert!(at(&mut shed(), 0, 1.0).refuse);
        let starved = shed().update(0, 0, LIMIT, true);
        assert!(starved.before_decode && !starved.refuse && starved.threshold > Threshold::ALWAYS);
        assert!(shed().update(0, 0, 0, false).threshold == Threshold::ALWAYS);
    }

    #[test]
    fn probability_falls_each_step_and_recovers_by_ten_percent_a_second() {
        let mut shed = Shed::default();
        for step in 0..3 {
            at(&mut shed, step, 1.0);
            // A second reading in the same step changes nothing.
            at(&mut shed, step, 1.0);
        }
        assert!((shed.probability - 0.8f64.powi(3)).abs() < 1e-12);
        for step in 3..13 {
            at(&mut shed, step, 0.5);
        }
        assert!((shed.probability - 0.8f64.powi(3) * 1.1).abs() < 1e-9, "{}", shed.probability);
        // From the least to all in less than 80 s: it never stays.
        for step in 13..200 {
            at(&mut shed, step, 2.0);
        }
        assert_eq!(shed.probability, LEAST);
        for step in 200..1_000 {
            at(&mut shed, step, 0.5);
        }
        assert_eq!(shed.probability, 1.0);
    }

    #[test]
    fn memory_settles_below_its_limit_under_ten_times_the_load() {
        // Traces of 1000 bytes wait as long as they may, 3 s at most; a tenth of the load would fill half.
        let mut shed = Shed::default();
        let mut waiting: std::collections::VecDeque<(u64, f64)> = Default::default();
        let (mut used, mut worst) = (0.0, 0.0f64);
        for step in 0..1_200 {
            let reaction = at(&mut shed, step, used / LIMIT as f64);
            if !reaction.refuse {
                let held = 10.0 * 0.5 * LIMIT as f64 / 30.0 * reaction.threshold.probability();
                waiting.push_back((step, held));
                used += held;
            }
            while waiting.front().is_some_and(|(at, _)| step - at >= reaction.shorten(3_000_000_000) / STEP_NANOS) {
                used -= waiting.pop_front().map_or(0.0, |(_, held)| held);
            }
            worst = worst.max(used / LIMIT as f64);
        }
        // One step beyond the limit, since refusing begins only there.
        assert!(worst < 1.17, "{worst}");
        assert!((0.05..0.5).contains(&shed.probability), "{}", shed.probability);
    }
}
