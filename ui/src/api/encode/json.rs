//! Cells as JSON: integers beyond 2^53, NaN and infinities as text, times in RFC 3339, JSON columns as they are.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Field, FieldRef, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    Schema, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use query::present::is_json;
use serde_json::json;

use crate::api::error::ApiError;

const MAX_EXACT: u64 = 1 << 53;
const TIME: &str = "%Y-%m-%dT%H:%M:%S%.6fZ";
const LOCAL_TIME: &str = "%Y-%m-%dT%H:%M:%S%.6f";

/// `[{"name", "type"}]` of an answer's own schema, before it is made presentable.
pub(crate) fn columns(schema: &Schema) -> String {
    let presented = query::present::schema(schema);
    let columns = schema.fields().iter().zip(presented.fields()).map(
        |(field, presented)| json!({"name": presented.name(), "type": query::schema::type_name(field.data_type())}),
    );
    serde_json::Value::from_iter(columns).to_string()
}

/// Appends the batch's rows to an array of rows.
pub(crate) fn push_rows(batch: &RecordBatch, first: &mut bool, body: &mut String) -> Result<(), ApiError> {
    let cells = Cells::new(batch)?;
    for row in 0..batch.num_rows() {
        if !std::mem::take(first) {
            body.push(',');
        }
        body.push('[');
        for column in 0..batch.num_columns() {
            if column > 0 {
                body.push(',');
            }
            cells.push(column, row, body)?;
        }
        body.push(']');
    }
    Ok(())
}

/// A batch whose cells are asked for one by one.
pub(crate) struct Cells {
    columns: Vec<(FieldRef, ArrayRef)>,
}

impl Cells {
    pub(crate) fn new(batch: &RecordBatch) -> Result<Self, ApiError> {
        let schema = batch.schema();
        let columns = schema.fields().iter().cloned().zip(batch.columns().iter().map(plain));
        Ok(Self { columns: columns.map(|(field, array)| Ok((field, array?))).collect::<Result<_, ApiError>>()? })
    }

    pub(crate) fn push(&self, column: usize, row: usize, body: &mut String) -> Result<(), ApiError> {
        let (field, array) = &self.columns[column];
        push(field, array, row, body)
    }

    /// The cell as text by itself: NULL is empty, text has no quotes.
    pub(crate) fn push_text(&self, column: usize, row: usize, text: &mut String) -> Result<(), ApiError> {
        let (field, array) = &self.columns[column];
        if array.is_null(row) || array.data_type().is_null() {
            return Ok(());
        }
        if let Some(strings) = array.as_string_opt::<i32>() {
            text.push_str(strings.value(row));
            return Ok(());
        }
        let from = text.len();
        push(field, array, row, text)?;
        // Times and the like are text in JSON.
        if text[from..].starts_with('"') && text.ends_with('"') && text.len() - from >= 2 {
            text.pop();
            text.remove(from);
        }
        Ok(())
    }
}

/// Dictionaries and views as the arrays that they stand for.
fn plain(array: &ArrayRef) -> Result<ArrayRef, ApiError> {
    Ok(match array.data_type() {
        DataType::Dictionary(_, values) => plain(&cast(array, values)?)?,
        DataType::Utf8View | DataType::LargeUtf8 => cast(array, &DataType::Utf8)?,
        _ => ArrayRef::clone(array),
    })
}

fn push(field: &Field, array: &ArrayRef, row: usize, body: &mut String) -> Result<(), ApiError> {
    if array.is_null(row) {
        body.push_str("null");
        return Ok(());
    }
    let mut int = |value: i128| {
        if value.unsigned_abs() > u128::from(MAX_EXACT) {
            body.push_str(&format!("\"{value}\""));
        } else {
            body.push_str(&value.to_string());
        }
    };
    match array.data_type() {
        DataType::Null => body.push_str("null"),
        DataType::Boolean => body.push_str(if array.as_boolean().value(row) { "true" } else { "false" }),
        DataType::Int8 => int(array.as_primitive::<Int8Type>().value(row).into()),
        DataType::Int16 => int(array.as_primitive::<Int16Type>().value(row).into()),
        DataType::Int32 => int(array.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => int(array.as_primitive::<Int64Type>().value(row).into()),
        DataType::UInt8 => int(array.as_primitive::<UInt8Type>().value(row).into()),
        DataType::UInt16 => int(array.as_primitive::<UInt16Type>().value(row).into()),
        DataType::UInt32 => int(array.as_primitive::<UInt32Type>().value(row).into()),
        DataType::UInt64 => int(array.as_primitive::<UInt64Type>().value(row).into()),
        DataType::Float16 => push_float(array.as_primitive::<Float16Type>().value(row).into(), body),
        DataType::Float32 => push_float(array.as_primitive::<Float32Type>().value(row).into(), body),
        DataType::Float64 => push_float(array.as_primitive::<Float64Type>().value(row), body),
        DataType::Utf8 => {
            let text = array.as_string::<i32>().value(row);
            if is_json(field) { body.push_str(text) } else { push_text(text, body) }
        }
        DataType::List(item) => push_list(item, &array.as_list::<i32>().value(row), body)?,
        DataType::LargeList(item) => push_list(item, &array.as_list::<i64>().value(row), body)?,
        DataType::FixedSizeList(item, _) => push_list(item, &array.as_fixed_size_list().value(row), body)?,
        DataType::Struct(fields) => {
            let columns = array.as_struct();
            body.push('{');
            for (index, (field, column)) in fields.iter().zip(columns.columns()).enumerate() {
                if index > 0 {
                    body.push(',');
                }
                push_text(field.name(), body);
                body.push(':');
                push(field, &plain(column)?, row, body)?;
            }
            body.push('}');
        }
        DataType::Map(entries, _) => push_map(entries, &array.as_map().value(row), body)?,
        _ => push_text(&formatted(array, row)?, body),
    }
    Ok(())
}

fn push_list(item: &Field, items: &ArrayRef, body: &mut String) -> Result<(), ApiError> {
    let items = plain(items)?;
    body.push('[');
    for index in 0..items.len() {
        if index > 0 {
            body.push(',');
        }
        push(item, &items, index, body)?;
    }
    body.push(']');
    Ok(())
}

/// Keys of JSON objects are text, whatever they were.
fn push_map(entries: &Field, map: &arrow::array::StructArray, body: &mut String) -> Result<(), ApiError> {
    let DataType::Struct(fields) = entries.data_type() else { return Err(ApiError::internal("a map has no entries")) };
    let (keys, values) = (plain(map.column(0))?, plain(map.column(1))?);
    body.push('{');
    for index in 0..map.len() {
        if index > 0 {
            body.push(',');
        }
        push_text(&formatted(&keys, index)?, body);
        body.push(':');
        push(&fields[1], &values, index, body)?;
    }
    body.push('}');
    Ok(())
}

fn push_float(value: f64, body: &mut String) {
    if value.is_nan() {
        body.push_str("\"NaN\"");
    } else if value.is_infinite() {
        body.push_str(if value > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" });
    } else {
        body.push_str(&format!("{value:?}"));
    }
}

pub(crate) fn push_text(text: &str, body: &mut String) {
    body.push_str(&serde_json::to_string(text).unwrap_or_default());
}

fn formatted(array: &ArrayRef, row: usize) -> Result<String, ApiError> {
    let options = FormatOptions::default().with_timestamp_format(Some(LOCAL_TIME)).with_timestamp_tz_format(Some(TIME));
    Ok(ArrayFormatter::try_new(array, &options)?.value(row).to_string())
}
