//! The row of `traces` for each decided trace.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryViewBuilder, BooleanBuilder, Float64Builder, Int32Builder, Int64Builder, ListBuilder, RecordBatch,
    StringBuilder, StringViewBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field};

use super::{TraceRows, TraceShape};
use crate::Result;
use crate::model::{SpanColumns, shrunk};
use crate::schema::traces as schema;

/// A row for each trace that is not late: a trace has one digest, which shows it as it was decided.
pub(super) fn rows(
    columns: &SpanColumns<'_>,
    traces: &[TraceRows],
    shapes: &[TraceShape],
) -> Result<Option<RecordBatch>> {
    let text = || StringViewBuilder::new().with_deduplicate_strings();
    let mut trace_id = BinaryViewBuilder::new();
    let mut start_time = TimestampMicrosecondBuilder::new();
    let mut start_nanos = Int32Builder::new();
    let mut duration_ns = Int64Builder::new();
    let mut root_service = text();
    let mut root_name = text();
    let mut span_count = Int64Builder::new();
    let mut error_count = Int64Builder::new();
    let item = Field::new("element", DataType::Utf8, false);
    let mut services = ListBuilder::new(StringBuilder::new()).with_field(Arc::new(item));
    let mut kept = BooleanBuilder::new();
    let mut keep_reason = text();
    let mut adjusted_count = Float64Builder::new();
    let mut trace_complete = BooleanBuilder::new();

    for (trace, shape) in traces.iter().zip(shapes) {
        let rows = trace.rows.clone();
        let Some(id) = rows.clone().next().and_then(|row| columns.trace_id(row)) else { continue };
        if trace.late.is_some() {
            continue;
        }
        let start = rows.clone().map(|row| columns.start(row)).min().unwrap_or_default();
        let end = rows.clone().map(|row| columns.end(row)).max().unwrap_or_default();
        trace_id.append_value(id.as_bytes());
        start_time.append_value(start.micros());
        start_nanos.append_value(start.remainder());
        duration_ns.append_value(end.since(start));
        root_service.append_option(shape.root.map(|row| columns.service_name.value(row)));
        root_name.append_option(shape.root.map(|row| columns.span_name.value(row)));
        span_count.append_value(rows.len() as i64);
        error_count.append_value(rows.clone().filter(|&row| columns.is_error(row)).count() as i64);
        for service in rows.map(|row| columns.service_name.value(row)).collect::<BTreeSet<_>>() {
            services.values().append_value(service);
        }
        services.append(true);
        kept.append_value(trace.verdict.keep);
        keep_reason.append_value(&trace.verdict.keep_reason);
        adjusted_count.append_option(trace.verdict.adjusted_count);
        trace_complete.append_value(shape.complete);
    }

    let columns: Vec<ArrayRef> = vec![
        Arc::new(trace_id.finish()),
        Arc::new(start_time.finish().with_timezone("UTC")),
        Arc::new(start_nanos.finish()),
        Arc::new(duration_ns.finish()),
        Arc::new(root_service.finish()),
        Arc::new(root_name.finish()),
        Arc::new(span_count.finish()),
        Arc::new(error_count.finish()),
        Arc::new(services.finish()),
        Arc::new(kept.finish()),
        Arc::new(keep_reason.finish()),
        Arc::new(adjusted_count.finish()),
        Arc::new(trace_complete.finish()),
    ];
    let batch = RecordBatch::try_new(schema::stored(), shrunk(columns))?;
    Ok((batch.num_rows() > 0).then_some(batch))
}
