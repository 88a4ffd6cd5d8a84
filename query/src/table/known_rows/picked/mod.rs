//! Columns out of whose pages the values of known rows are picked.
//!
//! The crate's readers pass what lies between two rows value by value, and make an array of a dictionary of which an entry is
//! wanted.
//!
//! - `flat`: a column of single values, which become an array. `nested`: a leaf of any other column; its levels and values become one
//!   small page, of which the crate makes lists, maps and structs.
//! - `page`: which levels and values of a page a row has. `values`: those of a page, in whatever encoding; `hybrid`, `deltas`:
//!   encodings of numbers; `dictionary`: the values that a page points to.
//!
//! Invariant: a value is what the crate's readers give, or an error.

mod deltas;
mod dictionary;
mod flat;
mod hybrid;
mod nested;
mod page;
mod values;

use datafusion::parquet::column::page::Page;
use datafusion::parquet::errors::{ParquetError, Result};
use datafusion::parquet::schema::types::ColumnDescriptor;

use super::chunk::wrong;
pub(in crate::table) use dictionary::Dictionary;
pub(super) use flat::Flat;
pub(super) use nested::Nested;
use page::Levels;
use values::Values;

/// The levels of a page, which has so many rows, and its values.
fn parts<'p>(
    page: &'p Page,
    row_count: usize,
    column: &ColumnDescriptor,
    dictionary: Option<&'p Dictionary>,
) -> Result<(Levels<'p>, Values<'p>)> {
    let (levels, values) = Levels::split(page, column).ok_or_else(ended)?;
    if !levels.may_have(row_count) {
        return Err(wrong("a page has other rows than the index says"));
    }
    Ok((levels, Values::of(page, values, column, dictionary)?))
}

fn ended() -> ParquetError {
    wrong("a page ends too early")
}

/// What is filled with the values of rows.
pub(super) trait Filled {
    /// Adds those of a page's rows, ascending. The page has so many rows.
    fn add(
        &mut self,
        page: &Page,
        row_count: usize,
        rows: impl Iterator<Item = usize>,
        dictionary: Option<&Dictionary>,
    ) -> Result<()>;
}

#[cfg(test)]
mod tests;
