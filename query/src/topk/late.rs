//! Reads the rows in the places that its input names.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, SchemaRef, UInt32Type};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, Statistics, internal_datafusion_err, internal_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::ParquetRowSelection;
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfig, FileScanConfigBuilder, FileSource, ParquetFileReaderFactory, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    Boundedness, ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions,
};
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder, MetricValue, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
};
use futures::{StreamExt, TryStreamExt};
use storage::Segment;

use super::places::same_reader;
use super::scan::row_count;
use crate::table::{OfSegment, reads, scan_rows, selection};

const BYTES_SCANNED: &str = "bytes_scanned";

/// What is read of the rows.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    scan: FileScanConfig,
    /// The readers of plain columns, if no more than these are read.
    readers: Option<Arc<dyn ParquetFileReaderFactory>>,
    /// By the number that places have for them.
    files: Arc<[PartitionedFile]>,
    schema: SchemaRef,
    /// What holds for all rows of the whole scan, as that its filter lets one value of a column through: the plan above may
    /// rest on it.
    known: EquivalenceProperties,
}

impl Rows {
    /// What `config` reads, without its filter; `None` if it reads no columns by name.
    pub(super) fn new(
        config: &FileScanConfig,
        source: &ParquetSource,
        files: Vec<PartitionedFile>,
        mut known: EquivalenceProperties,
    ) -> Result<Option<Self>> {
        known.clear_orderings();
        let Some(projection) = source.projection() else { return Ok(None) };
        let plain = same_reader(source, source.table_schema().clone()).with_pushdown_filters(false);
        let Some(plain) = plain.try_pushdown_projection(projection)? else { return Ok(None) };
        let schema = config.projected_schema()?;
        let scan = FileScanConfigBuilder::new(config.object_store_url.clone(), plain).build();
        let names = projection.iter().map(|output| Some(output.expr.downcast_ref::<Column>()?.name() == output.alias));
        let is_plain = names.into_iter().all(|is_plain| is_plain == Some(true)) && reads(&schema);
        let readers = source.parquet_file_reader_factory().filter(|_| is_plain).cloned();
        Ok(Some(Self { scan, readers, files: files.into(), schema, known }))
    }

    /// A scan of these rows; `places` are the rows of files.
    fn scan(&self, places: BTreeMap<usize, Vec<usize>>) -> Result<Arc<dyn ExecutionPlan>> {
        let mut files = Vec::with_capacity(places.len());
        for (number, mut rows) in places {
            let file = self.files.get(number);
            let Some((file, count)) = file.and_then(|file| Some((file, row_count(file)?))) else {
                return internal_err!("a row lies in segment {number} of {}", self.files.len());
            };
            rows.sort_unstable();
            if rows.last().is_some_and(|last| *last >= count) {
                return internal_err!("a row lies beyond the {count} rows of {}", file.object_meta.location);
            }
            files.push((file, rows, count));
        }
        let table = self.files.first().and_then(|file| Some(file.extensions.get::<OfSegment>()?.table));
        if let Some((readers, table)) = self.readers.as_ref().zip(table)
            && let Some(segments) = files.iter().map(of_segment).collect()
        {
            return Ok(scan_rows(table, Arc::clone(&self.schema), segments, 1, Arc::clone(readers)));
        }
        let file = |(file, rows, count): (&PartitionedFile, Vec<usize>, usize)| {
            let mut statistics = Statistics::new_unknown(self.scan.file_schema());
            statistics.num_rows = Precision::Inexact(rows.len());
            let mut file = file.clone().with_statistics(Arc::new(statistics));
            file.range = None;
            file.with_extension(ParquetRowSelection::new(selection(rows, count)))
        };
        let files = files.into_iter().map(file).collect();
        let scan = FileScanConfigBuilder::from(self.scan.clone()).with_file_groups(vec![FileGroup::new(files)]).build();
        Ok(DataSourceExec::from_data_source(scan))
    }
}

/// The rows in the segment that the file is.
fn of_segment((file, rows, _): &(&PartitionedFile, Vec<usize>, usize)) -> Option<(Arc<Segment>, Vec<u32>)> {
    let segment = &file.extensions.get::<OfSegment>()?.segment;
    let rows = rows.iter().map(|row| u32::try_from(*row).ok()).collect::<Option<_>>()?;
    Some((Arc::clone(segment), rows))
}

/// Gives rows whole of which its input gives the places, in any order.
#[derive(Debug)]
pub(crate) struct LateRowsExec {
    rows: Rows,
    places: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl LateRowsExec {
    pub(super) fn new(rows: Rows, places: Arc<dyn ExecutionPlan>) -> Self {
        let partitions = places.output_partitioning().partition_count();
        let properties = PlanProperties::new(
            rows.known.clone(),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self { rows, places, properties: Arc::new(properties), metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl DisplayAs for LateRowsExec {
    fn fmt_as(&self, _: DisplayFormatType, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<&str> = self.rows.schema.fields().iter().map(|field| field.name().as_str()).collect();
        write!(out, "LateRowsExec: columns=[{}]", columns.join(", "))
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
            Ok([places]) => Ok(Arc::new(Self::new(self.rows.clone(), places))),
            Err(children) => internal_err!("LateRowsExec has one input, not {}", children.len()),
        }
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, task: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let places = self.places.execute(partition, Arc::clone(&task))?;
        let rows = self.rows.clone();
        let scanned = MetricBuilder::new(&self.metrics).counter(BYTES_SCANNED, partition);
        let read = async move {
            let found =
                places.try_fold(BTreeMap::new(), |found, batch| async move { add_places(found, &batch) }).await?;
            if found.is_empty() {
                return Ok::<_, DataFusionError>(futures::stream::empty().boxed());
            }
            let scan = rows.scan(found)?;
            let batches = scan.execute(0, task)?;
            Ok(batches.inspect(move |_| count_bytes(&scan, &scanned)).boxed())
        };
        let stream = futures::stream::once(read).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.rows.schema), stream)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// Adds rows by segment. The last two columns are the places.
fn add_places(mut found: BTreeMap<usize, Vec<usize>>, batch: &RecordBatch) -> Result<BTreeMap<usize, Vec<usize>>> {
    let [.., segments, rows] = batch.columns() else { return internal_err!("rows without places") };
    let segments = segments.as_primitive_opt::<UInt32Type>();
    let rows = rows.as_primitive_opt::<Int64Type>();
    let (segments, rows) = segments.zip(rows).ok_or_else(|| internal_datafusion_err!("places of other types"))?;
    for (segment, row) in segments.values().iter().zip(rows.values()) {
        let row = usize::try_from(*row).map_err(|_| internal_datafusion_err!("a row below zero"))?;
        found.entry(*segment as usize).or_default().push(row);
    }
    Ok(found)
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
