//! `paths`: a row a call path: what the numbers in `spans.path_id` stand for.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Schema, SchemaRef};

use super::{Column, field, spans};

pub const PATH_ID: &str = spans::PATH_ID;
pub const PARENT_PATH_ID: &str = "parent_path_id";
pub const DEPTH: &str = spans::DEPTH;
pub const SERVICE_NAME: &str = spans::SERVICE_NAME;
pub const SPAN_NAME: &str = spans::SPAN_NAME;
pub const KIND: &str = spans::KIND;
pub const PATH: &str = "path";

static STORED: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        field(PATH_ID, DataType::Int64, false),
        field(PARENT_PATH_ID, DataType::Int64, true),
        field(DEPTH, DataType::Int32, true),
        field(SERVICE_NAME, DataType::Utf8View, false),
        field(SPAN_NAME, DataType::Utf8View, false),
        field(KIND, DataType::Utf8View, false),
        field(PATH, DataType::Utf8View, false),
    ]))
});

pub fn stored() -> SchemaRef {
    Arc::clone(&STORED)
}

pub const COLUMNS: &[Column] = &[
    Column { name: PATH_ID, description: "as spans has it; one row each, from the first decision of such a trace on" },
    Column { name: PARENT_PATH_ID, description: "the path without its last step; NULL at its beginning" },
    Column { name: DEPTH, description: "steps from the root; NULL where the path begins below a missing parent" },
    Column { name: SERVICE_NAME, description: "of the last step" },
    Column { name: SPAN_NAME, description: "of the last step" },
    Column { name: KIND, description: "of the last step" },
    Column {
        name: PATH,
        description: "service:name > service:name; begins with ? where a parent is missing, and with ... where it is cut",
    },
];
