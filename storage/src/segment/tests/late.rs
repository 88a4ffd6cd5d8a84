//! Traces whose spans lie in several merged files say what they would if they had been derived together.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::Int64Type;

use super::merging::{read_table, sorted};
use super::*;
use crate::derive::TraceSpans;
use crate::schema::promoted::Keys;
use crate::schema::{Table, paths};

/// A trace in so many is without its root, of which one of its parts knows the names.
const ROOTLESS: u128 = 5;

fn names() -> RootNames {
    RootNames { service: "a root that is gone".into(), name: "GET /".into() }
}

struct Traces {
    batches: Vec<Arc<SpanBatch>>,
    /// Spans, and the file that each is in.
    spans: BTreeMap<TraceId, Vec<(SpanRef, usize)>>,
}

impl Traces {
    fn new(random: &mut StdRng, files: usize) -> Self {
        let batches: Vec<_> = (0..3).map(|number| Arc::new(batch(random, number, 200))).collect();
        let mut spans: BTreeMap<TraceId, Vec<(SpanRef, usize)>> = BTreeMap::new();
        for (number, batch) in batches.iter().enumerate() {
            for (row, head) in batch.heads().iter().enumerate() {
                let is_rootless = u128::from_be_bytes(*head.trace_id.as_bytes()) % ROOTLESS == 0;
                if is_rootless && head.parent_span_id().is_none() {
                    continue;
                }
                let is_late = random.random_bool(0.2);
                let file = if is_late { random.random_range(0..files) } else { number % files };
                let span = SpanRef { batch: number as u32, row: row as u32 };
                spans.entry(head.trace_id).or_default().push((span, file));
            }
        }
        Self { batches, spans }
    }

    fn derived(&self, file: Option<usize>) -> SpanRows {
        let trace = |(trace_id, spans): (&TraceId, &Vec<(SpanRef, usize)>)| {
            let is_rootless = u128::from_be_bytes(*trace_id.as_bytes()) % ROOTLESS == 0;
            let knows_root = is_rootless && file.is_none_or(|file| spans[0].1 == file);
            TraceSpans {
                trace_id: *trace_id,
                spans: spans
                    .iter()
                    .filter(|(_, of)| file.is_none_or(|file| file == *of))
                    .map(|(span, _)| *span)
                    .collect(),
                verdict: Verdict::pending(),
                late: Some(knows_root.then(names)),
            }
        };
        let traces = self.spans.iter().map(trace).filter(|trace| !trace.spans.is_empty()).collect();
        derive(self.batches.clone(), traces).unwrap().spans
    }

    fn files(&self, files: usize) -> Vec<Vec<u8>> {
        (0..files).map(|file| encode_spans(self.derived(Some(file))).unwrap().remove(0).bytes).collect()
    }

    /// The rows of the traces of which several files have spans.
    fn shared_rows(&self) -> Vec<usize> {
        let is_shared = |spans: &&Vec<(SpanRef, usize)>| spans.iter().any(|(_, file)| *file != spans[0].1);
        self.spans.values().filter(is_shared).map(Vec::len).collect()
    }
}

fn merged(files: &[Vec<u8>], group_rows: usize, rederived_rows: usize) -> (RecordBatch, MergeReport) {
    merged_with_lost(files, None, group_rows, rederived_rows)
}

/// The file with the number `lost` had more rows once.
fn merged_with_lost(
    files: &[Vec<u8>],
    lost: Option<usize>,
    group_rows: usize,
    rederived_rows: usize,
) -> (RecordBatch, MergeReport) {
    let input = |(number, file): (usize, &Vec<u8>)| MergeInput {
        name: format!("{number}.parquet"),
        file: Bytes::copy_from_slice(file),
        keys: Keys::default(),
        lost_rows: lost == Some(number),
    };
    let mut out = Vec::new();
    let limits = MergeLimits { group_rows, rederived_rows, ..MergeLimits::default() };
    let report = merge(Table::Spans, &[], files.iter().enumerate().map(input).collect(), &mut out, &limits).unwrap();
    (read_table(Table::Spans, &out), report)
}

#[test]
fn traces_whose_parts_meet_are_derived_as_if_they_had_come_together() {
    for seed in 0..8 {
        println!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let count = random.random_range(2..5);
        let traces = Traces::new(&mut random, count);
        let files = traces.files(count);
        let (found, report) = merged(&files, [1_000_000, 150][seed as usize % 2], 10_000);
        let expected = sorted(Table::Spans, &[traces.derived(None).record_batch().unwrap()]);
        for (index, field) in expected.schema().fields().iter().enumerate() {
            assert_eq!(found.column(index), expected.column(index), "{}", field.name());
        }
        assert_eq!((report.rederived_traces, report.left_traces), (traces.shared_rows().len() as u64, 0));
        assert!(report.rederived_traces > 20);

        let known = report.paths.unwrap();
        assert_eq!(known.schema(), Table::Paths.schema());
        let ids = |batch: &RecordBatch| -> BTreeSet<i64> {
            batch.column_by_name(paths::PATH_ID).unwrap().as_primitive::<Int64Type>().iter().flatten().collect()
        };
        let before: Vec<RecordBatch> = files.iter().map(|file| read_table(Table::Spans, file)).collect();
        let before = ids(&concat_batches(&spans::stored(), &before).unwrap());
        // What no input had must come from these.
        assert!(ids(&found).difference(&before).all(|id| ids(&known).contains(id)));
    }
}

#[test]
fn traces_with_too_many_spans_are_left_and_counted() {
    let traces = Traces::new(&mut StdRng::seed_from_u64(3), 3);
    let files = traces.files(3);
    let inputs: Vec<RecordBatch> = files.iter().map(|file| read_table(Table::Spans, file)).collect();
    let shared = traces.shared_rows();
    let (found, report) = merged(&files, 1 << 20, 0);
    assert_eq!(found, sorted(Table::Spans, &inputs));
    assert_eq!((report.rederived_traces, report.left_traces, report.paths), (0, shared.len() as u64, None));
    let (_, report) = merged(&files, 1 << 20, shared.iter().sum::<usize>() / 2);
    assert_eq!(report.rederived_traces + report.left_traces, shared.len() as u64);
    assert!(report.rederived_traces > 5 && report.left_traces > 5, "{report:?}");
}

#[test]
fn traces_that_lost_spans_keep_what_was_derived_of_them() {
    let traces = Traces::new(&mut StdRng::seed_from_u64(5), 3);
    let files = traces.files(3);
    let (all, shared) = (traces.shared_rows().len() as u64, |traces: &Traces, file: usize| {
        let of_file = traces.spans.values().filter(|spans| spans.iter().any(|(_, of)| *of == file));
        of_file.filter(|spans| spans.iter().any(|(_, of)| *of != file)).count() as u64
    });
    let left = shared(&traces, 1);
    let (found, report) = merged_with_lost(&files, Some(1), 1 << 20, 10_000);
    assert_eq!((report.rederived_traces, report.left_traces), (all - left, left));
    assert!(left > 5 && all - left > 5, "{left} of {all}");
    let inputs: Vec<RecordBatch> = files.iter().map(|file| read_table(Table::Spans, file)).collect();
    let (before, anew) = (sorted(Table::Spans, &inputs), merged(&files, 1 << 20, 10_000).0);
    let ids = |of: usize| traces.spans.iter().filter(move |(_, spans)| spans.iter().any(|(_, file)| *file == of));
    let kept: BTreeSet<&[u8]> = ids(1).map(|(id, _)| id.as_bytes().as_slice()).collect();
    let trace_ids = found.column(0).as_binary_view().clone();
    for row in 0..found.num_rows() {
        let expected = if kept.contains(trace_ids.value(row)) { &before } else { &anew };
        assert_eq!(found.slice(row, 1), expected.slice(row, 1), "row {row}");
    }
}

#[test]
fn a_trace_that_goes_on_over_midnight_keeps_what_was_known_of_its_other_day() {
    const MIDNIGHT: i64 = 1_700_006_400 * SECOND;
    let trace_id = TraceId::from_bytes([7; 16]).unwrap();
    let id = |number: u8| SpanId::from_bytes([number; 8]).unwrap();
    let mut builder = SpanBatchBuilder::default();
    let resource = builder.resource(|_| {});
    let origin = builder.origin(resource, "front", None, None);
    for (number, start) in [(1, MIDNIGHT - SECOND), (2, MIDNIGHT + 1), (3, MIDNIGHT + 2)] {
        builder.append(&SpanFields {
            trace_id,
            span_id: id(number),
            parent_span_id: (number > 1).then(|| id(number - 1)),
            origin,
            span_name: "step".into(),
            kind: "server",
            status_code: "unset",
            status_message: None,
            start: UnixNanos(start),
            duration_nanos: SECOND / 2,
            trace_state: None,
            flags: 0,
        });
    }
    let batches = vec![Arc::new(builder.finish().unwrap())];
    let segments = |rows: &[u32], late| {
        let spans = rows.iter().map(|row| SpanRef { batch: 0, row: *row }).collect();
        let trace = TraceSpans { trace_id, spans, verdict: Verdict::pending(), late };
        encode_spans(derive(batches.clone(), vec![trace]).unwrap().spans).unwrap()
    };
    let whole = segments(&[0, 1], None);
    let root = RootNames { service: "front".into(), name: "step".into() };
    let files = [whole[1].bytes.clone(), segments(&[2], Some(Some(root))).remove(0).bytes];
    let inputs: Vec<RecordBatch> = files.iter().map(|file| read_table(Table::Spans, file)).collect();
    let (found, report) = merged(&files, 1 << 20, 1_000);
    assert_eq!(found, sorted(Table::Spans, &inputs));
    assert_eq!((report.rederived_traces, report.left_traces), (0, 1));
}
