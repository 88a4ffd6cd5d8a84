//! Parameters `$1`, `$2`, ... take their values in the parsed statement, so that a bound value means just what the same
//! literal would, and never becomes text that is parsed again.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, UnaryOperator, Value, ValueWithSpan, VisitMut, VisitorMut};

use crate::error::{Error, Result};

/// The value of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Parameter {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
}

impl Parameter {
    fn literal(&self) -> Result<Expr> {
        let value = |value: Value| Expr::Value(value.with_empty_span());
        let negative = |value: Value| Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr: Box::new(Expr::Value(value.with_empty_span())),
        };
        Ok(match self {
            Self::Null => value(Value::Null),
            Self::Bool(bool) => value(Value::Boolean(*bool)),
            Self::Text(text) => value(Value::SingleQuotedString(text.clone())),
            Self::Int(int) if *int < 0 => negative(Value::Number(int.unsigned_abs().to_string(), false)),
            Self::Int(int) => value(Value::Number(int.to_string(), false)),
            Self::Float(float) if !float.is_finite() => {
                return Err(Error::bad_query(format!("parameter value {float} is no number that SQL knows")));
            }
            // The exponent keeps a whole number a float.
            Self::Float(float) if float.is_sign_negative() => negative(Value::Number(format!("{:e}", -float), false)),
            Self::Float(float) => value(Value::Number(format!("{float:e}"), false)),
        })
    }
}

struct Binder<'a> {
    parameters: &'a [Parameter],
    used: Vec<bool>,
}

impl VisitorMut for Binder<'_> {
    type Break = Error;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        if let Expr::Value(ValueWithSpan { value: Value::Placeholder(name), .. }) = expr {
            let number = name.strip_prefix('$').and_then(|digits| digits.parse::<usize>().ok());
            let Some(index) = number.and_then(|number| number.checked_sub(1)) else {
                return ControlFlow::Break(Error::bad_query(format!(
                    "parameter {name} has no number; parameters are written $1, $2, ..."
                )));
            };
            let Some(parameter) = self.parameters.get(index) else {
                return ControlFlow::Break(Error::bad_query(format!(
                    "parameter {name} has no value; the request brings {}",
                    self.parameters.len()
                )));
            };
            self.used[index] = true;
            match parameter.literal() {
                Ok(literal) => *expr = literal,
                Err(error) => return ControlFlow::Break(error),
            }
        }
        ControlFlow::Continue(())
    }
}

/// Puts the parameters' values into the statement. Each must be used.
pub(crate) fn bind<Ast: VisitMut>(statement: &mut Ast, parameters: &[Parameter]) -> Result<()> {
    let mut binder = Binder { parameters, used: vec![false; parameters.len()] };
    if let ControlFlow::Break(error) = statement.visit(&mut binder) {
        return Err(error);
    }
    match binder.used.iter().position(|used| !used) {
        Some(unused) => Err(Error::bad_query(format!("parameter ${} is not in the query", unused + 1))),
        None => Ok(()),
    }
}
