//! The columns that a table was created with, against those that this version knows.
//!
//! A table of an earlier version gets the columns that it lacks, and its old rows show NULL in them; segments are not
//! written anew. Where that is not possible the table is refused, and stays as it is.

use arrow::datatypes::{DataType, Field, Schema};
use deltalake_core::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake_core::kernel::{StructField, StructType};

use crate::schema::Table;
use crate::schema::promoted::Promoted;

/// Name of the partition column: the UTC date of a table's times.
pub(super) const DATE: &str = "date";

/// Why a table cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "column {column} {difference}, so another version of spanhouse wrote this table; \
     use that version, or another data directory"
)]
pub(super) struct Mismatch {
    column: String,
    difference: &'static str,
}

/// The columns of `table` as Delta has them.
pub(super) fn of(table: Table) -> Result<StructType, deltalake_core::DeltaTableError> {
    let date = table.time_column().map(|_| Field::new(DATE, DataType::Date32, true).into());
    let fields: Vec<_> = table.schema().fields().iter().cloned().chain(date).collect();
    Ok((&Schema::new(fields)).try_into_kernel()?)
}

/// The columns of `known` that `stored` lacks and may be given.
pub(super) fn missing(known: &StructType, stored: &StructType) -> Result<Vec<StructField>, Mismatch> {
    let mismatch = |column: &str, difference| Err(Mismatch { column: column.to_owned(), difference });
    let mut missing = Vec::new();
    for field in known.fields() {
        match stored.field(field.name()) {
            None if field.is_nullable() => missing.push(field.clone()),
            None => return mismatch(field.name(), "is missing"),
            Some(stored) if stored.data_type() != field.data_type() => {
                return mismatch(field.name(), "has another type");
            }
            Some(stored) if stored.is_nullable() && !field.is_nullable() => {
                return mismatch(field.name(), "may be NULL there");
            }
            Some(stored) if !stored.is_nullable() && field.is_nullable() => {
                return mismatch(field.name(), "may not be NULL there");
            }
            Some(_) => {}
        }
    }
    // Rows of this version would have nothing in it.
    match stored.fields().find(|field| !field.is_nullable() && known.field(field.name()).is_none()) {
        Some(unknown) => mismatch(unknown.name(), "is not known here"),
        None => Ok(missing),
    }
}

/// The promoted attributes among the columns, in their order.
pub(super) fn promoted(table: Table, stored: &StructType) -> Result<Vec<Promoted>, Mismatch> {
    if table != Table::Spans {
        return Ok(Vec::new());
    }
    let mut promoted = Vec::new();
    for field in stored.fields() {
        let Some(found) = Promoted::parse(field.name()) else { continue };
        if Some(field.data_type()) != column_of(&found).ok().as_ref().map(StructField::data_type) {
            return Err(Mismatch { column: field.name().clone(), difference: "has another type" });
        }
        promoted.push(found);
    }
    Ok(promoted)
}

/// The columns of `stored` and those of `added` behind them.
pub(super) fn with(stored: &StructType, added: &[Promoted]) -> Result<StructType, deltalake_core::DeltaTableError> {
    let added = added.iter().map(column_of).collect::<Result<Vec<_>, _>>()?;
    Ok(StructType::try_new(stored.fields().cloned().chain(added))?)
}

fn column_of(promoted: &Promoted) -> Result<StructField, deltalake_core::DeltaTableError> {
    Ok((&promoted.field()).try_into_kernel()?)
}

#[cfg(test)]
mod tests {
    use deltalake_core::kernel::{DataType, StructField};

    use super::*;

    fn columns(fields: &[(&str, DataType, bool)]) -> StructType {
        let field = |(name, data_type, nullable): &(&str, DataType, bool)| {
            StructField::new(*name, data_type.clone(), *nullable)
        };
        StructType::try_new(fields.iter().map(field)).unwrap()
    }

    #[track_caller]
    fn check(stored: &[(&str, DataType, bool)], expected: Result<&[&str], &str>) {
        let known = columns(&[("id", DataType::LONG, false), ("name", DataType::STRING, true)]);
        let actual = missing(&known, &columns(stored));
        let actual = actual.map(|fields| fields.iter().map(|field| field.name().clone()).collect::<Vec<_>>());
        let actual = actual.map_err(|mismatch| format!("{} {}", mismatch.column, mismatch.difference));
        assert_eq!(
            actual,
            expected.map(|names| names.iter().map(|name| (*name).to_owned()).collect()).map_err(str::to_owned)
        );
    }

    #[test]
    fn only_columns_that_may_be_null_come_and_go() {
        let (id, name) = (("id", DataType::LONG, false), ("name", DataType::STRING, true));
        check(&[id.clone(), name.clone()], Ok(&[]));
        check(std::slice::from_ref(&id), Ok(&["name"]));
        check(&[id.clone(), name.clone(), ("later", DataType::LONG, true)], Ok(&[]));
        check(&[id.clone(), name.clone(), ("later", DataType::LONG, false)], Err("later is not known here"));
        check(std::slice::from_ref(&name), Err("id is missing"));
        check(&[("id", DataType::STRING, false), name.clone()], Err("id has another type"));
        check(&[("id", DataType::LONG, true), name], Err("id may be NULL there"));
        check(&[id, ("name", DataType::STRING, false)], Err("name may not be NULL there"));
    }
}
