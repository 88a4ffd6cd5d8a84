//! Weighted sums against the truth. Seeds are 0 to N-1 and named on failure.

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
        assert!(z.abs() < 3.0, "{what}: bias {mean}, z {z}, seeds 0..{n}");
    }
}

/// Weighted against true: traces, spans, failed traces, spans of the rarest third of operations.
fn errors(seeds: u64, sampler: impl Fn() -> Sampler, arrive: impl Fn(&mut Random, Facts) -> Option<Facts>) {
    let mut errors: [Errors; 4] = Default::default();
    for seed in 0..seeds {
        let mut sampler = sampler();
        let mut random = Random(seed);
        let (mut truth, mut estimate) = ([0.0; 4], [0.0; 4]);
        for tick in 1..=40 {
            let mut ripe = Vec::new();
            for _ in 0..100 {
                let facts = trace(&mut random);
                let amounts = amounts(&facts);
                truth.iter_mut().zip(amounts).for_each(|(sum, amount)| *sum += amount);
                ripe.extend(arrive(&mut random, facts));
            }
            let verdicts = sampler.tick(START + tick * SECOND / 4, SECOND / 4, &ripe);
            for (facts, verdict) in ripe.iter().zip(verdicts).filter(|(_, verdict)| verdict.keep) {
                let weight = verdict.adjusted_count.unwrap();
                estimate.iter_mut().zip(amounts(facts)).for_each(|(sum, amount)| *sum += weight * amount);
            }
        }
        for ((errors, estimate), truth) in errors.iter_mut().zip(estimate).zip(truth) {
            errors.0.push(estimate / truth - 1.0);
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

#[test]
fn weighted_sums_are_unbiased() {
    errors(200, || sampler("300 spans/s"), |_, facts| Some(facts));
}

#[test]
fn weighted_sums_are_unbiased_when_the_must_tier_is_thinned() {
    errors(100, || sampler("60 spans/s"), |_, facts| Some(facts));
}

#[test]
fn weighted_sums_are_unbiased_behind_a_ratio() {
    let half =
        |random: &mut Random, facts: Facts| (random.unit() < 0.5).then_some(Facts { head: Head::Ratio(0.5), ..facts });
    errors(200, || sampler("300 spans/s"), half);
}

#[test]
fn weighted_sums_are_unbiased_behind_a_threshold() {
    // Half of the operations are sampled at the source, at 30 %.
    let third = Threshold::from_probability(0.3);
    let some = |_: &mut Random, facts: Facts| {
        if facts.operation.is_multiple_of(2) {
            return Some(facts);
        }
        third.keeps(facts.randomness).then_some(Facts { head: Head::Threshold(third), ..facts })
    };
    errors(200, || sampler("300 spans/s"), some);
}

#[test]
fn weighted_sums_are_unbiased_under_shedding() {
    let shed = Threshold::from_probability(0.4);
    let some = |_: &mut Random, facts: Facts| shed.keeps(facts.randomness).then_some(Facts { shed, ..facts });
    errors(200, || sampler("300 spans/s"), some);
}
