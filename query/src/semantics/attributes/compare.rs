//! `attribute_compare(attributes, key, comparison, value)`: compares the values under a key that have the type of
//! `value`, without rendering the others. With text, the value's text counts, whatever its type.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StructArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::{DataType, Float64Type, Int64Type, UInt64Type};
use arrow::util::bit_util;
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use super::lookup::Maps;
use super::value::{Comparison, Number};
use super::{attributes_argument, text_argument};

pub(crate) const COMPARE: &str = "attribute_compare";

#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Compare(Signature);

impl Default for Compare {
    fn default() -> Self {
        Self(Signature::any(4, Volatility::Immutable))
    }
}

impl ScalarUDFImpl for Compare {
    fn name(&self) -> &str {
        COMPARE
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let key = text_argument(&args.args[1])?;
        let symbol = text_argument(&args.args[2])?;
        let comparison = Comparison::parse(symbol).ok_or_else(|| exec_datafusion_err!("{symbol} is no comparison"))?;
        let value = Value::new(&args.args[3])?;
        // Most batches of text that a plan compares come from a subquery's column; the maps are there otherwise.
        let first = args.args[0].to_array(args.number_rows)?;
        let result = if first.data_type().is_string() {
            compare_text_column(&first, comparison, &value)?
        } else {
            compare(&*attributes_argument(&args.args[0], args.number_rows)?, key, comparison, &value)?
        };
        Ok(ColumnarValue::Array(Arc::new(result)))
    }
}

/// What the attribute is compared with: one value for all rows, or one for each.
enum Value {
    Null,
    Text(String),
    Number(Number),
    Bool(bool),
    Texts(ArrayRef),
    Numbers(ArrayRef),
    Bools(ArrayRef),
}

impl Value {
    fn new(value: &ColumnarValue) -> Result<Self> {
        Ok(match value {
            ColumnarValue::Scalar(scalar) if scalar.is_null() => Self::Null,
            ColumnarValue::Scalar(ScalarValue::Int64(Some(int))) => Self::Number(Number::Int(*int)),
            ColumnarValue::Scalar(ScalarValue::UInt64(Some(int))) => Self::Number(Number::from_unsigned(*int)),
            ColumnarValue::Scalar(ScalarValue::Float64(Some(float))) => Self::Number(Number::Float(*float)),
            ColumnarValue::Scalar(ScalarValue::Boolean(Some(bool))) => Self::Bool(*bool),
            ColumnarValue::Scalar(scalar) => match scalar.try_as_str().flatten() {
                Some(text) => Self::Text(text.to_owned()),
                None => return exec_err!("an attribute cannot be compared with {}", scalar.data_type()),
            },
            ColumnarValue::Array(array) => match array.data_type() {
                DataType::Utf8View => Self::Texts(Arc::clone(array)),
                DataType::Int64 | DataType::UInt64 | DataType::Float64 => Self::Numbers(Arc::clone(array)),
                DataType::Boolean => Self::Bools(Arc::clone(array)),
                other => return exec_err!("an attribute cannot be compared with {other}"),
            },
        })
    }

    fn number(&self, row: usize) -> Option<Number> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Numbers(array) if array.is_valid(row) => match array.data_type() {
                DataType::Int64 => Some(Number::Int(array.as_primitive::<Int64Type>().value(row))),
                DataType::UInt64 => Some(Number::from_unsigned(array.as_primitive::<UInt64Type>().value(row))),
                _ => Some(Number::Float(array.as_primitive::<Float64Type>().value(row))),
            },
            _ => None,
        }
    }

    fn bool(&self, row: usize) -> Option<bool> {
        match self {
            Self::Bool(bool) => Some(*bool),
            Self::Bools(array) if array.is_valid(row) => Some(array.as_boolean().value(row)),
            _ => None,
        }
    }

    fn text(&self, row: usize) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Texts(array) if array.is_valid(row) => Some(array.as_string_view().value(row)),
            _ => None,
        }
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Null => true,
            Self::Texts(array) | Self::Numbers(array) | Self::Bools(array) => array.is_null(row),
            Self::Text(_) | Self::Number(_) | Self::Bool(_) => false,
        }
    }
}

/// One boolean a row, NULL until it is set.
struct Answers {
    comparison: Comparison,
    valid: Vec<u8>,
    holds: Vec<u8>,
    rows: usize,
}

impl Answers {
    fn new(comparison: Comparison, value: &Value, rows: usize) -> Self {
        let bytes = bit_util::ceil(rows, 8);
        let mut answers = Self { comparison, valid: vec![0; bytes], holds: vec![0; bytes], rows };
        // What is said of a row that turns out to have no value of the type.
        if comparison.of_nulls(false).is_some() {
            for row in 0..rows {
                answers.set(row, comparison.of_nulls(value.is_null(row)));
            }
        }
        answers
    }

    fn set(&mut self, row: usize, holds: Option<bool>) {
        if let Some(holds) = holds {
            bit_util::set_bit(&mut self.valid, row);
            if holds { bit_util::set_bit(&mut self.holds, row) } else { bit_util::unset_bit(&mut self.holds, row) }
        }
    }

    fn set_ordering(&mut self, row: usize, ordering: Option<std::cmp::Ordering>) {
        let holds = match ordering {
            Some(ordering) => Some(self.comparison.holds(ordering)),
            None => self.comparison.of_nulls(false),
        };
        self.set(row, holds);
    }

    fn finish(self) -> BooleanArray {
        let buffer = |bits: Vec<u8>| BooleanBuffer::new(bits.into(), 0, self.rows);
        BooleanArray::new(buffer(self.holds), Some(NullBuffer::new(buffer(self.valid))))
    }
}

fn compare(attributes: &StructArray, key: &str, comparison: Comparison, value: &Value) -> Result<BooleanArray> {
    let maps = Maps::try_new(attributes)?;
    let mut answers = Answers::new(comparison, value, maps.rows);
    match value {
        Value::Null => {}
        Value::Number(_) | Value::Numbers(_) => maps.each_number(key, |row, number| {
            answers.set_ordering(row, value.number(row).map(|other| number.compare(other)));
        }),
        Value::Bool(_) | Value::Bools(_) => maps.each_bool(key, |row, bool| {
            answers.set_ordering(row, value.bool(row).map(|other| bool.cmp(&other)));
        }),
        Value::Text(_) | Value::Texts(_) => maps.each_text(key, &mut String::new(), |row, text| {
            answers.set_ordering(row, value.text(row).map(|other| text.cmp(other)));
        }),
    }
    if matches!(value, Value::Null) && comparison.of_nulls(false).is_some() {
        // The value is NULL, so it only matters whether the attribute is.
        maps.each_text(key, &mut String::new(), |row, _| answers.set_ordering(row, None));
    }
    Ok(answers.finish())
}

/// The same over text that was made of attributes, where their types are gone: its numbers and booleans are those that
/// it reads as.
fn compare_text_column(texts: &ArrayRef, comparison: Comparison, value: &Value) -> Result<BooleanArray> {
    let texts = arrow::compute::cast(texts, &DataType::Utf8View)?;
    let texts = texts.as_string_view();
    let mut answers = Answers::new(comparison, value, texts.len());
    for row in (0..texts.len()).filter(|row| texts.is_valid(*row)) {
        let text = texts.value(row);
        let ordering = match value {
            Value::Null => None,
            Value::Number(_) | Value::Numbers(_) => match Number::parse(text) {
                Some(number) => value.number(row).map(|other| number.compare(other)),
                None => continue,
            },
            Value::Bool(_) | Value::Bools(_) => match text.parse::<bool>() {
                Ok(bool) => value.bool(row).map(|other| bool.cmp(&other)),
                Err(_) => continue,
            },
            Value::Text(_) | Value::Texts(_) => value.text(row).map(|other| text.cmp(other)),
        };
        answers.set_ordering(row, ordering);
    }
    Ok(answers.finish())
}
