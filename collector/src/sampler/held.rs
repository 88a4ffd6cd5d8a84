//! Traces whose decision waits for a later tick, and what is known of them: who is surveyed twice has durations that count
//! twice, so only those are of which more has come.

use std::collections::HashMap;

use sampling::Facts;
use storage::model::{TraceId, UnixNanos};

use super::source::Source;

/// A ripe trace as it was surveyed.
#[derive(Debug)]
struct Waiting {
    facts: Facts,
    service: Box<str>,
    operation: Box<str>,
    has_root: bool,
    instance: u64,
    own_spans: u32,
    likely_head: f64,
    span_count: usize,
    since: UnixNanos,
}

/// Of one tick to the next. It holds no more than what is pending.
#[derive(Debug, Default)]
pub struct Held(HashMap<TraceId, Waiting>);

impl Held {
    pub fn add(&mut self, trace_id: TraceId, facts: Facts, source: &Source<'_>, span_count: usize, since: UnixNanos) {
        let waiting = Waiting {
            facts,
            service: source.service.into(),
            operation: source.operation.into(),
            has_root: source.has_root,
            instance: source.instance,
            own_spans: source.own_spans,
            likely_head: source.likely_head,
            span_count,
            since,
        };
        self.0.insert(trace_id, waiting);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Since when the trace has been waiting, if it has.
    pub fn since(&self, trace_id: &TraceId) -> Option<UnixNanos> {
        self.0.get(trace_id).map(|waiting| waiting.since)
    }

    /// What was found out about the trace, if nothing of it came since.
    pub fn get(&self, trace_id: &TraceId, span_count: usize) -> Option<(Facts, Source<'_>)> {
        let waiting = self.0.get(trace_id).filter(|waiting| waiting.span_count == span_count)?;
        let source = Source {
            service: &waiting.service,
            operation: &waiting.operation,
            has_root: waiting.has_root,
            instance: waiting.instance,
            own_spans: waiting.own_spans,
            likely_head: waiting.likely_head,
        };
        Some((waiting.facts, source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_a_trace_holds_until_more_of_it_comes() {
        let (id, other) = (TraceId::from_bytes([1; 16]).unwrap(), TraceId::from_bytes([2; 16]).unwrap());
        let source = Source {
            service: "cart",
            operation: "GET /cart",
            has_root: true,
            instance: 7,
            own_spans: 3,
            likely_head: 0.5,
        };
        let facts = Facts { cost: 5.0, root_failed: true, ..Facts::default() };
        let mut held = Held::default();
        held.add(id, facts, &source, 5, UnixNanos(100));
        let (known, from) = held.get(&id, 5).unwrap();
        assert_eq!((known, from.service, from.operation), (facts, "cart", "GET /cart"));
        assert_eq!((from.has_root, from.instance, from.own_spans, from.likely_head), (true, 7, 3, 0.5));
        assert!(held.get(&id, 6).is_none() && held.get(&other, 5).is_none());
        assert_eq!((held.since(&id), held.since(&other)), (Some(UnixNanos(100)), None));
    }
}
