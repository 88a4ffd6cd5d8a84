//! What is spent, and when, in steps of a tick: at the moment of decision, and for late spans when they arrive.

use super::{Figures, figures};
use crate::outcome::Outcome;
use crate::timeline::{TICK_MILLIS, Timeline};
use crate::world::World;

const STEPS_PER_SECOND: usize = (1_000 / TICK_MILLIS) as usize;
const SETTLED_SECONDS: usize = 5;
const SETTLED_WITHIN: f64 = 0.1;
/// So much more than usual is the burst.
const BURST: f64 = 5.0;

/// Of a stream with a burst; in parts of the budget.
pub fn burst(world: &World, timeline: &Timeline, outcome: &Outcome, budget: f64) -> Figures {
    let late = timeline.late.iter().map(|span| span.arrival_millis);
    let last = outcome.decided_millis.iter().copied().chain(late).max().unwrap_or(0);
    let steps = (last / TICK_MILLIS) as usize + 1;
    let (mut offered, mut spent) = (vec![0.0; steps], vec![0.0; steps]);
    for (at, trace) in world.traces.iter().enumerate() {
        let step = (outcome.decided_millis[at] / TICK_MILLIS) as usize;
        let cost = world.cost(trace);
        offered[step] += cost;
        if outcome.kept[at] {
            spent[step] += cost;
        }
    }
    for span in timeline.late.iter().filter(|span| outcome.kept[span.trace as usize]) {
        spent[(outcome.decided_millis[span.trace as usize] / TICK_MILLIS) as usize] -= f64::from(span.cost);
        spent[(span.arrival_millis / TICK_MILLIS) as usize] += f64::from(span.cost);
    }
    let base = world.base_cost_per_second();
    in_steps(&offered, &spent, base, budget * base)
}

fn in_steps(offered: &[f64], spent: &[f64], base: f64, per_second: f64) -> Figures {
    let sums = |of: &[f64], seconds: usize| -> Vec<f64> {
        of.windows(seconds * STEPS_PER_SECOND).map(|window| window.iter().sum::<f64>() / seconds as f64).collect()
    };
    let seconds = sums(offered, 1);
    let begin = seconds.iter().position(|offered| *offered > BURST * base).unwrap_or(0);
    let end = seconds.iter().rposition(|offered| *offered > BURST * base).map_or(begin, |last| last + STEPS_PER_SECOND);
    let during = spent.get(begin..end).unwrap_or_default();
    let peak = |seconds: usize| sums(during, seconds).into_iter().fold(0.0, f64::max) / per_second;
    let settled = sums(during, SETTLED_SECONDS)
        .into_iter()
        .position(|spent| (spent / per_second - 1.0).abs() <= SETTLED_WITHIN)
        .map_or(f64::INFINITY, |step| step as f64 / STEPS_PER_SECOND as f64);
    let mean = during.iter().sum::<f64>() / (during.len().max(1) as f64 / STEPS_PER_SECOND as f64) / per_second;
    figures([
        ("burst_peak_second_over_budget", peak(1)),
        ("burst_any_10_seconds_over_budget", peak(10)),
        ("burst_mean_over_budget", mean),
        ("burst_settled_seconds", settled),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // 20 s of 10 a step, 20 s of 100, 20 s of 10; the budget is 10 a second, and the burst's first second has 30. Five
        // seconds have at most 55 from 7 steps into it on, 13 steps after the first window that counts as burst.
        let step = |at: usize| at / STEPS_PER_SECOND;
        let offered: Vec<f64> = (0..600).map(|at| if (20..40).contains(&step(at)) { 100.0 } else { 10.0 }).collect();
        let spent: Vec<f64> = (0..600).map(|at| if step(at) == 20 { 3.0 } else { 1.0 }).collect();
        let figures = in_steps(&offered, &spent, 100.0, 10.0);
        let expected = [3.0, 1.2, 1.0 + 2.0 / 21.0, 1.3];
        for ((name, value), expected) in figures.iter().zip(expected) {
            assert!((value / expected - 1.0).abs() < 0.06, "{name} {value}");
        }
    }
}
