//! Weighted sums against the truth. Seeds are from 0 on.

use super::world::*;
use crate::class::{Facts, Head};
use crate::sampler::Sampler;
use crate::threshold::Threshold;

/// Relative errors of one quantity over seeds.
#[derive(Default)]
struct Errors(Vec<f64>);

impl Errors {
    fn check(&self, what: &str) {
        let n = self.0.len() as f64;
        let mean = self.0.iter().sum::<f64>() / n;
        let variance = self.0.iter().map(|error| (error - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let z = mean / (variance / n).sqrt().max(1e-12);
        println!(
            "{what}: bias {:+.3} % of +-{:.2} % a seed, z {z:+.2}, {n} seeds",
            100.0 * mean,
            100.0 * variance.sqrt()
        );
        // Many quantities are looked at: of few seeds one exceeds 3 by chance now and then.
        let bound = if n < 2_000.0 { 4.0 } else { 3.0 };
        assert!(z.abs() < bound, "{what}: bias {mean}, z {z}, seeds 0..{n}");
    }
}

/// How often, and in what ticks.
#[derive(Clone, Copy)]
struct Runs {
    seeds: u64,
    ticks: u64,
    tick_nanos: u64,
    /// What comes within a tick.
    come: fn(&mut Random) -> Vec<Facts>,
}

/// Ticks of 100 traces in a quarter of a second.
fn even(seeds: u64) -> Runs {
    let come = |random: &mut Random| (0..100).map(|_| trace(random)).collect();
    Runs { seeds, ticks: 40, tick_nanos: SECOND / 4, come }
}

/// Weighted against true: traces, spans, failed traces, spans of the rarest third of operations.
fn errors(runs: Runs, sampler: impl Fn() -> Sampler, arrive: impl Fn(&mut Random, Facts) -> Option<Facts>) {
    let mut errors: [Errors; 4] = Default::default();
    for seed in 0..runs.seeds {
        let mut sampler = sampler();
        let mut random = Random(seed);
        let (mut truth, mut estimate) = ([0.0; 4], [0.0; 4]);
        for tick in 1..=runs.ticks {
            let mut ripe = Vec::new();
            for facts in (runs.come)(&mut random) {
                let amounts = amounts(&facts);
                truth.iter_mut().zip(amounts).for_each(|(sum, amount)| *sum += amount);
                ripe.extend(arrive(&mut random, facts));
            }
            let verdicts = sampler.tick(START + tick * runs.tick_nanos, runs.tick_nanos, &ripe);
            for (facts, verdict) in ripe.iter().zip(verdicts).filter(|(_, verdict)| verdict.keep) {
                let weight = verdict.adjusted_count.unwrap();
                estimate.iter_mut().zip(amounts(facts)).for_each(|(sum, amount)| *sum += weight * amount);
            }
        }
        for ((errors, estimate), truth) in errors.iter_mut().zip(estimate).zip(truth) {
            // Of what did not come there is no error either.
            if truth > 0.0 {
                errors.0.push(estimate / truth - 1.0);
            }
        }
    }
    for (errors, what) in errors.iter().zip(["traces", "spans", "failed", "rare operations"]) {
        errors.check(what);
    }
}

fn amounts(facts: &Facts) -> [f64; 4] {
    let failed = if facts.root_failed { 1.0 } else { 0.0 };
    let rare = if facts.operation > 26 { facts.cost } else { 0.0 };
    [1.0, facts.cost, failed, rare]
}

fn unsampled(runs: Runs, budget: &str) {
    errors(runs, || sampler(budget), |_, facts| Some(facts));
}

fn behind_a_ratio(runs: Runs) {
    let half =
        |random: &mut Random, facts: Facts| (random.unit() < 0.5).then_some(Facts { head: Head::Ratio(0.5), ..facts });
    errors(runs, || sampler("300 spans/s"), half);
}

/// Half of the operations are sampled at the source, at 30 %.
fn behind_a_threshold(runs: Runs) {
    let third = Threshold::from_probability(0.3);
    let some = |_: &mut Random, facts: Facts| {
        if facts.operation.is_multiple_of(2) {
            return Some(facts);
        }
        third.keeps(facts.randomness).then_some(Facts { head: Head::Threshold(third), ..facts })
    };
    errors(runs, || sampler("300 spans/s"), some);
}

fn under_shedding(runs: Runs) {
    let shed = Threshold::from_probability(0.4);
    let some = |_: &mut Random, facts: Facts| shed.keeps(facts.randomness).then_some(Facts { shed, ..facts });
    errors(runs, || sampler("300 spans/s"), some);
}

/// Traces of up to 1024 spans in ticks that may keep 30.
fn short_and_uneven(seeds: u64) -> Runs {
    let come = |random: &mut Random| {
        let number = 1 + (random.unit() * 10.0) as u64;
        (0..number).map(|_| uneven(random)).collect()
    };
    Runs { seeds, ticks: 40, tick_nanos: SECOND / 10, come }
}

#[test]
fn weighted_sums_are_unbiased() {
    unsampled(even(200), "300 spans/s");
}

#[test]
fn weighted_sums_are_unbiased_when_the_must_tier_is_thinned() {
    unsampled(even(100), "60 spans/s");
}

#[test]
fn weighted_sums_are_unbiased_behind_a_ratio() {
    behind_a_ratio(even(200));
}

#[test]
fn weighted_sums_are_unbiased_behind_a_threshold() {
    behind_a_threshold(even(200));
}

#[test]
fn weighted_sums_are_unbiased_under_shedding() {
    under_shedding(even(200));
}

#[test]
fn weighted_sums_are_unbiased_in_short_uneven_ticks() {
    unsampled(short_and_uneven(2_000), "300 spans/s");
}

#[test]
#[ignore = "takes minutes: cargo test --release -p sampling --lib -- --ignored --nocapture"]
fn weighted_sums_are_unbiased_over_thousands_of_seeds() {
    unsampled(even(8_000), "300 spans/s");
    behind_a_ratio(even(8_000));
    behind_a_threshold(even(8_000));
    under_shedding(even(8_000));
    unsampled(short_and_uneven(8_000), "300 spans/s");
    unsampled(even(2_000), "60 spans/s");
}

#[test]
fn a_sudden_flood_of_a_hundred_budgets_is_counted_right() {
    // A sampler that knows nothing, and in 5 s what its budget would keep in ten minutes.
    let (throws, mut sum, mut squares, mut kept) = (3_000, 0.0, 0.0, 0);
    for seed in 0..throws {
        let mut sampler = sampler("60 spans/s");
        let mut random = Random(seed);
        let mut estimate = 0.0;
        for tick in 1..=50 {
            let ripe: Vec<Facts> = (0..60).map(|_| trace(&mut random)).collect();
            for verdict in sampler.tick(START + tick * SECOND / 10, SECOND / 10, &ripe) {
                estimate += verdict.adjusted_count.filter(|_| verdict.keep).unwrap_or(0.0);
                kept += u32::from(verdict.keep);
            }
        }
        sum += estimate;
        squares += estimate * estimate;
    }
    let n = throws as f64;
    let mean = sum / n;
    let error = ((squares / n - mean * mean) / n).sqrt();
    println!("{mean:.0} of 3000 traces are estimated, +- {error:.0}; {:.1} are kept", f64::from(kept) / n);
    assert!((mean - 3_000.0).abs() < 4.0 * error && error < 300.0, "{mean} +- {error}");
}
