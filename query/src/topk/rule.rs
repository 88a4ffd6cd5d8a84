//! Finds sorts of which only the first rows count, and the scans below them.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::union::UnionExec;

use super::late::LateRowsExec;
use super::places::Places;

/// More rows than these lie in too many places: the most that a search shows, and one to know that there are more.
const MAX_FETCH: usize = crate::search::MAX_LIMIT + 1;
/// Sees to it that scans read what is first by statistics first, which is to hold for the scans of places, too.
const BEFORE: &str = "PushdownSort";

/// DataFusion's rules and this one.
pub(crate) fn rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::new().rules;
    let at = rules.iter().position(|rule| rule.name() == BEFORE).unwrap_or(rules.len());
    rules.insert(at, Arc::new(FirstRowsLate));
    rules
}

#[derive(Debug)]
struct FirstRowsLate;

impl PhysicalOptimizerRule for FirstRowsLate {
    fn name(&self) -> &str {
        "FirstRowsLate"
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
            match late(sort.input(), sort.expr(), fetch)? {
                Some(input) => Ok(Transformed::yes(replace_children_if_necessary(node, vec![input])?)),
                None => Ok(Transformed::no(node)),
            }
        });
        Ok(rewritten?.data)
    }
}

/// The plan with rows read late; `None` if there is nothing to be gained.
fn late(plan: &Arc<dyn ExecutionPlan>, order: &LexOrdering, fetch: usize) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let Some(below) = below(projection, order) else { return Ok(None) };
        let input = late(projection.input(), &below, fetch)?;
        return input.map(|input| replace_children_if_necessary(Arc::clone(plan), vec![input])).transpose();
    }
    if plan.is::<UnionExec>() {
        let legs: Vec<_> = plan.children().into_iter().map(|leg| late(leg, order, fetch)).collect::<Result<_>>()?;
        if legs.iter().all(Option::is_none) {
            return Ok(None);
        }
        let legs = legs.into_iter().zip(plan.children()).map(|(late, leg)| late.unwrap_or_else(|| Arc::clone(leg)));
        return replace_children_if_necessary(Arc::clone(plan), legs.collect()).map(Some);
    }
    let Some(places) = Places::of(plan, order, fetch)? else { return Ok(None) };
    let first =
        Arc::new(SortExec::new(places.order, places.scan).with_fetch(Some(fetch)).with_preserve_partitioning(true));
    Ok(Some(Arc::new(LateRowsExec::new(places.rows, first))))
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
