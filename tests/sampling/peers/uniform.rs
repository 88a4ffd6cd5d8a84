//! One probability for all, by the trace's own randomness.

use sampling::Threshold;

use crate::outcome::Outcome;
use crate::world::World;

const WAIT_MILLIS: u32 = 30_000;

pub fn run(world: &World, probability: f64) -> Outcome {
    let mut out = Outcome::nothing("uniform", world.traces.len());
    let threshold = Threshold::from_probability(probability);
    for (at, trace) in world.traces.iter().enumerate() {
        out.decided_millis[at] = trace.first_seen_millis + WAIT_MILLIS;
        if threshold.keeps(trace.randomness) {
            out.keep(at, threshold.adjusted_count());
        }
    }
    out
}
