//! When the collector decides what, and what it knows by then: all of it the same whatever the budget, but for what waits a
//! little longer because much comes at once.
//!
//! A trace is ripe at `min(first seen + 30 s, root arrived + g)`, `g` being the p99 of its operation's spans' arrival after
//! the root, clamped to 0.5 to 10 s. A tick is 100 ms, and stretches to at most 1 s until 200 traces are ripe. Spans that
//! come after the decision are late: they change no fact, and everything that comes counts in the metrics.

mod facts;

pub use facts::edge;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use sampling::sketch::{Quantile, Recent};
use sampling::{Facts, Policy};

use self::facts::Assembly;
use crate::metrics::Metrics;
use crate::world::{NANOS_PER_MILLI, START_NANOS, World};

pub const TICK_MILLIS: u32 = 100;
const STRETCHED_MILLIS: u32 = 1_000;
const RIPE: usize = 200;
const LONGEST_MILLIS: u32 = 30_000;
const GRACE_MILLIS: (u64, u64) = (500, 10_000);
const GRACE: Quantile = Quantile { q: 0.99, min_values: 200, half_nanos: 1_800_000_000_000 };
const LAG_BUCKETS: u32 = 160;

/// In place of a time.
pub const NEVER: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
pub struct Tick {
    pub now_millis: u32,
    pub length_millis: u32,
    /// Of `facts` and `traces`.
    pub first: usize,
    pub len: usize,
}

/// A span that came after its trace was decided.
#[derive(Debug, Clone, Copy)]
pub struct Late {
    pub arrival_millis: u32,
    pub trace: u32,
    pub cost: f32,
    /// It is the root and shows a failure or slowness, or a failed entry span: reason to rescue the trace.
    pub matters: bool,
}

#[derive(Debug, Default)]
pub struct Timeline {
    pub ticks: Vec<Tick>,
    /// In the order of decisions.
    pub facts: Vec<Facts>,
    /// Of the world, beside `facts`.
    pub traces: Vec<u32>,
    /// In order of arrival.
    pub late: Vec<Late>,
    /// By trace of the world.
    pub decided_millis: Vec<u32>,
    /// Beside `facts`: from the root's arrival until it is ripe, beyond the grace. [`NEVER`] without a root.
    pub beyond_grace_millis: Vec<u32>,
    pub metrics: Metrics,
    /// What classifying costs: shape, slow spans and metrics together.
    pub classify_nanos: u64,
    pub classified_spans: u64,
}

pub fn nanos(millis: u32) -> u64 {
    START_NANOS + u64::from(millis) * NANOS_PER_MILLI
}

/// What has arrived, and what is waiting.
struct Waiting<'a> {
    world: &'a World,
    /// By operation of the world.
    lags: Vec<Recent>,
    /// Deadline, the grace's begin, trace.
    wheel: BinaryHeap<Reverse<(u32, u32, u32)>>,
    late: BinaryHeap<Reverse<(u32, u32, u8)>>,
}

impl Timeline {
    pub fn of(world: &World, policy: &Policy) -> Self {
        let mut known: Vec<(u32, u32)> = (0..).zip(&world.traces).map(|(at, trace)| (known_at(trace), at)).collect();
        known.sort_unstable();
        let lags = world.plan.operations.iter().map(|_| Recent::new(LAG_BUCKETS, START_NANOS)).collect();
        let mut waiting = Waiting { world, lags, wheel: BinaryHeap::new(), late: BinaryHeap::new() };
        let mut new = Self { decided_millis: vec![u32::MAX; world.traces.len()], ..Self::default() };
        let mut assembly = Assembly::new(world, policy);
        let mut known = known.into_iter().peekable();
        let (mut now, mut last) = (0, 0);
        let mut ripe: Vec<u32> = Vec::new();
        while known.peek().is_some() || !waiting.wheel.is_empty() || !ripe.is_empty() {
            now += TICK_MILLIS;
            while let Some((_, trace)) = known.next_if(|(at, _)| *at <= now) {
                waiting.hold(trace);
            }
            while let Some(Reverse((deadline, promised, trace))) = waiting.wheel.peek().copied() {
                if deadline > now {
                    break;
                }
                waiting.wheel.pop();
                ripe.push(trace);
                if let Some(decided) = new.decided_millis.get_mut(trace as usize) {
                    *decided = promised;
                }
            }
            if ripe.len() >= RIPE || now - last >= STRETCHED_MILLIS {
                new.tick(&mut waiting, &mut assembly, now, now - last, &ripe);
                ripe.clear();
                last = now;
            }
        }
        new.late_until(&mut waiting, &mut assembly, u32::MAX);
        new.metrics = assembly.metrics;
        new
    }

    fn tick(&mut self, waiting: &mut Waiting, assembly: &mut Assembly, now: u32, length: u32, ripe: &[u32]) {
        self.late_until(waiting, assembly, now);
        self.ticks.push(Tick { now_millis: now, length_millis: length, first: self.facts.len(), len: ripe.len() });
        let began = Instant::now();
        let world = waiting.world;
        for number in ripe {
            let Some(trace) = world.traces.get(*number as usize) else { continue };
            self.facts.push(assembly.facts(trace, now));
            self.traces.push(*number);
            self.classified_spans += u64::from(trace.spans);
        }
        self.classify_nanos += began.elapsed().as_nanos() as u64;
        for number in ripe {
            let Some(trace) = world.traces.get(*number as usize) else { continue };
            if let Some(decided) = self.decided_millis.get_mut(*number as usize) {
                let has_root = trace.root_millis.is_some_and(|root| root <= now) && *decided != u32::MAX;
                self.beyond_grace_millis.push(if has_root { now - (*decided).min(now) } else { NEVER });
                *decided = now;
            }
            for (at, span) in (0..).zip(world.spans(trace)) {
                if span.arrival_millis > now {
                    waiting.late.push(Reverse((span.arrival_millis, *number, at)));
                } else {
                    waiting.lag(trace.operation, trace.root_millis, span.arrival_millis, now);
                }
            }
        }
    }

    fn late_until(&mut self, waiting: &mut Waiting, assembly: &mut Assembly, now: u32) {
        while let Some(Reverse((arrival_millis, number, at))) = waiting.late.peek().copied() {
            if arrival_millis > now {
                return;
            }
            waiting.late.pop();
            let Some(trace) = waiting.world.traces.get(number as usize) else { continue };
            let Some(span) = waiting.world.spans(trace).get(usize::from(at)) else { continue };
            waiting.lag(trace.operation, trace.root_millis, arrival_millis, arrival_millis);
            let matters = assembly.late(trace, span);
            let cost = waiting.world.cost_of_span(span) as f32;
            self.late.push(Late { arrival_millis, trace: number, cost, matters });
        }
    }
}

impl Waiting<'_> {
    fn hold(&mut self, number: u32) {
        let Some(trace) = self.world.traces.get(number as usize) else { return };
        let longest = trace.first_seen_millis + LONGEST_MILLIS;
        let (mut deadline, mut promised) = (longest, u32::MAX);
        if let Some(root) = trace.root_millis.filter(|root| *root <= longest) {
            let lags = self.lags.get_mut(usize::from(trace.operation));
            let p99 = lags.and_then(|lags| lags.quantile(nanos(root), GRACE)).unwrap_or(GRACE_MILLIS.1);
            let (low, high) = GRACE_MILLIS;
            promised = (root + p99.clamp(low, high) as u32).min(longest);
            deadline = promised;
        }
        self.wheel.push(Reverse((deadline, promised, number)));
    }

    fn lag(&mut self, operation: u16, root: Option<u32>, arrival: u32, now: u32) {
        if let (Some(root), Some(lags)) = (root, self.lags.get_mut(usize::from(operation)))
            && arrival > root
        {
            lags.record(nanos(now), GRACE.half_nanos, u64::from(arrival - root));
        }
    }
}

/// When enough is known to say when it will be decided.
fn known_at(trace: &crate::world::Trace) -> u32 {
    let longest = trace.first_seen_millis + LONGEST_MILLIS;
    trace.root_millis.map_or(longest, |root| root.min(longest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{Settings, generate};

    #[test]
    fn every_trace_is_decided_once_at_its_time() {
        let world = generate(&Settings { seconds: 20, warmup_seconds: 20, ..Settings::short(1) });
        let timeline = Timeline::of(&world, &Policy::default());
        assert_eq!(timeline.facts.len(), world.traces.len());
        let mut seen = vec![0; world.traces.len()];
        timeline.traces.iter().for_each(|trace| seen[*trace as usize] += 1);
        assert!(seen.iter().all(|times| *times == 1));
        for (trace, decided) in world.traces.iter().zip(&timeline.decided_millis) {
            assert!(*decided >= trace.first_seen_millis, "{trace:?}");
            assert!(*decided <= trace.first_seen_millis + LONGEST_MILLIS + STRETCHED_MILLIS, "{decided} {trace:?}");
        }
        let arrived: usize = timeline.facts.iter().map(|facts| facts.cost as usize).sum();
        assert_eq!(arrived + timeline.late.len(), world.span_count());
        assert!(timeline.late.is_sorted_by_key(|late| late.arrival_millis));
        let ticks = &timeline.ticks;
        assert!(ticks.iter().all(|tick| tick.len >= RIPE || tick.length_millis >= STRETCHED_MILLIS));
        assert!(ticks.windows(2).all(|pair| pair[1].now_millis - pair[0].now_millis == pair[1].length_millis));
    }
}
