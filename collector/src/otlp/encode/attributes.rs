//! Attributes of rows: five maps, one for each type of values, as one list.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, MapArray, StringArray};
use arrow::datatypes::{Float64Type, Int64Type};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use storage::schema::attributes as schema;

use super::columns::{column, offsets};
use super::value;
use crate::{Error, Result};

pub struct Attributes {
    text: Map<StringArray>,
    int: Map<Int64Array>,
    float: Map<Float64Array>,
    bool: Map<BooleanArray>,
    json: Map<StringArray>,
}

struct Map<V> {
    maps: MapArray,
    keys: StringArray,
    values: V,
}

impl<V: Array> Map<V> {
    fn new(of: &ArrayRef, name: &str, typed: impl Fn(&dyn Array) -> Option<V>) -> Result<Self> {
        let wrong = || Error::Internal(format!("attributes have no map of {name}"));
        let maps = column(of.as_struct_opt().ok_or_else(wrong)?, name)?.as_map_opt().ok_or_else(wrong)?;
        let keys = maps.keys().as_string_opt::<i32>().ok_or_else(wrong)?;
        let values = typed(maps.values().as_ref()).ok_or_else(wrong)?;
        Ok(Self { keys: keys.clone(), values, maps: maps.clone() })
    }

    fn add(&self, row: usize, to: &mut Vec<KeyValue>, value: impl Fn(&V, usize) -> Option<Value>) {
        for at in offsets(self.maps.value_offsets(), row) {
            let value = if self.values.is_valid(at) { value(&self.values, at) } else { None };
            to.push(key_value(self.keys.value(at), value));
        }
    }
}

pub fn key_value(key: &str, value: Option<Value>) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value }), ..KeyValue::default() }
}

impl Attributes {
    pub fn new(of: &ArrayRef) -> Result<Self> {
        let text = |values: &dyn Array| values.as_string_opt::<i32>().cloned();
        Ok(Self {
            text: Map::new(of, schema::TEXT, text)?,
            int: Map::new(of, schema::INT, |values| values.as_primitive_opt::<Int64Type>().cloned())?,
            float: Map::new(of, schema::FLOAT, |values| values.as_primitive_opt::<Float64Type>().cloned())?,
            bool: Map::new(of, schema::BOOL, |values| values.as_boolean_opt().cloned())?,
            json: Map::new(of, schema::JSON, text)?,
        })
    }

    /// Those of a row by key, so that equal ones look equal.
    pub fn of(&self, row: usize) -> Vec<KeyValue> {
        let mut all = Vec::new();
        self.text.add(row, &mut all, |values, at| Some(Value::StringValue(values.value(at).to_owned())));
        self.int.add(row, &mut all, |values, at| Some(Value::IntValue(values.value(at))));
        self.float.add(row, &mut all, |values, at| Some(Value::DoubleValue(values.value(at))));
        self.bool.add(row, &mut all, |values, at| Some(Value::BoolValue(values.value(at))));
        self.json.add(row, &mut all, |values, at| value::of_json(values.value(at)));
        all.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        all
    }
}
