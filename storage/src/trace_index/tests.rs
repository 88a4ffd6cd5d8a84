use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use object_store::path::Path;
use proptest::prelude::*;

use super::*;
use crate::model::{TraceId, UnixNanos};
use crate::snapshot::Segment;

fn trace(number: u64) -> TraceId {
    TraceId::from_bytes((u128::from(number) + 1).to_be_bytes()).unwrap()
}

fn segment(number: i64) -> Arc<Segment> {
    let at = UnixNanos(number);
    Arc::new(Segment {
        location: Path::from(format!("spans/{number}.parquet")),
        size_bytes: 1,
        row_count: 1,
        start_range: Some((at, at)),
        written_at: at,
        keys: crate::schema::promoted::Keys::default(),
        expired_rows: 0,
    })
}

fn rows(traces: &[u64]) -> Option<TraceRows> {
    TraceRows::new(traces.iter().map(|number| trace(*number)))
}

fn named(traces: &[u64]) -> HashSet<TraceId> {
    traces.iter().map(|number| trace(*number)).collect()
}

proptest! {
    #[test]
    fn every_trace_has_its_rows_and_no_others(
        traces in prop::collection::vec(0..60_u64, 0..400),
        gap in prop::sample::select(vec![1_usize, 50, 200]),
    ) {
        // Long runs of one trace make differences of more than one byte.
        let traces: Vec<u64> = traces.into_iter().flat_map(|it| std::iter::repeat_n(it, gap)).collect();
        let index = TraceIndex::new(usize::MAX);
        index.insert(&segment(1), rows(&traces));
        let mut expected: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
        for (row, number) in traces.iter().enumerate() {
            expected.entry(*number).or_default().push(row as u32);
        }
        for number in 0..61 {
            let of_trace = expected.get(&number).cloned().map_or(Found::Nothing, Found::Rows);
            prop_assert_eq!(index.find(&segment(1), &named(&[number])), of_trace);
        }
        let mut both: Vec<u32> = [3, 40].iter().filter_map(|it| expected.get(it)).flatten().copied().collect();
        both.sort_unstable();
        let both = if both.is_empty() { Found::Nothing } else { Found::Rows(both) };
        prop_assert_eq!(index.find(&segment(1), &named(&[3, 40])), both);
    }
}

#[test]
fn a_segment_that_nobody_read_has_to_be_searched() {
    let index = TraceIndex::new(1 << 20);
    assert_eq!(index.find(&segment(1), &named(&[1])), Found::Unknown);
    index.insert(&segment(1), None);
    assert_eq!(index.find(&segment(1), &named(&[1])), Found::Unknown);
    assert_eq!(index.unknown([&segment(1), &segment(2)].into_iter()), [segment(2)]);
}

#[test]
fn positions_go_before_ids_and_the_old_before_the_new() {
    let of_ids = 16 * 2;
    let whole = TraceIndex::new(usize::MAX);
    whole.insert(&segment(1), rows(&[1, 2, 1]));
    let of_both = whole.status().bytes;
    let index = TraceIndex::new(2 * of_ids + of_both);
    let all = [segment(1), segment(2), segment(3)];
    all.iter().take(2).for_each(|segment| assert!(index.insert(segment, rows(&[1, 2, 1]))));
    // Asked for last, the first keeps its rows.
    assert_eq!(index.find(&all[0], &named(&[1])), Found::Rows(vec![0, 2]));
    index.insert(&all[2], rows(&[1, 2, 1]));
    let status = index.status();
    assert_eq!((status.segments, status.with_rows), (3, 1), "{status:?}");
    assert_eq!(index.find(&all[1], &named(&[1])), Found::Some);
    assert_eq!(index.find(&all[1], &named(&[3])), Found::Nothing);
    let small = TraceIndex::new(of_ids);
    all.iter().for_each(|segment| {
        small.insert(segment, rows(&[1, 2, 1]));
    });
    assert_eq!(small.find(&all[0], &named(&[1])), Found::Unknown);
    assert_eq!(small.find(&all[2], &named(&[1])), Found::Some);
    assert_eq!(small.status(), TraceIndexStatus { segments: 1, with_rows: 0, bytes: of_ids });
    // What had no room is not read again and again, but is when another segment has gone.
    assert_eq!(small.unknown(all.iter()), []);
    assert_eq!(small.unknown(all.iter().take(2)), [segment(2), segment(1)]);
    assert_eq!(small.status(), TraceIndexStatus::default());
}
