//! The scan of rows in memory: a batch of columns is made when it is asked for, and is gone when it is read.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics};
use datafusion::datasource::source::{DataSource, DataSourceExec};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::execution_plan::SchedulingType;
use datafusion::physical_plan::projection::ProjectionExprs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayFormatType, ExecutionPlan, Partitioning};
use storage::MemoryPart;

/// A leg over `parts`, with the columns of these indexes, spread over at most `partitions`.
pub(crate) fn scan(
    schema: SchemaRef,
    columns: &[usize],
    parts: Vec<MemoryPart>,
    partitions: usize,
) -> Arc<dyn ExecutionPlan> {
    let mut spread = vec![Vec::new(); partitions.min(parts.len()).max(1)];
    for (index, part) in parts.into_iter().enumerate() {
        let partition = index % spread.len();
        spread[partition].push(part);
    }
    let partitions = spread.into_iter().map(Arc::from).collect();
    DataSourceExec::from_data_source(MemoryScan { schema, columns: Arc::from(columns), partitions })
}

/// Rows in memory as a source of columns.
#[derive(Debug, Clone)]
pub(crate) struct MemoryScan {
    schema: SchemaRef,
    columns: Arc<[usize]>,
    partitions: Vec<Arc<[MemoryPart]>>,
}

impl MemoryScan {
    /// How many rows it gives.
    pub(crate) fn row_count(&self) -> usize {
        self.partitions.iter().flat_map(|parts| parts.iter()).map(MemoryPart::row_count).sum()
    }
}

impl DataSource for MemoryScan {
    /// Polled on the threads of queries, which may be held up.
    fn open(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (columns, parts) = (Arc::clone(&self.columns), Arc::clone(&self.partitions[partition]));
        let batches = (0..parts.len()).map(move |part| Ok(parts[part].columns(&columns)?));
        let stream = RecordBatchStreamAdapter::new(Arc::clone(&self.schema), futures::stream::iter(batches));
        Ok(Box::pin(cooperative(stream)))
    }

    fn fmt_as(&self, _: DisplayFormatType, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "memory, partitions={}, rows={}", self.partitions.len(), self.row_count())
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

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Arc<Statistics>> {
        let rows = match partition {
            Some(partition) => self.partitions[partition].iter().map(MemoryPart::row_count).sum(),
            None => self.row_count(),
        };
        let mut statistics = Statistics::new_unknown(&self.schema);
        statistics.num_rows = Precision::Exact(rows);
        for (field, column) in self.schema.fields().iter().zip(&mut statistics.column_statistics) {
            if !field.is_nullable() {
                column.null_count = Precision::Exact(0);
            }
        }
        Ok(Arc::new(statistics))
    }

    fn with_fetch(&self, _: Option<usize>) -> Option<Arc<dyn DataSource>> {
        None
    }

    fn fetch(&self) -> Option<usize> {
        None
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
