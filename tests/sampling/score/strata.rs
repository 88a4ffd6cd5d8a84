//! Post-stratification: weights are scaled until their sum is the count of the digest, in each stratum of (operation, class,
//! minute). What has no kept trace is stood for by its (operation, class), then by its operation, then by its service.

use std::collections::HashMap;
use std::hash::Hash;

use super::Judge;
use crate::outcome::Outcome;

const MINUTE_MILLIS: u32 = 60_000;

pub fn post_stratified(judge: &Judge, outcome: &Outcome) -> Vec<f64> {
    let mut weights = outcome.weights.clone();
    let judged: Vec<usize> = judge.judged().collect();
    let minute = |at: usize| judge.world.traces[at].began_millis / MINUTE_MILLIS;
    scale(&mut weights, &judged, |at| (judge.operations[at], outcome.classes[at], minute(at)));
    scale(&mut weights, &judged, |at| (judge.operations[at], outcome.classes[at]));
    scale(&mut weights, &judged, |at| judge.operations[at]);
    scale(&mut weights, &judged, |at| judge.services[at]);
    weights
}

/// Makes the weights of each stratum sum up to its traces, where any is kept.
fn scale<K: Eq + Hash>(weights: &mut [f64], judged: &[usize], stratum: impl Fn(usize) -> K) {
    let mut sums: HashMap<K, (f64, f64)> = HashMap::new();
    for at in judged {
        let (count, sum) = sums.entry(stratum(*at)).or_default();
        *count += 1.0;
        *sum += weights[*at];
    }
    for at in judged {
        if let Some((count, sum)) = sums.get(&stratum(*at)).filter(|(_, sum)| *sum > 0.0) {
            weights[*at] *= count / sum;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_kept_trace_is_stood_for_by_the_next_larger() {
        let mut weights = [4.0, 0.0, 0.0, 10.0, 0.0];
        let judged = [0, 1, 2, 3, 4];
        // Strata {0, 1}, {2}, {3, 4}; operations {0, 1, 2} and {3, 4}.
        scale(&mut weights, &judged, |at| [0, 0, 1, 2, 2][at]);
        assert_eq!(weights, [2.0, 0.0, 0.0, 2.0, 0.0]);
        scale(&mut weights, &judged, |at| at / 3);
        assert_eq!(weights, [3.0, 0.0, 0.0, 2.0, 0.0]);
    }
}
