//! One walk over a plan, from its tables upwards, that gives ids and attributes their meaning in every expression.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, NullEquality, Result};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Join, JoinConstraint, LogicalPlan, Projection, Union};
use datafusion::optimizer::AnalyzerRule;
use datafusion::prelude::Expr;

use super::functions::id_text;
use super::kinds::{self, Kind, Scope, is_text};
use super::typed::Twin;
use super::{estimates, id_values, ids, twins, typed};

/// The walk, as DataFusion runs it before it coerces types.
#[derive(Debug)]
pub(crate) struct Meaning;

impl AnalyzerRule for Meaning {
    fn name(&self) -> &str {
        "spanhouse_meaning"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(rewrite(plan, None)?.0)
    }
}

type Input = (LogicalPlan, Vec<Kind>);

/// Rewrites a plan within the query around it, and gives the kinds of its columns.
pub(super) fn rewrite(plan: LogicalPlan, outer: Option<&Scope<'_>>) -> Result<Input> {
    let mut inputs = Vec::new();
    for input in plan.inputs() {
        inputs.push(rewrite(input.clone(), outer)?);
    }
    if let LogicalPlan::Union(union) = &plan {
        let (plan, inputs) = aligned(union, inputs)?;
        let kinds = kinds::output(&plan, &inputs, outer);
        return Ok((plan, kinds));
    }
    let twins = twins::provide_for(&plan, &mut inputs, outer)?;
    let plan = with_inputs(plan, &inputs)?;
    let names = NamePreserver::new(&plan);
    let plan = {
        let scope = kinds::scope(&plan, &inputs, outer);
        let expressions = Expressions { scope: &scope, twins: &twins };
        let plan = match plan.clone() {
            LogicalPlan::Join(join) => LogicalPlan::Join(expressions.join_keys(join, &inputs)?),
            other => other,
        };
        plan.map_expressions(|expr| {
            let saved = names.save(&expr);
            Ok(expressions.rewrite(expr)?.update_data(|expr| saved.restore(expr)))
        })?
        .data
    };
    let plan = plan.recompute_schema()?;
    let plan = if twins.is_empty() { plan } else { without_twins(plan, &twins)? };
    let kinds = match &plan {
        // The kinds of the columns that are left are those of the node below.
        LogicalPlan::Projection(_) if !twins.is_empty() => kinds::kinds_of(&plan, outer),
        plan => kinds::output(plan, &inputs, outer),
    };
    Ok((plan, kinds))
}

fn with_inputs(plan: LogicalPlan, inputs: &[Input]) -> Result<LogicalPlan> {
    if inputs.is_empty() {
        return Ok(plan);
    }
    let mut next = inputs.iter();
    let plan = plan
        .map_children(|old| {
            Ok(next.next().map_or_else(|| Transformed::no(old), |(new, _)| Transformed::yes(new.clone())))
        })?
        .data;
    plan.recompute_schema()
}

/// Hidden columns end at the node that asked for them, so that no other node has to expect them.
fn without_twins(plan: LogicalPlan, twins: &HashMap<Column, Twin>) -> Result<LogicalPlan> {
    let hidden = |name: &str| twins.values().any(|twin| twin.is_column(name));
    if !plan.schema().fields().iter().any(|field| hidden(field.name())) {
        return Ok(plan);
    }
    let columns =
        plan.schema().columns().into_iter().filter(|column| !hidden(&column.name)).map(Expr::Column).collect();
    Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(plan))?))
}

/// Where one side of a union has ids and another has text, all have text.
fn aligned(union: &Union, inputs: Vec<Input>) -> Result<(LogicalPlan, Vec<Input>)> {
    let types = |index: usize| inputs.iter().map(move |(plan, _)| plan.schema().field(index).data_type());
    let as_text: Vec<bool> = (0..union.schema.fields().len())
        .map(|index| inputs.iter().any(|(_, kinds)| matches!(kinds[index], Kind::Id(_))) && types(index).any(is_text))
        .collect();
    let mut aligned = Vec::with_capacity(inputs.len());
    for (plan, kinds) in inputs {
        let converts = |index: usize| as_text[index] && matches!(kinds[index], Kind::Id(_));
        if !(0..kinds.len()).any(converts) {
            aligned.push((plan, kinds));
            continue;
        }
        let columns = plan.schema().columns();
        let exprs = columns.into_iter().enumerate().map(|(index, column)| {
            let name = column.name.clone();
            if converts(index) { id_text(Expr::Column(column)).alias(name) } else { Expr::Column(column) }
        });
        let exprs = exprs.collect();
        let kinds = kinds.iter().enumerate().map(|(index, kind)| if converts(index) { Kind::Plain } else { *kind });
        let kinds = kinds.collect();
        aligned.push((LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(plan))?), kinds));
    }
    let plans = aligned.iter().map(|(plan, _)| Arc::new(plan.clone())).collect();
    Ok((LogicalPlan::Union(Union::try_new_with_loose_types(plans)?), aligned))
}

/// Rewrites the expressions of one node.
pub(super) struct Expressions<'a> {
    pub(super) scope: &'a Scope<'a>,
    /// Attributes behind columns that only show their text.
    pub(super) twins: &'a HashMap<Column, Twin>,
}

impl Expressions<'_> {
    fn rewrite(&self, expr: Expr) -> Result<Transformed<Expr>> {
        expr.transform_up(|expr| self.rewrite_one(expr))
    }

    /// The expression's children are rewritten already.
    fn rewrite_one(&self, expr: Expr) -> Result<Transformed<Expr>> {
        let expr = match self.subquery(expr)? {
            Subquery::Done(expr) => return Ok(Transformed::yes(expr)),
            Subquery::None(expr) => expr,
        };
        let ids = ids::rewrite(self.scope, expr)?;
        let typed = typed::rewrite(self, ids.data)?;
        let estimates = estimates::rewrite(self.scope, typed.data)?;
        let transformed = ids.transformed || typed.transformed || estimates.transformed;
        Ok(Transformed::new_transformed(estimates.data, transformed))
    }

    fn subquery(&self, expr: Expr) -> Result<Subquery> {
        Ok(Subquery::Done(match expr {
            Expr::ScalarSubquery(mut subquery) => {
                subquery.subquery = Arc::new(rewrite(subquery.subquery.as_ref().clone(), Some(self.scope))?.0);
                Expr::ScalarSubquery(subquery)
            }
            Expr::Exists(mut exists) => {
                let plan = exists.subquery.subquery.as_ref().clone();
                exists.subquery.subquery = Arc::new(rewrite(plan, Some(self.scope))?.0);
                Expr::Exists(exists)
            }
            Expr::InSubquery(mut contained) => {
                let (plan, kinds) = rewrite(contained.subquery.subquery.as_ref().clone(), Some(self.scope))?;
                let (value, plan) = self.membership(*contained.expr, plan, &kinds)?;
                contained.expr = Box::new(value);
                contained.subquery.subquery = Arc::new(plan);
                Expr::InSubquery(contained)
            }
            Expr::SetComparison(mut compared) => {
                let (plan, kinds) = rewrite(compared.subquery.subquery.as_ref().clone(), Some(self.scope))?;
                let (value, plan) = self.membership(*compared.expr, plan, &kinds)?;
                compared.expr = Box::new(value);
                compared.subquery.subquery = Arc::new(plan);
                Expr::SetComparison(compared)
            }
            other => return Ok(Subquery::None(other)),
        }))
    }

    /// Makes a value and the one column of a subquery comparable.
    fn membership(&self, value: Expr, plan: LogicalPlan, kinds: &[Kind]) -> Result<(Expr, LogicalPlan)> {
        let Some(column) = plan.schema().columns().into_iter().next() else { return Ok((value, plan)) };
        let inner = plan.schema().field(0).data_type().clone();
        let member = kinds.first().copied().unwrap_or(Kind::Plain);
        match (self.scope.kind(&value), member) {
            (Kind::Id(width), Kind::Id(other)) => {
                id_values::same_width(&value, width, &Expr::Column(column), other)?;
                Ok((value, plan))
            }
            (Kind::Id(width), _) => {
                let name = id_values::name(&value);
                let converted =
                    id_values::to_id(Expr::Column(column.clone()), &inner, width, &name)?.alias(column.name);
                Ok((value, LogicalPlan::Projection(Projection::try_new(vec![converted], Arc::new(plan))?)))
            }
            (_, Kind::Id(width)) => {
                let data_type = self.scope.data_type(&value);
                Ok((id_values::to_id(value, &data_type, width, &column.name)?, plan))
            }
            _ => Ok((typed::for_membership(self, value, &inner), plan)),
        }
    }

    /// Keys of equality joins are pairs of expressions, each over its own side.
    fn join_keys(&self, mut join: Join, inputs: &[Input]) -> Result<Join> {
        let [left, right] = inputs else { return Ok(join) };
        let side = |input: &'_ Input| -> (DFSchema, Vec<Kind>) { (input.0.schema().as_ref().clone(), input.1.clone()) };
        let (left, right) = (side(left), side(right));
        let scope = |side: &'_ (DFSchema, Vec<Kind>)| Scope { schema: side.0.clone(), inputs: Vec::new(), outer: None };
        let (left_types, right_types) = (scope(&left), scope(&right));
        let left_scope = Scope { inputs: vec![(&left.0, &left.1)], ..left_types };
        let right_scope = Scope { inputs: vec![(&right.0, &right.1)], ..right_types };
        let keys = join.on.clone();
        for (one, other) in &mut join.on {
            let (left_kind, right_kind) = (left_scope.kind(one), right_scope.kind(other));
            match (left_kind, right_kind) {
                (Kind::Id(width), Kind::Id(other_width)) => {
                    id_values::same_width(one, width, other, other_width)?;
                }
                (Kind::Id(width), _) => {
                    let data_type = right_scope.data_type(other);
                    *other = id_values::to_id(other.clone(), &data_type, width, &id_values::name(one))?;
                }
                (_, Kind::Id(width)) => {
                    let data_type = left_scope.data_type(one);
                    *one = id_values::to_id(one.clone(), &data_type, width, &id_values::name(other))?;
                }
                _ => {}
            }
        }
        if keys != join.on {
            // Keys of USING have to be columns.
            join.join_constraint = JoinConstraint::On;
        }
        // An attribute and a number are no keys as they are; as a filter they are compared by their types.
        if join.null_equality == NullEquality::NullEqualsNothing {
            let (typed, keys): (Vec<_>, Vec<_>) = join.on.into_iter().partition(|(one, other)| {
                let text = |scope: &Scope<'_>, expr: &Expr| is_text(&scope.data_type(expr));
                (left_scope.kind(one) == Kind::Attribute && !text(&right_scope, other))
                    || (right_scope.kind(other) == Kind::Attribute && !text(&left_scope, one))
            });
            join.on = keys;
            for (one, other) in typed {
                let equal = one.eq(other);
                join.filter = Some(match join.filter.take() {
                    Some(filter) => filter.and(equal),
                    None => equal,
                });
            }
        }
        Ok(join)
    }
}

enum Subquery {
    Done(Expr),
    None(Expr),
}
