//! The types of exceptions prune, and cost nothing where there are none.

use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics;

use super::merging::{merged, read_table, sorted, written};
use super::*;
use crate::schema::{FORMAT_VERSION, Table};

/// Spans of one operation in this order; those named have an exception of this type.
fn with_exceptions(count: usize, exceptions: &[(usize, &str)]) -> SpanRows {
    let mut builder = SpanBatchBuilder::default();
    let resource = builder.resource(|_| {});
    let origin = builder.origin(resource, "service", None, None);
    for number in 0..count {
        if let Some((_, name)) = exceptions.iter().find(|(at, _)| *at == number) {
            builder.event(UnixNanos(1), "exception", |to| to.push_text("exception.type", name));
        }
        builder.append(&SpanFields {
            trace_id: TraceId::from_bytes((number as u128 + 1).to_be_bytes()).unwrap(),
            span_id: SpanId::from_bytes((number as u64 + 1).to_be_bytes()).unwrap(),
            parent_span_id: None,
            origin,
            span_name: "name".into(),
            kind: "server",
            status_code: "unset",
            status_message: None,
            start: UnixNanos(number as i64),
            duration_nanos: 1,
            trace_state: None,
            flags: 0,
        });
    }
    SpanRows::underived(builder.finish().unwrap())
}

fn opened(file: &[u8]) -> ParquetMetaData {
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    let file = Bytes::copy_from_slice(file);
    let reader = open_file_with(file, options).unwrap();
    reader.metadata().as_ref().clone()
}

fn leaf(metadata: &ParquetMetaData) -> usize {
    let columns = metadata.row_group(0).columns();
    columns.iter().position(|column| column.column_path().string() == spans::EXCEPTION_TYPE).unwrap()
}

/// Smallest and largest value, and how many are NULL, of the whole row group.
fn ranges(metadata: &ParquetMetaData) -> (Option<Vec<u8>>, Option<Vec<u8>>, Option<u64>) {
    match metadata.row_group(0).column(leaf(metadata)).statistics() {
        Some(Statistics::ByteArray(of)) => {
            let bytes = |value: Option<&parquet::data_type::ByteArray>| value.map(|value| value.data().to_vec());
            (bytes(of.min_opt()), bytes(of.max_opt()), of.null_count_opt())
        }
        other => panic!("{other:?}"),
    }
}

/// By page: rows before it, and whether it has nothing but NULL.
fn pages(metadata: &ParquetMetaData) -> Vec<(i64, bool)> {
    let leaf = leaf(metadata);
    let locations = metadata.offset_index().unwrap()[0][leaf].page_locations();
    let index = &metadata.column_index().unwrap()[0][leaf];
    locations.iter().enumerate().map(|(page, of)| (of.first_row_index, index.is_null_page(page))).collect()
}

#[test]
fn types_of_exceptions_are_found_by_page_and_a_segment_without_any_says_so() {
    let page = layout::PAGE_ROWS;
    let rows =
        with_exceptions(5 * page, &[(page, "b.Timeout"), (2 * page - 1, "a.Refused"), (4 * page + 7, "unknown")]);
    let file = check(&rows);
    let flushed = opened(&file);
    let nulls = 5 * page as u64 - 3;
    assert_eq!(ranges(&flushed), (Some(b"a.Refused".to_vec()), Some(b"unknown".to_vec()), Some(nulls)));
    let page = page as i64;
    assert_eq!(pages(&flushed), [(0, true), (page, false), (2 * page, true), (4 * page, false)]);

    let (of_both, _) = merged(Table::Spans, &[file.clone(), file], 1 << 20).unwrap();
    let of_both = opened(&of_both);
    assert_eq!(ranges(&of_both), (Some(b"a.Refused".to_vec()), Some(b"unknown".to_vec()), Some(2 * nulls)));
    assert_eq!(pages(&of_both).iter().filter(|(_, is_null)| !is_null).count(), 3);

    let none = opened(&check(&with_exceptions(5 * page as usize, &[])));
    assert_eq!((ranges(&none), pages(&none)), ((None, None, Some(5 * page as u64)), vec![(0, true)]));
    let bytes = none.row_group(0).column(leaf(&none)).compressed_size();
    assert!(bytes < 100, "{bytes} bytes of nothing");
}

#[test]
fn spans_of_format_4_are_merged_and_have_no_type() {
    let newer = encode_spans(rows(1, 2, 300)).unwrap().remove(0).bytes;
    let all = sorted(Table::Spans, &[rows(2, 2, 300).record_batch().unwrap()]);
    let at = all.schema().index_of(spans::EXCEPTION_TYPE).unwrap();
    let of_before = all.project(&(0..all.num_columns()).filter(|column| *column != at).collect::<Vec<_>>()).unwrap();
    let older = written(&of_before, None);

    let nulls = arrow::array::new_null_array(all.column(at).data_type(), all.num_rows());
    let filled = super::merging::with_column(&all, spans::EXCEPTION_TYPE, nulls);
    let expected = sorted(Table::Spans, &[read_table(Table::Spans, &newer), filled]);
    let types = expected.column(at).as_string_view();
    assert!(types.iter().flatten().any(|name| name == "Timeout") && types.iter().any(|name| name.is_none()));
    for group_rows in [100, 1 << 20] {
        let (file, report) = merged(Table::Spans, &[newer.clone(), older.clone()], group_rows).unwrap();
        assert_eq!((read_table(Table::Spans, &file), report.rows), (expected.clone(), 1_200));
        let version = opened(&file).file_metadata().key_value_metadata().cloned().unwrap();
        let version = version.iter().find(|entry| entry.key == layout::VERSION_KEY).unwrap();
        assert_eq!(version.value, Some(FORMAT_VERSION.to_string()));
    }
    // Of older segments alone the column is there, too, and is NULL.
    let (file, _) = merged(Table::Spans, &[older.clone(), older], 1 << 20).unwrap();
    assert_eq!(ranges(&opened(&file)), (None, None, Some(1_200)));
}
