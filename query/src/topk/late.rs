//! Reads the rows in the places that its input names.

use std::fmt;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, SchemaRef, UInt32Type};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, internal_datafusion_err, internal_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileScanConfig, FileSource, ParquetFileReaderFactory, ParquetSource};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::ProjectionExpr;
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    Boundedness, ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions,
};
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder, MetricValue, MetricsSet};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
};
use futures::{StreamExt, TryStreamExt};
use storage::Segment;
use storage::schema::Table;

use super::first::First;
use super::scan::row_count;
use crate::table::{OfSegment, scan_places, scan_rows};

const BYTES_SCANNED: &str = "bytes_scanned";

/// What is read of the rows.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    table: Table,
    readers: Arc<dyn ParquetFileReaderFactory>,
    /// By the number that places have for them, with their numbers of rows.
    segments: Arc<[(Arc<Segment>, usize)]>,
    read: SchemaRef,
    /// What is made of the columns that are read; `None` where they are what is wanted.
    projection: Option<Arc<[ProjectionExpr]>>,
    schema: SchemaRef,
    /// What holds for all rows of the whole scan, as that its filter lets one value of a column through: the plan above may
    /// rest on it.
    known: EquivalenceProperties,
}

impl Rows {
    /// What `config` reads of these files, without its filter; `None` if they are not segments.
    pub(super) fn new(
        config: &FileScanConfig,
        source: &ParquetSource,
        files: &[PartitionedFile],
        mut known: EquivalenceProperties,
    ) -> Result<Option<Self>> {
        known.clear_orderings();
        let projection = source.projection();
        let Some((projection, readers)) = projection.zip(source.parquet_file_reader_factory()) else { return Ok(None) };
        let segment = |file: &PartitionedFile| {
            let of = file.extensions.get::<OfSegment>()?;
            Some((of.table, (Arc::clone(&of.segment), row_count(file)?)))
        };
        let segments: Option<Vec<_>> = files.iter().map(segment).collect();
        let Some((table, segments)) = segments.and_then(|segments| {
            let (tables, segments): (Vec<Table>, Vec<_>) = segments.into_iter().unzip();
            Some((*tables.first()?, segments))
        }) else {
            return Ok(None);
        };
        let mut columns: Vec<usize> = Vec::new();
        for column in projection.iter().flat_map(|output| sorted_columns(&output.expr)) {
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        let read = Arc::new(source.table_schema().file_schema().project(&columns)?);
        let schema = config.projected_schema()?;
        let is_read = |(place, output): (usize, &ProjectionExpr)| {
            let column = output.expr.downcast_ref::<Column>();
            column.is_some_and(|column| columns.get(place) == Some(&column.index()) && column.name() == output.alias)
        };
        let made = |output: &ProjectionExpr| {
            let expr = reassign_expr_columns(Arc::clone(&output.expr), &read)?;
            Ok(ProjectionExpr { expr, alias: output.alias.clone() })
        };
        let projection = match projection.iter().enumerate().all(is_read) {
            true => None,
            false => Some(projection.iter().map(made).collect::<Result<_>>()?),
        };
        let readers = Arc::clone(readers);
        Ok(Some(Self { table, readers, segments: segments.into(), read, projection, schema, known }))
    }

    /// A scan of these rows.
    fn scan(&self, places: &[Place]) -> Result<Arc<dyn ExecutionPlan>> {
        let mut segments = self.by_segment(places)?;
        segments.retain(|(_, rows)| !rows.is_empty());
        Ok(scan_rows(self.table, Arc::clone(&self.read), segments, 1, Arc::clone(&self.readers)))
    }

    /// A scan of these columns of these rows, and of their places.
    pub(super) fn places(&self, columns: &SchemaRef, places: &[Place]) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(scan_places(self.table, Arc::clone(columns), self.by_segment(places)?, Arc::clone(&self.readers)))
    }

    /// The rows of each segment, ascending.
    fn by_segment(&self, places: &[Place]) -> Result<Vec<(Arc<Segment>, Vec<u32>)>> {
        let mut segments: Vec<_> = self.segments.iter().map(|(segment, _)| (Arc::clone(segment), Vec::new())).collect();
        for Place { segment: number, row } in places {
            let Some((segment, rows)) = segments.get_mut(*number) else {
                return internal_err!("a row lies in segment {number} of {}", self.segments.len());
            };
            let count = self.segments.get(*number).map_or(0, |(_, count)| *count);
            match u32::try_from(*row) {
                Ok(of_segment) if *row < count => rows.push(of_segment),
                _ => return internal_err!("a row lies beyond the {count} rows of {}", segment.location),
            }
        }
        segments.iter_mut().for_each(|(_, rows)| rows.sort_unstable());
        Ok(segments)
    }

    /// What is wanted of such a scan.
    fn projected(&self, scan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        match &self.projection {
            Some(projection) => Ok(Arc::new(ProjectionExec::try_new(projection.iter().cloned(), scan)?)),
            None => Ok(scan),
        }
    }
}

fn sorted_columns(expr: &Arc<dyn PhysicalExpr>) -> Vec<usize> {
    let mut columns: Vec<usize> = collect_columns(expr).into_iter().map(|column| column.index()).collect();
    columns.sort_unstable();
    columns
}

/// Where a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// By its number among the segments of [`Rows`].
    pub(super) segment: usize,
    pub(super) row: usize,
}

/// Gives rows whole of which its input gives the places, in any order. Of `first` the input gives the key as well, and only those that
/// may be first are read.
#[derive(Debug)]
pub(crate) struct LateRowsExec {
    rows: Rows,
    first: Option<First>,
    places: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl LateRowsExec {
    pub(super) fn new(rows: Rows, first: Option<First>, places: Arc<dyn ExecutionPlan>) -> Self {
        let partitions = places.output_partitioning().partition_count();
        let properties = PlanProperties::new(
            rows.known.clone(),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self { rows, first, places, properties: Arc::new(properties), metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl DisplayAs for LateRowsExec {
    fn fmt_as(&self, _: DisplayFormatType, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<&str> = self.rows.schema.fields().iter().map(|field| field.name().as_str()).collect();
        write!(out, "LateRowsExec: columns=[{}]", columns.join(", "))?;
        match &self.first {
            Some(first) => write!(out, ", first={} by {}", first.fetch, first.order),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for LateRowsExec {
    fn name(&self) -> &str {
        "LateRowsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.places]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match <[_; 1]>::try_from(children) {
            Ok([places]) => Ok(Arc::new(Self::new(self.rows.clone(), self.first.clone(), places))),
            Err(children) => internal_err!("LateRowsExec has one input, not {}", children.len()),
        }
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, task: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let places = self.places.execute(partition, Arc::clone(&task))?;
        let (rows, first) = (self.rows.clone(), self.first.clone());
        let scanned = MetricBuilder::new(&self.metrics).counter(BYTES_SCANNED, partition);
        let read = async move {
            let found = match &first {
                Some(first) => first.of(places, &rows, &task).await?,
                None => {
                    let found = places.map(|batch| places_of(&batch?)).try_collect::<Vec<_>>().await?;
                    found.concat()
                }
            };
            if found.is_empty() {
                return Ok::<_, DataFusionError>(futures::stream::empty().boxed());
            }
            let scan = rows.scan(&found)?;
            let batches = rows.projected(Arc::clone(&scan))?.execute(0, task)?;
            Ok(batches.inspect(move |_| count_bytes(&scan, &scanned)).boxed())
        };
        let stream = futures::stream::once(read).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.rows.schema), stream)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// The last two columns.
pub(super) fn places_of(batch: &RecordBatch) -> Result<Vec<Place>> {
    let [.., segments, rows] = batch.columns() else { return internal_err!("rows without places") };
    let segments = segments.as_primitive_opt::<UInt32Type>();
    let rows = rows.as_primitive_opt::<Int64Type>();
    let (segments, rows) = segments.zip(rows).ok_or_else(|| internal_datafusion_err!("places of other types"))?;
    let place = |(segment, row): (&u32, &i64)| {
        let row = usize::try_from(*row).map_err(|_| internal_datafusion_err!("a row below zero"))?;
        Ok(Place { segment: *segment as usize, row })
    };
    segments.values().iter().zip(rows.values()).map(place).collect()
}

/// The scan is not part of the plan, but what it reads is part of what the plan costs.
fn count_bytes(scan: &Arc<dyn ExecutionPlan>, to: &Count) {
    let metrics = scan.metrics().unwrap_or_default();
    let bytes = metrics.iter().filter_map(|metric| match metric.value() {
        MetricValue::Count { name, count } if name == BYTES_SCANNED => Some(count.value()),
        _ => None,
    });
    to.add(bytes.sum::<usize>().saturating_sub(to.value()));
}
