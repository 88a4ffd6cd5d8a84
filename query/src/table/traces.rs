//! Which traces a query's filters name, so that of the rows in memory only theirs are made into columns, and of segments
//! only theirs are read.

use std::collections::HashSet;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use storage::model::TraceId;
use storage::schema::spans;

/// The traces that `filters` name, if they name any: all other rows would be filtered out. The filters are evaluated all
/// the same, so whatever is not understood here costs time and nothing else.
pub(super) fn named_traces(filters: &[Expr]) -> Option<HashSet<TraceId>> {
    filters.iter().filter_map(named).reduce(|some, others| &some & &others)
}

/// Whether the filter says no more than which traces it names.
pub(super) fn only_names_traces(filter: &Expr) -> bool {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And | Operator::Or, right }) => {
            only_names_traces(left) && only_names_traces(right)
        }
        _ => named(filter).is_some(),
    }
}

fn named(filter: &Expr) -> Option<HashSet<TraceId>> {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => match (is_trace_id(left), is_trace_id(right))
        {
            (true, false) => Some(ids([&**right])?),
            (false, true) => Some(ids([&**left])?),
            _ => None,
        },
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => match (named(left), named(right)) {
            (Some(some), Some(others)) => Some(&some & &others),
            (some, others) => some.or(others),
        },
        // Short lists come as this.
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => Some(&named(left)? | &named(right)?),
        Expr::InList(list) if !list.negated && is_trace_id(&list.expr) => ids(&list.list),
        _ => None,
    }
}

pub(super) fn is_trace_id(expr: &Expr) -> bool {
    matches!(expr, Expr::Column(column) if column.name == spans::TRACE_ID)
}

/// `None` unless all are literals. A literal that is no trace id equals none.
fn ids<'a>(literals: impl IntoIterator<Item = &'a Expr>) -> Option<HashSet<TraceId>> {
    let mut ids = HashSet::new();
    for literal in literals {
        let Expr::Literal(value, _) = literal else { return None };
        match value {
            ScalarValue::Binary(bytes) | ScalarValue::BinaryView(bytes) | ScalarValue::LargeBinary(bytes) => {
                ids.extend(bytes.as_deref().and_then(|bytes| TraceId::from_slice(bytes).ok()));
            }
            _ => return None,
        }
    }
    Some(ids)
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::{col, lit};

    use super::*;

    fn id(number: u8) -> Vec<u8> {
        vec![number; 16]
    }

    #[track_caller]
    fn check(filters: &[Expr], expected: Option<&[u8]>) {
        let expected = expected.map(|ids| ids.iter().map(|&of| TraceId::from_slice(&id(of)).expect("an id")).collect());
        assert_eq!(named_traces(filters), expected);
    }

    #[test]
    fn traces_are_named_by_equality_and_lists_and_narrowed_by_and() {
        let is = |number| col("trace_id").eq(lit(id(number)));
        check(&[], None);
        check(&[is(1)], Some(&[1]));
        check(&[lit(id(1)).eq(col("trace_id"))], Some(&[1]));
        check(&[is(1).and(col("kind").eq(lit("server")))], Some(&[1]));
        check(&[is(1), is(2)], Some(&[]));
        check(&[is(1).or(is(2))], Some(&[1, 2]));
        check(&[is(1).or(col("kind").eq(lit("server")))], None);
        check(&[col("trace_id").not_eq(lit(id(1)))], None);
        let list = |negated| col("trace_id").in_list(vec![lit(id(1)), lit(id(2))], negated);
        check(&[list(false)], Some(&[1, 2]));
        check(&[list(false), is(2)], Some(&[2]));
        check(&[list(true)], None);
        check(&[col("span_id").eq(lit(id(1)))], None);
        check(&[col("trace_id").eq(lit(vec![1_u8]))], Some(&[]));
    }

    #[test]
    fn a_filter_that_says_more_is_not_dropped() {
        let is = |number| col("trace_id").eq(lit(id(number)));
        let other = || col("kind").eq(lit("server"));
        assert!(
            only_names_traces(&is(1)) && only_names_traces(&is(1).or(is(2))) && only_names_traces(&is(1).and(is(2)))
        );
        assert!(only_names_traces(&col("trace_id").in_list(vec![lit(id(1))], false)));
        for more in [is(1).and(other()), is(1).and(is(2).and(other())), is(1).or(other()), other()] {
            assert!(!only_names_traces(&more), "{more}");
        }
    }
}
