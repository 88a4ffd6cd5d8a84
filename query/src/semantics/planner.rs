//! `attributes['key']` while SQL is planned, before anything knows more than types.

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result, plan_err};
use datafusion::logical_expr::expr::BinaryExpr;
use datafusion::logical_expr::planner::{
    ExprPlanner, PlannerResult, RawAggregateExpr, RawBinaryExpr, RawFieldAccessExpr,
};
use datafusion::logical_expr::{
    Cast, ColumnarValue, ExprSchemable, GetFieldAccess, Operator, ScalarFunctionArgs, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion::prelude::Expr;
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::attributes::is_attributes;
use super::attributes::text::ATTRIBUTE;
use super::functions::{as_bool, attribute};
use super::kinds::is_text;
use crate::error::Error;
use crate::estimate::Estimate;

/// Plans the access of an attribute as its text, and the few uses of it that would not pass as text.
#[derive(Debug)]
pub(crate) struct AttributePlanner;

impl ExprPlanner for AttributePlanner {
    fn plan_field_access(
        &self,
        access: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawFieldAccessExpr>> {
        if !access.expr.get_type(schema).is_ok_and(|data_type| is_attributes(&data_type)) {
            return Ok(PlannerResult::Original(access));
        }
        let key = match &access.field_access {
            GetFieldAccess::NamedStructField { name } => name.try_as_str().flatten(),
            GetFieldAccess::ListIndex { key } => match key.as_ref() {
                Expr::Literal(key, _) => key.try_as_str().flatten(),
                Expr::Column(column) => {
                    return Err(Error::bad_query(format!(
                        "an attribute's key is text in single quotes: {}['{}']",
                        access.expr.schema_name(),
                        column.name
                    ))
                    .into());
                }
                _ => None,
            },
            GetFieldAccess::ListRange { .. } => None,
        };
        match key {
            Some(key) => Ok(PlannerResult::Planned(attribute(access.expr.clone(), key))),
            None => plan_err!("an attribute's key must be literal text in single quotes"),
        }
    }

    fn plan_binary_op(&self, raw: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        if let Some(operator) = comparison(&raw.op) {
            // DataFusion refuses text against booleans here, before the walk can see whether the text is an attribute's.
            let is = |expr: &Expr, wanted: fn(&DataType) -> bool| {
                expr.get_type(schema).is_ok_and(|data_type| wanted(&data_type))
            };
            let mixed = |text: &Expr, bool: &Expr| {
                is_reference(text) && is(text, is_text) && is(bool, |data_type| *data_type == DataType::Boolean)
            };
            let (left, right) = if mixed(&raw.left, &raw.right) {
                (as_bool(raw.left), raw.right)
            } else if mixed(&raw.right, &raw.left) {
                (raw.left, as_bool(raw.right))
            } else {
                return Ok(PlannerResult::Original(raw));
            };
            return Ok(PlannerResult::Planned(Expr::BinaryExpr(BinaryExpr::new(left.into(), operator, right.into()))));
        }
        if is_arithmetic(&raw.op) {
            let number = |expr: Expr| if is_access(&expr) { as_float(expr) } else { expr };
            return Ok(PlannerResult::Original(RawBinaryExpr {
                op: raw.op,
                left: number(raw.left),
                right: number(raw.right),
            }));
        }
        Ok(PlannerResult::Original(raw))
    }

    fn plan_aggregate(&self, mut raw: RawAggregateExpr) -> Result<PlannerResult<RawAggregateExpr>> {
        if NUMERIC_AGGREGATES.contains(&raw.func.name()) {
            raw.args = raw.args.into_iter().map(|arg| if is_access(&arg) { as_float(arg) } else { arg }).collect();
        }
        #[expect(deprecated, reason = "the parser's * comes as this")]
        let is_all = matches!(raw.args.as_slice(), [Expr::Wildcard { .. }]);
        if is_all && raw.func.inner().downcast_ref::<Estimate>().is_some_and(Estimate::counts) {
            raw.args.clear();
        }
        Ok(PlannerResult::Original(raw))
    }
}

/// Aggregates that mean nothing but numbers.
const NUMERIC_AGGREGATES: [&str; 13] = [
    "estimate_sum",
    "estimate_mean",
    "estimate_quantile",
    "sum",
    "avg",
    "stddev",
    "stddev_pop",
    "var",
    "var_pop",
    "median",
    "approx_median",
    "percentile_cont",
    "approx_percentile_cont",
];

fn as_float(expr: Expr) -> Expr {
    Expr::Cast(Cast::new(Box::new(expr), DataType::Float64))
}

fn is_access(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarFunction(call) if call.func.name() == ATTRIBUTE)
}

fn is_reference(expr: &Expr) -> bool {
    is_access(expr) || matches!(expr, Expr::Column(_))
}

fn comparison(op: &BinaryOperator) -> Option<Operator> {
    Some(match op {
        BinaryOperator::Eq => Operator::Eq,
        BinaryOperator::NotEq => Operator::NotEq,
        BinaryOperator::Lt => Operator::Lt,
        BinaryOperator::LtEq => Operator::LtEq,
        BinaryOperator::Gt => Operator::Gt,
        BinaryOperator::GtEq => Operator::GtEq,
        _ => return None,
    })
}

fn is_arithmetic(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::Plus
            | BinaryOperator::Minus
            | BinaryOperator::Multiply
            | BinaryOperator::Divide
            | BinaryOperator::Modulo
    )
}

/// Stands for text that is compared with a boolean until the walk knows whether the text is an attribute's.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct AsBool(Signature);

pub(super) const AS_BOOL: &str = "text_as_boolean";

impl Default for AsBool {
    fn default() -> Self {
        Self(Signature::any(1, Volatility::Immutable))
    }
}

impl ScalarUDFImpl for AsBool {
    fn name(&self) -> &str {
        AS_BOOL
    }

    fn display_name(&self, args: &[Expr]) -> Result<String> {
        Ok(args.iter().map(ToString::to_string).collect())
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(args.iter().map(|arg| arg.schema_name().to_string()).collect())
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Err(Error::bad_query("text is compared with a boolean; write = 'true' or = 'false'").into())
    }
}
