//! Reads a batch with the received columns as what they are.

use arrow::array::{
    Array, ArrayRef, BinaryViewArray, Int32Array, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray,
};

use super::{SpanId, TraceId, UnixNanos};
use crate::schema::spans as schema;
use crate::{Error, Result};

/// The columns that assembling and deriving read.
#[derive(Debug)]
pub struct SpanColumns<'a> {
    trace_id: &'a BinaryViewArray,
    span_id: &'a BinaryViewArray,
    parent_span_id: &'a BinaryViewArray,
    pub service_name: &'a StringViewArray,
    pub span_name: &'a StringViewArray,
    pub kind: &'a StringViewArray,
    pub status_code: &'a StringViewArray,
    start_time: &'a TimestampMicrosecondArray,
    start_nanos: &'a Int32Array,
    pub duration_ns: &'a Int64Array,
}

fn column<'a, T: Array + 'static>(batch: &'a RecordBatch, name: &str) -> Result<&'a T> {
    batch.column_by_name(name).and_then(|column: &ArrayRef| column.as_any().downcast_ref()).ok_or_else(|| {
        Error::Columns(arrow::error::ArrowError::SchemaError(format!("column {name} is missing or of another type")))
    })
}

impl<'a> SpanColumns<'a> {
    pub fn new(batch: &'a RecordBatch) -> Result<Self> {
        Ok(Self {
            trace_id: column(batch, schema::TRACE_ID)?,
            span_id: column(batch, schema::SPAN_ID)?,
            parent_span_id: column(batch, schema::PARENT_SPAN_ID)?,
            service_name: column(batch, schema::SERVICE_NAME)?,
            span_name: column(batch, schema::SPAN_NAME)?,
            kind: column(batch, schema::KIND)?,
            status_code: column(batch, schema::STATUS_CODE)?,
            start_time: column(batch, schema::START_TIME)?,
            start_nanos: column(batch, schema::START_NANOS)?,
            duration_ns: column(batch, schema::DURATION_NS)?,
        })
    }

    /// `None` where the column holds no valid id, which the builder rules out.
    pub fn trace_id(&self, row: usize) -> Option<TraceId> {
        TraceId::from_slice(self.trace_id.value(row)).ok()
    }

    pub fn span_id(&self, row: usize) -> Option<SpanId> {
        SpanId::from_slice(self.span_id.value(row)).ok()
    }

    /// `None` at a root.
    pub fn parent_span_id(&self, row: usize) -> Option<SpanId> {
        if self.parent_span_id.is_null(row) { None } else { SpanId::from_slice(self.parent_span_id.value(row)).ok() }
    }

    pub fn start(&self, row: usize) -> UnixNanos {
        UnixNanos::from_micros_and_remainder(self.start_time.value(row), self.start_nanos.value(row))
    }

    pub fn end(&self, row: usize) -> UnixNanos {
        self.start(row).plus(self.duration_ns.value(row))
    }

    pub fn is_error(&self, row: usize) -> bool {
        self.status_code.value(row) == schema::STATUS_ERROR
    }
}
