//! How long traces wait behind their root, by operation: the p99 of how long behind it spans have come. Bounded.
//!
//! A trace is remembered for as long as the longest wait, decided or not: else spans that come after the decision would never be
//! seen, and no wait would ever grow. Lags are known to a tick. Those of spans that came in the root's own tick do not count.

use std::time::Duration;

use hashbrown::HashMap;
use sampling::sketch::{Quantile, Recent};
use storage::model::{TraceId, UnixNanos};

use super::Bounds;

/// Traces that are remembered, and operations. Others wait as long as if nothing was known.
const MAX_TRACES: usize = 500_000;
const MAX_OPERATIONS: usize = 10_000;
const LAG_BUCKETS: u32 = 160;
const LAGS: Quantile = Quantile { q: 0.99, min_values: 200, half_nanos: 1_800_000_000_000 };
const PRUNE_NANOS: i64 = 1_000_000_000;
/// After the longest wait, for a late tick.
const MARGIN_NANOS: i64 = 5_000_000_000;
const IDLE_NANOS: i64 = 3_600_000_000_000;

#[derive(Debug, Clone, Copy)]
struct Rooted {
    operation: u64,
    root_arrival: UnixNanos,
    /// Of what is pending of it.
    span_count: usize,
}

#[derive(Debug)]
struct Lags {
    recent: Recent,
    seen: UnixNanos,
}

#[derive(Debug)]
pub struct Graces {
    bounds: Bounds,
    traces: HashMap<TraceId, Rooted>,
    operations: HashMap<u64, Lags>,
    pruned: UnixNanos,
}

impl Graces {
    pub fn between(bounds: Bounds) -> Self {
        Self { bounds, traces: HashMap::new(), operations: HashMap::new(), pruned: UnixNanos(0) }
    }

    /// Takes note of how many spans are pending of a trace whose root is there, and says how long it waits behind it. `None`:
    /// nothing is known, neither of the trace nor of its operation; [`Self::begin`] is to tell the former.
    pub fn see(&mut self, id: &TraceId, span_count: usize, now: UnixNanos) -> Option<Grace> {
        let rooted = self.traces.get_mut(id)?;
        let lags = self.operations.get_mut(&rooted.operation);
        let come = span_count.saturating_sub(rooted.span_count);
        rooted.span_count = span_count;
        let Some(lags) = lags else { return Some(Grace::Unknown) };
        let now_nanos = nanos(now.0);
        let lag = nanos(now.since(rooted.root_arrival));
        // A trace of very many spans does not speak for all others.
        for _ in 0..come.min(100) {
            lags.recent.record(now_nanos, LAGS.half_nanos, lag);
        }
        lags.seen = now;
        let grace = lags.recent.quantile(now_nanos, LAGS).map(Duration::from_nanos);
        Some(grace.map_or(Grace::Unknown, |grace| Grace::Known(grace.clamp(self.bounds.least, self.bounds.most))))
    }

    /// Whether another trace can be remembered.
    pub fn has_room(&self) -> bool {
        self.traces.len() < MAX_TRACES
    }

    /// A trace's root has come.
    pub fn begin(&mut self, id: TraceId, operation: u64, root_arrival: UnixNanos, span_count: usize) {
        if self.has_room() {
            self.traces.insert(id, Rooted { operation, root_arrival, span_count });
        }
        if self.operations.len() < MAX_OPERATIONS || self.operations.contains_key(&operation) {
            let recent = || Lags { recent: Recent::new(LAG_BUCKETS, nanos(root_arrival.0)), seen: root_arrival };
            self.operations.entry(operation).or_insert_with(recent);
        }
    }

    /// What was pending of these traces is decided; what comes now is late.
    pub fn decided(&mut self, ids: &[TraceId]) {
        for id in ids {
            if let Some(rooted) = self.traces.get_mut(id) {
                rooted.span_count = 0;
            }
        }
    }

    pub fn prune(&mut self, now: UnixNanos) {
        if now.since(self.pruned).abs() < PRUNE_NANOS {
            return;
        }
        self.pruned = now;
        let longest = i64::try_from(self.bounds.most.as_nanos()).unwrap_or(i64::MAX).saturating_add(MARGIN_NANOS);
        self.traces.retain(|_, rooted| (0..longest).contains(&now.since(rooted.root_arrival)));
        self.operations.retain(|_, lags| now.since(lags.seen) < IDLE_NANOS);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grace {
    /// Too few lags are known.
    Unknown,
    Known(Duration),
}

fn nanos(nanos: i64) -> u64 {
    u64::try_from(nanos).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: i64 = 1_000_000;

    fn at(millis: i64) -> UnixNanos {
        UnixNanos((1_800_000_000_000 + millis) * MILLI)
    }

    fn id(number: i64) -> TraceId {
        TraceId::from_bytes((number as u128 + 1).to_be_bytes()).unwrap()
    }

    /// After so many traces of two spans, the second of which comes this long behind the root, decided after two seconds.
    fn after(traces: i64, lag_millis: impl Fn(i64) -> i64) -> (Graces, UnixNanos) {
        let mut graces = Graces::between(Bounds::default());
        let mut ends = at(0);
        for number in 0..traces {
            // All within the time that lags count.
            let begin = number * (3_000_000 / traces);
            assert_eq!(graces.see(&id(number), 1, at(begin)), None);
            graces.begin(id(number), 7, at(begin), 1);
            let lag = lag_millis(number);
            if lag > 2_000 {
                graces.decided(&[id(number)]);
            }
            ends = at(begin + lag);
            graces.see(&id(number), if lag > 2_000 { 1 } else { 2 }, ends);
            graces.prune(ends);
        }
        (graces, ends)
    }

    fn grace(traces: i64, lag_millis: impl Fn(i64) -> i64) -> Grace {
        let (mut graces, now) = after(traces, lag_millis);
        graces.begin(id(-2), 7, now, 1);
        graces.see(&id(-2), 1, now).unwrap()
    }

    #[track_caller]
    fn check(traces: i64, lag_millis: impl Fn(i64) -> i64, expected_millis: u64) {
        match grace(traces, lag_millis) {
            Grace::Known(grace) => {
                let off = grace.as_secs_f64() * 1e3 / expected_millis as f64 - 1.0;
                assert!(off.abs() < 0.05, "{grace:?} instead of {expected_millis} ms");
            }
            Grace::Unknown => panic!("unknown"),
        }
    }

    #[test]
    fn an_operation_waits_as_long_as_its_spans_need() {
        assert_eq!(grace(199, |_| 3_000), Grace::Unknown);
        check(200, |_| 3_000, 3_000);
        check(200, |_| 10, 500);
        check(200, |_| 14_000, 10_000);
        // Three in a hundred come late, after the decision.
        check(400, |number| if number % 33 == 0 { 5_000 } else { 100 }, 5_000);
        check(400, |number| if number % 200 == 199 { 5_000 } else { 1_000 }, 1_000);
    }

    #[test]
    fn what_is_long_decided_is_forgotten() {
        let (mut graces, now) = after(50, |_| 1_000);
        assert_eq!(graces.traces.len(), 1);
        graces.prune(UnixNanos(now.0 + 16_000 * MILLI));
        assert!(graces.traces.is_empty() && graces.operations.len() == 1);
        graces.prune(UnixNanos(now.0 + 2 * IDLE_NANOS));
        assert!(graces.operations.is_empty());
    }
}
