//! Conditions of which the extremes of a page can prove that they hold for all of its rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Scalar};
use arrow::compute::kernels::cmp;
use arrow::compute::{and, or};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, InListExpr, Literal, NotExpr};

/// A condition, or one that is enough for it, on one column; never NULL where that column is not.
#[derive(Debug)]
pub(super) struct Condition {
    pub(super) column: String,
    holds: Holds,
}

#[derive(Debug)]
enum Holds {
    Compared(Operator, Scalar<ArrayRef>),
    Either(Vec<Holds>),
}

impl Condition {
    /// `None` where nothing can be proved of it.
    pub(super) fn of(expr: &Arc<dyn PhysicalExpr>) -> Option<Self> {
        let is = |column: &Column, value: bool| {
            let holds = Holds::Compared(Operator::Eq, ScalarValue::from(value).to_scalar().ok()?);
            Some(Self { column: column.name().to_owned(), holds })
        };
        if let Some(column) = expr.downcast_ref::<Column>() {
            return is(column, true);
        }
        if let Some(not) = expr.downcast_ref::<NotExpr>() {
            return is(not.arg().downcast_ref::<Column>()?, false);
        }
        if let Some(list) = expr.downcast_ref::<InListExpr>().filter(|list| !list.negated()) {
            let column = list.expr().downcast_ref::<Column>()?.name().to_owned();
            let equal = |value: &Arc<dyn PhysicalExpr>| Some(Holds::Compared(Operator::Eq, known(value)?));
            let holds = list.list().iter().map(equal).collect::<Option<_>>()?;
            return Some(Self { column, holds: Holds::Either(holds) });
        }
        let binary = expr.downcast_ref::<BinaryExpr>()?;
        if *binary.op() == Operator::Or {
            // One side that holds is enough.
            return match (Self::of(binary.left()), Self::of(binary.right())) {
                (Some(left), Some(right)) if left.column == right.column => {
                    Some(Self { column: left.column, holds: Holds::Either(vec![left.holds, right.holds]) })
                }
                (left, right) => left.or(right),
            };
        }
        let (column, op, value) = match binary.left().downcast_ref::<Column>() {
            Some(column) => (column, *binary.op(), binary.right()),
            None => (binary.right().downcast_ref::<Column>()?, binary.op().swap()?, binary.left()),
        };
        let is_compared = matches!(op, Operator::Eq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq);
        let holds = Holds::Compared(op, known(value)?);
        is_compared.then(|| Self { column: column.name().to_owned(), holds })
    }

    /// For which pages it surely holds of all values between these extremes, which may lie beyond those of the values.
    pub(super) fn of_all(&self, mins: &ArrayRef, maxes: &ArrayRef) -> Result<BooleanArray> {
        self.holds.of_all(mins, maxes)
    }
}

impl Holds {
    fn of_all(&self, mins: &ArrayRef, maxes: &ArrayRef) -> Result<BooleanArray> {
        Ok(match self {
            Self::Compared(Operator::Eq, value) => and(&cmp::eq(mins, value)?, &cmp::eq(maxes, value)?)?,
            Self::Compared(Operator::Lt, value) => cmp::lt(maxes, value)?,
            Self::Compared(Operator::LtEq, value) => cmp::lt_eq(maxes, value)?,
            Self::Compared(Operator::Gt, value) => cmp::gt(mins, value)?,
            Self::Compared(Operator::GtEq, value) => cmp::gt_eq(mins, value)?,
            Self::Compared(..) => BooleanArray::new_null(mins.len()),
            Self::Either(all) => {
                let mut any = BooleanArray::from(vec![false; mins.len()]);
                for holds in all {
                    any = or(&any, &holds.of_all(mins, maxes)?)?;
                }
                any
            }
        })
    }
}

/// The value of a literal that has one. Statistics leave out numbers that are none, so nothing is known of floats.
fn known(expr: &Arc<dyn PhysicalExpr>) -> Option<Scalar<ArrayRef>> {
    let value: &ScalarValue = expr.downcast_ref::<Literal>()?.value();
    if value.is_null() || value.data_type().is_floating() {
        return None;
    }
    value.to_scalar().ok()
}
