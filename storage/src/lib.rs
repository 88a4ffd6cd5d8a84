//! The span model and everything on disk.
//!
//! - `model`, `rows`, `schema`: the spans of requests, rows of them as columns, and the public tables.
//! - `derive`: what a span is within its trace.
//! - `request`, `repeats`: what a client sent, and whether it was sent before.
//! - `wal`: the write-ahead log.
//! - `memory`, `decided`: what is not in segments yet, as a fold over the WAL.
//! - `segment`, `catalog`, `flush`: immutable Parquet files, and the Delta tables that say which are live.
//! - `snapshot`, `view`: what a query sees.
//! - `store`, `read_only`, `recovery`, `lock`: a data directory, open for writing or for reading.
//!
//! Storage knows neither OTLP nor DataFusion: requests are bytes that a decoder handed in at start turns into columns,
//! and readers get a [`Snapshot`].
//!
//! # Invariants
//!
//! - An append returns only after its record is durable and its spans are visible.
//! - Memory changes only by applying durable records in order, and by commits.
//! - A segment never changes; the Delta log alone says which segments count.

pub mod catalog;
mod clock;
mod config;
mod decided;
pub mod derive;
mod error;
mod flush;
mod lock;
mod memory;
pub mod model;
mod read_only;
mod recovery;
mod repeats;
mod request;
pub mod rows;
pub mod schema;
mod segment;
mod snapshot;
mod store;
mod view;
pub mod wal;

pub use clock::{Clock, SystemClock};
pub use config::Config;
pub use error::{Error, Result};
pub use memory::PendingTrace;
pub use read_only::ReadOnlyStore;
pub use request::{Appended, ContentType, Decoder, Encoding, Request};
pub use snapshot::{MemoryRows, Segment, Snapshot, SnapshotSource, TableSnapshot};
pub use store::{FlushReport, Store, StoreStatus, TableStatus};
pub use wal::Decision;
