//! A trace within a tick: what was found out about it, and the verdict that follows from the prices.

use super::seen::Place;
use super::verdict::Verdict;
use crate::class::{Class, Facts, Head, KeepReason};
use crate::threshold::Threshold;

/// A trace within a tick.
#[derive(Debug, Clone, Copy)]
pub(super) struct Work {
    pub place: Place,
    pub class: Class,
    pub reason: KeepReason,
    /// Kept for certain, because a client's wish was granted.
    pub granted: bool,
    /// The root is slow, not just a span.
    pub slow_root: bool,
    pub cost: f64,
    /// What the price is multiplied with to give the probability on our coin.
    pub lever: f64,
    /// What survived on our coin before.
    pub survived: f64,
}

impl Work {
    /// On our coin.
    fn probability(&self, prices: &Prices) -> f64 {
        let tau = prices.of(self.class);
        if self.granted || tau == f64::INFINITY { 1.0 } else { (self.lever * tau).min(1.0) }
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Prices {
    pub must: f64,
    pub rest: f64,
}

impl Prices {
    pub fn of(&self, class: Class) -> f64 {
        if class.must_keep() { self.must } else { self.rest }
    }
}

/// Decides a trace at given prices.
pub(super) fn verdict(work: &Work, facts: &Facts, prices: &Prices) -> Verdict {
    let (class, keep_reason) = (work.class, work.reason);
    if keep_reason == KeepReason::OptedOut {
        let (p_total, adjusted_count) = (Some(0.0), Some(0.0));
        return Verdict {
            threshold: Threshold::NEVER,
            keep: false,
            class,
            keep_reason,
            p_tail: 0.0,
            p_total,
            adjusted_count,
        };
    }
    let own = Threshold::from_probability(work.probability(prices));
    let mut threshold = own.max(facts.shed);
    let mut p_total = match facts.head {
        Head::Ratio(_) => facts.head.probability(),
        _ => None,
    };
    if let Head::Threshold(head) = facts.head {
        threshold = threshold.max(head);
        p_total = Some(1.0);
    }
    let p_total = p_total.map(|p| p * threshold.probability());
    Verdict {
        threshold,
        keep: threshold.keeps(facts.randomness),
        class,
        keep_reason,
        p_tail: own.probability(),
        p_total,
        adjusted_count: p_total.filter(|p| *p > 0.0).map(|p| 1.0 / p),
    }
}
