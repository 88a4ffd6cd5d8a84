//! Ids between bytes and hex text, row by row.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryViewBuilder, ListArray, StringViewBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use crate::error::Error;

/// How many bytes an id has; unknown where a plan lost track, which then takes either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Width {
    Trace,
    Span,
    Either,
}

impl Width {
    pub(crate) fn of_column(name: &str) -> Self {
        match name {
            "trace_id" => Self::Trace,
            "span_id" | "parent_span_id" => Self::Span,
            _ => Self::Either,
        }
    }

    pub(crate) fn takes(self, bytes: usize) -> bool {
        match self {
            Self::Trace => bytes == 16,
            Self::Span => bytes == 8,
            Self::Either => bytes == 16 || bytes == 8,
        }
    }

    pub(crate) fn digits(self) -> &'static str {
        match self {
            Self::Trace => "32 hex digits",
            Self::Span => "16 hex digits",
            Self::Either => "32 or 16 hex digits",
        }
    }

    pub(crate) fn bytes(self) -> &'static str {
        match self {
            Self::Trace => "16 bytes",
            Self::Span => "8 bytes",
            Self::Either => "16 or 8 bytes",
        }
    }

    pub(crate) fn as_argument(self) -> i64 {
        match self {
            Self::Trace => 16,
            Self::Span => 8,
            Self::Either => 0,
        }
    }

    fn from_argument(bytes: i64) -> Self {
        match bytes {
            16 => Self::Trace,
            8 => Self::Span,
            _ => Self::Either,
        }
    }

    /// The id that the text is, digits in either case.
    pub(crate) fn parse(self, text: &str) -> Option<Vec<u8>> {
        let digits = text.as_bytes();
        if !digits.len().is_multiple_of(2) || !self.takes(digits.len() / 2) {
            return None;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        digits.chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
    }
}

pub(crate) fn wrong_text(name: &str, text: &str, width: Width) -> Error {
    let cut: String = text.chars().take(80).collect();
    Error::bad_query(format!("{name} is compared with '{cut}', which is not {}", width.digits()))
}

pub(crate) fn wrong_bytes(name: &str, bytes: usize, width: Width) -> Error {
    Error::bad_query(format!("{name} is compared with {bytes} bytes, but has {}", width.bytes()))
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Appends the bytes as lower-case hex.
pub(crate) fn push_hex(bytes: &[u8], text: &mut String) {
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

/// Binary as hex text.
pub(crate) fn hex(array: &ArrayRef) -> Result<ArrayRef> {
    let binary = cast(array, &DataType::BinaryView)?;
    let mut output = StringViewBuilder::with_capacity(binary.len());
    let mut text = String::with_capacity(32);
    for bytes in binary.as_binary_view() {
        match bytes {
            Some(bytes) => {
                text.clear();
                push_hex(bytes, &mut text);
                output.append_value(&text);
            }
            None => output.append_null(),
        }
    }
    Ok(Arc::new(output.finish()))
}

fn like(columnar: &ColumnarValue, array: ArrayRef) -> Result<ColumnarValue> {
    Ok(match columnar {
        ColumnarValue::Array(_) => ColumnarValue::Array(array),
        ColumnarValue::Scalar(_) => ColumnarValue::Scalar(datafusion::common::ScalarValue::try_from_array(&array, 0)?),
    })
}

fn one_row_or_all(columnar: &ColumnarValue, rows: usize) -> Result<ArrayRef> {
    match columnar {
        ColumnarValue::Array(array) => Ok(Arc::clone(array)),
        ColumnarValue::Scalar(_) => columnar.to_array(rows.clamp(1, 1)),
    }
}

fn width_and_name(args: &[ColumnarValue]) -> Result<(Width, String)> {
    use datafusion::common::ScalarValue;
    match (args.get(1), args.get(2)) {
        (Some(ColumnarValue::Scalar(ScalarValue::Int64(Some(width)))), Some(ColumnarValue::Scalar(name))) => {
            Ok((Width::from_argument(*width), name.try_as_str().flatten().unwrap_or("id").to_owned()))
        }
        _ => exec_err!("an id's width and name must be literals"),
    }
}

macro_rules! function {
    ($(#[$meta:meta])* $type:ident, $name:literal, $arguments:literal, $returns:expr, $invoke:expr) => {
        $(#[$meta])*
        #[derive(Debug, PartialEq, Eq, Hash)]
        pub(crate) struct $type(Signature);

        impl Default for $type {
            fn default() -> Self {
                Self(Signature::any($arguments, Volatility::Immutable))
            }
        }

        impl ScalarUDFImpl for $type {
            fn name(&self) -> &str {
                $name
            }

            fn signature(&self) -> &Signature {
                &self.0
            }

            fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
                let returns: fn(&[DataType]) -> DataType = $returns;
                Ok(returns(arg_types))
            }

            fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
                let invoke: fn(&[ColumnarValue], &ArrayRef) -> Result<ArrayRef> = $invoke;
                let first = one_row_or_all(&args.args[0], args.number_rows)?;
                like(&args.args[0], invoke(&args.args, &first)?)
            }
        }
    };
}

function!(
    /// An id, or a list of ids, as hex.
    IdText,
    "id_text",
    1,
    |types| match types.first() {
        Some(DataType::List(item)) => DataType::List(Arc::new(Field::new(item.name(), DataType::Utf8View, true))),
        _ => DataType::Utf8View,
    },
    |_, ids| match ids.as_list_opt::<i32>() {
        Some(list) => {
            let item = Arc::new(Field::new(list_item_name(list), DataType::Utf8View, true));
            let values = hex(list.values())?;
            Ok(Arc::new(ListArray::try_new(item, list.offsets().clone(), values, list.nulls().cloned())?))
        }
        None => hex(ids),
    }
);

fn list_item_name(list: &ListArray) -> String {
    match list.data_type() {
        DataType::List(item) => item.name().clone(),
        _ => Field::LIST_FIELD_DEFAULT_NAME.to_owned(),
    }
}

function!(
    /// `id_from_text(text, width, name)`: the id that the text is; text of another form is an error that names `name`.
    IdFromText,
    "id_from_text",
    3,
    |_| DataType::BinaryView,
    |args, texts| {
        let (width, name) = width_and_name(args)?;
        let texts = cast(texts, &DataType::Utf8View)?;
        let mut output = BinaryViewBuilder::with_capacity(texts.len());
        for text in texts.as_string_view() {
            match text.map(|text| (text, width.parse(text))) {
                None => output.append_null(),
                Some((_, Some(id))) => output.append_value(id),
                Some((text, None)) => {
                    return Err(Error::bad_query(format!(
                        "{name} is compared with '{}', which is not {}; try_id(...) makes such text NULL",
                        text.chars().take(80).collect::<String>(),
                        width.digits()
                    ))
                    .into());
                }
            }
        }
        Ok(Arc::new(output.finish()))
    }
);

function!(
    /// `checked_id(binary, width, name)`: the same bytes, if they are as many as an id has.
    CheckedId,
    "checked_id",
    3,
    |_| DataType::BinaryView,
    |args, values| {
        let (width, name) = width_and_name(args)?;
        let values = cast(values, &DataType::BinaryView)?;
        let wrong = values.as_binary_view().iter().flatten().find(|value| !width.takes(value.len()));
        match wrong {
            Some(value) => Err(wrong_bytes(&name, value.len(), width).into()),
            None => Ok(values),
        }
    }
);

function!(
    /// `try_id(text)`: the id that the text is, NULL if it is none.
    TryId,
    "try_id",
    1,
    |_| DataType::BinaryView,
    |_, texts| {
        let texts = cast(texts, &DataType::Utf8View)?;
        let mut output = BinaryViewBuilder::with_capacity(texts.len());
        for text in texts.as_string_view() {
            output.append_option(text.and_then(|text| Width::Either.parse(text)));
        }
        Ok(Arc::new(output.finish()))
    }
);
