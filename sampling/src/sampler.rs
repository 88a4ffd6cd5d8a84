//! One tick: from facts to verdicts.

use crate::class::{Class, Facts, KeepReason};
use crate::error::Error;
use crate::policy::Policy;
use crate::threshold::Threshold;

/// What was decided for a trace, whether it is kept or not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// What the trace's randomness was compared with, of everything that used the same coin: ours, overload control's, and
    /// the head sampler's if it said `th`.
    pub threshold: Threshold,
    pub keep: bool,
    pub class: Class,
    pub keep_reason: KeepReason,
    /// Of this decision alone.
    pub p_tail: f64,
    /// Of everything since the source; `None` when the head's is unknown.
    pub p_total: Option<f64>,
    /// `1 / p_total`: how many traces it stands for if it is kept. 0 if it opted out, `None` if unknown.
    pub adjusted_count: Option<f64>,
}

/// What the tick worked with: for the decision record and `/metrics`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TickReport {
    /// Price of the tier of priority, failed and slow traces; infinite when all of it fitted.
    pub tau_must: f64,
    /// Price of the rest.
    pub tau_rest: f64,
    /// What the tick was allowed to keep, in the unit of cost; infinite without a budget.
    pub budget: f64,
    /// What arrived and what was kept.
    pub offered: f64,
    pub used: f64,
    /// After the tick.
    pub credit: f64,
    /// Whether the hard cap had to cut.
    pub capped: bool,
}

/// What is known of an operation: what head rates are computed from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OperationRate {
    pub operation: u64,
    /// Arrived traces per second, by [`Class::index`].
    pub traces_per_second: [f64; 5],
    /// By [`Class::index`]; 0 where none was seen.
    pub mean_cost: [f64; 5],
    /// The tail probability of the class normal when it was last decided.
    pub p_normal: f64,
}

/// Sums of a dry run.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Score {
    /// By [`Class::index`].
    pub seen: [u64; 5],
    pub kept: [u64; 5],
    pub offered_cost: f64,
    pub kept_cost: f64,
    /// The largest cost that one tick kept, per second of that tick.
    pub peak_cost_per_second: f64,
}

/// Ripe traces of one past tick.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    pub now_nanos: u64,
    pub tick_nanos: u64,
    pub ripe: &'a [Facts],
}

#[derive(Debug, Clone)]
pub struct Sampler {
    policy: Policy,
    report: TickReport,
}

impl Sampler {
    pub fn new(policy: Policy) -> Result<Self, Error> {
        policy.validate()?;
        Ok(Self { policy, report: TickReport::default() })
    }

    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// From the next tick on. Rates, sketches and credit stay.
    pub fn set_policy(&mut self, policy: Policy) -> Result<(), Error> {
        policy.validate()?;
        self.policy = policy;
        Ok(())
    }

    /// Decides `ripe`, in their order. `now_nanos` is the time of the tick since the epoch, `tick_nanos` how long it has been
    /// since the one before.
    pub fn tick(&mut self, now_nanos: u64, tick_nanos: u64, ripe: &[Facts]) -> Vec<Verdict> {
        let _ = (now_nanos, tick_nanos);
        self.report = TickReport::default();
        ripe.iter()
            .map(|facts| Verdict {
                threshold: Threshold::ALWAYS,
                keep: true,
                class: facts.class(false),
                keep_reason: KeepReason::of(facts.class(false)),
                p_tail: 1.0,
                p_total: facts.head.probability(),
                adjusted_count: facts.head.probability().map(|p| 1.0 / p),
            })
            .collect()
    }

    /// Of the last tick.
    pub fn report(&self) -> TickReport {
        self.report
    }

    /// Makes the traces of `operation` stronger for as long as the policy says.
    pub fn raise_alarm(&mut self, operation: u64, now_nanos: u64) {
        let _ = (operation, now_nanos);
    }

    /// Every operation of which something is known, in order of its key.
    pub fn operations(&self, now_nanos: u64) -> Vec<OperationRate> {
        let _ = now_nanos;
        Vec::new()
    }

    /// What `policy` would keep of past traces, in order of time, from the present state. Nothing changes.
    pub fn preview<'a>(&self, policy: Policy, past: impl IntoIterator<Item = Batch<'a>>) -> Result<Score, Error> {
        let mut other = self.clone();
        other.set_policy(policy)?;
        for batch in past {
            other.tick(batch.now_nanos, batch.tick_nanos, batch.ripe);
        }
        Ok(Score::default())
    }

    /// Rates, sketches and credit, for a state record.
    pub fn export(&self) -> Vec<u8> {
        Vec::new()
    }

    /// A sampler with what [`Self::export`] wrote.
    pub fn restore(policy: Policy, state: &[u8]) -> Result<Self, Error> {
        let _ = state;
        Self::new(policy)
    }
}
