//! One promoted column compared with one literal, as `semantics::attributes::compare` would compare its values.

use datafusion::common::ScalarValue;
use datafusion::functions::expr_fn::isnan;
use datafusion::logical_expr::{Operator, binary_expr, lit};
use datafusion::prelude::Expr;
use storage::schema::promoted::PromotedType;

use crate::semantics::attributes::value::{Comparison, Number};

/// What an attribute is compared with.
#[derive(Debug, Clone)]
pub(super) enum Literal {
    Null,
    Text(String),
    Number(Number),
    Bool(bool),
}

impl Literal {
    pub(super) fn of(value: &ScalarValue) -> Option<Self> {
        Some(match value {
            value if value.is_null() => Self::Null,
            ScalarValue::Int64(Some(int)) => Self::Number(Number::Int(*int)),
            ScalarValue::UInt64(Some(int)) => Self::Number(Number::from_unsigned(*int)),
            ScalarValue::Float64(Some(float)) => Self::Number(Number::Float(*float)),
            ScalarValue::Boolean(Some(bool)) => Self::Bool(*bool),
            other => Self::Text(other.try_as_str().flatten()?.to_owned()),
        })
    }
}

/// When a comparison holds for the rows that have a value in the column.
pub(super) enum Holds {
    Never,
    Always,
    /// NULL where the column is.
    If(Expr),
    /// There is no plain condition for it.
    Unknown,
}

pub(super) fn holds(column: &Expr, value_type: PromotedType, comparison: Comparison, with: &Literal) -> Holds {
    let operator = match comparison {
        Comparison::Distinct | Comparison::NotDistinct => return Holds::Unknown,
        strict => strict.operator(),
    };
    match (with, value_type) {
        (Literal::Null, _) => Holds::Never,
        (Literal::Text(text), PromotedType::Text) => {
            let text = ScalarValue::Utf8View(Some(text.clone()));
            Holds::If(binary_expr(column.clone(), operator, Expr::Literal(text, None)))
        }
        (Literal::Text(text), value_type) => match operator {
            Operator::Eq | Operator::NotEq => match read_as(text, value_type) {
                Read::As(literal) => holds(column, value_type, comparison, &literal),
                Read::Foreign if operator == Operator::Eq => Holds::Never,
                Read::Foreign => Holds::Always,
                Read::Unknown => Holds::Unknown,
            },
            // Numbers and booleans in the order of their text.
            _ => Holds::Unknown,
        },
        (Literal::Number(number), PromotedType::Int) => of_ints(column, operator, *number),
        (Literal::Number(number), PromotedType::Float) => of_floats(column, operator, *number),
        (Literal::Bool(bool), PromotedType::Bool) => Holds::If(binary_expr(column.clone(), operator, lit(*bool))),
        (Literal::Number(_), PromotedType::Text | PromotedType::Bool)
        | (Literal::Bool(_), PromotedType::Text | PromotedType::Int | PromotedType::Float) => Holds::Never,
    }
}

/// What a text is among the values of a type.
enum Read {
    /// The text of this one value.
    As(Literal),
    /// No value has this text.
    Foreign,
    Unknown,
}

fn read_as(text: &str, value_type: PromotedType) -> Read {
    let written = |number: Number| {
        let mut to = String::new();
        number.write(&mut to);
        to == text
    };
    let number = match value_type {
        PromotedType::Text => return Read::As(Literal::Text(text.to_owned())),
        PromotedType::Bool => return text.parse().map_or(Read::Foreign, |bool| Read::As(Literal::Bool(bool))),
        PromotedType::Int => text.parse().ok().map(Number::Int),
        PromotedType::Float => match text.parse::<f64>() {
            // Zeros of either sign are equal and have two texts, NaN has many forms and one text.
            Ok(float) if float == 0.0 || float.is_nan() => return Read::Unknown,
            other => other.ok().map(Number::Float),
        },
    };
    match number {
        Some(number) if written(number) => Read::As(Literal::Number(number)),
        _ => Read::Foreign,
    }
}

fn of_ints(column: &Expr, operator: Operator, number: Number) -> Holds {
    const END: f64 = 9_223_372_036_854_775_808.0;
    let than = |operator, int: i64| Holds::If(binary_expr(column.clone(), operator, lit(int)));
    let float = match number {
        Number::Int(int) => return than(operator, int),
        Number::Float(float) => float,
    };
    if float.is_nan() {
        return Holds::Unknown;
    }
    let (is_above, is_below) = (float >= END, float < -END);
    let is_less = matches!(operator, Operator::Lt | Operator::LtEq);
    match operator {
        _ if !is_above && !is_below && float.fract() == 0.0 => than(operator, float as i64),
        Operator::Eq => Holds::Never,
        Operator::NotEq => Holds::Always,
        _ if is_above || is_below => {
            if is_above == is_less {
                Holds::Always
            } else {
                Holds::Never
            }
        }
        _ if is_less => than(Operator::LtEq, float.floor() as i64),
        _ => than(Operator::Gt, float.floor() as i64),
    }
}

/// Arrow has NaN of either sign at the ends and negative zero before zero; here every NaN is above all others and zeros are
/// equal. Parquet's ranges leave NaN out, so what NaN fulfils says so by itself.
fn of_floats(column: &Expr, operator: Operator, number: Number) -> Holds {
    /// Up to here floats hold integers exactly.
    const EXACT: u64 = 1 << 53;
    let float = match number {
        Number::Int(int) if int.unsigned_abs() > EXACT => return Holds::Unknown,
        Number::Int(int) => int as f64,
        Number::Float(float) if float.is_nan() => return Holds::Unknown,
        Number::Float(float) => float,
    };
    let than = |operator, float: f64| binary_expr(column.clone(), operator, lit(float));
    let (lower, upper) = if float == 0.0 { (-0.0, 0.0) } else { (float, float) };
    let or_nan = |condition: Expr| condition.or(isnan(column.clone()));
    let no_nan = |condition: Expr| condition.and(than(Operator::GtEq, f64::NEG_INFINITY));
    Holds::If(match operator {
        Operator::Eq if lower.is_sign_negative() == upper.is_sign_negative() => than(Operator::Eq, float),
        Operator::Eq => than(Operator::GtEq, lower).and(than(Operator::LtEq, upper)),
        Operator::NotEq => or_nan(than(Operator::Lt, lower).or(than(Operator::Gt, upper))),
        Operator::Lt => no_nan(than(Operator::Lt, lower)),
        Operator::LtEq => no_nan(than(Operator::LtEq, upper)),
        Operator::Gt => or_nan(than(Operator::Gt, upper)),
        Operator::GtEq => or_nan(than(Operator::GtEq, lower)),
        _ => return Holds::Unknown,
    })
}
