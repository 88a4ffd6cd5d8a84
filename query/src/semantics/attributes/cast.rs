//! `attribute_int`, `attribute_float`, `attribute_bool`: a value converted from the type it has, as SQL's CAST would,
//! and NULL where that cannot be. `attribute_whole` is stricter: the integers among the numbers.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, StructArray};
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use super::lookup::Maps;
use super::value::Number;
use super::{attributes_argument, text_argument};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    Int,
    Whole,
    Float,
    Bool,
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Convert {
    target: Target,
    signature: Signature,
}

impl Convert {
    pub(crate) fn new(target: Target) -> Self {
        Self { target, signature: Signature::any(2, Volatility::Immutable) }
    }

    pub(crate) fn target(&self) -> Target {
        self.target
    }
}

impl ScalarUDFImpl for Convert {
    fn name(&self) -> &str {
        match self.target {
            Target::Int => "attribute_int",
            Target::Whole => "attribute_whole",
            Target::Float => "attribute_float",
            Target::Bool => "attribute_bool",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(match self.target {
            Target::Int | Target::Whole => DataType::Int64,
            Target::Float => DataType::Float64,
            Target::Bool => DataType::Boolean,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let attributes = attributes_argument(&args.args[0], args.number_rows)?;
        convert(&attributes, text_argument(&args.args[1])?, self.target).map(ColumnarValue::Array)
    }
}

#[derive(Clone, Copy)]
enum Typed {
    Number(Number),
    Bool(bool),
}

fn convert(attributes: &StructArray, key: &str, target: Target) -> Result<ArrayRef> {
    let maps = Maps::try_new(attributes)?;
    let mut values: Vec<Option<Typed>> = vec![None; maps.rows];
    maps.each_number(key, |row, number| values[row] = Some(Typed::Number(number)));
    if target != Target::Whole {
        maps.each_bool(key, |row, bool| values[row] = Some(Typed::Bool(bool)));
        maps.text.each(key, |row, index| {
            if maps.has(row) && maps.text.values.is_valid(index) {
                values[row] = parse(maps.text.values.value(index), target);
            }
        });
    }
    Ok(match target {
        Target::Int => Arc::new(collect::<Int64Builder, _>(values, |value| number(value).to_int())),
        Target::Whole => Arc::new(collect::<Int64Builder, _>(values, |value| number(value).as_whole())),
        Target::Float => Arc::new(collect::<Float64Builder, _>(values, |value| Some(number(value).to_float()))),
        Target::Bool => Arc::new(collect::<BooleanBuilder, _>(values, |value| match value {
            Typed::Bool(bool) => Some(bool),
            Typed::Number(number) => Some(number.compare(Number::Int(0)).is_ne()),
        })),
    })
}

fn parse(text: &str, target: Target) -> Option<Typed> {
    if target == Target::Bool {
        return match text.trim().to_ascii_lowercase().as_str() {
            "true" => Some(Typed::Bool(true)),
            "false" => Some(Typed::Bool(false)),
            _ => None,
        };
    }
    Number::parse(text).map(Typed::Number)
}

fn number(value: Typed) -> Number {
    match value {
        Typed::Number(number) => number,
        Typed::Bool(bool) => Number::Int(i64::from(bool)),
    }
}

trait Builder<T>: Default {
    type Array: Array + 'static;
    fn append(&mut self, value: Option<T>);
    fn end(self) -> Self::Array;
}

macro_rules! builder {
    ($builder:ty, $value:ty, $array:ty) => {
        impl Builder<$value> for $builder {
            type Array = $array;
            fn append(&mut self, value: Option<$value>) {
                self.append_option(value);
            }
            fn end(mut self) -> Self::Array {
                self.finish()
            }
        }
    };
}

builder!(Int64Builder, i64, arrow::array::Int64Array);
builder!(Float64Builder, f64, arrow::array::Float64Array);
builder!(BooleanBuilder, bool, arrow::array::BooleanArray);

fn collect<B: Builder<T>, T>(values: Vec<Option<Typed>>, convert: impl Fn(Typed) -> Option<T>) -> B::Array {
    let mut builder = B::default();
    for value in values {
        builder.append(value.and_then(&convert));
    }
    builder.end()
}
