//! A batch as plain values, to compare and to print.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, ListArray, MapArray, StructArray};
use arrow::datatypes::{Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};

use storage::rows::SpanRows;

use crate::otlp::Decoded;

#[derive(Debug, Clone, PartialEq)]
pub enum Attribute {
    Text(String),
    Int(i64),
    /// Bits, so that NaN equals itself and -0.0 is not 0.0.
    Float(u64),
    Bool(bool),
    Json(serde_json::Value),
    Null,
}

pub type Attributes = BTreeMap<String, Attribute>;

#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub time_unix_nanos: i64,
    pub name: String,
    pub attributes: Attributes,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    pub trace_id: Vec<u8>,
    pub span_id: Vec<u8>,
    pub trace_state: Option<String>,
    pub flags: i64,
    pub attributes: Attributes,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub trace_id: Vec<u8>,
    pub span_id: Vec<u8>,
    pub parent_span_id: Option<Vec<u8>>,
    pub service_name: String,
    pub span_name: String,
    pub kind: String,
    pub status_code: String,
    pub status_message: Option<String>,
    pub start_unix_nanos: i64,
    pub duration_nanos: i64,
    pub attributes: Attributes,
    pub resource: Attributes,
    pub events: Vec<Event>,
    pub links: Vec<Link>,
    pub scope_name: Option<String>,
    pub scope_version: Option<String>,
    pub trace_state: Option<String>,
    pub flags: i64,
}

fn one_map(map: &MapArray, row: usize, read: impl Fn(&dyn Array, usize) -> Attribute, into: &mut Attributes) {
    let entries = map.value(row);
    let keys = entries.column(0).as_string::<i32>();
    for entry in 0..entries.len() {
        let value = entries.column(1);
        let attribute = if value.is_null(entry) { Attribute::Null } else { read(value, entry) };
        let replaced = into.insert(keys.value(entry).to_owned(), attribute);
        assert_eq!(replaced, None, "key {:?} is in a row twice", keys.value(entry));
    }
}

fn attributes(column: &StructArray, row: usize) -> Attributes {
    let mut all = Attributes::new();
    let map = |name: &str| column.column_by_name(name).unwrap().as_map();
    one_map(map("text"), row, |values, at| Attribute::Text(values.as_string::<i32>().value(at).to_owned()), &mut all);
    one_map(map("int"), row, |values, at| Attribute::Int(values.as_primitive::<Int64Type>().value(at)), &mut all);
    let float = |values: &dyn Array, at| Attribute::Float(values.as_primitive::<Float64Type>().value(at).to_bits());
    one_map(map("float"), row, float, &mut all);
    one_map(map("bool"), row, |values, at| Attribute::Bool(values.as_boolean().value(at)), &mut all);
    let json = |values: &dyn Array, at| {
        Attribute::Json(serde_json::from_str(values.as_string::<i32>().value(at)).expect("is JSON"))
    };
    one_map(map("json"), row, json, &mut all);
    all
}

fn nanos(item: &StructArray, time: &str, remainder: &str, row: usize) -> i64 {
    let micros = item.column_by_name(time).unwrap().as_primitive::<TimestampMicrosecondType>().value(row);
    let remainder = item.column_by_name(remainder).unwrap().as_primitive::<Int32Type>().value(row);
    assert!((0..1_000).contains(&remainder));
    i64::try_from(i128::from(micros) * 1_000 + i128::from(remainder)).unwrap()
}

fn events(list: &ListArray, row: usize) -> Vec<Event> {
    let items = list.value(row);
    let items = items.as_struct();
    let name = items.column_by_name("name").unwrap().as_string::<i32>();
    let of = items.column_by_name("attributes").unwrap().as_struct();
    let event = |at| Event {
        time_unix_nanos: nanos(items, "time", "time_nanos", at),
        name: name.value(at).to_owned(),
        attributes: attributes(of, at),
    };
    (0..items.len()).map(event).collect()
}

fn links(list: &ListArray, row: usize) -> Vec<Link> {
    let items = list.value(row);
    let items = items.as_struct();
    let column = |name: &str| items.column_by_name(name).unwrap();
    let state = column("trace_state").as_string::<i32>();
    let link = |at| Link {
        trace_id: column("trace_id").as_binary::<i32>().value(at).to_vec(),
        span_id: column("span_id").as_binary::<i32>().value(at).to_vec(),
        trace_state: state.is_valid(at).then(|| state.value(at).to_owned()),
        flags: column("flags").as_primitive::<Int64Type>().value(at),
        attributes: attributes(column("attributes").as_struct(), at),
    };
    (0..items.len()).map(link).collect()
}

pub fn of(decoded: &Decoded) -> Vec<Row> {
    let Some(batch) = &decoded.batch else { return Vec::new() };
    let batch = &SpanRows::underived(batch.clone()).record_batch().unwrap();
    let all = StructArray::from(batch.clone());
    let column = |name: &str| batch.column_by_name(name).unwrap();
    let bytes = |name: &str, row| {
        let column = column(name).as_binary_view();
        column.is_valid(row).then(|| column.value(row).to_vec())
    };
    let text = |name: &str, row| {
        let column = column(name).as_string_view();
        column.is_valid(row).then(|| column.value(row).to_owned())
    };
    let number = |name: &str, row| column(name).as_primitive::<Int64Type>().value(row);
    let row = |row| Row {
        trace_id: bytes("trace_id", row).unwrap(),
        span_id: bytes("span_id", row).unwrap(),
        parent_span_id: bytes("parent_span_id", row),
        service_name: text("service_name", row).unwrap(),
        span_name: text("span_name", row).unwrap(),
        kind: text("kind", row).unwrap(),
        status_code: text("status_code", row).unwrap(),
        status_message: text("status_message", row),
        start_unix_nanos: nanos(&all, "start_time", "start_nanos", row),
        duration_nanos: number("duration_ns", row),
        attributes: attributes(column("attributes").as_struct(), row),
        resource: attributes(column("resource").as_struct(), row),
        events: events(column("events").as_list(), row),
        links: links(column("links").as_list(), row),
        scope_name: text("scope_name", row),
        scope_version: text("scope_version", row),
        trace_state: text("trace_state", row),
        flags: number("flags", row),
    };
    (0..batch.num_rows()).map(row).collect()
}
