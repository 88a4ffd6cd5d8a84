//! Who comes when: an endless or bounded stream of traces, in order of their start.

use std::collections::VecDeque;
use std::sync::Arc;

use super::rng::Rng;
use super::span::Span;
use super::stories::{frontend, nightly, notification};
use super::trace::{Message, Trace};
use super::world::World;

#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Same seed and same start, same traces.
    pub seed: u64,
    /// When the first visitor may come.
    pub start_unix_nanos: u64,
    /// When the shop closes; `None` for never.
    pub end_unix_nanos: Option<u64>,
    /// Exactly so many spans in all. The last trace is cut to fit: what is left of it is whole from its root down.
    pub spans: Option<u64>,
    /// Visitors' requests, on average; it comes and goes by a third. One is about 20 spans.
    pub visits_per_second: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            seed: 1,
            // 5 January 2026, 12:00 UTC.
            start_unix_nanos: 1_767_614_400 * SECOND,
            end_unix_nanos: None,
            spans: None,
            visits_per_second: 6.0,
        }
    }
}

impl Config {
    pub fn validate(&self) -> Result<(), crate::Error> {
        if self.start_unix_nanos == 0 || self.start_unix_nanos > u64::MAX / 2 {
            return Err(crate::Error::Config("start_unix_nanos must lie between 1970 and 2262".to_owned()));
        }
        if !(0.001..=1_000_000.0).contains(&self.visits_per_second) {
            return Err(crate::Error::Config("visits_per_second must be between 0.001 and 1000000".to_owned()));
        }
        Ok(())
    }
}

const SECOND: u64 = 1_000_000_000;
const HEALTH_CHECK_EVERY: u64 = 2 * SECOND;
const NIGHT_EVERY: u64 = 300 * SECOND;
const POLL_EVERY: u64 = SECOND;
const POLL_MESSAGES: usize = 8;
const WAVE: u64 = 600 * SECOND;

/// Spans of one trace; parents come before their children.
#[derive(Debug, Clone, PartialEq)]
pub struct ShopTrace {
    pub spans: Vec<Span>,
}

#[derive(Debug)]
pub struct Generator {
    config: Config,
    world: Arc<World>,
    arrivals: Rng,
    next_visit: u64,
    next_health_check: u64,
    next_night: u64,
    next_poll: u64,
    queue: VecDeque<Message>,
    traces: u64,
    spans: u64,
}

impl Generator {
    pub fn new(config: Config) -> Result<Self, crate::Error> {
        config.validate()?;
        let start = config.start_unix_nanos;
        let mut generator = Self {
            world: Arc::new(World::new(config.seed)),
            arrivals: Rng::new(config.seed, 0xa881),
            next_visit: start,
            next_health_check: start.next_multiple_of(HEALTH_CHECK_EVERY),
            next_night: start.next_multiple_of(NIGHT_EVERY),
            next_poll: start.next_multiple_of(POLL_EVERY),
            queue: VecDeque::new(),
            traces: 0,
            spans: 0,
            config,
        };
        generator.next_visit += generator.pause();
        Ok(generator)
    }

    pub const fn world(&self) -> &Arc<World> {
        &self.world
    }

    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// No later trace starts before this; `None` at the end.
    pub fn next_start_unix_nanos(&self) -> Option<u64> {
        let start = self.next_visit.min(self.next_health_check).min(self.next_night).min(self.next_poll);
        let closed = self.config.end_unix_nanos.is_some_and(|end| start >= end);
        let enough = self.config.spans.is_some_and(|spans| self.spans >= spans);
        (!closed && !enough).then_some(start)
    }

    /// Until the next visitor: random, around a rate that rises and falls.
    fn pause(&mut self) -> u64 {
        let in_wave = (self.next_visit % WAVE) as f64 / WAVE as f64;
        let triangle = 1.0 - 4.0 * (in_wave - 0.5).abs();
        let rate = self.config.visits_per_second * (1.0 + 0.33 * triangle);
        (self.arrivals.exponential(SECOND as f64 / rate) as u64).max(1)
    }

    /// The messages that a poll at this time would get.
    fn waiting(&mut self, at_unix_nanos: u64) -> Vec<Message> {
        let mut messages = Vec::new();
        while messages.len() < POLL_MESSAGES
            && let Some(message) = self.queue.pop_front_if(|message| message.sent_unix_nanos < at_unix_nanos)
        {
            messages.push(message);
        }
        messages
    }
}

impl Iterator for Generator {
    type Item = ShopTrace;

    fn next(&mut self) -> Option<ShopTrace> {
        loop {
            let start = self.next_start_unix_nanos()?;
            let world = Arc::clone(&self.world);
            let mut trace = Trace::new(&world, Rng::new(self.config.seed, 0x0001_0000 + self.traces));
            if start == self.next_visit {
                self.next_visit += self.pause();
                frontend::visit(&mut trace, start);
            } else if start == self.next_health_check {
                self.next_health_check += HEALTH_CHECK_EVERY;
                frontend::health_check(&mut trace, start);
            } else if start == self.next_night {
                self.next_night += NIGHT_EVERY;
                nightly::count_stock(&mut trace, start);
            } else {
                self.next_poll += POLL_EVERY;
                let messages = self.waiting(start);
                if messages.is_empty() {
                    continue;
                }
                notification::consume(&mut trace, &messages, start);
            }
            self.traces += 1;
            self.queue.extend(trace.sent);
            let mut spans = trace.spans;
            if let Some(limit) = self.config.spans {
                let left = usize::try_from(limit.saturating_sub(self.spans)).unwrap_or(usize::MAX);
                spans.truncate(left);
            }
            self.spans += spans.len() as u64;
            return Some(ShopTrace { spans });
        }
    }
}
