//! The scan of known rows of segments.
//!
//! A dozen rows lie on as many pages of each column. DataFusion's reader makes an Arrow schema of all 150 leaves for each file
//! that it opens, and the crate's page reader a decompressor and a compressor for each column: a sixth of what a trace took.
//!
//! - `file`: a file's rows as batches: which pages hold them, their bytes, their columns.
//! - `pick`: values are `picked` out of their pages, with `dictionaries` that stay in memory.
//! - `chunk`: which pages of a column hold rows; `pages`: these, decompressed.
//! - `groups`: what the crate's readers see of a row group: they make lists, maps and structs.
//! - `columns`: which leaves of a file make which columns, and their types in the table.
//!
//! Invariants: exactly the rows that were named are given, in their order within each file; a column that a file does not
//! have is NULL; whatever a damaged file says of itself is an error that names it.

mod chunk;
mod columns;
mod dictionaries;
mod file;
mod groups;
mod pages;
mod pick;
mod picked;

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, Statistics, internal_datafusion_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::datasource::source::{DataSource, DataSourceExec};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::execution_plan::SchedulingType;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet};
use datafusion::physical_plan::projection::ProjectionExprs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayFormatType, ExecutionPlan, Partitioning};
use futures::{StreamExt, TryStreamExt, stream};
use storage::Segment;
use storage::schema::Table;

pub(crate) use dictionaries::Dictionaries;
use file::{FileRows, OpenFile};

/// Where a row is.
pub(crate) const SEGMENT: &str = "__segment";
pub(crate) const ROW: &str = "__row";

/// Known rows of segments as a source of columns.
#[derive(Debug, Clone)]
pub(crate) struct KnownRows {
    table: Table,
    schema: SchemaRef,
    partitions: Vec<Arc<[Arc<FileRows>]>>,
    readers: Arc<dyn ParquetFileReaderFactory>,
    metrics: ExecutionPlanMetricsSet,
}

/// A leg over these rows, ascending in each segment, with the columns of `schema`; there is a segment at least.
pub(crate) fn scan(
    table: Table,
    schema: SchemaRef,
    segments: Vec<(Arc<Segment>, Vec<u32>)>,
    partitions: usize,
    readers: Arc<dyn ParquetFileReaderFactory>,
) -> Arc<dyn ExecutionPlan> {
    let mut spread = vec![Vec::new(); partitions.min(segments.len()).max(1)];
    for (index, (segment, rows)) in segments.into_iter().enumerate() {
        let partition = index % spread.len();
        spread[partition].push(Arc::new(FileRows { segment, rows, number: None }));
    }
    let partitions = spread.into_iter().map(Arc::from).collect();
    DataSourceExec::from_data_source(KnownRows { table, schema, partitions, readers, metrics: Default::default() })
}

/// The same, and behind the columns the place of each row: the segment's number among `segments`, and its row there.
pub(crate) fn scan_places(
    table: Table,
    schema: SchemaRef,
    segments: Vec<(Arc<Segment>, Vec<u32>)>,
    readers: Arc<dyn ParquetFileReaderFactory>,
) -> Arc<dyn ExecutionPlan> {
    let places = [Field::new(SEGMENT, DataType::UInt32, false), Field::new(ROW, DataType::Int64, false)];
    let fields = schema.fields().iter().cloned().chain(places.map(Arc::new));
    let schema = Arc::new(Schema::new(fields.collect::<Fields>()));
    let files = (0..).zip(segments).filter(|(_, (_, rows))| !rows.is_empty());
    let files = files.map(|(number, (segment, rows))| Arc::new(FileRows { segment, rows, number: Some(number) }));
    let partitions = vec![files.collect()];
    DataSourceExec::from_data_source(KnownRows { table, schema, partitions, readers, metrics: Default::default() })
}

impl KnownRows {
    pub(crate) fn table(&self) -> Table {
        self.table
    }

    pub(crate) fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.partitions.iter().flat_map(|files| files.iter()).map(|file| file.segment.as_ref())
    }

    fn row_count(&self) -> usize {
        self.partitions.iter().flat_map(|files| files.iter()).map(|file| file.rows.len()).sum()
    }
}

impl DataSource for KnownRows {
    /// Polled on the threads of queries, which may be held up.
    fn open(&self, partition: usize, task: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let files = self.partitions.get(partition).cloned();
        let files = files.ok_or_else(|| internal_datafusion_err!("there is no partition {partition}"))?;
        let (scan, batch_rows) = (self.clone(), task.session_config().batch_size());
        let dictionaries = task.session_config().get_extension::<Dictionaries>();
        let counts = BaselineMetrics::new(&self.metrics, partition);
        let open = move |place: usize| {
            let (scan, file, dictionaries) = (scan.clone(), Arc::clone(&files[place]), dictionaries.clone());
            async move {
                let location = PartitionedFile::new(file.segment.location.as_ref(), file.segment.size_bytes);
                let reader = scan.readers.create_reader(partition, location, None, &scan.metrics)?;
                let file = OpenFile::open(reader, file, &scan.schema, dictionaries).await?;
                Ok::<_, DataFusionError>(file.batches(batch_rows))
            }
        };
        let count = self.partitions[partition].len();
        let batches = stream::iter(0..count).then(open).try_flatten();
        let batches = batches.inspect_ok(move |batch| counts.record_output(batch.num_rows()));
        let stream = RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches.boxed());
        Ok(Box::pin(cooperative(stream)))
    }

    fn fmt_as(&self, _: DisplayFormatType, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<&str> = self.schema.fields().iter().map(|field| field.name().as_str()).collect();
        let (segments, rows) = (self.segments().count(), self.row_count());
        write!(out, "known rows, segments={segments}, rows={rows}, columns=[{}]", columns.join(", "))
    }

    fn output_partitioning(&self) -> Partitioning {
        Partitioning::UnknownPartitioning(self.partitions.len())
    }

    fn eq_properties(&self) -> EquivalenceProperties {
        EquivalenceProperties::new(Arc::clone(&self.schema))
    }

    fn scheduling_type(&self) -> SchedulingType {
        SchedulingType::Cooperative
    }

    /// Inexact, so that nothing is answered from it: whoever asks what the answer rests on looks at the scans.
    fn partition_statistics(&self, partition: Option<usize>) -> Result<Arc<Statistics>> {
        let rows = match partition.and_then(|partition| self.partitions.get(partition)) {
            Some(files) => files.iter().map(|file| file.rows.len()).sum(),
            None => self.row_count(),
        };
        let mut statistics = Statistics::new_unknown(&self.schema);
        statistics.num_rows = Precision::Inexact(rows);
        Ok(Arc::new(statistics))
    }

    fn with_fetch(&self, _: Option<usize>) -> Option<Arc<dyn DataSource>> {
        None
    }

    fn fetch(&self) -> Option<usize> {
        None
    }

    fn metrics(&self) -> ExecutionPlanMetricsSet {
        self.metrics.clone()
    }

    fn try_swapping_with_projection(&self, _: &ProjectionExprs) -> Result<Option<Arc<dyn DataSource>>> {
        Ok(None)
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }
}

#[cfg(test)]
mod tests;
