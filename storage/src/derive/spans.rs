//! The derived and sampling columns of `spans`, behind the received ones.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int32Builder, Int64Builder, RecordBatch, StringViewBuilder, UInt64Array,
};
use arrow::compute::take_record_batch;

use super::{RootNames, TraceRows, TraceShape};
use crate::Result;
use crate::model::{SpanColumns, shrunk};
use crate::schema::spans as schema;

/// All columns of the kept traces' rows.
pub(super) fn rows(
    received: &RecordBatch,
    columns: &SpanColumns<'_>,
    traces: &[TraceRows],
    shapes: &[TraceShape],
    roots: &[Option<RootNames>],
) -> Result<Option<RecordBatch>> {
    let kept: usize = traces.iter().filter(|trace| trace.verdict.keep).map(|trace| trace.rows.len()).sum();
    if kept == 0 {
        return Ok(None);
    }
    let text = || StringViewBuilder::new().with_deduplicate_strings();
    let mut is_root = BooleanBuilder::with_capacity(kept);
    let mut is_entry = BooleanBuilder::with_capacity(kept);
    let mut depth = Int32Builder::with_capacity(kept);
    let mut parent_service = text();
    let mut root_service = text();
    let mut root_name = text();
    let mut self_ns = Int64Builder::with_capacity(kept);
    let mut adjusted_count = Float64Builder::with_capacity(kept);
    let mut keep_reason = text();
    let mut policy_revision = Int64Builder::with_capacity(kept);
    let mut trace_complete = BooleanBuilder::with_capacity(kept);

    for ((trace, shape), root) in traces.iter().zip(shapes).zip(roots) {
        if !trace.verdict.keep {
            continue;
        }
        for span in &shape.spans {
            is_root.append_value(span.is_root);
            is_entry.append_value(span.is_entry);
            depth.append_option(span.depth);
            parent_service.append_option(span.parent.map(|row| columns.service_name.value(row)));
            root_service.append_option(root.as_ref().map(|root| &*root.service));
            root_name.append_option(root.as_ref().map(|root| &*root.name));
            self_ns.append_value(span.self_ns);
            adjusted_count.append_option(trace.verdict.adjusted_count);
            keep_reason.append_value(&trace.verdict.keep_reason);
            policy_revision.append_value(trace.verdict.policy_revision);
            trace_complete.append_value(shape.complete);
        }
    }

    let received = if kept == received.num_rows() {
        received.clone()
    } else {
        let rows = traces.iter().filter(|trace| trace.verdict.keep).flat_map(|trace| trace.rows.clone());
        take_record_batch(received, &UInt64Array::from_iter_values(rows.map(|row| row as u64)))?
    };
    let derived: Vec<ArrayRef> = vec![
        Arc::new(is_root.finish()),
        Arc::new(is_entry.finish()),
        Arc::new(depth.finish()),
        Arc::new(parent_service.finish()),
        Arc::new(root_service.finish()),
        Arc::new(root_name.finish()),
        Arc::new(self_ns.finish()),
        Arc::new(adjusted_count.finish()),
        Arc::new(keep_reason.finish()),
        Arc::new(policy_revision.finish()),
        Arc::new(trace_complete.finish()),
    ];
    let columns = received.columns().iter().cloned().chain(shrunk(derived)).collect();
    Ok(Some(RecordBatch::try_new(schema::stored(), columns)?))
}
