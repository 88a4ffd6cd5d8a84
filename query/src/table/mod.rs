//! DataFusion over a storage snapshot.
//!
//! - `provider`: a table as the union of its rows in memory and its segments.
//! - `memory`: the scan of the rows in memory.
//! - `segments`: the scan of the segments, and which of them a filter leaves.
//! - `traces`: which traces a filter leaves of the rows in memory.

mod memory;
mod provider;
mod segments;
mod traces;

pub(crate) use memory::MemoryScan;
pub(crate) use provider::SnapshotTable;

#[cfg(test)]
mod tests;
