//! A stored table: rows in memory ∪ segments. Planning reads no file: sizes, row counts and start times are in the
//! snapshot.
//!
//! The provider takes every filter for its own and puts it over each leg, so that a filter that the Parquet reader can
//! evaluate is pushed into that leg although the other has to filter row by row.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, Result};
use datafusion::datasource::{TableProvider, TableType};
use datafusion::logical_expr::expr_rewriter::unnormalize_col;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::filter::FilterExecBuilder;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::union::UnionExec;
use object_store::ObjectStore;
use storage::model::TraceId;
use storage::schema::Table;
use storage::trace_index::Found;
use storage::{MemoryPart, Segment, Snapshot, TableSnapshot};

use super::known_traces::KnownTraces;
use super::readers::SegmentReaders;
use super::segments::Scan;
use super::traces::{named_traces, only_names_traces};
use super::{memory, segments};
use crate::semantics::can_fail_by_value;

#[derive(Debug)]
pub(crate) struct SnapshotTable {
    table: Table,
    schema: SchemaRef,
    snapshot: Arc<Snapshot>,
    traces: Arc<KnownTraces>,
    store: Arc<dyn ObjectStore>,
}

impl SnapshotTable {
    pub(crate) fn new(
        table: Table,
        snapshot: Arc<Snapshot>,
        traces: Arc<KnownTraces>,
        store: Arc<dyn ObjectStore>,
    ) -> Self {
        Self { table, schema: table.schema(), snapshot, traces, store }
    }

    fn rows(&self) -> &TableSnapshot {
        self.snapshot.table(self.table)
    }

    /// The rows in memory, of `traces` alone if any are named, spread over at most `partitions`.
    fn memory_leg(
        &self,
        columns: &[usize],
        traces: Option<&HashSet<TraceId>>,
        partitions: usize,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let rows = self.rows().memory.iter().filter(|rows| rows.row_count() > 0);
        let parts: Vec<MemoryPart> = rows.flat_map(|rows| rows.parts(columns, traces)).collect();
        if parts.is_empty() {
            return Ok(None);
        }
        Ok(Some(memory::scan(self.table, Arc::new(self.schema.project(columns)?), columns, parts, partitions)))
    }
}

/// Where a query's traces are.
struct Sought {
    /// Segments that have to be searched.
    searched: Vec<Arc<Segment>>,
    rows: Vec<(Arc<Segment>, Vec<u32>)>,
}

impl SnapshotTable {
    /// Leaves out the segments that have none of the named traces.
    fn sought(&self, live: Vec<Arc<Segment>>, traces: Option<&HashSet<TraceId>>) -> Sought {
        let Some(traces) = traces else { return Sought { searched: live, rows: Vec::new() } };
        let mut sought = Sought { searched: Vec::new(), rows: Vec::new() };
        for segment in live {
            match self.traces.find(&segment, traces) {
                Found::Nothing => {}
                Found::Rows(rows) => sought.rows.push((segment, rows)),
                Found::Unknown | Found::Some => sought.searched.push(segment),
            }
        }
        self.traces.follow(&self.snapshot);
        sought
    }
}

#[async_trait]
impl TableProvider for SnapshotTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(filters.iter().map(|_| TableProviderFilterPushDown::Exact).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let wanted: Vec<usize> = match projection {
            Some(columns) => columns.clone(),
            None => (0..self.schema.fields().len()).collect(),
        };
        // A filter's columns need not be among the wanted ones; they are read too and cut off above the filter.
        let mut columns = wanted.clone();
        for filter in filters {
            for column in filter.column_refs() {
                let index = self.schema.index_of(&column.name)?;
                if !columns.contains(&index) {
                    columns.push(index);
                }
            }
        }
        let read = Arc::new(self.schema.project(&columns)?);
        let over = |filters: &mut dyn Iterator<Item = &Expr>, schema: &SchemaRef| {
            // A table's filters name it as the query does; its own schema has no name.
            let filter = conjunction(filters.cloned()).map(unnormalize_col);
            let schema = DFSchema::try_from(Arc::clone(schema))?;
            filter.map(|filter| state.create_physical_expr(filter, &schema)).transpose()
        };
        let (predicate, whole) = (over(&mut filters.iter(), &read)?, over(&mut filters.iter(), &self.schema)?);
        let traces = named_traces(filters);
        let live = segments::live(&self.schema, &self.rows().segments, whole.as_ref())?;
        let Sought { searched, rows } = self.sought(live, traces.as_ref());
        let partitions = state.config().target_partitions().max(1);
        let footers = state.runtime_env().cache_manager.get_file_metadata_cache();
        let readers = Arc::new(SegmentReaders::new(Arc::clone(&self.store), footers));
        let scan = Scan { schema: &self.schema, columns: &columns, partitions, readers };
        // The Parquet reader keeps only the text of an error in its filter, and with it no kind.
        let pushdown = self.table == Table::Spans && !filters.iter().any(can_fail_by_value);
        let beyond_traces = over(&mut filters.iter().filter(|filter| !only_names_traces(filter)), &read)?;
        let legs = [
            (self.memory_leg(&columns, traces.as_ref(), partitions)?, &predicate),
            (scan.rows(rows)?, &beyond_traces),
            (scan.whole(&searched, pushdown)?, &predicate),
        ];
        let mut filtered = Vec::new();
        for (leg, predicate) in legs {
            if let Some(leg) = leg {
                filtered.push(finish(leg, predicate.as_ref(), wanted.len(), columns.len())?);
            }
        }
        match filtered.len() {
            0 => Ok(Arc::new(EmptyExec::new(Arc::new(self.schema.project(&wanted)?)))),
            1 => Ok(filtered.remove(0)),
            _ => UnionExec::try_new(filtered),
        }
    }
}

/// The filter over a leg, and above it only the first `wanted` of its columns.
fn finish(
    leg: Arc<dyn ExecutionPlan>,
    predicate: Option<&Arc<dyn PhysicalExpr>>,
    wanted: usize,
    read: usize,
) -> Result<Arc<dyn ExecutionPlan>> {
    let leg = match predicate {
        Some(predicate) => Arc::new(FilterExecBuilder::new(Arc::clone(predicate), leg).build()?),
        None => leg,
    };
    if wanted == read {
        return Ok(leg);
    }
    let schema = leg.schema();
    let kept = schema.fields().iter().take(wanted).enumerate().map(|(index, field)| {
        (Arc::new(Column::new(field.name(), index)) as Arc<dyn PhysicalExpr>, field.name().clone())
    });
    Ok(Arc::new(ProjectionExec::try_new(kept.collect::<Vec<_>>(), leg)?))
}
