//! - `world`: seeded traces.
//! - `rules`: one rule each, with figures by hand.
//! - `estimates`: weights, over many seeds.
//! - `promises`: the budget, nesting, and what is kept first.
//! - `short_ticks`: ticks of few traces, or none.
//! - `previews`: what another policy would keep.
//! - `saved`: the state as bytes.

mod estimates;
mod previews;
mod promises;
mod rules;
mod saved;
mod short_ticks;
mod world;
