//! The type of every attributes column: a struct of one map a value type.
//!
//! A key of a row is in exactly one of the maps: `text`, `int`, `float`, `bool` as the client typed it; `json` has
//! arrays and key-value lists as JSON text, bytes as `{"bytes":"<base64>"}`, and NULL for a value left unset.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields};

// The names that Delta's own Arrow schemas give to the parts of a map.
pub const ENTRY: &str = "key_value";
pub const KEY: &str = "key";
pub const VALUE: &str = "value";

pub const TEXT: &str = "text";
pub const INT: &str = "int";
pub const FLOAT: &str = "float";
pub const BOOL: &str = "bool";
pub const JSON: &str = "json";

fn map(name: &str, value: DataType) -> Field {
    let entry =
        DataType::Struct(Fields::from(vec![Field::new(KEY, DataType::Utf8, false), Field::new(VALUE, value, true)]));
    Field::new(name, DataType::Map(Arc::new(Field::new(ENTRY, entry, false)), false), false)
}

pub fn fields() -> Fields {
    Fields::from(vec![
        map(TEXT, DataType::Utf8),
        map(INT, DataType::Int64),
        map(FLOAT, DataType::Float64),
        map(BOOL, DataType::Boolean),
        map(JSON, DataType::Utf8),
    ])
}

pub fn data_type() -> DataType {
    DataType::Struct(fields())
}
