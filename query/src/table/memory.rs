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
use storage::schema::Table;

/// A leg over `parts`, with the columns of these indexes, spread over at most `partitions`.
pub(crate) fn scan(
    table: Table,
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
    DataSourceExec::from_data_source(MemoryScan { table, schema, columns: Arc::from(columns), partitions })
}

/// Rows in memory as a source of columns.
#[derive(Debug, Clone)]
pub(crate) struct MemoryScan {
    table: Table,
    schema: SchemaRef,
    columns: Arc<[usize]>,
    partitions: Vec<Arc<[MemoryPart]>>,
}

impl MemoryScan {
    /// How many rows it gives.
    pub(crate) fn row_count(&self) -> usize {
        self.parts().map(MemoryPart::row_count).sum()
    }

    pub(crate) fn table(&self) -> Table {
        self.table
    }

    pub(crate) fn parts(&self) -> impl Iterator<Item = &MemoryPart> {
        self.partitions.iter().flat_map(|parts| parts.iter())
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

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use arrow::array::{AsArray, Int64Array, RecordBatch};
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};
    use datafusion::physical_plan::{ExecutionPlanProperties, displayable};
    use futures::StreamExt;
    use storage::MemoryRows;

    use super::*;

    /// The table has an optional column and a certain one; the part has `rows` rows, which say so.
    fn part(rows: usize) -> MemoryPart {
        let fields = ["optional", "certain"].map(|name| Field::new(name, DataType::Int64, name == "optional"));
        let columns = [Int64Array::from(vec![None; rows]), Int64Array::from(vec![rows as i64; rows])];
        let columns = columns.map(|column| Arc::new(column) as _).to_vec();
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields.to_vec())), columns).unwrap();
        MemoryRows::Columns(batch).parts(&[], None).remove(0)
    }

    /// Certain before optional.
    fn scan_of(parts: Vec<MemoryPart>, partitions: usize) -> Arc<dyn ExecutionPlan> {
        let fields = ["certain", "optional"].map(|name| Field::new(name, DataType::Int64, name == "optional"));
        scan(Table::Traces, Arc::new(Schema::new(fields.to_vec())), &[1, 0], parts, partitions)
    }

    async fn batches(plan: &Arc<dyn ExecutionPlan>, partition: usize) -> Vec<i64> {
        let stream = plan.execute(partition, Arc::new(TaskContext::default())).unwrap();
        let certain = |batch: Result<RecordBatch>| {
            let batch = batch.unwrap();
            let rows = batch.column(0).as_primitive::<Int64Type>().value(0);
            assert_eq!((batch.num_rows() as i64, batch.schema().field(0).name().as_str()), (rows, "certain"));
            rows
        };
        stream.map(certain).collect().await
    }

    #[tokio::test]
    async fn parts_are_dealt_out_to_partitions_each_once() {
        let plan = scan_of((1..=5).map(part).collect(), 2);
        assert_eq!(plan.output_partitioning().partition_count(), 2);
        assert_eq!(batches(&plan, 0).await, [1, 3, 5]);
        assert_eq!(batches(&plan, 1).await, [2, 4]);
        let shown = displayable(&*plan).one_line().to_string();
        assert!(shown.contains("memory, partitions=2, rows=15"), "{shown}");
    }

    #[tokio::test]
    async fn no_partition_is_empty_but_the_only_one() {
        let plan = scan_of((1..=3).map(part).collect(), 8);
        assert_eq!(plan.output_partitioning().partition_count(), 3);
        let plan = scan_of(Vec::new(), 8);
        assert_eq!(plan.output_partitioning().partition_count(), 1);
        assert_eq!(batches(&plan, 0).await, Vec::<i64>::new());
    }

    #[test]
    fn statistics_are_exact_where_they_are_known() {
        let plan = scan_of((1..=5).map(part).collect(), 2);
        let source = plan.downcast_ref::<DataSourceExec>().unwrap().data_source();
        for (partition, rows) in [(Some(0), 9), (Some(1), 6), (None, 15)] {
            let statistics = source.partition_statistics(partition).unwrap();
            assert_eq!(statistics.num_rows, Precision::Exact(rows));
            let nulls: Vec<Precision<usize>> =
                statistics.column_statistics.iter().map(|column| column.null_count).collect();
            assert_eq!(nulls, [Precision::Exact(0), Precision::Absent]);
        }
    }

    #[tokio::test]
    async fn a_scan_of_many_batches_lets_others_run() {
        let plan = scan_of((0..2_000).map(|_| part(1)).collect(), 1);
        assert_eq!(plan.properties().scheduling_type, SchedulingType::Cooperative);
        let mut stream = plan.execute(0, Arc::new(TaskContext::default())).unwrap();
        let at_once = tokio::spawn(std::future::poll_fn(move |context| {
            let mut batches = 0;
            while let Poll::Ready(Some(_)) = stream.poll_next_unpin(context) {
                batches += 1;
            }
            Poll::Ready(batches)
        }));
        assert!(at_once.await.unwrap() < 2_000);
    }
}
