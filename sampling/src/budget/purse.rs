//! What a tick may keep: the budget of its length, what earlier ticks left or took too much, what empty ones saved, the
//! bucket of clients' wishes, and the bucket of the hard cap.
//!
//! Savings are for sparse traffic. When most ticks are empty, the budget of one tick is a fraction of a trace, and without
//! savings the budget of the empty ones would be lost. A tick spends savings by what it is expected to use, not by what
//! chance kept. They are part of what the bucket of the hard cap lets through, so no second gets more for them.

use super::{Budget, Pace, Per};
use crate::codec::{Reader, Writer};
use crate::error::Error;
use crate::policy::Policy;

/// How much of what is left over or missing counts in the next tick.
const CREDIT_USED: f64 = 0.3;
const CREDIT_MIN_SECONDS: f64 = -1.0;
const CREDIT_MAX_SECONDS: f64 = 0.3;
/// Wishes that come together, in seconds of their share.
const WISHES_SECONDS: f64 = 1.0;
/// After a trace larger than all wishes of a second, at most this long nothing is granted.
const WISHES_DEBT_SECONDS: f64 = 60.0;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    /// The budget per second, and for this tick before credit.
    pub per_second: f64,
    pub flat: f64,
    /// What is solved for.
    pub tick: f64,
    /// Of that, from savings.
    saved: f64,
    seconds: f64,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Purse {
    credit: f64,
    /// Missing until the first tick; then both start full.
    wishes: Option<f64>,
    cap: Option<f64>,
    saved: f64,
    /// What savings may be, as of the last tick.
    saved_max: f64,
    pace: Pace,
}

impl Purse {
    pub fn credit(&self) -> f64 {
        self.credit
    }

    pub fn open(&mut self, now_nanos: u64, seconds: f64, budget: &Budget, policy: &Policy) -> Allowance {
        let per_second = match budget.per() {
            Per::Day => self.pace.rate(now_nanos, budget.amount()),
            _ => budget.per_second(),
        };
        let flat = per_second * seconds;
        self.credit = self.bounded(self.credit, per_second);
        let share = policy.priority_share * per_second;
        let full = share * WISHES_SECONDS;
        self.wishes = Some((self.wishes.unwrap_or(full) + share * seconds).clamp(-share * WISHES_DEBT_SECONDS, full));
        let tick = (flat + CREDIT_USED * self.credit).clamp(0.5 * flat, 1.1 * flat) + self.saved;
        Allowance { per_second, flat, tick, saved: self.saved, seconds }
    }

    /// Credit within its bounds. A trace larger than they are would leave less than it took, hence savings bound it too.
    fn bounded(&self, credit: f64, per_second: f64) -> f64 {
        let low = (CREDIT_MIN_SECONDS * per_second).min(-self.saved_max);
        credit.clamp(low, (CREDIT_MAX_SECONDS * per_second).max(self.saved_max))
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

    /// What the hard cap lets through beyond what the tick is solved for; below 0 what it still owes. `large_cost` is the p99.9 of a
    /// trace's cost.
    pub fn cap_room(&mut self, allowance: &Allowance, policy: &Policy, large_cost: f64) -> f64 {
        self.saved_max = policy.cap.large_traces * large_cost;
        let full = (policy.cap.seconds * allowance.per_second).max(self.saved_max);
        let refilled = self.cap.unwrap_or(full) + full * allowance.seconds / policy.cap.refill_seconds;
        // More debt than a full bucket is forgotten, or one enormous trace would stop all others for days.
        let room = refilled.clamp(-full, full);
        self.cap = Some(room);
        room - allowance.saved
    }

    /// `offered` is the cost of what could have been kept; without any the tick was empty.
    pub fn close(&mut self, allowance: &Allowance, offered: f64, used: f64) {
        let per_second = allowance.per_second;
        self.saved = if offered > 0.0 {
            allowance.saved.min((allowance.tick - offered).max(0.0))
        } else {
            (allowance.saved + allowance.flat).min(self.saved_max)
        };
        let spent = allowance.saved - self.saved;
        self.credit = self.bounded(self.credit + allowance.flat + spent - used, per_second);
        // By time alone chance would empty it: what it takes beyond an allowance in one tick it leaves in another.
        self.cap = self.cap.map(|room| room + allowance.tick - allowance.saved - used);
        self.pace.spend(offered, used);
    }

    pub fn write(&self, out: &mut Writer) {
        out.f64(self.credit);
        out.f64(self.saved);
        out.f64(self.saved_max);
        for bucket in [self.wishes, self.cap] {
            out.u8(u8::from(bucket.is_some()));
            out.f64(bucket.unwrap_or(0.0));
        }
        self.pace.write(out);
    }

    pub fn read(input: &mut Reader) -> Result<Self, Error> {
        let (credit, saved, saved_max) = (input.f64()?, input.amount()?, input.amount()?);
        let mut bucket = || {
            let known = input.u8()? == 1;
            input.f64().map(|value| known.then_some(value))
        };
        let (wishes, cap) = (bucket()?, bucket()?);
        Ok(Self { credit, wishes, cap, saved, saved_max, pace: Pace::read(input)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cap's room at a budget of 1000 a second, after ticks of 100 ms that used this much.
    fn room_after(large_cost: f64, used: &[f64]) -> f64 {
        let policy = Policy { budget: Some("1000 spans/s".parse().unwrap()), ..Policy::default() };
        let mut purse = Purse::default();
        let allowance = |purse: &mut Purse| {
            let open = purse.open(1, 0.1, policy.budget.as_ref().unwrap(), &policy);
            Allowance { tick: 100.0, ..open }
        };
        for used in used {
            let allowance = allowance(&mut purse);
            purse.cap_room(&allowance, &policy, large_cost);
            purse.close(&allowance, 1e6, *used);
        }
        let allowance = allowance(&mut purse);
        purse.cap_room(&allowance, &policy, large_cost)
    }

    #[test]
    fn the_caps_bucket_goes_into_debt_and_is_filled_by_what_ticks_leave() {
        // A quarter of a second, or four large traces; a tick of 100 ms brings a hundredth back.
        assert_eq!(room_after(1.0, &[]), 250.0);
        assert_eq!(room_after(100.0, &[]), 400.0);
        assert_eq!(room_after(1.0, &[200.0]), 250.0 - 100.0 + 2.5);
        assert_eq!(room_after(1.0, &[500.0]), -150.0 + 2.5);
        assert_eq!(room_after(1.0, &[500.0, 100.0]), -150.0 + 5.0);
        // What a tick leaves fills it, to the brim.
        assert_eq!(room_after(1.0, &[200.0, 40.0]), 250.0 - 100.0 + 60.0 + 5.0);
        assert_eq!(room_after(1.0, &[200.0, 0.0, 0.0]), 250.0);
        // A full one of debt at most.
        assert_eq!(room_after(1.0, &[1e15]), -250.0);
    }

    #[test]
    fn empty_ticks_save_up_to_four_large_traces() {
        let policy = Policy { budget: Some("1000 spans/s".parse().unwrap()), ..Policy::default() };
        let mut purse = Purse::default();
        // In each tick of 100 ms: what was offered and used, and what the tick could have used.
        for (offered, used, expected) in [
            (0.0, 0.0, 100.0),
            (0.0, 0.0, 200.0),
            (0.0, 0.0, 300.0),
            (0.0, 0.0, 400.0),
            (0.0, 0.0, 500.0),
            // Savings are full, so credit grows. Where all fits, the tick spends its own part first.
            (80.0, 80.0, 510.0),
            (200.0, 200.0, 510.0),
            // Spent, whatever chance keeps.
            (1e6, 0.0, 420.0),
            (0.0, 0.0, 110.0),
            (0.0, 0.0, 210.0),
        ] {
            let open = purse.open(1, 0.1, policy.budget.as_ref().unwrap(), &policy);
            assert!((open.tick - expected).abs() < 1e-9, "{} for {expected}, {purse:?}", open.tick);
            let room = open.tick + purse.cap_room(&open, &policy, 100.0);
            assert!(room <= 110.0 + 400.0, "{room}");
            purse.close(&open, offered, used);
        }
    }
}
