//! What a segment's file holds is what its rows' columns hold, read by a reader that knows nothing of either.

mod adding;
mod digests;
mod exceptions;
mod late;
mod merging;
mod moving;
mod promoting;
mod rewriting;

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::DataType;
use bytes::Bytes;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector};
use parquet::file::metadata::PageIndexPolicy;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::derive::{RootNames, TraceSpans, Verdict, derive};
use crate::model::{AttributesBuilder, SpanBatch, SpanBatchBuilder, SpanFields, SpanId, TraceId, UnixNanos};
use crate::rows::{SpanRef, SpanRows};
use crate::schema::spans;

const SECOND: i64 = 1_000_000_000;

fn fill(random: &mut StdRng, to: &mut AttributesBuilder<'_>, unique: u64) {
    if random.random_bool(0.7) {
        to.push_text("http.route", ["/", "/cart", "/a/rather/long/route/{id}"][random.random_range(0..3)]);
    }
    if random.random_bool(0.5) {
        to.push_int("http.status_code", random.random_range(200..205));
    }
    if random.random_bool(0.3) {
        to.push_text("user.id", &format!("user-{unique}"));
    }
    if random.random_bool(0.1) {
        to.push_float("ratio", f64::from(random.random_range(0..3)) / 2.0);
    }
    if random.random_bool(0.1) {
        to.push_bool("retried", random.random_bool(0.5));
    }
    if random.random_bool(0.1) {
        to.push_json("list", "[1,2]");
    }
    if random.random_bool(0.1) {
        to.push_null("unset");
    }
}

fn batch(random: &mut StdRng, number: u64, count: u64) -> SpanBatch {
    let mut builder = SpanBatchBuilder::default();
    let resource = builder.resource(|to| fill(random, to, number));
    let bare = builder.resource(|_| {});
    let origins = [
        builder.origin(resource, &format!("service-{}", number % 3), Some("scope"), None),
        builder.origin(bare, "unknown_service", None, Some("1.0")),
    ];
    for span in 0..count {
        let unique = number * 1_000_000 + span;
        fill(random, &mut builder.attributes(), unique);
        for _ in 0..random.random_range(0..20_u32).saturating_sub(17) {
            let name = ["exception", "exception", "log"][random.random_range(0..3)];
            builder.event(UnixNanos(random.random_range(0..SECOND)), name, |to| {
                fill(random, to, unique);
                if random.random_bool(0.7) {
                    let types = ["Timeout", "java.util.concurrent.TimeoutException", ""];
                    to.push_text("exception.type", types[random.random_range(0..3)]);
                }
            });
        }
        for _ in 0..random.random_range(0..20_u32).saturating_sub(17) {
            let state = random.random_bool(0.5).then_some("a=b");
            let linked = TraceId::from_bytes([9; 16]).unwrap();
            builder.link(linked, SpanId::from_bytes([8; 8]).unwrap(), state, 1, |to| fill(random, to, unique));
        }
        let parent = (span % 7 > 0).then(|| SpanId::from_bytes(unique.to_be_bytes()).unwrap());
        builder.append(&SpanFields {
            trace_id: TraceId::from_bytes(u128::from(unique / 7 + 1).to_be_bytes()).unwrap(),
            span_id: SpanId::from_bytes((unique + 1).to_be_bytes()).unwrap(),
            parent_span_id: parent,
            origin: origins[random.random_range(0..2)],
            span_name: ["GET /", "an operation with a longer name"][random.random_range(0..2)].into(),
            kind: "server",
            status_code: ["unset", "error"][random.random_range(0..2)],
            status_message: random.random_bool(0.2).then_some("it did not work out as hoped"),
            start: UnixNanos(1_700_000_000 * SECOND + random.random_range(0..3_600 * SECOND)),
            duration_nanos: random.random_range(0..SECOND),
            trace_state: random.random_bool(0.1).then_some("vendor=value"),
            flags: random.random_range(0..3),
        });
    }
    builder.finish().unwrap()
}

/// Rows of `batches` requests of `count` spans.
fn rows(seed: u64, batches: u64, count: u64) -> SpanRows {
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let batches: Vec<Arc<SpanBatch>> = (0..batches).map(|number| Arc::new(batch(&mut random, number, count))).collect();
    let mut traces: std::collections::BTreeMap<TraceId, Vec<SpanRef>> = Default::default();
    for (number, batch) in batches.iter().enumerate() {
        for (row, head) in batch.heads().iter().enumerate() {
            traces.entry(head.trace_id).or_default().push(SpanRef { batch: number as u32, row: row as u32 });
        }
    }
    let trace = |(trace_id, spans): (TraceId, Vec<SpanRef>)| TraceSpans {
        verdict: Verdict { adjusted_count: (spans.len() > 3).then_some(2.5), ..Verdict::pending() },
        late: (trace_id.as_bytes()[15] == 1)
            .then(|| Some(RootNames { service: "front".into(), name: "GET a rather long name".into() })),
        trace_id,
        spans,
    };
    derive(batches, traces.into_iter().map(trace).collect()).unwrap().spans
}

fn read(file: &[u8]) -> RecordBatch {
    let reader = open_file(Bytes::copy_from_slice(file)).unwrap();
    let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    concat_batches(&spans::stored(), &batches).unwrap()
}

/// A file says Parquet's types alone: other engines believe what else it says, and pyarrow compares no view with a text.
#[track_caller]
fn check_says_texts(file: &[u8]) {
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::copy_from_slice(file)).unwrap();
    let has_views = reader.schema().fields().iter().any(|field| format!("{}", field.data_type()).contains("View"));
    assert!(!has_views, "{:?}", reader.schema());
    let in_memory = open_file(Bytes::copy_from_slice(file)).unwrap();
    assert!(in_memory.schema().fields().iter().any(|field| *field.data_type() == DataType::Utf8View));
}

fn expected(rows: &SpanRows) -> RecordBatch {
    let mut rows = rows.clone();
    order::sort(&mut rows);
    rows.record_batch().unwrap()
}

#[track_caller]
fn check(rows: &SpanRows) -> Vec<u8> {
    let segment = encode_spans(rows.clone()).unwrap().remove(0);
    let (read, expected) = (read(&segment.bytes), expected(rows));
    assert_eq!(read.num_rows(), expected.num_rows());
    for (index, field) in expected.schema().fields().iter().enumerate() {
        assert_eq!(read.column(index), expected.column(index), "{}", field.name());
    }
    segment.bytes
}

#[test]
fn a_file_has_its_rows_whatever_is_missing_in_them() {
    for seed in 0..20 {
        check(&rows(seed, 3, 1 + seed * 3));
    }
}

#[test]
fn rows_are_sorted_by_date_service_operation_and_start_and_keep_their_parents() {
    let before = rows(11, 3, 500);
    let parent_of = |rows: &SpanRows, row: usize| match rows.rows[row].parent {
        crate::rows::SpanRow::NOWHERE => None,
        parent => Some(rows.head(parent as usize).span_id),
    };
    let mut after = before.clone();
    assert_eq!(order::sort(&mut after).iter().map(|(_, rows)| rows.len()).sum::<usize>(), before.len());
    let key = |row: usize| {
        let (batch, template) = after.template(row);
        let start = after.head(row).start;
        let texts = batch.texts();
        let names = (texts.text(batch.service_name(template)), texts.text(template.span_name));
        (start.0.div_euclid(order::DAY_NANOS), names, start)
    };
    assert!((1..after.len()).all(|row| key(row - 1) <= key(row)));
    let parents = |rows: &SpanRows| -> std::collections::BTreeMap<SpanId, Option<SpanId>> {
        (0..rows.len()).map(|row| (rows.head(row).span_id, parent_of(rows, row))).collect()
    };
    assert_eq!(parents(&before), parents(&after));
}

#[test]
fn a_file_of_many_pages_has_its_rows_and_dictionaries_that_grow_too_large_end() {
    // 60,000 different values of one attribute are more than a dictionary takes.
    let rows = rows(7, 20, 10_000);
    let file = check(&rows);
    let reader = open_file(Bytes::from(file)).unwrap();
    let text_values = &reader.metadata().row_group(0).columns()[12];
    assert_eq!(text_values.column_path().string(), "attributes.text.key_value.value");
    let encodings: Vec<_> = text_values.encodings().collect();
    assert!(encodings.contains(&parquet::basic::Encoding::RLE_DICTIONARY), "{encodings:?}");
    assert!(encodings.contains(&parquet::basic::Encoding::PLAIN), "{encodings:?}");
}

#[test]
fn a_flush_of_several_dates_has_a_segment_each_with_its_own_rows_and_filter() {
    let mut builder = SpanBatchBuilder::default();
    let resource = builder.resource(|_| {});
    let origin = builder.origin(resource, "service", None, None);
    for number in 0..600_u64 {
        builder.append(&SpanFields {
            trace_id: TraceId::from_bytes(u128::from(number + 1).to_be_bytes()).unwrap(),
            span_id: SpanId::from_bytes((number + 1).to_be_bytes()).unwrap(),
            parent_span_id: None,
            origin,
            span_name: "name".into(),
            kind: "server",
            status_code: "unset",
            status_message: None,
            start: UnixNanos((number as i64 % 3 - 1) * order::DAY_NANOS + 5),
            duration_nanos: 1,
            trace_state: None,
            flags: 0,
        });
    }
    let segments = encode_spans(SpanRows::underived(builder.finish().unwrap())).unwrap();
    let dates: Vec<&str> = segments.iter().filter_map(|segment| segment.date.as_deref()).collect();
    assert_eq!(dates, ["1969-12-31", "1970-01-01", "1970-01-02"]);
    for (day, segment) in segments.iter().enumerate() {
        assert_eq!((segment.row_count, read(&segment.bytes).num_rows()), (200, 200));
        let start = UnixNanos((day as i64 - 1) * order::DAY_NANOS + 5);
        assert_eq!(segment.start_range, Some((start, start)));
        let reader = open_file(Bytes::from(segment.bytes.clone())).unwrap();
        let bloom = reader.get_row_group_column_bloom_filter(0, 0).unwrap().unwrap();
        let passes = |number: u64| bloom.check(u128::from(number + 1).to_be_bytes().as_slice());
        assert!((0..600).filter(|number| number % 3 == day as u64).all(passes));
        assert!((0..600).filter(|number| number % 3 != day as u64).filter(|number| passes(*number)).count() < 20);
    }
}

/// Spans that all have the texts of their request, of which there are `requests`.
fn heavy(requests: u64, spans: u64, text_bytes: usize, name: &str) -> SpanRows {
    let batches: Vec<Arc<SpanRows>> = (0..requests)
        .map(|request| {
            let mut builder = SpanBatchBuilder::default();
            let resource = builder.resource(|_| {});
            let origin = builder.origin(resource, "service", None, None);
            for span in 0..spans {
                builder.attributes().push_text("prompt", &format!("{request:0text_bytes$}"));
                builder.append(&SpanFields {
                    trace_id: TraceId::from_bytes(u128::from(request + 1).to_be_bytes()).unwrap(),
                    span_id: SpanId::from_bytes((request * spans + span + 1).to_be_bytes()).unwrap(),
                    parent_span_id: None,
                    origin,
                    span_name: name.into(),
                    kind: "server",
                    status_code: "unset",
                    status_message: None,
                    start: UnixNanos(SECOND + span as i64),
                    duration_nanos: 1,
                    trace_state: None,
                    flags: 0,
                });
            }
            Arc::new(SpanRows::underived(builder.finish().unwrap()))
        })
        .collect();
    SpanRows::concat(&batches)
}

#[test]
fn pages_of_large_texts_are_bounded_and_a_text_is_in_dictionary_or_pages() {
    // 40 texts of 60 kB pass what a dictionary takes; 2,000 rows with them as they are would be a page of 120 MB.
    let file = check(&heavy(40, 50, 60_000, "name"));
    let reader = open_file(Bytes::from(file)).unwrap();
    let column = reader
        .metadata()
        .row_group(0)
        .columns()
        .iter()
        .find(|column| column.column_path().string() == "attributes.text.key_value.value")
        .unwrap();
    assert!(column.dictionary_page_offset().is_none(), "the first page was over the limit already");
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    let file = check(&heavy(40, 50, 60_000, "name"));
    let reader = open_file_with(Bytes::from(file), options).unwrap();
    let index = reader.metadata().offset_index().unwrap();
    let most_pages = index[0].iter().map(|column| column.page_locations().len()).max().unwrap();
    assert!(most_pages > 100, "{most_pages} pages");
}

#[test]
fn long_texts_are_in_no_range() {
    let name = "n".repeat(100_000);
    let segment = encode_spans(heavy(1, 10, 1, &name)).unwrap().remove(0);
    let reader = open_file(Bytes::from(segment.bytes)).unwrap();
    let columns = reader.metadata().row_group(0).columns();
    let named = |name: &str| columns.iter().find(|column| column.column_path().string() == name).unwrap();
    assert!(named("span_name").statistics().is_none());
    assert!(named("service_name").statistics().is_some());
    assert!(reader.metadata().memory_size() < 100_000);
}

/// A filter of one percent takes ten bits an id, up to twice of that as its size is a power of two.
#[track_caller]
fn check_bloom_size(file: &Bytes, ids: usize) {
    let reader = open_file(file.clone()).unwrap();
    let bytes = reader.metadata().row_group(0).column(0).bloom_filter_length().unwrap();
    assert!((bytes as usize) < 100 + ids * 5 / 2, "{bytes} bytes for {ids} ids");
}

#[test]
fn each_row_group_has_its_own_dictionaries_and_filter() {
    let mut rows = rows(5, 3, 500);
    let days = order::sort(&mut rows);
    assert_eq!(days.len(), 1);
    let templates = order::Templates::new(&rows);
    let placing = placing::Placing::new(&rows, &templates, 0..1_500, &Arc::default());
    let file = super::spans::write(&rows, &templates, &placing, 0..1_500, 400).unwrap();
    assert_eq!(read(&file), rows.record_batch().unwrap());
    let reader = open_file(Bytes::from(file)).unwrap();
    let groups: Vec<i64> = reader.metadata().row_groups().iter().map(|group| group.num_rows()).collect();
    assert_eq!(groups, [400, 400, 400, 300]);
    for group in 0..4 {
        let bloom = reader.get_row_group_column_bloom_filter(group, 0).unwrap().unwrap();
        let of_group = (group * 400)..(group * 400 + 400).min(1_500);
        assert!(of_group.clone().all(|row| bloom.check(rows.head(row).trace_id.as_bytes().as_slice())));
    }
}

#[test]
fn rows_are_found_by_page_and_by_bloom_filter_and_pruned_by_ranges() {
    let rows = rows(3, 4, 10_000);
    let file = Bytes::from(encode_spans(rows.clone()).unwrap().remove(0).bytes);
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    let open = || open_file_with(file.clone(), options.clone()).unwrap();

    let selection =
        RowSelection::from(vec![RowSelector::skip(20_000), RowSelector::select(10), RowSelector::skip(19_990)]);
    let some: Vec<RecordBatch> = open().with_row_selection(selection).build().unwrap().map(Result::unwrap).collect();
    assert_eq!(some[0], expected(&rows).slice(20_000, 10));

    let bloom = open().get_row_group_column_bloom_filter(0, 0).unwrap().unwrap();
    assert!(rows.traces.iter().all(|trace| bloom.check(trace.trace_id.as_bytes().as_slice())));
    let strangers = (1..=1_000_u128).filter(|id| bloom.check((id << 100).to_be_bytes().as_slice())).count();
    assert!(strangers < 30, "{strangers} of 1,000 unknown ids pass");
    check_bloom_size(&file, rows.traces.len());

    let reader = open();
    let converter = StatisticsConverter::try_new("service_name", reader.schema(), reader.parquet_schema()).unwrap();
    let groups = reader.metadata().row_groups();
    let largest = converter.row_group_maxes(groups.iter()).unwrap();
    assert_eq!(largest.as_string_view().value(0), "unknown_service");
    let (column_index, offset_index) =
        (reader.metadata().column_index().unwrap(), reader.metadata().offset_index().unwrap());
    let smallest = converter.data_page_mins(column_index, offset_index, [&0]).unwrap();
    assert_eq!(smallest.as_string_view().value(0), "service-0");
    // Pages of nothing but the same service are one.
    let rows = expected(&rows);
    let services = rows.column_by_name(spans::SERVICE_NAME).unwrap().as_string_view();
    let of_page = |first: usize| -> Vec<&str> {
        let mut services: Vec<_> = services.iter().flatten().skip(first).take(layout::PAGE_ROWS).collect();
        services.dedup();
        services
    };
    let mut pages: Vec<Vec<&str>> = (0..40_000).step_by(layout::PAGE_ROWS).map(of_page).collect();
    let count = pages.len();
    pages.dedup_by(|next, before| before.len() == 1 && next == before);
    assert_eq!((count, smallest.len()), (20, pages.len()));
    assert!(pages.len() < count);
}

#[test]
fn rows_that_have_the_same_are_in_few_pages_whether_or_not_it_is_anything() {
    let file = Bytes::from(encode_spans(heavy(1, 140_000, 1, "name")).unwrap().remove(0).bytes);
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    let reader = open_file_with(file, options).unwrap();
    let pages = &reader.metadata().offset_index().unwrap()[0];
    for (leaf, column) in reader.metadata().row_group(0).columns().iter().enumerate() {
        let name = column.column_path().string();
        // Of keys and values each row has the same one, or none; others are not written as segments' own are.
        if name.starts_with("attributes.") || ["service_name", "status_message", "root_name"].contains(&&*name) {
            assert_eq!(pages[leaf].page_locations().len(), 2, "{name}");
        }
    }
}
