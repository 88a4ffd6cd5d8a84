//! The rows of `spans`, typed. A query may answer text and bytes in any of Arrow's forms.

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewArray, Float64Array, Int32Array, Int64Array, ListArray, RecordBatch,
    StringViewArray, StructArray, TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use storage::model::UnixNanos;
use storage::schema::spans as schema;

use super::attributes::Attributes;
use crate::{Error, Result};

/// One batch.
pub struct Columns {
    pub trace_id: BinaryViewArray,
    pub span_id: BinaryViewArray,
    pub parent_span_id: BinaryViewArray,
    pub span_name: StringViewArray,
    pub kind: StringViewArray,
    pub status_code: StringViewArray,
    pub status_message: StringViewArray,
    pub start: Times,
    pub duration_ns: Int64Array,
    pub attributes: Attributes,
    pub resource: Attributes,
    pub events: Events,
    pub links: Links,
    pub scope_name: StringViewArray,
    pub scope_version: StringViewArray,
    pub trace_state: StringViewArray,
    pub flags: Int64Array,
    pub adjusted_count: Float64Array,
    pub keep_reason: StringViewArray,
}

/// Microseconds and their remainders.
pub struct Times {
    micros: TimestampMicrosecondArray,
    nanos: Int32Array,
}

/// The events of all rows; `of` has those of one.
pub struct Events {
    lists: ListArray,
    pub time: Times,
    pub name: StringViewArray,
    pub attributes: Attributes,
}

pub struct Links {
    lists: ListArray,
    pub trace_id: BinaryViewArray,
    pub span_id: BinaryViewArray,
    pub trace_state: StringViewArray,
    pub flags: Int64Array,
    pub attributes: Attributes,
}

impl Columns {
    pub fn new(batch: &RecordBatch) -> Result<Self> {
        let all = StructArray::from(batch.clone());
        let all = &all;
        Ok(Self {
            trace_id: bytes(all, schema::TRACE_ID)?,
            span_id: bytes(all, schema::SPAN_ID)?,
            parent_span_id: bytes(all, schema::PARENT_SPAN_ID)?,
            span_name: text(all, schema::SPAN_NAME)?,
            kind: text(all, schema::KIND)?,
            status_code: text(all, schema::STATUS_CODE)?,
            status_message: text(all, schema::STATUS_MESSAGE)?,
            start: Times::new(all, schema::START_TIME, schema::START_NANOS)?,
            duration_ns: int(all, schema::DURATION_NS)?,
            attributes: Attributes::new(column(all, schema::ATTRIBUTES)?)?,
            resource: Attributes::new(column(all, schema::RESOURCE)?)?,
            events: Events::new(all)?,
            links: Links::new(all)?,
            scope_name: text(all, schema::SCOPE_NAME)?,
            scope_version: text(all, schema::SCOPE_VERSION)?,
            trace_state: text(all, schema::TRACE_STATE)?,
            flags: int(all, schema::FLAGS)?,
            adjusted_count: cast(column(all, schema::ADJUSTED_COUNT)?, &DataType::Float64)
                .map_err(wrong(schema::ADJUSTED_COUNT))?
                .as_primitive::<Float64Type>()
                .clone(),
            keep_reason: text(all, schema::KEEP_REASON)?,
        })
    }

    pub fn len(&self) -> usize {
        self.trace_id.len()
    }
}

impl Times {
    fn new(of: &StructArray, micros: &str, nanos: &str) -> Result<Self> {
        let typed = |name| Error::Internal(format!("column {name} is of another type"));
        let times = column(of, micros)?.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(|| typed(micros))?;
        let rest = column(of, nanos)?.as_primitive_opt::<Int32Type>().ok_or_else(|| typed(nanos))?;
        Ok(Self { micros: times.clone(), nanos: rest.clone() })
    }

    pub fn at(&self, row: usize) -> UnixNanos {
        UnixNanos::from_micros_and_remainder(self.micros.value(row), self.nanos.value(row))
    }
}

impl Events {
    fn new(of: &StructArray) -> Result<Self> {
        let (lists, items) = list(of, schema::EVENTS)?;
        Ok(Self {
            time: Times::new(&items, "time", "time_nanos")?,
            name: text(&items, "name")?,
            attributes: Attributes::new(column(&items, "attributes")?)?,
            lists,
        })
    }

    pub fn of(&self, row: usize) -> std::ops::Range<usize> {
        items_of(&self.lists, row)
    }
}

impl Links {
    fn new(of: &StructArray) -> Result<Self> {
        let (lists, items) = list(of, schema::LINKS)?;
        Ok(Self {
            trace_id: bytes(&items, "trace_id")?,
            span_id: bytes(&items, "span_id")?,
            trace_state: text(&items, "trace_state")?,
            flags: int(&items, "flags")?,
            attributes: Attributes::new(column(&items, "attributes")?)?,
            lists,
        })
    }

    pub fn of(&self, row: usize) -> std::ops::Range<usize> {
        items_of(&self.lists, row)
    }
}

/// The text in a row; nothing for NULL, as OTLP has it.
pub fn text_at(texts: &StringViewArray, row: usize) -> &str {
    if texts.is_valid(row) { texts.value(row) } else { "" }
}

pub fn bytes_at(bytes: &BinaryViewArray, row: usize) -> &[u8] {
    if bytes.is_valid(row) { bytes.value(row) } else { &[] }
}

pub fn column<'a>(of: &'a StructArray, name: &str) -> Result<&'a ArrayRef> {
    of.column_by_name(name).ok_or_else(|| Error::Internal(format!("spans to encode have no column {name}")))
}

fn wrong(name: &str) -> impl FnOnce(arrow::error::ArrowError) -> Error {
    move |error| Error::Internal(format!("column {name}: {error}"))
}

fn text(of: &StructArray, name: &str) -> Result<StringViewArray> {
    Ok(cast(column(of, name)?, &DataType::Utf8View).map_err(wrong(name))?.as_string_view().clone())
}

fn bytes(of: &StructArray, name: &str) -> Result<BinaryViewArray> {
    Ok(cast(column(of, name)?, &DataType::BinaryView).map_err(wrong(name))?.as_binary_view().clone())
}

fn int(of: &StructArray, name: &str) -> Result<Int64Array> {
    Ok(cast(column(of, name)?, &DataType::Int64).map_err(wrong(name))?.as_primitive::<Int64Type>().clone())
}

fn list(of: &StructArray, name: &str) -> Result<(ListArray, StructArray)> {
    let typed = || Error::Internal(format!("column {name} is no list of structs"));
    let lists = column(of, name)?.as_list_opt::<i32>().ok_or_else(typed)?;
    let items = lists.values().as_struct_opt().ok_or_else(typed)?;
    Ok((lists.clone(), items.clone()))
}

/// Where in the items those of a row are.
pub fn items_of(lists: &ListArray, row: usize) -> std::ops::Range<usize> {
    offsets(lists.value_offsets(), row)
}

/// The same of any offsets.
pub fn offsets(offsets: &[i32], row: usize) -> std::ops::Range<usize> {
    let at = |row: usize| offsets.get(row).and_then(|offset| usize::try_from(*offset).ok()).unwrap_or_default();
    at(row)..at(row + 1)
}
