//! Segments: immutable Parquet files, sorted for pruning.
//!
//! - `layout`: sort order, encodings, sizes of groups and pages.
//! - `order`: rows of `spans` in that order.
//! - `ranges`: smallest and largest values for the table's log.
//! - `hybrid`, `dictionary`, `extremes`, `leaf`: a column's pages from numbered values.
//! - `maps`, `spans`, `exceptions`, `promoted`: the columns of `spans` in that form; attributes apart, and those that have
//!   columns.
//! - `placing`: which attributes that is.
//! - `writer`: rows in any order to the bytes of segments, one a partition.
//! - `reader`: a file's rows in the types of memory.
//! - `asserted`: damage over which the parquet crate panics.
//! - `merge`: segments to a larger one, or one to a smaller.

mod asserted;
mod dictionary;
mod exceptions;
mod extremes;
mod hybrid;
mod layout;
mod leaf;
mod maps;
mod merge;
mod order;
mod placing;
mod promoted;
mod ranges;
mod reader;
mod spans;
mod writer;

pub use asserted::damaged_if_it_panics;
#[cfg(test)]
pub(crate) use asserted::tests::spoiled;
pub use layout::ROW_GROUP_ROWS;
pub use merge::{FlatColumns, MergeInput, MergeLimits, MergeReport, merge, rewrite};
pub use ranges::ColumnRanges;
pub(crate) use reader::open_file;
#[cfg(test)]
pub(crate) use reader::open_file_with;
pub use writer::{EncodedSegment, SortedSpans, encode};
#[cfg(test)]
pub use writer::{encode_promoted, encode_spans};

#[cfg(test)]
mod tests;
