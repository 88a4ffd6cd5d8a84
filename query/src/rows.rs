//! Typed columns of an answer to one of the engine's own questions.

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewArray, BooleanArray, Float64Array, Int32Array, Int64Array, ListArray,
    RecordBatch, StringViewArray, TimestampMicrosecondArray,
};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type, SchemaRef, TimestampMicrosecondType};
use storage::model::UnixNanos;

use crate::error::{Error, Result};

/// All rows of an answer as one batch.
#[derive(Debug, Clone)]
pub(crate) struct Rows(RecordBatch);

impl Rows {
    pub(crate) fn new(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Self> {
        Ok(Self(concat_batches(schema, batches)?))
    }

    pub(crate) fn count(&self) -> usize {
        self.0.num_rows()
    }

    /// One row of them.
    pub(crate) fn only(&self, row: usize) -> Self {
        Self(self.0.slice(row, 1))
    }

    pub(crate) fn presented(&self) -> Result<RecordBatch> {
        crate::present::batch(&self.0)
    }

    #[cfg(test)]
    pub(crate) fn batch(&self) -> &RecordBatch {
        &self.0
    }

    pub(crate) fn column(&self, name: &str) -> Result<&ArrayRef> {
        self.0.column_by_name(name).ok_or_else(|| Error::Internal(format!("the answer has no column {name}")))
    }

    pub(crate) fn text(&self, name: &str) -> Result<StringViewArray> {
        Ok(cast(self.column(name)?, &DataType::Utf8View)?.as_string_view().clone())
    }

    pub(crate) fn id(&self, name: &str) -> Result<BinaryViewArray> {
        Ok(cast(self.column(name)?, &DataType::BinaryView)?.as_binary_view().clone())
    }

    pub(crate) fn int(&self, name: &str) -> Result<Int64Array> {
        Ok(cast(self.column(name)?, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
    }

    /// Lengths of lists, of which an empty one has none.
    pub(crate) fn lengths(&self, name: &str) -> Result<Vec<i64>> {
        Ok(self.int(name)?.iter().map(Option::unwrap_or_default).collect())
    }

    pub(crate) fn float(&self, name: &str) -> Result<Float64Array> {
        Ok(cast(self.column(name)?, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
    }

    pub(crate) fn bool(&self, name: &str) -> Result<BooleanArray> {
        Ok(cast(self.column(name)?, &DataType::Boolean)?.as_boolean().clone())
    }

    pub(crate) fn list(&self, name: &str) -> Result<&ListArray> {
        let column = self.column(name)?;
        column.as_list_opt().ok_or_else(|| Error::Internal(format!("column {name} is no list")))
    }

    /// `start_time` and `start_nanos` as one.
    pub(crate) fn starts(&self) -> Result<Vec<UnixNanos>> {
        times(self.column("start_time")?, self.column("start_nanos")?)
    }
}

/// Microseconds and their remainder as nanoseconds.
pub(crate) fn times(micros: &ArrayRef, nanos: &ArrayRef) -> Result<Vec<UnixNanos>> {
    let wrong = || Error::Internal("a column of times has another type".to_owned());
    let micros: &TimestampMicrosecondArray = micros.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(wrong)?;
    let nanos: &Int32Array = nanos.as_primitive_opt::<Int32Type>().ok_or_else(wrong)?;
    Ok(micros
        .values()
        .iter()
        .zip(nanos.values())
        .map(|(micros, nanos)| UnixNanos::from_micros_and_remainder(*micros, *nanos))
        .collect())
}

/// The text in a row, `None` for NULL.
pub(crate) fn text_at(array: &StringViewArray, row: usize) -> Option<String> {
    array.is_valid(row).then(|| array.value(row).to_owned())
}

/// The id in a row as hex, `None` for NULL.
pub(crate) fn hex_at(array: &BinaryViewArray, row: usize) -> Option<String> {
    array.is_valid(row).then(|| hex(array.value(row)))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    crate::semantics::id_functions::push_hex(bytes, &mut text);
    text
}
