//! A plan with one more column, as far as nodes hand on what their input has.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::{LogicalPlan, Projection, SubqueryAlias, TableScan, TableScanBuilder};
use datafusion::prelude::Expr;

use super::Wish;
use crate::table::SnapshotTable;

/// Provides columns of scans, under names that are given once.
#[derive(Debug, Default)]
pub(super) struct Provider {
    provided: usize,
}

impl Provider {
    /// The plan with a column for the wish, whose attributes are the plan's column `attributes`.
    pub(super) fn provide(
        &mut self,
        plan: &LogicalPlan,
        attributes: &Column,
        wish: &Wish,
    ) -> Result<Option<(LogicalPlan, Column)>> {
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan, attributes, wish),
            LogicalPlan::Projection(projection) => {
                let Some(index) = projection.schema.maybe_index_of_column(attributes) else { return Ok(None) };
                let Expr::Column(source) = projection.expr[index].clone().unalias() else { return Ok(None) };
                let Some((input, column)) = self.provide(&projection.input, &source, wish)? else { return Ok(None) };
                let mut exprs = projection.expr.clone();
                let computed = Expr::Column(column.clone());
                if !exprs.contains(&computed) {
                    exprs.push(computed);
                }
                Ok(Some((LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input))?), column)))
            }
            LogicalPlan::SubqueryAlias(alias) => {
                let Some(index) = alias.schema.maybe_index_of_column(attributes) else { return Ok(None) };
                let source = Column::from(alias.input.schema().qualified_field(index));
                let Some((input, column)) = self.provide(&alias.input, &source, wish)? else { return Ok(None) };
                let column = Column::new(Some(alias.alias.clone()), column.name);
                let alias = SubqueryAlias::try_new(Arc::new(input), alias.alias.clone())?;
                Ok(Some((LogicalPlan::SubqueryAlias(alias), column)))
            }
            LogicalPlan::Filter(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::Window(_)
            | LogicalPlan::Join(_) => {
                // A name without a qualifier may fit a column of the other side, too.
                let Some(index) = plan.schema().maybe_index_of_column(attributes) else { return Ok(None) };
                let own = Column::from(plan.schema().qualified_field(index));
                let has = |schema: &DFSchema| schema.columns().contains(&own);
                let (mut found, mut asked) = (None, false);
                let extended = plan.clone().map_children(|child| {
                    if asked || !has(child.schema()) {
                        return Ok(Transformed::no(child));
                    }
                    asked = true;
                    match self.provide(&child, &own, wish)? {
                        Some((child, column)) => {
                            found = Some(column);
                            Ok(Transformed::yes(child))
                        }
                        None => Ok(Transformed::no(child)),
                    }
                })?;
                let Some(column) = found else { return Ok(None) };
                let extended = extended.data.recompute_schema()?;
                Ok(extended.schema().has_column(&column).then_some((extended, column)))
            }
            _ => Ok(None),
        }
    }

    fn scan(&mut self, scan: &TableScan, attributes: &Column, wish: &Wish) -> Result<Option<(LogicalPlan, Column)>> {
        let Some(index) = scan.projected_schema.maybe_index_of_column(attributes) else { return Ok(None) };
        let own = scan.projected_schema.field(index).name();
        let Ok(provider) = source_as_provider(&scan.source) else { return Ok(None) };
        let Some(table) = provider.downcast_ref::<SnapshotTable>().filter(|table| table.computes(own)) else {
            return Ok(None);
        };
        let named = |name: &str| Column::new(Some(scan.table_name.clone()), name);
        let expr = wish.over(own);
        if let Some(known) = table.computed().iter().find(|computed| computed.expr == expr) {
            return Ok(Some((LogicalPlan::TableScan(scan.clone()), named(known.field.name()))));
        }
        let computed = wish.computed(own, self.provided);
        self.provided += 1;
        let column = named(computed.field.name());
        let table = table.with_computed(computed);
        let projection = scan.projection.clone().map(|mut columns| {
            columns.push(table.column_count() - 1);
            columns
        });
        let extended = TableScanBuilder::new(scan.table_name.clone(), provider_as_source(Arc::new(table)))
            .with_projection(projection)
            .with_filters(scan.filters.clone())
            .with_fetch(scan.fetch)
            .build()?;
        Ok(Some((LogicalPlan::TableScan(extended), column)))
    }
}
