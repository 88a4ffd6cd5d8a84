//! The nested columns: attributes, resource, events, links.

use std::sync::Arc;

use arrow::array::{
    ArrayBuilder, ArrayRef, BinaryBuilder, BooleanBuilder, Float64Builder, Int32Builder, Int64Builder, ListArray,
    MapBuilder, MapFieldNames, StringBuilder, StructArray, TimestampMicrosecondBuilder,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::Fields;

use super::SpanRows;
use crate::model::{Entry, SpanBatch, TextId, TypedKey, ValueId, ValueType};
use crate::schema::{attributes as schema, spans};

/// Builds an attributes column: one map a type, so that a value keeps the type that its client gave it.
struct Maps {
    text: MapBuilder<StringBuilder, StringBuilder>,
    int: MapBuilder<StringBuilder, Int64Builder>,
    float: MapBuilder<StringBuilder, Float64Builder>,
    bool: MapBuilder<StringBuilder, BooleanBuilder>,
    json: MapBuilder<StringBuilder, StringBuilder>,
}

fn map<V: ArrayBuilder>(values: V) -> MapBuilder<StringBuilder, V> {
    let names =
        MapFieldNames { entry: schema::ENTRY.to_owned(), key: schema::KEY.to_owned(), value: schema::VALUE.to_owned() };
    MapBuilder::new(Some(names), StringBuilder::new(), values)
}

impl Maps {
    fn new() -> Self {
        Self {
            text: map(StringBuilder::new()),
            int: map(Int64Builder::new()),
            float: map(Float64Builder::new()),
            bool: map(BooleanBuilder::new()),
            json: map(StringBuilder::new()),
        }
    }

    fn push(&mut self, batch: &SpanBatch, key: TypedKey, value: ValueId) {
        let name = batch.texts().text(key.key());
        match key.value_type() {
            ValueType::Text => {
                self.text.keys().append_value(name);
                self.text.values().append_value(batch.texts().text(TextId(value.0)));
            }
            ValueType::Int => {
                self.int.keys().append_value(name);
                self.int.values().append_value(batch.word(value).cast_signed());
            }
            ValueType::Float => {
                self.float.keys().append_value(name);
                self.float.values().append_value(f64::from_bits(batch.word(value)));
            }
            ValueType::Bool => {
                self.bool.keys().append_value(name);
                self.bool.values().append_value(value.0 != 0);
            }
            ValueType::Json => {
                self.json.keys().append_value(name);
                let is_set = value != ValueId::UNSET;
                self.json.values().append_option(is_set.then(|| batch.texts().text(TextId(value.0))));
            }
        }
    }

    fn push_all(&mut self, batch: &SpanBatch, entries: &[Entry]) {
        entries.iter().for_each(|entry| self.push(batch, entry.key, entry.value));
    }

    /// Ends the row.
    fn end(&mut self) {
        // `append` fails only when keys and values differ in number, which `push` rules out.
        let ended = [
            self.text.append(true),
            self.int.append(true),
            self.float.append(true),
            self.bool.append(true),
            self.json.append(true),
        ];
        debug_assert!(ended.iter().all(Result::is_ok));
    }

    fn finish(mut self) -> StructArray {
        let maps: Vec<ArrayRef> = vec![
            Arc::new(self.text.finish()),
            Arc::new(self.int.finish()),
            Arc::new(self.float.finish()),
            Arc::new(self.bool.finish()),
            Arc::new(self.json.finish()),
        ];
        StructArray::new(schema::fields(), maps, None)
    }
}

pub(super) fn of_spans(spans: &SpanRows, rows: &[u32]) -> ArrayRef {
    let mut maps = Maps::new();
    for &row in rows {
        let span = spans.rows[row as usize].span;
        let (batch, template) = spans.template(row as usize);
        for (key, value) in batch.keys(template).iter().zip(batch.values(span.row as usize)) {
            maps.push(batch, *key, *value);
        }
        maps.end();
    }
    Arc::new(maps.finish())
}

pub(super) fn of_resources(spans: &SpanRows, rows: &[u32]) -> ArrayRef {
    let mut maps = Maps::new();
    for &row in rows {
        let (batch, template) = spans.template(row as usize);
        maps.push_all(batch, batch.resource(batch.resource_of(template)));
        maps.end();
    }
    Arc::new(maps.finish())
}

pub(super) fn events(spans: &SpanRows, rows: &[u32]) -> ArrayRef {
    let mut time = TimestampMicrosecondBuilder::new();
    let mut time_nanos = Int32Builder::new();
    let mut name = StringBuilder::new();
    let mut maps = Maps::new();
    let mut ends = Vec::with_capacity(rows.len());
    for &row in rows {
        let span = spans.rows[row as usize].span;
        let batch = spans.batch(span);
        for event in batch.events(span.row as usize) {
            time.append_value(event.time.micros());
            time_nanos.append_value(event.time.remainder());
            name.append_value(batch.texts().text(event.name));
            maps.push_all(batch, batch.event_attributes(event));
            maps.end();
        }
        ends.push(name.len());
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(time.finish().with_timezone("UTC")),
        Arc::new(time_nanos.finish()),
        Arc::new(name.finish()),
        Arc::new(maps.finish()),
    ];
    list(spans::event_fields(), columns, ends)
}

pub(super) fn links(spans: &SpanRows, rows: &[u32]) -> ArrayRef {
    let mut trace_id = BinaryBuilder::new();
    let mut span_id = BinaryBuilder::new();
    let mut trace_state = StringBuilder::new();
    let mut flags = Int64Builder::new();
    let mut maps = Maps::new();
    let mut ends = Vec::with_capacity(rows.len());
    for &row in rows {
        let span = spans.rows[row as usize].span;
        let batch = spans.batch(span);
        for link in batch.links(span.row as usize) {
            trace_id.append_value(link.trace_id.as_bytes());
            span_id.append_value(link.span_id.as_bytes());
            let is_set = !link.trace_state.is_none();
            trace_state.append_option(is_set.then(|| batch.texts().text(link.trace_state)));
            flags.append_value(i64::from(link.flags));
            maps.push_all(batch, batch.link_attributes(link));
            maps.end();
        }
        ends.push(flags.len());
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(trace_id.finish()),
        Arc::new(span_id.finish()),
        Arc::new(trace_state.finish()),
        Arc::new(flags.finish()),
        Arc::new(maps.finish()),
    ];
    list(spans::link_fields(), columns, ends)
}

fn list(item: Fields, columns: Vec<ArrayRef>, ends: Vec<usize>) -> ArrayRef {
    let items = StructArray::new(item.clone(), columns, None);
    let lengths = ends.iter().scan(0, |before, &end| Some(end - std::mem::replace(before, end)));
    Arc::new(ListArray::new(spans::list_item(item), OffsetBuffer::from_lengths(lengths), Arc::new(items), None))
}
