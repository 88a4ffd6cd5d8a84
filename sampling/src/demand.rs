//! What has lately been asked for, as a curve: for each price, what a second is expected to cost.
//!
//! A tick alone holds too few traces to set a price by. At a small budget it keeps ten of two hundred; a price that makes just
//! these ten fit swings by an order of magnitude from tick to tick, and the weights of equal traces with it. So the price
//! follows the demand of some seconds. Demands are put together by the price at which they become certain, in steps of an
//! eighth of a doubling; the sums of a step are exact.

use crate::codec::{Reader, Writer};
use crate::error::Error;
use crate::math::exp2;
use crate::solve::{self, Demand};

/// Steps a doubling, as bits of the mantissa.
const STEP_BITS: u32 = 3;
/// The least price that is told apart, as a power of two, and how many doublings there are from it. Weights are from 1e-30 to
/// 1e30, and what survived on our coin is at least 1e-9 of it.
const LEAST_EXPONENT: i32 = -140;
const DOUBLINGS: usize = 280;
/// A cost that has faded to less is gone.
const FADED: f64 = 1e-9;

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Step {
    cost: f64,
    /// Cost times weight.
    claim: f64,
}

impl Step {
    fn demand(&self) -> Option<Demand> {
        (self.claim > 0.0).then(|| Demand::new(self.claim / self.cost, self.cost))
    }
}

/// Demands of ripe traces, and the time they came in; both fade by half-lives.
#[derive(Debug, Clone, Default)]
pub(crate) struct DemandCurve {
    steps: Vec<Step>,
    cost: f64,
    seconds: f64,
}

impl DemandCurve {
    /// Begins a tick of this length.
    pub fn advance(&mut self, seconds: f64, half_life_seconds: f64) {
        let left = exp2(-seconds / half_life_seconds);
        self.cost = 0.0;
        for step in &mut self.steps {
            *step = Step { cost: step.cost * left, claim: step.claim * left };
            if step.cost < FADED {
                *step = Step::default();
            }
            self.cost += step.cost;
        }
        self.seconds = self.seconds * left + seconds;
    }

    pub fn add(&mut self, demand: &Demand) {
        if self.steps.is_empty() {
            self.steps.resize(DOUBLINGS << STEP_BITS, Step::default());
        }
        let at = step_of(demand.certain_at()).min(self.steps.len() - 1);
        let (cost, claim) = (demand.cost(), demand.cost() / demand.certain_at());
        if let Some(step) = self.steps.get_mut(at).filter(|_| cost > 0.0 && claim > 0.0) {
            step.cost += cost;
            step.claim += claim;
            self.cost += cost;
        }
    }

    /// What a second costs where all is kept.
    pub fn cost(&self) -> f64 {
        if self.seconds > 0.0 { self.cost / self.seconds } else { 0.0 }
    }

    /// What a second is expected to cost at a price.
    pub fn expected(&self, tau: f64) -> f64 {
        if tau == f64::INFINITY || self.seconds <= 0.0 {
            return self.cost();
        }
        self.steps.iter().filter_map(Step::demand).map(|demand| demand.expected(tau)).sum::<f64>() / self.seconds
    }

    pub fn write(&self, out: &mut Writer) {
        out.f64(self.seconds);
        out.u32(self.steps.iter().filter(|step| step.cost > 0.0).count() as u32);
        for (at, step) in (0..).zip(&self.steps).filter(|(_, step)| step.cost > 0.0) {
            out.u32(at);
            out.f64(step.cost);
            out.f64(step.claim);
        }
    }

    pub fn read(input: &mut Reader) -> Result<Self, Error> {
        let mut new = Self { seconds: input.amount()?, ..Self::default() };
        let steps = input.rows(20)?;
        if steps > 0 {
            new.steps.resize(DOUBLINGS << STEP_BITS, Step::default());
        }
        for _ in 0..steps {
            let (at, step) = (input.u32()?, Step { cost: input.amount()?, claim: input.amount()? });
            let place = new.steps.get_mut(at as usize).ok_or(Error::State("has a price beyond all others"))?;
            *place = step;
        }
        // In the order in which a tick adds them up.
        new.cost = new.steps.iter().fold(0.0, |sum, step| sum + step.cost);
        Ok(new)
    }
}

/// The price at which a second of all these demands is expected to cost `budget`; infinite when all of them fit. `demands`
/// is room to work in.
pub(crate) fn price(curves: &[&DemandCurve], budget: f64, demands: &mut Vec<Demand>) -> f64 {
    if curves.iter().map(|curve| curve.cost()).sum::<f64>() <= budget {
        return f64::INFINITY;
    }
    // They all came in the same time.
    let seconds = curves.first().map_or(0.0, |curve| curve.seconds);
    demands.clear();
    demands.extend(curves.iter().flat_map(|curve| curve.steps.iter().filter_map(Step::demand)));
    solve::price(demands, budget * seconds)
}

/// By the exponent and the first bits of the mantissa.
fn step_of(price: f64) -> usize {
    let bits = price.clamp(f64::MIN_POSITIVE, f64::MAX).to_bits() >> (52 - STEP_BITS);
    let first = u64::from((1023 + LEAST_EXPONENT).unsigned_abs()) << STEP_BITS;
    bits.saturating_sub(first) as usize
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn curve(demands: &[Demand]) -> DemandCurve {
        let mut curve = DemandCurve::default();
        curve.advance(1.0, 4.0);
        demands.iter().for_each(|demand| curve.add(demand));
        curve
    }

    #[test]
    fn a_steady_stream_costs_a_second_what_it_costs() {
        let mut curve = DemandCurve::default();
        for _ in 0..400 {
            curve.advance(0.1, 4.0);
            curve.add(&Demand::new(2.0, 5.0));
        }
        assert!((curve.cost() - 50.0).abs() < 0.5, "{}", curve.cost());
        let tau = price(&[&curve], 20.0, &mut Vec::new());
        assert!((tau * 2.0 - 0.4).abs() < 0.01, "{tau}");
        assert_eq!(price(&[&curve], 60.0, &mut Vec::new()), f64::INFINITY);
        // Half of what was asked for counts after a half-life without any, in the time that counts then.
        curve.advance(4.0, 4.0);
        assert!((curve.cost() - 50.0 * 0.5 * 5.77 / (0.5 * 5.77 + 4.0)).abs() < 1.0, "{}", curve.cost());
        curve.advance(4_000.0, 4.0);
        assert_eq!(curve.cost(), 0.0);
    }

    #[test]
    fn steps_are_eighths_of_doublings() {
        assert_eq!(step_of(1.0) - step_of(0.5), 8);
        assert_eq!(step_of(1.124) - step_of(1.0), 0);
        assert_eq!(step_of(1.126) - step_of(1.0), 1);
        assert_eq!(step_of(0.0), 0);
        assert!(step_of(1e39) < DOUBLINGS << STEP_BITS && step_of(1e-39) > 0);
    }

    #[test]
    fn prices_beyond_all_steps_count_in_the_last_one() {
        assert_eq!([1e-60, 1e60].map(|weight| curve(&[Demand::new(weight, 5.0)]).cost()), [5.0, 5.0]);
        let beyond = curve(&[Demand::new(1e-60, 5.0)]);
        assert_eq!(beyond.steps.last().map(|step| step.cost), Some(5.0));
        // Of no time nothing is expected.
        assert_eq!(DemandCurve::default().expected(1.0), 0.0);
    }

    proptest! {
        #[test]
        fn is_the_price_of_the_demands_themselves_within_a_step(
            pairs in vec((-20.0..20.0f64, 0.0..15.0f64), 1..200), share in 0.01..0.99f64
        ) {
            let mut demands: Vec<Demand> = pairs.iter().map(|(w, c)| Demand::new(w.exp2(), c.exp2())).collect();
            let budget = share * demands.iter().map(Demand::cost).sum::<f64>();
            let curve = curve(&demands);
            let tau = price(&[&curve], budget, &mut Vec::new());
            prop_assert!((curve.expected(tau) / budget - 1.0).abs() < 1e-6);
            let exact = solve::price(&mut demands, budget);
            prop_assert!((tau.log2() - exact.log2()).abs() < 0.126, "{} for {}", tau.log2(), exact.log2());
        }

        #[test]
        fn comes_back_as_it_was(pairs in vec((-20.0..20.0f64, 0.0..15.0f64), 0..50)) {
            let demands: Vec<Demand> = pairs.iter().map(|(w, c)| Demand::new(w.exp2(), c.exp2())).collect();
            let mut curve = curve(&demands);
            curve.advance(0.3, 4.0);
            let mut out = Writer::default();
            curve.write(&mut out);
            let bytes = out.into_bytes();
            let mut input = Reader::new(&bytes);
            let read = DemandCurve::read(&mut input).unwrap();
            prop_assert_eq!(&read.steps, &curve.steps);
            prop_assert_eq!((read.cost, read.seconds), (curve.cost, curve.seconds));
        }
    }
}
