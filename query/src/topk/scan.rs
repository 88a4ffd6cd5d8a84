//! A scan of whole segments below a sort.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::stats::Precision;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::ParquetRowSelection;
use datafusion::datasource::physical_plan::{FileScanConfig, FileSource, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::ExecutionPlan;

pub(super) struct WholeScan<'p> {
    pub(super) config: &'p FileScanConfig,
    pub(super) source: &'p ParquetSource,
    pub(super) order: LexOrdering,
    /// The sort keys as columns of the table.
    pub(super) keys: Vec<PhysicalSortExpr>,
}

impl<'p> WholeScan<'p> {
    /// `None` unless `plan` is a scan of segments of whose rows nothing but a filter says which to read.
    pub(super) fn of(plan: &'p Arc<dyn ExecutionPlan>, order: &LexOrdering) -> Option<Self> {
        let scan = plan.downcast_ref::<DataSourceExec>()?;
        let config = scan.data_source().downcast_ref::<FileScanConfig>()?;
        let source = config.file_source().downcast_ref::<ParquetSource>()?;
        let keys = keys(source, order)?;
        is_whole(config).then(|| Self { config, source, order: order.clone(), keys })
    }

    pub(super) fn schema(&self) -> &'p SchemaRef {
        self.source.table_schema().file_schema()
    }

    /// Each once, also where its parts are read apart.
    pub(super) fn files(&self) -> Vec<&'p PartitionedFile> {
        let mut seen = HashSet::new();
        let files = self.config.file_groups.iter().flat_map(|group| group.files());
        files.filter(|file| seen.insert(&file.object_meta.location)).collect()
    }
}

fn keys(source: &ParquetSource, order: &LexOrdering) -> Option<Vec<PhysicalSortExpr>> {
    let projection = source.projection()?;
    let key = |key: &PhysicalSortExpr| {
        let output = key.expr.downcast_ref::<Column>()?.index();
        let expr = &projection.iter().nth(output)?.expr;
        expr.is::<Column>().then(|| PhysicalSortExpr::new(Arc::clone(expr), key.options))
    };
    order.iter().map(key).collect()
}

fn is_whole(config: &FileScanConfig) -> bool {
    let files = config.file_groups.iter().flat_map(|group| group.files());
    config.limit.is_none()
        && files.into_iter().all(|file| {
            file.partition_values.is_empty()
                && file.extensions.get::<ParquetRowSelection>().is_none()
                && row_count(file).is_some()
        })
}

pub(super) fn row_count(file: &PartitionedFile) -> Option<usize> {
    match file.statistics.as_ref()?.num_rows {
        Precision::Exact(rows) => Some(rows),
        _ => None,
    }
}
