//! Columns out of whose pages the values of known rows are picked: single values, and lists of values that are there.
//!
//! The crate's readers pass what lies between two rows value by value, and make an array of a dictionary of which an entry is
//! wanted.
//!
//! - `page`: levels and values of a page, and which of them a row has. `hybrid`, `deltas`: encodings of numbers; `values`:
//!   those of a page; `dictionary`: those that a page points to.
//! - `built`: values as they become an array.
//!
//! Invariant: a value is what the crate's readers give, or an error.

mod built;
mod deltas;
mod dictionary;
mod hybrid;
mod page;
mod values;

use arrow::array::ArrayRef;
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::DataType;
use datafusion::parquet::basic::Type;
use datafusion::parquet::column::page::Page;
use datafusion::parquet::errors::Result;
use datafusion::parquet::file::metadata::ColumnChunkMetaData;

use super::pages::wrong;
use built::Built;
pub(in crate::table) use dictionary::Dictionary;
use page::Levels;
use values::Values;

/// A leaf as it is filled.
pub(super) struct Picked {
    physical: Type,
    shape: Shape,
    values: Built,
    /// Of lists, by row.
    lengths: Vec<usize>,
}

/// How values lie in rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Single,
    Optional,
    /// Any number of values, none of them NULL.
    List,
}

impl Picked {
    /// For so many rows of a leaf; `None` if the leaf or its type in the table is none that is read here.
    pub fn new(column: &ColumnChunkMetaData, wanted: &DataType, rows: usize) -> Option<Self> {
        let described = column.column_descr();
        let shape = match (described.path().parts().len(), described.max_rep_level(), described.max_def_level()) {
            (1, 0, 0) => Shape::Single,
            (1, 0, 1) => Shape::Optional,
            (3 | 4, 1, 1) => Shape::List,
            _ => return None,
        };
        let physical = described.physical_type();
        let is_read = column.encodings().all(|encoding| Values::reads(encoding, physical));
        let values = Built::new(described, wanted, rows).filter(|_| is_read)?;
        Some(Self { physical, shape, values, lengths: Vec::new() })
    }

    /// Adds the values of a page's rows, ascending. The page has so many rows.
    pub fn add(
        &mut self,
        page: &Page,
        row_count: usize,
        rows: impl Iterator<Item = usize>,
        dictionary: Option<&Dictionary>,
    ) -> Result<()> {
        let ends = || wrong("a page ends too early");
        let (mut levels, values) = Levels::split(page, self.shape).ok_or_else(ends)?;
        if !levels.may_have(row_count) {
            return Err(wrong("a page has other rows than the index says"));
        }
        let values = Values::new(values, page.encoding(), self.physical, dictionary);
        let mut values = values.ok_or_else(|| wrong("a page is not as its column says"))?;
        for row in rows {
            let places = levels.values_of(row).ok_or_else(ends)?;
            match self.shape {
                Shape::Optional if places.is_empty() => self.values.push_null(),
                Shape::List => self.lengths.push(places.len()),
                _ => {}
            }
            for place in places {
                self.values.push(values.at(place).ok_or_else(ends)?)?;
            }
        }
        Ok(())
    }

    /// The values, and of lists where each begins.
    pub fn finish(self) -> (Option<OffsetBuffer<i32>>, ArrayRef) {
        let offsets = (self.shape == Shape::List).then(|| OffsetBuffer::from_lengths(self.lengths));
        (offsets, self.values.finish())
    }
}
