//! Conditions of which the extremes of a page can prove that they hold for all of its rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Scalar};
use arrow::compute::kernels::cmp;
use arrow::compute::{and, or};
use arrow::error::ArrowError;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, InListExpr, Literal, NotExpr};

/// Comparisons of one condition at most: each is made with the extremes of all pages.
const MAX_COMPARISONS: usize = 32;

/// A condition, or one that is enough for it, on one column; never NULL where that column is not.
#[derive(Debug)]
pub(super) struct Condition {
    pub(super) column: String,
    /// One that holds is enough.
    any: Vec<Comparison>,
    /// Whether one must hold, too.
    is_whole: bool,
}

#[derive(Debug)]
struct Comparison {
    operator: Operator,
    value: Scalar<ArrayRef>,
}

impl Condition {
    /// `None` where nothing can be proved of it.
    pub(super) fn of(expr: &Arc<dyn PhysicalExpr>) -> Option<Self> {
        if let Some(column) = expr.downcast_ref::<Column>() {
            return Self::new(column, vec![Comparison::is(true)?]);
        }
        if let Some(not) = expr.downcast_ref::<NotExpr>() {
            return Self::new(not.arg().downcast_ref::<Column>()?, vec![Comparison::is(false)?]);
        }
        if let Some(list) = expr.downcast_ref::<InListExpr>().filter(|list| !list.negated()) {
            let few = list.list().get(..list.list().len().min(MAX_COMPARISONS + 1))?;
            let any = few.iter().map(|value| Comparison::of(Operator::Eq, value)).collect::<Option<_>>()?;
            return Self::new(list.expr().downcast_ref::<Column>()?, any);
        }
        let binary = expr.downcast_ref::<BinaryExpr>()?;
        if *binary.op() == Operator::Or {
            return match (Self::of(binary.left()), Self::of(binary.right())) {
                (Some(left), Some(right)) => left.or(right),
                (left, right) => left.or(right).map(|side| Self { is_whole: false, ..side }),
            };
        }
        let (column, operator, value) = match binary.left().downcast_ref::<Column>() {
            Some(column) => (column, *binary.op(), binary.right()),
            None => (binary.right().downcast_ref::<Column>()?, binary.op().swap()?, binary.left()),
        };
        Self::new(column, vec![Comparison::of(operator, value)?])
    }

    fn new(column: &Column, any: Vec<Comparison>) -> Option<Self> {
        (any.len() <= MAX_COMPARISONS).then(|| Self { column: column.name().to_owned(), any, is_whole: true })
    }

    fn or(mut self, other: Self) -> Option<Self> {
        if self.column != other.column {
            return Some(Self { is_whole: false, ..self });
        }
        self.any.extend(other.any);
        self.is_whole &= other.is_whole;
        (self.any.len() <= MAX_COMPARISONS).then_some(self)
    }

    /// For which pages it surely holds of all values between these extremes, which may lie beyond those of the values.
    pub(super) fn of_all(&self, mins: &ArrayRef, maxes: &ArrayRef) -> Result<BooleanArray, ArrowError> {
        self.either(mins.len(), |comparison| comparison.of_all(mins, maxes))
    }

    /// For which pages it may hold of a value between these extremes.
    pub(super) fn of_some(&self, mins: &ArrayRef, maxes: &ArrayRef) -> Result<BooleanArray, ArrowError> {
        if !self.is_whole {
            return Ok(BooleanArray::new_null(mins.len()));
        }
        self.either(mins.len(), |comparison| comparison.of_some(mins, maxes))
    }

    fn either(
        &self,
        pages: usize,
        holds: impl Fn(&Comparison) -> Result<BooleanArray, ArrowError>,
    ) -> Result<BooleanArray, ArrowError> {
        let none = BooleanArray::from(vec![false; pages]);
        self.any.iter().try_fold(none, |any, comparison| or(&any, &holds(comparison)?))
    }
}

impl Comparison {
    fn of(operator: Operator, value: &Arc<dyn PhysicalExpr>) -> Option<Self> {
        let is_known = matches!(operator, Operator::Eq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq);
        if is_known { Some(Self { operator, value: known(value)? }) } else { None }
    }

    fn is(value: bool) -> Option<Self> {
        Some(Self { operator: Operator::Eq, value: ScalarValue::from(value).to_scalar().ok()? })
    }

    fn of_all(&self, mins: &ArrayRef, maxes: &ArrayRef) -> Result<BooleanArray, ArrowError> {
        let value = &self.value;
        match self.operator {
            Operator::Lt => cmp::lt(maxes, value),
            Operator::LtEq => cmp::lt_eq(maxes, value),
            Operator::Gt => cmp::gt(mins, value),
            Operator::GtEq => cmp::gt_eq(mins, value),
            _ => and(&cmp::eq(mins, value)?, &cmp::eq(maxes, value)?),
        }
    }

    fn of_some(&self, mins: &ArrayRef, maxes: &ArrayRef) -> Result<BooleanArray, ArrowError> {
        let value = &self.value;
        match self.operator {
            Operator::Lt => cmp::lt(mins, value),
            Operator::LtEq => cmp::lt_eq(mins, value),
            Operator::Gt => cmp::gt(maxes, value),
            Operator::GtEq => cmp::gt_eq(maxes, value),
            _ => and(&cmp::lt_eq(mins, value)?, &cmp::gt_eq(maxes, value)?),
        }
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
