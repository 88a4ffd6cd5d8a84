//! Which leaves of a file make a table's columns, and the columns in the table's types.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, SchemaRef};
use arrow::error::ArrowError;
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::schema::types::{ColumnDescriptor, SchemaDescriptor};

use super::chunk::wrong;

/// A leaf of a file, of a column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leaf {
    pub(super) number: usize,
    /// The place of the column among the wanted ones.
    pub(super) place: usize,
}

/// The file's leaves that make the wanted columns, ascending. A column that the file does not have has none.
pub(super) fn leaves(file: &SchemaDescriptor, wanted: &SchemaRef) -> Result<Vec<Leaf>, ParquetError> {
    let mut leaves = Vec::new();
    let mut found = vec![0_usize; wanted.fields().len()];
    let mut has_root = vec![false; wanted.fields().len()];
    for (number, column) in file.columns().iter().enumerate() {
        let Some(root) = column.path().parts().first() else { continue };
        let Some(place) = wanted.fields().iter().position(|field| field.name() == root) else { continue };
        has_root[place] = true;
        if is_of(column, wanted.field(place)) {
            found[place] += 1;
            leaves.push(Leaf { number, place });
        }
    }
    // Read as a list of nothing, it would have no rows.
    match (0..found.len()).find(|place| has_root[*place] && found[*place] == 0) {
        Some(place) => Err(wrong(&format!("{} has nothing of what is read of it", wanted.field(place).name()))),
        None => Ok(leaves),
    }
}

fn is_of(column: &ColumnDescriptor, wanted: &Field) -> bool {
    let DataType::List(item) = wanted.data_type() else { return true };
    let DataType::Struct(fields) = item.data_type() else { return true };
    // The column, its list, an item, a field of it.
    match column.path().parts() {
        [_, _, _, name, ..] => fields.iter().any(|field| field.name() == name),
        _ => false,
    }
}

/// So many rows as the table has them: of single values, by the columns' places, and of those that the crate made.
pub(super) fn as_wanted(
    row_count: usize,
    flat: Vec<(usize, ArrayRef)>,
    nested: Option<&RecordBatch>,
    wanted: &SchemaRef,
) -> Result<RecordBatch, ArrowError> {
    let mut columns: Vec<Option<ArrayRef>> = vec![None; wanted.fields().len()];
    for (place, column) in flat {
        columns[place] = Some(column);
    }
    let given = |(column, field): (Option<ArrayRef>, &Arc<Field>)| match column
        .or_else(|| nested?.column_by_name(field.name()).cloned())
    {
        Some(column) if column.data_type() == field.data_type() => Ok(column),
        Some(column) => cast(&column, field.data_type()),
        None => Ok(new_null_array(field.data_type(), row_count)),
    };
    let columns = columns.into_iter().zip(wanted.fields()).map(given).collect::<Result<Vec<_>, _>>()?;
    // Where no column is asked for, rows are.
    let options = RecordBatchOptions::new().with_row_count(Some(row_count));
    RecordBatch::try_new_with_options(Arc::clone(wanted), columns, &options)
}
