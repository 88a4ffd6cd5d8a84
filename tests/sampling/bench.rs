//! Which streams are played for which figures.
//!
//! A seed's calm stream has the incident and the deployments: recalls and estimates. Its other stream has the burst, and
//! is judged by what is spent. Both are played with a budget in bytes too. Bias is looked for in two minutes of the first seed,
//! under many throws of the coins. Recorded streams have other coins with each seed.

use anyhow::Context;
use sampling::Policy;
use sampling::budget::CostUnit;

use crate::options::{Options, Stream};
use crate::outcome::Outcome;
use crate::recorded::{PLAYS, Recordings};
use crate::score::{Figures, Judge, burst, estimates, exact, post_stratified, reach, recall};
use crate::timeline::Timeline;
use crate::truth::Truth;
use crate::world::{Settings, World, generate};
use crate::{ours, peers, recorded};

/// Figures of one sampler, one stream, one seed, one budget.
#[derive(Debug, Clone)]
pub struct Run {
    pub stream: &'static str,
    pub sampler: &'static str,
    pub seed: u64,
    pub budget_percent: f64,
    pub figures: Figures,
}

pub const MADE: &str = "made";
pub const BYTES: &str = "made, budget in bytes";

/// Long enough for the buckets of the hard cap to be used up.
const BIAS_SECONDS: u32 = 110;
const BIAS_SECONDS_QUICK: u32 = 20;

/// Seeds are played on two threads: a stream takes a gigabyte.
const THREADS: usize = 2;

pub fn run(options: &Options) -> anyhow::Result<Vec<Run>> {
    let is_recorded = options.streams.contains(&Stream::Recorded);
    let recordings = if is_recorded { recorded::recordings(options.quick)? } else { None };
    let seeds: Vec<u64> = (1..=options.seeds).collect();
    let mut runs = Vec::new();
    for seeds in seeds.chunks(THREADS) {
        let played: Vec<anyhow::Result<Vec<Run>>> = std::thread::scope(|scope| {
            let play = |seed: &u64| play(options, recordings.as_ref(), *seed);
            let threads: Vec<_> = seeds.iter().map(|seed| scope.spawn(move || play(seed))).collect();
            let joined = threads.into_iter().map(|thread| thread.join());
            joined.map(|played| played.unwrap_or_else(|_| Err(anyhow::anyhow!("a seed's thread panicked")))).collect()
        });
        for (seed, played) in seeds.iter().zip(played) {
            runs.extend(played?);
            println!("seed {seed} done");
        }
    }
    Ok(runs)
}

/// What is known of one seed so far.
struct Runs {
    seed: u64,
    runs: Vec<Run>,
}

impl Runs {
    fn add(&mut self, stream: &'static str, outcome: &Outcome, budget: f64, figures: Figures) {
        let (sampler, budget_percent) = (outcome.name, 100.0 * budget);
        let known = self
            .runs
            .iter_mut()
            .find(|run| (run.stream, run.sampler) == (stream, sampler) && run.budget_percent == budget_percent);
        match known {
            Some(run) => run.figures.extend(figures),
            None => self.runs.push(Run { stream, sampler, seed: self.seed, budget_percent, figures }),
        }
    }
}

/// All streams of a seed.
fn play(options: &Options, recordings: Option<&Recordings>, seed: u64) -> anyhow::Result<Vec<Run>> {
    let mut runs = Runs { seed, runs: Vec::new() };
    for (stream, name, unit) in [(Stream::Made, MADE, CostUnit::Spans), (Stream::Bytes, BYTES, CostUnit::Bytes)] {
        // What goes wrong with bytes goes wrong with any seed.
        if !options.streams.contains(&stream) || options.quick && seed > 1 && stream == Stream::Bytes {
            continue;
        }
        let settings = Settings { late: options.late, unit, ..Settings::full(seed) };
        judged(options, &generate(&settings), name, &mut runs).with_context(|| format!("seed {seed}, {name}"))?;
        let settings = Settings { unit, ..Settings::burst(seed, options.burst_seconds) };
        bursting(options, &settings, name, &mut runs).with_context(|| format!("the burst of seed {seed}, {name}"))?;
    }
    if seed == 1 && options.streams.contains(&Stream::Made) {
        let seconds = if options.quick { BIAS_SECONDS_QUICK } else { BIAS_SECONDS };
        let settings = Settings { warmup_seconds: 10, seconds, ..Settings::short(seed) };
        unbiased(options, &settings, &mut runs).context("bias")?;
    }
    if let Some(recordings) = recordings {
        for play in PLAYS.iter().filter(|play| recordings.has(play)) {
            let world = recorded::play(recordings, play, seed)?;
            judged(options, &world, play.name, &mut runs).with_context(|| format!("seed {seed}, {}", play.name))?;
        }
    }
    Ok(runs.runs)
}

fn policy(options: &Options, world: &World, budget: f64) -> anyhow::Result<Policy> {
    let default = ours::policy(budget * world.base_cost_per_second(), world.settings.unit)?;
    let Some(changes) = &options.policy else { return Ok(default) };
    let changed: Policy = serde_json::from_str(changes).context("POLICY is no policy")?;
    Ok(Policy { budget: default.budget, ..changed })
}

/// Recalls and estimates of everyone. What others do with a budget in bytes is not told: theirs count spans.
fn judged(options: &Options, world: &World, stream: &'static str, runs: &mut Runs) -> anyhow::Result<()> {
    let truth = Truth::of(world);
    let timeline = Timeline::of(world, &policy(options, world, 0.05)?);
    let judge = Judge::new(world, &truth, &timeline);
    let exact = exact(world, &timeline);
    for budget in &options.budgets {
        let ours = ours::run(world, &timeline, &policy(options, world, *budget)?)?;
        let is_recorded = world.settings.rare_at_most.is_some();
        let possible = if is_recorded { reach(&judge, &ours, *budget) } else { Figures::new() };
        let post = estimates(&judge, &post_stratified(&judge, &ours));
        let post = post.into_iter().filter(|(name, _)| !name.starts_with("interval"));
        let mut own: Figures = post.map(|(name, value)| (format!("post_stratified_{name}"), value)).collect();
        own.extend(ours.figures.iter().map(|(name, value)| ((*name).to_owned(), *value)));
        own.extend(exact.iter().cloned());
        own.extend(possible);
        own.retain(|(_, value)| !value.is_nan());
        let mut outcomes = vec![(ours, own)];
        if !options.ours && world.settings.unit == CostUnit::Spans {
            outcomes.extend(peers::run(world, &truth, *budget).into_iter().map(|outcome| (outcome, Vec::new())));
        }
        for (outcome, own) in outcomes {
            let mut figures = vec![("use_over_budget".to_owned(), judge.use_of(&outcome, *budget))];
            figures.extend(recall(&judge, &outcome));
            figures.extend(estimates(&judge, &outcome.weights));
            figures.extend(own);
            runs.add(stream, &outcome, *budget, figures);
        }
    }
    Ok(())
}

fn bursting(options: &Options, settings: &Settings, stream: &'static str, runs: &mut Runs) -> anyhow::Result<()> {
    let world = generate(settings);
    let truth = Truth::of(&world);
    let timeline = Timeline::of(&world, &policy(options, &world, 0.05)?);
    for budget in &options.budgets {
        let mut outcomes = vec![ours::run(&world, &timeline, &policy(options, &world, *budget)?)?];
        if !options.ours && settings.unit == CostUnit::Spans {
            outcomes.extend(peers::run(&world, &truth, *budget));
        }
        for outcome in outcomes {
            runs.add(stream, &outcome, *budget, burst(&world, &timeline, &outcome, *budget));
        }
    }
    Ok(())
}

fn unbiased(options: &Options, settings: &Settings, runs: &mut Runs) -> anyhow::Result<()> {
    let world = generate(settings);
    let timeline = Timeline::of(&world, &policy(options, &world, 0.05)?);
    let traces = || timeline.traces.iter().map(|at| &world.traces[*at as usize]);
    let bit = |is: bool| f64::from(u8::from(is));
    let rows = [
        vec![1.0; timeline.facts.len()],
        traces().map(|trace| f64::from(trace.spans)).collect(),
        traces().map(|trace| bit(trace.failed)).collect(),
        traces().map(|trace| bit(trace.any_error && !trace.failed)).collect(),
        traces().map(|trace| bit(trace.spans >= 20)).collect(),
        traces().map(|trace| bit(trace.operation >= 60)).collect(),
    ];
    for budget in &options.budgets {
        let z = ours::bias(&timeline, &policy(options, &world, *budget)?, &rows, options.throws)?;
        let names = ["traces", "spans", "failed", "inner_errors", "large", "seldom_operations"];
        let mut figures = Figures::new();
        for (name, (z, percent)) in names.iter().zip(&z) {
            figures.extend([(format!("bias_z_{name}"), *z), (format!("bias_percent_{name}"), *percent)]);
        }
        figures.push(("bias_worst_z".to_owned(), z.iter().fold(0.0, |worst, (z, _)| worst.max(z.abs()))));
        runs.add(MADE, &Outcome::nothing("ours", 0), *budget, figures);
    }
    Ok(())
}
