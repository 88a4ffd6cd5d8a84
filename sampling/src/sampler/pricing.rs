//! The prices of a tick: what its budget buys in each tier.
//!
//! Prices follow the demand of some seconds (see `demand`), so that equal traces weigh alike from tick to tick. A tick that
//! would cost more than its room at these prices gets lower ones of its own, the ordinary before those that must be kept:
//! that is how a burst is absorbed in the tick in which it arrives.

use super::work::{Prices, Tier, Work};
use crate::budget::Allowance;
use crate::codec::{Reader, Writer};
use crate::demand::{self, DemandCurve};
use crate::error::Error;
use crate::math::exp2;
use crate::policy::Policy;
use crate::solve::{self, Demand};

/// What clients' wishes leave of the budget of what must be kept, at least: a wish larger than all of it must not make the
/// others impossible.
const BESIDE_WISHES: f64 = 0.1;
/// The part of a tick's budget that what must be kept leaves to the others, however much of it there is.
const LEFT_IN_A_TICK: f64 = 0.1;

/// Against an ordinary price a price of what is rare is no higher than this.
const MOST_CERTAIN: f64 = 1e6;
/// Where less than this part of the demand is left, it is forgotten faster by that factor: after a burst the budget would lie
/// idle for the seconds in which prices remember it. A burst's begin needs no such haste, the room of a tick is its bound.
const DROP: f64 = 0.6;
const FASTER: f64 = 8.0;
/// However small the budget is: traffic is another after some minutes.
const MOST_HALF_LIFE_SECONDS: f64 = 300.0;

/// Of the demand that prices follow. Where the budget buys a trace in some seconds, the demand of four seconds is the tick's own
/// traces: they would set the price that they are judged by, and most of them would be too dear.
fn half_life_seconds(allowance: &Allowance, policy: &Policy) -> f64 {
    let enough = policy.rates.price_traces * allowance.mean_cost * allowance.seconds / allowance.flat;
    policy.rates.price_half_life_seconds.max(enough.min(MOST_HALF_LIFE_SECONDS))
}

/// A sum that fades with the time it came in.
#[derive(Debug, Clone, Copy, Default)]
struct Faded {
    sum: f64,
    seconds: f64,
}

impl Faded {
    fn advance(&mut self, seconds: f64, half_life_seconds: f64) {
        let left = exp2(-seconds / half_life_seconds);
        (self.sum, self.seconds) = (self.sum * left, self.seconds * left + seconds);
    }

    fn per_second(self) -> f64 {
        if self.seconds > 0.0 { self.sum / self.seconds } else { 0.0 }
    }

    fn read(input: &mut Reader) -> Result<Self, Error> {
        Ok(Self { sum: input.amount()?, seconds: input.amount()? })
    }
}

/// Demand of the tick and of the time before it, by tier.
#[derive(Debug, Clone, Default)]
pub(super) struct Pricing {
    curves: [DemandCurve; 3],
    /// Cost of granted wishes: certain, at any price.
    granted: Faded,
    /// Of all that could be kept, faded faster.
    offered: Faded,
    // Of the tick, kept for their memory.
    demands: [Vec<Demand>; 3],
    steps: Vec<Demand>,
}

impl Pricing {
    /// The prices for these traces, which count from now on.
    pub fn prices(&mut self, work: &[Work], allowance: &Allowance, policy: &Policy) -> Prices {
        let (seconds, half_life) = (allowance.seconds, half_life_seconds(allowance, policy));
        self.offered.advance(seconds, half_life / FASTER);
        self.offered.sum += work.iter().filter(|work| !work.is_out()).map(|work| work.cost).sum::<f64>();
        let known = self.granted.per_second() + self.curves.iter().map(DemandCurve::cost).sum::<f64>();
        let dropped = self.offered.per_second() < DROP * known;
        let half_life = if dropped { half_life / FASTER } else { half_life };
        self.granted.advance(seconds, half_life);
        self.curves.iter_mut().for_each(|curve| curve.advance(seconds, half_life));
        self.demands.iter_mut().for_each(Vec::clear);
        let mut granted = 0.0;
        for work in work.iter().filter(|work| !work.is_out()) {
            if work.granted {
                granted += work.cost;
                continue;
            }
            let demand = work.demand();
            self.demands[work.tier as usize].push(demand);
            self.curves[work.tier as usize].add(&demand);
        }
        self.granted.sum += granted;
        let standing = self.standing(allowance.target, policy);
        self.within(allowance, granted, standing)
    }

    /// At which a second costs `target`.
    fn standing(&mut self, target: f64, policy: &Policy) -> Prices {
        let [must, rare, rest] = &self.curves;
        let granted = self.granted.per_second();
        let spare = solve::SPARE * target;
        let (must_budget, rest_budget) =
            solve::tiers(target, policy.must_keep_share, granted + must.cost(), rare.cost() + rest.cost());
        let must_budget = (must_budget - granted).max(BESIDE_WISHES * must_budget);
        let both = demand::price(&[rare, rest], rest_budget + spare, &mut self.steps);
        let mut prices =
            Prices { must: demand::price(&[must], must_budget + spare, &mut self.steps), rare: both, rest: both };
        // What is rare would leave nothing where there is little.
        let least = (policy.ordinary_share * rest_budget).min(rest.cost());
        if both < f64::INFINITY && rest.expected(both) < least {
            prices.rest = demand::price(&[rest], least + spare, &mut self.steps);
            prices.rare = demand::price(&[rare], rest_budget - least + spare, &mut self.steps);
        }
        prices
    }

    /// Lower ones, where the tick's traces are expected to cost more than its room.
    fn within(&mut self, allowance: &Allowance, granted: f64, mut prices: Prices) -> Prices {
        let expected = |of: &[Demand], tau: f64| of.iter().map(|demand| demand.expected(tau)).sum::<f64>();
        let [must, rare, rest] = &mut self.demands;
        let must_cost = granted + expected(must, prices.must);
        let (rare_cost, rest_cost) = (expected(rare, prices.rare), expected(rest, prices.rest));
        let kept_back = LEFT_IN_A_TICK * allowance.flat;
        let must_budget = must_cost.min(allowance.room - kept_back).max(kept_back);
        let rest_budget = (allowance.room - must_budget).max(kept_back);
        let spare = solve::SPARE * allowance.flat;
        if must_cost > must_budget {
            let budget = (must_budget - granted).max(BESIDE_WISHES * must_budget);
            prices.must = prices.must.min(solve::price(must, budget + spare));
        }
        if rare_cost + rest_cost > rest_budget {
            // By one factor, so that what is certain by far stays certain. Where all fits in the long run it is the price itself.
            let (of_rest, of_rare) = match prices.rest {
                f64::INFINITY => (1.0, 1.0),
                finite => (finite, prices.rare.min(MOST_CERTAIN * finite)),
            };
            self.steps.clear();
            self.steps.extend(rare.iter().map(|demand| demand.weighing(of_rare)));
            self.steps.extend(rest.iter().map(|demand| demand.weighing(of_rest)));
            let factor = solve::price(&mut self.steps, rest_budget + spare);
            (prices.rare, prices.rest) = (prices.rare.min(of_rare * factor), prices.rest.min(of_rest * factor));
        }
        prices
    }

    pub fn write(&self, out: &mut Writer) {
        for faded in [self.granted, self.offered] {
            out.f64(faded.sum);
            out.f64(faded.seconds);
        }
        self.curves.iter().for_each(|curve| curve.write(out));
    }

    pub fn read(input: &mut Reader) -> Result<Self, Error> {
        let (granted, offered) = (Faded::read(input)?, Faded::read(input)?);
        let mut curves: [DemandCurve; Tier::COUNT] = Default::default();
        for curve in &mut curves {
            *curve = DemandCurve::read(input)?;
        }
        Ok(Self { curves, granted, offered, ..Self::default() })
    }
}
