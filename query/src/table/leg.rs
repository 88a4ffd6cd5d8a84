//! What one leg of a scan reads, and what it makes of it.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column as Named, DFSchema, Result, ScalarValue};
use datafusion::logical_expr::lit;
use datafusion::logical_expr::utils::conjunction;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::col as physical_column;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExecBuilder;
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::prelude::Expr;

use storage::model::TraceId;

use super::promoted::{Layout, condition, value};
use super::traces::is_trace_id;

/// What a query wants of a table, in terms of the table's columns without their promoted attributes.
#[derive(Clone)]
pub(super) struct Wanted<'a> {
    pub(super) state: &'a dyn Session,
    /// The table's columns and those of promoted attributes.
    pub(super) stored: &'a SchemaRef,
    /// How many of these are the table's own.
    pub(super) own: usize,
    /// Names and expressions of what the scan gives.
    pub(super) outputs: Vec<(String, Expr)>,
}

/// A leg over rows that have their attributes in the same places.
pub(super) struct Leg {
    /// The table's own columns and those of promoted attributes that it reads. With all of these, what is known of each
    /// segment by column would be large.
    pub(super) schema: SchemaRef,
    /// Indexes of the columns that it reads.
    pub(super) columns: Vec<usize>,
    predicate: Option<Arc<dyn PhysicalExpr>>,
    /// What is made of these columns; `None` where they are what is wanted.
    outputs: Option<Vec<ProjectionExpr>>,
}

impl Wanted<'_> {
    /// The same of rows that are all of this trace.
    pub(super) fn of_trace(&self, trace: &TraceId) -> Result<Self> {
        let id = Expr::Literal(ScalarValue::BinaryView(Some(trace.as_bytes().to_vec())), None);
        let known = |(name, output): &(String, Expr)| {
            let output = output.clone().transform_up(|expr| {
                Ok(if is_trace_id(&expr) { Transformed::yes(id.clone()) } else { Transformed::no(expr) })
            });
            Ok((name.clone(), output?.data))
        };
        Ok(Self { outputs: self.outputs.iter().map(known).collect::<Result<_>>()?, ..self.clone() })
    }

    /// `None` if a filter is true for none of the rows.
    pub(super) fn over<'f>(&self, layout: &Layout, filters: impl Iterator<Item = &'f Expr>) -> Result<Option<Leg>> {
        let conditions = filters.map(|filter| condition(filter.clone(), layout)).collect::<Result<Vec<_>>>()?;
        if conditions.contains(&lit(false)) {
            return Ok(None);
        }
        let outputs = self.outputs.iter().map(|(_, output)| value(output.clone(), layout));
        let outputs = outputs.collect::<Result<Vec<_>>>()?;
        let mut columns = Vec::new();
        // What is wanted as it is comes first, so that it needs no projection.
        let plain = outputs.iter().filter(|output| matches!(output, Expr::Column(_)));
        for expr in plain.chain(&outputs).chain(&conditions) {
            let mut refs: Vec<&Named> = expr.column_refs().into_iter().collect();
            refs.sort();
            for column in refs {
                let index = self.stored.index_of(&column.name)?;
                if !columns.contains(&index) {
                    columns.push(index);
                }
            }
        }
        let read = DFSchema::try_from(Arc::new(self.stored.project(&columns)?))?;
        let physical = |expr: Expr| match &expr {
            // Most are, and the general way simplifies each.
            Expr::Column(column) => Ok(physical_column(&column.name, read.as_arrow())?),
            _ => self.state.create_physical_expr(expr, &read),
        };
        let is_read = |(place, output): (usize, &Expr)| match output {
            Expr::Column(column) => {
                column.name == self.outputs[place].0 && read.maybe_index_of_column(column) == Some(place)
            }
            _ => false,
        };
        let outputs = if outputs.len() == columns.len() && outputs.iter().enumerate().all(is_read) {
            None
        } else {
            let named = self.outputs.iter().map(|(name, _)| name.clone()).zip(outputs);
            let project = |(alias, output)| Ok(ProjectionExpr { expr: physical(output)?, alias });
            Some(named.map(project).collect::<Result<Vec<_>>>()?)
        };
        let predicate = conjunction(conditions).map(physical).transpose()?;
        let mut known: Vec<usize> = (0..self.own).collect();
        for column in &mut columns {
            if *column >= self.own {
                known.push(*column);
                *column = known.len() - 1;
            }
        }
        Ok(Some(Leg { schema: Arc::new(self.stored.project(&known)?), columns, predicate, outputs }))
    }
}

impl Leg {
    /// The filter over a scan of the leg's columns, and above it what is wanted.
    pub(super) fn finish(self, scan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let scan = match self.predicate {
            Some(predicate) => Arc::new(FilterExecBuilder::new(predicate, scan).build()?),
            None => scan,
        };
        match self.outputs {
            Some(outputs) => Ok(Arc::new(ProjectionExec::try_new(outputs, scan)?)),
            None => Ok(scan),
        }
    }
}
