//! Samplers by key of Refinery 3.2.2: EMADynamic and EMAThroughput (dynsampler-go, `emasamplerate.go`, `emathroughput.go`,
//! `keyCalculation.go`).
//!
//! Every 15 s each key's count of spans goes into a moving average (weight 0.5; forgotten below 0.5). The goal is divided
//! among the keys by the logarithm of their average; what a key does not need goes to those after it. A key's rate is its
//! average over its goal, rounded up; a key without an average has rate 1; before the first interval everything has the
//! initial rate. When an interval has counted twice the sum of averages it ends at once, from the fourth on.
//!
//! The key is (operation, error, shape), more than a user can usually give it. A trace is decided 2 s after its root, else
//! 60 s after its first span, with a random number of the sampler's own.

use std::collections::{BTreeMap, HashMap};

use super::in_order;
use crate::outcome::Outcome;
use crate::random::{Random, mix};
use crate::truth::Truth;
use crate::world::World;

const INTERVAL_MILLIS: u32 = 15_000;
const WEIGHT: f64 = 0.5;
const AGE_OUT: f64 = 0.5;
const BURST_MULTIPLE: f64 = 2.0;
const BURST_DELAY: u32 = 3;
const AFTER_ROOT_MILLIS: u32 = 2_000;
const WAIT_MILLIS: u32 = 60_000;

#[derive(Debug, Clone, Copy)]
enum Goal {
    /// One of so many.
    Rate(f64),
    SpansPerInterval(f64),
}

#[derive(Debug)]
struct Ema {
    goal: Goal,
    initial_rate: f64,
    counts: HashMap<u64, f64>,
    averages: BTreeMap<u64, f64>,
    rates: HashMap<u64, f64>,
    counted: f64,
    burst_at: f64,
    intervals: u32,
    ends_millis: u32,
}

impl Ema {
    fn new(goal: Goal, initial_rate: f64) -> Self {
        Self {
            goal,
            initial_rate,
            counts: HashMap::new(),
            averages: BTreeMap::new(),
            rates: HashMap::new(),
            counted: 0.0,
            burst_at: 0.0,
            intervals: 0,
            ends_millis: INTERVAL_MILLIS,
        }
    }

    fn rate(&mut self, now_millis: u32, key: u64, spans: f64) -> f64 {
        while now_millis >= self.ends_millis {
            self.update();
            self.intervals += 1;
            self.ends_millis += INTERVAL_MILLIS;
        }
        *self.counts.entry(key).or_default() += spans;
        self.counted += spans;
        // The rate is read before the update that a burst asks for is done.
        let rate = if self.rates.is_empty() { self.initial_rate } else { self.rates.get(&key).copied().unwrap_or(1.0) };
        if self.burst_at > 0.0 && self.counted >= self.burst_at && self.intervals >= BURST_DELAY {
            self.update();
            self.ends_millis = now_millis + INTERVAL_MILLIS;
        }
        rate
    }

    fn update(&mut self) {
        let mut counts = std::mem::take(&mut self.counts);
        self.counted = 0.0;
        if counts.is_empty() {
            return;
        }
        for (key, average) in &mut self.averages {
            *average = WEIGHT * counts.remove(key).unwrap_or(0.0) + (1.0 - WEIGHT) * *average;
        }
        self.averages.extend(counts.into_iter().map(|(key, count)| (key, WEIGHT * count)));
        self.averages.retain(|_, average| *average >= AGE_OUT);
        let sum: f64 = self.averages.values().map(|average| average.max(1.0)).sum();
        self.burst_at = sum * BURST_MULTIPLE;
        let goal = match self.goal {
            Goal::Rate(rate) => sum / rate,
            Goal::SpansPerInterval(spans) => spans,
        };
        self.rates = rates(goal, &self.averages);
    }
}

fn rates(goal: f64, averages: &BTreeMap<u64, f64>) -> HashMap<u64, f64> {
    let log_sum: f64 = averages.values().map(|average| average.max(1.0).log10()).sum();
    let (mut extra, mut remaining) = (0.0, averages.len() as f64);
    let mut rates = HashMap::with_capacity(averages.len());
    for (key, average) in averages {
        let count = average.max(1.0);
        let share = extra / remaining;
        let goal = (count.log10() * goal / log_sum).max(1.0) + share;
        extra -= share;
        remaining -= 1.0;
        let rate = if count <= goal { 1.0 } else { (count / goal).ceil() };
        extra += goal - count / rate;
        rates.insert(*key, rate);
    }
    rates
}

pub fn dynamic(world: &World, truth: &Truth, budget: f64) -> Outcome {
    let rate = (1.0 / budget).round();
    run("ema_dynamic", world, truth, Ema::new(Goal::Rate(rate), rate))
}

pub fn throughput(world: &World, truth: &Truth, budget: f64, spans_per_second: f64) -> Outcome {
    let goal = Goal::SpansPerInterval(spans_per_second.round() * f64::from(INTERVAL_MILLIS) / 1_000.0);
    run("ema_throughput", world, truth, Ema::new(goal, (1.0 / budget).round()))
}

fn run(name: &'static str, world: &World, truth: &Truth, mut ema: Ema) -> Outcome {
    let mut out = Outcome::nothing(name, world.traces.len());
    let mut random = Random::stream(world.settings.seed, 11);
    let order = in_order(world, |trace| {
        let longest = trace.first_seen_millis + WAIT_MILLIS;
        trace.root_millis.map_or(longest, |root| (root + AFTER_ROOT_MILLIS).min(longest))
    });
    for (decided, at) in order {
        let trace = &world.traces[at];
        out.decided_millis[at] = decided;
        let shape = truth.traces[at].shape;
        let key = mix(u64::from(shape) << 32 | u64::from(trace.operation) << 1 | u64::from(trace.any_error));
        let rate = ema.rate(decided, key, f64::from(trace.spans));
        if random.chance(1.0 / rate) {
            out.keep(at, rate);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_by_hand() {
        // From `calculateSampleRates`: logarithms 1, 2, 3, so of 60 the keys are owed 10, 20, 30.
        let averages = |counts: &[f64]| (0..).zip(counts.iter().copied()).collect::<BTreeMap<u64, f64>>();
        let check = |goal, counts: &[f64], expected: &[f64]| {
            let found = rates(goal, &averages(counts));
            let found: Vec<f64> = (0..).take(expected.len()).map(|key| found[&key]).collect();
            assert_eq!(found, expected);
        };
        check(60.0, &[10.0, 100.0, 1_000.0], &[1.0, 5.0, 34.0]);
        // The first needs all of its 10; the second's 100/5 = 20 is all it is owed; ceil(1000/30) = 34.
        // Of 120: owed 20, 40, 60. The first leaves 10, of which the second gets 5: ceil(100/45) = 3, which leaves
        // 45 - 33.3 = 11.7 beside the other 5: ceil(1000/76.7) = 14.
        check(120.0, &[10.0, 100.0, 1_000.0], &[1.0, 3.0, 14.0]);
        // A key is owed at least one.
        check(2.0, &[1.0, 100.0], &[1.0, 50.0]);
    }

    #[test]
    fn averages_by_hand() {
        let mut ema = Ema::new(Goal::Rate(10.0), 10.0);
        // Before the first interval ends: the initial rate.
        assert_eq!(ema.rate(0, 1, 1_000.0), 10.0);
        assert_eq!(ema.rate(1, 2, 10.0), 10.0);
        // Averages 500 and 5, sum 505, goal 50.5; logarithms 2.699 and 0.699, so owed 40.1 and 10.4: rates 13 and 1.
        assert_eq!(ema.rate(15_000, 1, 1_000.0), 13.0);
        assert_eq!(ema.rate(15_001, 2, 0.0), 1.0);
        // Not seen before.
        assert_eq!(ema.rate(15_002, 3, 0.0), 1.0);
        assert_eq!(ema.averages[&1], 500.0);
        // 0.5 * 1000 + 0.5 * 500 = 750; the second halves to 2.5, the third is below 0.5 and forgotten.
        ema.rate(30_000, 1, 0.0);
        assert_eq!(ema.averages, BTreeMap::from([(1, 750.0), (2, 2.5)]));
    }

    #[test]
    fn a_burst_ends_the_interval_from_the_fourth_on() {
        let mut ema = Ema::new(Goal::SpansPerInterval(100.0), 10.0);
        for interval in 0..4 {
            ema.rate(interval * INTERVAL_MILLIS, 1, 1_000.0);
        }
        // Averages 500, 750, 875: the burst is at 1750 spans, of which 1000 are counted; rate ceil(875/100).
        assert_eq!(ema.rate(46_000, 1, 749.0), 9.0);
        assert_eq!(ema.rate(46_001, 1, 1.0), 9.0);
        // 0.5 * 1750 + 437.5.
        assert_eq!(ema.averages[&1], 1_312.5);
        assert_eq!(ema.rate(46_002, 1, 1.0), 14.0);
        assert_eq!(ema.ends_millis, 61_001);
    }
}
