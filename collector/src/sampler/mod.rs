//! Decides pending traces: which are due, what is known of them, and what becomes of them.
//!
//! - `assembly`: when a trace is ripe; `grace`: how long its operation's spans need. Pure.
//! - `due`: which traces a tick may decide; `held`: those that it leaves to a later one; `late`: what becomes of spans that come
//!   after the decision.
//! - `facts`: what is known of a trace; `source`: where it began, and how it was sampled there; `wish`: whether its client wants
//!   it kept.
//! - `shedding`: what is not waited for while memory runs short.
//! - `load`: what operations cost the instances of their services, for head sampling.
//! - `policy`: the policy in force; `past`: recent ticks, on which others are tried.
//! - `state`: what the sampler knows, as bytes.
//! - `deciding`: a tick, from pending traces to decisions; `counts`: of them.
//!
//! The method itself is the crate `sampling`, which knows neither spans nor clocks.

mod assembly;
mod counts;
mod deciding;
mod due;
mod facts;
mod grace;
mod held;
mod late;
mod load;
mod past;
mod policy;
mod shedding;
mod source;
mod state;
mod wish;

pub use assembly::{AssemblyConfig, Bounds, Ripeness};
pub use counts::{Alarm, Counts, Late};
pub use deciding::{Deciding, Records};
pub use past::{Compared, Rehearsal};
pub use policy::{ActivePolicy, Revised};
pub use shedding::Shedding;
