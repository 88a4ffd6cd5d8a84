//! The cases of the OTLP receiver, by number, through real sockets.
//!
//! - `server`: a receiver on free ports, and a sink in memory.
//! - `client`: one request over gRPC, HTTP with protobuf and HTTP with JSON, and the answer's word.
//! - `alone`: a test in a process of its own; `http2`: frames by hand.
//! - `honest`: a client of others; the rest: the cases, by the chapters they come from.
#![allow(clippy::unwrap_used)]

mod access;
mod alone;
mod back_pressure;
mod books;
mod client;
mod compression;
mod connections;
mod crowds;
mod errors;
mod floods;
mod honest;
mod http2;
mod library;
mod limits;
mod malformed;
mod real_traces;
mod server;
mod success;
mod transport;
