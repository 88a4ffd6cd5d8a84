//! Attributes with columns of their own: a file's maps and columns together have every attribute of its rows once, with its type.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, MapArray, StructArray};
use arrow::datatypes::{Float64Type, Int64Type};
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;

use super::*;
use crate::schema::attributes;
use crate::schema::promoted::{Keys, Promoted, PromotedType, Scope};

fn promoted(scope: Scope, value_type: PromotedType, key: &str) -> Promoted {
    Promoted { scope, value_type, key: key.into() }
}

/// What of one scope a row has: by key, its type and its value as text.
type Attributes = BTreeMap<String, (String, String)>;

fn shown(column: &ArrayRef, row: usize) -> Option<String> {
    (!column.is_null(row)).then(|| match column.data_type() {
        arrow::datatypes::DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        arrow::datatypes::DataType::Float64 => column.as_primitive::<Float64Type>().value(row).to_bits().to_string(),
        arrow::datatypes::DataType::Boolean => column.as_boolean().value(row).to_string(),
        arrow::datatypes::DataType::Utf8View => column.as_string_view().value(row).to_owned(),
        _ => column.as_string::<i32>().value(row).to_owned(),
    })
}

fn of_maps(maps: &StructArray, row: usize) -> Attributes {
    let mut found = Attributes::new();
    for (field, map) in maps.fields().iter().zip(maps.columns()) {
        let map = map.as_any().downcast_ref::<MapArray>().unwrap().value(row);
        let (keys, values) = (map.column(0), map.column(1));
        for entry in 0..map.len() {
            let value = shown(values, entry).unwrap_or_else(|| "unset".to_owned());
            let before = found.insert(shown(keys, entry).unwrap(), (field.name().clone(), value));
            assert_eq!(before, None);
        }
    }
    found
}

/// All attributes of a row, from wherever they are; none may be in two places.
fn of_row(batch: &RecordBatch, scope: Scope, row: usize) -> Attributes {
    let mut found = of_maps(batch.column_by_name(scope.column()).unwrap().as_struct(), row);
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let Some(promoted) = Promoted::parse(field.name()).filter(|promoted| promoted.scope == scope) else { continue };
        assert_eq!(field.data_type(), &promoted.value_type.data_type());
        if let Some(value) = shown(column, row) {
            let before = found.insert(promoted.key.to_string(), (promoted.value_type.map().to_owned(), value));
            assert_eq!(before, None, "{promoted} of row {row} is there twice");
        }
    }
    found
}

fn read_all(file: &[u8]) -> RecordBatch {
    let reader = open_file(Bytes::copy_from_slice(file)).unwrap();
    let schema = Arc::clone(reader.schema());
    let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    concat_batches(&schema, &batches).unwrap()
}

fn columns(batch: &RecordBatch) -> Vec<String> {
    batch.schema().fields().iter().skip(spans::stored().fields().len()).map(|field| field.name().clone()).collect()
}

/// Encodes `rows`, which are of one date, and reads them back; what stands in the maps is named by `in_maps` alone.
#[track_caller]
fn check_promoted(rows: &SpanRows, list: &[Promoted]) -> (EncodedSegment, RecordBatch) {
    let segment = encode_promoted(rows.clone(), list.into()).unwrap().remove(0);
    let (found, expected) = (read_all(&segment.bytes), expected(rows));
    check_says_texts(&segment.bytes);
    assert_eq!(segment.keys.promoted, list.len());
    for (index, field) in expected.schema().fields().iter().enumerate() {
        if ![spans::ATTRIBUTES, spans::RESOURCE].contains(&field.name().as_str()) {
            assert_eq!(found.column(index), expected.column(index), "{}", field.name());
        }
    }
    for scope in Scope::ALL {
        let maps = found.column_by_name(scope.column()).unwrap().as_struct();
        for row in 0..expected.num_rows() {
            let of_expected = of_maps(expected.column_by_name(scope.column()).unwrap().as_struct(), row);
            assert_eq!(of_row(&found, scope, row), of_expected, "row {row}");
            for (key, (value_type, _)) in of_maps(maps, row) {
                let is_promoted = |typed: bool| {
                    list.iter().any(|promoted| {
                        let is_key = promoted.scope == scope && *promoted.key == *key;
                        is_key && (!typed || promoted.value_type.map() == value_type)
                    })
                };
                assert!(!is_promoted(true), "{key} is in the map of {value_type}, too");
                let is_mixed = segment.keys.mixed.iter().any(|(of, mixed)| *of == scope && **mixed == *key);
                assert_eq!(is_mixed, is_promoted(false), "{key}");
            }
        }
    }
    (segment, found)
}

use PromotedType::{Bool, Float, Int, Text};
use Scope::{Attributes as OfSpan, Resource as OfResource};

fn several() -> Vec<Promoted> {
    vec![
        promoted(OfSpan, Text, "http.route"),
        promoted(OfResource, Int, "http.status_code"),
        promoted(OfSpan, Int, "http.status_code"),
        promoted(OfSpan, Text, "nobody.has.it"),
        promoted(OfSpan, Float, "ratio"),
        promoted(OfSpan, Bool, "retried"),
        promoted(OfSpan, Text, "user.id"),
        promoted(OfResource, Text, "http.route"),
    ]
}

#[test]
fn maps_and_columns_together_have_the_rows_attributes() {
    for seed in 0..12 {
        check_promoted(&rows(seed, 3, 1 + seed * 3), &several());
    }
}

#[test]
fn columns_come_behind_the_others_in_the_tables_order_where_some_row_has_a_value() {
    let (segment, found) = check_promoted(&rows(1, 3, 300), &several());
    let names: Vec<String> =
        several().iter().map(Promoted::to_string).filter(|name| !name.contains("nobody")).collect();
    let has_resource = columns(&found).iter().any(|name| name.starts_with("resource"));
    assert!(has_resource, "the seed gives resources without any");
    assert!(columns(&found).iter().eq(names.iter().filter(|name| columns(&found).contains(name))));
    assert_eq!(columns(&found).iter().filter(|name| name.starts_with("attributes")).count(), 5);
    assert_eq!(segment.keys, Keys { promoted: 8, mixed: Vec::new() });
}

#[test]
fn many_pages_and_several_groups_keep_each_value_in_its_row() {
    // 30,000 users are more than a dictionary takes.
    let (segment, _) = check_promoted(&rows(7, 10, 10_000), &several());
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    let file = Bytes::from(segment.bytes);
    let reader = open_file_with(file, options).unwrap();
    let groups = reader.metadata().row_groups();
    for (name, smallest) in [("attributes__text__http__route", "/"), ("attributes__text__user__id", "user-0")] {
        let converter = StatisticsConverter::try_new(name, reader.schema(), reader.parquet_schema()).unwrap();
        assert_eq!(converter.row_group_mins(groups.iter()).unwrap().as_string_view().value(0), smallest);
    }
    let converter =
        StatisticsConverter::try_new("attributes__int__http__status_code", reader.schema(), reader.parquet_schema());
    let converter = converter.unwrap();
    assert_eq!(converter.row_group_mins(groups.iter()).unwrap().as_primitive::<Int64Type>().value(0), 200);
    assert_eq!(converter.row_group_maxes(groups.iter()).unwrap().as_primitive::<Int64Type>().value(0), 204);
    let (columns, offsets) = (reader.metadata().column_index().unwrap(), reader.metadata().offset_index().unwrap());
    let mins = converter.data_page_mins(columns, offsets, [&0]).unwrap();
    assert!(mins.len() > 5, "{} pages", mins.len());

    let mut sorted = rows(5, 3, 500);
    order::sort(&mut sorted);
    let templates = order::Templates::new(&sorted);
    let placing = placing::Placing::new(&sorted, &templates, 0..1_500, &several().into());
    let found = read_all(&super::super::spans::write(&sorted, &templates, &placing, 0..1_500, 400).unwrap());
    let expected = sorted.record_batch().unwrap();
    for row in 0..1_500 {
        for scope in Scope::ALL {
            let maps = expected.column_by_name(scope.column()).unwrap().as_struct();
            assert_eq!(of_row(&found, scope, row), of_maps(maps, row), "row {row}");
        }
    }
}

fn append(
    builder: &mut SpanBatchBuilder,
    number: u64,
    start: UnixNanos,
    fill: impl FnOnce(&mut AttributesBuilder<'_>),
) {
    let resource = builder.resource(|to| {
        to.push_text("host.name", &format!("host-{}", number % 2));
        to.push_int("process.pid", 7);
    });
    let origin = builder.origin(resource, "service", None, None);
    fill(&mut builder.attributes());
    builder.append(&SpanFields {
        trace_id: TraceId::from_bytes(u128::from(number + 1).to_be_bytes()).unwrap(),
        span_id: SpanId::from_bytes((number + 1).to_be_bytes()).unwrap(),
        parent_span_id: None,
        origin,
        span_name: "name".into(),
        kind: "server",
        status_code: "unset",
        status_message: None,
        start,
        duration_nanos: 1,
        trace_state: None,
        flags: 0,
    });
}

fn one_key(types: &[&str]) -> SpanRows {
    let mut builder = SpanBatchBuilder::default();
    for (number, value_type) in types.iter().enumerate() {
        append(&mut builder, number as u64, UnixNanos(number as i64), |to| match *value_type {
            "text" => to.push_text("k", "v"),
            "int" => to.push_int("k", 5),
            "float" => to.push_float("k", f64::NAN),
            "json" => to.push_json("k", "[]"),
            "unset" => to.push_null("k"),
            _ => to.push_text("other", "v"),
        });
    }
    SpanRows::underived(builder.finish().unwrap())
}

#[test]
fn a_key_is_mixed_only_where_a_map_has_it_in_this_segment() {
    let check = |types: &[&str], list: &[Promoted], is_mixed: bool| {
        let (segment, _) = check_promoted(&one_key(types), list);
        let expected = if is_mixed { vec![(OfSpan, "k".into())] } else { Vec::new() };
        assert_eq!(segment.keys.mixed, expected, "{types:?}");
    };
    let text = promoted(OfSpan, Text, "k");
    let both = [text.clone(), promoted(OfSpan, Int, "k")];
    check(&["text", "none"], std::slice::from_ref(&text), false);
    check(&["text", "int"], std::slice::from_ref(&text), true);
    check(&["text", "json"], std::slice::from_ref(&text), true);
    check(&["unset"], std::slice::from_ref(&text), true);
    check(&["text", "int", "none"], &both, false);
    check(&["text", "int", "float"], &both, true);
    // Of another column of attributes.
    check(&["int"], &[promoted(OfResource, Text, "k")], false);
}

#[test]
fn keys_of_resources_have_columns_of_their_own() {
    let list = [promoted(OfResource, Text, "host.name"), promoted(OfResource, Int, "process.pid")];
    let (_, found) = check_promoted(&one_key(&["text", "none", "int"]), &list);
    let hosts = found.column_by_name("resource__text__host__name").unwrap().as_string_view();
    assert_eq!(hosts.iter().collect::<Vec<_>>(), [Some("host-0"), Some("host-1"), Some("host-0")]);
    assert_eq!(
        found.column_by_name("resource__int__process__pid").unwrap().as_primitive::<Int64Type>().values()[..],
        [7; 3]
    );
}

#[test]
fn a_segment_of_each_date_has_the_columns_that_occur_in_it() {
    let mut builder = SpanBatchBuilder::default();
    for number in 0..6_u64 {
        let day = number as i64 % 3;
        append(&mut builder, number, UnixNanos(day * order::DAY_NANOS), |to| match day {
            0 => to.push_text("first", "a"),
            1 => to.push_int("first", 1),
            _ => to.push_bool("last", true),
        });
    }
    let list = [promoted(OfSpan, Text, "first"), promoted(OfSpan, Bool, "last")];
    let rows = SpanRows::underived(builder.finish().unwrap());
    let segments = encode_promoted(rows, list.clone().into()).unwrap();
    let found: Vec<_> =
        segments.iter().map(|segment| (columns(&read_all(&segment.bytes)), segment.keys.clone())).collect();
    let keys = |mixed| Keys { promoted: 2, mixed };
    assert_eq!(
        found,
        [
            (vec![list[0].to_string()], keys(Vec::new())),
            (Vec::new(), keys(vec![(OfSpan, "first".into())])),
            (vec![list[1].to_string()], keys(Vec::new())),
        ]
    );
}

#[test]
fn large_texts_end_pages_also_in_their_own_column() {
    let list = [promoted(OfSpan, Text, "prompt")];
    let (segment, _) = check_promoted(&heavy(40, 50, 60_000, "name"), &list);
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    let reader = open_file_with(Bytes::from(segment.bytes), options).unwrap();
    let last = reader.metadata().offset_index().unwrap()[0].last().unwrap().page_locations().len();
    assert!(last > 100, "{last} pages");
    assert_eq!(reader.parquet_schema().columns().last().unwrap().name(), "attributes__text__prompt");
    assert_eq!(reader.schema().field_with_name(spans::ATTRIBUTES).unwrap().data_type(), &attributes::data_type());
}
