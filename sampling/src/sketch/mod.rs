//! Distributions in bounded space.
//!
//! - `histogram`: exponential buckets, mergeable. `span_metrics` has buckets of its own.
//! - `counts`: its counters, as narrow as they can be.
//! - `recent`: a quantile of the last hour.
//! - `slow_spans`: which spans are slow for their own name.

mod counts;
mod histogram;
mod recent;
mod slow_spans;
#[cfg(test)]
mod tests;

pub use histogram::{Histogram, MAX_SCALE};
pub use recent::{Quantile, Recent};
pub use slow_spans::SlowSpans;
