//! Filters as plain conditions on columns.
//!
//! A filter keeps the rows for which it is true; whether it is false or NULL for the others makes no difference. Only with
//! that, `attributes['code'] = '200'` over a column of text and one of integers is `text = '200' OR int = 200`. So NOT is
//! taken inwards to the comparisons first, where it is exact.

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::expr::{BinaryExpr, InList};
use datafusion::logical_expr::{Operator, binary_expr, lit};
use datafusion::prelude::Expr;
use storage::schema::promoted::{Promoted, PromotedType};

use super::comparisons::{Holds, Literal, holds};
use super::places::{Layout, Place, scope_of};
use super::values::{column, value};
use crate::semantics::attributes::value::Comparison;
use crate::semantics::{Access, Asks, access, constant, functions};

/// A filter over the columns that a leg reads: true for the same rows.
pub(crate) fn condition(filter: Expr, layout: &Layout) -> Result<Expr> {
    truth(filter, false, layout)
}

/// An expression that is true where `expr` is, or where its negation is.
fn truth(expr: Expr, is_negated: bool, layout: &Layout) -> Result<Expr> {
    Ok(match expr {
        Expr::Not(inner) => truth(*inner, !is_negated, layout)?,
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
            let op = match op {
                Operator::And if is_negated => Operator::Or,
                Operator::Or if is_negated => Operator::And,
                op => op,
            };
            binary_expr(truth(*left, is_negated, layout)?, op, truth(*right, is_negated, layout)?)
        }
        Expr::IsTrue(inner) => is_true(truth(*inner, false, layout)?, is_negated),
        Expr::IsNotTrue(inner) => is_true(truth(*inner, false, layout)?, !is_negated),
        Expr::IsFalse(inner) => is_true(truth(*inner, true, layout)?, is_negated),
        Expr::IsNotFalse(inner) => is_true(truth(*inner, true, layout)?, !is_negated),
        expr => match asked(&expr, is_negated, layout) {
            Some(asked) => asked.truth(&expr, is_negated)?,
            None => negated_if(value(expr, layout)?, is_negated),
        },
    })
}

fn is_true(condition: Expr, is_negated: bool) -> Expr {
    if is_negated { Expr::IsNotTrue(Box::new(condition)) } else { condition }
}

fn negated_if(expr: Expr, is_negated: bool) -> Expr {
    if is_negated { Expr::Not(Box::new(expr)) } else { expr }
}

/// What a filter asks of one attribute that has columns. The first four hold where one of its values fulfils them, and a row
/// has at most one; the others where none does.
enum Question {
    Exists,
    Compare(Comparison, Literal),
    /// Whether its text is one of these.
    In(Vec<String>),
    NotIn(Vec<String>),
    IsMissing,
    Differs(Literal),
}

impl Question {
    fn compare(comparison: Comparison, literal: Literal, is_negated: bool) -> Self {
        let comparison = if is_negated { comparison.negated() } else { comparison };
        match (comparison, literal) {
            (Comparison::Distinct, Literal::Null) => Self::Exists,
            (Comparison::NotDistinct, Literal::Null) => Self::IsMissing,
            (Comparison::Distinct, literal) => Self::Differs(literal),
            (Comparison::NotDistinct, literal) => Self::Compare(Comparison::Eq, literal),
            (comparison, literal) => Self::Compare(comparison, literal),
        }
    }

    fn exists(is_negated: bool) -> Self {
        if is_negated { Self::IsMissing } else { Self::Exists }
    }

    fn is_of_none(&self) -> bool {
        matches!(self, Self::IsMissing | Self::Differs(_))
    }
}

struct Asked<'l> {
    place: &'l Place,
    question: Question,
}

fn asked<'l>(expr: &Expr, is_negated: bool, layout: &'l Layout) -> Option<Asked<'l>> {
    let of = |access: Access<'_>, question| {
        let place = layout.place(scope_of(access.attributes)?, access.key);
        (!place.columns.is_empty()).then_some(Asked { place, question })
    };
    match expr {
        Expr::BinaryExpr(binary) => {
            let comparison = Comparison::from_operator(binary.op)?;
            let (access, value, comparison) = match (text(&binary.left), text(&binary.right)) {
                (Some(access), None) => (access, &binary.right, comparison),
                (None, Some(access)) => (access, &binary.left, comparison.mirrored()),
                _ => return None,
            };
            match Literal::of(&constant(value)?)? {
                literal @ (Literal::Text(_) | Literal::Null) => {
                    of(access, Question::compare(comparison, literal, is_negated))
                }
                Literal::Number(_) | Literal::Bool(_) => None,
            }
        }
        Expr::InList(list) => {
            let members = list.list.iter().map(|member| match Literal::of(&constant(member)?)? {
                Literal::Text(text) => Some(text),
                _ => None,
            });
            let members = members.collect::<Option<_>>()?;
            let is_negated = is_negated != list.negated;
            of(text(&list.expr)?, if is_negated { Question::NotIn(members) } else { Question::In(members) })
        }
        Expr::IsNull(inner) => of(text(inner)?, Question::exists(!is_negated)),
        Expr::IsNotNull(inner) => of(text(inner)?, Question::exists(is_negated)),
        expr => {
            let access = access(expr)?;
            match access.asks {
                Asks::Exists => of(access, Question::exists(is_negated)),
                Asks::Compare(comparison, value) => {
                    of(access, Question::compare(comparison, Literal::of(&constant(value)?)?, is_negated))
                }
                Asks::Text | Asks::As(_) => None,
            }
        }
    }
}

/// An attribute's text.
fn text(expr: &Expr) -> Option<Access<'_>> {
    access(expr).filter(|access| matches!(access.asks, Asks::Text))
}

impl Asked<'_> {
    /// What `expr`, or its negation, says of the columns, and of the maps where they may have the key, too.
    fn truth(&self, expr: &Expr, is_negated: bool) -> Result<Expr> {
        let mut terms = Vec::with_capacity(self.place.columns.len() + 1);
        for promoted in &self.place.columns {
            let term = match self.of_column(promoted) {
                Term::Holds(term) => term,
                Term::Nothing => continue,
                Term::Unknown => {
                    let attributes = functions::assemble(None, std::slice::from_ref(promoted));
                    negated_if(with_attributes(expr.clone(), &attributes)?, is_negated)
                }
            };
            terms.push(term);
        }
        if self.place.is_in_maps {
            terms.push(negated_if(expr.clone(), is_negated));
        }
        let is_of_none = self.question.is_of_none();
        let all = terms.into_iter().reduce(if is_of_none { Expr::and } else { Expr::or });
        Ok(all.unwrap_or_else(|| lit(is_of_none)))
    }

    fn of_column(&self, promoted: &Promoted) -> Term {
        let column = column(promoted);
        match &self.question {
            Question::Exists => Term::Holds(column.is_not_null()),
            Question::IsMissing => Term::Holds(column.is_null()),
            Question::Compare(comparison, literal) => match holds(&column, promoted.value_type, *comparison, literal) {
                Holds::Never => Term::Nothing,
                Holds::Always => Term::Holds(column.is_not_null()),
                Holds::If(condition) => Term::Holds(condition),
                Holds::Unknown => Term::Unknown,
            },
            Question::Differs(literal) => match holds(&column, promoted.value_type, Comparison::Eq, literal) {
                Holds::Never => Term::Nothing,
                Holds::If(condition) => Term::Holds(Expr::IsNotTrue(Box::new(condition))),
                Holds::Always | Holds::Unknown => Term::Unknown,
            },
            Question::In(texts) => of_list(column, promoted.value_type, texts, false),
            Question::NotIn(texts) => of_list(column, promoted.value_type, texts, true),
        }
    }
}

/// What one column adds to a condition.
enum Term {
    Holds(Expr),
    Nothing,
    Unknown,
}

fn of_list(column: Expr, value_type: PromotedType, texts: &[String], is_negated: bool) -> Term {
    let members: Vec<Expr> = match value_type {
        PromotedType::Text => {
            texts.iter().map(|text| Expr::Literal(ScalarValue::Utf8View(Some(text.clone())), None)).collect()
        }
        PromotedType::Int => {
            let ints = texts.iter().filter_map(|text| Some((text, text.parse::<i64>().ok()?)));
            ints.filter(|(text, int)| int.to_string() == **text).map(|(_, int)| lit(int)).collect()
        }
        PromotedType::Float | PromotedType::Bool => return Term::Unknown,
    };
    match (members.is_empty(), is_negated) {
        (true, false) => Term::Nothing,
        (true, true) => Term::Holds(column.is_not_null()),
        (false, is_negated) => Term::Holds(Expr::InList(InList::new(Box::new(column), members, is_negated))),
    }
}

/// An expression about one attribute, asked of other attributes.
fn with_attributes(expr: Expr, attributes: &Expr) -> Result<Expr> {
    let replaced = expr.transform_down(|expr| {
        Ok(match scope_of(&expr) {
            Some(_) => Transformed::new(attributes.clone(), true, TreeNodeRecursion::Jump),
            None => Transformed::no(expr),
        })
    });
    Ok(replaced?.data)
}
