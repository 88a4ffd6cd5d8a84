//! The hard cap: where chance kept more than the tick has room for, the probability of all is lowered.
//!
//! Kept traces are taken in order of `r = u / (w * tau)`, the price factor at which they would just be kept. The factor that
//! cuts is the `r` of the first that does not fit: with the last that fits, weights would be too small by one trace
//! (adaptive threshold sampling: Ting, arXiv 1708.04970).
//!
//! The first always fits. Otherwise a trace larger than the room could never be kept, so nothing would stand for it; what it
//! takes too much is a debt.

use crate::threshold::Randomness;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Candidate {
    /// `r`, at most 1 for what was kept.
    pub factor: f64,
    pub randomness: Randomness,
    pub cost: f64,
}

/// The factor that brings `candidates` down to `room`, or to one of them; `None` if they fit.
pub(crate) fn cut(candidates: &mut [Candidate], room: f64) -> Option<f64> {
    if candidates.iter().map(|candidate| candidate.cost).sum::<f64>() <= room {
        return None;
    }
    candidates.sort_unstable_by(|a, b| {
        a.factor.total_cmp(&b.factor).then(b.randomness.cmp(&a.randomness)).then(a.cost.total_cmp(&b.cost))
    });
    let mut used = 0.0;
    let first_excluded = candidates.iter().enumerate().find(|(at, candidate)| {
        used += candidate.cost;
        *at > 0 && used > room
    });
    first_excluded.map(|(_, candidate)| candidate.factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(costs: &[(f64, f64)], room: f64, expected: Option<f64>) {
        let mut candidates: Vec<Candidate> = costs
            .iter()
            .map(|(factor, cost)| Candidate { factor: *factor, randomness: Randomness::default(), cost: *cost })
            .collect();
        assert_eq!(cut(&mut candidates, room), expected);
    }

    #[test]
    fn cuts_at_the_first_that_does_not_fit() {
        check(&[], 0.0, None);
        check(&[(0.5, 10.0), (0.2, 10.0)], 20.0, None);
        check(&[(0.5, 10.0), (0.2, 10.0), (0.9, 1.0)], 20.0, Some(0.9));
        // What comes after it might fit, but its probability has fallen too.
        check(&[(0.1, 5.0), (0.5, 100.0), (0.7, 1.0)], 20.0, Some(0.5));
    }

    #[test]
    fn the_first_fits_whatever_its_size() {
        check(&[(0.1, 100.0)], 20.0, None);
        check(&[(0.1, 100.0)], -20.0, None);
        check(&[(0.5, 1.0), (0.1, 100.0)], 20.0, Some(0.5));
        check(&[(0.1, 1.0), (0.2, 1.0), (0.3, 1.0)], -20.0, Some(0.2));
    }
}
