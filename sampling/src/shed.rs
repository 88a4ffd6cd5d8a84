//! What is not held at all when memory runs short, from the used share of the budget of pending traces.
//!
//! Above 0.85 new traces with `R < T_pre` are not held, and `p_pre` falls every 100 ms towards what memory has room for. That traces
//! are decided earlier before, and requests refused behind, is the caller's.
//!
//! # Invariants
//!
//! - A trace keeps the threshold that counted when its first span came: the caller remembers it and hands it back as
//!   [`crate::Facts::shed`]. The coin is that of the decision, so the probabilities combine by their minimum.
//! - Shedding always ends: below 0.85 the probability grows by 10 % a second until it is 1.

use crate::math::pow;
use crate::threshold::Threshold;

const SHED: f64 = 0.85;
const AIM: f64 = 0.8;
const STEP_NANOS: u64 = 100_000_000;
const RECOVERY_PER_SECOND: f64 = 1.1;
/// Waiting traces leave only after their grace, so a lower probability comes of impatience; then requests are refused.
const LEAST: f64 = 1.0 / 1024.0;
/// A pause of the caller is not recovery.
const MAX_PAUSE_NANOS: u64 = 1_000_000_000;

#[derive(Debug, Clone)]
pub struct Shed {
    probability: f64,
    /// Of the last step; `None` before the first.
    at_nanos: Option<u64>,
}

impl Default for Shed {
    fn default() -> Self {
        Self { probability: 1.0, at_nanos: None }
    }
}

impl Shed {
    /// Goes on from where an earlier one was.
    pub fn from_probability(probability: f64) -> Self {
        let probability = if probability >= LEAST { probability.min(1.0) } else { LEAST };
        Self { probability, ..Self::default() }
    }

    /// Below what new traces are not held until the next update: [`Threshold::ALWAYS`] when nothing is shed.
    pub fn update(&mut self, now_nanos: u64, used_bytes: u64, limit_bytes: u64) -> Threshold {
        let pressure = used_bytes as f64 / limit_bytes.max(1) as f64;
        let elapsed = self.at_nanos.map_or(STEP_NANOS, |at| now_nanos.saturating_sub(at));
        if elapsed >= STEP_NANOS || self.at_nanos.is_some_and(|at| now_nanos < at) {
            self.at_nanos = Some(now_nanos);
            self.step(pressure, elapsed.clamp(STEP_NANOS, MAX_PAUSE_NANOS));
        }
        Threshold::from_probability(self.probability)
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

    fn at(shed: &mut Shed, step: u64, used: f64) -> Threshold {
        shed.update(1_000_000_000_000 + step * STEP_NANOS, (used * LIMIT as f64) as u64, LIMIT)
    }

    #[test]
    fn nothing_is_shed_while_there_is_room() {
        for (used, expected) in [(0.0, 1.0), (0.7, 1.0), (0.85, 1.0), (0.9, 0.8 / 0.9), (1.0, 0.8), (10.0, 0.5)] {
            assert_eq!(at(&mut Shed::default(), 0, used), Threshold::from_probability(expected), "{used}");
        }
        assert_eq!(Shed::default().update(0, 0, 0), Threshold::ALWAYS);
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
        // Traces of 1000 bytes wait for 2 s, as they do under pressure; a tenth of the load would fill half in 30 s.
        const WAIT_STEPS: u64 = 20;
        let mut shed = Shed::default();
        let mut waiting: std::collections::VecDeque<(u64, f64)> = Default::default();
        let (mut used, mut worst) = (0.0, 0.0f64);
        for step in 0..1_200 {
            let threshold = at(&mut shed, step, used / LIMIT as f64);
            // What is full refuses.
            if used < LIMIT as f64 {
                let held = 10.0 * 0.5 * LIMIT as f64 / 30.0 * threshold.probability();
                waiting.push_back((step, held));
                used += held;
            }
            while waiting.front().is_some_and(|(at, _)| step - at >= WAIT_STEPS) {
                used -= waiting.pop_front().map_or(0.0, |(_, held)| held);
            }
            worst = worst.max(used / LIMIT as f64);
        }
        // One step beyond the limit, since refusing begins only there.
        assert!(worst < 1.17, "{worst}");
        assert!((0.05..0.5).contains(&shed.probability), "{}", shed.probability);
    }
}
