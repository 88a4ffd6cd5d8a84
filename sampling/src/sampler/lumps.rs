//! Lumps: exporters send every five seconds, so what fails or is slow comes many at a time, and a tick has room for its mean.
//! What goes beyond that may wait for a later tick, as long as the policy's `cap.wait_seconds`. Which waits follows from
//! when it was ripe and from what is known of it, never from its randomness.

use super::Sampler;
use crate::class::{Facts, Priority};

/// The part of a tick's budget that is decided of what must be kept. The others need the rest, and ticks differ.
const OF_A_TICK: f64 = 0.7;

/// A ripe trace.
#[derive(Debug, Clone, Copy)]
pub struct Ripe<'a> {
    pub facts: &'a Facts,
    /// How long it has been ripe.
    pub waited_nanos: u64,
}

impl Sampler {
    /// Which of `ripe` had better be decided by the next tick, if they are given in the order in which they were ripe. None has
    /// waited longer than the policy's `cap.wait_seconds` then, where ticks are as long as this one. Nothing is counted.
    pub fn postponed(&mut self, now_nanos: u64, tick_nanos: u64, ripe: &[Ripe<'_>]) -> Vec<bool> {
        let longest_nanos = (self.policy.cap.wait_seconds * 1e9) as u64;
        let tick_nanos = tick_nanos.clamp(super::MIN_TICK_NANOS, super::MAX_TICK_NANOS);
        // In longer ticks nobody can wait for the next.
        let Some(budget) = self.policy.budget.as_ref().filter(|_| tick_nanos <= longest_nanos) else {
            return vec![false; ripe.len()];
        };
        let mut left = OF_A_TICK * budget.per_second() * tick_nanos as f64 / 1e9;
        let postponed = ripe.iter().map(|ripe| {
            let facts = ripe.facts;
            if !self.must_keep(now_nanos, facts) {
                return false;
            }
            let waits = left <= 0.0 && ripe.waited_nanos.saturating_add(tick_nanos) <= longest_nanos;
            left -= if waits { 0.0 } else { facts.cost };
            waits
        });
        postponed.collect()
    }

    /// As far as that can be said before the trace is counted.
    fn must_keep(&mut self, now_nanos: u64, facts: &Facts) -> bool {
        let is_slow = |sampler: &mut Self| {
            let slow_root = facts.root_duration_nanos.is_some_and(|duration_nanos| {
                sampler.seen.is_slow_root(now_nanos, facts.operation, facts.service, duration_nanos)
            });
            slow_root || facts.slow_span
        };
        facts.priority != Priority::Drop && (facts.root_failed || facts.entry_failed || is_slow(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;

    const SECOND: u64 = 1_000_000_000;

    fn failed(cost: f64) -> Facts {
        Facts { root_failed: true, cost, ..Facts::default() }
    }

    #[track_caller]
    fn check(budget: Option<&str>, ripe: &[(Facts, u64)], expected: &[bool]) {
        let policy = Policy { budget: budget.map(|budget| budget.parse().unwrap()), ..Policy::default() };
        let ripe: Vec<Ripe> =
            ripe.iter().map(|(facts, millis)| Ripe { facts, waited_nanos: millis * 1_000_000 }).collect();
        let mut sampler = Sampler::new(policy).unwrap();
        let before = sampler.export();
        assert_eq!(sampler.postponed(100 * SECOND, SECOND / 10, &ripe), expected);
        assert_eq!(sampler.export(), before, "nothing is counted");
    }

    #[test]
    fn what_a_tick_has_no_budget_for_waits() {
        // 70 of the 100 spans of a tick: the third begins within them.
        let lump = [(failed(30.0), 300), (failed(30.0), 100), (failed(30.0), 0), (failed(30.0), 0), (failed(1.0), 0)];
        check(Some("1000 spans/s"), &lump, &[false, false, false, true, true]);
        check(Some("10000 spans/s"), &lump, &[false; 5]);
        check(None, &lump, &[false; 5]);
    }

    #[test]
    fn nobody_waits_too_long_and_only_what_must_be_kept_waits() {
        let (large, ordinary) = (failed(1e6), Facts { cost: 1e6, ..Facts::default() });
        let out = Facts { priority: Priority::Drop, ..large };
        let ripe = [(large, 0), (large, 700), (large, 701), (ordinary, 0), (out, 0)];
        check(Some("1000 spans/s"), &ripe, &[false, true, false, false, false]);
    }
}
