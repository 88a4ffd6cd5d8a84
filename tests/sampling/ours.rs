//! Plays a timeline to the sampler and its decision cache.

use std::time::Instant;

use anyhow::Context;
use sampling::budget::CostUnit;
use sampling::decided::Limits;
use sampling::{Decided, DecisionCache, Facts, Kept, Policy, Randomness, Sampler};

use crate::outcome::Outcome;
use crate::queue::Queue;
use crate::random::Random;
use crate::timeline::{Timeline, nanos};
use crate::world::World;

pub fn policy(cost_per_second: f64, unit: CostUnit) -> anyhow::Result<Policy> {
    // As they are written: bytes are a matter of days.
    let budget = match unit {
        CostUnit::Spans => format!("{cost_per_second:.2} spans/s").parse()?,
        CostUnit::Bytes => format!("{:.0} B/day", cost_per_second * 86_400.0).parse()?,
    };
    Ok(Policy { budget: Some(budget), ..Policy::default() })
}

pub fn run(world: &World, timeline: &Timeline, policy: &Policy) -> anyhow::Result<Outcome> {
    let mut out = Outcome::nothing("ours", world.traces.len());
    out.decided_millis.clone_from(&timeline.decided_millis);
    let mut sampler = Sampler::new(policy.clone())?;
    let mut cache = DecisionCache::new(Limits::default());
    let mut queue = Queue::default();
    let mut late = timeline.late.iter().peekable();
    let (mut asked, mut followed, mut followers, mut decide_nanos) = (0_u64, 0_u64, 0_u64, 0_u64);
    let mut cut = 0_u64;
    // Says what the spans cost that followed a trace that is kept.
    let mut follow = |cache: &DecisionCache, queue: &mut Queue, out: &mut Outcome, until: u32| {
        let mut cost = 0.0;
        while let Some(span) = late.next_if(|span| span.arrival_millis <= until) {
            if queue.joins(span) {
                continue;
            }
            let trace = span.trace as usize;
            let (Some(id), Some(kept)) = (world.traces.get(trace).map(|trace| &trace.id), out.kept.get(trace)) else {
                continue;
            };
            asked += 1;
            let decided = cache.get(id, nanos(span.arrival_millis));
            followers += u64::from(*kept);
            cost += if *kept { f64::from(span.cost) } else { 0.0 };
            followed += u64::from(match decided {
                Some(Decided::Kept(_)) => *kept,
                Some(Decided::Dropped) => !*kept,
                None => false,
            });
            if span.matters && decided == Some(Decided::Dropped) {
                out.rescued[trace] = true;
            }
        }
        cost
    };
    for tick in &timeline.ticks {
        sampler.charge(follow(&cache, &mut queue, &mut out, tick.now_millis));
        let (ripe, traces) = queue.take(&mut sampler, timeline, tick);
        let (now, length) = (nanos(tick.now_millis), u64::from(tick.length_millis) * 1_000_000);
        let began = Instant::now();
        let verdicts = sampler.tick(now, length, &ripe);
        decide_nanos += began.elapsed().as_nanos() as u64;
        cut += u64::from(sampler.report().cap_factor < 1.0);
        for (verdict, trace) in verdicts.iter().zip(traces) {
            let trace = trace as usize;
            out.decided_millis[trace] = tick.now_millis;
            out.classes[trace] = verdict.class as u8;
            if verdict.keep {
                out.keep(trace, verdict.adjusted_count.unwrap_or(0.0));
                let kept = Kept { threshold: verdict.threshold, reason: verdict.keep_reason, revision: 1 };
                cache.keep(&world.traces[trace].id, now, kept);
            } else {
                cache.drop(&world.traces[trace].id, now);
            }
        }
    }
    follow(&cache, &mut queue, &mut out, u32::MAX);
    let kept_spans =
        world.traces.iter().zip(&out.kept).filter(|(_, kept)| **kept).map(|(trace, _)| u64::from(trace.spans));
    let kept_spans = kept_spans.sum::<u64>().max(1) as f64;
    let mut beyond = queue.beyond_grace_millis;
    beyond.sort_unstable();
    let beyond = |q: f64| f64::from(beyond.get((q * beyond.len() as f64) as usize).copied().unwrap_or(0)) / 1e3;
    let traces = timeline.facts.len().max(1) as f64;
    out.figures = vec![
        ("late_spans_that_follow_percent", 100.0 * followed as f64 / asked as f64),
        ("late_spans_percent_of_all", 100.0 * asked as f64 / world.span_count().max(1) as f64),
        ("late_spans_percent_of_kept", 100.0 * followers as f64 / kept_spans),
        ("decision_beyond_grace_p50_seconds", beyond(0.5)),
        ("decision_beyond_grace_p99_seconds", beyond(0.99)),
        ("ticks_cut_by_hard_cap_percent", 100.0 * cut as f64 / timeline.ticks.len().max(1) as f64),
        ("decide_ns_per_trace", decide_nanos as f64 / traces),
        ("classify_ns_per_span", timeline.classify_nanos as f64 / timeline.classified_spans.max(1) as f64),
        ("facts_bytes_per_pending_trace", size_of::<Facts>() as f64),
        ("sampler_state_kib", sampler.export().len() as f64 / 1024.0),
        ("decision_cache_bytes_per_trace", cache.bytes() as f64 / traces),
    ];
    Ok(out)
}

/// How far the sums of weights are from the truth, over many throws of the coins: in standard errors of their mean, and in
/// percent of the truth.
/// `rows` are what is summed: a value for each trace in the order of decisions.
pub fn bias(timeline: &Timeline, policy: &Policy, rows: &[Vec<f64>], seeds: u64) -> anyhow::Result<Vec<(f64, f64)>> {
    let mut sums = vec![(0.0, 0.0); rows.len()];
    let mut facts = timeline.facts.clone();
    for seed in 0..seeds {
        let mut random = Random::stream(seed, 7);
        facts.iter_mut().for_each(|facts| facts.randomness = Randomness::new(random.bits()));
        let mut sampler = Sampler::new(policy.clone())?;
        let mut estimates = vec![0.0; rows.len()];
        for tick in &timeline.ticks {
            let range = tick.first..tick.first + tick.len;
            let ripe = facts.get(range).context("a tick beyond its facts")?;
            let verdicts = sampler.tick(nanos(tick.now_millis), u64::from(tick.length_millis) * 1_000_000, ripe);
            for (at, verdict) in (tick.first..).zip(&verdicts).filter(|(_, verdict)| verdict.keep) {
                let weight = verdict.adjusted_count.unwrap_or(0.0);
                for (estimate, row) in estimates.iter_mut().zip(rows) {
                    *estimate += weight * row.get(at).copied().unwrap_or(0.0);
                }
            }
        }
        for ((sum, squares), (estimate, row)) in sums.iter_mut().zip(estimates.iter().zip(rows)) {
            let error = estimate - row.iter().sum::<f64>();
            *sum += error;
            *squares += error * error;
        }
    }
    let n = seeds as f64;
    Ok(sums
        .iter()
        .zip(rows)
        .map(|((sum, squares), row)| {
            let mean = sum / n;
            let variance = (squares / n - mean * mean).max(0.0) / (n - 1.0).max(1.0);
            let z = if variance > 0.0 { mean / variance.sqrt() } else { 0.0 };
            (z, 100.0 * mean / row.iter().sum::<f64>())
        })
        .collect())
}
