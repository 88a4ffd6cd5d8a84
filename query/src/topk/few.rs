//! The first of few rows: of the pages that may have them, where these are known to be few. What is known to
//! be there is picked out; the general reader would open the segment, make a schema of all its columns, and prune once more.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::FileSource;
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::filter::FilterExecBuilder;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

use super::first::First;
use super::key::Key;
use super::late::{LateRowsExec, Place, Rows};
use super::places::is_worth;
use super::reach::RowsOfScan;
use super::scan::WholeScan;

/// The first of these rows, which are few, and whatever else may be as near. `None` if there is nothing to read late.
pub(super) fn rows(
    plan: &Arc<dyn ExecutionPlan>,
    scan: &WholeScan<'_>,
    rows: &RowsOfScan,
    fetch: usize,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let key = scan.keys.first().and_then(|key| Key::of(key, scan.schema()));
    let Some(key) = key.filter(|_| is_worth(scan, fetch)) else { return Ok(None) };
    let files: Vec<PartitionedFile> = scan.files().into_iter().cloned().collect();
    let late = Rows::new(scan.config, scan.source, &files, plan.equivalence_properties().clone())?;
    let places = |file: (usize, &PartitionedFile)| {
        let (segment, of_file) = (file.0, rows.of(file.1).iter().flat_map(Clone::clone));
        of_file.map(move |row| Place { segment, row }).collect::<Vec<_>>()
    };
    let (Some(late), Some((keys, order))) = (late, all_keys(scan)?) else { return Ok(None) };
    let places: Vec<Place> = files.iter().enumerate().flat_map(places).collect();
    let filter = scan.source.filter();
    let mut columns: Vec<usize> = filter.iter().flat_map(collect_columns).map(|column| column.index()).collect();
    columns.push(key.column().index());
    columns.sort_unstable();
    columns.dedup();
    let schema = Arc::new(scan.schema().project(&columns)?);
    let mut picked = late.places(&schema, &places)?;
    if let Some(filter) = filter {
        let filter = reassign_expr_columns(filter, &schema)?;
        picked = Arc::new(FilterExecBuilder::new(filter, picked).build()?);
    }
    Ok(Some(Arc::new(LateRowsExec::new(late, Some(First { fetch, key, keys, order }), picked))))
}

/// The columns of all keys, and the order in terms of these.
fn all_keys(scan: &WholeScan<'_>) -> Result<Option<(SchemaRef, LexOrdering)>> {
    let mut columns: Vec<usize> =
        scan.keys.iter().flat_map(|key| collect_columns(&key.expr)).map(|column| column.index()).collect();
    columns.sort_unstable();
    columns.dedup();
    let schema = Arc::new(scan.schema().project(&columns)?);
    let key = |key: &PhysicalSortExpr| {
        Ok(PhysicalSortExpr::new(reassign_expr_columns(Arc::clone(&key.expr), &schema)?, key.options))
    };
    let order = LexOrdering::new(scan.keys.iter().map(key).collect::<Result<Vec<_>>>()?);
    Ok(order.map(|order| (schema, order)))
}
