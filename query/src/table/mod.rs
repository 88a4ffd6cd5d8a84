//! DataFusion over a storage snapshot.
//!
//! - `provider`: a table as the union of its rows in memory and its segments.
//! - `leg`: what one leg of that union reads and makes of it; `promoted`: where its attributes are.
//! - `of_trace`: the scan of one trace, for who asks without SQL.
//! - `computed`: attributes that a query uses one by one, as columns of the scan.
//! - `memory`: the scan of the rows in memory.
//! - `segments`: the scan of the segments, and which of them a filter leaves.
//! - `known_rows`: the scan of rows of segments that are known by the index of traces.
//! - `readers`: how segments' files are opened.
//! - `traces`: which traces a query's filters name.
//! - `known_traces`: which segments, and which of their rows, have them.

mod computed;
mod known_rows;
mod known_traces;
mod leg;
mod memory;
mod of_trace;
mod promoted;
mod provider;
mod readers;
mod segments;
mod traces;

pub(crate) use computed::Computing;
pub(crate) use known_rows::{Dictionaries, KnownRows, ROW, SEGMENT, scan as scan_rows, scan_places};
pub(crate) use known_traces::KnownTraces;
pub(crate) use memory::MemoryScan;
pub(crate) use of_trace::Output;
pub(crate) use provider::SnapshotTable;
pub(crate) use segments::OfSegment;

#[cfg(test)]
mod tests;
