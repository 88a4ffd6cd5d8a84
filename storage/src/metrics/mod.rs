//! What is counted of every span, whether it is kept or not: the rows of `span_metrics`, `edge_metrics` and `paths`.
//!
//! - `buckets`: durations as a sparse histogram of exponential buckets.
//! - `head`: how many spans one stands for that a sampler at its source let through.
//! - `totals`: what rows add up.
//! - `counts`: rows by window and names, and how spans are counted into them.
//! - `batch`: a request's spans, counted before anyone holds memory. `tally`: edges and paths of traces that are decided.
//! - `partials`: counts of many requests, that grow and can be looked at meanwhile. `merged`: many in one.
//! - `columns`: those rows as columns, made when a query or a flush asks for them.
//! - `paths`: which call paths are known, and rows of those that were not.
//!
//! # Invariants
//!
//! - A row is a partial sum: rows of equal window and names add up, however many there are.
//! - Counting is a pure function of spans, so that replay counts what was counted.
//! - Sums of durations saturate; nothing else can overflow before memory ends.

mod batch;
mod buckets;
mod columns;
mod counts;
mod head;
mod merged;
mod partials;
mod paths;
mod tally;
mod totals;

use crate::model::UnixNanos;

pub use batch::BatchCounts;
pub use buckets::Bucket;
pub use columns::LazyRows;
pub use counts::Counts;
pub use head::Head;
pub use partials::{Frozen, Partials};
pub use paths::{KnownPaths, PathRows};
pub use tally::Tally;
pub use totals::Totals;

/// Service, span name, kind and status.
pub type SpanMetrics = Partials<4>;
/// Client service, server service and the server span's name.
pub type EdgeMetrics = Partials<3>;

/// A window's length.
pub const WINDOW_NANOS: i64 = 10_000_000_000;

/// The start of the window that `start` is in.
fn window_of(start: UnixNanos) -> UnixNanos {
    // The earliest window is cut where times end.
    UnixNanos(start.0.saturating_sub(start.0.rem_euclid(WINDOW_NANOS)))
}

#[cfg(test)]
mod tests;
