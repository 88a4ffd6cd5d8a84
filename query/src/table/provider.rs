//! A stored table: rows in memory ∪ segments. Planning reads no file: sizes, row counts and start times are in the
//! snapshot.
//!
//! The provider takes every filter for its own and puts it over each leg, so that a filter that the Parquet reader can
//! evaluate is pushed into that leg although the other has to filter row by row.

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
use storage::schema::Table;
use storage::{MemoryPart, Snapshot, TableSnapshot};

use super::traces::named_traces;
use super::{memory, segments};
use crate::semantics::can_fail_by_value;

#[derive(Debug)]
pub(crate) struct SnapshotTable {
    table: Table,
    schema: SchemaRef,
    snapshot: Arc<Snapshot>,
}

impl SnapshotTable {
    pub(crate) fn new(table: Table, snapshot: Arc<Snapshot>) -> Self {
        Self { table, schema: table.schema(), snapshot }
    }

    fn rows(&self) -> &TableSnapshot {
        self.snapshot.table(self.table)
    }

    /// The rows in memory that can match `filters`, spread over at most `partitions`.
    fn memory_leg(
        &self,
        columns: &[usize],
        filters: &[Expr],
        partitions: usize,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let traces = named_traces(filters);
        let rows = self.rows().memory.iter().filter(|rows| rows.row_count() > 0);
        let parts: Vec<MemoryPart> = rows.flat_map(|rows| rows.parts(columns, traces.as_ref())).collect();
        if parts.is_empty() {
            return Ok(None);
        }
        Ok(Some(memory::scan(self.table, Arc::new(self.schema.project(columns)?), columns, parts, partitions)))
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
        // A table's filters name it as the query does; its own schema has no name.
        let filter = conjunction(filters.iter().cloned()).map(unnormalize_col);
        let over = |schema: &SchemaRef| -> Result<Option<Arc<dyn PhysicalExpr>>> {
            let schema = DFSchema::try_from(Arc::clone(schema))?;
            filter.clone().map(|filter| state.create_physical_expr(filter, &schema)).transpose()
        };
        let (predicate, whole) = (over(&read)?, over(&self.schema)?);
        // The Parquet reader keeps only the text of an error in its filter, and with it no kind.
        let pushdown = self.table == Table::Spans && !filters.iter().any(can_fail_by_value);
        let partitions = state.config().target_partitions().max(1);
        let segments =
            segments::scan(&self.schema, &self.rows().segments, &columns, whole.as_ref(), pushdown, partitions)?;
        let legs = [self.memory_leg(&columns, filters, partitions)?, segments];
        let mut filtered = legs
            .into_iter()
            .flatten()
            .map(|leg| finish(leg, predicate.as_ref(), wanted.len(), columns.len()))
            .collect::<Result<Vec<_>>>()?;
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
