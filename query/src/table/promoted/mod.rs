//! Promoted attributes in a scan: where each segment has the keys that a query uses, and what the query's expressions are
//! there.
//!
//! - `places`: which segments have these keys in the same places. These make one leg of the scan.
//! - `values`: expressions over a leg's columns that have the same value.
//! - `conditions`: the same of filters, so that the Parquet reader can prune by them and evaluate them.
//! - `comparisons`: one column compared with one literal.
//!
//! Invariant: whatever has no form here of its own is asked of maps that are assembled from the columns, so it costs time
//! and never says anything else. No expression is adapted per file: DataFusion would drop the filters that it pushed
//! down, see `docs/decisions/0012-filters-on-promoted-columns.md`.

mod comparisons;
mod conditions;
mod places;
mod values;

pub(super) use conditions::condition;
pub(super) use places::{Layout, used_keys};
pub(super) use values::value;
