//! Rates, errors and quantiles by operation; counts by an attribute that no sampler looks at; how often an interval of 95 %
//! holds the truth. Spans of a trace share one coin, so sums are taken by trace first.

use std::collections::HashMap;

use super::{Figures, Judge, figures, known_quantile, quantile, weighted_quantile};

const MIN_TRACES: usize = 50;
const MIN_FAILED: usize = 10;
/// Ten are above the p99.
const MIN_FOR_QUANTILES: usize = 1_000;
const MIN_N_EFF: f64 = 30.0;
/// One of fewer is more than all that may be wrong.
const MIN_INTERVALS: f64 = 20.0;
const Z: f64 = 1.96;

/// An estimate of a sum over traces, beside the truth.
#[derive(Default)]
struct Sum {
    truth: f64,
    estimate: f64,
    variance: f64,
    weights: f64,
    squares: f64,
    /// Sum of the squares of what the variance is a sum of.
    squared_variances: f64,
}

impl Sum {
    fn add(&mut self, weight: f64, value: f64) {
        self.truth += value;
        if weight > 0.0 && value != 0.0 {
            self.estimate += weight * value;
            let variance = weight * (weight - 1.0) * value * value;
            self.variance += variance;
            self.squared_variances += (1.0 - 1.0 / weight) * variance * variance;
            self.weights += weight;
            self.squares += weight * weight;
        }
    }

    fn error_percent(&self) -> f64 {
        100.0 * (self.estimate / self.truth - 1.0).abs()
    }

    /// Of Student's t, with Satterthwaite's degrees of freedom, by the expansion of Cornish and Fisher: a variance that few
    /// heavy traces make is itself uncertain. As SQL gives its intervals.
    fn student(&self) -> f64 {
        let freedom = (2.0 * self.variance * self.variance / self.squared_variances).max(1.0);
        let (cubed, fifth) = (Z.powi(3), Z.powi(5));
        Z + (cubed + Z) / (4.0 * freedom) + (5.0 * fifth + 16.0 * cubed + 3.0 * Z) / (96.0 * freedom * freedom)
    }

    /// Whether the interval holds the truth; `None` where there is none to give.
    fn covers(&self) -> Option<bool> {
        let n_eff = self.weights * self.weights / self.squares;
        // What is certain has no interval.
        if n_eff.is_nan() || n_eff < MIN_N_EFF || self.variance <= 0.0 {
            return None;
        }
        let wide = (self.student() * self.variance.sqrt() / self.estimate).exp();
        Some((self.estimate / wide..=self.estimate * wide).contains(&self.truth))
    }
}

pub fn estimates(judge: &Judge, weights: &[f64]) -> Figures {
    let mut traces: HashMap<u32, (usize, Sum)> = HashMap::new();
    let mut failed: HashMap<u32, (usize, Sum)> = HashMap::new();
    // Spans by tenant, by tenant and a tenth of the operations, and spans with an error by tenant.
    let mut asked: HashMap<(u8, u32), Sum> = HashMap::new();
    let mut durations: HashMap<u16, Vec<(f64, f64)>> = HashMap::new();
    for at in judge.judged() {
        let (trace, operation, weight) = (&judge.world.traces[at], judge.operations[at], weights[at]);
        let count = |of: &mut HashMap<u32, (usize, Sum)>, value: f64| {
            let (seen, sum) = of.entry(operation).or_default();
            *seen += usize::from(value > 0.0);
            sum.add(weight, value);
        };
        count(&mut traces, 1.0);
        count(&mut failed, f64::from(u8::from(trace.failed)));
        let spans = f64::from(trace.spans);
        asked.entry((0, trace.tenant.into())).or_default().add(weight, spans);
        asked
            .entry((1, u32::from(trace.tenant) << 8 | u32::from(trace.operation % 10)))
            .or_default()
            .add(weight, spans);
        let errors = judge.world.spans(trace).iter().filter(|span| span.error).count() as f64;
        asked.entry((2, trace.tenant.into())).or_default().add(weight, errors);
        if trace.root_millis.is_some() {
            let durations = durations.entry(trace.operation).or_default();
            durations.push((f64::from(trace.duration_micros), weight));
        }
    }
    let frequent = |of: &HashMap<u32, (usize, Sum)>, least: usize| -> Vec<f64> {
        of.values().filter(|(seen, _)| *seen >= least).map(|(_, sum)| sum.error_percent()).collect()
    };
    let mut rates = frequent(&traces, MIN_TRACES);
    let mut failures = frequent(&failed, MIN_FAILED);
    let mut tenants: Vec<f64> =
        asked.iter().filter(|((kind, _), _)| *kind == 0).map(|(_, sum)| sum.error_percent()).collect();
    let (held, given) = coverage(traces.values().map(|(_, sum)| sum).chain(asked.values()));
    let mut errors: [Vec<f64>; 3] = Default::default();
    for durations in durations.values_mut().filter(|durations| durations.len() >= MIN_FOR_QUANTILES) {
        let mut all: Vec<f64> = durations.iter().map(|(duration, _)| *duration).collect();
        let mut kept: Vec<(f64, f64)> = durations.iter().filter(|(_, weight)| *weight > 0.0).copied().collect();
        for (q, errors) in [0.5, 0.95, 0.99].into_iter().zip(&mut errors) {
            let truth = quantile(&mut all, q);
            let found = weighted_quantile(&mut kept, q).unwrap_or(0.0);
            errors.push(100.0 * (found / truth - 1.0).abs());
        }
    }
    let [p50, p95, p99] = &mut errors;
    figures([
        ("rate_error_median_percent", known_quantile(&mut rates, 0.5)),
        ("rate_error_p95_percent", known_quantile(&mut rates, 0.95)),
        ("error_count_error_median_percent", known_quantile(&mut failures, 0.5)),
        ("error_count_error_p95_percent", known_quantile(&mut failures, 0.95)),
        ("p50_error_median_percent", known_quantile(p50, 0.5)),
        ("p50_error_p95_percent", known_quantile(p50, 0.95)),
        ("p95_error_median_percent", known_quantile(p95, 0.5)),
        ("p95_error_p95_percent", known_quantile(p95, 0.95)),
        ("p99_error_median_percent", known_quantile(p99, 0.5)),
        ("p99_error_p95_percent", known_quantile(p99, 0.95)),
        ("adhoc_count_error_median_percent", known_quantile(&mut tenants, 0.5)),
        ("adhoc_count_error_p95_percent", known_quantile(&mut tenants, 0.95)),
        ("interval_coverage_percent", if given < MIN_INTERVALS { f64::NAN } else { 100.0 * held / given }),
        ("intervals_given", given),
    ])
}

fn coverage<'a>(sums: impl Iterator<Item = &'a Sum>) -> (f64, f64) {
    sums.filter_map(Sum::covers)
        .fold((0.0, 0.0), |(held, given), holds| (held + f64::from(u8::from(holds)), given + 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn nineteen_of_twenty_intervals_hold_the_truth() {
        let mut random = Random::new(1);
        let mut sums = Vec::new();
        for _ in 0..2_000 {
            let mut sum = Sum::default();
            for trace in 0..2_000 {
                let p = if trace % 4 == 0 { 1.0 } else { 0.1 };
                let weight = if random.chance(p) { 1.0 / p } else { 0.0 };
                sum.add(weight, random.between(1.0, 20.0));
            }
            sums.push(sum);
        }
        let (held, given) = coverage(sums.iter());
        assert_eq!(given, 2_000.0);
        assert!((0.935..0.965).contains(&(held / given)), "{}", held / given);
    }

    #[test]
    fn too_few_have_no_interval() {
        let mut sum = Sum::default();
        (0..29).for_each(|_| sum.add(10.0, 1.0));
        assert_eq!(sum.covers(), None);
        sum.add(10.0, 1.0);
        assert_eq!(sum.covers(), Some(false));
        assert!(sum.error_percent() == 900.0);
    }
}
