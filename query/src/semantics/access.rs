//! Calls that use one attribute, as plans have them after the walk.

use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::Cast;
use datafusion::prelude::Expr;

use super::attributes::cast::{Convert, Target};
use super::attributes::compare::Compare;
use super::attributes::text::{Attribute, Exists};
use super::attributes::value::Comparison;
use super::functions;

/// One attribute and what is asked of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Access<'e> {
    /// The attributes as a whole.
    pub(crate) attributes: &'e Expr,
    pub(crate) key: &'e str,
    pub(crate) asks: Asks<'e>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Asks<'e> {
    Text,
    Exists,
    As(Target),
    Compare(Comparison, &'e Expr),
}

/// The access that an expression is, if it is one.
pub(crate) fn access(expr: &Expr) -> Option<Access<'_>> {
    let Expr::ScalarFunction(call) = expr else { return None };
    let [attributes, Expr::Literal(key, _), rest @ ..] = call.args.as_slice() else { return None };
    let key = key.try_as_str().flatten()?;
    let function = call.func.inner();
    let asks = match rest {
        [] if function.downcast_ref::<Attribute>().is_some() => Asks::Text,
        [] if function.downcast_ref::<Exists>().is_some() => Asks::Exists,
        [] => Asks::As(function.downcast_ref::<Convert>()?.target()),
        [Expr::Literal(symbol, _), value] if function.downcast_ref::<Compare>().is_some() => {
            Asks::Compare(Comparison::parse(symbol.try_as_str().flatten()?)?, value)
        }
        _ => return None,
    };
    Some(Access { attributes, key, asks })
}

/// The same, where the text of an attribute is only made to see whether there is one.
pub(crate) fn without_text(expr: Expr) -> Expr {
    let exists = |inner: &Expr| {
        let access = access(inner).filter(|access| matches!(access.asks, Asks::Text))?;
        Some(functions::exists(access.attributes.clone(), access.key))
    };
    match &expr {
        Expr::IsNotNull(inner) => exists(inner).unwrap_or(expr),
        Expr::IsNull(inner) => exists(inner).map_or(expr, |exists| Expr::Not(Box::new(exists))),
        _ => expr,
    }
}

/// Calls `visit` for each access within the expression.
pub(crate) fn each_access(expr: &Expr, mut visit: impl FnMut(Access<'_>)) {
    // The closure never fails, and neither does the walk then.
    let _ = expr.apply(|expr| {
        if let Some(access) = access(expr) {
            visit(access);
        }
        Ok(TreeNodeRecursion::Continue)
    });
}

/// The value of a literal, also where it only is converted.
pub(crate) fn constant(expr: &Expr) -> Option<ScalarValue> {
    match expr {
        Expr::Literal(value, _) => Some(value.clone()),
        Expr::Cast(Cast { expr, field }) => constant(expr)?.cast_to(field.data_type()).ok(),
        Expr::Alias(alias) => constant(&alias.expr),
        _ => None,
    }
}
