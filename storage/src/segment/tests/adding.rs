//! Merged files of metrics and paths: rows of the same are one, and say what they said together.

use std::collections::BTreeMap;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int32Array, Int32Builder, Int64Array, Int64Builder, ListBuilder,
    StringViewArray, TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float64Type, Int32Type, Int64Type, Schema};

use super::merging::{merged, read_table, written};
use super::*;
use crate::schema::{Table, paths, span_metrics};

/// Rows with few different keys; sums are small enough that none saturates, and whole, so that floats add up in any order.
fn metrics(table: Table, random: &mut StdRng, rows: usize) -> RecordBatch {
    let schema = table.schema();
    let indexes: Vec<Vec<i32>> = (0..rows).map(|_| (-1..20).filter(|_| random.random_bool(0.3)).collect()).collect();
    let mut column = |name: &str, data_type: &DataType| -> ArrayRef {
        match (name, data_type) {
            (span_metrics::BUCKET_INDEXES, _) => {
                let mut lists = ListBuilder::new(Int32Builder::new()).with_field(span_metrics::index_item());
                indexes.iter().for_each(|indexes| lists.append_value(indexes.iter().copied().map(Some)));
                Arc::new(lists.finish())
            }
            (span_metrics::BUCKET_COUNTS, _) => {
                let mut lists = ListBuilder::new(Int64Builder::new()).with_field(span_metrics::count_item());
                for indexes in &indexes {
                    lists.append_value(indexes.iter().map(|_| Some(random.random_range(1..100))));
                }
                Arc::new(lists.finish())
            }
            (_, DataType::Utf8View) => {
                let texts = ["", "cart", "a name that is too long for a view to hold it"];
                Arc::new((0..rows).map(|_| Some(texts[random.random_range(0..3)])).collect::<StringViewArray>())
            }
            (_, DataType::Timestamp(..)) => {
                let windows = (0..rows).map(|_| 1_700_000_000_000_000 + 10_000_000 * random.random_range(0..3));
                Arc::new(TimestampMicrosecondArray::from_iter_values(windows).with_timezone("UTC"))
            }
            (_, DataType::Int64) => {
                Arc::new(Int64Array::from_iter_values((0..rows).map(|_| random.random_range(0..1_000))))
            }
            (_, DataType::Float64) => {
                let floats = (0..rows).map(|_| f64::from(random.random_range(0..1_000)));
                Arc::new(Float64Array::from_iter_values(floats))
            }
            (_, DataType::Boolean) => {
                Arc::new((0..rows).map(|_| Some(random.random_bool(0.7))).collect::<BooleanArray>())
            }
            other => panic!("{other:?}"),
        }
    };
    let columns = schema.fields().iter().map(|field| column(field.name(), field.data_type())).collect();
    RecordBatch::try_new(schema, columns).unwrap()
}

/// Key columns as text, then what they say: numbers by column, and a histogram.
type Said = BTreeMap<Vec<String>, (BTreeMap<String, f64>, BTreeMap<i32, i64>)>;

fn said(batches: &[RecordBatch]) -> Said {
    let mut said = Said::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let mut key = Vec::new();
            let mut numbers = BTreeMap::new();
            let mut buckets = BTreeMap::new();
            for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
                match field.data_type() {
                    DataType::Int64 => {
                        let number = column.as_primitive::<Int64Type>().value(row) as f64;
                        numbers.insert(field.name().clone(), number);
                    }
                    DataType::Float64 => {
                        numbers.insert(field.name().clone(), column.as_primitive::<Float64Type>().value(row));
                    }
                    DataType::List(_) if field.name() == span_metrics::BUCKET_INDEXES => {
                        let indexes = column.as_list::<i32>().value(row);
                        let counts = batch.column_by_name(span_metrics::BUCKET_COUNTS).unwrap();
                        let counts = counts.as_list::<i32>().value(row);
                        let indexes = indexes.as_primitive::<Int32Type>().values();
                        assert!(indexes.is_sorted_by(|one, next| one < next));
                        let counts = counts.as_primitive::<Int64Type>().values();
                        buckets.extend(indexes.iter().copied().zip(counts.iter().copied()));
                    }
                    DataType::List(_) => {}
                    _ => {
                        let text = cast(&column.slice(row, 1), &DataType::Utf8).unwrap();
                        key.push(text.as_string::<i32>().value(0).to_owned());
                    }
                }
            }
            let Some((known, of_buckets)) = said.get_mut(&key) else {
                said.insert(key, (numbers, buckets));
                continue;
            };
            for (name, number) in numbers {
                let known = known.get_mut(&name).unwrap();
                *known = match name.as_str() {
                    span_metrics::DURATION_MIN_NS => known.min(number),
                    span_metrics::DURATION_MAX_NS => known.max(number),
                    _ => *known + number,
                };
            }
            buckets.into_iter().for_each(|(index, count)| *of_buckets.entry(index).or_default() += count);
        }
    }
    said
}

fn files_of(table: Table, rows: &[RecordBatch]) -> Vec<Vec<u8>> {
    // A row of a segment of its own a date: one date has all rows here.
    rows.iter().map(|rows| encode(table, std::slice::from_ref(rows)).unwrap().remove(0).bytes).collect()
}

#[track_caller]
fn assert_sorted(table: Table, rows: &RecordBatch) {
    let keys = layout::sort_columns(table).iter().map(|name| Arc::clone(rows.column_by_name(name).unwrap()));
    let keys: Vec<_> = keys.map(|values| arrow::compute::SortColumn { values, options: None }).collect();
    let sorted = arrow::compute::lexsort(&keys, None).unwrap();
    assert!(keys.iter().zip(sorted).all(|(key, sorted)| key.values.to_data() == sorted.to_data()));
}

#[test]
fn metrics_of_equal_keys_add_up() {
    for seed in 0..6 {
        println!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        for table in [Table::SpanMetrics, Table::EdgeMetrics] {
            let rows: Vec<RecordBatch> = (0..random.random_range(1..5))
                .map(|_| {
                    let rows = random.random_range(1..500);
                    metrics(table, &mut random, rows)
                })
                .collect();
            let (file, report) = merged(table, &files_of(table, &rows), 1 << 20).unwrap();
            check_says_texts(&file);
            let found = read_table(table, &file);
            let expected = said(&rows);
            assert_eq!(said(std::slice::from_ref(&found)), expected);
            assert_eq!((found.num_rows(), report.rows), (expected.len(), expected.len() as u64));
            assert_eq!(report.bytes, file.len() as u64);
            assert_eq!(report.ranges, ColumnRanges::of(table, &found));
            let windows = found.column_by_name(span_metrics::WINDOW_START).unwrap();
            let windows = windows.as_primitive::<arrow::datatypes::TimestampMicrosecondType>();
            let range = arrow::compute::min(windows).zip(arrow::compute::max(windows)).unwrap();
            assert_eq!(report.start_range.map(|(first, last)| (first.micros(), last.micros())), Some(range));
            assert_sorted(table, &found);
        }
    }
}

fn path_rows(ids: &[i64], depth: i32) -> RecordBatch {
    let text = |of: fn(i64) -> String| -> ArrayRef {
        Arc::new(ids.iter().map(|id| Some(of(*id))).collect::<StringViewArray>())
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(ids.to_vec())),
        Arc::new(ids.iter().map(|id| (id % 3 > 0).then_some(id / 3)).collect::<Int64Array>()),
        Arc::new(ids.iter().map(|id| (id % 5 > 0).then_some(depth)).collect::<Int32Array>()),
        text(|id| format!("service {}", id % 7)),
        text(|id| format!("an operation with a long name {}", id % 11)),
        text(|_| "server".to_owned()),
        text(|id| format!("a path {id}")),
    ];
    RecordBatch::try_new(Table::Paths.schema(), columns).unwrap()
}

#[test]
fn a_path_has_one_row_the_first() {
    let rows = [path_rows(&(0..9_000).collect::<Vec<_>>(), 1), path_rows(&(8_000..20_000).collect::<Vec<_>>(), 2)];
    let (file, report) = merged(Table::Paths, &files_of(Table::Paths, &rows), 10_000).unwrap();
    let found = read_table(Table::Paths, &file);
    assert_eq!((found.num_rows(), report.rows, report.start_range), (20_000, 20_000, None));
    assert_eq!(report.ranges, ColumnRanges::of(Table::Paths, &found));
    assert_sorted(Table::Paths, &found);
    let order = arrow::compute::sort_to_indices(found.column_by_name(paths::PATH_ID).unwrap(), None, None).unwrap();
    let found = arrow::compute::take_record_batch(&found, &order).unwrap();
    let expected = [rows[0].clone(), rows[1].slice(1_000, 11_000)];
    assert_eq!(found, concat_batches(&Table::Paths.schema(), &expected).unwrap());
    let reader = open_file(Bytes::from(file)).unwrap();
    assert_eq!(reader.metadata().num_row_groups(), 2);
}

#[test]
fn small_files_that_are_wrong_are_refused_by_name() {
    let check = |rows: &RecordBatch, expected: &str| {
        let error = merged(Table::Paths, &[written(rows, None)], 100).unwrap_err();
        assert_eq!(error.to_string(), format!("segment 0.parquet is damaged: {expected}"));
    };
    check(&path_rows(&[6, 5], 1), "its rows are not sorted as its table's are");
    let rows = path_rows(&[1], 1);
    check(&rows.project(&[0, 1, 2, 3, 4, 6]).unwrap(), "it has no kind, which is not NULL");
    let mut fields: Vec<Field> = rows.schema().fields().iter().map(|field| field.as_ref().clone()).collect();
    fields[6] = Field::new("chain", DataType::Utf8View, false);
    let renamed = RecordBatch::try_new(Arc::new(Schema::new(fields)), rows.columns().to_vec()).unwrap();
    check(&renamed, "it has no path, which is not NULL");
}
