//! The scalar fields of one span, as a decoder hands them over.

use super::{OriginId, SpanId, TextId, TraceId, UnixNanos};

/// Borrowed from the decoder's input; `None` becomes NULL.
#[derive(Debug, Clone, Copy)]
pub struct SpanFields<'a> {
    pub trace_id: TraceId,
    pub span_id: SpanId,
    pub parent_span_id: Option<SpanId>,
    /// Service, scope and resource.
    pub origin: OriginId,
    pub span_name: Name<'a>,
    /// OTLP `SpanKind` as its lower-case word; numbers the specification does not know as text.
    pub kind: &'a str,
    /// `unset`, `ok`, `error`, or an unknown number as text.
    pub status_code: &'a str,
    pub status_message: Option<&'a str>,
    pub start: UnixNanos,
    /// Never negative.
    pub duration_nanos: i64,
    pub trace_state: Option<&'a str>,
    pub flags: u32,
}

/// A span's name, or the number that [`SpanBatchBuilder::name`](super::SpanBatchBuilder::name) gave it.
#[derive(Debug, Clone, Copy)]
pub enum Name<'a> {
    Text(&'a str),
    Known(TextId),
}

impl<'a> From<&'a str> for Name<'a> {
    fn from(name: &'a str) -> Self {
        Self::Text(name)
    }
}
