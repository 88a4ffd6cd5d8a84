//! Hidden columns that carry attributes out of a subquery.
//!
//! `SELECT n FROM (SELECT attributes['n'] AS n FROM spans) WHERE n > 5` compares a column that holds text. Where the column
//! is nothing but an attribute, its subquery gets one more column with the attributes themselves, and the comparison uses
//! that. The column ends at the node that asked for it. Aggregates, unions and DISTINCT have no such twin, since another
//! column would change their rows: there, numbers are those that the text reads as.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::{LogicalPlan, Projection, SubqueryAlias};
use datafusion::prelude::Expr;

use super::kinds::{self, Kind, Scope};
use super::typed::{Twin, behind_bool, direct};

/// Extends the inputs by the twins that the node's expressions can use.
pub(super) fn provide_for(
    plan: &LogicalPlan,
    inputs: &mut [(LogicalPlan, Vec<Kind>)],
    outer: Option<&Scope<'_>>,
) -> Result<HashMap<Column, Twin>> {
    let mut twins = HashMap::new();
    if inputs.iter().all(|(_, kinds)| !kinds.contains(&Kind::Attribute)) {
        return Ok(twins);
    }
    for column in typed_uses(plan, inputs, outer)? {
        if twins.contains_key(&column) {
            continue;
        }
        for (input, kinds) in inputs.iter_mut() {
            if !input.schema().has_column(&column) {
                continue;
            }
            if let Some((extended, twin)) = provide(input, &column)? {
                *kinds = kinds::kinds_of(&extended, outer);
                *input = extended;
                twins.insert(column.clone(), twin);
            }
            break;
        }
    }
    Ok(twins)
}

/// The attribute columns that are compared or converted.
fn typed_uses(
    plan: &LogicalPlan,
    inputs: &[(LogicalPlan, Vec<Kind>)],
    outer: Option<&Scope<'_>>,
) -> Result<Vec<Column>> {
    let scope = kinds::scope(plan, inputs, outer);
    let mut columns = Vec::new();
    let mut add = |expr: &Expr| {
        let expr = behind_bool(expr).unwrap_or(expr);
        if let Expr::Column(column) = expr
            && scope.kind(expr) == Kind::Attribute
        {
            columns.push(column.clone());
        }
    };
    plan.apply_expressions(|expr| {
        expr.apply(|expr| {
            match expr {
                Expr::BinaryExpr(binary) => {
                    add(&binary.left);
                    add(&binary.right);
                }
                Expr::Between(between) => add(&between.expr),
                Expr::InList(list) => add(&list.expr),
                Expr::InSubquery(contained) => add(&contained.expr),
                Expr::Cast(cast) => add(&cast.expr),
                Expr::TryCast(cast) => add(&cast.expr),
                Expr::Case(case) => {
                    if let Some(base) = &case.expr {
                        add(base);
                    }
                }
                _ => {}
            }
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(columns)
}

/// The plan with one more column: the attributes behind `column`.
fn provide(plan: &LogicalPlan, column: &Column) -> Result<Option<(LogicalPlan, Twin)>> {
    match plan {
        LogicalPlan::Projection(projection) => {
            let Some(index) = projection.schema.maybe_index_of_column(column) else { return Ok(None) };
            let mut exprs = projection.expr.clone();
            let source = exprs[index].clone().unalias();
            if let Some((attributes, key)) = direct(&source) {
                let name = format!("__attributes_{}", projection.schema.fields().len());
                exprs.push(attributes.clone().alias(&name));
                let extended = Projection::try_new(exprs, Arc::clone(&projection.input))?;
                let twin = Twin { attributes: Column::new_unqualified(name), key: key.to_owned() };
                return Ok(Some((LogicalPlan::Projection(extended), twin)));
            }
            let Expr::Column(source) = source else { return Ok(None) };
            let Some((input, twin)) = provide(&projection.input, &source)? else { return Ok(None) };
            exprs.push(Expr::Column(twin.attributes.clone()));
            let extended = Projection::try_new(exprs, Arc::new(input))?;
            Ok(Some((LogicalPlan::Projection(extended), twin)))
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let Some(index) = alias.schema.maybe_index_of_column(column) else { return Ok(None) };
            let source = Column::from(alias.input.schema().qualified_field(index));
            let Some((input, twin)) = provide(&alias.input, &source)? else { return Ok(None) };
            let extended = SubqueryAlias::try_new(Arc::new(input), alias.alias.clone())?;
            let attributes = Column::new(Some(alias.alias.clone()), twin.attributes.name);
            Ok(Some((LogicalPlan::SubqueryAlias(extended), Twin { attributes, key: twin.key })))
        }
        LogicalPlan::Filter(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::Join(_) => {
            let mut found = None;
            let extended = plan.clone().map_children(|child| {
                if found.is_some() || !child.schema().has_column(column) {
                    return Ok(Transformed::no(child));
                }
                match provide(&child, column)? {
                    Some((extended, twin)) => {
                        found = Some(twin);
                        Ok(Transformed::yes(extended))
                    }
                    None => Ok(Transformed::no(child)),
                }
            })?;
            match found {
                Some(twin) => Ok(Some((extended.data.recompute_schema()?, twin))),
                None => Ok(None),
            }
        }
        _ => Ok(None),
    }
}
