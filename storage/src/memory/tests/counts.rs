//! Counts are those of the log: no replay doubles one, and none loses any, whichever epochs each table has.

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;

use super::*;
use crate::metrics::LazyRows;
use crate::schema::paths;

/// A span of a trace: its number there, and its parent's.
type Span = (u8, u8, Option<u8>);

fn batch(spans: &[Span]) -> SpanBatch {
    let mut builder = SpanBatchBuilder::default();
    let resource = builder.resource(|_| {});
    let origins = ["front", "cart", "stock"].map(|service| builder.origin(resource, service, None, None));
    for (of, number, parent) in spans {
        let id = |number: u8| SpanId::from_bytes([number + 1; 8]).unwrap();
        builder.append(&SpanFields {
            trace_id: trace(*of),
            span_id: id(*number),
            parent_span_id: parent.map(id),
            origin: origins[usize::from(*number % 3)],
            span_name: if number % 2 == 0 { "even" } else { "odd" }.into(),
            kind: "server",
            status_code: if number % 5 == 0 { "error" } else { "unset" },
            status_message: None,
            start: UnixNanos(i64::from(*number) * 4_000_000_000),
            duration_nanos: i64::from(*number) * 1_000,
            trace_state: (number % 7 == 0).then_some("ot=th:c"),
            flags: 0,
        });
    }
    builder.finish().unwrap()
}

#[derive(Debug, Clone)]
enum Step {
    Request(Vec<Span>),
    Decide(Vec<(u8, bool)>),
    Seal,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let span = (0u8..4, 0u8..12, proptest::option::of(0u8..12));
    let step = prop_oneof![
        3 => proptest::collection::vec(span, 1..6).prop_map(Step::Request),
        2 => proptest::collection::vec((0u8..4, any::<bool>()), 1..3).prop_map(Step::Decide),
        1 => Just(Step::Seal),
    ];
    proptest::collection::vec(step, 1..40)
}

/// The number of the next seal is one more than that of the last.
fn apply(memory: &mut Memory, lsn: u64, step: &Step, sealed: &mut u64) {
    match step {
        Step::Request(spans) => insert(memory, lsn, batch(spans)),
        Step::Decide(traces) => {
            let decide = |(of, is_kept): &(u8, bool)| Decision { keep: *is_kept, ..keep(*of) };
            memory.decide(Lsn(lsn), UnixNanos(0), &traces.iter().map(decide).collect::<Vec<_>>()).unwrap();
        }
        Step::Seal => {
            *sealed += 1;
            memory.seal(Lsn(lsn), *sealed);
        }
    }
}

/// Applies steps as a store does, which seals nothing that is empty; returns them without those seals.
fn live(steps: Vec<Step>) -> (Memory, Vec<Step>, u64) {
    let mut memory = memory_at(0, 0);
    let (mut log, mut sealed) = (Vec::new(), 0);
    for step in steps {
        if !matches!(step, Step::Seal) || !memory.open.is_empty() {
            log.push(step);
            apply(&mut memory, log.len() as u64, &log[log.len() - 1], &mut sealed);
        }
    }
    (memory, log, sealed)
}

/// An epoch's rows of a table as text, in order.
fn rows(epoch: &Epoch, table: Table) -> Vec<String> {
    let mut shown = Vec::new();
    for batch in epoch.columns(table).unwrap() {
        let options = arrow::util::display::FormatOptions::new();
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| arrow::util::display::ArrayFormatter::try_new(column, &options).unwrap())
            .collect();
        shown.extend(
            (0..batch.num_rows())
                .map(|row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|")),
        );
    }
    shown.sort_unstable();
    shown
}

fn path_ids(epoch: &Epoch) -> Vec<i64> {
    let ids = epoch.paths.iter().map(|batch| batch.column_by_name(paths::PATH_ID).unwrap().as_primitive::<Int64Type>());
    ids.flat_map(|ids| ids.values().to_vec()).collect()
}

fn span_count(epoch: &Epoch) -> i64 {
    let rows = epoch.span_metrics.view().columns().unwrap();
    rows.column_by_name("span_count").unwrap().as_primitive::<Int64Type>().values().iter().sum()
}

proptest! {
    #[test]
    fn every_span_that_arrived_is_counted_in_one_epoch_and_every_path_has_one_row(steps in steps()) {
        let (memory, steps, _) = live(steps);
        let arrived = steps.iter().map(|step| if let Step::Request(spans) = step { spans.len() as i64 } else { 0 });
        prop_assert_eq!(memory.epochs().map(span_count).sum::<i64>(), arrived.sum::<i64>());
        let ids: Vec<i64> = memory.epochs().flat_map(path_ids).collect();
        prop_assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
        prop_assert_eq!(memory.known_paths.len(), ids.len());
        // Whatever path a stored span has is there.
        let of_spans = memory.epochs().flat_map(|epoch| &epoch.spans).flat_map(|rows| &rows.rows);
        for path in of_spans.filter_map(|row| row.path) {
            prop_assert!(ids.contains(&path.signed()));
        }
    }

    /// As the test of spans: from the epochs that tables have, perhaps one more in some of them, and any tail of the log that
    /// holds what is needed.
    #[test]
    fn replay_counts_what_no_table_has_and_nothing_else(
        steps in steps(), committed in 0u64..6, ahead in proptest::array::uniform4(0u64..2), is_cut in any::<bool>(),
    ) {
        let (memory, steps, sealed) = live(steps);
        let committed = committed.min(sealed);
        let at = |epoch: u64| Committed { epoch: epoch.min(sealed), ..Committed::default() };
        let tables = ByTable {
            spans: at(committed),
            traces: at(committed + ahead[0]),
            span_metrics: at(committed + ahead[1]),
            edge_metrics: at(committed + ahead[2]),
            paths: at(committed + ahead[3]),
        };

        let (mut flushed, ..) = live(steps.clone());
        flushed.sealed.retain(|epoch| epoch.number > committed);
        let needed = if is_cut { flushed.needed_from().0 } else { 1 };

        let mut replayed = Memory::new(tables.clone(), 1_000, 1_000);
        for epoch in memory.epochs().filter(|epoch| epoch.number <= tables.paths.epoch) {
            path_ids(epoch).into_iter().for_each(|id| replayed.known_paths.is_stored(id));
        }
        let mut numbers = 0;
        for (index, step) in steps.iter().enumerate() {
            let lsn = index as u64 + 1;
            if lsn < needed {
                numbers += u64::from(matches!(step, Step::Seal));
            } else {
                apply(&mut replayed, lsn, step, &mut numbers);
            }
        }
        for table in [Table::SpanMetrics, Table::EdgeMetrics, Table::Paths] {
            let of = |memory: &Memory, number: u64| -> Vec<String> {
                memory.epochs().filter(|epoch| epoch.number == number).flat_map(|epoch| rows(epoch, table)).collect()
            };
            for number in 1..=sealed + 1 {
                let is_stored = number <= tables.table(table).epoch;
                let expected = if is_stored { Vec::new() } else { of(&memory, number) };
                prop_assert_eq!(of(&replayed, number), expected, "{:?} of epoch {}", table, number);
            }
        }
        prop_assert_eq!(replayed.known_paths.len(), memory.known_paths.len());
    }
}

#[test]
fn edges_are_spans_under_another_service_counted_when_decided_also_where_they_are_dropped_or_late() {
    let mut memory = memory_at(0, 0);
    // front 0 > cart 1 > cart 4, stock 5; the parent of front 3 is missing.
    insert(&mut memory, 1, batch(&[(1, 0, None), (1, 1, Some(0)), (1, 4, Some(1)), (1, 5, Some(1)), (1, 3, Some(9))]));
    assert!(memory.open.edge_metrics.is_empty());
    memory.decide(Lsn(2), UnixNanos(0), &[Decision { keep: false, ..keep(1) }]).unwrap();
    assert_eq!(
        rows(&memory.open, Table::EdgeMetrics),
        [
            "1970-01-01T00:00:00Z|front|cart|odd|1|0|1000|1000|1000|0|[318]|[1]|true",
            "1970-01-01T00:00:20Z|cart|stock|odd|1|1|5000|5000|5000|0|[393]|[1]|true",
        ]
    );
    // A late span whose parent was decided before counts as nobody's; one that brings its parent counts.
    insert(&mut memory, 3, batch(&[(1, 6, Some(1)), (1, 7, Some(6))]));
    memory.decide(Lsn(4), UnixNanos(0), &[keep(1)]).unwrap();
    let late: Vec<String> =
        rows(&memory.open, Table::EdgeMetrics).into_iter().filter(|row| row.contains("front|cart")).collect();
    assert_eq!(late.len(), 2, "{late:?}");
    assert!(late[1].ends_with("|false"), "a sampler at the source let it through: {late:?}");
}

#[test]
fn paths_say_the_whole_chain_and_where_it_begins() {
    let mut memory = memory_at(0, 0);
    insert(&mut memory, 1, batch(&[(1, 0, None), (1, 1, Some(0)), (1, 4, Some(1)), (2, 0, None), (2, 3, Some(9))]));
    memory.decide(Lsn(2), UnixNanos(0), &[keep(1), Decision { keep: false, ..keep(2) }]).unwrap();
    let tail = |row: &String| row.split('|').skip(2).map(str::to_owned).collect::<Vec<_>>().join("|");
    let mut found: Vec<String> = rows(&memory.open, Table::Paths).iter().map(tail).collect();
    found.sort_unstable();
    assert_eq!(
        found,
        [
            "0|front|even|server|front:even",
            "1|cart|odd|server|front:even > cart:odd",
            "2|cart|even|server|front:even > cart:odd > cart:even",
            "|front|odd|server|? > front:odd",
        ]
    );
}

#[test]
fn paths_beyond_the_limit_have_no_row_and_are_no_error() {
    let mut memory = Memory::new(ByTable::default(), 1_000, 2);
    insert(&mut memory, 1, batch(&[(1, 0, None), (1, 1, Some(0)), (1, 4, Some(1))]));
    memory.decide(Lsn(2), UnixNanos(0), &[keep(1)]).unwrap();
    assert_eq!(path_ids(&memory.open).len(), 2);
    assert_eq!(memory.open.span_count, 3);
}

#[test]
fn a_path_that_only_half_a_trace_has_is_not_known_behind_its_committed_epoch() {
    // The request with the parent is gone from the log, as the epoch is in the tables.
    let mut memory = memory_at(1, 1);
    insert(&mut memory, 1, batch(&[(1, 1, Some(0))]));
    memory.decide(Lsn(2), UnixNanos(0), &[keep(1)]).unwrap();
    assert_eq!(memory.known_paths.len(), 1);
    memory.seal(Lsn(3), 1);
    assert_eq!(memory.known_paths.len(), 0);
    insert(&mut memory, 4, batch(&[(2, 1, Some(0))]));
    memory.decide(Lsn(5), UnixNanos(0), &[keep(2)]).unwrap();
    assert_eq!(path_ids(&memory.open).len(), 1);
}

#[test]
fn the_log_is_needed_from_the_first_request_that_is_counted_nowhere_else() {
    let mut memory = memory_at(0, 0);
    insert(&mut memory, 1, batch(&[(1, 1, None)]));
    memory.seal(Lsn(2), 1);
    assert_eq!(memory.sealed[0].first_lsn, Some(Lsn(1)));
}
