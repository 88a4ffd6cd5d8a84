//! Which segments have a trace, and in which rows: what a trace by its id need not search for.
//!
//! - `rows`: the traces of one segment, and the rows of each, in a few bytes a span.
//! - `read`: that from a segment's file.
//! - `resident`: as many of them as a budget allows.
//!
//! Invariants: what is said of a segment is exact, since segments never change; a segment of which nothing is known has
//! to be searched; what is held stays within the budget, positions going before ids.

mod read;
mod resident;
mod rows;

pub use read::read;
pub use resident::{Found, TraceIndex, TraceIndexStatus};
pub use rows::TraceRows;

#[cfg(test)]
mod tests;
