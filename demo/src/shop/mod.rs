//! A model of a web shop: twelve services, their pods, their faults, and the traces they leave.
//!
//! Deterministic: a seed and a start give the same traces, to the byte, on every machine. Each trace has randomness of
//! its own, so that it does not depend on how far others were read.
//!
//! - [`generator`]: who comes when; the iterator of traces
//! - [`stories`]: what each service does; [`calls`]: how that looks in spans
//! - [`world`]: services, pods, customers, products; [`faults`]: what goes wrong when
//! - [`trace`]: building one trace; [`span`]: the spans; [`rng`]: the dice
//!
//! Invariants, which property tests hold: ids are never zero, parents come before their children and exist in the same
//! trace, every server span has a client span as parent or is a root, only detached and timed-out calls outlive their parent.

mod calls;
mod faults;
mod generator;
mod rng;
mod scopes;
mod span;
mod stories;
mod trace;
mod world;

pub use calls::SCHEMA_URL;
pub use faults::{Fault, Schedule, Window};
pub use generator::{Config, Generator, ShopTrace};
pub(crate) use rng::Rng;
pub use scopes::Scope;
pub use span::{Attribute, Event, Kind, Link, Span, Status, Value};
pub use world::{Instance, InstanceId, Language, Service, World};

#[cfg(test)]
mod tests;
