//! A stored table: rows in memory ∪ segments. Planning reads no file: sizes, row counts and start times are in the
//! snapshot.
//!
//! The provider takes every filter for its own and puts it over each leg, so that a filter that the Parquet reader can
//! evaluate is pushed into that leg although the other has to filter row by row. Segments that have a used attribute in a
//! column of its own, and those that have it in maps, are legs of their own, each with the filter as it is there.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::{Fields, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::datasource::{TableProvider, TableType};
use datafusion::logical_expr::expr_rewriter::unnormalize_col;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::union::UnionExec;
use object_store::ObjectStore;
use storage::model::TraceId;
use storage::schema::Table;
use storage::schema::promoted::{Promoted, Scope};
use storage::trace_index::Found;
use storage::{MemoryPart, Segment, Snapshot, TableSnapshot};

use super::computed::Computed;
use super::known_traces::KnownTraces;
use super::leg::{Leg, Wanted};
use super::promoted::{Layout, used_keys};
use super::readers::SegmentReaders;
use super::segments::Scan;
use super::traces::{named_traces, only_names_traces};
use super::{memory, segments};
use crate::semantics::{can_fail_by_value, without_text};

#[derive(Debug, Clone)]
pub(crate) struct SnapshotTable {
    table: Table,
    /// What queries can name, and what is computed for them.
    schema: SchemaRef,
    /// The table's own columns and those of promoted attributes, which only segments have.
    stored: SchemaRef,
    /// The same as far as segments are read: of lists that are only counted, one field.
    in_segments: SchemaRef,
    /// Columns after the table's own, which each leg computes.
    computed: Vec<Computed>,
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
        let schema = table.schema();
        let promoted = snapshot.table(table).promoted.iter().map(Promoted::field).map(Arc::new);
        let stored = Arc::new(Schema::new(schema.fields().iter().cloned().chain(promoted).collect::<Fields>()));
        let in_segments = Arc::clone(&stored);
        Self { table, schema, stored, in_segments, computed: Vec::new(), snapshot, traces, store }
    }

    /// Whether something can be computed of the table's own column with this name that spares reading all of it.
    pub(crate) fn computes(&self, column: &str) -> bool {
        !self.rows().promoted.is_empty() && Scope::ALL.iter().any(|scope| scope.column() == column)
    }

    pub(crate) fn computed(&self) -> &[Computed] {
        &self.computed
    }

    pub(crate) fn column_count(&self) -> usize {
        self.schema.fields().len()
    }

    /// The same table with one more column at its end.
    pub(crate) fn with_computed(&self, computed: Computed) -> Self {
        let fields = self.schema.fields().iter().chain([&computed.field]).cloned().collect::<Fields>();
        let mut table = Self { schema: Arc::new(Schema::new(fields)), ..self.clone() };
        table.computed.push(computed);
        table
    }

    fn output(&self, name: &str) -> Expr {
        let computed = self.computed.iter().find(|computed| computed.field.name() == name);
        computed.map_or_else(|| Expr::Column(Column::new_unqualified(name)), |computed| computed.expr.clone())
    }

    /// A filter over the table's own columns. The query's filters name the table, whose own schema has no name.
    fn own(&self, filter: &Expr) -> Result<Expr> {
        let filter = unnormalize_col(filter.clone());
        if self.computed.is_empty() {
            return Ok(filter);
        }
        let own = filter.transform_up(|expr| {
            Ok(match expr {
                Expr::Column(column) => Transformed::yes(self.output(&column.name)),
                expr => Transformed::yes(without_text(expr)),
            })
        });
        Ok(own?.data)
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

/// What a leg over segments reads of them.
enum Source {
    Rows(Vec<(Arc<Segment>, Vec<u32>)>),
    Whole(Vec<Arc<Segment>>),
}

/// Where a query's traces are.
struct Sought {
    /// Segments that have to be searched.
    searched: Vec<Arc<Segment>>,
    rows: Vec<(Arc<Segment>, Vec<u32>)>,
}

impl SnapshotTable {
    /// The same table, of whose segments no more is read than what this schema has. It has the names of all columns.
    pub(super) fn read_as(&self, in_segments: SchemaRef) -> Self {
        Self { in_segments, ..self.clone() }
    }

    /// The columns of segments.
    pub(super) fn stored(&self) -> &SchemaRef {
        &self.stored
    }

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

    /// What gives `outputs`, expressions over the table's own columns, for the rows that `filters` let through: memory first.
    pub(super) fn legs(
        &self,
        state: &dyn Session,
        outputs: Vec<(String, Expr)>,
        filters: &[Expr],
    ) -> Result<Vec<Arc<dyn ExecutionPlan>>> {
        let traces = named_traces(filters);
        let whole = conjunction(filters.iter().filter(|filter| segments::can_prune(filter)).cloned())
            .map(|filter| state.create_physical_expr(filter, &DFSchema::try_from(Arc::clone(&self.schema))?))
            .transpose()?;
        let live = segments::live(&self.schema, &self.rows().segments, whole.as_ref())?;
        let Sought { searched, rows } = self.sought(live, traces.as_ref());
        let own = self.table.schema().fields().len();
        let in_memory = Wanted { state, stored: &self.stored, own, outputs };
        let wanted = Wanted { stored: &self.in_segments, ..in_memory.clone() };
        // Of known rows of one trace its id is known, too, and the column need not be read with a dictionary of all others.
        let of_known = match traces.as_ref().map(|traces| traces.iter().collect::<Vec<_>>()).as_deref() {
            Some([trace]) => wanted.of_trace(trace)?,
            _ => wanted.clone(),
        };
        let keys = used_keys(wanted.outputs.iter().map(|(_, output)| output).chain(filters));
        let promoted = &self.rows().promoted;
        let partitions = state.config().target_partitions().max(1);
        let footers = state.runtime_env().cache_manager.get_file_metadata_cache();
        let readers = Arc::new(SegmentReaders::new(Arc::clone(&self.store), footers));
        // The Parquet reader keeps only the text of an error in its filter, and with it no kind.
        let pushdown = self.table == Table::Spans && !filters.iter().any(can_fail_by_value);
        let mut legs = Vec::new();
        if let Some(leg) = in_memory.over(&Layout::maps(), filters.iter())?
            && let Some(scan) = self.memory_leg(&leg.columns, traces.as_ref(), partitions)?
        {
            legs.push(leg.finish(scan)?);
        }
        let scan_of = |leg: &Leg, source: Source| {
            let readers = Arc::clone(&readers);
            let scan = Scan { table: self.table, schema: &leg.schema, columns: &leg.columns, partitions, readers };
            match source {
                Source::Rows(rows) => scan.rows(rows),
                Source::Whole(segments) => scan.whole(&segments, pushdown),
            }
        };
        let grouped_rows = Layout::grouped(rows, |(segment, _)| segment, promoted, &keys).into_iter();
        let grouped = Layout::grouped(searched, |segment| segment, promoted, &keys).into_iter();
        let sources = grouped_rows
            .map(|(layout, rows)| (layout, Source::Rows(rows)))
            .chain(grouped.map(|(layout, segments)| (layout, Source::Whole(segments))));
        for (layout, source) in sources {
            let is_known = matches!(source, Source::Rows(_));
            let asked = filters.iter().filter(|filter| !(is_known && only_names_traces(filter)));
            let wanted = if is_known { &of_known } else { &wanted };
            if let Some(leg) = wanted.over(&layout, asked)?
                && let Some(scan) = scan_of(&leg, source)?
            {
                legs.push(leg.finish(scan)?);
            }
        }
        Ok(legs)
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
        let given = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => Arc::clone(&self.schema),
        };
        let outputs = given.fields().iter().map(|field| (field.name().clone(), self.output(field.name()))).collect();
        let filters = filters.iter().map(|filter| self.own(filter)).collect::<Result<Vec<_>>>()?;
        let mut legs = self.legs(state, outputs, &filters)?;
        match legs.len() {
            0 => Ok(Arc::new(EmptyExec::new(given))),
            1 => Ok(legs.remove(0)),
            _ => UnionExec::try_new(legs),
        }
    }
}
