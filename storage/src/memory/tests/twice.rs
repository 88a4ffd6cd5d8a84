//! Spans that several requests brought: taken once by a decision, and the same at replay.

use std::collections::BTreeSet;

use super::*;

fn of_number(span: u64) -> SpanId {
    SpanId::from_bytes((span + 1).to_be_bytes()).unwrap()
}

fn sorted(spans: impl IntoIterator<Item = SpanId>) -> Vec<SpanId> {
    let mut spans: Vec<SpanId> = spans.into_iter().collect();
    spans.sort_unstable();
    spans
}

#[test]
fn otlp_508_a_span_of_two_requests_is_decided_once_and_after_its_decision_again() {
    let mut memory = memory_at(0, 0);
    insert(&mut memory, 1, batch(&[(1, 1), (2, 1)]));
    insert(&mut memory, 2, batch(&[(1, 2), (1, 1)]));
    assert_eq!(pending_ids(&memory).len(), 3, "queries see it once already");
    let same_ids = memory.decide(Lsn(3), UnixNanos(0), &[keep(1), keep(2)]).unwrap();
    assert_eq!(same_ids, SameIds { repeated: 1, conflicting: 0 });
    assert_eq!(span_ids(&memory.open.spans).len(), 3);
    assert_eq!((memory.pending.span_count(), memory.pending.bytes()), (0, 0));
    insert(&mut memory, 4, batch(&[(1, 1)]));
    assert_eq!(memory.decide(Lsn(5), UnixNanos(0), &[keep(1)]).unwrap(), SameIds::default());
    assert_eq!(span_ids(&memory.open.spans).len(), 4);
}

/// Steps in which few spans come again and again.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => proptest::collection::vec((0u8..3, 0u64..3), 1..5).prop_map(Step::Request),
        2 => proptest::collection::vec(0u8..3, 1..3).prop_map(Step::Decide),
        1 => Just(Step::Seal),
    ];
    proptest::collection::vec(step, 1..40)
}

fn fold(mut memory: Memory, steps: &[Step]) -> Memory {
    let mut sealed = 0;
    steps.iter().enumerate().for_each(|(index, step)| apply(&mut memory, index as u64 + 1, step, &mut sealed));
    memory
}

/// Rows by epoch, in order.
fn epochs(memory: &Memory, committed: u64) -> Vec<(u64, Vec<SpanId>)> {
    let epochs = memory.epochs().filter(|epoch| epoch.number > committed && !epoch.is_empty());
    epochs.map(|epoch| (epoch.number, span_ids(&epoch.spans))).collect()
}

proptest! {
    /// Each decision takes every distinct span once, and a replay finds the same rows in the same epochs.
    #[test]
    fn otlp_508_replay_leaves_out_the_same_spans(steps in steps(), committed in 0u64..6) {
        let mut waiting: BTreeSet<(u8, u64)> = BTreeSet::new();
        let mut expected = vec![Vec::new()];
        for step in &steps {
            match step {
                Step::Request(spans) => waiting.extend(spans),
                Step::Decide(traces) => {
                    let decided = waiting.extract_if(.., |(trace, _)| traces.contains(trace));
                    expected.last_mut().unwrap().extend(decided.map(|(_, span)| of_number(span)));
                }
                Step::Seal => expected.push(Vec::new()),
            }
        }
        let committed = committed.min(expected.len() as u64 - 1);
        let live = fold(memory_at(0, 0), &steps);
        let replayed = fold(memory_at(committed, committed), &steps);
        prop_assert_eq!(epochs(&live, committed), epochs(&replayed, committed));
        for (epoch, rows) in epochs(&live, 0) {
            prop_assert_eq!(sorted(rows), sorted(expected[epoch as usize - 1].iter().copied()));
        }
        let left = sorted(waiting.iter().map(|(_, span)| of_number(*span)));
        prop_assert_eq!(sorted(pending_ids(&live)), left.clone());
        prop_assert_eq!(sorted(pending_ids(&replayed)), left);
    }
}
