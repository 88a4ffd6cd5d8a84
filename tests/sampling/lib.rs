//! What sampling keeps, what it costs, and how right its estimates are: `make bench-sampling`.
//!
//! A seeded stream of traces is played to the sampler and to others with the same budget, and everything is judged against
//! the whole stream. No server, no storage: the sampler's core alone.
//!
//! - `world`: the stream; `recorded`: real traces as one; `truth`: what is true of it.
//! - `timeline`: when the collector decides what, and what it knows by then; `metrics`: what it counts meanwhile.
//! - `ours`: the timeline, played to `sampling::Sampler` and its decision cache; `outcome`: what becomes of each trace.
//! - `peers`: what others do.
//! - `score`: recalls, errors, intervals, bursts.
//! - `quality`: the goals; `bench`: which streams are played for which figures; `report`: the tables and the JSON line.
//! - `options`: what the environment asks for; `random`: numbers.
//!
//! # Invariants
//!
//! - The same seeds give the same figures, times aside.
//! - What is decided depends on what had arrived by then; what is judged is everything.
//! - No goal knows a seed, and nothing in the sampler knows this stream.

pub mod bench;
mod metrics;
pub mod options;
mod ours;
mod outcome;
mod peers;
mod quality;
mod queue;
mod random;
mod recorded;
pub mod report;
mod score;
mod timeline;
mod truth;
mod world;
