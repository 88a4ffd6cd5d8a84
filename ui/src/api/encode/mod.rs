//! Batches as they go over the wire. All take batches that `query::present` has made presentable.
//!
//! - `json`: values that every JSON reader takes exactly.
//! - `ipc`: Arrow's streaming format.
//! - `csv`: a header row, then text.

pub(crate) mod csv;
pub(crate) mod ipc;
pub(crate) mod json;
