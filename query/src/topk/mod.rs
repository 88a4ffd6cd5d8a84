//! The first rows by some order, as in `ORDER BY start_time DESC LIMIT 20`: found by what they are sorted and filtered by, and
//! read whole only then. Else the reader decodes all columns of every row that matches before it is known which are first.
//!
//! ```text
//! SortExec TopK(fetch=20)                      SortExec TopK(fetch=20)
//!   UnionExec                                    UnionExec
//!     DataSourceExec memory             =>         DataSourceExec memory
//!     DataSourceExec a, b, c, time                 LateRowsExec a, b, c, time
//!                                                    SortExec TopK(fetch=20), each partition for itself
//!                                                      DataSourceExec time, segment, row
//! ```
//!
//! Where the segments' pages say how far the first rows reach, the scan leaves out what lies beyond. Often so little remains that
//! no scan is needed: the rows that may be first are known, and their first key is picked out of their pages.
//!
//! - `rule`: finds such sorts, and decides how the scans below them read.
//! - `scan`: such a scan.
//! - `reach`: how far the first rows reach by their `key`; `pages`: what it is told by; `certain`: which filters it understands;
//!   `ranges`: the rows that they let through.
//! - `bounded`: the scan without what lies beyond.
//! - `few`: the few rows that may be first, where these are known. `places`: else the scan that gives sort keys and the place of
//!   each row.
//! - `late`: reads the rows in these places; `first`: of few rows, those that are first.
//!
//! Invariants: what is first among all rows is among the first of each scan, so a scan may leave out the rest; a scan that is
//! not understood stays as it is.

mod bounded;
mod certain;
mod few;
mod first;
mod key;
mod late;
mod pages;
mod places;
mod ranges;
mod reach;
mod rule;
mod scan;

pub(crate) use late::LateRowsExec;
pub(crate) use rule::rules;

#[cfg(test)]
mod tests;
