//! The span model and everything on disk.
//!
//! - `model`, `rows`, `schema`: the spans of requests, rows of them as columns, and the public tables.
//! - `derive`: what a span is within its trace.
//! - `metrics`: what is counted of every span, kept or not.
//! - `request`, `repeats`: what a client sent, and whether it was sent before.
//! - `wal`: the write-ahead log.
//! - `memory`, `decided`: what is not in segments yet, as a fold over the WAL.
//! - `segment`, `catalog`, `flush`: immutable Parquet files, and the Delta tables that say which are live.
//! - `promotion`: which attributes get a column of their own.
//! - `compact`: small segments become large ones, and files that nobody needs go.
//! - `retention`: what is old, or too much, or named by a rule, goes.
//! - `aside`: work on threads that give way.
//! - `snapshot`, `view`: what a query sees.
//! - `trace_index`: which segments have a trace, and in which rows.
//! - `repair`: damage in the WAL, named and cut out.
//! - `store`, `read_only`, `recovery`, `lock`: a data directory, open for writing or for reading.
//!
//! Storage knows neither OTLP nor DataFusion: requests are bytes that a decoder handed in at start turns into spans,
//! and readers get a [`Snapshot`].
//!
//! Without the feature `catalog` there are only the model, requests and the WAL: what a fuzzer wants, built in a minute.
//!
//! # Invariants
//!
//! - An append returns only after its record is durable and its spans are visible.
//! - Memory changes only by applying durable records in order, and by commits.
//! - A segment never changes; the Delta log alone says which segments count.

#[cfg(feature = "catalog")]
mod aside;
#[cfg(feature = "catalog")]
pub mod catalog;
mod clock;
#[cfg(feature = "catalog")]
mod compact;
mod config;
#[cfg(feature = "catalog")]
mod decided;
pub mod derive;
mod error;
#[cfg(feature = "catalog")]
mod flush;
#[cfg(feature = "catalog")]
mod lock;
#[cfg(feature = "catalog")]
mod memory;
pub mod metrics;
pub mod model;
#[cfg(feature = "catalog")]
mod promotion;
#[cfg(feature = "catalog")]
mod read_only;
#[cfg(feature = "catalog")]
mod recovery;
#[cfg(feature = "catalog")]
pub mod repair;
#[cfg(feature = "catalog")]
mod repeats;
mod request;
#[cfg(feature = "catalog")]
pub mod retention;
pub mod rows;
pub mod schema;
#[cfg(feature = "catalog")]
mod segment;
mod snapshot;
#[cfg(feature = "catalog")]
mod store;
#[cfg(feature = "catalog")]
pub mod trace_index;
#[cfg(feature = "catalog")]
mod view;
pub mod wal;

pub use clock::{Clock, SystemClock};
pub use config::{CompactSettings, Config, PromotionSettings, RetentionRule, RetentionSettings};
#[cfg(feature = "catalog")]
pub use decided::Remembered;
pub use error::{Error, Result};
#[cfg(feature = "catalog")]
pub use memory::{Gathered, PendingTrace};
#[cfg(feature = "catalog")]
pub use read_only::ReadOnlyStore;
pub use request::{Appended, ContentType, Decoder, Encoding, Request};
#[cfg(feature = "catalog")]
pub use segment::{ColumnRanges, MergeInput, MergeLimits, MergeReport, ROW_GROUP_ROWS, merge, rewrite};
pub use snapshot::{MemoryPart, MemoryRows, Segment, Snapshot, SnapshotSource, TableSnapshot};
#[cfg(feature = "catalog")]
pub use store::{CompactReport, CompactionStatus, FlushReport, RetentionStatus, Store, StoreStatus, TableStatus};
pub use wal::Decision;
