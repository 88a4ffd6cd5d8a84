//! Expressions over a leg's columns that have, for each row, the value that the query's expression has over maps.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::Cast;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::prelude::Expr;
use storage::schema::promoted::{Promoted, PromotedType};

use super::comparisons::{Holds, Literal, holds};
use super::places::{Layout, Place, scope_of};
use crate::semantics::attributes::cast::Target;
use crate::semantics::{Access, Asks, access, constant, functions};

/// The expression over the columns that a leg reads.
pub(crate) fn value(expr: Expr, layout: &Layout) -> Result<Expr> {
    let rewritten = expr.transform_down(|expr| {
        if let Some(scope) = scope_of(&expr) {
            let columns = layout.columns(scope);
            if columns.is_empty() {
                return Ok(Transformed::no(expr));
            }
            let whole = functions::assemble(Some(expr), &columns);
            return Ok(Transformed::new(whole, true, TreeNodeRecursion::Jump));
        }
        match access(&expr) {
            Some(access) if let Some(scope) = scope_of(access.attributes) => {
                let rewritten = of_access(&expr, access, layout.place(scope, access.key), layout)?;
                Ok(Transformed::new(rewritten, true, TreeNodeRecursion::Jump))
            }
            _ => Ok(Transformed::no(expr)),
        }
    });
    Ok(rewritten?.data)
}

pub(super) fn column(promoted: &Promoted) -> Expr {
    Expr::Column(Column::new_unqualified(promoted.to_string()))
}

fn of_access(call: &Expr, access: Access<'_>, place: &Place, layout: &Layout) -> Result<Expr> {
    if place.columns.is_empty() {
        return over(call, access.attributes.clone(), layout);
    }
    if place.is_in_maps {
        return over(call, functions::assemble(Some(access.attributes.clone()), &place.columns), layout);
    }
    match direct(access, &place.columns) {
        Some(direct) => Ok(direct),
        None => over(call, functions::assemble(None, &place.columns), layout),
    }
}

/// The call with other attributes; what they are compared with may be over attributes itself.
fn over(call: &Expr, attributes: Expr, layout: &Layout) -> Result<Expr> {
    let Expr::ScalarFunction(call) = call else { return Ok(call.clone()) };
    let mut args = vec![attributes];
    for arg in call.args.iter().skip(1) {
        args.push(value(arg.clone(), layout)?);
    }
    Ok(Expr::ScalarFunction(ScalarFunction::new_udf(call.func.clone(), args)))
}

/// What is asked of columns that have all values of the key, where it is more than a function of maps.
fn direct(access: Access<'_>, columns: &[Promoted]) -> Option<Expr> {
    if let Asks::Exists = access.asks {
        return columns.iter().map(|promoted| column(promoted).is_not_null()).reduce(Expr::or);
    }
    let [promoted] = columns else { return None };
    let column = column(promoted);
    let as_type = |data_type| Expr::Cast(Cast::new(Box::new(column.clone()), data_type));
    match (access.asks, promoted.value_type) {
        (Asks::Text, PromotedType::Text) => Some(column),
        // Arrow writes both as we do; not so floats.
        (Asks::Text, PromotedType::Int | PromotedType::Bool) => Some(as_type(DataType::Utf8View)),
        (Asks::As(Target::Int | Target::Whole), PromotedType::Int)
        | (Asks::As(Target::Float), PromotedType::Float)
        | (Asks::As(Target::Bool), PromotedType::Bool) => Some(column),
        (Asks::As(Target::Float), PromotedType::Int) => Some(as_type(DataType::Float64)),
        (Asks::Compare(comparison, value), value_type) => {
            match holds(&column, value_type, comparison, &Literal::of(&constant(value)?)?) {
                Holds::If(condition) => Some(condition),
                Holds::Never | Holds::Always | Holds::Unknown => None,
            }
        }
        _ => None,
    }
}
