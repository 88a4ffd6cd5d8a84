//! Attributes in expressions: compared with a number or boolean, the values of that type are meant.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result};
use datafusion::logical_expr::expr::{BinaryExpr, InList};
use datafusion::logical_expr::{Between, Case, Cast, TryCast};
use datafusion::prelude::{Expr, lit};

use super::attributes::cast::Target;
use super::attributes::is_attributes;
use super::attributes::text::ATTRIBUTE;
use super::attributes::value::Comparison;
use super::functions;
use super::kinds::{Kind, Scope, is_text};
use super::planner::AS_BOOL;
use super::rule::Expressions;
use crate::error::Error;

/// The attributes behind a column that shows one attribute's text.
#[derive(Debug, Clone)]
pub(super) struct Twin {
    pub(super) attributes: Column,
    pub(super) key: String,
}

impl Twin {
    pub(super) fn is_column(&self, name: &str) -> bool {
        self.attributes.name == name
    }
}

/// An attribute that is used.
pub(super) enum Access {
    /// Its maps are at hand.
    Typed { attributes: Expr, key: String },
    /// Only its text is left, as after an aggregate or a union.
    Text(Expr),
}

impl Access {
    fn compare(self, comparison: Comparison, value: Expr) -> Expr {
        match self {
            Self::Typed { attributes, key } => functions::compare(attributes, &key, comparison.symbol(), value),
            Self::Text(text) => functions::compare(text, "", comparison.symbol(), value),
        }
    }
}

/// The attribute that an access names, if it is one.
pub(super) fn direct(expr: &Expr) -> Option<(&Expr, &str)> {
    let Expr::ScalarFunction(call) = expr else { return None };
    let [attributes, Expr::Literal(key, _)] = call.args.as_slice() else { return None };
    (call.func.name() == ATTRIBUTE).then_some((attributes, key.try_as_str().flatten()?))
}

/// What text that was made comparable with a boolean is.
pub(super) fn behind_bool(expr: &Expr) -> Option<&Expr> {
    let Expr::ScalarFunction(call) = expr else { return None };
    (call.func.name() == AS_BOOL).then(|| call.args.first()).flatten()
}

fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric()
}

/// How a value that an attribute is compared with is handed to the function; `None` if it is no number or boolean.
fn comparable(value: Expr, data_type: &DataType) -> Option<Expr> {
    let cast = |to| Some(Expr::Cast(Cast::new(Box::new(value.clone()), to)));
    match data_type {
        DataType::Int64 | DataType::UInt64 | DataType::Float64 | DataType::Boolean => Some(value),
        other if other.is_integer() => cast(DataType::Int64),
        other if is_number(other) => cast(DataType::Float64),
        _ => None,
    }
}

pub(super) fn rewrite(expressions: &Expressions<'_>, expr: Expr) -> Result<Transformed<Expr>> {
    Ok(match expr {
        Expr::BinaryExpr(binary) => match Comparison::from_operator(binary.op) {
            Some(comparison) => expressions.compare(binary, comparison)?,
            None => Transformed::no(Expr::BinaryExpr(binary)),
        },
        Expr::Between(between) => expressions.between(between)?,
        Expr::InList(list) => expressions.in_list(list)?,
        Expr::Case(case) => expressions.case(case)?,
        Expr::Cast(Cast { expr, field }) => match expressions.cast(&expr, field.data_type()) {
            Some(cast) => Transformed::yes(cast),
            None => Transformed::no(Expr::Cast(Cast { expr, field })),
        },
        Expr::TryCast(TryCast { expr, field }) => match expressions.cast(&expr, field.data_type()) {
            Some(cast) => Transformed::yes(cast),
            None => Transformed::no(Expr::TryCast(TryCast { expr, field })),
        },
        Expr::IsNull(inner) => match direct(&inner) {
            Some((attributes, key)) => {
                Transformed::yes(Expr::Not(Box::new(functions::exists(attributes.clone(), key))))
            }
            None => Transformed::no(Expr::IsNull(inner)),
        },
        Expr::IsNotNull(inner) => match direct(&inner) {
            Some((attributes, key)) => Transformed::yes(functions::exists(attributes.clone(), key)),
            None => Transformed::no(Expr::IsNotNull(inner)),
        },
        other => Transformed::no(other),
    })
}

/// An attribute whose values are sought in a column of numbers.
pub(super) fn for_membership(expressions: &Expressions<'_>, value: Expr, members: &DataType) -> Expr {
    if !is_number(members) {
        return value;
    }
    let target = if members.is_integer() { Target::Whole } else { Target::Float };
    match expressions.access(&value) {
        Some(Access::Typed { attributes, key }) => functions::convert(attributes, &key, target),
        Some(Access::Text(text)) => {
            let to = if members.is_integer() { DataType::Int64 } else { DataType::Float64 };
            Expr::TryCast(TryCast::new(Box::new(text), to))
        }
        None => value,
    }
}

impl Expressions<'_> {
    pub(super) fn access(&self, expr: &Expr) -> Option<Access> {
        if let Some((attributes, key)) = direct(expr) {
            return Some(Access::Typed { attributes: attributes.clone(), key: key.to_owned() });
        }
        match expr {
            Expr::Alias(alias) => self.access(&alias.expr),
            Expr::Column(column) if self.scope.kind(expr) == Kind::Attribute => Some(match self.twins.get(column) {
                Some(twin) => {
                    Access::Typed { attributes: Expr::Column(twin.attributes.clone()), key: twin.key.clone() }
                }
                None => Access::Text(expr.clone()),
            }),
            Expr::OuterReferenceColumn(..) if self.scope.kind(expr) == Kind::Attribute => {
                Some(Access::Text(expr.clone()))
            }
            other => match behind_bool(other) {
                Some(text) => self.access(text),
                None => None,
            },
        }
    }

    fn scope(&self) -> &Scope<'_> {
        self.scope
    }

    fn compare(&self, binary: BinaryExpr, comparison: Comparison) -> Result<Transformed<Expr>> {
        for mirrored in [false, true] {
            let (attribute, value, comparison) = if mirrored {
                (&binary.right, &binary.left, comparison.mirrored())
            } else {
                (&binary.left, &binary.right, comparison)
            };
            if let Some(text) = behind_bool(attribute)
                && self.access(attribute).is_none()
            {
                return Err(Error::bad_query(format!(
                    "{} is text and is compared with a boolean; write = 'true' or = 'false'",
                    text.schema_name()
                ))
                .into());
            }
            let Some(access) = self.access(attribute) else { continue };
            if self.access(value).is_some() {
                return Ok(Transformed::no(Expr::BinaryExpr(binary)));
            }
            let data_type = self.scope().data_type(value);
            if let Some(value) = comparable(value.as_ref().clone(), &data_type) {
                return Ok(Transformed::yes(access.compare(comparison, value)));
            }
            let literal = matches!(value.as_ref(), Expr::Literal(..));
            return Ok(match access {
                // Only one value's text is looked at, and only if its map has the key.
                access @ Access::Typed { .. } if literal && is_text(&data_type) => {
                    let value = Expr::Cast(Cast::new(value.clone(), DataType::Utf8View));
                    Transformed::yes(access.compare(comparison, value))
                }
                _ if is_text(&data_type) || data_type.is_null() => Transformed::no(Expr::BinaryExpr(binary)),
                // A time, say: text that is none is NULL instead of the end of the query.
                _ => {
                    let cast =
                        |expr: &Expr| Box::new(Expr::TryCast(TryCast::new(Box::new(expr.clone()), data_type.clone())));
                    let (left, right) =
                        if mirrored { (value.clone(), cast(attribute)) } else { (cast(attribute), value.clone()) };
                    Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(left, binary.op, right)))
                }
            });
        }
        Ok(Transformed::no(Expr::BinaryExpr(binary)))
    }

    fn compared(&self, left: &Expr, comparison: Comparison, right: Expr) -> Result<Expr> {
        let operator = comparison.operator();
        Ok(self.compare(BinaryExpr::new(Box::new(left.clone()), operator, Box::new(right)), comparison)?.data)
    }

    /// Whether the value has a type that an attribute is compared by.
    fn is_typed(&self, value: &Expr) -> bool {
        let data_type = self.scope().data_type(value);
        !is_text(&data_type) && !data_type.is_null()
    }

    fn between(&self, between: Between) -> Result<Transformed<Expr>> {
        let parts = [&between.expr, &between.low, &between.high];
        let attribute = parts.iter().any(|part| self.access(part).is_some());
        if !attribute || !parts.iter().any(|part| self.is_typed(part)) {
            return Ok(Transformed::no(Expr::Between(between)));
        }
        let low = self.compared(&between.expr, Comparison::GtEq, *between.low)?;
        let high = self.compared(&between.expr, Comparison::LtEq, *between.high)?;
        let within = low.and(high);
        Ok(Transformed::yes(if between.negated { Expr::Not(Box::new(within)) } else { within }))
    }

    fn in_list(&self, list: InList) -> Result<Transformed<Expr>> {
        let attribute = self.access(&list.expr).is_some();
        let typed = list.list.iter().any(|member| self.is_typed(member));
        let attribute_member = list.list.iter().any(|member| self.access(member).is_some());
        if !(attribute && typed || attribute_member && self.is_typed(&list.expr)) {
            return Ok(Transformed::no(Expr::InList(list)));
        }
        let InList { expr, list, negated } = list;
        let (typed, rest): (Vec<Expr>, Vec<Expr>) =
            list.into_iter().partition(|member| !attribute || self.is_typed(member));
        let mut any = Vec::with_capacity(typed.len() + 1);
        for member in typed {
            any.push(self.compared(&expr, Comparison::Eq, member)?);
        }
        if !rest.is_empty() {
            any.push(Expr::InList(InList { expr, list: rest, negated: false }));
        }
        let any = balanced(any);
        Ok(Transformed::yes(if negated { Expr::Not(Box::new(any)) } else { any }))
    }

    fn case(&self, mut case: Case) -> Result<Transformed<Expr>> {
        let Some(base) = &case.expr else { return Ok(Transformed::no(Expr::Case(case))) };
        let whens = || case.when_then_expr.iter().map(|(when, _)| when);
        let attribute = self.access(base).is_some() && whens().any(|when| self.is_typed(when))
            || self.is_typed(base) && whens().any(|when| self.access(when).is_some());
        if !attribute {
            return Ok(Transformed::no(Expr::Case(case)));
        }
        let base = base.as_ref().clone();
        for (when, _) in &mut case.when_then_expr {
            **when = self.compared(&base, Comparison::Eq, std::mem::take(when.as_mut()))?;
        }
        case.expr = None;
        Ok(Transformed::yes(Expr::Case(case)))
    }

    /// CAST of an attribute; NULL where its value cannot be converted.
    fn cast(&self, expr: &Expr, to: &DataType) -> Option<Expr> {
        if is_text(to) && is_attributes(&self.scope().data_type(expr)) {
            return Some(functions::attributes_json(expr.clone()));
        }
        if is_text(to) {
            return None;
        }
        let converted = |attributes, key: &str, target, from: DataType| {
            let value = functions::convert(attributes, key, target);
            if *to == from { value } else { Expr::TryCast(TryCast::new(Box::new(value), to.clone())) }
        };
        Some(match self.access(expr)? {
            Access::Typed { attributes, key } => match to {
                to if to.is_integer() => converted(attributes, &key, Target::Int, DataType::Int64),
                to if to.is_floating() => converted(attributes, &key, Target::Float, DataType::Float64),
                DataType::Boolean => converted(attributes, &key, Target::Bool, DataType::Boolean),
                to => {
                    let text = functions::attribute(attributes, &key);
                    Expr::TryCast(TryCast::new(Box::new(text), to.clone()))
                }
            },
            Access::Text(text) => Expr::TryCast(TryCast::new(Box::new(text), to.clone())),
        })
    }
}

/// A disjunction as shallow as can be.
fn balanced(mut terms: Vec<Expr>) -> Expr {
    while terms.len() > 1 {
        let mut halves = Vec::with_capacity(terms.len().div_ceil(2));
        let mut rest = terms.into_iter();
        while let Some(one) = rest.next() {
            halves.push(match rest.next() {
                Some(other) => one.or(other),
                None => one,
            });
        }
        terms = halves;
    }
    terms.pop().unwrap_or_else(|| lit(false))
}
