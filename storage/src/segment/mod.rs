//! Segments: immutable Parquet files, sorted for pruning.
//!
//! - `layout`: sort order, encodings, sizes of groups and pages.
//! - `ranges`: smallest and largest values for the table's log.
//! - `writer`: rows in any order to the bytes of segments, one a partition.

mod layout;
mod ranges;
mod writer;

pub use ranges::ColumnRanges;
pub use writer::encode;
