//! The span model and everything on disk.
//!
//! - `model`, `schema`: spans as columns, and the public tables.
//! - `request`: what a client sent, as the WAL keeps it.
//! - `derive`: what a span is within its trace.
//! - `wal`: the write-ahead log.
//! - `snapshot`: what a query sees.
//!
//! Storage knows neither OTLP nor DataFusion: requests are bytes that a decoder handed in at start turns into columns,
//! and readers get a [`Snapshot`].

mod catalog;
mod clock;
mod decided;
pub mod derive;
mod error;
pub mod model;
mod request;
pub mod schema;
mod segment;
mod snapshot;
pub mod wal;

pub use clock::{Clock, SystemClock};
pub use error::{Error, Result};
pub use request::{Appended, ContentType, Decoder, Encoding, Request};
pub use snapshot::{Segment, Snapshot, SnapshotSource, TableSnapshot};
