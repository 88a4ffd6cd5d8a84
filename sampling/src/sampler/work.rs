//! A trace within a tick: what was found out about it, and the verdict that follows from the prices.

use super::seen::Place;
use super::verdict::Verdict;
use crate::class::{Class, Facts, Head, KeepReason};
use crate::solve::Demand;
use crate::threshold::Threshold;

/// What shares a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tier {
    /// Priority, failed, slow.
    Must = 0,
    /// Of the rest, what weighs more for its shape or the rareness of its operation than for anything else.
    Rare = 1,
    Rest = 2,
}

impl Tier {
    pub const COUNT: usize = 3;
}

/// A trace within a tick.
#[derive(Debug, Clone, Copy)]
pub(super) struct Work {
    pub place: Place,
    pub class: Class,
    pub tier: Tier,
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
    /// Not part of any estimate, and of no budget.
    pub fn is_out(&self) -> bool {
        self.reason == KeepReason::OptedOut
    }

    /// What it asks of its tier.
    pub fn demand(&self) -> Demand {
        // A trace that is here by a chance of one in 2^56 does not claim the budget of all others.
        Demand::new(self.lever / self.survived.max(1e-9), self.cost)
    }

    /// On our coin.
    fn probability(&self, prices: &Prices) -> f64 {
        let tau = prices.of(self.tier);
        if self.granted || tau == f64::INFINITY { 1.0 } else { (self.lever * tau).min(1.0) }
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Prices {
    pub must: f64,
    pub rare: f64,
    pub rest: f64,
}

impl Prices {
    /// All that there is fits.
    pub const NONE: Self = Self { must: f64::INFINITY, rare: f64::INFINITY, rest: f64::INFINITY };

    pub fn times(&self, factor: f64) -> Self {
        Self { must: self.must * factor, rare: self.rare * factor, rest: self.rest * factor }
    }

    pub fn of(&self, tier: Tier) -> f64 {
        match tier {
            Tier::Must => self.must,
            Tier::Rare => self.rare,
            Tier::Rest => self.rest,
        }
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
