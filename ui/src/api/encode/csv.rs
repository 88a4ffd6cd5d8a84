//! CSV with a header row. What has parts is written as JSON into its cell; NULL is an empty cell.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use bytes::Bytes;

use super::json;
use crate::api::error::ApiError;
use crate::api::sql::Encode;

pub(crate) struct Encoder {
    header: Option<String>,
}

impl Encoder {
    pub(crate) fn new(schema: &Schema) -> Result<Self, ApiError> {
        let mut header = String::new();
        for (index, field) in schema.fields().iter().enumerate() {
            if index > 0 {
                header.push(',');
            }
            push_cell(field.name(), &mut header);
        }
        header.push_str("\r\n");
        Ok(Self { header: Some(header) })
    }
}

impl Encode for Encoder {
    fn batch(&mut self, batch: &RecordBatch) -> Result<Bytes, ApiError> {
        let mut text = self.header.take().unwrap_or_default();
        let cells = json::Cells::new(batch)?;
        let mut cell = String::new();
        for row in 0..batch.num_rows() {
            for column in 0..batch.num_columns() {
                if column > 0 {
                    text.push(',');
                }
                cell.clear();
                cells.push_text(column, row, &mut cell)?;
                push_cell(&cell, &mut text);
            }
            text.push_str("\r\n");
        }
        Ok(text.into())
    }

    fn end(&mut self) -> Result<Bytes, ApiError> {
        Ok(self.header.take().unwrap_or_default().into())
    }
}

fn push_cell(cell: &str, text: &mut String) {
    if cell.contains([',', '"', '\n', '\r']) {
        text.push('"');
        text.push_str(&cell.replace('"', "\"\""));
        text.push('"');
    } else {
        text.push_str(cell);
    }
}
