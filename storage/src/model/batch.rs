//! Builds the received columns of `spans`, one span after the other.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryBuilder, BinaryViewBuilder, Int32Builder, Int64Builder, ListArray, RecordBatch,
    StringBuilder, StringViewBuilder, StructArray, TimestampMicrosecondBuilder,
};
use arrow::buffer::OffsetBuffer;
use arrow::error::ArrowError;

use super::{AttributesBuilder, SpanFields, SpanId, TraceId, UnixNanos};
use crate::schema::spans as schema;

/// Spans with exactly the columns of [`schema::received`].
#[derive(Debug, Clone)]
pub struct SpanBatch(RecordBatch);

impl SpanBatch {
    /// `None` if the columns are not those of [`schema::received`].
    pub fn from_columns(batch: RecordBatch) -> Option<Self> {
        (batch.schema_ref() == &schema::received()).then_some(Self(batch))
    }

    pub fn columns(&self) -> &RecordBatch {
        &self.0
    }

    pub fn span_count(&self) -> usize {
        self.0.num_rows()
    }
}

/// Gives back what builders took in advance, which is a hundred times what a request of one span needs.
pub(crate) fn shrunk(mut columns: Vec<ArrayRef>) -> Vec<ArrayRef> {
    for column in &mut columns {
        column.shrink_to_fit();
    }
    columns
}

/// Lists: the end of each row among the items so far.
#[derive(Debug)]
struct ListEnds(Vec<i32>);

impl Default for ListEnds {
    fn default() -> Self {
        Self(vec![0])
    }
}

impl ListEnds {
    fn finish(&mut self, item: arrow::datatypes::Fields, items: StructArray) -> ListArray {
        let ends = std::mem::take(self).0;
        ListArray::new(schema::list_item(item), OffsetBuffer::new(ends.into()), Arc::new(items), None)
    }
}

/// Events of the span being built: `push`, fill [`attributes`](Self::attributes), then the next.
#[derive(Debug, Default)]
pub struct EventsBuilder {
    time: TimestampMicrosecondBuilder,
    time_nanos: Int32Builder,
    name: StringBuilder,
    attributes: AttributesBuilder,
    count: i32,
    ends: ListEnds,
}

impl EventsBuilder {
    /// Adds an event; `fill` gives it its attributes.
    pub fn push(&mut self, time: UnixNanos, name: &str, fill: impl FnOnce(&mut AttributesBuilder)) {
        self.time.append_value(time.micros());
        self.time_nanos.append_value(time.remainder());
        self.name.append_value(name);
        fill(&mut self.attributes);
        self.attributes.end();
        self.count = self.count.saturating_add(1);
    }

    fn end(&mut self) {
        self.ends.0.push(self.count);
    }

    fn finish(&mut self) -> ListArray {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.time.finish().with_timezone("UTC")),
            Arc::new(self.time_nanos.finish()),
            Arc::new(self.name.finish()),
            Arc::new(self.attributes.finish()),
        ];
        self.count = 0;
        let items = StructArray::new(schema::event_fields(), columns, None);
        self.ends.finish(schema::event_fields(), items)
    }
}

/// Links of the span being built.
#[derive(Debug, Default)]
pub struct LinksBuilder {
    trace_id: BinaryBuilder,
    span_id: BinaryBuilder,
    trace_state: StringBuilder,
    flags: Int64Builder,
    attributes: AttributesBuilder,
    count: i32,
    ends: ListEnds,
}

impl LinksBuilder {
    /// Adds a link; `fill` gives it its attributes.
    pub fn push(
        &mut self,
        trace_id: TraceId,
        span_id: SpanId,
        trace_state: Option<&str>,
        flags: u32,
        fill: impl FnOnce(&mut AttributesBuilder),
    ) {
        self.trace_id.append_value(trace_id.as_bytes());
        self.span_id.append_value(span_id.as_bytes());
        self.trace_state.append_option(trace_state);
        self.flags.append_value(i64::from(flags));
        fill(&mut self.attributes);
        self.attributes.end();
        self.count = self.count.saturating_add(1);
    }

    fn end(&mut self) {
        self.ends.0.push(self.count);
    }

    fn finish(&mut self) -> ListArray {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.trace_id.finish()),
            Arc::new(self.span_id.finish()),
            Arc::new(self.trace_state.finish()),
            Arc::new(self.flags.finish()),
            Arc::new(self.attributes.finish()),
        ];
        self.count = 0;
        let items = StructArray::new(schema::link_fields(), columns, None);
        self.ends.finish(schema::link_fields(), items)
    }
}

/// Builds a [`SpanBatch`]. For each span: fill `attributes`, `resource`, `events`, `links`, then [`append`](Self::append)
/// its fields, which ends the row.
#[derive(Debug)]
pub struct SpanBatchBuilder {
    pub attributes: AttributesBuilder,
    pub resource: AttributesBuilder,
    pub events: EventsBuilder,
    pub links: LinksBuilder,
    trace_id: BinaryViewBuilder,
    span_id: BinaryViewBuilder,
    parent_span_id: BinaryViewBuilder,
    service_name: StringViewBuilder,
    span_name: StringViewBuilder,
    kind: StringViewBuilder,
    status_code: StringViewBuilder,
    status_message: StringViewBuilder,
    start_time: TimestampMicrosecondBuilder,
    start_nanos: Int32Builder,
    duration_ns: Int64Builder,
    scope_name: StringViewBuilder,
    scope_version: StringViewBuilder,
    trace_state: StringViewBuilder,
    flags: Int64Builder,
    span_count: usize,
}

impl Default for SpanBatchBuilder {
    fn default() -> Self {
        // Names repeat from span to span, so equal ones share their bytes.
        let repeated = || StringViewBuilder::new().with_deduplicate_strings();
        Self {
            attributes: AttributesBuilder::default(),
            resource: AttributesBuilder::default(),
            events: EventsBuilder::default(),
            links: LinksBuilder::default(),
            trace_id: BinaryViewBuilder::new(),
            span_id: BinaryViewBuilder::new(),
            parent_span_id: BinaryViewBuilder::new(),
            service_name: repeated(),
            span_name: repeated(),
            kind: repeated(),
            status_code: repeated(),
            status_message: repeated(),
            start_time: TimestampMicrosecondBuilder::new(),
            start_nanos: Int32Builder::new(),
            duration_ns: Int64Builder::new(),
            scope_name: repeated(),
            scope_version: repeated(),
            trace_state: repeated(),
            flags: Int64Builder::new(),
            span_count: 0,
        }
    }
}

impl SpanBatchBuilder {
    pub fn span_count(&self) -> usize {
        self.span_count
    }

    /// Ends the row with the span's scalar fields.
    pub fn append(&mut self, span: &SpanFields<'_>) {
        self.attributes.end();
        self.resource.end();
        self.events.end();
        self.links.end();
        self.trace_id.append_value(span.trace_id.as_bytes());
        self.span_id.append_value(span.span_id.as_bytes());
        self.parent_span_id.append_option(span.parent_span_id.as_ref().map(SpanId::as_bytes));
        self.service_name.append_value(span.service_name);
        self.span_name.append_value(span.span_name);
        self.kind.append_value(span.kind);
        self.status_code.append_value(span.status_code);
        self.status_message.append_option(span.status_message);
        self.start_time.append_value(span.start.micros());
        self.start_nanos.append_value(span.start.remainder());
        self.duration_ns.append_value(span.duration_nanos);
        self.scope_name.append_option(span.scope_name);
        self.scope_version.append_option(span.scope_version);
        self.trace_state.append_option(span.trace_state);
        self.flags.append_value(i64::from(span.flags));
        self.span_count += 1;
    }

    /// The spans so far; the builder is empty afterwards.
    pub fn finish(&mut self) -> Result<SpanBatch, ArrowError> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.trace_id.finish()),
            Arc::new(self.span_id.finish()),
            Arc::new(self.parent_span_id.finish()),
            Arc::new(self.service_name.finish()),
            Arc::new(self.span_name.finish()),
            Arc::new(self.kind.finish()),
            Arc::new(self.status_code.finish()),
            Arc::new(self.status_message.finish()),
            Arc::new(self.start_time.finish().with_timezone("UTC")),
            Arc::new(self.start_nanos.finish()),
            Arc::new(self.duration_ns.finish()),
            Arc::new(self.attributes.finish()),
            Arc::new(self.resource.finish()),
            Arc::new(self.events.finish()),
            Arc::new(self.links.finish()),
            Arc::new(self.scope_name.finish()),
            Arc::new(self.scope_version.finish()),
            Arc::new(self.trace_state.finish()),
            Arc::new(self.flags.finish()),
        ];
        self.span_count = 0;
        RecordBatch::try_new(schema::received(), shrunk(columns)).map(SpanBatch)
    }
}
