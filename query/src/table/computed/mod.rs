//! Attributes that a query uses one by one, as columns that its scans compute.
//!
//! `attribute(attributes, 'k')` somewhere above a scan would have the scan read all attributes and put them together. A rule
//! ([`Computing`]) therefore asks the scan for one more column with the call's value, and the scan computes it for each of its
//! legs from where the attribute is there. The column has no name that SQL knows, and ends at the node that asked for it, so
//! that no other node has to expect it.
//!
//! - `rule`: the walk over a plan.
//! - `provide`: the way of a column from its scan to the node that asked.

mod provide;
mod rule;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::Column;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::prelude::Expr;

use crate::semantics::attributes::cast::Target;
use crate::semantics::attributes::value::Comparison;
use crate::semantics::{Access, Asks, access, constant};

pub(crate) use rule::Computing;

/// A column that a scan computes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Computed {
    pub(crate) field: FieldRef,
    /// Over the table's own columns, without its name.
    pub(crate) expr: Expr,
}

/// A call that a column can stand for: what it says depends on one attribute alone, and is NULL where an outer join left
/// none.
#[derive(Debug, Clone, PartialEq)]
struct Wish {
    attributes: Column,
    key: Arc<str>,
    call: ScalarFunction,
    data_type: DataType,
}

impl Wish {
    fn of(expr: &Expr) -> Option<Self> {
        let Expr::ScalarFunction(call) = expr else { return None };
        let Access { attributes: Expr::Column(attributes), key, asks } = access(expr)? else { return None };
        let data_type = match asks {
            Asks::Text => DataType::Utf8View,
            Asks::As(Target::Int | Target::Whole) => DataType::Int64,
            Asks::As(Target::Float) => DataType::Float64,
            Asks::As(Target::Bool) => DataType::Boolean,
            Asks::Compare(Comparison::Distinct | Comparison::NotDistinct, _) | Asks::Exists => return None,
            Asks::Compare(_, value) => {
                constant(value)?;
                DataType::Boolean
            }
        };
        Some(Self { attributes: attributes.clone(), key: key.into(), call: call.clone(), data_type })
    }

    /// The column for a scan whose own column of attributes is `column`.
    fn computed(&self, column: &str, number: usize) -> Computed {
        let name = format!("__{number}.{column}.{}", self.key);
        Computed { field: Arc::new(Field::new(name, self.data_type.clone(), true)), expr: self.over(column) }
    }

    fn over(&self, column: &str) -> Expr {
        let attributes = Expr::Column(Column::new_unqualified(column));
        let args = std::iter::once(attributes).chain(self.call.args.iter().skip(1).cloned()).collect();
        Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&self.call.func), args))
    }
}
