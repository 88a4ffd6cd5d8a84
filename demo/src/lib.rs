//! A shop to look at, and the client that sends its spans: `spanhouse demo`, and the load of tests and benches.
//!
//! - [`shop`]: a seeded model of a web shop whose faults come and go; an iterator of traces
//! - [`export`]: its spans as OTLP requests, batched as the exporters of its pods would
//! - [`send`]: a small OTLP client over gRPC and HTTP that honours back-pressure
//! - [`run`]: the shop in real time against a server
//!
//! Invariants: same seed and start, same bytes; nothing here reads a clock except [`run`] (through tokio's timers) and
//! the timeouts of [`send`].

mod error;
pub mod export;
pub mod run;
pub mod send;
pub mod shop;

pub use error::Error;
