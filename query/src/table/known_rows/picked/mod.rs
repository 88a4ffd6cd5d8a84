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
use datafusion::parquet::errors::Result;

pub(in crate::table) use dictionary::Dictionary;
pub(super) use flat::Flat;
pub(super) use nested::Nested;

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
