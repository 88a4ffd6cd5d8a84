//! Attributes as columns: one map a type, so that a value keeps the type that its client gave it.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, MapBuilder, MapFieldNames, StringBuilder, StructArray,
};

use crate::schema::attributes as schema;

/// Builds an attributes column. The caller puts each key into a row at most once, and ends each row.
#[derive(Debug)]
pub struct AttributesBuilder {
    text: MapBuilder<StringBuilder, StringBuilder>,
    int: MapBuilder<StringBuilder, Int64Builder>,
    float: MapBuilder<StringBuilder, Float64Builder>,
    bool: MapBuilder<StringBuilder, BooleanBuilder>,
    json: MapBuilder<StringBuilder, StringBuilder>,
}

fn map<V: arrow::array::ArrayBuilder>(values: V) -> MapBuilder<StringBuilder, V> {
    let names =
        MapFieldNames { entry: schema::ENTRY.to_owned(), key: schema::KEY.to_owned(), value: schema::VALUE.to_owned() };
    MapBuilder::new(Some(names), StringBuilder::new(), values)
}

impl Default for AttributesBuilder {
    fn default() -> Self {
        Self {
            text: map(StringBuilder::new()),
            int: map(Int64Builder::new()),
            float: map(Float64Builder::new()),
            bool: map(BooleanBuilder::new()),
            json: map(StringBuilder::new()),
        }
    }
}

impl AttributesBuilder {
    pub fn push_text(&mut self, key: &str, value: &str) {
        self.text.keys().append_value(key);
        self.text.values().append_value(value);
    }

    pub fn push_int(&mut self, key: &str, value: i64) {
        self.int.keys().append_value(key);
        self.int.values().append_value(value);
    }

    pub fn push_float(&mut self, key: &str, value: f64) {
        self.float.keys().append_value(key);
        self.float.values().append_value(value);
    }

    pub fn push_bool(&mut self, key: &str, value: bool) {
        self.bool.keys().append_value(key);
        self.bool.values().append_value(value);
    }

    /// Arrays, key-value lists and bytes, as JSON text.
    pub fn push_json(&mut self, key: &str, value: &str) {
        self.json.keys().append_value(key);
        self.json.values().append_value(value);
    }

    /// A key whose value the client left unset.
    pub fn push_null(&mut self, key: &str) {
        self.json.keys().append_value(key);
        self.json.values().append_null();
    }

    /// Ends the row.
    pub fn end(&mut self) {
        // `append` fails only when keys and values differ in number, which the pushes above rule out.
        let ended = [
            self.text.append(true),
            self.int.append(true),
            self.float.append(true),
            self.bool.append(true),
            self.json.append(true),
        ];
        debug_assert!(ended.iter().all(Result::is_ok));
    }

    /// The column so far; the builder is empty afterwards.
    pub fn finish(&mut self) -> StructArray {
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
