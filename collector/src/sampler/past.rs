//! Recent ticks, and other policies tried on them.
//!
//! A dry run scores a copy: what it takes from the sampler is copied while that stands still, and ticks are shared.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use sampling::{Batch, Facts, Policy, Sampler, Score};

use super::policy::Revised;

/// What is kept for dry runs, 7 MB at most: an hour where traffic is slow.
const REMEMBERED_FACTS: usize = 50_000;
const REMEMBERED_TICKS: usize = 3_600;

#[derive(Debug, Clone)]
pub struct Tick {
    pub now_nanos: u64,
    pub tick_nanos: u64,
    pub facts: Vec<Facts>,
}

impl Tick {
    /// As many of its traces as there is room for, in the part of its time that they came in: the load stays what it was.
    fn within(mut self, max_facts: usize) -> Self {
        let all = self.facts.len();
        if all > max_facts {
            self.tick_nanos = (self.tick_nanos as f64 * (max_facts as f64 / all as f64)) as u64;
            self.facts.truncate(max_facts);
            self.facts.shrink_to_fit();
        }
        self
    }

    fn batch(&self) -> Batch<'_> {
        Batch { now_nanos: self.now_nanos, tick_nanos: self.tick_nanos, ripe: &self.facts }
    }
}

/// The last ticks, in order of time. Bounded.
#[derive(Debug, Clone, Default)]
pub struct Past {
    ticks: VecDeque<Arc<Tick>>,
    facts: usize,
}

impl Past {
    /// Puts ticks together as a budget would have, which waits so long for so many traces.
    pub fn remember(&mut self, tick: Tick, longest: Duration, enough_traces: usize) {
        let tick = tick.within(REMEMBERED_FACTS);
        let longest = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX);
        self.facts += tick.facts.len();
        match self.ticks.back_mut() {
            Some(last)
                if last.facts.len() < enough_traces
                    && last.facts.len() + tick.facts.len() <= REMEMBERED_FACTS
                    && last.tick_nanos.saturating_add(tick.tick_nanos) <= longest =>
            {
                // A dry run that has it goes on with the one it has.
                let last = Arc::make_mut(last);
                last.now_nanos = tick.now_nanos;
                last.tick_nanos += tick.tick_nanos;
                last.facts.extend(tick.facts);
            }
            _ => self.ticks.push_back(Arc::new(tick)),
        }
        while self.facts > REMEMBERED_FACTS || self.ticks.len() > REMEMBERED_TICKS {
            let Some(oldest) = self.ticks.pop_front() else { return };
            self.facts -= oldest.facts.len();
        }
    }
}

/// What two policies would have kept of the same traces.
#[derive(Debug, Clone, Copy, Default)]
pub struct Compared {
    pub tried: Score,
    pub in_force: Score,
}

/// A copy of what a dry run needs.
#[derive(Debug)]
pub struct Rehearsal {
    sampler: Sampler,
    in_force: Arc<Revised>,
    past: Past,
}

impl Rehearsal {
    pub fn new(sampler: Sampler, in_force: Arc<Revised>, past: Past) -> Self {
        Self { sampler, in_force, past }
    }

    /// What `policy` would have done with recent traces, and what the one in force would do with them.
    pub fn compare(&self, policy: Policy) -> Result<Compared, sampling::Error> {
        let score = |policy: Policy| self.sampler.preview(policy, self.past.ticks.iter().map(|tick| tick.batch()));
        let tried = score(policy)?;
        Ok(Compared { tried, in_force: score(self.in_force.policy.clone())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn tick(second: u64, traces: usize) -> Tick {
        let facts = (0..traces).map(|number| Facts {
            operation: 1,
            service: 2,
            cost: 1.0,
            randomness: sampling::Randomness::hashed(&u128::from(second * SECOND + number as u64).to_le_bytes()),
            ..Facts::default()
        });
        Tick { now_nanos: second * SECOND, tick_nanos: SECOND / 2, facts: facts.collect() }
    }

    fn remember(past: &mut Past, tick: Tick) {
        past.remember(tick, Duration::from_secs(1), 200);
    }

    /// How many ticks and traces there are.
    fn sizes(past: &Past) -> (usize, usize) {
        assert_eq!(past.facts, past.ticks.iter().map(|tick| tick.facts.len()).sum::<usize>());
        (past.ticks.len(), past.facts)
    }

    #[test]
    fn short_ticks_are_put_together_and_old_ones_go() {
        let mut past = Past::default();
        for second in 1..=4 {
            remember(&mut past, tick(second, 100));
        }
        assert_eq!(sizes(&past), (2, 400));
        remember(&mut past, tick(5, 49_700));
        assert_eq!(sizes(&past), (2, 49_900));
        for second in 6..10_000 {
            remember(&mut past, tick(second, 0));
        }
        assert_eq!(past.ticks.len(), REMEMBERED_TICKS);
    }

    #[test]
    fn a_tick_too_large_is_remembered_in_part_at_the_same_load() {
        for before in [10, 300] {
            let mut past = Past::default();
            remember(&mut past, tick(1, before));
            remember(&mut past, tick(2, 200_000));
            assert_eq!(sizes(&past), (1, REMEMBERED_FACTS), "behind {before} traces");
            assert_eq!(past.ticks[0].tick_nanos, SECOND / 8);
        }
    }

    #[test]
    fn a_dry_run_keeps_what_it_was_given_and_scores_both_policies() {
        let limited = Policy { budget: Some("50 spans/s".parse().unwrap()), ..Policy::default() };
        let mut past = Past::default();
        (1..=10).for_each(|second| remember(&mut past, tick(second, 100)));
        let in_force = Arc::new(Revised { policy: Policy::default(), revision: 0 });
        let rehearsal = Rehearsal::new(Sampler::new(Policy::default()).unwrap(), in_force, past.clone());
        remember(&mut past, tick(11, 150));
        remember(&mut past, tick(12, 150));
        let Compared { tried, in_force } = rehearsal.compare(limited).unwrap();
        let total = |counts: [u64; 5]| counts.iter().sum::<u64>();
        assert_eq!((total(tried.seen), total(in_force.seen), total(in_force.kept)), (1_000, 1_000, 1_000));
        assert!((100..500).contains(&total(tried.kept)), "{tried:?}");
        assert!(rehearsal.compare(Policy { diversity: f64::NAN, ..Policy::default() }).is_err());
    }
}
