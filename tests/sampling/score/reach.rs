//! What of a recall the budget is enough for at all, by somebody who knows the stream beforehand and keeps nothing else. What
//! occurs once in a short recording cannot be found at a few percent. `_possible_` spends the whole stream's budget as it likes;
//! `_possible_in_time_` no more in ten seconds than may be spent in them, and so misses what comes all at once.

use std::collections::HashMap;

use super::{Figures, Judge, figures};
use crate::outcome::Outcome;

const WINDOW_MILLIS: u32 = 10_000;
/// Of the budget, in any ten seconds.
const IN_WINDOW: f64 = 1.05;

/// `budget` is the part of the base traffic; `ours` says when a trace has to be decided.
pub fn reach(judge: &Judge, ours: &Outcome, budget: f64) -> Figures {
    let settings = &judge.world.settings;
    let per_second = budget * judge.world.base_cost_per_second();
    let most = per_second * f64::from(settings.seconds);
    let in_window = IN_WINDOW * per_second * f64::from(WINDOW_MILLIS) / 1e3;
    let [mut failed_in_time, mut slow_in_time] = std::array::from_fn(|_| HashMap::<u32, Vec<f64>>::new());
    let [mut failed, mut slow, mut rare, mut all] = std::array::from_fn(|_| Vec::new());
    let mut shapes: HashMap<u32, (f64, u32)> = HashMap::new();
    for at in judge.judged() {
        let (trace, known) = (&judge.world.traces[at], &judge.truth.traces[at]);
        let cost = judge.world.cost(trace);
        for (applies, costs) in
            [(trace.failed, &mut failed), (known.slow, &mut slow), (known.rare_operation, &mut rare), (true, &mut all)]
        {
            costs.extend(applies.then_some(cost));
        }
        let window = ours.decided_millis[at] / WINDOW_MILLIS;
        for (applies, windows) in [(trace.failed, &mut failed_in_time), (known.slow, &mut slow_in_time)] {
            if applies {
                windows.entry(window).or_default().push(cost);
            }
        }
        if known.whole {
            let (least, times) = shapes.entry(known.shape).or_insert((cost, 0));
            (*least, *times) = (least.min(cost), *times + 1);
        }
    }
    let once = shapes.values().filter(|(_, times)| *times == 1).count();
    let shape_costs = shapes.values().map(|(least, _)| *least).collect();
    figures([
        ("failed_recall_possible_percent", affordable_percent(failed, most)),
        ("slow_recall_possible_percent", affordable_percent(slow, most)),
        ("failed_recall_possible_in_time_percent", in_time_percent(failed_in_time, in_window)),
        ("slow_recall_possible_in_time_percent", in_time_percent(slow_in_time, in_window)),
        ("shapes_covered_possible_percent", affordable_percent(shape_costs, most)),
        ("rare_recall_possible_percent", affordable_percent(rare, most)),
        ("shapes_seen_once", once as f64),
        ("traces_of_mean_cost_in_budget", most / (all.iter().sum::<f64>() / all.len().max(1) as f64)),
    ])
}

/// How many of `costs` fit, the cheapest first; not a number of nothing.
fn affordable_percent(costs: Vec<f64>, most: f64) -> f64 {
    let of = costs.len();
    100.0 * affordable(costs, most) as f64 / of as f64
}

/// The same in each window of its own.
fn in_time_percent(windows: HashMap<u32, Vec<f64>>, most: f64) -> f64 {
    let of: usize = windows.values().map(Vec::len).sum();
    let fit: usize = windows.into_values().map(|costs| affordable(costs, most)).sum();
    100.0 * fit as f64 / of as f64
}

fn affordable(mut costs: Vec<f64>, most: f64) -> usize {
    costs.sort_by(f64::total_cmp);
    let mut used = 0.0;
    let fit = costs.iter().take_while(|cost| {
        used += **cost;
        used <= most
    });
    fit.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheapest_fit_first() {
        assert_eq!(affordable_percent(vec![50.0, 10.0, 20.0, 20.0], 49.0), 50.0);
        assert_eq!(affordable_percent(vec![50.0, 10.0, 20.0, 20.0], 100.0), 100.0);
        assert!(affordable_percent(Vec::new(), 0.0).is_nan());
        // Four at once and one alone, with room for two at a time.
        let windows = HashMap::from([(0, vec![10.0; 4]), (7, vec![10.0])]);
        assert_eq!(in_time_percent(windows, 20.0), 60.0);
    }
}
