//! The protocol through real sockets.
//!
//! - `server`: both listeners on free ports, over a table of rates, with a clock that the test sets.
//! - `messages`: the protocol's messages, as prost has them.
//! - `polls`: the answers; `limits`: what is refused; `clients`: clients of others.
//! - `instances`: without sockets, many instances that poll, and what the ledger says of each.
#![allow(clippy::unwrap_used)]

mod clients;
mod instances;
mod limits;
pub mod messages;
mod polls;
mod server;
