//! The rows of one trace, for who knows which columns it wants: the same legs as for SQL, without a logical plan.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::functions_nested::expr_fn::array_length;
use datafusion::logical_expr::Expr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::filter_pushdown::FilterPushdown;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::union::UnionExec;
use storage::model::TraceId;
use storage::schema::spans::TRACE_ID;

use super::SnapshotTable;

/// What is asked of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    Column(&'static str),
    /// How long a column's list is, NULL where it is empty. Of segments, only `field` of the list's items is read: with all
    /// attributes of all events of a page that would be most of the work.
    Length {
        name: &'static str,
        list: &'static str,
        field: &'static str,
    },
}

impl SnapshotTable {
    /// All rows of the trace, in no order.
    pub(crate) fn of_trace(
        &self,
        state: &dyn Session,
        trace: &TraceId,
        asked: &[Output],
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let id = ScalarValue::BinaryView(Some(trace.as_bytes().to_vec()));
        let filter = column(TRACE_ID).eq(Expr::Literal(id, None));
        let outputs = asked.iter().map(|output| match output {
            Output::Column(name) => ((*name).to_owned(), column(name)),
            Output::Length { name, list, .. } => ((*name).to_owned(), array_length(column(list))),
        });
        let table = self.read_as(narrowed(self.stored(), asked));
        let mut legs = table.legs(state, outputs.collect(), &[filter])?;
        let plan = match legs.len() {
            0 => return Ok(Arc::new(EmptyExec::new(given(self.stored(), asked)?))),
            1 => legs.remove(0),
            _ => UnionExec::try_new(legs)?,
        };
        // Segments that have to be searched are pruned by what their readers know of the filter.
        FilterPushdown::new().optimize(plan, state.config_options())
    }
}

fn column(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

fn given(stored: &SchemaRef, asked: &[Output]) -> Result<SchemaRef> {
    let field = |asked: &Output| match asked {
        Output::Column(name) => Ok(stored.field_with_name(name)?.clone()),
        Output::Length { name, .. } => Ok(Field::new(*name, DataType::UInt64, true)),
    };
    Ok(Arc::new(Schema::new(asked.iter().map(field).collect::<Result<Vec<_>>>()?)))
}

/// The schema with one field of the items of lists that are only counted.
fn narrowed(stored: &SchemaRef, asked: &[Output]) -> SchemaRef {
    let counted = |column: &str| {
        asked.iter().find_map(|asked| match asked {
            Output::Length { list, field, .. } if *list == column => Some(*field),
            _ => None,
        })
    };
    let narrow = |field: &Arc<Field>| match (counted(field.name()), field.data_type()) {
        (Some(kept), DataType::List(item)) => Arc::new(with_item_of(field, item, kept)),
        _ => Arc::clone(field),
    };
    Arc::new(Schema::new(stored.fields().iter().map(narrow).collect::<Fields>()))
}

fn with_item_of(list: &Field, item: &Field, kept: &str) -> Field {
    let DataType::Struct(fields) = item.data_type() else { return list.clone() };
    let fields: Fields = fields.iter().filter(|field| field.name() == kept).cloned().collect();
    let item = item.clone().with_data_type(DataType::Struct(fields));
    list.clone().with_data_type(DataType::List(Arc::new(item)))
}
