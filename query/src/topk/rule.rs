//! Finds sorts of which only the first rows count, and the scans below them.

use std::fmt;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::union::UnionExec;

use super::bounded::{bounded, is_little};
use super::few;
use super::late::LateRowsExec;
use super::places::Places;
use super::reach::{Candidates, Reach};
use super::scan::WholeScan;

/// More rows than these lie in too many places: the most that a search shows, and one to know that there are more.
const MAX_FETCH: usize = crate::search::MAX_LIMIT + 1;
/// Sees to it that scans read what is first by statistics first, which is to hold for the scans of places, too.
const BEFORE: &str = "PushdownSort";

/// DataFusion's rules and this one.
pub(crate) fn rules(
    footers: Arc<FileMetadataCache>,
    max_picked_rows: usize,
) -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::new().rules;
    let at = rules.iter().position(|rule| rule.name() == BEFORE).unwrap_or(rules.len());
    rules.insert(at, Arc::new(FirstRows { footers, max_picked_rows }));
    rules
}

struct FirstRows {
    footers: Arc<FileMetadataCache>,
    max_picked_rows: usize,
}

impl fmt::Debug for FirstRows {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("FirstRows")
    }
}

impl PhysicalOptimizerRule for FirstRows {
    fn name(&self) -> &str {
        "FirstRows"
    }

    fn schema_check(&self) -> bool {
        true
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let rewritten = plan.transform_down(|node| {
            let Some(sort) = node.downcast_ref::<SortExec>() else { return Ok(Transformed::no(node)) };
            let Some(fetch) = sort.fetch().filter(|fetch| *fetch <= MAX_FETCH) else {
                return Ok(Transformed::no(node));
            };
            match self.rewrite(sort, fetch)? {
                Some(input) => Ok(Transformed::yes(replace_children_if_necessary(node, vec![input])?)),
                None => Ok(Transformed::no(node)),
            }
        });
        Ok(rewritten?.data)
    }
}

impl FirstRows {
    /// The sort's input; `None` if there is nothing to be gained.
    fn rewrite(&self, sort: &SortExec, fetch: usize) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let mut reach = Reach::default();
        over_scans(sort.input(), sort.expr(), &mut |_, scan| {
            reach.add_scan(scan, fetch, &*self.footers)?;
            Ok(None)
        })?;
        let candidates = reach.of_first(fetch);
        let are_few = candidates.row_count <= self.max_picked_rows;
        let mut rows = candidates.scans.iter();
        over_scans(sort.input(), sort.expr(), &mut |plan, scan| {
            let few = rows.next().filter(|_| are_few).map(|rows| few::rows(plan, scan, rows, fetch)).transpose()?;
            match few.flatten() {
                Some(rows) => Ok(Some(rows)),
                None => first_of(plan, scan, &candidates, fetch),
            }
        })
    }
}

/// A scan that gives the first rows, and as few others as it can.
fn first_of(
    plan: &Arc<dyn ExecutionPlan>,
    scan: &WholeScan<'_>,
    candidates: &Candidates,
    fetch: usize,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let late_of = |plan: &Arc<dyn ExecutionPlan>, scan: &WholeScan<'_>| {
        Ok::<_, DataFusionError>(Places::of(plan, scan, fetch)?.map(|places| late(places, fetch)))
    };
    let Some(rank) = candidates.rank else { return late_of(plan, scan) };
    let Some(plan) = bounded(scan, candidates, rank)? else { return Ok(None) };
    let read_late = match WholeScan::of(&plan, &scan.order) {
        Some(scan) if !is_little(&scan, candidates) => late_of(&plan, &scan)?,
        _ => None,
    };
    Ok(Some(read_late.unwrap_or(plan)))
}

/// The rows in the first of these places.
fn late(places: Places, fetch: usize) -> Arc<dyn ExecutionPlan> {
    let first = SortExec::new(places.order, places.scan).with_fetch(Some(fetch)).with_preserve_partitioning(true);
    Arc::new(LateRowsExec::new(places.rows, None, Arc::new(first)))
}

type Replacement<'r> =
    &'r mut dyn FnMut(&Arc<dyn ExecutionPlan>, &WholeScan<'_>) -> Result<Option<Arc<dyn ExecutionPlan>>>;

/// The plan with other scans of whole segments; `None` if all stay.
fn over_scans(
    plan: &Arc<dyn ExecutionPlan>,
    order: &LexOrdering,
    replace: Replacement<'_>,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let Some(below) = below(projection, order) else { return Ok(None) };
        let input = over_scans(projection.input(), &below, replace)?;
        return input.map(|input| replace_children_if_necessary(Arc::clone(plan), vec![input])).transpose();
    }
    if plan.is::<UnionExec>() {
        let mut legs = Vec::new();
        for leg in plan.children() {
            legs.push(over_scans(leg, order, replace)?);
        }
        if legs.iter().all(Option::is_none) {
            return Ok(None);
        }
        let legs = legs.into_iter().zip(plan.children()).map(|(other, leg)| other.unwrap_or_else(|| Arc::clone(leg)));
        return replace_children_if_necessary(Arc::clone(plan), legs.collect()).map(Some);
    }
    match WholeScan::of(plan, order) {
        Some(scan) => replace(plan, &scan),
        None => Ok(None),
    }
}

/// The order in terms of the projection's input, where it is one of columns.
fn below(projection: &ProjectionExec, order: &LexOrdering) -> Option<LexOrdering> {
    let key = |key: &PhysicalSortExpr| {
        let column = key.expr.downcast_ref::<Column>()?;
        let expr = &projection.expr().get(column.index())?.expr;
        expr.is::<Column>().then(|| PhysicalSortExpr::new(Arc::clone(expr), key.options))
    };
    LexOrdering::new(order.iter().map(key).collect::<Option<Vec<_>>>()?)
}
