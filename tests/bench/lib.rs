//! What benchmarks of a running server share.
//!
//! - [`options`]: what the environment asks for
//! - [`corpus`]: the requests, encoded and compressed before anything is measured
//! - [`sender`] over [`http`] or [`grpc`]: sends them, and times each acknowledgement
//! - [`server`]: a server as a process; [`proc`]: what it used
//! - [`figures`]: medians and percentiles
//!
//! Invariants: a server is always the caller's own, on ports that were free and without settings from outside. Units end
//! the names of figures.

pub mod corpus;
pub mod figures;
mod grpc;
pub mod http;
pub mod options;
pub mod proc;
pub mod sender;
pub mod server;
