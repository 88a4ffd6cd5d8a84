//! What a column takes at least, in bytes a span, where that is known: a model of the data and its entropy.
//!
//! - ids are random bits, once each; which of the traces under way a span belongs to, and which of its spans is the
//!   parent, takes the logarithm of how many there are
//! - starts are gaps of a Poisson stream within an operation, the order in which segments have them
//! - durations are log-normal within an operation
//!
//! A floor of the model, not of the data: where the data is more regular than the model, a column may take less.

use std::f64::consts::{E, LN_2, PI};

use crate::facts::{Facts, Times, Trace};

const TRACE_ID_BYTES: f64 = 16.0;
const SPAN_ID_BYTES: f64 = 8.0;

/// By column of `spans`. `start_time` includes `start_nanos`.
pub type Floors = Vec<(&'static str, f64)>;

pub fn floors(facts: &Facts) -> Floors {
    let spans = facts.spans as f64;
    let per_span = |bits: f64| bits / 8.0 / spans;
    let traces: Vec<&Trace> = facts.traces.values().collect();
    let children = |trace: &&Trace| (trace.spans - trace.roots) as f64 * (trace.spans as f64).log2();
    let times = || facts.operations.values();
    vec![
        ("trace_id", TRACE_ID_BYTES * traces.len() as f64 / spans + per_span(which_trace_bits(&traces))),
        ("span_id", SPAN_ID_BYTES),
        ("parent_span_id", per_span(traces.iter().map(children).sum())),
        ("start_time", per_span(times().map(|times| start_bits(&times.starts)).sum())),
        ("duration_ns", per_span(times().map(duration_bits).sum())),
    ]
}

/// Spans of a trace start between its first and its last; how many traces are under way then is weighed by spans.
fn which_trace_bits(traces: &[&Trace]) -> f64 {
    let mut firsts: Vec<u64> = traces.iter().map(|trace| trace.first_start).collect();
    let mut lasts: Vec<u64> = traces.iter().map(|trace| trace.last_start).collect();
    firsts.sort_unstable();
    lasts.sort_unstable();
    let under_way = |time: u64| {
        let begun = firsts.partition_point(|first| *first <= time);
        let ended = lasts.partition_point(|last| *last < time);
        (begun - ended) as f64
    };
    // The middle of a trace stands for the starts of its spans.
    traces.iter().map(|trace| trace.spans as f64 * under_way(trace.first_start.midpoint(trace.last_start)).log2()).sum()
}

fn start_bits(starts: &[u64]) -> f64 {
    let (first, last) = (starts.iter().min().copied(), starts.iter().max().copied());
    let gaps = starts.len().saturating_sub(1) as f64;
    let total = last.zip(first).map_or(0, |(last, first)| last - first) as f64;
    if gaps == 0.0 || total == 0.0 {
        return 0.0;
    }
    // Below one nanosecond nothing is stored.
    gaps * (E * total / gaps).log2().max(0.0)
}

fn duration_bits(times: &Times) -> f64 {
    let logarithms: Vec<f64> = times.durations.iter().map(|duration| (*duration.max(&1) as f64).log2()).collect();
    let count = logarithms.len() as f64;
    let mean = logarithms.iter().sum::<f64>() / count;
    let variance = logarithms.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    // The density of ln d is that of a normal; a nanosecond at d is as wide as 1/d there.
    let natural_variance = variance * LN_2.powi(2);
    let bits = mean + 0.5 * (2.0 * PI * E * natural_variance).log2();
    count * bits.max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn about(value: f64, expected: f64) {
        assert!((value - expected).abs() < 0.01 * expected.abs().max(1.0), "{value}, not {expected}");
    }

    #[test]
    fn gaps_take_the_entropy_of_their_mean() {
        let starts: Vec<u64> = (0..=1_000).map(|index| index * 1_000).collect();
        about(start_bits(&starts), 1_000.0 * (E * 1_000.0).log2());
        assert_eq!((start_bits(&[7]), start_bits(&[7, 7]), start_bits(&[])), (0.0, 0.0, 0.0));
    }

    #[test]
    fn durations_take_the_entropy_of_their_spread() {
        // Half at 1 µs, half at 4 µs: a deviation of ln 2 about 2 µs.
        let durations: Vec<u64> = (0..1_000).map(|index| if index % 2 == 0 { 1_000 } else { 4_000 }).collect();
        let bits = duration_bits(&Times { starts: Vec::new(), durations });
        about(bits / 1_000.0, 2_000_f64.log2() + 0.5 * (2.0 * PI * E).log2() + 2_f64.ln().log2());
        // All the same: nothing.
        assert_eq!(duration_bits(&Times { starts: Vec::new(), durations: vec![5_000; 10] }), 0.0);
    }

    #[test]
    fn a_trace_alone_needs_no_telling_apart() {
        let trace = |first, last| Trace { spans: 8, roots: 1, first_start: first, last_start: last };
        let (first, second, third) = (trace(0, 10), trace(20, 40), trace(25, 35));
        about(which_trace_bits(&[&first]), 0.0);
        about(which_trace_bits(&[&first, &second, &third]), 16.0);
    }

    #[test]
    fn ids_are_random_once() {
        let mut facts = Facts { spans: 8, ..Facts::default() };
        facts.traces.insert([1; 16], Trace { spans: 8, roots: 1, first_start: 0, last_start: 10 });
        let floors = floors(&facts);
        let floor = |name| floors.iter().find(|(known, _)| *known == name).unwrap().1;
        about(floor("trace_id"), 2.0);
        about(floor("span_id"), 8.0);
        about(floor("parent_span_id"), 7.0 * 3.0 / 8.0 / 8.0);
    }
}
