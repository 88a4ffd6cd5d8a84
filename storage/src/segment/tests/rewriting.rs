//! A segment without some of its rows has the others as they were: compared with the rows filtered one by one.

use arrow::array::BooleanArray;
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter_record_batch;
use parquet::file::properties::WriterProperties;
use proptest::prelude::{ProptestConfig, proptest};

use super::merging::{other_properties, read_table, sorted, written};
use super::moving::{File, promoted, random_rows, read_all, reassembled};
use super::*;
use crate::Error;
use crate::schema::promoted::{Keys, Promoted, Scope};
use crate::schema::{Table, traces};

fn rewritten(
    table: Table,
    list: &[Promoted],
    file: &File,
    kept: &BooleanBuffer,
    group_rows: usize,
) -> crate::Result<(Vec<u8>, MergeReport)> {
    let (name, bytes) = ("a.parquet".to_owned(), Bytes::copy_from_slice(&file.bytes));
    let input = MergeInput { name, file: bytes, keys: file.keys.clone(), lost_rows: false };
    let mut out = Vec::new();
    let limits = MergeLimits { group_rows, ..MergeLimits::default() };
    let report = rewrite(table, list, input, kept, &mut out, &limits)?;
    Ok((out, report))
}

fn filtered(batch: &RecordBatch, kept: &BooleanBuffer) -> RecordBatch {
    filter_record_batch(batch, &BooleanArray::new(kept.clone(), None)).unwrap()
}

/// Rows that go come one by one, in runs, or both.
fn mask(random: &mut StdRng, rows: usize) -> BooleanBuffer {
    let share = [0.0, 0.02, 0.5, 0.98, 1.0][random.random_range(0..5)];
    let longest = [1, 3, 90][random.random_range(0..3)];
    let mut mask = Vec::with_capacity(rows);
    while mask.len() < rows {
        let is_kept = random.random_bool(share);
        mask.extend(std::iter::repeat_n(is_kept, random.random_range(1..=longest).min(rows - mask.len())));
    }
    BooleanBuffer::from(mask)
}

/// `rows` are the file's, sorted and without promoted columns.
fn check(list: &[Promoted], file: &File, rows: &RecordBatch, kept: &BooleanBuffer, group_rows: usize) {
    let expected = filtered(rows, kept);
    let (out, report) = rewritten(Table::Spans, list, file, kept, group_rows).unwrap();
    let found = read_all(&out);
    let gone = (rows.num_rows() - expected.num_rows()) as u64;
    assert_eq!((report.rows, report.gone_rows), (expected.num_rows() as u64, gone));
    assert_eq!((found.num_rows(), report.bytes), (expected.num_rows(), out.len() as u64));
    for (index, field) in expected.schema().fields().iter().enumerate() {
        if !Scope::ALL.iter().any(|scope| scope.column() == field.name()) {
            assert_eq!(found.column(index), expected.column(index), "{}", field.name());
        }
    }
    for scope in Scope::ALL {
        assert_eq!(reassembled(&found, scope, list), reassembled(&expected, scope, &[]), "{scope:?}");
    }
    assert_eq!(report.keys.promoted, list.len());
    assert_eq!(report.start_range, start_range(&expected));
    if expected.num_rows() > 0 {
        assert_eq!(report.ranges, ColumnRanges::of(Table::Spans, &expected));
    }
    check_says_texts(&out);
    let reader = open_file(Bytes::from(out)).unwrap();
    assert_eq!(reader.metadata().num_row_groups(), expected.num_rows().div_ceil(group_rows));
}

fn start_range(rows: &RecordBatch) -> Option<(UnixNanos, UnixNanos)> {
    use arrow::datatypes::{Int32Type, TimestampMicrosecondType};
    let micros = rows.column_by_name(spans::START_TIME)?.as_primitive::<TimestampMicrosecondType>().values();
    let nanos = rows.column_by_name(spans::START_NANOS)?.as_primitive::<Int32Type>().values();
    let starts = micros.iter().zip(nanos).map(|(micros, nanos)| UnixNanos::from_micros_and_remainder(*micros, *nanos));
    starts.clone().min().zip(starts.max())
}

const LIST: [&str; 6] = [
    "attributes__text__http__route",
    "attributes__int__http__status_code",
    "resource__text__user__id",
    "attributes__bool__retried",
    "attributes__float__ratio",
    "resource__text__nowhere",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn what_stays_is_what_a_filter_of_all_columns_leaves(
        seed: u64, rows in 1..300_usize, columns in 0..=6_usize, group in 0..4_usize, is_other: bool
    ) {
        let mut random = StdRng::seed_from_u64(seed);
        let list = promoted(&LIST);
        let batch = sorted(Table::Spans, &[random_rows(&mut random, rows)]);
        let properties: Option<WriterProperties> = is_other.then(|| other_properties(&mut random));
        let file = File::new(&batch, &list[..columns], properties);
        let kept = mask(&mut random, rows);
        check(&list, &file, &batch, &kept, [1 << 20, 128, 30, 7][group]);
    }

    #[test]
    fn flushed_spans_of_several_traces_stay_as_they_were_derived(seed: u64, group in 0..3_usize) {
        let mut random = StdRng::seed_from_u64(seed);
        let list = promoted(&LIST);
        let spans = rows(seed, 3, 120);
        let segment = encode_promoted(spans, list[..3].into()).unwrap().remove(0);
        let batch = expected(&rows(seed, 3, 120));
        let file = File { bytes: segment.bytes, keys: segment.keys };
        let kept = mask(&mut random, batch.num_rows());
        check(&list, &file, &batch, &kept, [1 << 20, 250, 64][group]);
    }
}

#[test]
fn rows_behind_many_pages_are_found_again() {
    let batch = rows(5, 3, 10_000).record_batch().unwrap();
    let batch = sorted(Table::Spans, &[batch]);
    let count = batch.num_rows();
    let file = File::new(&batch, &[], None);
    for (from, to) in [(0, 1), (9_000, 9_001), (count - 1, count), (4_096, 8_192), (4_095, 20_000), (0, count - 1)] {
        let kept: BooleanBuffer = (0..count).map(|row| (from..to).contains(&row)).collect();
        check(&[], &file, &batch, &kept, 1 << 20);
        let gone: BooleanBuffer = kept.iter().map(|kept| !kept).collect();
        check(&[], &file, &batch, &gone, 5_000);
    }
}

#[test]
fn digests_are_rewritten_and_what_has_no_rows_of_its_own_is_not() {
    let batch = sorted(Table::Traces, &[super::digests::digests()]);
    let kept: BooleanBuffer = (0..batch.num_rows()).map(|row| row % 3 == 1).collect();
    let properties = layout::properties(Table::Traces, batch.num_rows(), layout::ZSTD_LEVEL);
    let file = File { bytes: written(&batch, Some(properties)), keys: Keys::default() };
    let (out, report) = rewritten(Table::Traces, &[], &file, &kept, 1 << 20).unwrap();
    assert_eq!(read_table(Table::Traces, &out), filtered(&batch, &kept));
    assert_eq!(report.ranges, ColumnRanges::of(Table::Traces, &filtered(&batch, &kept)));
    assert!(report.rows > 0 && batch.column_by_name(traces::ERROR_COUNT).is_some());
    let refused = rewritten(Table::Paths, &[], &file, &kept, 1 << 20);
    assert!(matches!(refused, Err(Error::Config(_))), "{refused:?}");
}

#[test]
fn a_mask_of_another_segment_is_refused() {
    let batch = sorted(Table::Spans, &[rows(1, 1, 9).record_batch().unwrap()]);
    let file = File::new(&batch, &[], None);
    for rows in [batch.num_rows() - 1, batch.num_rows() + 1] {
        let refused = rewritten(Table::Spans, &[], &file, &BooleanBuffer::new_set(rows), 1 << 20);
        assert!(matches!(refused, Err(Error::Damaged { .. })), "{refused:?}");
    }
}
