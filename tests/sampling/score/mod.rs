//! What an outcome is worth, against the truth. Figures are by name, units end the names; all of the judged part. What a
//! stream has nothing of has no figure: all of no failures is not a success.
//!
//! - `recall`: how much of what matters is kept.
//! - `reach`: how much of it the budget is enough for.
//! - `estimates`: rates, errors and quantiles by operation, and how right their intervals are.
//! - `strata`: the same weights after post-stratification.
//! - `exact`: what the metrics say.
//! - `burst`: what is spent, and when.

mod burst;
mod estimates;
mod exact;
mod reach;
mod recall;
mod strata;

pub use burst::burst;
pub use estimates::estimates;
pub use exact::exact;
pub use reach::reach;
pub use recall::recall;
pub use strata::post_stratified;

use std::collections::HashMap;

use crate::outcome::Outcome;
use crate::timeline::Timeline;
use crate::truth::Truth;
use crate::world::World;

pub type Figures = Vec<(String, f64)>;

fn figures<const N: usize>(figures: [(&str, f64); N]) -> Figures {
    let known = figures.into_iter().filter(|(_, value)| !value.is_nan());
    known.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// What all scores look at.
pub struct Judge<'a> {
    pub world: &'a World,
    pub truth: &'a Truth,
    /// As the digest has it: of traces without a root it is that of the topmost span.
    pub operations: Vec<u32>,
    pub services: Vec<u32>,
}

impl<'a> Judge<'a> {
    pub fn new(world: &'a World, truth: &'a Truth, timeline: &Timeline) -> Self {
        let mut operations = vec![0; world.traces.len()];
        let mut services = vec![0; world.traces.len()];
        let (mut operation_numbers, mut service_numbers) = (HashMap::new(), HashMap::new());
        for (facts, trace) in timeline.facts.iter().zip(&timeline.traces) {
            let next = operation_numbers.len() as u32;
            operations[*trace as usize] = *operation_numbers.entry(facts.operation).or_insert(next);
            let next = service_numbers.len() as u32;
            services[*trace as usize] = *service_numbers.entry(facts.service).or_insert(next);
        }
        Self { world, truth, operations, services }
    }

    /// Numbers of the traces that count.
    fn judged(&self) -> impl Iterator<Item = usize> + '_ {
        self.truth.traces.iter().enumerate().filter(|(_, known)| known.judged).map(|(at, _)| at)
    }

    /// Part of the budget that was used.
    pub fn use_of(&self, outcome: &Outcome, budget: f64) -> f64 {
        let cost = |at: usize| self.world.cost(&self.world.traces[at]);
        let kept: f64 = self.judged().filter(|at| outcome.kept[*at]).map(cost).sum();
        kept / (budget * self.world.base_cost_per_second() * f64::from(self.world.settings.seconds))
    }
}

/// The smallest value that at least a share `q` of all are not above; 0 without values.
pub fn quantile(values: &mut [f64], q: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (q * values.len() as f64).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// The same, and not a number without values.
fn known_quantile(values: &mut [f64], q: f64) -> f64 {
    if values.is_empty() { f64::NAN } else { quantile(values, q) }
}

/// The smallest value that at least a share `q` of all weight is not above.
fn weighted_quantile(values: &mut [(f64, f64)], q: f64) -> Option<f64> {
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    let wanted = q * values.iter().map(|(_, weight)| weight).sum::<f64>();
    let mut passed = 0.0;
    values.iter().find_map(|(value, weight)| {
        passed += weight;
        // Sums of floats: a billionth is nothing.
        (passed >= wanted * (1.0 - 1e-9)).then_some(*value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_none_of_has_no_figure() {
        let some = figures([("some", 1.0), ("none", known_quantile(&mut [], 0.5))]);
        assert_eq!(some, [("some".to_owned(), 1.0)]);
    }

    #[test]
    fn quantiles_are_values_that_were_seen() {
        let mut values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!([0.0, 0.5, 0.99, 1.0].map(|q| quantile(&mut values, q)), [1.0, 50.0, 99.0, 100.0]);
        assert_eq!(quantile(&mut [], 0.5), 0.0);
        let mut weighted = [(3.0, 1.0), (1.0, 98.0), (2.0, 1.0)];
        assert_eq!([0.5, 0.98, 0.99, 1.0].map(|q| weighted_quantile(&mut weighted, q)), [1.0, 1.0, 2.0, 3.0].map(Some));
        assert_eq!(weighted_quantile(&mut [], 0.5), None);
    }
}
