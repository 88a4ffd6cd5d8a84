//! The row of `traces` for each decided trace.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryViewBuilder, BooleanBuilder, Float64Builder, Int32Builder, Int64Builder, ListBuilder, RecordBatch,
    StringBuilder, StringViewBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field};

use super::{TraceShape, TraceSpans};
use crate::Result;
use crate::model::{Head, SpanBatch, Template};
use crate::rows::SpanRef;
use crate::schema::{spans, traces as schema};

/// Builds rows of `traces`: one for each trace that is not late, since a trace has one digest, which shows it as it was
/// decided.
#[derive(Debug)]
pub(super) struct Digests {
    trace_id: BinaryViewBuilder,
    start_time: TimestampMicrosecondBuilder,
    start_nanos: Int32Builder,
    duration_ns: Int64Builder,
    root_service: StringViewBuilder,
    root_name: StringViewBuilder,
    span_count: Int64Builder,
    error_count: Int64Builder,
    services: ListBuilder<StringBuilder>,
    kept: BooleanBuilder,
    keep_reason: StringViewBuilder,
    adjusted_count: Float64Builder,
    trace_complete: BooleanBuilder,
    head_count: Float64Builder,
    class: StringViewBuilder,
    shape: Int64Builder,
    policy_revision: Int64Builder,
    count: usize,
}

impl Default for Digests {
    fn default() -> Self {
        let text = || StringViewBuilder::new().with_deduplicate_strings();
        let item = Field::new("element", DataType::Utf8, false);
        Self {
            trace_id: BinaryViewBuilder::new(),
            start_time: TimestampMicrosecondBuilder::new(),
            start_nanos: Int32Builder::new(),
            duration_ns: Int64Builder::new(),
            root_service: text(),
            root_name: text(),
            span_count: Int64Builder::new(),
            error_count: Int64Builder::new(),
            services: ListBuilder::new(StringBuilder::new()).with_field(Arc::new(item)),
            kept: BooleanBuilder::new(),
            keep_reason: text(),
            adjusted_count: Float64Builder::new(),
            trace_complete: BooleanBuilder::new(),
            head_count: Float64Builder::new(),
            class: text(),
            shape: Int64Builder::new(),
            policy_revision: Int64Builder::new(),
            count: 0,
        }
    }
}

fn read(batches: &[Arc<SpanBatch>], span: SpanRef) -> (&SpanBatch, &Head, &Template) {
    let batch = &batches[span.batch as usize];
    let head = &batch.heads()[span.row as usize];
    (batch, head, &batch.templates()[head.template as usize])
}

impl Digests {
    /// Adds the row of a trace that has spans.
    pub(super) fn push(&mut self, batches: &[Arc<SpanBatch>], trace: &TraceSpans, shape: &TraceShape) {
        let spans = || trace.spans.iter().map(|span| read(batches, *span));
        let start = spans().map(|(_, head, _)| head.start).min().unwrap_or_default();
        let end = spans().map(|(_, head, _)| head.end()).max().unwrap_or_default();
        self.trace_id.append_value(trace.trace_id.as_bytes());
        self.start_time.append_value(start.micros());
        self.start_nanos.append_value(start.remainder());
        self.duration_ns.append_value(end.since(start));
        let root = shape.root.map(|root| read(batches, trace.spans[root]));
        self.root_service
            .append_option(root.map(|(batch, _, template)| batch.texts().text(batch.service_name(template))));
        self.root_name.append_option(root.map(|(batch, _, template)| batch.texts().text(template.span_name)));
        let errors = spans()
            .filter(|(batch, _, template)| batch.texts().bytes(template.status_code) == spans::STATUS_ERROR.as_bytes());
        self.error_count.append_value(errors.count() as i64);
        self.span_count.append_value(trace.spans.len() as i64);
        let services: BTreeSet<&str> =
            spans().map(|(batch, _, template)| batch.texts().text(batch.service_name(template))).collect();
        services.into_iter().for_each(|service| self.services.values().append_value(service));
        self.services.append(true);
        self.kept.append_value(trace.verdict.keep);
        self.keep_reason.append_value(&trace.verdict.keep_reason);
        let verdict = &trace.verdict;
        self.adjusted_count.append_option(if verdict.keep { verdict.adjusted_count } else { Some(0.0) });
        self.trace_complete.append_value(shape.complete);
        self.head_count.append_option(verdict.head_count);
        self.class.append_option(verdict.class.as_deref());
        self.shape.append_option(verdict.shape.map(u64::cast_signed));
        self.policy_revision.append_value(verdict.policy_revision);
        self.count += 1;
    }

    /// `None` if there are no rows.
    pub(super) fn finish(mut self) -> Result<Option<RecordBatch>> {
        if self.count == 0 {
            return Ok(None);
        }
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.trace_id.finish()),
            Arc::new(self.start_time.finish().with_timezone("UTC")),
            Arc::new(self.start_nanos.finish()),
            Arc::new(self.duration_ns.finish()),
            Arc::new(self.root_service.finish()),
            Arc::new(self.root_name.finish()),
            Arc::new(self.span_count.finish()),
            Arc::new(self.error_count.finish()),
            Arc::new(self.services.finish()),
            Arc::new(self.kept.finish()),
            Arc::new(self.keep_reason.finish()),
            Arc::new(self.adjusted_count.finish()),
            Arc::new(self.trace_complete.finish()),
            Arc::new(self.head_count.finish()),
            Arc::new(self.class.finish()),
            Arc::new(self.shape.finish()),
            Arc::new(self.policy_revision.finish()),
        ];
        // What builders took in advance is a hundred times what a few traces need.
        for column in &mut columns {
            use arrow::array::Array;
            column.shrink_to_fit();
        }
        Ok(Some(RecordBatch::try_new(schema::stored(), columns)?))
    }
}
