//! What a tick may keep: the budget of its length, what earlier ticks left or took too much, and the bucket of clients'
//! wishes.
//!
//! Credit is what the budget of the past exceeds the cost of what was kept by. It has one range: so much above 0 as earlier
//! ticks may leave to later ones, so much below as chance or a burst may take too much. In any time no more is kept than its
//! budget and the width of that range, which is [`Cap::seconds`](crate::policy::Cap) of budget, or the cost of some large
//! traces or of some more ordinary ones if that is more: sparse traffic needs the budget of many empty ticks for one trace, and
//! chance keeps three of them in some seconds and none in others. Prices aim at a credit of 0.
//! What does not fit the range comes back slowly, or a stream in lumps would lose the budget between them.

use super::{Budget, Pace, Per};
use crate::codec::{Reader, Writer};
use crate::error::Error;
use crate::policy::Policy;

/// The part of the range that is above 0.
const ABOVE: f64 = 0.4;
/// What part of the budget prices leave or add at most to bring credit back to 0. More is added: where traffic is sparse, a trace
/// makes the demand look larger in just the tick in which it is decided.
const MOST_LEFT: f64 = 0.5;
const MOST_ADDED: f64 = 1.0;
/// What did not fit, in seconds of budget or as much as the range, and the time in which it comes back.
const OVERFLOW_SECONDS: f64 = 1.0;
const OVERFLOW_BACK_SECONDS: f64 = 30.0;
/// More debt is forgotten, or one enormous trace would stop all others for days.
const DEBT_SECONDS: f64 = 1.0;
/// Wishes that come together, in seconds of their share.
const WISHES_SECONDS: f64 = 1.0;
/// After a trace larger than all wishes of a second, at most this long nothing is granted.
const WISHES_DEBT_SECONDS: f64 = 60.0;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    pub seconds: f64,
    /// The budget of so much time.
    pub flat: f64,
    /// What prices are set for, per second.
    pub target: f64,
    /// What the tick may keep at most.
    pub room: f64,
    /// Of a trace, kept or not.
    pub mean_cost: f64,
}

/// What traces cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TraceCosts {
    pub mean: f64,
    /// The p99.9.
    pub large: f64,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Purse {
    credit: f64,
    overflow: f64,
    /// Missing until the first tick; then it starts full.
    wishes: Option<f64>,
    pace: Pace,
}

impl Purse {
    pub fn credit(&self) -> f64 {
        self.credit
    }

    pub fn open(
        &mut self,
        now_nanos: u64,
        seconds: f64,
        budget: &Budget,
        policy: &Policy,
        costs: TraceCosts,
    ) -> Allowance {
        let per_second = match budget.per() {
            Per::Day => self.pace.rate(now_nanos, budget.amount()),
            _ => budget.per_second(),
        };
        let flat = per_second * seconds;
        let share = policy.priority_share * per_second;
        let full = share * WISHES_SECONDS;
        self.wishes = Some((self.wishes.unwrap_or(full) + share * seconds).clamp(-share * WISHES_DEBT_SECONDS, full));

        let of_traces = (policy.cap.large_traces * costs.large).max(policy.cap.mean_traces * costs.mean);
        let range = (policy.cap.seconds * per_second).max(of_traces);
        let most = ABOVE * range;
        let fits = (OVERFLOW_SECONDS * per_second).max(range);
        self.overflow = (self.overflow + (self.credit - most).max(0.0)).min(fits);
        self.credit = self.credit.clamp(-range.max(DEBT_SECONDS * per_second), most);
        let back = self.overflow * (seconds / OVERFLOW_BACK_SECONDS).min(1.0);
        self.overflow -= back;
        self.credit += back;
        let correction = self.credit / (per_second * policy.cap.settle_seconds);
        Allowance {
            seconds,
            flat,
            target: per_second * (1.0 + correction.clamp(-MOST_LEFT, MOST_ADDED)),
            room: flat + self.credit + (range - most),
            mean_cost: costs.mean,
        }
    }

    /// Whether a client's wish is granted. One trace may take more than there is, or a large one never could.
    pub fn grant(&mut self, cost: f64) -> bool {
        let left = self.wishes.unwrap_or(0.0);
        let granted = left > 0.0;
        if granted {
            self.wishes = Some(left - cost);
        }
        granted
    }

    /// Counts what is stored without a decision of its tick: spans that follow a trace that is kept.
    pub fn charge(&mut self, cost: f64) {
        self.credit -= cost;
    }

    /// `offered` is the cost of what could have been kept.
    pub fn close(&mut self, allowance: &Allowance, offered: f64, used: f64) {
        self.credit += allowance.flat - used;
        self.pace.spend(offered, used);
    }

    pub fn write(&self, out: &mut Writer) {
        out.f64(self.credit);
        out.f64(self.overflow);
        out.u8(u8::from(self.wishes.is_some()));
        out.f64(self.wishes.unwrap_or(0.0));
        self.pace.write(out);
    }

    pub fn read(input: &mut Reader) -> Result<Self, Error> {
        let (credit, overflow) = (input.f64()?, input.amount()?);
        let (known, wishes) = (input.u8()? == 1, input.f64()?);
        Ok(Self { credit, overflow, wishes: known.then_some(wishes), pace: Pace::read(input)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COSTS: TraceCosts = TraceCosts { mean: 1.0, large: 1.0 };

    /// The last tick's allowance at a budget of 1000 a second, after ticks of 100 ms that used this much.
    fn after(large: f64, used: &[f64]) -> Allowance {
        let policy = Policy { budget: Some("1000 spans/s".parse().unwrap()), ..Policy::default() };
        let mut purse = Purse::default();
        let open = |purse: &mut Purse| {
            purse.open(1, 0.1, policy.budget.as_ref().unwrap(), &policy, TraceCosts { mean: 1.0, large })
        };
        for used in used {
            let allowance = open(&mut purse);
            purse.close(&allowance, 1e6, *used);
        }
        open(&mut purse)
    }

    #[test]
    fn what_was_kept_too_much_or_too_little_is_made_up_for() {
        // A quarter of a second, or four large traces: two fifths above, three below.
        let fresh = after(1.0, &[]);
        assert_eq!((fresh.flat, fresh.target, fresh.room), (100.0, 1_000.0, 100.0 + 150.0));
        assert_eq!(after(100.0, &[]).room, 100.0 + 240.0);
        let greedy = after(1.0, &[150.0]);
        assert_eq!((greedy.target, greedy.room), (1_000.0 * (1.0 - 0.05 / 0.5), 100.0 - 50.0 + 150.0));
        assert_eq!(after(1.0, &[150.0, 50.0]).target, 1_000.0);
        // Never by more than a half, and what is too much to owe is forgotten.
        assert_eq!((after(1.0, &[1e15]).target, after(1.0, &[1e15]).room), (500.0, 100.0 - 1_000.0 + 150.0));
        let modest = after(1.0, &[40.0]);
        assert_eq!((modest.target, modest.room), (1_120.0, 100.0 + 60.0 + 150.0));
    }

    #[test]
    fn what_does_not_fit_comes_back_slowly() {
        // 100 of the 300 left fit; of the 200 a three-hundredth comes back in a tick.
        let idle = after(1.0, &[0.0, 0.0, 0.0]);
        assert!((idle.room - (100.0 + 100.0 + 150.0)).abs() < 2.0, "{idle:?}");
        let busy = after(1.0, &[[0.0; 3].as_slice(), &[100.0; 600]].concat());
        assert!(busy.room > 100.0 + 100.0 + 150.0 - 1.0, "{busy:?}");
        let spent = after(1.0, &[[0.0; 3].as_slice(), &[200.0], &[100.0; 300]].concat());
        let back = spent.room - 250.0;
        assert!((back - 200.0 * (1.0 - (-1.0f64).exp())).abs() > 1.0 && (90.0..=101.0).contains(&back), "{back}");
    }

    #[test]
    fn a_second_holds_its_budget_and_the_range() {
        // Whatever is tried: each tick takes all its room, then as little as it likes.
        let policy = Policy { budget: Some("1000 spans/s".parse().unwrap()), ..Policy::default() };
        let mut purse = Purse::default();
        let mut used = Vec::new();
        for tick in 0..400 {
            let allowance = purse.open(1, 0.1, policy.budget.as_ref().unwrap(), &policy, COSTS);
            let takes = if tick % 23 < 9 { 0.0 } else { allowance.room.max(0.0) };
            used.push(takes);
            purse.close(&allowance, 1e6, takes);
        }
        let peak = used.windows(10).map(|second| second.iter().sum::<f64>()).fold(0.0, f64::max);
        assert!(peak <= 1_000.0 + 250.0 + 34.0, "{peak}");
        assert!(peak > 1_200.0, "{peak}");
    }

    #[test]
    fn charges_count_as_kept() {
        let policy = Policy { budget: Some("1000 spans/s".parse().unwrap()), ..Policy::default() };
        let mut purse = Purse::default();
        purse.charge(30.0);
        let allowance = purse.open(1, 0.1, policy.budget.as_ref().unwrap(), &policy, COSTS);
        assert_eq!(allowance.room, 100.0 - 30.0 + 150.0);
    }

    #[test]
    fn wishes_have_a_bucket_of_their_own() {
        let policy = Policy { budget: Some("1000 spans/s".parse().unwrap()), ..Policy::default() };
        let mut purse = Purse::default();
        let pass = |purse: &mut Purse, seconds| {
            purse.open(1, seconds, policy.budget.as_ref().unwrap(), &policy, COSTS);
        };
        // 50 a second, and so many at once.
        pass(&mut purse, 0.1);
        assert_eq!([30.0, 30.0, 1.0].map(|cost| purse.grant(cost)), [true, true, false]);
        pass(&mut purse, 0.1);
        assert!(!purse.grant(1.0));
        pass(&mut purse, 0.3);
        assert!(purse.grant(1e9) && !purse.grant(1.0));
        // Not even that takes longer than a minute to come back.
        pass(&mut purse, 0.1);
        pass(&mut purse, 59.0);
        assert!(!purse.grant(1.0));
        pass(&mut purse, 2.0);
        assert!(purse.grant(1.0));
    }

    #[test]
    fn a_day_has_less_where_much_of_it_was_taken() {
        let policy = Policy { budget: Some("86_400_000 spans/day".parse().unwrap()), ..Policy::default() };
        let mut purse = Purse::default();
        let mut flat_at = |hour: u64, used: f64| {
            let now = hour * 3_600_000_000_000;
            let allowance = purse.open(now, 0.1, policy.budget.as_ref().unwrap(), &policy, COSTS);
            purse.close(&allowance, used, used);
            allowance.flat
        };
        let before = flat_at(6, 60_000_000.0);
        let after = flat_at(7, 0.0);
        assert!(after < 0.8 * before, "{after} behind {before}");
    }

    #[test]
    fn what_is_made_up_for_at_most_doubles_the_budget() {
        assert_eq!(after(10_000.0, &[0.0; 200]).target, 2_000.0);
    }
}
