//! What is compared with an id, made an id: literals when the query is planned, everything else row by row.

use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::prelude::Expr;

use super::functions::{checked_id, id_from_text};
use super::id_functions::{Width, wrong_bytes, wrong_text};
use super::kinds::{is_binary, is_text};
use crate::error::Error;

/// How an expression is called in messages.
pub(super) fn name(expr: &Expr) -> String {
    match expr {
        Expr::Column(column) => column.name.clone(),
        Expr::OuterReferenceColumn(_, column) => column.name.clone(),
        Expr::Alias(alias) => alias.name.clone(),
        other => other.schema_name().to_string(),
    }
}

pub(super) fn same_width(one: &Expr, width: Width, other: &Expr, other_width: Width) -> Result<()> {
    if width == other_width || width == Width::Either || other_width == Width::Either {
        return Ok(());
    }
    Err(Error::bad_query(format!(
        "{} has {} and {} has {}, so they are never equal",
        name(one),
        width.bytes(),
        name(other),
        other_width.bytes()
    ))
    .into())
}

/// What is compared with an id called `name`, as an id.
pub(super) fn to_id(value: Expr, data_type: &DataType, width: Width, name: &str) -> Result<Expr> {
    match value {
        Expr::Literal(literal, metadata) => Ok(Expr::Literal(literal_id(literal, width, name)?, metadata)),
        Expr::Alias(mut alias) => {
            alias.expr = Box::new(to_id(*alias.expr, data_type, width, name)?);
            Ok(Expr::Alias(alias))
        }
        value if is_text(data_type) => Ok(id_from_text(value, width, name)),
        value if is_binary(data_type) => Ok(checked_id(value, width, name)),
        value => Ok(value),
    }
}

fn literal_id(literal: ScalarValue, width: Width, name: &str) -> Result<ScalarValue> {
    if let Some(text) = literal.try_as_str() {
        let Some(text) = text else { return Ok(ScalarValue::BinaryView(None)) };
        let Some(id) = width.parse(text) else { return Err(wrong_text(name, text, width).into()) };
        if id.iter().all(|byte| *byte == 0) {
            return Err(Error::bad_query(format!(
                "{name} is compared with zeros, which no id has; a root's parent_span_id IS NULL"
            ))
            .into());
        }
        return Ok(ScalarValue::BinaryView(Some(id)));
    }
    match literal {
        ScalarValue::Binary(Some(bytes))
        | ScalarValue::BinaryView(Some(bytes))
        | ScalarValue::LargeBinary(Some(bytes))
        | ScalarValue::FixedSizeBinary(_, Some(bytes)) => {
            if width.takes(bytes.len()) {
                Ok(ScalarValue::BinaryView(Some(bytes)))
            } else {
                Err(wrong_bytes(name, bytes.len(), width).into())
            }
        }
        other => Ok(other),
    }
}
