//! OTLP in, decided traces out.
//!
//! - `config`: limits and the receivers' settings.
//! - `otlp`: a request's bytes to spans; pure, bounded, the same rows for protobuf and JSON.
//! - `receiver`: the two servers, and the one place where errors become OTLP answers.
//! - `remote`: what SDKs are told of head sampling, over two servers of its own.
//! - `sampler`: when a trace is decided, and what becomes of it.
//! - `pipeline`: from a decoded request to the store, and from pending to decided.
//! - `durable`: a small file that outlives the process.
//! - `sink`: where a receiver hands a decoded request; its answer is the client's answer.
//!
//! Success is answered only after the sink said that the request is durable. Bytes from outside give errors or
//! rejected counts, never panics.

pub mod config;
mod durable;
mod error;
pub mod otlp;
#[cfg(feature = "store")]
pub mod pipeline;
pub mod receiver;
pub mod remote;
#[cfg(feature = "store")]
pub mod sampler;
mod sink;

pub use config::{Config, Limits};
pub use durable::Durable;
pub use error::{Error, Result};
pub use otlp::{Decoded, OtlpDecoder, decode};
#[cfg(feature = "store")]
pub use pipeline::{Pipeline, Saved};
pub use receiver::{Metrics, Receiver};
pub use sink::Sink;
