//! Estimates from weighted spans: what the real stream had, and how far off the sample may be.
//!
//! - `interval`: from the sampled traces of a group to an estimate and its interval; pure.
//! - `student`: the quantile of Student's t that intervals are made of.
//! - `gathered`: the sampled traces of each group, while rows come.
//! - `state`: the same as columns, between the two phases of an aggregation.
//! - `accumulate`: both for DataFusion.
//! - `function`: `estimate_count` and the like, as people call them and as plans run them.
//! - `histogram`: quantiles of the exact histograms of `span_metrics`.
//!
//! Invariants: the trace is the unit of sampling, since its spans share one coin; a row whose weight is unknown is left
//! out and a rescued one (weight 0) counts nothing, but neither leaves an answer exact; partial states merge to what one
//! accumulator would have seen; all memory that grows with rows is in `size`.

mod accumulate;
mod function;
mod gathered;
mod histogram;
mod interval;
mod state;
mod student;

#[cfg(test)]
mod tests;

pub(crate) use function::{Estimate, functions, is_stratum, weighted};
