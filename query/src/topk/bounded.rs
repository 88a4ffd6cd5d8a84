//! A scan without the rows that lie beyond what the first ones reach.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, FileSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, lit};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{PhysicalExpr, conjunction};
use datafusion::physical_plan::{ExecutionPlan, Partitioning};

use super::key::Key;
use super::reach::Candidates;
use super::scan::WholeScan;

/// So few columns of so few rows are decoded sooner than a segment is opened twice.
const FEW_COLUMNS: usize = 16;
const FEW_ROWS: usize = 16_384;

/// The scan with the bound in its filter; `None` if its keys cannot have one.
pub(super) fn bounded(
    scan: &WholeScan<'_>,
    candidates: &Candidates,
    rank: i64,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(key) = scan.keys.first().and_then(|key| Key::of(key, scan.schema())) else { return Ok(None) };
    let operator = if key.is_descending() { Operator::GtEq } else { Operator::LtEq };
    let limit: Arc<dyn PhysicalExpr> =
        Arc::new(BinaryExpr::new(Arc::new(key.column().clone()), operator, lit(key.value(rank)?)));
    let filter = conjunction(scan.source.filter().into_iter().chain([limit]));
    let reaches = |file: &PartitionedFile| key.farthest(file).is_none_or(|farthest| farthest >= rank);
    let mut config = FileScanConfigBuilder::from(scan.config.clone())
        .with_source(Arc::new(scan.source.with_predicate(filter)))
        .with_statistics(scan.config.statistics().to_inexact());
    if candidates.row_count <= FEW_ROWS {
        let files = scan.files().into_iter().filter(|file| reaches(file)).map(|file| {
            let mut whole = file.clone();
            whole.range = None;
            whole
        });
        // Splitting them would open each twice.
        config = config
            .with_file_groups(vec![FileGroup::new(files.collect())])
            .with_output_partitioning(Some(Partitioning::UnknownPartitioning(1)));
    } else {
        let reaching = |group: &FileGroup| group.files().iter().filter(|file| reaches(file)).cloned().collect();
        let mut groups: Vec<Vec<PartitionedFile>> = scan.config.file_groups.iter().map(reaching).collect();
        groups.retain(|files| !files.is_empty());
        // A scan of nothing has a partition all the same.
        groups.resize_with(groups.len().max(1), Vec::new);
        config = config.with_file_groups(groups.into_iter().map(FileGroup::new).collect());
    }
    Ok(Some(DataSourceExec::from_data_source(config.build())))
}

/// Whether so little is read within the bound that it is best read at once.
pub(super) fn is_little(scan: &WholeScan<'_>, candidates: &Candidates) -> bool {
    let wanted = scan.source.projection().into_iter().flat_map(|projection| projection.iter());
    let columns: HashSet<usize> =
        wanted.flat_map(|output| collect_columns(&output.expr)).map(|column| column.index()).collect();
    candidates.row_count <= FEW_ROWS && columns.len() <= FEW_COLUMNS
}
