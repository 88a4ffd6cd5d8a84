//! Policies of the OpenTelemetry Collector's tail sampling processor (contrib v0.160, `processor/tailsamplingprocessor`).
//!
//! - `policies`: `status_code: ERROR`, `latency: threshold_ms`, `probabilistic: sampling_percentage`; a trace is kept when any
//!   of them says so. With thresholds (behind a gate, contrib#48865) the weight is that of the policy that keeps it most
//!   surely; without them every trace counts as one.
//! - `composite`: the same three in this order, each with its part of `max_total_spans_per_second`, counted anew every
//!   second. The first that wants a trace decides it: beyond its part the trace is dropped.
//!
//! Decided 30 s after the first span. The probabilistic policy keeps what the FNV-1a hash of salt and id is at most.

use super::in_order;
use crate::outcome::Outcome;
use crate::truth::Truth;
use crate::world::{Trace, World};

const WAIT_MILLIS: u32 = 30_000;
const SALT: &[u8] = b"default-hash-seed";
/// Of the budget, for latency: what is left goes to the probability.
const LATENCY_SHARE: f64 = 0.3;
/// Parts of the composite policy.
const PARTS: [f64; 3] = [0.5, 0.25, 0.25];

fn fnv1a(parts: [&[u8]; 2]) -> u64 {
    let hash = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    parts.into_iter().flatten().fold(0xcbf2_9ce4_8422_2325, hash)
}

fn is_chosen(id: &[u8; 16], ratio: f64) -> bool {
    fnv1a([SALT, id]) <= (u64::MAX as f64 * ratio) as u64
}

/// The latency from which on traces cost `spans`, and what those with an error cost.
fn fit(world: &World, truth: &Truth, spans: f64) -> (u32, f64, f64) {
    let judged = || world.traces.iter().zip(&truth.traces).filter(|(_, known)| known.judged).map(|(trace, _)| trace);
    let cost = |traces: &mut dyn Iterator<Item = &Trace>| traces.map(|trace| f64::from(trace.spans)).sum::<f64>();
    let errors = cost(&mut judged().filter(|trace| trace.any_error));
    let mut durations: Vec<(u32, u8)> = judged()
        .filter(|trace| !trace.any_error && trace.root_millis.is_some())
        .map(|trace| (trace.duration_micros, trace.spans))
        .collect();
    durations.sort_unstable();
    let (mut latency, mut used) = (u32::MAX, 0.0);
    while let Some((duration, cost)) = durations.pop() {
        used += f64::from(cost);
        if used > spans {
            break;
        }
        latency = duration;
    }
    (latency, errors, cost(&mut judged()))
}

fn is_slow(trace: &Trace, latency: u32) -> bool {
    trace.root_millis.is_some() && trace.duration_micros >= latency
}

pub fn policies(world: &World, truth: &Truth, budget: f64) -> [Outcome; 2] {
    let (_, errors, all) = fit(world, truth, 0.0);
    let left = (budget * all - errors).max(0.0);
    let (latency, ..) = fit(world, truth, LATENCY_SHARE * left);
    let ratio = ((1.0 - LATENCY_SHARE) * left / all).min(1.0);
    let mut with = Outcome::nothing("otel_th", world.traces.len());
    let mut without = Outcome::nothing("otel", world.traces.len());
    for (at, trace) in world.traces.iter().enumerate() {
        with.decided_millis[at] = trace.first_seen_millis + WAIT_MILLIS;
        without.decided_millis[at] = trace.first_seen_millis + WAIT_MILLIS;
        let certain = trace.any_error || is_slow(trace, latency);
        if certain || is_chosen(&trace.id, ratio) {
            with.keep(at, if certain { 1.0 } else { 1.0 / ratio });
            without.keep(at, 1.0);
        }
    }
    [with, without]
}

/// Spans that the composite policy has kept in this second, by sub-policy.
#[derive(Debug, Default)]
struct Composite {
    second: u32,
    kept: [f64; 3],
}

impl Composite {
    fn keeps(&mut self, second: u32, wants: [bool; 3], spans: f64, limits: [f64; 3]) -> bool {
        if second != self.second {
            *self = Self { second, kept: [0.0; 3] };
        }
        let Some(first) = wants.iter().position(|wants| *wants) else { return false };
        let fits = self.kept[first] + spans <= limits[first];
        if fits {
            self.kept[first] += spans;
        }
        fits
    }
}

pub fn composite(world: &World, truth: &Truth, spans_per_second: f64) -> Outcome {
    let mut out = Outcome::nothing("otel_composite", world.traces.len());
    let all = fit(world, truth, 0.0).2;
    let (latency, ..) = fit(world, truth, 0.01 * all);
    let limits = PARTS.map(|part| (part * spans_per_second).floor());
    let mut composite = Composite::default();
    for (decided, at) in in_order(world, |trace| trace.first_seen_millis + WAIT_MILLIS) {
        let trace = &world.traces[at];
        out.decided_millis[at] = decided;
        let wants = [trace.any_error, is_slow(trace, latency), true];
        if composite.keeps(decided / 1_000, wants, f64::from(trace.spans), limits) {
            out.keep(at, 1.0);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a() {
        // Test vectors of draft-eastlake-fnv, 64 bits.
        for (text, hash) in
            [("", 0xcbf2_9ce4_8422_2325), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8)]
        {
            assert_eq!(fnv1a([b"", text.as_bytes()]), hash, "{text}");
        }
        assert_eq!(fnv1a([b"foo", b"bar"]), fnv1a([b"", b"foobar"]));
        assert!(is_chosen(&[7; 16], 1.0) && !is_chosen(&[7; 16], 0.0));
    }

    #[test]
    fn the_first_policy_that_wants_a_trace_decides_it() {
        // By hand, from `Composite.Evaluate`: 10 spans a second for errors, 5 for slow ones, 5 for the rest.
        let mut composite = Composite::default();
        let mut keeps = |second, wants, spans| composite.keeps(second, wants, spans, [10.0, 5.0, 5.0]);
        assert!(keeps(1, [true, true, true], 6.0));
        // Would fit the second policy's part, but the first has refused it.
        assert!(!keeps(1, [true, true, true], 5.0));
        assert!(keeps(1, [true, false, true], 4.0));
        assert!(keeps(1, [false, true, true], 5.0));
        assert!(!keeps(1, [false, true, true], 1.0));
        assert!(keeps(1, [false, false, true], 5.0));
        assert!(!keeps(1, [false, false, false], 0.0));
        assert!(keeps(2, [true, false, true], 10.0));
    }
}
