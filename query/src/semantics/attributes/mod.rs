//! `attributes['key']` as vectorised functions over the typed maps.
//!
//! - `lookup`: finds a key in each row's maps.
//! - `value`: one value: its text, its number, and how it compares.
//! - `text`, `compare`, `cast`: the functions that plans call.
//! - `json`: a whole attributes column as JSON objects.
//! - `assemble`: the maps of segments where some keys have columns of their own.
//!
//! A key is in at most one map of a row (`storage::schema::attributes`). None of the functions fails on a value: what has
//! another type than asked for is NULL.

pub(crate) mod assemble;
pub(crate) mod cast;
pub(crate) mod compare;
pub(crate) mod json;
mod lookup;
pub(crate) mod text;
pub(crate) mod value;

use std::sync::Arc;

use arrow::array::StructArray;
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err};
use datafusion::logical_expr::ColumnarValue;
use datafusion::prelude::Expr;
use storage::schema::attributes as schema;

/// Whether columns of this type hold attributes.
pub(crate) fn is_attributes(data_type: &DataType) -> bool {
    let DataType::Struct(fields) = data_type else { return false };
    let names = [schema::TEXT, schema::INT, schema::FLOAT, schema::BOOL, schema::JSON];
    fields.len() == names.len()
        && fields
            .iter()
            .zip(names)
            .all(|(field, name)| field.name() == name && matches!(field.data_type(), DataType::Map(..)))
}

/// The attributes of a call's first argument, with as many rows as the batch.
fn attributes_argument(value: &ColumnarValue, rows: usize) -> Result<Arc<StructArray>> {
    let array = value.to_array(rows)?;
    match array.as_any().downcast_ref::<StructArray>() {
        Some(attributes) => Ok(Arc::new(attributes.clone())),
        None => exec_err!("{} is no attributes column", array.data_type()),
    }
}

/// A text literal among a call's arguments.
fn text_argument(value: &ColumnarValue) -> Result<&str> {
    match value {
        ColumnarValue::Scalar(scalar) => {
            scalar.try_as_str().flatten().ok_or_else(|| exec_datafusion_err!("key is NULL"))
        }
        ColumnarValue::Array(_) => exec_err!("an attribute's key must be literal text"),
    }
}

/// How a call of one of the functions is shown: as it was written.
pub(crate) fn access_name(attributes: &str, key: Option<&Expr>) -> String {
    let key = match key {
        Some(Expr::Literal(scalar, _)) => scalar.try_as_str().flatten().unwrap_or_default().to_owned(),
        Some(other) => other.schema_name().to_string(),
        None => String::new(),
    };
    format!("{attributes}['{}']", key.replace('\'', "''"))
}

pub(crate) fn literal_text(text: &str) -> Expr {
    Expr::Literal(ScalarValue::Utf8(Some(text.to_owned())), None)
}
