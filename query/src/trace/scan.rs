//! The plans behind a trace. They are always the same, so no SQL is parsed, planned and optimized for them.

use std::sync::Arc;

use arrow::compute::SortOptions;
use datafusion::common::DataFusionError;
use datafusion::physical_expr::expressions::col;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use storage::model::TraceId;
use storage::schema::Table;

use crate::engine::Planned;
use crate::error::Result;
use crate::session::Tables;
use crate::table::Output;

/// What `SpanSummary` is made of.
const SPANS: [Output; 17] = [
    Output::Column("span_id"),
    Output::Column("parent_span_id"),
    Output::Column("service_name"),
    Output::Column("span_name"),
    Output::Column("kind"),
    Output::Column("status_code"),
    Output::Column("status_message"),
    Output::Column("exception_type"),
    Output::Column("start_time"),
    Output::Column("start_nanos"),
    Output::Column("duration_ns"),
    Output::Column("depth"),
    Output::Column("self_ns"),
    Output::Column("is_root"),
    Output::Column("is_entry"),
    Output::Length { name: "event_count", list: "events", field: "time_nanos" },
    Output::Length { name: "link_count", list: "links", field: "flags" },
];

const ORDER: [&str; 3] = ["start_time", "start_nanos", "span_id"];

const DIGEST: [Output; 16] = [
    Output::Column("trace_id"),
    Output::Column("start_time"),
    Output::Column("start_nanos"),
    Output::Column("duration_ns"),
    Output::Column("root_service"),
    Output::Column("root_name"),
    Output::Column("span_count"),
    Output::Column("error_count"),
    Output::Column("services"),
    Output::Column("kept"),
    Output::Column("keep_reason"),
    Output::Column("class"),
    Output::Column("adjusted_count"),
    Output::Column("head_count"),
    Output::Column("policy_revision"),
    Output::Column("trace_complete"),
];

/// What `SpanSummary` is made of, in SQL.
pub(crate) fn columns_in_sql() -> String {
    let column = |output: &Output| match output {
        Output::Column(name) => (*name).to_owned(),
        Output::Length { name, list, .. } => format!("coalesce(array_length({list}), 0) AS {name}"),
    };
    SPANS.iter().map(column).collect::<Vec<_>>().join(", ")
}

/// The first spans by start; one more than `limit` where there are more.
pub(super) fn spans(tables: &Tables, trace: &TraceId, limit: usize) -> Result<Planned> {
    let rows = whole(tables.table(Table::Spans).of_trace(tables.state(), trace, &SPANS)?);
    let schema = rows.schema();
    let key = |name| {
        Ok(PhysicalSortExpr::new(col(name, &schema)?, SortOptions { nulls_first: false, ..SortOptions::default() }))
    };
    let keys = ORDER.into_iter().map(key).collect::<Result<Vec<_>, DataFusionError>>()?;
    let plan: Arc<dyn ExecutionPlan> = match LexOrdering::new(keys) {
        Some(order) => Arc::new(SortExec::new(order, rows).with_fetch(Some(limit.saturating_add(1)))),
        None => rows,
    };
    Ok(tables.planned(Table::Spans, plan))
}

/// The trace's rows of `traces`, in no order.
pub(super) fn digest(tables: &Tables, trace: &TraceId) -> Result<Planned> {
    let rows = tables.table(Table::Traces).of_trace(tables.state(), trace, &DIGEST)?;
    Ok(tables.planned(Table::Traces, whole(rows)))
}

fn whole(plan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    if plan.output_partitioning().partition_count() > 1 { Arc::new(CoalescePartitionsExec::new(plan)) } else { plan }
}
