//! Which streams are played for which figures.
//!
//! A seed's calm stream has the incident and the deployments: recalls and estimates. Its other stream has the burst, and
//! is judged by what is spent. Bias is looked for in two minutes of the first seed, under many throws of the coins.

use anyhow::Context;
use sampling::Policy;

use crate::options::Options;
use crate::outcome::Outcome;
use crate::score::{Figures, Judge, burst, estimates, exact, post_stratified, recall};
use crate::timeline::Timeline;
use crate::truth::Truth;
use crate::world::{Settings, World, generate};
use crate::{ours, peers};

/// Figures of one sampler, one seed, one budget.
#[derive(Debug, Clone)]
pub struct Run {
    pub sampler: &'static str,
    pub seed: u64,
    pub budget_percent: f64,
    pub figures: Figures,
}

/// Long enough for the buckets of the hard cap to be used up.
const BIAS_SECONDS: u32 = 110;
const BIAS_SECONDS_QUICK: u32 = 20;

/// Seeds are played on two threads: a stream takes a gigabyte.
const THREADS: usize = 2;

pub fn run(options: &Options) -> anyhow::Result<Vec<Run>> {
    let seeds: Vec<u64> = (1..=options.seeds).collect();
    let mut runs = Vec::new();
    for seeds in seeds.chunks(THREADS) {
        let played: Vec<anyhow::Result<Vec<Run>>> = std::thread::scope(|scope| {
            let threads: Vec<_> = seeds.iter().map(|seed| scope.spawn(|| play(options, *seed))).collect();
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

/// All streams of a seed.
fn play(options: &Options, seed: u64) -> anyhow::Result<Vec<Run>> {
    let mut runs: Vec<Run> = Vec::new();
    let mut add = |outcome: &Outcome, seed, budget: f64, figures: Figures| {
        let budget_percent = 100.0 * budget;
        let run = runs.iter_mut().find(|run: &&mut Run| {
            (run.sampler, run.seed) == (outcome.name, seed) && run.budget_percent == budget_percent
        });
        match run {
            Some(run) => run.figures.extend(figures),
            None => runs.push(Run { sampler: outcome.name, seed, budget_percent, figures }),
        }
    };
    let settings = Settings { late: options.late, ..Settings::full(seed) };
    calm(options, &settings, &mut add).with_context(|| format!("seed {seed}"))?;
    bursting(options, &Settings::burst(seed, options.burst_seconds), &mut add)
        .with_context(|| format!("the burst of seed {seed}"))?;
    if seed == 1 {
        let seconds = if options.quick { BIAS_SECONDS_QUICK } else { BIAS_SECONDS };
        let settings = Settings { warmup_seconds: 10, seconds, ..Settings::short(seed) };
        unbiased(options, &settings, &mut add).context("bias")?;
    }
    Ok(runs)
}

fn policy(options: &Options, world: &World, budget: f64) -> anyhow::Result<Policy> {
    let default = ours::policy(budget * world.base_spans_per_second())?;
    let Some(changes) = &options.policy else { return Ok(default) };
    let changed: Policy = serde_json::from_str(changes).context("POLICY is no policy")?;
    Ok(Policy { budget: default.budget, ..changed })
}

fn calm(
    options: &Options,
    settings: &Settings,
    add: &mut impl FnMut(&Outcome, u64, f64, Figures),
) -> anyhow::Result<()> {
    let world = generate(settings);
    let truth = Truth::of(&world);
    let timeline = Timeline::of(&world, &policy(options, &world, 0.05)?);
    let judge = Judge::new(&world, &truth, &timeline);
    let exact = exact(&world, &timeline);
    for budget in &options.budgets {
        let ours = ours::run(&world, &timeline, &policy(options, &world, *budget)?)?;
        let post = estimates(&judge, &post_stratified(&judge, &ours));
        let post = post.into_iter().filter(|(name, _)| !name.starts_with("interval"));
        let mut own: Figures = post.map(|(name, value)| (format!("post_stratified_{name}"), value)).collect();
        own.extend(ours.figures.iter().map(|(name, value)| ((*name).to_owned(), *value)));
        own.extend(exact.iter().cloned());
        let mut outcomes = vec![(ours, own)];
        if !options.ours {
            outcomes.extend(peers::run(&world, &truth, *budget).into_iter().map(|outcome| (outcome, Vec::new())));
        }
        for (outcome, own) in outcomes {
            let mut figures = vec![("use_over_budget".to_owned(), judge.use_of(&outcome, *budget))];
            figures.extend(recall(&judge, &outcome));
            figures.extend(estimates(&judge, &outcome.weights));
            figures.extend(own);
            add(&outcome, settings.seed, *budget, figures);
        }
    }
    Ok(())
}

fn bursting(
    options: &Options,
    settings: &Settings,
    add: &mut impl FnMut(&Outcome, u64, f64, Figures),
) -> anyhow::Result<()> {
    let world = generate(settings);
    let truth = Truth::of(&world);
    let timeline = Timeline::of(&world, &policy(options, &world, 0.05)?);
    for budget in &options.budgets {
        let mut outcomes = vec![ours::run(&world, &timeline, &policy(options, &world, *budget)?)?];
        if !options.ours {
            outcomes.extend(peers::run(&world, &truth, *budget));
        }
        for outcome in outcomes {
            add(&outcome, settings.seed, *budget, burst(&world, &timeline, &outcome, *budget));
        }
    }
    Ok(())
}

fn unbiased(
    options: &Options,
    settings: &Settings,
    add: &mut impl FnMut(&Outcome, u64, f64, Figures),
) -> anyhow::Result<()> {
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
        add(&Outcome::nothing("ours", 0), settings.seed, *budget, figures);
    }
    Ok(())
}
