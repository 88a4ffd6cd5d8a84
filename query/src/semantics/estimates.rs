//! Estimates in expressions: each gets the trace and the weight of the rows that it reads.

use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result, TableReference};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{ExprSchemable, WindowFunctionDefinition};
use datafusion::prelude::Expr;
use storage::schema::spans;

use super::kinds::{Scope, is_binary};
use crate::calibrate::STRATUM;
use crate::error::Error;
use crate::estimate::{Estimate, is_stratum, weighted};

/// Rewrites one node of an expression.
pub(super) fn rewrite(scope: &Scope<'_>, expr: Expr) -> Result<Transformed<Expr>> {
    Ok(match expr {
        Expr::AggregateFunction(call) => match call.func.inner().downcast_ref::<Estimate>() {
            Some(_) => Transformed::yes(Expr::AggregateFunction(supplied(scope, call)?)),
            None => Transformed::no(Expr::AggregateFunction(call)),
        },
        Expr::WindowFunction(window) => {
            if let WindowFunctionDefinition::AggregateUDF(function) = &window.fun
                && function.inner().downcast_ref::<Estimate>().is_some()
            {
                return Err(refused(function.name(), "cannot be a window function; aggregate in a subquery first"));
            }
            Transformed::no(Expr::WindowFunction(window))
        }
        other => Transformed::no(other),
    })
}

fn refused(function: &str, why: &str) -> datafusion::common::DataFusionError {
    Error::bad_query(format!("{function} {why}")).into()
}

fn supplied(scope: &Scope<'_>, call: AggregateFunction) -> Result<AggregateFunction> {
    let name = call.func.name();
    if call.params.distinct {
        return Err(refused(
            name,
            "cannot take DISTINCT: how often values repeat among rows that were not kept is unknown",
        ));
    }
    let (trace, weight) = columns(scope, &call)?;
    let data_type = Expr::Column(trace.clone()).get_type(&scope.schema)?;
    if !is_binary(&data_type) {
        return Err(refused(name, "needs trace_id as the id that it is, but here it is text; select it unchanged"));
    }
    let function = std::sync::Arc::clone(&call.func);
    let Some(estimate) = function.inner().downcast_ref::<Estimate>() else { return Ok(call) };
    let stratum = Expr::Column(Column::new(weight.relation.clone(), STRATUM));
    let stratum = stratum.get_type(&scope.schema).is_ok_and(|data_type| is_stratum(&data_type)).then_some(stratum);
    Ok(weighted(call, estimate, Expr::Column(trace), Expr::Column(weight), stratum))
}

/// The columns with the trace and the weight of the rows that a call reads.
fn columns(scope: &Scope<'_>, call: &AggregateFunction) -> Result<(Column, Column)> {
    let name = call.func.name();
    let named = |wanted: &str| -> Vec<Column> {
        let columns = scope.inputs.iter().flat_map(|(schema, _)| schema.columns());
        columns.filter(|column| column.name == wanted).collect()
    };
    let (traces, weights) = (named(spans::TRACE_ID), named(spans::ADJUSTED_COUNT));
    for (wanted, found) in [(spans::TRACE_ID, &traces), (spans::ADJUSTED_COUNT, &weights)] {
        if found.is_empty() {
            return Err(refused(
                name,
                &format!(
                    "needs the column {wanted}, which what it reads does not have; let the subquery select trace_id \
                     and adjusted_count too, or estimate inside it"
                ),
            ));
        }
    }
    if let ([trace], [weight]) = (traces.as_slice(), weights.as_slice()) {
        return Ok((trace.clone(), weight.clone()));
    }
    let both: Vec<&TableReference> = traces
        .iter()
        .filter_map(|trace| trace.relation.as_ref())
        .filter(|relation| weights.iter().any(|weight| weight.relation.as_ref() == Some(relation)))
        .collect();
    let mut meant = both.clone();
    if meant.len() > 1 {
        let read: Vec<&TableReference> =
            call.params.args.iter().flat_map(Expr::column_refs).filter_map(|column| column.relation.as_ref()).collect();
        meant.retain(|relation| read.contains(relation));
    }
    match meant.as_slice() {
        [relation] => {
            let of = |column: &str| Column::new(Some((*relation).clone()), column);
            Ok((of(spans::TRACE_ID), of(spans::ADJUSTED_COUNT)))
        }
        _ => {
            let tables: Vec<String> = both.iter().map(ToString::to_string).collect();
            let example = both.first().map_or_else(|| "spans".to_owned(), ToString::to_string);
            Err(refused(
                name,
                &format!(
                    "finds trace_id and adjusted_count in {}; name a column of the one that is meant, as in \
                     {name}({example}.trace_id), or join a subquery without them",
                    tables.join(" and ")
                ),
            ))
        }
    }
}
