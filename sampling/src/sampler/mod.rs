//! One tick: from facts to verdicts.
//!
//! - `verdict`: what comes out.
//! - `seen`: rates and durations, and the weights that follow.
//! - `work`: a trace within a tick.
//! - `pricing`: what the budget buys.
//! - `lumps`: what of many that come at once waits for a later tick.
//! - `save`: the state as bytes.
//!
//! # A tick
//!
//! 1. Every trace gets its class and is counted, so the tick's own traces are in the rates.
//! 2. Every trace gets its weight from those rates.
//! 3. A price for each tier makes the cost of a second the budget; a tick that would cost too much has lower ones of its own.
//! 4. Probability, rounded threshold, decision.
//! 5. Where chance kept more than the tick has room for, the prices fall and step 4 is done again.
//!
//! # Sampled at the source
//!
//! `p` is meant for everything since the source. With `th` the coin is the same, the trace is kept iff `R` reaches the
//! higher of both thresholds, and what the tail decides of it is `p / p_head`. With a ratio the coin is another, so the
//! threshold is that of `p / p_head` itself. Either way `p_total = min(p_head, p)`, and the tier's cost is counted with what
//! the tail decides. Rates are of arrived traces: a claim about `p_head` cannot make an operation look frequent.

mod lumps;
mod pricing;
mod save;
mod seen;
#[cfg(test)]
mod tests;
mod verdict;
mod work;

pub use lumps::Ripe;
use pricing::Pricing;
use seen::{Place, SHARED, Seen};
pub use verdict::{Alarmed, Batch, OperationRate, Score, TickReport, Verdict};
use work::{Prices, Tier, Work, verdict};

use crate::budget::{Allowance, Budget, Purse};
use crate::cap::{self, Candidate};
use crate::class::{Class, Facts, Head, KeepReason, Priority};
use crate::error::Error;
use crate::policy::Policy;

/// A tick that was late gets no more budget than this.
const MAX_TICK_NANOS: u64 = 10_000_000_000;
const MIN_TICK_NANOS: u64 = 1_000_000;
const MAX_COST: f64 = 1e15;

/// Decides the traces of one shard. Its memory is bounded by the policy's limits.
#[derive(Debug, Clone)]
pub struct Sampler {
    policy: Policy,
    seen: Seen,
    purse: Purse,
    pricing: Pricing,
    report: TickReport,
    last_nanos: u64,
    alarms_raised: u64,
    /// No alarm lasts longer.
    alarmed_until_nanos: u64,
    // Of the tick, kept for their memory.
    work: Vec<Work>,
    candidates: Vec<Candidate>,
}

impl Sampler {
    pub fn new(policy: Policy) -> Result<Self, Error> {
        policy.validate()?;
        let seen = Seen::new(&policy);
        Ok(Self::with(policy, seen, Purse::default(), Pricing::default()))
    }

    fn with(policy: Policy, seen: Seen, purse: Purse, pricing: Pricing) -> Self {
        let alarmed_until_nanos = seen.operations.iter().map(|(_, known)| known.alarm_until_nanos).max().unwrap_or(0);
        Self {
            policy,
            seen,
            purse,
            pricing,
            report: TickReport::default(),
            last_nanos: 0,
            alarms_raised: 0,
            alarmed_until_nanos,
            work: Vec::new(),
            candidates: Vec::new(),
        }
    }

    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// From the next tick on. Rates, sketches and credit stay; what was counted in another unit of cost does not. Prices are
    /// found anew, since weights are others.
    pub fn set_policy(&mut self, policy: Policy) -> Result<(), Error> {
        policy.validate()?;
        if policy.budget.as_ref().map(Budget::unit) != self.policy.budget.as_ref().map(Budget::unit) {
            self.seen.forget_costs();
            self.purse = Purse::default();
        }
        self.seen.set_policy(&policy);
        self.pricing = Pricing::default();
        self.policy = policy;
        Ok(())
    }

    /// Decides `ripe`, in their order. `now_nanos` is the time of the tick since the epoch, `tick_nanos` how long it has been
    /// since the one before; what is beyond 10 s of it has no budget.
    pub fn tick(&mut self, now_nanos: u64, tick_nanos: u64, ripe: &[Facts]) -> Vec<Verdict> {
        let tick_nanos = tick_nanos.clamp(MIN_TICK_NANOS, MAX_TICK_NANOS);
        self.last_nanos = now_nanos;
        self.seen.begin(now_nanos, tick_nanos);
        let budget = self.policy.budget.as_ref();
        let seconds = tick_nanos as f64 / 1e9;
        let costs = self.seen.costs(now_nanos);
        let allowance = budget.map(|budget| self.purse.open(now_nanos, seconds, budget, &self.policy, costs));
        self.work.clear();
        for facts in ripe {
            let work = self.count(now_nanos, facts, allowance.is_some());
            self.work.push(work);
        }
        let (mut prices, mut cap_factor) = (Prices::NONE, 1.0);
        if let Some(allowance) = &allowance {
            self.weigh(now_nanos, ripe);
            prices = self.pricing.prices(&self.work, allowance, &self.policy);
        }
        let mut verdicts = Vec::with_capacity(ripe.len());
        self.decide(ripe, &prices, &mut verdicts);
        if let Some(allowance) = &allowance
            && let Some(factor) = self.cut(&prices, allowance.room, ripe, &verdicts)
        {
            cap_factor = factor;
            prices = prices.times(factor);
            self.decide(ripe, &prices, &mut verdicts);
        }
        self.close(allowance, &verdicts, prices, cap_factor);
        verdicts
    }

    /// Class, counters, and what the head and overload control left of the trace.
    fn count(&mut self, now_nanos: u64, facts: &Facts, limited: bool) -> Work {
        let cost = if facts.cost >= 1.0 { facts.cost.min(MAX_COST) } else { 1.0 };
        let row = self.seen.operation(now_nanos, facts.operation, facts.service);
        let slow_root = self.seen.slow_root(now_nanos, row, facts);
        let mut class = facts.class(slow_root);
        self.watch(now_nanos, row, facts, slow_root);
        let mut reason = KeepReason::of(class);
        let granted = class == Class::Priority && (!limited || self.purse.grant(cost));
        if class == Class::Priority && !granted {
            class = Class::Error;
        }
        let place = if facts.priority == Priority::Drop {
            reason = KeepReason::OptedOut;
            Place::outside(row)
        } else {
            self.seen.count(now_nanos, row, class, cost, facts, self.policy.rates.new_shapes_per_minute)
        };
        let shed = facts.shed.probability();
        let survived = match facts.head {
            Head::Threshold(threshold) => shed.min(threshold.probability()),
            _ => shed,
        };
        let tier = if class.must_keep() { Tier::Must } else { Tier::Rest };
        Work { place, class, tier, reason, granted, slow_root, cost, lever: 0.0, survived }
    }

    /// Counts what may be alarming about a trace: that its root failed, and that it is slow.
    fn watch(&mut self, now_nanos: u64, row: u32, facts: &Facts, slow_root: bool) {
        let Some(operation) = self.seen.operations.get_mut(row).filter(|_| self.policy.alarm.detect) else { return };
        let is_failed = facts.root_failed || facts.entry_failed;
        // Without a root nobody knows how long it took.
        if facts.root_duration_nanos.is_some() && operation.watch.count(now_nanos, is_failed, slow_root) {
            self.raise_alarm(row, now_nanos);
        }
    }

    fn weigh(&mut self, now_nanos: u64, ripe: &[Facts]) {
        for (work, facts) in self.work.iter_mut().zip(ripe) {
            if work.granted || work.is_out() {
                continue;
            }
            let strength = &self.policy.strength;
            let strength = match work.class {
                Class::Priority | Class::Error => strength.error,
                Class::Slow if !work.slow_root => strength.slow_span,
                Class::Slow => strength.slow,
                Class::InnerError => strength.inner_error,
                Class::Normal => strength.normal,
            };
            let (weight, by_rareness) = self.seen.weight(now_nanos, work.place, work.class, strength, &self.policy);
            if by_rareness && work.tier == Tier::Rest {
                work.tier = Tier::Rare;
            }
            if by_rareness && work.reason == KeepReason::Normal {
                work.reason = KeepReason::Rare;
            }
            work.lever = match facts.head {
                Head::Ratio(_) => weight / facts.head.probability().unwrap_or(1.0),
                _ => weight,
            };
        }
    }

    fn decide(&self, ripe: &[Facts], prices: &Prices, verdicts: &mut Vec<Verdict>) {
        verdicts.clear();
        verdicts.extend(self.work.iter().zip(ripe).map(|(work, facts)| verdict(work, facts, prices)));
    }

    /// The factor of the hard cap. What is certain because its whole tier fits, or because a wish was granted, is not cut.
    fn cut(&mut self, prices: &Prices, mut room: f64, ripe: &[Facts], verdicts: &[Verdict]) -> Option<f64> {
        self.candidates.clear();
        for ((work, facts), verdict) in self.work.iter().zip(ripe).zip(verdicts) {
            if !verdict.keep {
                continue;
            }
            let tau = prices.of(work.tier);
            if work.granted || tau == f64::INFINITY {
                room -= work.cost;
            } else {
                let factor = facts.randomness.height() / (work.lever * tau);
                self.candidates.push(Candidate { factor, randomness: facts.randomness, cost: work.cost });
            }
        }
        cap::cut(&mut self.candidates, room)
    }

    fn close(&mut self, allowance: Option<Allowance>, verdicts: &[Verdict], prices: Prices, cap_factor: f64) {
        let (mut offered, mut opted_out, mut used) = (0.0, 0.0, 0.0);
        for (work, verdict) in self.work.iter().zip(verdicts) {
            offered += work.cost;
            if work.is_out() {
                opted_out += work.cost;
            }
            if verdict.keep {
                used += work.cost;
                self.seen.kept(self.last_nanos, work.place);
            }
            if work.reason == KeepReason::Normal
                && let Some(operation) = self.seen.operations.get_mut(work.place.operation)
            {
                operation.p_normal = verdict.p_tail;
            }
        }
        if let Some(allowance) = &allowance {
            self.purse.close(allowance, offered - opted_out, used);
        }
        self.report = TickReport {
            tau_must: prices.must,
            tau_rest: prices.rest,
            budget: allowance.map_or(f64::INFINITY, |allowance| allowance.target * allowance.seconds),
            offered,
            used,
            credit: self.purse.credit(),
            cap_factor,
        };
    }

    /// Whether a root of this duration is slow for its operation, for roots that come when their trace is decided. Nothing is
    /// counted.
    pub fn slow_root(&mut self, operation: u64, service: u64, duration_nanos: u64, now_nanos: u64) -> bool {
        self.seen.is_slow_root(now_nanos, operation, service, duration_nanos)
    }

    /// Counts cost that is stored without a verdict of its own: spans that came later and follow their trace.
    pub fn charge(&mut self, cost: f64) {
        if cost > 0.0 {
            self.purse.charge(cost.min(MAX_COST));
        }
    }

    /// Of the last tick.
    pub fn report(&self) -> TickReport {
        self.report
    }

    /// Makes an operation's traces stronger for as long as the policy says.
    fn raise_alarm(&mut self, row: u32, now_nanos: u64) {
        let until = now_nanos.saturating_add((self.policy.alarm.seconds * 1e9) as u64);
        // What shares an entry does not share an alarm.
        if self.seen.operations.find(SHARED) != Some(row)
            && let Some(operation) = self.seen.operations.get_mut(row)
        {
            self.alarms_raised += u64::from(operation.alarm_until_nanos <= now_nanos);
            operation.alarm_until_nanos = until;
            self.alarmed_until_nanos = self.alarmed_until_nanos.max(until);
        }
    }

    /// Operations that have an alarm, in order of their key.
    pub fn alarmed(&self, now_nanos: u64) -> Vec<Alarmed> {
        if self.alarmed_until_nanos <= now_nanos {
            return Vec::new();
        }
        let has_alarm = self.seen.operations.iter().filter(|(_, known)| known.alarm_until_nanos > now_nanos);
        let mut alarmed: Vec<Alarmed> =
            has_alarm.map(|(operation, known)| Alarmed { operation, until_nanos: known.alarm_until_nanos }).collect();
        alarmed.sort_unstable_by_key(|alarmed| alarmed.operation);
        alarmed
    }

    /// Alarms that began since the start.
    pub fn alarms_raised(&self) -> u64 {
        self.alarms_raised
    }

    /// Every operation of which something is known, in order of its key. What did not fit is under `u64::MAX`.
    pub fn operations(&self, now_nanos: u64) -> Vec<OperationRate> {
        let half_life = self.seen.strata_half_life();
        let age = self.seen.started_nanos.map_or(0, |started| now_nanos.saturating_sub(started));
        let per_count = half_life.rate_per_count(age.max(MIN_TICK_NANOS));
        let mut rates: Vec<OperationRate> = self
            .seen
            .operations
            .iter()
            .map(|(operation, known)| OperationRate {
                operation,
                traces_per_second: known.strata.map(|stratum| stratum.count_at(now_nanos, half_life) * per_count),
                mean_cost: known.strata.map(|stratum| stratum.mean_cost()),
                p_normal: known.p_normal,
            })
            .collect();
        rates.sort_unstable_by_key(|rate| rate.operation);
        rates
    }

    /// What `policy` would keep of past traces, in order of time, if they came again now. Nothing changes.
    pub fn preview<'a>(&self, policy: Policy, past: impl IntoIterator<Item = Batch<'a>>) -> Result<Score, Error> {
        let mut other = self.clone();
        other.set_policy(policy)?;
        let mut score = Score::default();
        let mut first = None;
        for batch in past {
            // The counters know a later time; the past is moved behind it.
            let begin = *first.get_or_insert(batch.now_nanos.saturating_sub(batch.tick_nanos));
            let now = self.last_nanos.max(begin).saturating_add(batch.now_nanos.saturating_sub(begin));
            let verdicts = other.tick(now, batch.tick_nanos, batch.ripe);
            score.add(&verdicts, &other.report, batch.tick_nanos);
        }
        Ok(score)
    }

    /// Rates, sketches and credit, for a state record.
    pub fn export(&self) -> Vec<u8> {
        save::write(&self.policy, &self.seen, &self.purse, &self.pricing)
    }

    /// A sampler with what [`Self::export`] wrote.
    pub fn restore(policy: Policy, state: &[u8]) -> Result<Self, Error> {
        policy.validate()?;
        let (seen, purse, pricing) = save::read(&policy, state)?;
        Ok(Self::with(policy, seen, purse, pricing))
    }
}
