//! DataFusion over a storage snapshot.
//!
//! - `provider`: a table as the union of its rows in memory and its segments.
//! - `segments`: the scan of the segments, and which of them a filter leaves.
//! - `traces`: which traces a filter leaves of the rows in memory.

mod provider;
mod segments;
mod traces;

pub(crate) use provider::SnapshotTable;

#[cfg(test)]
mod tests;
