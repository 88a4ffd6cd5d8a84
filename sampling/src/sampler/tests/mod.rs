//! - `world`: seeded traces.
//! - `rules`: one rule each, with figures by hand.
//! - `estimates`: weights, over many seeds.
//! - `promises`: the budget, nesting, and what is kept first.
//! - `short_ticks`: ticks of few traces, or none.

mod estimates;
mod promises;
mod rules;
mod short_ticks;
mod world;
