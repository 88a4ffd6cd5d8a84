//! Which traces are kept, and what weight they carry: the pure core of the adaptive sampler.
//!
//! Tiered consistent Poisson sampling: every ripe trace of a tick gets an inclusion probability from what is known about
//! it, never from its random number; the probabilities are scaled until their expected cost is the budget of the tick;
//! the trace is kept when its randomness reaches the threshold of its probability, and its weight is the reciprocal.
//!
//! - `threshold`, `tracestate`: 56 bits of randomness, thresholds, and how they travel; `exported`: what a stored trace says of
//!   them when it leaves.
//! - `class`, `shape`: what a trace is, from facts.
//! - `rate`, `sketch`: what has been seen, in bounded space.
//! - `policy`, `budget`: what the sampler is told.
//! - `alarm`: which operation fails or is slow more than it did.
//! - `demand`, `solve`, `cap`: what is asked for, probabilities whose cost is the budget, and the cut where chance exceeds it.
//! - `sampler`: one tick, from facts to verdicts.
//! - `shed`: what is not held at all under overload.
//! - `decided`: what was decided, for spans that come later; for callers that do not remember it themselves.
//!
//! # Invariants
//!
//! - No clocks, no input or output, no randomness of its own: the same calls give the same verdicts on every machine,
//!   hence no functions of the platform's mathematics library (see `math`), and no order of hash maps.
//! - A probability depends on facts and rates only. The hard cap is the one exception, and bounded.
//! - A threshold is rounded before it decides, so weight and decision agree.
//! - Everything is bounded by a setting; nothing panics.

mod alarm;
pub mod budget;
mod cap;
pub mod class;
mod codec;
pub mod decided;
mod demand;
mod error;
pub mod exported;
mod math;
pub mod policy;
pub mod rate;
pub mod sampler;
pub mod shape;
pub mod shed;
pub mod sketch;
pub mod solve;
mod table;
pub mod threshold;
pub mod tracestate;

pub use budget::Budget;
pub use class::{Class, Facts, Head, KeepReason, Priority};
pub use decided::{Decided, DecisionCache, Kept};
pub use error::Error;
pub use policy::Policy;
pub use sampler::{Alarmed, Batch, OperationRate, Ripe, Sampler, Score, TickReport, Verdict};
pub use threshold::{Randomness, Threshold};
