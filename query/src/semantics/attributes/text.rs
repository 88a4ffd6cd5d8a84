//! `attribute(attributes, key)`: the value as text, whatever its type; and whether there is a value at all.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, StringViewBuilder, StructArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::DataType;
use arrow::util::bit_util;
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use datafusion::prelude::Expr;

use super::lookup::Maps;
use super::value::Number;
use super::{access_name, attributes_argument, text_argument};

pub(crate) const ATTRIBUTE: &str = "attribute";
pub(crate) const EXISTS: &str = "attribute_exists";

/// What `attributes['key']` becomes.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Attribute(Signature);

impl Default for Attribute {
    fn default() -> Self {
        Self(Signature::any(2, Volatility::Immutable))
    }
}

fn shown(args: &[Expr], name: impl Fn(&Expr) -> String) -> Result<String> {
    Ok(access_name(&args.first().map(name).unwrap_or_default(), args.get(1)))
}

impl ScalarUDFImpl for Attribute {
    fn name(&self) -> &str {
        ATTRIBUTE
    }

    fn display_name(&self, args: &[Expr]) -> Result<String> {
        shown(args, ToString::to_string)
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        shown(args, |expr| expr.schema_name().to_string())
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let attributes = attributes_argument(&args.args[0], args.number_rows)?;
        Ok(ColumnarValue::Array(text(&attributes, text_argument(&args.args[1])?)?))
    }
}

/// Where a row's value is.
#[derive(Clone, Copy)]
enum Found {
    Nowhere,
    Text(u32),
    Json(u32),
    Int(u32),
    Float(u32),
    Bool(u32),
}

fn text(attributes: &StructArray, key: &str) -> Result<ArrayRef> {
    let maps = Maps::try_new(attributes)?;
    let mut found = vec![Found::Nowhere; maps.rows];
    // Map offsets are i32, so an index fits.
    maps.text.each(key, |row, index| found[row] = Found::Text(index as u32));
    maps.json.each(key, |row, index| found[row] = Found::Json(index as u32));
    maps.int.each(key, |row, index| found[row] = Found::Int(index as u32));
    maps.float.each(key, |row, index| found[row] = Found::Float(index as u32));
    maps.bool.each(key, |row, index| found[row] = Found::Bool(index as u32));
    let mut output = StringViewBuilder::with_capacity(maps.rows);
    let mut scratch = String::new();
    for (row, found) in found.into_iter().enumerate() {
        if !maps.has(row) {
            output.append_null();
            continue;
        }
        let mut number = |output: &mut StringViewBuilder, number: Number| {
            scratch.clear();
            number.write(&mut scratch);
            output.append_value(&scratch);
        };
        match found {
            Found::Nowhere => output.append_null(),
            Found::Text(index) => output.append_option(value(maps.text.values, index)),
            Found::Json(index) => output.append_option(value(maps.json.values, index)),
            Found::Int(index) => number(&mut output, Number::Int(maps.int.values.value(index as usize))),
            Found::Float(index) => number(&mut output, Number::Float(maps.float.values.value(index as usize))),
            Found::Bool(index) => {
                output.append_value(if maps.bool.values.value(index as usize) { "true" } else { "false" });
            }
        }
    }
    Ok(Arc::new(output.finish()))
}

fn value(values: &arrow::array::StringArray, index: u32) -> Option<&str> {
    let index = index as usize;
    values.is_valid(index).then(|| values.value(index))
}

/// `attributes['key'] IS NOT NULL`, without making the text.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Exists(Signature);

impl Default for Exists {
    fn default() -> Self {
        Self(Signature::any(2, Volatility::Immutable))
    }
}

impl ScalarUDFImpl for Exists {
    fn name(&self) -> &str {
        EXISTS
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let attributes = attributes_argument(&args.args[0], args.number_rows)?;
        let key = text_argument(&args.args[1])?;
        let maps = Maps::try_new(&attributes)?;
        let mut bits = vec![0_u8; bit_util::ceil(maps.rows, 8)];
        let mut set = |row, valid: bool| {
            if valid && maps.has(row) {
                bit_util::set_bit(&mut bits, row);
            }
        };
        maps.text.each(key, |row, index| set(row, maps.text.values.is_valid(index)));
        maps.int.each(key, |row, index| set(row, maps.int.values.is_valid(index)));
        maps.float.each(key, |row, index| set(row, maps.float.values.is_valid(index)));
        maps.bool.each(key, |row, index| set(row, maps.bool.values.is_valid(index)));
        maps.json.each(key, |row, index| set(row, maps.json.values.is_valid(index)));
        let exists = BooleanBuffer::new(bits.into(), 0, maps.rows);
        Ok(ColumnarValue::Array(Arc::new(BooleanArray::new(exists, None))))
    }
}
