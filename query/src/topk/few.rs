//! Sort keys and places of few rows: of the pages that may have the first ones, where these are known to be few. What is known to
//! be there is picked out; the general reader would open the segment, make a schema of all its columns, and prune once more.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::FileSource;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::filter::FilterExecBuilder;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use storage::Segment;

use super::late::Rows;
use super::places::{Places, is_worth};
use super::reach::RowsOfScan;
use super::scan::WholeScan;
use crate::table::{OfSegment, scan_places};

/// Of these rows, which are few. `None` if there is nothing to read late.
pub(super) fn places(
    plan: &Arc<dyn ExecutionPlan>,
    scan: &WholeScan<'_>,
    rows: &RowsOfScan,
    fetch: usize,
) -> Result<Option<Places>> {
    if !is_worth(scan, fetch) {
        return Ok(None);
    }
    let Some(readers) = scan.source.parquet_file_reader_factory() else { return Ok(None) };
    let filter = scan.source.filter();
    let keys = scan.keys.iter().map(|key| &key.expr);
    let mut columns: Vec<usize> = keys.chain(&filter).flat_map(collect_columns).map(|column| column.index()).collect();
    columns.sort_unstable();
    columns.dedup();
    let schema = Arc::new(scan.schema().project(&columns)?);
    let files: Vec<PartitionedFile> = scan.files().into_iter().cloned().collect();
    let of_segment = |file: &PartitionedFile| file.extensions.get::<OfSegment>().cloned();
    let Some(segments) = files.iter().map(of_segment).collect::<Option<Vec<_>>>() else { return Ok(None) };
    let Some(table) = segments.first().map(|first| first.table) else { return Ok(None) };
    let rows_of = |file: &PartitionedFile| -> Option<Vec<u32>> {
        rows.of(file).iter().flat_map(Clone::clone).map(|row| u32::try_from(row).ok()).collect()
    };
    let rows = segments.into_iter().zip(&files).map(|(of, file)| Some((of.segment, rows_of(file)?)));
    let Some(rows) = rows.collect::<Option<Vec<(Arc<Segment>, Vec<u32>)>>>() else { return Ok(None) };

    let config = scan.config;
    let Some(late) = Rows::new(config, scan.source, &files, plan.equivalence_properties().clone())? else {
        return Ok(None);
    };
    let mut picked = scan_places(table, Arc::clone(&schema), rows, Arc::clone(readers));
    if let Some(filter) = filter {
        let filter = reassign_expr_columns(filter, &schema)?;
        picked = Arc::new(FilterExecBuilder::new(filter, picked).build()?);
    }
    let key = |key: &PhysicalSortExpr| {
        let name = key.expr.downcast_ref::<Column>()?.name();
        Some(PhysicalSortExpr::new(Arc::new(Column::new(name, schema.index_of(name).ok()?)), key.options))
    };
    let order = scan.keys.iter().map(key).collect::<Option<Vec<_>>>().and_then(LexOrdering::new);
    Ok(order.map(|order| Places { scan: picked, order, rows: late }))
}
