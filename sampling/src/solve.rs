//! Probabilities whose expected cost is the budget.
//!
//! Every trace has a weight `w` and a cost `c`; its probability is `min(1, w * tau)`. The price `tau` of a tier is where the
//! sum of `c * min(1, w * tau)` is the budget. Between two neighbouring `1/w` that sum is a straight line, so after sorting
//! the price is exact. Power allocation over strata: Bankier 1988; Poisson sampling with permanent random numbers: Brewer
//! et al. 1972.

/// The part of a tick's budget that is given to each price beyond what it should have. Sums of the same costs in another
/// order differ in their last bits; a budget that lacks such a bit would take a digit of every threshold, which are rounded
/// up.
pub(crate) const SPARE: f64 = 1.0 / (1u64 << 40) as f64;

/// What a trace asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Demand {
    /// The price from which on it is certain: `1/w`.
    certain_at: f64,
    cost: f64,
    /// Cost of all that are certain before, once sorted.
    before: f64,
}

impl Demand {
    /// Of a positive, finite weight.
    pub fn new(weight: f64, cost: f64) -> Self {
        Self { certain_at: 1.0 / weight, cost, before: 0.0 }
    }

    pub fn cost(&self) -> f64 {
        self.cost
    }

    /// The same, so many times as much wanted.
    pub(crate) fn weighing(&self, times: f64) -> Self {
        Self { certain_at: self.certain_at / times, ..*self }
    }

    pub fn certain_at(&self) -> f64 {
        self.certain_at
    }

    /// Its expected cost at a price.
    pub fn expected(&self, tau: f64) -> f64 {
        if tau >= self.certain_at { self.cost } else { self.cost * (tau / self.certain_at) }
    }
}

/// The price at which `demands` are expected to cost `budget`; infinite when all of them fit. They are sorted on the way.
pub fn price(demands: &mut [Demand], budget: f64) -> f64 {
    let all: f64 = demands.iter().map(|demand| demand.cost).sum();
    if all <= budget {
        return f64::INFINITY;
    }
    if budget.is_nan() || budget <= 0.0 {
        // Nothing may be kept, and still nothing is impossible: that would be a bias.
        return f64::MIN_POSITIVE;
    }
    // Equal ones have one order, so that sums of floats are the same whatever order they came in.
    demands.sort_unstable_by(|a, b| a.certain_at.total_cmp(&b.certain_at).then(a.cost.total_cmp(&b.cost)));
    let mut before = 0.0;
    for demand in demands.iter_mut() {
        demand.before = before;
        before += demand.cost;
    }
    // From the end, so that the slope is a sum and not a difference.
    let mut slope = 0.0;
    for demand in demands.iter().rev() {
        let certain = demand.before + demand.cost;
        if certain + demand.certain_at * slope < budget {
            return (budget - certain) / slope;
        }
        slope += demand.cost / demand.certain_at;
    }
    budget / slope
}

/// Divides a tick's budget: the tier that must be kept has at least `share` of it, and all that the rest leaves, but not
/// more than it costs.
pub fn tiers(budget: f64, share: f64, must_cost: f64, rest_cost: f64) -> (f64, f64) {
    let must = must_cost.min((share * budget).max(budget - rest_cost));
    (must, budget - must)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn check(demands: &[(f64, f64)], budget: f64, expected: f64) {
        let mut demands: Vec<Demand> = demands.iter().map(|(w, c)| Demand::new(*w, *c)).collect();
        assert_eq!(price(&mut demands, budget), expected);
    }

    #[test]
    fn by_hand() {
        check(&[], 1.0, f64::INFINITY);
        check(&[(1.0, 10.0), (1.0, 10.0)], 20.0, f64::INFINITY);
        // Equal weights: half of each.
        check(&[(1.0, 10.0), (1.0, 10.0)], 10.0, 0.5);
        // The heavy one is certain, and the other gets what is left.
        check(&[(1.0, 10.0), (100.0, 10.0)], 15.0, 0.5);
        check(&[(4.0, 10.0), (1.0, 10.0)], 12.5, 0.25);
        check(&[(1.0, 10.0)], 0.0, f64::MIN_POSITIVE);
        check(&[(1.0, 10.0)], f64::NAN, f64::MIN_POSITIVE);
    }

    #[test]
    fn tiers_by_hand() {
        assert_eq!(tiers(100.0, 0.6, 1_000.0, 1_000.0), (60.0, 40.0));
        assert_eq!(tiers(100.0, 0.6, 20.0, 1_000.0), (20.0, 80.0));
        assert_eq!(tiers(100.0, 0.6, 1_000.0, 10.0), (90.0, 10.0));
        assert_eq!(tiers(100.0, 0.6, 30.0, 10.0), (30.0, 70.0));
    }

    proptest! {
        #[test]
        fn exact_is_where_fifty_halvings_end(
            pairs in vec((-20.0..20.0f64, 0.0..15.0f64), 1..200), share in 0.001..0.999f64
        ) {
            let mut demands: Vec<Demand> = pairs.iter().map(|(w, c)| Demand::new(w.exp2(), c.exp2())).collect();
            let all: f64 = demands.iter().map(|demand| demand.cost).sum();
            let budget = all * share;
            let tau = price(&mut demands, budget);
            let spent: f64 = demands.iter().map(|demand| demand.expected(tau)).sum();
            prop_assert!((spent / budget - 1.0).abs() < 1e-9, "{} of {}", spent, budget);

            let (mut low, mut high) = (-60.0f64, 60.0f64);
            for _ in 0..50 {
                let middle = (low + high) / 2.0;
                let spent: f64 = demands.iter().map(|demand| demand.expected(middle.exp2())).sum();
                if spent < budget { low = middle } else { high = middle }
            }
            prop_assert!((tau.log2() - low).abs() < 1e-9, "{} for {}", tau.log2(), low);
        }

        #[test]
        fn the_order_they_come_in_changes_no_bit(
            pairs in vec((0.1..10.0f64, 1.0..100.0f64), 1..50), share in 0.0..1.0f64
        ) {
            let mut demands: Vec<Demand> = pairs.iter().map(|(w, c)| Demand::new(*w, *c)).collect();
            let mut reversed: Vec<Demand> = demands.iter().rev().copied().collect();
            let budget = share * pairs.iter().map(|(_, c)| c.floor()).sum::<f64>();
            prop_assert_eq!(price(&mut demands, budget).to_bits(), price(&mut reversed, budget).to_bits());
        }
    }
}
