//! What operations cost the instances of their services: the rates that answers to polls follow from. Bounded, and pure.
//!
//! Every trace counts as many as it stands for at its source. Otherwise a lowered probability would look like less traffic.

use std::collections::HashMap;
use std::sync::Arc;

use sampling::rate::{Decayed, HalfLife};
use sampling::{Class, Facts, Head, KeepReason, Verdict};

use super::source::Source;
use crate::remote::{OperationRate, RateTable};

/// Operations and instances beyond these are not counted; such operations keep everything.
const MAX_OPERATIONS: usize = 10_000;
/// What a client claims of its head sampler cannot make a trace count for more than a thousand.
const LEAST_HEAD: f64 = 1e-3;
const MAX_INSTANCES: usize = 20_000;
const HALF_LIFE_SECONDS: f64 = 30.0;
/// An operation that was silent so long is forgotten, and so is an instance.
const IDLE_NANOS: u64 = 600_000_000_000;
const IDLE_INSTANCE_NANOS: u64 = 120_000_000_000;
/// Nothing is said until so much time has been seen.
const SETTLED_NANOS: u64 = 5_000_000_000;

/// One kind of root span of one service.
#[derive(Debug)]
struct Operation {
    service: Arc<str>,
    service_hash: u64,
    name: Arc<str>,
    /// Traces that arrived; their cost is the traces that they stand for.
    traces: Decayed,
    /// Those that failed.
    failed: Decayed,
    /// As cost the spans that the service itself made, of all traces.
    spans: Decayed,
    /// As cost the probability, since the source, of those that nothing else speaks for.
    normal: Decayed,
    seen_nanos: u64,
}

/// Counts of all operations.
#[derive(Debug, Default)]
pub struct Loads {
    operations: HashMap<u64, Operation>,
    /// By hashes of service and instance, when it was seen last.
    instances: HashMap<(u64, u64), u64>,
    started_nanos: Option<u64>,
    published_nanos: u64,
}

fn half_life() -> HalfLife {
    HalfLife::seconds(HALF_LIFE_SECONDS)
}

impl Loads {
    /// Counts a decided trace.
    pub fn count(&mut self, now_nanos: u64, source: &Source<'_>, facts: &Facts, verdict: &Verdict) {
        self.started_nanos.get_or_insert(now_nanos);
        // A trace without its root says neither who sampled it nor as what. One that was shed is stood for by the others, or load
        // would look least where there is most.
        if !source.has_root || !facts.shed.keeps(facts.randomness) {
            return;
        }
        if self.instances.len() < MAX_INSTANCES || self.instances.contains_key(&(facts.service, source.instance)) {
            self.instances.insert((facts.service, source.instance), now_nanos);
        }
        if self.operations.len() >= MAX_OPERATIONS && !self.operations.contains_key(&facts.operation) {
            return;
        }
        let operation = self.operations.entry(facts.operation).or_insert_with(|| Operation {
            service: source.service.into(),
            service_hash: facts.service,
            name: source.operation.into(),
            traces: Decayed::default(),
            failed: Decayed::default(),
            spans: Decayed::default(),
            normal: Decayed::default(),
            seen_nanos: now_nanos,
        });
        operation.seen_nanos = now_nanos;
        let stands_for = 1.0 / (source.likely_head.clamp(LEAST_HEAD, 1.0) * facts.shed.probability().max(LEAST_HEAD));
        operation.traces.add(now_nanos, half_life(), stands_for);
        operation.spans.add(now_nanos, half_life(), stands_for * f64::from(source.own_spans));
        if verdict.class == Class::Error {
            operation.failed.add(now_nanos, half_life(), 1.0);
        }
        if matches!(verdict.keep_reason, KeepReason::Normal | KeepReason::Rare) && verdict.class == Class::Normal {
            // With `th` the tail's probability counts from the source on, else from what arrived.
            let since = if matches!(facts.head, Head::Threshold(_)) { 1.0 } else { source.likely_head };
            operation.normal.add(now_nanos, half_life(), verdict.p_tail * since);
        }
    }

    /// Service and name of an operation.
    pub fn names(&self, operation: u64) -> Option<(Arc<str>, Arc<str>)> {
        self.operations.get(&operation).map(|known| (Arc::clone(&known.service), Arc::clone(&known.name)))
    }

    /// The rates of now, once a second and when enough is known.
    pub fn due(&mut self, now_nanos: u64) -> Option<RateTable> {
        const EVERY_NANOS: u64 = 1_000_000_000;
        let age_nanos = now_nanos.checked_sub(self.started_nanos?)?;
        if age_nanos < SETTLED_NANOS || now_nanos.abs_diff(self.published_nanos) < EVERY_NANOS {
            return None;
        }
        self.published_nanos = now_nanos;
        self.operations.retain(|_, operation| now_nanos.saturating_sub(operation.seen_nanos) < IDLE_NANOS);
        self.instances.retain(|_, seen_nanos| now_nanos.saturating_sub(*seen_nanos) < IDLE_INSTANCE_NANOS);
        Some(self.table(now_nanos, age_nanos))
    }

    fn table(&self, now_nanos: u64, age_nanos: u64) -> RateTable {
        let half_life = half_life();
        let per_count = half_life.rate_per_count(age_nanos);
        let rate = |counter: &Decayed| counter.count_at(now_nanos, half_life) * per_count;
        let mut instances: HashMap<u64, u32> = HashMap::new();
        self.instances.keys().for_each(|(service, _)| *instances.entry(*service).or_default() += 1);
        let rates = self.operations.values().map(|operation| {
            let arrived = rate(&operation.traces);
            OperationRate {
                service: Arc::clone(&operation.service),
                operation: Arc::clone(&operation.name),
                spans_per_second: rate(&operation.spans) * operation.spans.mean_cost(),
                traces_per_second: arrived * operation.traces.mean_cost(),
                error_share: if arrived > 0.0 { rate(&operation.failed) / arrived } else { 0.0 },
                // Where none was normal, nothing is known that speaks for thinning.
                tail_probability: if operation.normal.count() > 0.0 { operation.normal.mean_cost() } else { 1.0 },
                instances: instances.get(&operation.service_hash).copied().unwrap_or(1),
            }
        });
        RateTable::new(rates)
    }
}

#[cfg(test)]
mod tests {
    use sampling::{Policy, Sampler};

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// After ten seconds of `traces` a second, of which every tenth failed, sampled with `head`, from two instances.
    fn table(traces: u64, head: f64, budget: Option<&str>) -> RateTable {
        let policy = Policy { budget: budget.map(|budget| budget.parse().unwrap()), ..Policy::default() };
        let mut sampler = Sampler::new(policy).unwrap();
        let mut loads = Loads::default();
        let mut last = None;
        for second in 100..=110 {
            let facts: Vec<Facts> = (0..traces)
                .map(|number| Facts {
                    operation: 1,
                    service: 2,
                    root_failed: number % 10 == 0,
                    head: Head::Ratio(head),
                    cost: 4.0,
                    randomness: sampling::Randomness::hashed(&u128::from(second * 1_000_000 + number).to_le_bytes()),
                    ..Facts::default()
                })
                .collect();
            let now = second * SECOND;
            for (number, (facts, verdict)) in facts.iter().zip(sampler.tick(now, SECOND, &facts)).enumerate() {
                let source = Source {
                    service: "web",
                    operation: "GET /",
                    has_root: true,
                    instance: number as u64 % 2,
                    own_spans: 3,
                    likely_head: head,
                };
                loads.count(now, &source, facts, &verdict);
            }
            let table = loads.due(now);
            assert_eq!(table.is_some(), second >= 105, "{second}");
            last = table.or(last);
        }
        last.unwrap()
    }

    #[track_caller]
    fn check(table: &RateTable, traces: f64, tail: f64) {
        let rate = &table.service("web").unwrap().operations()[0];
        assert_eq!((&*rate.operation, rate.instances), ("GET /", 2));
        let near =
            |actual: f64, expected: f64| assert!((actual / expected - 1.0).abs() < 0.15, "{actual}, not {expected}");
        near(rate.traces_per_second, traces);
        near(rate.spans_per_second, traces * 3.0);
        near(rate.error_share, 0.1);
        near(rate.tail_probability, tail);
    }

    #[test]
    fn rates_are_those_at_the_source() {
        check(&table(200, 1.0, None), 200.0, 1.0);
        check(&table(200, 0.25, None), 800.0, 0.25);
        // 400 spans a second for 80 that failed and 720 others; the same at half the rate behind a head of a quarter.
        check(&table(200, 1.0, Some("400 spans/s")), 200.0, 0.44);
        check(&table(100, 0.25, Some("200 spans/s")), 400.0, 0.11);
    }

    #[test]
    fn what_was_silent_is_forgotten() {
        let mut loads = Loads::default();
        let source =
            Source { service: "web", operation: "GET /", has_root: true, instance: 1, own_spans: 1, likely_head: 1.0 };
        let facts = Facts::default();
        let verdict = Sampler::new(Policy::default()).unwrap().tick(SECOND, SECOND, &[facts])[0];
        loads.count(SECOND, &source, &facts, &verdict);
        assert!(loads.due(100 * SECOND).unwrap().service("web").is_some());
        assert!(loads.due(700 * SECOND).unwrap().service("web").is_none());
        assert!(loads.instances.is_empty() && loads.operations.is_empty());
    }
}
