//! Finds sorts of which only the first rows count, and the scans below them.

use std::fmt;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
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
use super::late::LateRowsExec;
use super::places::Places;
use super::reach::{Bound, Reach};
use super::scan::WholeScan;

/// More rows than these lie in too many places: the most that a search shows, and one to know that there are more.
const MAX_FETCH: usize = crate::search::MAX_LIMIT + 1;
/// Sees to it that scans read what is first by statistics first, which is to hold for the scans of places, too.
const BEFORE: &str = "PushdownSort";

/// DataFusion's rules and this one.
pub(crate) fn rules(footers: Arc<FileMetadataCache>) -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::new().rules;
    let at = rules.iter().position(|rule| rule.name() == BEFORE).unwrap_or(rules.len());
    rules.insert(at, Arc::new(FirstRows { footers }));
    rules
}

struct FirstRows {
    footers: Arc<FileMetadataCache>,
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
        let bound = reach.of_first(fetch);
        over_scans(sort.input(), sort.expr(), &mut |plan, scan| match &bound {
            Some(bound) => within(scan, bound, fetch),
            None => late(plan, scan, fetch),
        })
    }
}

/// The scan without what lies beyond the bound.
fn within(scan: &WholeScan<'_>, bound: &Bound, fetch: usize) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(plan) = bounded(scan, bound)? else { return Ok(None) };
    let read_late = match WholeScan::of(&plan, &scan.order) {
        Some(scan) if !is_little(&scan, bound) => late(&plan, &scan, fetch)?,
        _ => None,
    };
    Ok(Some(read_late.unwrap_or(plan)))
}

/// The scan with rows read late.
fn late(plan: &Arc<dyn ExecutionPlan>, scan: &WholeScan<'_>, fetch: usize) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(places) = Places::of(plan, scan, fetch)? else { return Ok(None) };
    let first =
        Arc::new(SortExec::new(places.order, places.scan).with_fetch(Some(fetch)).with_preserve_partitioning(true));
    Ok(Some(Arc::new(LateRowsExec::new(places.rows, first))))
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
