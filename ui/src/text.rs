//! Answers as text for a terminal: what `spanhouse sql` prints.
//!
//! All take batches as `query::present` gives them: ids as hex, attributes as one JSON object.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;

use crate::api::encode::{csv as csv_rows, json::Cells};
use crate::api::error::ApiError;
use crate::api::sql::Encode;

/// An answer that has no form as text; a bug rather than a mistake.
#[derive(Debug, thiserror::Error)]
#[error("cannot print the answer: {0}")]
pub struct TextError(String);

impl From<ApiError> for TextError {
    fn from(error: ApiError) -> Self {
        Self(error.message().to_owned())
    }
}

/// A header and a line a row, as `POST /api/sql` has it.
pub fn csv(schema: &Schema, batches: &[RecordBatch]) -> Result<String, TextError> {
    let mut encoder = csv_rows::Encoder::new(schema)?;
    let mut text = Vec::new();
    for batch in batches {
        text.extend_from_slice(&encoder.batch(batch)?);
    }
    text.extend_from_slice(&encoder.end()?);
    String::from_utf8(text).map_err(|error| TextError(error.to_string()))
}

/// A JSON list with an object a row, each on a line of its own.
pub fn json(schema: &Schema, batches: &[RecordBatch]) -> Result<String, TextError> {
    let names: Vec<String> =
        schema.fields().iter().map(|field| serde_json::Value::from(field.name().as_str()).to_string()).collect();
    let mut text = String::from("[");
    for batch in batches {
        let cells = Cells::new(batch)?;
        for row in 0..batch.num_rows() {
            text.push_str(if text.len() == 1 { "\n{" } else { ",\n{" });
            for (column, name) in names.iter().enumerate() {
                if column > 0 {
                    text.push(',');
                }
                text.push_str(name);
                text.push(':');
                cells.push(column, row, &mut text)?;
            }
            text.push('}');
        }
    }
    text.push_str(if text.len() == 1 { "]\n" } else { "\n]\n" });
    Ok(text)
}

/// Aligned columns, numbers to the right.
pub fn table(schema: &Schema, batches: &[RecordBatch]) -> Result<String, TextError> {
    let mut rows: Vec<Vec<String>> = vec![schema.fields().iter().map(|field| field.name().clone()).collect()];
    for batch in batches {
        let cells = Cells::new(batch)?;
        for row in 0..batch.num_rows() {
            let mut texts = Vec::with_capacity(batch.num_columns());
            for column in 0..batch.num_columns() {
                let mut text = String::new();
                cells.push_text(column, row, &mut text)?;
                // A control character would steer the terminal; escaped, it is seen instead.
                texts.push(if text.contains(char::is_control) { text.escape_debug().to_string() } else { text });
            }
            rows.push(texts);
        }
    }
    let count = schema.fields().len();
    let widths: Vec<usize> =
        (0..count).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    rows.insert(1, widths.iter().map(|width| "-".repeat(*width)).collect());
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = widths[column];
            if column > 0 {
                line.push_str("  ");
            }
            if schema.field(column).data_type().is_numeric() {
                line.push_str(&format!("{cell:>width$}"));
            } else {
                line.push_str(&format!("{cell:<width$}"));
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};

    use super::*;

    fn batch() -> RecordBatch {
        let names: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), Some("\u{1b}[31mred"), None]));
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 200, 3]));
        RecordBatch::try_from_iter([("name", names), ("n", numbers)]).unwrap()
    }

    #[test]
    fn a_table_is_aligned_and_shows_control_characters_instead_of_obeying_them() {
        let batch = batch();
        let expected = [
            "name             n",
            "-------------  ---",
            "a                1",
            "\\u{1b}[31mred  200",
            "                 3",
        ];
        let printed = table(batch.schema_ref(), std::slice::from_ref(&batch)).unwrap();
        assert_eq!(printed.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn json_is_a_list_of_objects_also_when_empty() {
        let batch = batch();
        let printed = json(batch.schema_ref(), std::slice::from_ref(&batch)).unwrap();
        let read: serde_json::Value = serde_json::from_str(&printed).unwrap();
        assert_eq!(read[1], serde_json::json!({"name": "\u{1b}[31mred", "n": 200}));
        assert_eq!(read[2]["name"], serde_json::Value::Null);
        assert_eq!(json(batch.schema_ref(), &[]).unwrap(), "[]\n");
    }
}
