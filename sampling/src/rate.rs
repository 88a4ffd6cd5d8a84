//! Counters that forget by half-lives, and the rates that follow from them.
//!
//! A counter is brought up to the time of the tick before it is read, so within a tick the decay is computed once. A clock
//! that is set back decays nothing, and from then on counts again.

use std::f64::consts::LN_2;

use crate::codec::{Reader, Writer};
use crate::error::Error;
use crate::math::exp2;

const NANOS: f64 = 1e9;

/// A half-life, and what turns a decayed count into a rate.
#[derive(Debug, Clone, Copy)]
pub struct HalfLife {
    nanos: f64,
    per_second: f64,
}

impl HalfLife {
    pub fn seconds(seconds: f64) -> Self {
        Self { nanos: seconds * NANOS, per_second: LN_2 / seconds }
    }

    /// What is left after `nanos`.
    pub fn left_after(self, nanos: u64) -> f64 {
        exp2(-(nanos as f64) / self.nanos)
    }

    /// Events per second for each counted event, when events have been counted for `age_nanos`. Corrects what a counter
    /// lacks because it has not run for long; without it everything looks rare after a start.
    pub fn rate_per_count(self, age_nanos: u64) -> f64 {
        self.per_second / (1.0 - self.left_after(age_nanos)).max(1e-9)
    }
}

/// A decayed number of events and sum of their costs.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Decayed {
    count: f64,
    cost: f64,
    at_nanos: u64,
}

impl Decayed {
    pub fn advance(&mut self, now_nanos: u64, half_life: HalfLife) {
        if now_nanos > self.at_nanos {
            let left = half_life.left_after(now_nanos - self.at_nanos);
            self.count *= left;
            self.cost *= left;
        }
        self.at_nanos = now_nanos;
    }

    pub fn add(&mut self, now_nanos: u64, half_life: HalfLife, cost: f64) {
        self.advance(now_nanos, half_life);
        self.count += 1.0;
        self.cost += cost;
    }

    /// As of the last [`Self::advance`].
    pub fn count(&self) -> f64 {
        self.count
    }

    pub fn count_at(&self, now_nanos: u64, half_life: HalfLife) -> f64 {
        self.count * half_life.left_after(now_nanos.saturating_sub(self.at_nanos))
    }

    /// 0 when nothing was counted.
    pub fn mean_cost(&self) -> f64 {
        if self.count > 0.0 { self.cost / self.count } else { 0.0 }
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.f64(self.count);
        out.f64(self.cost);
        out.u64(self.at_nanos);
    }

    pub(crate) fn read(input: &mut Reader) -> Result<Self, Error> {
        Ok(Self { count: input.amount()?, cost: input.amount()?, at_nanos: input.u64()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn halves_in_a_half_life_and_not_backwards() {
        let half_life = HalfLife::seconds(30.0);
        let mut counter = Decayed::default();
        counter.add(100 * SECOND, half_life, 8.0);
        counter.add(130 * SECOND, half_life, 2.0);
        assert_eq!((counter.count(), counter.mean_cost()), (1.5, 4.0));
        counter.advance(10 * SECOND, half_life);
        assert_eq!(counter.count(), 1.5);
        counter.advance(40 * SECOND, half_life);
        assert_eq!(counter.count(), 0.75);
    }

    #[test]
    fn a_steady_rate_is_found_at_any_age() {
        let half_life = HalfLife::seconds(30.0);
        let mut counter = Decayed::default();
        // 50 a second in ticks of 100 ms; the rate is right after 1 s already.
        for tick in 1..=6_000_u64 {
            for _ in 0..5 {
                counter.add(tick * SECOND / 10, half_life, 1.0);
            }
            let rate = counter.count() * half_life.rate_per_count(tick * SECOND / 10);
            assert!(tick < 10 || (rate / 50.0 - 1.0).abs() < 0.05, "{rate} after {tick} ticks");
        }
    }
}
