//! Ids in expressions: whatever is compared with an id becomes an id, and whatever uses an id as text gets its hex.

use std::mem;

use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::expr::{BinaryExpr, InList, Like, ScalarFunction};
use datafusion::logical_expr::{Between, Case, Cast, Operator, TryCast};
use datafusion::prelude::Expr;

use super::functions::id_text;
use super::id_functions::Width;
use super::id_values::{name, same_width, to_id};
use super::kinds::{HANDING_ON, Kind, Scope, is_binary, is_text};
use crate::error::Error;

/// Functions that choose among their arguments.
const CHOOSING: [&str; 6] = ["coalesce", "nvl", "nvl2", "ifnull", "greatest", "least"];

/// Functions that take an id as it is.
const TAKING_BYTES: [&str; 9] =
    ["encode", "octet_length", "arrow_typeof", "struct", "named_struct", "row", "get_field", "id_text", "checked_id"];

/// Functions that search a list for a value or change it.
const SEARCHING: [&str; 12] = [
    "array_has",
    "array_has_all",
    "array_has_any",
    "array_position",
    "array_positions",
    "array_remove",
    "array_remove_all",
    "array_replace",
    "array_replace_all",
    "array_append",
    "array_prepend",
    "make_array",
];

/// Whether the expression ends a query over a value of the wrong form.
pub(crate) fn can_fail_by_value(expr: &Expr) -> bool {
    let fails = |expr: &Expr| matches!(expr, Expr::ScalarFunction(call) if matches!(call.func.name(), "id_from_text" | "checked_id"));
    expr.exists(|expr| Ok(fails(expr))).unwrap_or(true)
}

fn compares(operator: Operator) -> bool {
    matches!(
        operator,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
    )
}

fn reads_text(operator: Operator) -> bool {
    matches!(
        operator,
        Operator::StringConcat
            | Operator::RegexMatch
            | Operator::RegexIMatch
            | Operator::RegexNotMatch
            | Operator::RegexNotIMatch
            | Operator::LikeMatch
            | Operator::ILikeMatch
            | Operator::NotLikeMatch
            | Operator::NotILikeMatch
    )
}

/// Rewrites one node of an expression.
pub(super) fn rewrite(scope: &Scope<'_>, expr: Expr) -> Result<Transformed<Expr>> {
    let context = Context { scope };
    Ok(match expr {
        Expr::BinaryExpr(binary) if compares(binary.op) => context.comparison(binary)?.update_data(Expr::BinaryExpr),
        Expr::BinaryExpr(mut binary) if reads_text(binary.op) => {
            let changed = context.as_text(&mut binary.left) | context.as_text(&mut binary.right);
            Transformed::new_transformed(Expr::BinaryExpr(binary), changed)
        }
        Expr::Like(like) => context.like(like)?.update_data(Expr::Like),
        Expr::SimilarTo(mut like) => {
            let changed = context.as_text(&mut like.expr) | context.as_text(&mut like.pattern);
            Transformed::new_transformed(Expr::SimilarTo(like), changed)
        }
        Expr::Between(between) => context.between(between)?,
        Expr::InList(list) => context.in_list(list)?,
        Expr::Case(case) => context.case(case)?.update_data(Expr::Case),
        Expr::Cast(Cast { mut expr, field }) if is_text(field.data_type()) => {
            let changed = context.as_text(&mut expr);
            Transformed::new_transformed(Expr::Cast(Cast { expr, field }), changed)
        }
        Expr::TryCast(TryCast { mut expr, field }) if is_text(field.data_type()) => {
            let changed = context.as_text(&mut expr);
            Transformed::new_transformed(Expr::TryCast(TryCast { expr, field }), changed)
        }
        Expr::ScalarFunction(call) => context.call(call)?.update_data(Expr::ScalarFunction),
        Expr::AggregateFunction(mut call) if !counts_or_hands_on(call.func.name()) => {
            let changed = context.all_as_text(&mut call.params.args);
            Transformed::new_transformed(Expr::AggregateFunction(call), changed)
        }
        // Ranges of bytes are beyond DataFusion; hex has the same order.
        Expr::WindowFunction(mut window) => {
            let order = window.params.order_by.iter_mut();
            let changed = order.fold(false, |changed, sort| context.as_text(&mut sort.expr) | changed);
            Transformed::new_transformed(Expr::WindowFunction(window), changed)
        }
        other => Transformed::no(other),
    })
}

fn counts_or_hands_on(function: &str) -> bool {
    HANDING_ON.contains(&function) || ["count", "estimate_count", "approx_distinct"].contains(&function)
}

struct Context<'a> {
    scope: &'a Scope<'a>,
}

impl Context<'_> {
    fn id(&self, expr: &Expr) -> Option<Width> {
        match self.scope.kind(expr) {
            Kind::Id(width) => Some(width),
            Kind::Plain | Kind::Attribute => None,
        }
    }

    /// Replaces an id by its hex.
    fn as_text(&self, expr: &mut Expr) -> bool {
        if self.id(expr).is_none() {
            return false;
        }
        let id = mem::take(expr);
        *expr = id_text(id);
        true
    }

    fn all_as_text(&self, exprs: &mut [Expr]) -> bool {
        exprs.iter_mut().fold(false, |changed, expr| self.as_text(expr) | changed)
    }

    /// Turns whichever of the two is no id into one, if the other is.
    fn pair(&self, one: &mut Expr, other: &mut Expr) -> Result<bool> {
        match (self.id(one), self.id(other)) {
            (Some(width), Some(other_width)) => {
                same_width(one, width, other, other_width)?;
                Ok(false)
            }
            (Some(width), None) => {
                let data_type = self.scope.data_type(other);
                *other = to_id(mem::take(other), &data_type, width, &name(one))?;
                Ok(true)
            }
            (None, Some(width)) => {
                let data_type = self.scope.data_type(one);
                *one = to_id(mem::take(one), &data_type, width, &name(other))?;
                Ok(true)
            }
            (None, None) => {
                self.refuse_nested(one, other)?;
                Ok(false)
            }
        }
    }

    /// Row values and lists are compared member by member after a coercion that takes text for bytes.
    fn refuse_nested(&self, one: &Expr, other: &Expr) -> Result<()> {
        let (left, right) = (self.scope.data_type(one), self.scope.data_type(other));
        let mixed = |ids: &DataType, texts: &DataType| {
            ids.is_nested() && texts.is_nested() && holds(ids, is_binary) && holds(texts, is_text)
        };
        if (mixed(&left, &right) || mixed(&right, &left)) && left != right {
            return Err(Error::bad_query(
                "ids cannot be compared with text inside a row value or list; compare them one by one, or use X'..' literals",
            )
            .into());
        }
        Ok(())
    }

    fn comparison(&self, mut binary: BinaryExpr) -> Result<Transformed<BinaryExpr>> {
        let changed = self.pair(&mut binary.left, &mut binary.right)?;
        Ok(Transformed::new_transformed(binary, changed))
    }

    fn like(&self, mut like: Like) -> Result<Transformed<Like>> {
        if self.id(&like.expr).is_some()
            && let Expr::Literal(pattern, _) = like.pattern.as_ref()
            && let Some(pattern) = pattern.try_as_str().flatten()
            && !pattern.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'%' || byte == b'_')
        {
            return Err(Error::bad_query(format!(
                "{} is compared with the pattern '{pattern}', but ids have only hex digits",
                name(&like.expr)
            ))
            .into());
        }
        // Hex is meant in either case.
        let changed = self.as_text(&mut like.expr);
        like.case_insensitive |= changed;
        let pattern_changed = self.as_text(&mut like.pattern);
        Ok(Transformed::new_transformed(like, changed || pattern_changed))
    }

    fn between(&self, between: Between) -> Result<Transformed<Expr>> {
        let Between { expr, negated, low, high } = between;
        if [&expr, &low, &high].into_iter().all(|expr| self.id(expr).is_none()) {
            return Ok(Transformed::no(Expr::Between(Between { expr, negated, low, high })));
        }
        let compared = |operator, bound: Box<Expr>| -> Result<Expr> {
            Ok(Expr::BinaryExpr(self.comparison(BinaryExpr::new(expr.clone(), operator, bound))?.data))
        };
        let within = compared(Operator::GtEq, low)?.and(compared(Operator::LtEq, high)?);
        Ok(Transformed::yes(if negated { Expr::Not(Box::new(within)) } else { within }))
    }

    fn in_list(&self, mut list: InList) -> Result<Transformed<Expr>> {
        if self.id(&list.expr).is_some() {
            for member in &mut list.list {
                self.pair(&mut list.expr, member)?;
            }
            return Ok(Transformed::yes(Expr::InList(list)));
        }
        if list.list.iter().all(|member| self.id(member).is_none()) {
            for member in &list.list {
                self.refuse_nested(&list.expr, member)?;
            }
            return Ok(Transformed::no(Expr::InList(list)));
        }
        let InList { expr, list, negated } = list;
        let compared = |member: Expr| -> Result<Expr> {
            Ok(Expr::BinaryExpr(self.comparison(BinaryExpr::new(expr.clone(), Operator::Eq, Box::new(member)))?.data))
        };
        let members = list.into_iter().map(compared).collect::<Result<Vec<_>>>()?;
        let any = members.into_iter().reduce(Expr::or).unwrap_or_default();
        Ok(Transformed::yes(if negated { Expr::Not(Box::new(any)) } else { any }))
    }

    fn case(&self, mut case: Case) -> Result<Transformed<Case>> {
        let mut changed = false;
        if let Some(base) = &mut case.expr {
            for (when, _) in &mut case.when_then_expr {
                changed |= self.pair(base, when)?;
            }
        }
        let mut results: Vec<&mut Expr> = case.when_then_expr.iter_mut().map(|(_, then)| then.as_mut()).collect();
        results.extend(case.else_expr.as_deref_mut());
        changed |= self.choice(&mut results);
        Ok(Transformed::new_transformed(case, changed))
    }

    /// Values of which one is chosen: where one is text, the ids among them become text.
    fn choice(&self, values: &mut [&mut Expr]) -> bool {
        let text = |expr: &Expr| self.id(expr).is_none() && is_text(&self.scope.data_type(expr));
        if !values.iter().any(|value| text(value)) {
            return false;
        }
        values.iter_mut().fold(false, |changed, value| self.as_text(value) | changed)
    }

    fn call(&self, mut call: ScalarFunction) -> Result<Transformed<ScalarFunction>> {
        let function = call.func.name().to_owned();
        let function = function.as_str();
        if TAKING_BYTES.contains(&function) || call.args.iter().all(|arg| self.id(arg).is_none()) {
            return Ok(Transformed::no(call));
        }
        let changed = if CHOOSING.contains(&function) {
            // The first argument of nvl2 only decides.
            let from = usize::from(function == "nvl2");
            let mut values: Vec<&mut Expr> = call.args.iter_mut().skip(from).collect();
            self.choice(&mut values)
        } else if function == "nullif" {
            match call.args.as_mut_slice() {
                [one, other] => self.pair(one, other)?,
                _ => false,
            }
        } else if SEARCHING.contains(&function) {
            self.search(&mut call.args)?
        } else if function.starts_with("array_") && function != "array_to_string" {
            false
        } else {
            self.all_as_text(&mut call.args)
        };
        Ok(Transformed::new_transformed(call, changed))
    }

    /// Text beside ids in a call about lists is meant as ids.
    fn search(&self, args: &mut [Expr]) -> Result<bool> {
        let Some((width, id_name)) = args.iter().find_map(|arg| Some((self.id(arg)?, name(arg)))) else {
            return Ok(false);
        };
        let mut changed = false;
        for arg in args {
            let data_type = self.scope.data_type(arg);
            if self.id(arg).is_none() && is_text(&data_type) {
                *arg = to_id(mem::take(arg), &data_type, width, &id_name)?;
                changed = true;
            } else if self.id(arg).is_none() && data_type.is_nested() && holds(&data_type, is_text) {
                return Err(Error::bad_query(format!(
                    "a list of text is compared with ids of {id_name}; use X'..' literals in it"
                ))
                .into());
            }
        }
        Ok(changed)
    }
}

fn holds(data_type: &DataType, wanted: fn(&DataType) -> bool) -> bool {
    match data_type {
        DataType::Struct(fields) => fields.iter().any(|field| holds(field.data_type(), wanted)),
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
            holds(field.data_type(), wanted)
        }
        other => wanted(other),
    }
}
