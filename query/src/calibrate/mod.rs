//! Post-stratification: `calibrated_spans(from, to)`, spans whose weights add up to what is known exactly.
//!
//! - `call`: the arguments of the call.
//! - `statement`: the statement that the call stands for.
//!
//! Sampled weights are right in the mean and off by chance. The digest in `traces` has every trace, so each stratum's
//! weights can be scaled to its true count: by `g = SUM(head_count) / SUM(adjusted_count)` over the traces of one
//! operation, class and minute. Counts of traces by operation are then exact, and other estimates keep only the error
//! within strata. Against `span_metrics`, strata are (service, span name, kind, status, minute), and counts of spans are.
//!
//! Invariants: a call is a view, planned in the caller's session and over its snapshot; nothing is stored. Minutes are
//! whole: `from` is moved down and `to` up. The open minute is scaled like the others, by what has arrived and is decided.

mod call;
mod statement;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use datafusion::catalog::{TableFunction, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::Result;
use datafusion::datasource::ViewTable;
use datafusion::execution::session_state::SessionState;
use futures::FutureExt;

use crate::error::Error;
use crate::schema::Function;
use call::Call;

/// The column by which an estimate knows that the weights of a stratum add up to its count.
pub(crate) const STRATUM: &str = "stratum";

const NAME: &str = "calibrated_spans";

/// The table function, for every session.
pub(crate) fn function() -> Arc<TableFunction> {
    Arc::new(TableFunction::new(NAME.to_owned(), Arc::new(CalibratedSpans)))
}

/// The function among those that people may call.
pub(crate) fn described() -> Function {
    Function {
        name: NAME.to_owned(),
        signature: format!("FROM {NAME}(from, to)"),
        description: "spans of the traces that started in a time, with weights that add up to the exact counts"
            .to_owned(),
    }
}

#[derive(Debug)]
struct CalibratedSpans;

impl TableFunctionImpl for CalibratedSpans {
    fn call_with_args(&self, arguments: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        let call = Call::new(arguments.exprs())?;
        let Some(session) = arguments.session().as_any().downcast_ref::<SessionState>() else {
            return Err(Error::Internal(format!("{NAME} is called outside of a session")).into());
        };
        let statement = statement::of(&call);
        // Tables of a snapshot are at hand, so planning has nothing to wait for.
        let planned = session.create_logical_plan(&statement).now_or_never();
        let plan = planned.ok_or_else(|| Error::Internal(format!("{NAME} had to wait for its tables")))??;
        Ok(Arc::new(ViewTable::new(plan, Some(statement))))
    }
}
