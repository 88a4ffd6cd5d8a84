//! Batches as people and other programs read them: ids as hex, each attributes column as one JSON object, text as plain
//! `Utf8`.
//!
//! A column of JSON says so in its field's metadata ([`JSON_KEY`]), so that an encoder to JSON can take it as it is.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, RecordBatch, RecordBatchOptions, StructArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};

use crate::error::Result;
use crate::semantics::attributes::is_attributes;
use crate::semantics::attributes::json::objects;
use crate::semantics::id_functions::hex;

/// Key and value of the metadata of a text field that holds JSON.
pub const JSON_KEY: &str = "spanhouse.format";
pub const JSON_VALUE: &str = "json";

/// Whether the field's text is JSON.
pub fn is_json(field: &Field) -> bool {
    field.metadata().get(JSON_KEY).is_some_and(|value| value == JSON_VALUE)
}

/// The schema that [`batch`] gives.
pub fn schema(schema: &Schema) -> SchemaRef {
    let names = names(schema);
    let fields =
        schema.fields().iter().zip(names).map(|(field, name)| presented(&field.as_ref().clone().with_name(name)));
    Arc::new(Schema::new(fields.collect::<Fields>()))
}

/// The batch in the form that leaves the query service.
pub fn batch(batch: &RecordBatch) -> Result<RecordBatch> {
    let columns = batch.columns().iter().map(column).collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema(batch.schema_ref()), columns, &options)?)
}

/// Column names without the table's, where that leaves them apart: `attributes['k']` for `spans.attributes['k']`.
fn names(schema: &Schema) -> Vec<String> {
    let short = |name: &str| {
        let access = ["spans.", "traces."].into_iter().find_map(|table| name.strip_prefix(table));
        access.filter(|rest| rest.ends_with("']")).unwrap_or(name).to_owned()
    };
    let mut counts: HashMap<String, usize> = HashMap::new();
    for field in schema.fields() {
        *counts.entry(short(field.name())).or_default() += 1;
    }
    let name = |field: &FieldRef| {
        let short = short(field.name());
        if counts.get(&short) == Some(&1) { short } else { field.name().clone() }
    };
    schema.fields().iter().map(name).collect()
}

fn presented(field: &Field) -> FieldRef {
    let field = match field.data_type() {
        data_type if is_attributes(data_type) => field
            .clone()
            .with_data_type(DataType::Utf8)
            .with_metadata(HashMap::from([(JSON_KEY.to_owned(), JSON_VALUE.to_owned())])),
        DataType::Utf8View | DataType::LargeUtf8 => field.clone().with_data_type(DataType::Utf8),
        data_type if is_binary(data_type) => field.clone().with_data_type(DataType::Utf8),
        DataType::Struct(fields) => {
            field.clone().with_data_type(DataType::Struct(fields.iter().map(|field| presented(field)).collect()))
        }
        DataType::List(item) => field.clone().with_data_type(DataType::List(presented(item))),
        _ => field.clone(),
    };
    Arc::new(field)
}

fn is_binary(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Binary | DataType::BinaryView | DataType::LargeBinary | DataType::FixedSizeBinary(_))
}

fn column(array: &ArrayRef) -> Result<ArrayRef> {
    Ok(match array.data_type() {
        data_type if is_attributes(data_type) => Arc::new(objects(array.as_struct())?),
        DataType::Utf8View | DataType::LargeUtf8 => cast(array, &DataType::Utf8)?,
        data_type if is_binary(data_type) => cast(&hex(array)?, &DataType::Utf8)?,
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns().iter().map(column).collect::<Result<Vec<_>>>()?;
            let fields: Fields = fields.iter().map(|field| presented(field)).collect();
            Arc::new(StructArray::try_new_with_length(fields, columns, array.nulls().cloned(), array.len())?)
        }
        DataType::List(item) => {
            let list = array.as_list::<i32>();
            let values = column(list.values())?;
            Arc::new(ListArray::try_new(presented(item), list.offsets().clone(), values, list.nulls().cloned())?)
        }
        _ => Arc::clone(array),
    })
}
