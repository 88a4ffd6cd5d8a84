//! A column of single values as it is filled.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryViewBuilder, BooleanBuilder, Float64Builder, Int32Builder, Int64Builder, StringViewBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::parquet::basic::{ConvertedType, LogicalType, TimeUnit as ParquetUnit, Type};
use datafusion::parquet::column::page::Page;
use datafusion::parquet::errors::Result;
use datafusion::parquet::file::metadata::ColumnChunkMetaData;
use datafusion::parquet::schema::types::{ColumnDescPtr, ColumnDescriptor};

use super::super::chunk::wrong;
use super::values::{Value, Values};
use super::{Dictionary, Filled, ended, parts};

pub(in super::super) struct Flat {
    column: ColumnDescPtr,
    values: Built,
}

impl Flat {
    /// For so many rows; `None` unless what the file has is what the table has, in an encoding that is read here.
    pub fn new(chunk: &ColumnChunkMetaData, wanted: &DataType, rows: usize) -> Option<Self> {
        let column = chunk.column_descr_ptr();
        let is_flat = column.path().parts().len() == 1 && column.max_rep_level() == 0 && column.max_def_level() <= 1;
        let values = Built::new(&column, wanted, rows).filter(|_| is_flat && Values::read(chunk))?;
        Some(Self { column, values })
    }

    pub fn finish(self) -> ArrayRef {
        self.values.finish()
    }
}

impl Filled for Flat {
    fn add(
        &mut self,
        page: &Page,
        row_count: usize,
        rows: impl Iterator<Item = usize>,
        dictionary: Option<&Dictionary>,
    ) -> Result<()> {
        let (mut levels, mut values) = parts(page, row_count, &self.column, dictionary)?;
        for row in rows {
            match levels.value_of(row).ok_or_else(ended)? {
                Some(place) => self.values.push(values.at(place).ok_or_else(ended)?)?,
                None => self.values.push_null(),
            }
        }
        Ok(())
    }
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

impl Built {
    /// For so many rows; `None` unless what the file has is what the table has, without a conversion.
    fn new(column: &ColumnDescriptor, wanted: &DataType, rows: usize) -> Option<Self> {
        let physical = column.physical_type();
        let logical = column.logical_type_ref();
        let is_plain = match logical {
            None => column.converted_type() == ConvertedType::NONE,
            Some(LogicalType::Integer(of)) => {
                of.is_signed && matches!((physical, of.bit_width), (Type::INT32, 32) | (Type::INT64, 64))
            }
            Some(_) => false,
        };
        let is_micros = matches!(logical, Some(LogicalType::Timestamp(of)) if of.unit == ParquetUnit::MICROS);
        let is_text = matches!(logical, Some(LogicalType::String));
        match (wanted, physical) {
            (DataType::Boolean, Type::BOOLEAN) if is_plain => Some(Self::Bools(BooleanBuilder::with_capacity(rows))),
            (DataType::Int32, Type::INT32) if is_plain => Some(Self::Ints(Int32Builder::with_capacity(rows))),
            (DataType::Int64, Type::INT64) if is_plain => Some(Self::Longs(Int64Builder::with_capacity(rows))),
            (DataType::Float64, Type::DOUBLE) if is_plain => Some(Self::Doubles(Float64Builder::with_capacity(rows))),
            (DataType::Timestamp(TimeUnit::Microsecond, _), Type::INT64) if is_micros => {
                let times = TimestampMicrosecondBuilder::with_capacity(rows);
                Some(Self::Times(times.with_data_type(wanted.clone())))
            }
            (DataType::Utf8View, Type::BYTE_ARRAY) if is_text => {
                Some(Self::Texts(StringViewBuilder::with_capacity(rows)))
            }
            (DataType::BinaryView, Type::BYTE_ARRAY) if is_plain => {
                Some(Self::Bytes(BinaryViewBuilder::with_capacity(rows)))
            }
            _ => None,
        }
    }

    fn push(&mut self, value: Value<'_>) -> Result<()> {
        let is_pushed = match self {
            Self::Bools(values) => bool(value).map(|value| values.append_value(value)),
            Self::Ints(values) => int(value).map(|value| values.append_value(value)),
            Self::Longs(values) => long(value).map(|value| values.append_value(value)),
            Self::Times(values) => long(value).map(|value| values.append_value(value)),
            Self::Doubles(values) => double(value).map(|value| values.append_value(value)),
            Self::Texts(values) => text(value)?.map(|value| values.append_value(value)),
            Self::Bytes(values) => bytes(value).map(|value| values.append_value(value)),
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

    fn finish(self) -> ArrayRef {
        match self {
            Self::Bools(mut values) => Arc::new(values.finish()),
            Self::Ints(mut values) => Arc::new(values.finish()),
            Self::Longs(mut values) => Arc::new(values.finish()),
            Self::Times(mut values) => Arc::new(values.finish()),
            Self::Doubles(mut values) => Arc::new(values.finish()),
            Self::Texts(mut values) => Arc::new(values.finish()),
            Self::Bytes(mut values) => Arc::new(values.finish()),
        }
    }
}

fn bytes(value: Value<'_>) -> Option<&[u8]> {
    if let Value::Bytes(bytes) = value { Some(bytes) } else { None }
}

fn text(value: Value<'_>) -> Result<Option<&str>> {
    let text = bytes(value).map(std::str::from_utf8).transpose();
    text.map_err(|_| wrong("a text is not UTF-8"))
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
