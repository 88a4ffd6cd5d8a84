//! The first key of an order as numbers that can be compared.

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::stats::Precision;
use datafusion::common::{Result, ScalarValue};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::physical_expr::PhysicalSortExpr;
use datafusion::physical_expr::expressions::Column;

/// The first key of an order, a column of integers or times without NULL.
#[derive(Debug, Clone)]
pub(super) struct Key {
    column: Column,
    data_type: DataType,
    is_descending: bool,
}

impl Key {
    pub(super) fn of(key: &PhysicalSortExpr, schema: &SchemaRef) -> Option<Self> {
        let column = key.expr.downcast_ref::<Column>()?.clone();
        let field = schema.fields().get(column.index())?;
        let data_type = field.data_type().clone();
        let is_ranked = matches!(data_type, DataType::Int32 | DataType::Int64 | DataType::Timestamp(..));
        let is_descending = key.options.descending;
        (is_ranked && !field.is_nullable()).then_some(Self { column, data_type, is_descending })
    }

    pub(super) fn is_descending(&self) -> bool {
        self.is_descending
    }

    /// The farther a value is in the order, the greater.
    pub(super) fn rank(&self, value: i64) -> i64 {
        if self.is_descending { value } else { !value }
    }

    /// The greatest rank of a segment's rows.
    pub(super) fn farthest(&self, file: &PartitionedFile) -> Option<i64> {
        let known = file.statistics.as_ref()?.column_statistics.get(self.column.index())?;
        let value = if self.is_descending { &known.max_value } else { &known.min_value };
        let Precision::Exact(value) = value else { return None };
        match value.cast_to(&DataType::Int64) {
            Ok(ScalarValue::Int64(Some(value))) => Some(self.rank(value)),
            _ => None,
        }
    }

    pub(super) fn column(&self) -> &Column {
        &self.column
    }

    /// The value with this rank.
    pub(super) fn value(&self, rank: i64) -> Result<ScalarValue> {
        ScalarValue::Int64(Some(self.rank(rank))).cast_to(&self.data_type)
    }
}
