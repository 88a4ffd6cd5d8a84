//! Flat columns, out of whose pages the values of known rows are picked.
//!
//! The crate's readers pass what lies between two rows value by value, and make an array of a dictionary of which an entry is
//! wanted.
//!
//! - `hybrid`, `deltas`: encodings of numbers; `values`: those of a page; `dictionary`: those that a page points to.
//!
//! Invariant: a value is what the crate's readers give, or an error.

mod deltas;
mod dictionary;
mod hybrid;
mod values;

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryViewBuilder, BooleanBuilder, Float64Builder, Int32Builder, Int64Builder, StringViewBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::parquet::basic::{ConvertedType, Encoding, LogicalType, TimeUnit as ParquetUnit, Type};
use datafusion::parquet::column::page::Page;
use datafusion::parquet::errors::Result;
use datafusion::parquet::file::metadata::ColumnChunkMetaData;

use super::pages::wrong;
pub(in crate::table) use dictionary::Dictionary;
use hybrid::Hybrid;
use values::{Value, Values};

/// A column as it is filled.
pub(super) struct Picked {
    physical: Type,
    is_optional: bool,
    values: Built,
}

enum Built {
    Bools(BooleanBuilder),
    Ints(Int32Builder),
    Longs(Int64Builder),
    Times(TimestampMicrosecondBuilder),
    Doubles(Float64Builder),
    Texts(StringViewBuilder),
    Bytes(BinaryViewBuilder),
}

impl Picked {
    /// For so many rows; `None` if the column or its type in the table is none that is read here.
    pub fn new(column: &ColumnChunkMetaData, wanted: &DataType, rows: usize) -> Option<Self> {
        let described = column.column_descr();
        let physical = described.physical_type();
        let is_flat = described.path().parts().len() == 1 && described.max_rep_level() == 0;
        let is_read = column.encodings().all(|encoding| Values::reads(encoding, physical));
        if !is_flat || described.max_def_level() > 1 || !is_read {
            return None;
        }
        let (logical, converted) = (described.logical_type_ref(), described.converted_type());
        let is_plain = match logical {
            None => converted == ConvertedType::NONE,
            Some(LogicalType::Integer(of)) => of.is_signed && i32::from(of.bit_width) == width(physical),
            Some(_) => false,
        };
        let is_micros = matches!(logical, Some(LogicalType::Timestamp(of)) if of.unit == ParquetUnit::MICROS);
        let is_text = matches!(logical, Some(LogicalType::String));
        let values = match (wanted, physical) {
            (DataType::Boolean, Type::BOOLEAN) if is_plain => Built::Bools(BooleanBuilder::with_capacity(rows)),
            (DataType::Int32, Type::INT32) if is_plain => Built::Ints(Int32Builder::with_capacity(rows)),
            (DataType::Int64, Type::INT64) if is_plain => Built::Longs(Int64Builder::with_capacity(rows)),
            (DataType::Timestamp(TimeUnit::Microsecond, _), Type::INT64) if is_micros => {
                Built::Times(TimestampMicrosecondBuilder::with_capacity(rows).with_data_type(wanted.clone()))
            }
            (DataType::Float64, Type::DOUBLE) if is_plain => Built::Doubles(Float64Builder::with_capacity(rows)),
            (DataType::Utf8View, Type::BYTE_ARRAY) if is_text => Built::Texts(StringViewBuilder::with_capacity(rows)),
            (DataType::BinaryView, Type::BYTE_ARRAY) if is_plain => {
                Built::Bytes(BinaryViewBuilder::with_capacity(rows))
            }
            _ => return None,
        };
        Some(Self { physical, is_optional: described.max_def_level() == 1, values })
    }

    /// Adds the values of a page's rows, ascending. The page has so many.
    pub fn add(
        &mut self,
        page: &Page,
        row_count: usize,
        rows: impl Iterator<Item = usize>,
        dictionary: Option<&Dictionary>,
    ) -> Result<()> {
        let ends = || wrong("a page ends too early");
        if page.num_values() as usize != row_count {
            return Err(wrong("a page has other rows than the index says"));
        }
        let (levels, values) = self.parts(page).ok_or_else(ends)?;
        let values = Values::new(values, page.encoding(), self.physical, dictionary);
        let mut values = values.ok_or_else(|| wrong("a page is not as its column says"))?;
        let mut levels = levels.map(|levels| Hybrid::new(levels, 1));
        for row in rows {
            let place = match &mut levels {
                Some(levels) => {
                    let (before, is_there) = levels.ones_before(row).ok_or_else(ends)?;
                    is_there.then_some(before)
                }
                None => Some(row),
            };
            match place {
                Some(place) => self.values.push(values.at(place).ok_or_else(ends)?)?,
                None => self.values.push_null(),
            }
        }
        Ok(())
    }

    /// Levels, if there are any, and values.
    fn parts<'p>(&self, page: &'p Page) -> Option<(Option<&'p [u8]>, &'p [u8])> {
        let bytes = page.buffer().as_ref();
        if !self.is_optional {
            return Some((None, bytes));
        }
        let (levels, values) = match page {
            Page::DataPage { def_level_encoding: Encoding::RLE, .. } => {
                let (length, rest) = bytes.split_first_chunk::<4>()?;
                rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?
            }
            Page::DataPageV2 { def_levels_byte_len, .. } => {
                bytes.split_at_checked(usize::try_from(*def_levels_byte_len).ok()?)?
            }
            _ => return None,
        };
        Some((Some(levels), values))
    }

    pub fn finish(self) -> ArrayRef {
        match self.values {
            Built::Bools(mut values) => Arc::new(values.finish()),
            Built::Ints(mut values) => Arc::new(values.finish()),
            Built::Longs(mut values) => Arc::new(values.finish()),
            Built::Times(mut values) => Arc::new(values.finish()),
            Built::Doubles(mut values) => Arc::new(values.finish()),
            Built::Texts(mut values) => Arc::new(values.finish()),
            Built::Bytes(mut values) => Arc::new(values.finish()),
        }
    }
}

impl Built {
    fn push(&mut self, value: Value<'_>) -> Result<()> {
        let is_pushed = match self {
            Self::Bools(values) => bool(value).map(|value| values.append_value(value)),
            Self::Ints(values) => int(value).map(|value| values.append_value(value)),
            Self::Longs(values) => long(value).map(|value| values.append_value(value)),
            Self::Times(values) => long(value).map(|value| values.append_value(value)),
            Self::Doubles(values) => double(value).map(|value| values.append_value(value)),
            Self::Bytes(values) => bytes(value).map(|value| values.append_value(value)),
            Self::Texts(values) => match bytes(value).map(std::str::from_utf8) {
                Some(Err(_)) => return Err(wrong("a text is not UTF-8")),
                text => text.and_then(|text| text.ok()).map(|text| values.append_value(text)),
            },
        };
        is_pushed.ok_or_else(|| wrong("a value is not of its column's type"))
    }

    fn push_null(&mut self) {
        match self {
            Self::Bools(values) => values.append_null(),
            Self::Ints(values) => values.append_null(),
            Self::Longs(values) => values.append_null(),
            Self::Times(values) => values.append_null(),
            Self::Doubles(values) => values.append_null(),
            Self::Texts(values) => values.append_null(),
            Self::Bytes(values) => values.append_null(),
        }
    }
}

/// Of integers, in bits.
fn width(physical: Type) -> i32 {
    if physical == Type::INT32 { 32 } else { 64 }
}

fn bytes(value: Value<'_>) -> Option<&[u8]> {
    if let Value::Bytes(bytes) = value { Some(bytes) } else { None }
}

fn bool(value: Value<'_>) -> Option<bool> {
    if let Value::Bool(value) = value { Some(value) } else { None }
}

fn int(value: Value<'_>) -> Option<i32> {
    match value {
        // Differences of 32 bits are added up in 64.
        Value::Int(value) => Some(value as i32),
        value => bytes(value)?.try_into().ok().map(i32::from_le_bytes),
    }
}

fn long(value: Value<'_>) -> Option<i64> {
    match value {
        Value::Int(value) => Some(value),
        value => bytes(value)?.try_into().ok().map(i64::from_le_bytes),
    }
}

fn double(value: Value<'_>) -> Option<f64> {
    bytes(value)?.try_into().ok().map(f64::from_le_bytes)
}
