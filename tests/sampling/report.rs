//! What is printed: a table for each stream and budget, and one line of JSON.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use crate::bench::Run;
use crate::options::Options;
use crate::quality::{self, Goal, Of};

/// A table for each stream and budget.
pub fn table(runs: &[Run]) -> String {
    let mut text = String::new();
    for stream in streams(runs) {
        let of_stream: Vec<&Run> = runs.iter().filter(|run| run.stream == stream).collect();
        for budget in budgets(&of_stream) {
            of_budget(&mut text, &of_stream, stream, budget);
        }
    }
    text.push('\n');
    text
}

/// Ours first, then the peers: median, and the range of the seeds for ours.
fn of_budget(text: &mut String, runs: &[&Run], stream: &str, budget: f64) {
    let runs: Vec<&Run> = runs.iter().copied().filter(|run| run.budget_percent == budget).collect();
    let samplers = in_order(runs.iter().map(|run| run.sampler.to_owned()));
    let names = in_order(runs.iter().flat_map(|run| run.figures.iter().map(|(name, _)| name.clone())));
    let title = format!("{stream}, budget {budget} %");
    // Writing to a string does not fail.
    let _ = write!(text, "\n{title:<56} {:>9} {:>19}  {:<18}", "ours", "range", "target");
    samplers.iter().skip(1).for_each(|sampler| text.push_str(&format!(" {sampler:>14}")));
    text.push('\n');
    for name in names {
        let values = values(&runs, "ours", &name);
        let range = range(&values).map_or_else(String::new, |(low, high)| format!("{}..{}", number(low), number(high)));
        let shown = if values.is_empty() { String::new() } else { number(median(&values)) };
        let _ = write!(text, "{name:<56} {shown:>9} {range:>19}  {:<18}", targets(stream, &name, budget, &values));
        for sampler in samplers.iter().skip(1) {
            let values = self::values(&runs, sampler, &name);
            let shown = if values.is_empty() { String::new() } else { number(median(&values)) };
            let _ = write!(text, " {shown:>14}");
        }
        while text.ends_with(' ') {
            text.pop();
        }
        text.push('\n');
    }
}

fn targets(stream: &str, name: &str, budget: f64, values: &[f64]) -> String {
    let goals = quality::goals(stream).iter().filter(|goal| goal.is_for(name, budget) && !values.is_empty());
    let shown = goals.map(|goal| {
        let bound = match (goal.least.is_finite(), goal.most.is_finite()) {
            (true, true) => format!("{} to {}", number(goal.least), number(goal.most)),
            (true, false) => format!(">= {}", number(goal.least)),
            _ => format!("<= {}", number(goal.most)),
        };
        let of = if goal.of == Of::Every { "all " } else { "" };
        format!("{of}{bound} {}", if goal.is_met(median(values), values) { "met" } else { "MISSED" })
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// Goals that a failure is due for.
pub fn missed(runs: &[Run]) -> Vec<String> {
    in_goals(runs, |goal, values| match values {
        [] => goal.gate,
        _ => goal.fails(median(values), values),
    })
}

/// Goals that are missed on recorded streams, by how much.
pub fn missed_on_recorded(runs: &[Run]) -> Vec<String> {
    let recorded: Vec<Run> = runs.iter().filter(|run| quality::is_recorded(run.stream)).cloned().collect();
    in_goals(&recorded, |goal, values| !values.is_empty() && !goal.is_met(median(values), values))
}

fn in_goals(runs: &[Run], is_missed: impl Fn(&Goal, &[f64]) -> bool) -> Vec<String> {
    let mut missed = Vec::new();
    for stream in streams(runs) {
        let of_stream: Vec<&Run> = runs.iter().filter(|run| run.stream == stream).collect();
        for budget in budgets(&of_stream) {
            let of_budget: Vec<&Run> = of_stream.iter().copied().filter(|run| run.budget_percent == budget).collect();
            for goal in quality::goals(stream).iter().filter(|goal| goal.is_for(goal.figure, budget)) {
                let values = values(&of_budget, "ours", goal.figure);
                if is_missed(goal, &values) {
                    let found = if values.is_empty() { "no figure".to_owned() } else { number(median(&values)) };
                    missed.push(format!("{} at {budget} % of {stream}: {found}", goal.figure));
                }
            }
        }
    }
    missed
}

pub fn json(options: &Options, runs: &[Run]) -> Value {
    let streams: Map<String, Value> = streams(runs)
        .into_iter()
        .map(|stream| {
            let of_stream: Vec<&Run> = runs.iter().filter(|run| run.stream == stream).collect();
            let of_budget = |budget: &f64| (budget.to_string(), samplers_json(&of_stream, *budget));
            (stream.to_owned(), Value::Object(budgets(&of_stream).iter().map(of_budget).collect()))
        })
        .collect();
    json!({
        "bench": "sampling",
        "quick": options.quick,
        "seeds": options.seeds,
        "throws": options.throws,
        "burst_seconds": options.burst_seconds,
        "policy": options.policy,
        "streams": streams,
    })
}

/// By sampler, figures at a budget.
fn samplers_json(runs: &[&Run], budget: f64) -> Value {
    let of_budget: Vec<&Run> = runs.iter().copied().filter(|run| run.budget_percent == budget).collect();
    let samplers: Map<String, Value> = in_order(of_budget.iter().map(|run| run.sampler.to_owned()))
        .into_iter()
        .map(|sampler| {
            let own = of_budget.iter().filter(|run| run.sampler == sampler);
            let names = in_order(own.flat_map(|run| run.figures.iter().map(|(name, _)| name.clone())));
            let figures: Map<String, Value> = names
                .into_iter()
                .map(|name| {
                    let values = values(&of_budget, &sampler, &name);
                    let raw: Vec<f64> = values.iter().copied().map(rounded).collect();
                    (name, json!({"median": rounded(median(&values)), "values": raw}))
                })
                .collect();
            (sampler, Value::Object(figures))
        })
        .collect();
    Value::Object(samplers)
}

fn streams(runs: &[Run]) -> Vec<&'static str> {
    let mut known = Vec::new();
    for run in runs {
        if !known.contains(&run.stream) {
            known.push(run.stream);
        }
    }
    known
}

fn budgets(runs: &[&Run]) -> Vec<f64> {
    let mut budgets: Vec<f64> = runs.iter().map(|run| run.budget_percent).collect();
    budgets.sort_by(f64::total_cmp);
    budgets.dedup();
    budgets
}

fn in_order(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut known: Vec<String> = Vec::new();
    for name in names {
        if !known.contains(&name) {
            known.push(name);
        }
    }
    known
}

/// By seed.
fn values(runs: &[&Run], sampler: &str, name: &str) -> Vec<f64> {
    let own = runs.iter().filter(|run| run.sampler == sampler);
    own.flat_map(|run| run.figures.iter().filter(|(known, _)| known == name).map(|(_, value)| *value)).collect()
}

/// The middle one, or the mean of the two in the middle.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
    let lower = sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or_default();
    f64::midpoint(lower, upper)
}

fn range(values: &[f64]) -> Option<(f64, f64)> {
    let low = values.iter().copied().min_by(f64::total_cmp)?;
    let high = values.iter().copied().max_by(f64::total_cmp)?;
    (values.len() > 1).then_some((low, high))
}

fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// As many digits as tell something.
fn number(value: f64) -> String {
    // A sum of nothing is -0.
    let value = value + 0.0;
    match value.abs() {
        f64::INFINITY => "never".to_owned(),
        _ if value == value.trunc() => format!("{value:.0}"),
        1_000.0.. => format!("{value:.0}"),
        100.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::MADE;

    fn run(sampler: &'static str, seed: u64, rare: f64) -> Run {
        let figures = vec![("rare_recall_percent".to_owned(), rare)];
        Run { stream: MADE, sampler, seed, budget_percent: 5.0, figures }
    }

    #[test]
    fn goals_are_met_or_missed() {
        let runs = [run("ours", 1, 74.0), run("ours", 2, 92.0), run("ours", 3, 96.5), run("uniform", 1, 5.0)];
        let table = table(&runs);
        let line = table.lines().find(|line| line.starts_with("rare_recall")).unwrap();
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(line, "rare_recall_percent 92 74..96.50 >= 90 met, all >= 75 MISSED 5");
        let missed = missed(&runs);
        assert!(missed.contains(&"rare_recall_percent at 5 % of made: 92".to_owned()), "{missed:?}");
        // A goal without a figure is missed too.
        assert!(missed.contains(&"failed_recall_percent at 5 % of made: no figure".to_owned()), "{missed:?}");
        assert!(!missed.iter().any(|missed| missed.contains("decide_ns")), "{missed:?}");
    }

    #[test]
    fn what_is_missed_on_real_traces_is_said_and_no_failure() {
        let runs = [Run { stream: "boutique", ..run("ours", 1, 50.0) }, run("ours", 1, 50.0)];
        assert!(table(&runs).contains("boutique, budget 5 %"));
        assert_eq!(missed_on_recorded(&runs).len(), 2);
        assert_eq!(missed_on_recorded(&runs)[0], "rare_recall_percent at 5 % of boutique: 50");
        assert!(!missed(&runs).iter().any(|missed| missed.contains("boutique")));
    }
}
