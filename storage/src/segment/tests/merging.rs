//! A merged file has the rows of its inputs in order, read by a reader that knows nothing of either.

use std::sync::atomic::AtomicBool;

use arrow::array::{Array, ArrayRef, Int32Array, TimestampMicrosecondArray, UInt32Array};
use arrow::compute::{SortColumn, lexsort_to_indices, take_record_batch};
use arrow::datatypes::Schema;
use parquet::arrow::ArrowWriter;
use parquet::basic::Encoding;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;

use super::*;
use crate::Error;
use crate::schema::promoted::Keys;
use crate::schema::{Table, traces};

fn column_index(batch: &RecordBatch, name: &str) -> usize {
    batch.schema().index_of(name).unwrap()
}

pub(super) fn with_column(batch: &RecordBatch, name: &str, column: ArrayRef) -> RecordBatch {
    let mut columns = batch.columns().to_vec();
    columns[column_index(batch, name)] = column;
    RecordBatch::try_new(batch.schema(), columns).unwrap()
}

/// The stable sort of these rows.
pub(super) fn sorted(table: Table, batches: &[RecordBatch]) -> RecordBatch {
    let rows = concat_batches(&table.schema(), batches).unwrap();
    let places = UInt32Array::from_iter_values(0..rows.num_rows() as u32);
    let keys = layout::sort_columns(table).iter().map(|name| Arc::clone(rows.column(column_index(&rows, name))));
    let keys = keys.chain([Arc::new(places) as ArrayRef]);
    let keys: Vec<SortColumn> = keys.map(|values| SortColumn { values, options: None }).collect();
    take_record_batch(&rows, &lexsort_to_indices(&keys, None).unwrap()).unwrap()
}

/// Few different starts, so that rows of several inputs have the same.
fn with_few_starts(batch: &RecordBatch, random: &mut StdRng) -> RecordBatch {
    let rows = batch.num_rows();
    let micros: Vec<i64> = (0..rows).map(|_| 1_700_000_000_000_000 + random.random_range(0..20)).collect();
    let nanos: Vec<i32> = (0..rows).map(|_| random.random_range(0..2)).collect();
    let micros = TimestampMicrosecondArray::from_iter_values(micros).with_timezone("UTC");
    let nanos = Int32Array::from_iter_values(nanos);
    with_column(&with_column(batch, spans::START_TIME, Arc::new(micros)), spans::START_NANOS, Arc::new(nanos))
}

/// How else a file may be written than a flush does.
pub(super) fn other_properties(random: &mut StdRng) -> WriterProperties {
    let version = [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0][random.random_range(0..2)];
    let mut properties = WriterProperties::builder()
        .set_writer_version(version)
        .set_dictionary_enabled(random.random_bool(0.5))
        .set_dictionary_page_size_limit([100, 1_000_000][random.random_range(0..2)])
        .set_max_row_group_row_count(Some([70, 1_000_000][random.random_range(0..2)]))
        .set_data_page_row_count_limit(random.random_range(1..200))
        .set_write_batch_size(16)
        .set_offset_index_disabled(random.random_bool(0.3))
        .set_statistics_enabled([EnabledStatistics::None, EnabledStatistics::Page][random.random_range(0..2)]);
    if random.random_bool(0.5) {
        let leaves = ["attributes.int.key_value.value", "events.list.element.time", "events.list.element.time_nanos"];
        for leaf in leaves {
            let leaf = ColumnPath::from(leaf.split('.').map(str::to_owned).collect::<Vec<_>>());
            properties = properties
                .set_column_dictionary_enabled(leaf.clone(), false)
                .set_column_encoding(leaf, Encoding::DELTA_BINARY_PACKED);
        }
    }
    properties.build()
}

pub(super) fn written(batch: &RecordBatch, properties: Option<WriterProperties>) -> Vec<u8> {
    let mut file = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), properties).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    file
}

pub(super) fn merged(table: Table, files: &[Vec<u8>], group_rows: usize) -> crate::Result<(Vec<u8>, MergeReport)> {
    let input = |(number, file): (usize, &Vec<u8>)| MergeInput {
        name: format!("{number}.parquet"),
        file: Bytes::copy_from_slice(file),
        keys: Keys::default(),
        lost_rows: false,
    };
    let mut out = Vec::new();
    let limits = MergeLimits { group_rows, rederived_rows: 0, ..MergeLimits::default() };
    let report = merge(table, &[], files.iter().enumerate().map(input).collect(), &mut out, &limits)?;
    Ok((out, report))
}

pub(super) fn read_table(table: Table, file: &[u8]) -> RecordBatch {
    let reader = open_file(Bytes::copy_from_slice(file)).unwrap();
    let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    concat_batches(&table.schema(), &batches).unwrap()
}

#[track_caller]
fn check_merge(table: Table, files: &[Vec<u8>], group_rows: usize) -> (Vec<u8>, MergeReport) {
    let inputs: Vec<RecordBatch> = files.iter().map(|file| read_table(table, file)).collect();
    let expected = sorted(table, &inputs);
    let (file, report) = merged(table, files, group_rows).unwrap();
    check_says_texts(&file);
    let found = read_table(table, &file);
    assert_eq!((found.num_rows(), report.rows), (expected.num_rows(), expected.num_rows() as u64));
    assert_eq!(report.bytes, file.len() as u64);
    for (index, field) in expected.schema().fields().iter().enumerate() {
        assert_eq!(found.column(index), expected.column(index), "{}", field.name());
    }
    if expected.num_rows() > 0 {
        assert_eq!(report.ranges, ColumnRanges::of(table, &expected));
    }
    let reader = open_file(Bytes::from(file.clone())).unwrap();
    let groups: Vec<usize> = reader.metadata().row_groups().iter().map(|group| group.num_rows() as usize).collect();
    assert!(groups.iter().all(|rows| *rows <= group_rows), "{groups:?}");
    assert_eq!(groups.len(), expected.num_rows().div_ceil(group_rows));
    (file, report)
}

/// Files of spans as flushes, Parquet's own writer, and that with other properties leave them.
fn files(seed: u64, max_rows: u64) -> Vec<Vec<u8>> {
    let mut random = StdRng::seed_from_u64(seed);
    let count = random.random_range(0..6);
    let file = |_| {
        let rows = rows(random.random(), random.random_range(1..4), 1 + random.random_range(0..max_rows));
        if random.random_bool(0.3) {
            return encode_spans(rows).unwrap().remove(0).bytes;
        }
        let mut batch = rows.record_batch().unwrap();
        if random.random_bool(0.7) {
            batch = with_few_starts(&batch, &mut random);
        }
        let batch = sorted(Table::Spans, &[batch]);
        let properties = random.random_bool(0.7).then(|| other_properties(&mut random));
        written(
            &batch,
            properties.or_else(|| Some(layout::properties(Table::Spans, batch.num_rows(), layout::ZSTD_LEVEL))),
        )
    };
    (0..count).map(file).collect()
}

#[test]
fn merged_spans_are_the_stable_sort_of_all() {
    for seed in 0..24 {
        println!("files of seed {seed}");
        let group_rows = [1_000_000, 300, 64, 7][seed as usize % 4];
        check_merge(Table::Spans, &files(seed, 150), group_rows);
    }
}

#[test]
fn a_merged_file_is_as_a_flush_would_write_it() {
    let files: Vec<Vec<u8>> = (0..3).map(|seed| encode_spans(rows(seed, 2, 2_000)).unwrap().remove(0).bytes).collect();
    let (file, report) = check_merge(Table::Spans, &files, 1 << 20);
    let all = read(&file);
    let flushed = written(&all, Some(layout::properties(Table::Spans, all.num_rows(), layout::ZSTD_LEVEL)));
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    let open = |file: &[u8]| {
        let file = Bytes::copy_from_slice(file);
        open_file_with(file, options.clone()).unwrap()
    };
    let (merged, flushed) = (open(&file), open(&flushed));
    let (of_merged, of_flushed) = (merged.metadata(), flushed.metadata());
    let key_values = |reader: &ParquetRecordBatchReaderBuilder<Bytes>| {
        reader.metadata().file_metadata().key_value_metadata().cloned().unwrap()
    };
    // Whose writer here says memory's schema, too.
    assert_eq!(key_values(&merged), key_values(&open(&files[0])));
    assert_eq!(of_merged.file_metadata().created_by(), of_flushed.file_metadata().created_by());
    assert_eq!(of_merged.row_group(0).sorting_columns(), of_flushed.row_group(0).sorting_columns());
    assert_eq!(of_merged.file_metadata().schema_descr(), of_flushed.file_metadata().schema_descr());
    for name in [spans::SERVICE_NAME, spans::START_TIME, spans::DURATION_NS, spans::PATH_ID, spans::KEEP_REASON] {
        let leaf = |reader: &ParquetRecordBatchReaderBuilder<Bytes>| {
            let columns = reader.metadata().row_group(0).columns();
            columns.iter().position(|column| column.column_path().parts() == [name]).unwrap()
        };
        let statistics = |reader: &ParquetRecordBatchReaderBuilder<Bytes>| {
            reader.metadata().row_group(0).column(leaf(reader)).statistics().cloned()
        };
        assert_eq!(statistics(&merged), statistics(&flushed), "{name}");
        if name == spans::KEEP_REASON || name == spans::SERVICE_NAME {
            // Many rows have the same, which other writers put into several pages.
            continue;
        }
        // That pages are in order is said by the crate's writer alone.
        let index = |metadata: &ParquetMetaData, leaf: usize| {
            format!("{:?}", metadata.column_index().unwrap()[0][leaf]).replace("UNORDERED", "ASCENDING")
        };
        assert_eq!(index(of_merged, leaf(&merged)), index(of_flushed, leaf(&flushed)), "{name}");
    }
    let starts = all.column(column_index(&all, spans::START_TIME));
    let starts = starts.as_primitive::<arrow::datatypes::TimestampMicrosecondType>();
    let (first, last) = (arrow::compute::min(starts).unwrap(), arrow::compute::max(starts).unwrap());
    let found = report.start_range.map(|(first, last)| (first.micros(), last.micros()));
    assert_eq!(found, Some((first, last)));
}

#[test]
fn each_group_of_a_merged_file_has_its_own_filter() {
    let files: Vec<Vec<u8>> = (0..2).map(|seed| encode_spans(rows(seed, 1, 500)).unwrap().remove(0).bytes).collect();
    let (file, _) = check_merge(Table::Spans, &files, 300);
    let all = read(&file);
    let ids = all.column(0).as_binary_view();
    let reader = open_file(Bytes::from(file)).unwrap();
    for group in 0..4 {
        let bloom = reader.get_row_group_column_bloom_filter(group, 0).unwrap().unwrap();
        assert!((group * 300..(group * 300 + 300).min(1_000)).all(|row| bloom.check(ids.value(row))));
        assert!((1..1_000_u128).filter(|id| bloom.check((id << 100).to_be_bytes().as_slice())).count() < 30);
    }
}

#[test]
fn dictionaries_that_grow_too_large_end_and_pages_of_large_texts_are_bounded() {
    // Each input's values fit a dictionary, those of both do not.
    let file = |text_bytes| encode_spans(heavy(12, 50, text_bytes, "name")).unwrap().remove(0).bytes;
    let files = [file(60_000), file(60_001)];
    let (file, _) = check_merge(Table::Spans, &files, 1 << 20);
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    let reader = open_file_with(Bytes::from(file), options).unwrap();
    let columns = reader.metadata().row_group(0).columns();
    let leaf = columns.iter().position(|column| column.column_path().string() == "attributes.text.key_value.value");
    let leaf = leaf.unwrap();
    let encodings: Vec<_> = columns[leaf].encodings().collect();
    assert!(encodings.contains(&Encoding::PLAIN), "{encodings:?}");
    let pages = reader.metadata().offset_index().unwrap()[0][leaf].page_locations().len();
    assert!(pages > 50, "{pages} pages");
}

fn digests_of(seed: u64) -> RecordBatch {
    let rows = rows(seed, 3, 300);
    let spans = |trace: usize| {
        let of_trace = rows.rows.iter().filter(|row| row.trace as usize == trace);
        of_trace.map(|row| row.span).collect()
    };
    let trace = |(number, facts): (usize, &crate::rows::TraceFacts)| TraceSpans {
        trace_id: facts.trace_id,
        spans: spans(number),
        verdict: facts.verdict.clone(),
        late: None,
    };
    let traces = rows.traces.iter().enumerate().map(trace).collect();
    derive(rows.batches.clone(), traces).unwrap().traces.unwrap()
}

#[test]
fn digests_are_merged_and_columns_that_their_files_lack_are_null() {
    let whole = encode(Table::Traces, &[digests_of(1)]).unwrap().remove(0).bytes;
    let other = sorted(Table::Traces, &[digests_of(2)]);
    let of_before = Schema::new(other.schema().fields()[..13].to_vec());
    let of_before = RecordBatch::try_new(Arc::new(of_before), other.columns()[..13].to_vec()).unwrap();
    let shorter = written(&of_before, None);

    let nulls = other.schema().fields()[13..]
        .iter()
        .map(|field| arrow::array::new_null_array(field.data_type(), other.num_rows()))
        .collect::<Vec<_>>();
    let filled =
        RecordBatch::try_new(other.schema(), other.columns()[..13].iter().cloned().chain(nulls).collect()).unwrap();
    let expected = sorted(Table::Traces, &[read_table(Table::Traces, &whole), filled]);
    let (file, report) = merged(Table::Traces, &[whole.clone(), shorter], 100).unwrap();
    let found = read_table(Table::Traces, &file);
    assert_eq!(found, expected);
    assert_eq!(report.ranges, ColumnRanges::of(Table::Traces, &expected));
    check_merge(Table::Traces, &[whole.clone(), whole], 1 << 20);
}

#[track_caller]
fn check_refused(batch: &RecordBatch, expected: &str) {
    let error = merged(Table::Traces, &[written(batch, None)], 100).unwrap_err();
    assert_eq!(error.to_string(), format!("segment 0.parquet is damaged: {expected}"));
}

#[test]
fn files_of_another_table_are_refused_by_name() {
    let batch = sorted(Table::Traces, &[digests_of(1)]);
    let without = |name: &str| {
        let index = column_index(&batch, name);
        batch.project(&(0..batch.num_columns()).filter(|other| *other != index).collect::<Vec<_>>()).unwrap()
    };
    check_refused(&without(traces::KEEP_REASON), "it has no keep_reason, which is not NULL");
    check_refused(&without(traces::START_TIME), "it has no start_time, which is not NULL");
    let renamed = |name: &str, data_type: Option<arrow::datatypes::DataType>| {
        let mut fields: Vec<arrow::datatypes::Field> =
            batch.schema().fields().iter().map(|field| field.as_ref().clone()).collect();
        let at = column_index(&batch, traces::SHAPE);
        let mut columns = batch.columns().to_vec();
        if let Some(data_type) = data_type {
            columns[at] = arrow::compute::cast(&columns[at], &data_type).unwrap();
        }
        fields[at] = arrow::datatypes::Field::new(name, columns[at].data_type().clone(), true);
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
    };
    check_refused(&renamed("form", None), "it has form, which its table has not");
    check_refused(&renamed(traces::SHAPE, Some(arrow::datatypes::DataType::Utf8)), "its shape is of another type");

    let backwards = UInt32Array::from_iter_values((0..batch.num_rows() as u32).rev());
    let backwards = take_record_batch(&batch, &backwards).unwrap();
    check_refused(&backwards, "its rows are not sorted as its table's are");
}

#[test]
fn columns_that_had_null_in_other_versions_are_taken_if_they_have_none() {
    let batch = sorted(Table::Traces, &[digests_of(1)]);
    let with = |name: &str, column: Option<ArrayRef>, nullable: bool| {
        let at = column_index(&batch, name);
        let mut fields: Vec<_> = batch.schema().fields().iter().map(|field| field.as_ref().clone()).collect();
        fields[at] = fields[at].clone().with_nullable(nullable);
        let mut columns = batch.columns().to_vec();
        columns[at] = column.unwrap_or_else(|| Arc::clone(&columns[at]));
        written(&RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap(), None)
    };
    let zeros: ArrayRef = Arc::new(arrow::array::Float64Array::from(vec![0.5; batch.num_rows()]));
    for file in [
        with(traces::KEEP_REASON, None, true),
        with(traces::DURATION_NS, None, true),
        with(traces::HEAD_COUNT, Some(zeros), false),
    ] {
        let (out, _) = merged(Table::Traces, std::slice::from_ref(&file), 1_000).unwrap();
        let reader = open_file(Bytes::from(file)).unwrap();
        let rows: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
        let rows = concat_batches(rows[0].schema_ref(), &rows).unwrap();
        assert_eq!(read_table(Table::Traces, &out).columns(), rows.columns());
    }
    for name in [traces::KEEP_REASON, traces::DURATION_NS] {
        let nulls = arrow::array::new_null_array(batch.column_by_name(name).unwrap().data_type(), batch.num_rows());
        let error = merged(Table::Traces, &[with(name, Some(nulls), true)], 1_000).unwrap_err();
        let expected = format!("segment 0.parquet is damaged: {name}: it has NULL, which the table has not");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn a_merge_ends_when_it_is_cancelled_and_files_of_nothing_are_merged() {
    let file = encode_spans(rows(1, 1, 10)).unwrap().remove(0).bytes;
    let input = || MergeInput {
        name: "a".to_owned(),
        file: Bytes::from(file.clone()),
        keys: Keys::default(),
        lost_rows: false,
    };
    let limits = MergeLimits { cancelled: Arc::new(AtomicBool::new(true)), ..MergeLimits::default() };
    let error = merge(Table::Spans, &[], vec![input()], Vec::new(), &limits).unwrap_err();
    assert!(matches!(error, Error::Closed), "{error}");
    let empty = written(&RecordBatch::new_empty(Table::Spans.schema()), None);
    check_merge(Table::Spans, &[], 10);
    let (_, report) = check_merge(Table::Spans, &[empty.clone(), file.clone(), empty], 10);
    assert_eq!(report.rows, 10);
}

#[test]
fn changed_files_are_errors_or_other_rows() {
    let mut random = StdRng::seed_from_u64(5);
    // Compressed pages would seldom pass their decompressor.
    let plain = sorted(Table::Spans, &[rows(3, 1, 60).record_batch().unwrap()]);
    let plain = written(&plain, Some(WriterProperties::builder().set_dictionary_page_size_limit(500).build()));
    let packed = encode_spans(rows(3, 2, 200)).unwrap().remove(0).bytes;
    for file in [plain, packed] {
        // Behind the last page are structures that the crate reads.
        let reader = open_file(Bytes::from(file.clone())).unwrap();
        let ends = reader.metadata().row_group(0).columns().iter().map(|column| column.byte_range());
        let end = ends.map(|(start, length)| start + length).max().unwrap() as usize;
        for _ in 0..80 {
            let mut changed = file.clone();
            changed[random.random_range(4..end)] ^= 1 << random.random_range(0..8);
            drop(merged(Table::Spans, &[changed], 1_000));
        }
    }
}
