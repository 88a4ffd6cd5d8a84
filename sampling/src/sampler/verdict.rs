//! What comes out of a tick.

use crate::class::{Class, Facts, KeepReason};
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
    /// Price of the tier of priority, failed and slow traces; infinite when all of it fitted. After the cap.
    pub tau_must: f64,
    /// Price of the rest.
    pub tau_rest: f64,
    /// What prices were set for, in the unit of cost: the budget of the tick, corrected by what earlier ticks left or took too
    /// much. Infinite without a budget.
    pub budget: f64,
    /// What arrived and what was kept.
    pub offered: f64,
    pub used: f64,
    /// After the tick.
    pub credit: f64,
    /// What the hard cap multiplied the prices with; 1 when it had nothing to cut.
    pub cap_factor: f64,
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

/// An operation that failed or was slow more often than it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alarmed {
    pub operation: u64,
    /// When its traces are as strong as others again, unless it goes on.
    pub until_nanos: u64,
}

/// Ripe traces of one past tick.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    pub now_nanos: u64,
    pub tick_nanos: u64,
    pub ripe: &'a [Facts],
}

/// A peak is looked for in times of this length at least.
const LEAST_PEAK_NANOS: u64 = 1_000_000_000;

/// Sums of a dry run.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Score {
    /// By [`Class::index`].
    pub seen: [u64; 5],
    pub kept: [u64; 5],
    pub rare_seen: u64,
    pub rare_kept: u64,
    pub offered_cost: f64,
    pub kept_cost: f64,
    /// The largest cost that one tick kept, per second of that tick if it was longer.
    pub peak_cost_per_second: f64,
}

impl Score {
    pub(super) fn add(&mut self, verdicts: &[Verdict], report: &TickReport, tick_nanos: u64) {
        for verdict in verdicts {
            let class = verdict.class.index();
            self.seen[class] += 1;
            self.kept[class] += u64::from(verdict.keep);
            if verdict.keep_reason == KeepReason::Rare {
                self.rare_seen += 1;
                self.rare_kept += u64::from(verdict.keep);
            }
        }
        self.offered_cost += report.offered;
        self.kept_cost += report.used;
        // A first tick has no length, and what it keeps is not kept every moment.
        let per_second = report.used / (tick_nanos.max(LEAST_PEAK_NANOS) as f64 / 1e9);
        self.peak_cost_per_second = self.peak_cost_per_second.max(per_second);
    }
}
