//! Estimates over spans with weights: as SQL, merged from parts, and how often their intervals hold the truth.

mod coverage;
mod merge;
mod sql;
