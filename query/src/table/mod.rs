//! DataFusion over a storage snapshot.
//!
//! - `provider`: a table as the union of its rows in memory and its segments.
//! - `segments`: the scan of the segments, and which of them a filter leaves.

mod provider;
mod segments;

pub(crate) use provider::SnapshotTable;

#[cfg(test)]
mod tests;
