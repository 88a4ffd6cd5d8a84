//! Questions in, record batches out: SQL over `spans` and `traces`, and the questions that the pages ask.
//!
//! - `engine`: sessions, limits, and the running of queries; `session`: what one query can see.
//! - `guard`, `bind`: which SQL may run, and the values of its parameters.
//! - `table`: DataFusion over a storage snapshot; `topk`: the first rows by some order, read late.
//! - `semantics`: ids as hex, and `attributes['key']` with the types that clients gave.
//! - `estimate`: what the real stream had, from sampled spans and their weights.
//! - `calibrate`: spans whose weights add up to the exact counts.
//! - `basis`: whether an answer is exact, estimated, or of stored spans alone.
//! - `answer`: streams of batches with their statistics; `present`: batches as people read them.
//! - `trace`, `span`, `search`, `services`, `attributes`, `schema`: one question each.
//!
//! Invariants: query never writes; a query sees one snapshot, however often it names a table; what it may take of
//! memory, time, rows and nesting is bounded by [`Config`]; dropping an answer stops its query.

mod answer;
pub mod attributes;
mod basis;
mod bind;
mod calibrate;
mod config;
mod engine;
mod error;
mod estimate;
mod guard;
pub mod present;
mod rows;
pub mod schema;
pub mod search;
mod semantics;
pub mod services;
mod session;
pub mod span;
mod table;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod text;
mod threads;
mod topk;
pub mod trace;

pub use answer::{SqlAnswer, Stats};
pub use basis::{Basis, Note};
pub use bind::Parameter;
pub use config::Config;
pub use engine::{Engine, SqlRequest};
pub use error::{Error, Position, Result};
pub use storage::model::{SpanId, TraceId, UnixNanos};
pub use text::TimeRange;
