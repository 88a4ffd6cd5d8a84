//! The walk over a plan after types are coerced.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{GroupingSet, LogicalPlan, Projection};
use datafusion::optimizer::AnalyzerRule;
use datafusion::prelude::Expr;

use super::Wish;
use super::provide::Provider;
use crate::semantics::attributes::value::Comparison;
use crate::semantics::{Asks, access, constant, functions};

/// Has scans compute the attributes that plans use.
#[derive(Debug)]
pub(crate) struct Computing;

impl AnalyzerRule for Computing {
    fn name(&self) -> &str {
        "spanhouse_computing"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let mut provider = Provider::default();
        Ok(plan.transform_up_with_subqueries(|node| of_node(node, &mut provider))?.data)
    }
}

fn of_node(node: LogicalPlan, provider: &mut Provider) -> Result<Transformed<LogicalPlan>> {
    let wishes = wishes(&node)?;
    if wishes.is_empty() {
        return Ok(Transformed::no(node));
    }
    let mut inputs: Vec<LogicalPlan> = node.inputs().into_iter().cloned().collect();
    let mut granted: Vec<(Wish, Column)> = Vec::new();
    for wish in wishes {
        for input in &mut inputs {
            if !input.schema().has_column(&wish.attributes) {
                continue;
            }
            if let Some((extended, column)) = provider.provide(input, &wish.attributes, &wish)? {
                *input = extended;
                granted.push((wish, column));
            }
            break;
        }
    }
    if granted.is_empty() {
        return Ok(Transformed::no(node));
    }
    let mut next = inputs.into_iter();
    let node = node.map_children(|old| Ok(next.next().map_or_else(|| Transformed::no(old), Transformed::yes)))?.data;
    let names = match &node {
        // Its expressions name no columns.
        LogicalPlan::Sort(_) => None,
        node => Some(NamePreserver::new(node)),
    };
    let node = node.map_expressions(|expr| named(expr, names.as_ref(), &granted))?.data.recompute_schema()?;
    without(node, granted.iter().map(|(_, column)| column).collect()).map(Transformed::yes)
}

/// What the node's expressions can have as columns.
fn wishes(node: &LogicalPlan) -> Result<Vec<Wish>> {
    let mut wishes: Vec<Wish> = Vec::new();
    if node.inputs().is_empty() {
        return Ok(wishes);
    }
    node.apply_expressions(|expr| {
        expr.apply(|expr| {
            let plainer = plainer(expr)?;
            if let Some(wish) = Wish::of(plainer.as_ref().unwrap_or(expr))
                && !wishes.contains(&wish)
            {
                wishes.push(wish);
            }
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(wishes)
}

fn named(expr: Expr, names: Option<&NamePreserver>, granted: &[(Wish, Column)]) -> Result<Transformed<Expr>> {
    let all = |exprs: Vec<Expr>| {
        exprs.into_iter().map(|expr| Ok(named(expr, names, granted)?.data)).collect::<Result<Vec<_>>>()
    };
    // Not the set has a name, but what is in it.
    if let Expr::GroupingSet(set) = expr {
        return Ok(Transformed::yes(Expr::GroupingSet(match set {
            GroupingSet::Rollup(exprs) => GroupingSet::Rollup(all(exprs)?),
            GroupingSet::Cube(exprs) => GroupingSet::Cube(all(exprs)?),
            GroupingSet::GroupingSets(sets) => {
                GroupingSet::GroupingSets(sets.into_iter().map(all).collect::<Result<_>>()?)
            }
        })));
    }
    let saved = names.map(|names| names.save(&expr));
    let rewritten = expr.transform_down(|expr| with_columns(expr, granted))?;
    Ok(match saved {
        Some(saved) => rewritten.update_data(|expr| saved.restore(expr)),
        None => rewritten,
    })
}

fn with_columns(expr: Expr, granted: &[(Wish, Column)]) -> Result<Transformed<Expr>> {
    let plain = plainer(&expr)?;
    let Some(wish) = Wish::of(plain.as_ref().unwrap_or(&expr)) else { return Ok(Transformed::no(expr)) };
    let Some((_, column)) = granted.iter().find(|(granted, _)| *granted == wish) else {
        return Ok(Transformed::no(expr));
    };
    let column = Expr::Column(column.clone());
    let rewritten = match access(&expr).map(|access| access.asks) {
        Some(Asks::Exists) => Expr::IsNotNull(Box::new(column)),
        Some(Asks::Compare(Comparison::NotDistinct, _)) => Expr::IsTrue(Box::new(column)),
        Some(Asks::Compare(Comparison::Distinct, _)) => Expr::IsNotTrue(Box::new(column)),
        _ => column,
    };
    Ok(Transformed::new(rewritten, true, TreeNodeRecursion::Jump))
}

/// What a call says that is not NULL where an outer join left no attributes, in terms of one that is.
fn plainer(expr: &Expr) -> Result<Option<Expr>> {
    let Some(access) = access(expr) else { return Ok(None) };
    Ok(match access.asks {
        Asks::Exists => Some(functions::attribute(access.attributes.clone(), access.key)),
        Asks::Compare(Comparison::Distinct | Comparison::NotDistinct, value)
            if constant(value).is_some_and(|value| !value.is_null()) =>
        {
            Some(functions::compare(access.attributes.clone(), access.key, Comparison::Eq.symbol(), value.clone()))
        }
        _ => None,
    })
}

/// Columns end at the node that asked for them.
fn without(node: LogicalPlan, hidden: HashSet<&Column>) -> Result<LogicalPlan> {
    let columns = node.schema().columns();
    if !columns.iter().any(|column| hidden.contains(column)) {
        return Ok(node);
    }
    let seen = columns.into_iter().filter(|column| !hidden.contains(column)).map(Expr::Column).collect();
    Ok(LogicalPlan::Projection(Projection::try_new(seen, Arc::new(node))?))
}
