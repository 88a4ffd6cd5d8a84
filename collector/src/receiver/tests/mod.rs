//! The cases of the OTLP receiver, by number, through real sockets.
//!
//! - `server`: a receiver on free ports, and a sink in memory.
//! - `client`: one request over gRPC, HTTP with protobuf and HTTP with JSON, and the answer's word.
//! - `honest`: a client of others; the rest: the cases, by the chapters they come from.
#![allow(clippy::unwrap_used)]

mod access;
mod back_pressure;
mod client;
mod compression;
mod connections;
mod errors;
mod honest;
mod limits;
mod real_traces;
mod server;
mod success;
mod transport;
