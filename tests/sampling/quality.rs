//! The goals, at the budgets they are meant for.

use crate::bench::{BYTES, MADE};

/// What of several seeds a goal looks at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Of {
    Median,
    /// The worst of them.
    Every,
}

#[derive(Debug, Clone, Copy)]
pub struct Goal {
    pub figure: &'static str,
    /// In percent; `None`: at every budget.
    pub at_budget: Option<f64>,
    pub of: Of,
    pub least: f64,
    pub most: f64,
    /// Times differ between machines: reported, and no reason to fail.
    pub gate: bool,
    /// A goal that is missed so far fails when it is missed by more than it was.
    pub so_far: Option<f64>,
}

const fn least(at_budget: Option<f64>, figure: &'static str, least: f64) -> Goal {
    Goal { figure, at_budget, of: Of::Median, least, most: f64::INFINITY, gate: true, so_far: None }
}

const fn most(at_budget: Option<f64>, figure: &'static str, most: f64) -> Goal {
    Goal { figure, at_budget, of: Of::Median, least: f64::NEG_INFINITY, most, gate: true, so_far: None }
}

const FIVE: Option<f64> = Some(5.0);
const TEN: Option<f64> = Some(10.0);

const GOALS: [Goal; 30] = [
    least(FIVE, "failed_recall_without_incident_percent", 99.5),
    least(FIVE, "failed_recall_percent", 98.0),
    least(FIVE, "slow_recall_percent", 95.0),
    least(TEN, "slow_recall_percent", 99.0),
    least(FIVE, "shapes_covered_percent", 99.5),
    Goal { so_far: Some(98.5), ..least(FIVE, "first_of_new_shape_percent", 99.9) },
    least(FIVE, "rare_recall_percent", 90.0),
    Goal { of: Of::Every, ..least(FIVE, "rare_recall_percent", 75.0) },
    least(TEN, "rare_recall_percent", 99.0),
    Goal { least: 93.0, most: 97.0, ..least(FIVE, "interval_coverage_percent", 93.0) },
    most(None, "bias_worst_z", 3.0),
    most(None, "metrics_wrong_counts", 0.0),
    Goal { of: Of::Every, ..most(None, "metrics_quantile_error_worst_percent", 1.1) },
    most(FIVE, "post_stratified_rate_error_median_percent", 0.1),
    most(FIVE, "post_stratified_rate_error_p95_percent", 0.1),
    most(FIVE, "post_stratified_error_count_error_median_percent", 0.1),
    most(FIVE, "post_stratified_error_count_error_p95_percent", 0.1),
    most(FIVE, "post_stratified_p99_error_median_percent", 1.0),
    most(FIVE, "post_stratified_p99_error_p95_percent", 15.0),
    Goal { of: Of::Every, so_far: Some(1.4), ..most(None, "burst_peak_second_over_budget", 1.25) },
    Goal { of: Of::Every, ..most(None, "burst_any_10_seconds_over_budget", 1.05) },
    Goal { of: Of::Every, ..most(None, "burst_mean_over_budget", 1.005) },
    Goal { of: Of::Every, ..most(None, "burst_settled_seconds", 1.0) },
    least(None, "late_spans_that_follow_percent", 99.99),
    most(None, "facts_bytes_per_pending_trace", 200.0),
    most(None, "decision_beyond_grace_p50_seconds", 0.2),
    most(None, "decision_beyond_grace_p99_seconds", 1.0),
    Goal { gate: false, ..most(None, "classify_ns_per_span", 1_500.0) },
    Goal { gate: false, ..most(None, "decide_ns_per_trace", 2_000.0) },
    Goal { gate: false, ..least(FIVE, "use_over_budget", 0.97) },
];

const fn shown(goal: Goal) -> Goal {
    Goal { gate: false, ..goal }
}

/// The goals of quality, where they can be met or not: what a short recording has too few traces for is missed, and not a reason
/// to fail, since the traces are not everywhere.
const RECORDED_GOALS: [Goal; 16] = [
    shown(least(FIVE, "failed_recall_percent", 98.0)),
    shown(least(FIVE, "slow_recall_percent", 95.0)),
    shown(least(TEN, "slow_recall_percent", 99.0)),
    shown(least(FIVE, "shapes_covered_percent", 99.5)),
    shown(least(FIVE, "first_of_new_shape_percent", 99.9)),
    shown(least(FIVE, "rare_recall_percent", 90.0)),
    shown(Goal { of: Of::Every, ..least(FIVE, "rare_recall_percent", 75.0) }),
    shown(least(TEN, "rare_recall_percent", 99.0)),
    shown(Goal { least: 93.0, most: 97.0, ..least(FIVE, "interval_coverage_percent", 93.0) }),
    shown(most(None, "metrics_wrong_counts", 0.0)),
    shown(Goal { of: Of::Every, ..most(None, "metrics_quantile_error_worst_percent", 1.1) }),
    shown(most(FIVE, "post_stratified_rate_error_median_percent", 0.1)),
    shown(most(FIVE, "post_stratified_rate_error_p95_percent", 0.1)),
    shown(most(FIVE, "post_stratified_p99_error_median_percent", 1.0)),
    shown(most(FIVE, "post_stratified_p99_error_p95_percent", 15.0)),
    shown(least(FIVE, "use_over_budget", 0.97)),
];

/// With a budget in bytes: what is spent is a promise in either unit.
const BYTES_GOALS: [Goal; 9] = [
    Goal { so_far: Some(99.4), ..least(FIVE, "failed_recall_without_incident_percent", 99.5) },
    Goal { so_far: Some(96.5), ..least(FIVE, "failed_recall_percent", 98.0) },
    Goal { so_far: Some(94.5), ..least(FIVE, "slow_recall_percent", 95.0) },
    Goal { so_far: Some(98.5), ..least(FIVE, "shapes_covered_percent", 99.5) },
    least(FIVE, "rare_recall_percent", 90.0),
    Goal { of: Of::Every, so_far: Some(1.4), ..most(None, "burst_peak_second_over_budget", 1.25) },
    Goal { of: Of::Every, ..most(None, "burst_any_10_seconds_over_budget", 1.05) },
    Goal { of: Of::Every, ..most(None, "burst_mean_over_budget", 1.005) },
    Goal { of: Of::Every, ..most(None, "burst_settled_seconds", 1.0) },
];

pub fn goals(stream: &str) -> &'static [Goal] {
    match stream {
        MADE => &GOALS,
        BYTES => &BYTES_GOALS,
        _ => &RECORDED_GOALS,
    }
}

pub fn is_recorded(stream: &str) -> bool {
    stream != MADE && stream != BYTES
}

impl Goal {
    pub fn is_for(&self, figure: &str, budget_percent: f64) -> bool {
        self.figure == figure && self.at_budget.is_none_or(|budget| (budget - budget_percent).abs() < 1e-9)
    }

    /// Whether it is a reason to fail.
    pub fn fails(&self, median: f64, values: &[f64]) -> bool {
        let known = match self.so_far {
            Some(so_far) => Self { least: self.least.min(so_far), most: self.most.max(so_far), ..*self },
            None => *self,
        };
        self.gate && !known.is_met(median, values)
    }

    /// `values` are not empty, `median` is theirs.
    pub fn is_met(&self, median: f64, values: &[f64]) -> bool {
        let met = |value: f64| value >= self.least && value <= self.most;
        match self.of {
            Of::Median => met(median),
            Of::Every => values.iter().all(|value| met(*value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_for_its_budget_and_its_seeds() {
        let goal = GOALS.iter().find(|goal| goal.of == Of::Every && goal.figure == "rare_recall_percent").unwrap();
        assert!(goal.is_for("rare_recall_percent", 5.0) && !goal.is_for("rare_recall_percent", 1.0));
        assert!(goal.is_met(95.0, &[75.0, 95.0]) && !goal.is_met(95.0, &[74.0, 95.0, 96.0]));
        let goal = GOALS.iter().find(|goal| goal.figure == "interval_coverage_percent").unwrap();
        assert!(goal.is_met(95.0, &[90.0, 95.0, 99.0]) && !goal.is_met(98.0, &[98.0]));
        let goal = Goal { so_far: Some(98.5), ..least(FIVE, "first_of_new_shape_percent", 99.9) };
        assert!(!goal.is_met(99.0, &[99.0]) && !goal.fails(99.0, &[99.0]) && goal.fails(98.4, &[98.4]));
        assert!(GOALS.iter().all(|goal| goal.least <= goal.most && !goal.is_met(f64::NAN, &[f64::NAN])));
    }
}
