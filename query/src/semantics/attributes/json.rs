//! A whole attributes column as JSON objects, keys sorted: how people and API clients see attributes.

use std::sync::Arc;

use arrow::array::{Array, StringArray, StringBuilder, StructArray};
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use serde::de::IgnoredAny;

use super::lookup::{Entries, Maps};
use super::value::Number;

/// The largest integer that every JSON reader takes exactly.
const MAX_JSON_INT: u64 = 1 << 53;

enum Value<'a> {
    Text(&'a str),
    Json(Option<&'a str>),
    Number(Number),
    Bool(bool),
}

/// One JSON object a row; NULL where the attributes are.
pub(crate) fn objects(attributes: &StructArray) -> Result<StringArray> {
    let maps = Maps::try_new(attributes)?;
    let mut output = StringBuilder::new();
    let mut entries: Vec<(&str, Value<'_>)> = Vec::new();
    let mut object = String::new();
    for row in 0..maps.rows {
        if !maps.has(row) {
            output.append_null();
            continue;
        }
        entries.clear();
        texts(&maps.text, row, |key, text| entries.push((key, text.map_or(Value::Json(None), Value::Text))));
        texts(&maps.json, row, |key, json| entries.push((key, Value::Json(json))));
        maps.int
            .of_row(row, |key, index| entries.push((key, Value::Number(Number::Int(maps.int.values.value(index))))));
        maps.float.of_row(row, |key, index| {
            entries.push((key, Value::Number(Number::Float(maps.float.values.value(index)))))
        });
        maps.bool.of_row(row, |key, index| entries.push((key, Value::Bool(maps.bool.values.value(index)))));
        entries.sort_by_key(|(key, _)| *key);
        object.clear();
        object.push('{');
        for (index, (key, value)) in entries.iter().enumerate() {
            if index > 0 {
                object.push(',');
            }
            push_text(key, &mut object);
            object.push(':');
            push_value(value, &mut object);
        }
        object.push('}');
        output.append_value(&object);
    }
    Ok(output.finish())
}

fn texts<'a>(entries: &Entries<'a, StringArray>, row: usize, mut visit: impl FnMut(&'a str, Option<&'a str>)) {
    entries.of_row(row, |key, index| visit(key, entries.values.is_valid(index).then(|| entries.values.value(index))));
}

fn push_value(value: &Value<'_>, object: &mut String) {
    match value {
        Value::Text(text) => push_text(text, object),
        Value::Bool(bool) => object.push_str(if *bool { "true" } else { "false" }),
        Value::Json(None) => object.push_str("null"),
        // What is no JSON after all must not spoil the object around it.
        Value::Json(Some(json)) if serde_json::from_str::<IgnoredAny>(json).is_ok() => object.push_str(json),
        Value::Json(Some(text)) => push_text(text, object),
        Value::Number(number) => {
            let as_text = match number {
                Number::Int(int) => int.unsigned_abs() > MAX_JSON_INT,
                Number::Float(float) => !float.is_finite(),
            };
            if as_text {
                object.push('"');
            }
            number.write(object);
            if as_text {
                object.push('"');
            }
        }
    }
}

fn push_text(text: &str, object: &mut String) {
    // Text always is valid JSON text once it is quoted.
    object.push_str(&serde_json::to_string(text).unwrap_or_default());
}

/// `CAST(attributes AS text)`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct AttributesJson(Signature);

impl Default for AttributesJson {
    fn default() -> Self {
        Self(Signature::any(1, Volatility::Immutable))
    }
}

impl ScalarUDFImpl for AttributesJson {
    fn name(&self) -> &str {
        "attributes_json"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let attributes = super::attributes_argument(&args.args[0], args.number_rows)?;
        Ok(ColumnarValue::Array(Arc::new(objects(&attributes)?)))
    }
}
