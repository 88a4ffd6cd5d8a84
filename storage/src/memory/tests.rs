//! The fold: spans are neither lost nor doubled, whatever prefix of the epochs the tables have.

mod counts;
mod twice;

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::derive::derive;
use crate::model::{SpanBatchBuilder, SpanFields, SpanId};
use crate::rows::SpanRows;

fn trace(number: u8) -> TraceId {
    TraceId::from_bytes([number + 1; 16]).unwrap()
}

fn batch(spans: &[(u8, u64)]) -> SpanBatch {
    let mut builder = SpanBatchBuilder::default();
    let resource = builder.resource(|to| to.push_text("host.name", "a host of a certain length"));
    let origin = builder.origin(resource, "a", None, None);
    for (of, span) in spans {
        builder.attributes().push_text("number", &span.to_string());
        builder.append(&SpanFields {
            trace_id: trace(*of),
            span_id: SpanId::from_bytes((span + 1).to_be_bytes()).unwrap(),
            parent_span_id: None,
            origin,
            span_name: "b".into(),
            kind: "server",
            status_code: "unset",
            status_message: Some("a text that is too long for a view to hold it within itself"),
            start: UnixNanos(*span as i64),
            duration_nanos: 5,
            trace_state: None,
            flags: 0,
        });
    }
    builder.finish().unwrap()
}

fn keep(of: u8) -> Decision {
    Decision::keep_all(trace(of))
}

fn insert(memory: &mut Memory, lsn: u64, batch: SpanBatch) {
    let counts = BatchCounts::of(&batch);
    memory.insert(Lsn(lsn), UnixNanos(0), UnixNanos(0), batch, counts);
}

#[derive(Debug, Clone)]
enum Step {
    Request(Vec<(u8, u64)>),
    Decide(Vec<u8>),
    Seal,
}

fn apply(memory: &mut Memory, lsn: u64, step: &Step, sealed: &mut u64) {
    match step {
        Step::Request(spans) => insert(memory, lsn, batch(spans)),
        Step::Decide(traces) => {
            let decisions: Vec<Decision> = traces.iter().copied().map(keep).collect();
            memory.decide(Lsn(lsn), UnixNanos(0), &decisions).unwrap();
        }
        Step::Seal => {
            *sealed += 1;
            memory.seal(Lsn(lsn), *sealed);
        }
    }
}

fn span_ids<'a>(rows: impl IntoIterator<Item = &'a Arc<SpanRows>>) -> Vec<SpanId> {
    rows.into_iter().flat_map(|rows| (0..rows.len()).map(|row| rows.head(row).span_id)).collect()
}

fn memory_at(spans: u64, traces: u64) -> Memory {
    let at = |epoch| Committed { epoch, ..Committed::default() };
    Memory::new(ByTable { spans: at(spans), traces: at(traces), ..ByTable::default() }, 1_000, 1_000)
}

fn pending_ids(memory: &Memory) -> Vec<SpanId> {
    let capture = memory.pending.capture(&memory.decided);
    span_ids([&Arc::new(derive(capture.batches, capture.traces).unwrap().spans)])
}

#[test]
fn a_late_span_is_pending_again_and_joins_the_epoch_of_its_own_decision() {
    let mut memory = memory_at(0, 0);
    let mut sealed = 0;
    for (lsn, step) in [
        Step::Request(vec![(1, 1)]),
        Step::Decide(vec![1]),
        Step::Seal,
        Step::Request(vec![(1, 2)]),
        Step::Decide(vec![1]),
    ]
    .iter()
    .enumerate()
    {
        apply(&mut memory, lsn as u64 + 1, step, &mut sealed);
    }
    assert_eq!(span_ids(&memory.sealed[0].spans).len(), 1);
    assert_eq!(span_ids(&memory.open.spans).len(), 1);
    assert_eq!(memory.sealed[0].traces.len(), 1);
    assert!(memory.open.traces.is_empty(), "the trace has its digest already");
    assert_eq!(memory.needed_from(), Lsn(1));
}

#[test]
fn bytes_and_counts_return_to_nothing() {
    let mut memory = memory_at(0, 0);
    insert(&mut memory, 1, batch(&[(1, 1), (2, 2), (1, 3)]));
    assert_eq!((memory.pending.trace_count(), memory.pending.span_count()), (2, 3));
    memory.decide(Lsn(2), UnixNanos(0), &[keep(1), keep(2), keep(9)]).unwrap();
    assert_eq!((memory.pending.trace_count(), memory.pending.span_count(), memory.pending.bytes()), (0, 0, 0));
    assert_eq!(memory.pending.first_lsn(), None);
}

#[test]
fn decided_spans_do_not_hold_on_to_the_requests_that_brought_them() {
    let mut memory = memory_at(0, 0);
    let spans: Vec<(u8, u64)> = (0..1_000).map(|span| ((span % 100) as u8, span)).collect();
    insert(&mut memory, 1, batch(&spans));
    let whole = memory.bytes();
    memory.decide(Lsn(2), UnixNanos(0), &[keep(1)]).unwrap();
    // The request counts for those that are pending and for those that are decided, until the epoch ends.
    assert!(memory.open.bytes * 2 > whole);
    memory.seal(Lsn(3), 1);
    let decided = memory.sealed[0].bytes;
    assert!(decided * 10 < whole, "10 of 1,000 spans take {decided} of {whole} bytes");
    assert_eq!(span_ids(&memory.sealed[0].spans).len(), 10);
}

#[test]
fn a_slow_trace_does_not_hold_on_to_the_requests_that_brought_it() {
    let mut memory = memory_at(0, 0);
    let spans: Vec<(u8, u64)> = (0..1_000).map(|span| ((span % 100) as u8, span)).collect();
    insert(&mut memory, 1, batch(&spans));
    let whole = memory.pending.bytes();
    let others: Vec<Decision> = (0..99).map(keep).collect();
    memory.decide(Lsn(2), UnixNanos(6_000_000_000), &others).unwrap();
    assert!(memory.pending.bytes() * 10 < whole, "{} of {whole}", memory.pending.bytes());
    let mut left = pending_ids(&memory);
    left.sort_unstable();
    let expected = (0..1_000_u64).filter(|span| span % 100 == 99);
    assert_eq!(left, expected.map(|span| SpanId::from_bytes((span + 1).to_be_bytes()).unwrap()).collect::<Vec<_>>());
    memory.decide(Lsn(3), UnixNanos(0), &[keep(99)]).unwrap();
    assert_eq!((memory.pending.span_count(), memory.pending.bytes()), (0, 0));
    assert_eq!(span_ids(&memory.open.spans).len(), 1_000);
}

#[test]
fn a_trace_named_twice_is_decided_once() {
    let mut memory = memory_at(0, 0);
    insert(&mut memory, 1, batch(&[(1, 1), (2, 2)]));
    memory.decide(Lsn(2), UnixNanos(0), &[keep(1), keep(1)]).unwrap();
    assert_eq!(span_ids(&memory.open.spans).len(), 1);
    assert_eq!(memory.pending.span_count(), 1);
}

#[test]
fn an_epoch_that_the_tables_have_never_comes_again() {
    // As after a power cut, where the log was not synced and ends before what the tables have.
    let mut memory = memory_at(5, 5);
    insert(&mut memory, 1, batch(&[(1, 1)]));
    memory.seal(Lsn(2), 3);
    memory.decide(Lsn(3), UnixNanos(0), &[keep(1)]).unwrap();
    let open = memory.open.number;
    assert!(open > 5, "epoch {open} is in the tables");
    memory.seal(Lsn(4), open);
    assert_eq!(memory.sealed.len(), 1);
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => proptest::collection::vec(0u8..6, 1..5)
            .prop_map(|traces| Step::Request(traces.into_iter().map(|trace| (trace, 0)).collect())),
        2 => proptest::collection::vec(0u8..6, 1..4).prop_map(Step::Decide),
        1 => Just(Step::Seal),
    ];
    proptest::collection::vec(step, 1..40).prop_map(|mut steps| {
        // Every span its own id, so that losses and doubles show.
        let mut next = 0;
        for step in &mut steps {
            if let Step::Request(spans) = step {
                for (_, span) in spans {
                    next += 1;
                    *span = next;
                }
            }
        }
        steps
    })
}

proptest! {
    /// A process that lives has every span in one epoch or pending. One that starts with epochs up to `committed` in
    /// the spans table, and perhaps one more in traces, and replays any tail of the log that holds what it needs, has
    /// exactly the others.
    #[test]
    fn replay_from_any_committed_epoch_loses_and_doubles_nothing(
        steps in steps(), committed in 0u64..6, ahead in 0u64..2,
    ) {
        let mut live = memory_at(0, 0);
        let mut sealed = 0;
        let mut all = BTreeSet::new();
        for (index, step) in steps.iter().enumerate() {
            apply(&mut live, index as u64 + 1, step, &mut sealed);
            if let Step::Request(spans) = step {
                all.extend(spans.iter().map(|(_, span)| SpanId::from_bytes((span + 1).to_be_bytes()).unwrap()));
            }
        }
        let committed = committed.min(sealed);
        let in_tables: Vec<SpanId> =
            live.sealed.iter().filter(|epoch| epoch.number <= committed).flat_map(|epoch| span_ids(&epoch.spans)).collect();

        // What a process that had flushed those epochs would have let be recycled.
        let mut flushed = memory_at(0, 0);
        let mut numbers = 0;
        for (index, step) in steps.iter().enumerate() {
            apply(&mut flushed, index as u64 + 1, step, &mut numbers);
        }
        flushed.sealed.retain(|epoch| epoch.number > committed);
        let needed = flushed.needed_from();

        let mut replayed = memory_at(committed, (committed + ahead).min(sealed));
        let mut seals_before = 0;
        for (index, step) in steps.iter().enumerate() {
            let lsn = index as u64 + 1;
            if lsn < needed.0 {
                seals_before += u64::from(matches!(step, Step::Seal));
            } else {
                apply(&mut replayed, lsn, step, &mut seals_before);
            }
        }
        let mut found = in_tables;
        found.extend(replayed.epochs().flat_map(|epoch| span_ids(&epoch.spans)));
        found.extend(pending_ids(&replayed));
        let distinct: BTreeSet<SpanId> = found.iter().copied().collect();
        prop_assert_eq!(found.len(), distinct.len(), "doubled");
        prop_assert_eq!(distinct, all, "lost");
    }
}

#[test]
fn what_a_table_has_of_an_epoch_that_is_flushed_in_part_is_not_shown_twice() {
    let mut memory = memory_at(0, 0);
    let mut sealed = 0;
    for (lsn, step) in [Step::Request(vec![(1, 1)]), Step::Decide(vec![1]), Step::Seal].iter().enumerate() {
        apply(&mut memory, lsn as u64 + 1, step, &mut sealed);
    }
    let rows = |memory: &mut Memory, table| memory.unflushed(table).iter().map(MemoryRows::row_count).sum::<usize>();
    assert_eq!([Table::Traces, Table::Spans].map(|table| rows(&mut memory, table)), [1, 1]);
    // A replacement of segments of `traces` came while `spans` could not be written.
    memory.tables.traces.epoch = sealed;
    assert_eq!([Table::Traces, Table::Spans].map(|table| rows(&mut memory, table)), [0, 1]);
}
