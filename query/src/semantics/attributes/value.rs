//! One attribute value: its text, and how numbers compare: exactly, also between integers and floats.

use std::cmp::Ordering;
use std::fmt::Write;

use datafusion::logical_expr::Operator;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Number {
    Int(i64),
    Float(f64),
}

impl Number {
    pub(crate) fn from_unsigned(value: u64) -> Self {
        // Beyond i64 it is larger than every integer that an attribute can have, which the float says as well.
        i64::try_from(value).map_or(Self::Float(value as f64), Self::Int)
    }

    /// The number that the text is, if it is one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(int) = text.parse() {
            return Some(Self::Int(int));
        }
        // Rust also reads "inf" and "nan", which in text are rather words.
        if !text.bytes().any(|byte| byte.is_ascii_digit()) {
            return None;
        }
        text.parse().ok().map(Self::Float)
    }

    pub(crate) fn write(self, to: &mut String) {
        let written = match self {
            Self::Int(int) => write!(to, "{int}"),
            Self::Float(f64::INFINITY) => write!(to, "Infinity"),
            Self::Float(f64::NEG_INFINITY) => write!(to, "-Infinity"),
            Self::Float(float) => write!(to, "{float:?}"),
        };
        debug_assert!(written.is_ok(), "text grows without fail");
    }

    /// Total: NaN equals itself and is larger than every other number, as in Arrow's comparisons.
    pub(super) fn compare(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Int(left), Self::Int(right)) => left.cmp(&right),
            (Self::Float(left), Self::Float(right)) => compare_floats(left, right),
            (Self::Int(left), Self::Float(right)) => compare_int_float(left, right),
            (Self::Float(left), Self::Int(right)) => compare_int_float(right, left).reverse(),
        }
    }

    pub(super) fn to_int(self) -> Option<i64> {
        match self {
            Self::Int(int) => Some(int),
            Self::Float(float) => in_int_range(float).then(|| float.trunc() as i64),
        }
    }

    /// The integer that the number is, if it is one.
    pub(super) fn as_whole(self) -> Option<i64> {
        match self {
            Self::Int(int) => Some(int),
            Self::Float(float) => (in_int_range(float) && float.fract() == 0.0).then_some(float as i64),
        }
    }

    pub(super) fn to_float(self) -> f64 {
        match self {
            Self::Int(int) => int as f64,
            Self::Float(float) => float,
        }
    }
}

const INT_END: f64 = 9_223_372_036_854_775_808.0;

fn in_int_range(float: f64) -> bool {
    (-INT_END..INT_END).contains(&float)
}

fn compare_floats(left: f64, right: f64) -> Ordering {
    left.partial_cmp(&right).unwrap_or_else(|| left.is_nan().cmp(&right.is_nan()))
}

fn compare_int_float(int: i64, float: f64) -> Ordering {
    if float.is_nan() || float >= INT_END {
        return Ordering::Less;
    }
    if float < -INT_END {
        return Ordering::Greater;
    }
    // Within the range of integers truncation is exact.
    let whole = float.trunc();
    int.cmp(&(whole as i64)).then_with(|| compare_floats(whole, float))
}

/// A comparison operator, decided once for a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Comparison {
    Eq,
    NotEq,
    Lt,
    LtEq,
    Gt,
    GtEq,
    Distinct,
    NotDistinct,
}

impl Comparison {
    pub(crate) fn from_operator(operator: Operator) -> Option<Self> {
        Some(match operator {
            Operator::Eq => Self::Eq,
            Operator::NotEq => Self::NotEq,
            Operator::Lt => Self::Lt,
            Operator::LtEq => Self::LtEq,
            Operator::Gt => Self::Gt,
            Operator::GtEq => Self::GtEq,
            Operator::IsDistinctFrom => Self::Distinct,
            Operator::IsNotDistinctFrom => Self::NotDistinct,
            _ => return None,
        })
    }

    pub(crate) fn operator(self) -> Operator {
        match self {
            Self::Eq => Operator::Eq,
            Self::NotEq => Operator::NotEq,
            Self::Lt => Operator::Lt,
            Self::LtEq => Operator::LtEq,
            Self::Gt => Operator::Gt,
            Self::GtEq => Operator::GtEq,
            Self::Distinct => Operator::IsDistinctFrom,
            Self::NotDistinct => Operator::IsNotDistinctFrom,
        }
    }

    pub(crate) const ALL: [(Self, &'static str); 8] = [
        (Self::Eq, "="),
        (Self::NotEq, "!="),
        (Self::Lt, "<"),
        (Self::LtEq, "<="),
        (Self::Gt, ">"),
        (Self::GtEq, ">="),
        (Self::Distinct, "IS DISTINCT FROM"),
        (Self::NotDistinct, "IS NOT DISTINCT FROM"),
    ];

    pub(crate) fn symbol(self) -> &'static str {
        Self::ALL.iter().find(|(comparison, _)| *comparison == self).map_or("=", |(_, symbol)| symbol)
    }

    pub(crate) fn parse(symbol: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == symbol).map(|(comparison, _)| *comparison)
    }

    /// The operator with its operands exchanged.
    pub(crate) fn mirrored(self) -> Self {
        match self {
            Self::Lt => Self::Gt,
            Self::LtEq => Self::GtEq,
            Self::Gt => Self::Lt,
            Self::GtEq => Self::LtEq,
            same => same,
        }
    }

    /// What holds where this does not, and NULL where it is.
    pub(crate) fn negated(self) -> Self {
        match self {
            Self::Eq => Self::NotEq,
            Self::NotEq => Self::Eq,
            Self::Lt => Self::GtEq,
            Self::LtEq => Self::Gt,
            Self::Gt => Self::LtEq,
            Self::GtEq => Self::Lt,
            Self::Distinct => Self::NotDistinct,
            Self::NotDistinct => Self::Distinct,
        }
    }

    pub(super) fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Eq | Self::NotDistinct => ordering.is_eq(),
            Self::NotEq | Self::Distinct => ordering.is_ne(),
            Self::Lt => ordering.is_lt(),
            Self::LtEq => ordering.is_le(),
            Self::Gt => ordering.is_gt(),
            Self::GtEq => ordering.is_ge(),
        }
    }

    /// What it says where one side or both are NULL; `None` is NULL.
    pub(super) fn of_nulls(self, both: bool) -> Option<bool> {
        match self {
            Self::Distinct => Some(!both),
            Self::NotDistinct => Some(both),
            _ => None,
        }
    }
}
