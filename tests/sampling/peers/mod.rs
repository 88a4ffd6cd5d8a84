//! What others do with the same stream and the same budget, written anew from their documented formulae.
//!
//! - `uniform`: one probability.
//! - `otel`: policies of the OpenTelemetry Collector's tail sampling (contrib v0.160).
//! - `ema`: EMADynamic and EMAThroughput of Refinery 3.2.2 (dynsampler-go).
//!
//! All of them see whole traces, late spans included, and their rates are fitted to the judged stream itself; both is in
//! their favour. Budgets count spans.

mod ema;
mod otel;
mod uniform;

use crate::outcome::Outcome;
use crate::truth::Truth;
use crate::world::World;

pub fn run(world: &World, truth: &Truth, budget: f64) -> Vec<Outcome> {
    let spans_per_second = budget * world.base_cost_per_second();
    let mut outcomes = vec![uniform::run(world, budget)];
    outcomes.extend(otel::policies(world, truth, budget));
    outcomes.push(otel::composite(world, truth, spans_per_second));
    outcomes.push(ema::dynamic(world, truth, budget));
    outcomes.push(ema::throughput(world, truth, budget, spans_per_second));
    outcomes
}

/// Traces in the order in which a peer decides them.
fn in_order(world: &World, decided: impl Fn(&crate::world::Trace) -> u32) -> Vec<(u32, usize)> {
    let mut order: Vec<(u32, usize)> =
        world.traces.iter().enumerate().map(|(at, trace)| (decided(trace), at)).collect();
    order.sort_unstable();
    order
}
