//! Which leaves of a file make a table's columns, and columns made of leaves in the table's types.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ListArray, RecordBatch, RecordBatchOptions, StructArray, new_null_array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, SchemaRef};
use arrow::error::ArrowError;
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::schema::types::{ColumnDescriptor, SchemaDescriptor};

use super::pages::wrong;

/// Whether a column of this type is read here: single values, lists of them, and lists of a few of them.
pub(super) fn is_read(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(item) => match item.data_type() {
            DataType::Struct(fields) => fields.iter().all(|field| !field.data_type().is_nested()),
            item => !item.is_nested(),
        },
        data_type => !data_type.is_nested(),
    }
}

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
        [_, _, _, name] => fields.iter().any(|field| field.name() == name),
        _ => false,
    }
}

/// The type of a column's leaf, as far as a leaf has one of its own.
pub(super) fn leaf_type<'w>(leaf: &ColumnDescriptor, column: &'w Field) -> Option<&'w DataType> {
    match (leaf.path().parts(), column.data_type()) {
        ([_], of_column) => Some(of_column),
        // The column, its list, an item.
        ([_, _, _], DataType::List(item)) => Some(item.data_type()),
        ([_, _, _, name], DataType::List(item)) => match item.data_type() {
            DataType::Struct(fields) => Some(fields.find(name)?.1.data_type()),
            _ => None,
        },
        _ => None,
    }
}

/// The column of leaves by their names.
pub(super) fn assembled(column: &Field, mut leaves: Vec<PickedLeaf>) -> Result<ArrayRef, ArrowError> {
    let lacks = || ArrowError::ParquetError(format!("{} is not as its leaves are", column.name()));
    let DataType::List(item) = column.data_type() else {
        return leaves.pop().map(|leaf| leaf.values).ok_or_else(lacks);
    };
    let offsets = leaves.first().and_then(|leaf| leaf.offsets.clone()).ok_or_else(lacks)?;
    if leaves.iter().any(|leaf| leaf.offsets.as_ref() != Some(&offsets)) {
        return Err(lacks());
    }
    let items = match item.data_type() {
        DataType::Struct(fields) => {
            let of_field = |field: &Arc<Field>| {
                let leaf = leaves.iter().find(|leaf| leaf.name == *field.name());
                leaf.map(|leaf| Arc::clone(&leaf.values)).ok_or_else(lacks)
            };
            let values = fields.iter().map(of_field).collect::<Result<Vec<_>, _>>()?;
            Arc::new(StructArray::try_new(fields.clone(), values, None)?)
        }
        _ => leaves.pop().map(|leaf| leaf.values).ok_or_else(lacks)?,
    };
    Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets, items, None)?))
}

/// A leaf whose values were picked.
pub(super) struct PickedLeaf {
    pub(super) name: String,
    /// Of lists, where each begins.
    pub(super) offsets: Option<OffsetBuffer<i32>>,
    pub(super) values: ArrayRef,
}

/// So many rows as the table has them: of columns that were picked, by their places, and of those that the crate read.
pub(super) fn as_wanted(
    row_count: usize,
    picked: Vec<(usize, ArrayRef)>,
    read: Option<&RecordBatch>,
    wanted: &SchemaRef,
) -> Result<RecordBatch, ArrowError> {
    let mut columns: Vec<Option<ArrayRef>> = vec![None; wanted.fields().len()];
    for (place, column) in picked {
        columns[place] = Some(column);
    }
    let given = |(column, field): (Option<ArrayRef>, &Arc<Field>)| match column
        .or_else(|| read?.column_by_name(field.name()).cloned())
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
