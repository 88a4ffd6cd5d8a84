//! What Spanhouse's SQL means beyond SQL: ids are hex, and attributes have the types that clients gave them.
//!
//! - `planner`: `attributes['key']` while SQL is planned.
//! - `rule`: one walk over the plan before types are coerced; it rewrites each node's expressions.
//! - `kinds`: which columns and expressions are ids or come from attributes, through subqueries, unions and aggregates.
//! - `ids`: comparisons and conversions of ids; `id_values`: what is compared with them; `id_functions`: what plans call.
//! - `lenient`: functions that may be given an id.
//! - `typed`: comparisons and conversions of attributes; `attributes`: what they call.
//! - `access`: what a plan asks of one attribute, for those who know where it lies.
//! - `estimates`: the trace and the weight that `estimate_count` and the like need.
//! - `twins`: hidden columns that carry typed attributes out of a subquery.
//!
//! DataFusion would compare an id with text by taking the text's bytes for the id, and text with a number by parsing every
//! row's text: zero rows or a failed query. So the walk leaves no comparison of an id with text, nor of an attribute with
//! a number, to the coercion that follows it.

mod access;
pub(crate) mod attributes;
mod estimates;
pub(crate) mod functions;
pub(crate) mod id_functions;
mod id_values;
mod ids;
mod kinds;
mod lenient;
mod planner;
mod rule;
mod twins;
mod typed;

#[cfg(test)]
mod tests;

pub(crate) use access::{Access, Asks, access, constant, each_access, without_text};
pub(crate) use functions::callable;
pub(crate) use ids::can_fail_by_value;
pub(crate) use planner::AttributePlanner;
pub(crate) use rule::Meaning;
