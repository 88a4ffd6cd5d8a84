//! Calls of the functions that plans are rewritten to, and the few that people may call themselves.

use std::sync::{Arc, LazyLock};

use datafusion::common::Column;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{ScalarUDF, ScalarUDFImpl};
use datafusion::prelude::{Expr, lit};
use storage::schema::promoted::Promoted;

use super::attributes::assemble::Assemble;
use super::attributes::cast::{Convert, Target};
use super::attributes::compare::Compare;
use super::attributes::json::AttributesJson;
use super::attributes::literal_text;
use super::attributes::text::{Attribute, Exists};
use super::id_functions::{CheckedId, IdFromText, IdText, TryId, Width};
use super::lenient::lenient;
use super::planner::AsBool;

fn shared(function: impl ScalarUDFImpl + 'static) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(function))
}

macro_rules! functions {
    ($($name:ident = $function:expr;)*) => {
        $(static $name: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| shared($function));)*
    };
}

functions! {
    ATTRIBUTE = Attribute::default();
    EXISTS = Exists::default();
    COMPARE = Compare::default();
    INT = Convert::new(Target::Int);
    WHOLE = Convert::new(Target::Whole);
    FLOAT = Convert::new(Target::Float);
    BOOL = Convert::new(Target::Bool);
    JSON = AttributesJson::default();
    AS_BOOL = AsBool::default();
    ID_TEXT = IdText::default();
    ID_FROM_TEXT = IdFromText::default();
    CHECKED_ID = CheckedId::default();
    TRY_ID = TryId::default();
}

/// Functions that make gigabytes of one short row. The memory pool counts operators, not what a call allocates.
const UNBOUNDED: [&str; 7] = ["array_repeat", "array_resize", "generate_series", "lpad", "range", "repeat", "rpad"];

/// What queries may call by name: DataFusion's own functions but the unbounded ones, and ours.
pub(crate) fn callable(functions: Vec<Arc<ScalarUDF>>) -> Vec<Arc<ScalarUDF>> {
    let mut functions = lenient(functions);
    functions.retain(|function| !UNBOUNDED.contains(&function.name()));
    functions.push(Arc::clone(&TRY_ID));
    functions
}

fn call(function: &LazyLock<Arc<ScalarUDF>>, args: Vec<Expr>) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(function), args))
}

pub(crate) fn attribute(attributes: Expr, key: &str) -> Expr {
    call(&ATTRIBUTE, vec![attributes, literal_text(key)])
}

pub(super) fn exists(attributes: Expr, key: &str) -> Expr {
    call(&EXISTS, vec![attributes, literal_text(key)])
}

/// `attributes` may also be text that was made of attributes.
pub(crate) fn compare(attributes: Expr, key: &str, comparison: &str, value: Expr) -> Expr {
    call(&COMPARE, vec![attributes, literal_text(key), literal_text(comparison), value])
}

pub(super) fn convert(attributes: Expr, key: &str, target: Target) -> Expr {
    let function = match target {
        Target::Int => &INT,
        Target::Whole => &WHOLE,
        Target::Float => &FLOAT,
        Target::Bool => &BOOL,
    };
    call(function, vec![attributes, literal_text(key)])
}

/// The attributes with what lies in columns of their own; without `attributes` nothing but that.
pub(crate) fn assemble(attributes: Option<Expr>, columns: &[Promoted]) -> Expr {
    let function = Assemble::new(attributes.is_some(), columns);
    let columns = columns.iter().map(|column| Expr::Column(Column::new_unqualified(column.to_string())));
    let args = attributes.into_iter().chain(columns).collect();
    Expr::ScalarFunction(ScalarFunction::new_udf(shared(function), args))
}

pub(super) fn attributes_json(attributes: Expr) -> Expr {
    call(&JSON, vec![attributes])
}

pub(super) fn as_bool(text: Expr) -> Expr {
    call(&AS_BOOL, vec![text])
}

pub(super) fn id_text(id: Expr) -> Expr {
    call(&ID_TEXT, vec![id])
}

pub(super) fn id_from_text(text: Expr, width: Width, name: &str) -> Expr {
    call(&ID_FROM_TEXT, vec![text, lit(width.as_argument()), literal_text(name)])
}

pub(super) fn checked_id(binary: Expr, width: Width, name: &str) -> Expr {
    call(&CHECKED_ID, vec![binary, lit(width.as_argument()), literal_text(name)])
}
