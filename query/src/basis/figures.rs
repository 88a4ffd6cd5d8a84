//! What a query counts, and whether it weighs what it counts.

use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::{LogicalPlan, WindowFunctionDefinition};
use datafusion::prelude::Expr;
use storage::schema::{Table, spans};

use super::Basis;
use crate::estimate::Estimate;

/// Aggregates that say something of how many rows there were, with what stands for them. Others, like `max`, hand on values
/// of stored rows.
const COUNTING: [(&str, Option<&str>); 13] = [
    ("count", Some("estimate_count()")),
    ("sum", Some("estimate_sum(...)")),
    ("avg", Some("estimate_mean(...)")),
    ("median", Some("estimate_quantile(..., 0.5)")),
    ("approx_median", Some("estimate_quantile(..., 0.5)")),
    ("percentile_cont", Some("estimate_quantile(..., 0.99)")),
    ("approx_percentile_cont", Some("estimate_quantile(..., 0.99)")),
    ("approx_distinct", None),
    ("stddev", None),
    ("stddev_pop", None),
    ("var", None),
    ("var_pop", None),
    ("corr", None),
];

/// What the plan of a query says of its figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    reads_spans: bool,
    weighted: bool,
    unweighted: Option<usize>,
}

impl Figures {
    pub(crate) fn of(plan: &LogicalPlan) -> Self {
        let mut figures = Self::default();
        if matches!(plan, LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) | LogicalPlan::DescribeTable(_)) {
            return figures;
        }
        // The closure never fails, and neither does the walk then.
        let _ = plan.apply_with_subqueries(|node| {
            figures.reads_spans |= is_spans(node);
            let exprs: &[Expr] = match node {
                LogicalPlan::Aggregate(aggregate) if !is_by_trace(&aggregate.group_expr) => &aggregate.aggr_expr,
                LogicalPlan::Window(window) => &window.window_expr,
                _ => &[],
            };
            if !exprs.is_empty() {
                let of_spans = node.inputs().into_iter().any(has_rows_of_spans);
                exprs.iter().for_each(|expr| figures.add(expr, of_spans));
            }
            Ok(TreeNodeRecursion::Continue)
        });
        figures
    }

    /// Of rows of this table as they are.
    pub(crate) fn of_rows(table: Table) -> Self {
        Self { reads_spans: table == Table::Spans, ..Self::default() }
    }

    fn add(&mut self, expr: &Expr, of_spans: bool) {
        let name = match expr {
            Expr::Alias(alias) => return self.add(&alias.expr, of_spans),
            Expr::AggregateFunction(call) if call.func.inner().downcast_ref::<Estimate>().is_some() => {
                self.weighted = true;
                return;
            }
            Expr::AggregateFunction(call) => call.func.name(),
            Expr::WindowFunction(window) => match &window.fun {
                WindowFunctionDefinition::AggregateUDF(function) => function.name(),
                WindowFunctionDefinition::WindowUDF(_) => return,
            },
            _ => return,
        };
        if !of_spans {
            return;
        }
        // Whoever names the weight weighs.
        if expr.column_refs().iter().any(|column| column.name == spans::ADJUSTED_COUNT) {
            self.weighted = true;
        } else if let Some(place) = COUNTING.iter().position(|(counting, _)| *counting == name) {
            self.unweighted.get_or_insert(place);
        }
    }

    /// Whether the weights of what is read decide what the answer is worth.
    pub(crate) fn is_figure(&self) -> bool {
        self.weighted || self.unweighted.is_some()
    }

    /// The first function that did not weigh, and what would.
    pub(super) fn unweighted(&self) -> Option<(&'static str, Option<&'static str>)> {
        self.unweighted.and_then(|place| COUNTING.get(place)).copied()
    }

    /// What the figures rest on if spans were sampled and none is unweighted.
    pub(super) fn least(&self) -> Basis {
        if self.weighted {
            Basis::Estimated
        } else if self.reads_spans {
            Basis::Stored
        } else {
            Basis::Exact
        }
    }
}

fn is_spans(node: &LogicalPlan) -> bool {
    matches!(node, LogicalPlan::TableScan(scan) if scan.table_name.table() == Table::Spans.name())
}

/// All spans of a stored trace are stored: within a trace there is nothing to weigh.
fn is_by_trace(groups: &[Expr]) -> bool {
    groups.iter().any(|group| matches!(group.clone().unalias(), Expr::Column(column) if column.name == spans::TRACE_ID))
}

/// Whether rows of the plan come one by one from stored spans or traces of them.
fn has_rows_of_spans(plan: &LogicalPlan) -> bool {
    let mut found = false;
    let walked: Result<TreeNodeRecursion> = plan.apply_with_subqueries(|node| {
        if is_spans(node) {
            found = true;
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(match node {
            LogicalPlan::Aggregate(aggregate) if !is_by_trace(&aggregate.group_expr) => TreeNodeRecursion::Jump,
            _ => TreeNodeRecursion::Continue,
        })
    });
    walked.is_ok() && found
}
