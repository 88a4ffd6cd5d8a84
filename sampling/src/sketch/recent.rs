//! A quantile over a moving window, in two halves: the older half is forgotten when the younger is full.
//!
//! The quantile is remembered, so that reading it costs nothing. It is computed anew at most once a second, and then only if
//! a fiftieth more values have come or half a minute has passed.

use super::histogram::Histogram;
use crate::codec::{Reader, Writer};
use crate::error::Error;

const FRESH_NANOS: u64 = 1_000_000_000;
const STALE_NANOS: u64 = 30_000_000_000;
const GROWN: u64 = 50;

/// What to read from a [`Recent`].
#[derive(Debug, Clone, Copy)]
pub struct Quantile {
    pub q: f64,
    /// Below it there is no answer.
    pub min_values: u64,
    pub half_nanos: u64,
}

#[derive(Debug, Clone)]
pub struct Recent {
    current: Histogram,
    previous: Histogram,
    since_nanos: u64,
    max_buckets: u32,
    remembered: Option<u64>,
    remembered_nanos: u64,
    remembered_count: u64,
}

impl Recent {
    pub fn new(max_buckets: u32, now_nanos: u64) -> Self {
        Self {
            current: Histogram::new(max_buckets),
            previous: Histogram::new(max_buckets),
            since_nanos: now_nanos,
            max_buckets,
            remembered: None,
            remembered_nanos: 0,
            remembered_count: 0,
        }
    }

    fn rotate(&mut self, now_nanos: u64, half_nanos: u64) {
        // A clock that was set back does not make a half last longer.
        self.since_nanos = self.since_nanos.min(now_nanos);
        let age = now_nanos - self.since_nanos;
        if age < half_nanos {
            return;
        }
        let empty = Histogram::new(self.max_buckets);
        let full = std::mem::replace(&mut self.current, empty.clone());
        self.previous = if age < half_nanos.saturating_mul(2) { full } else { empty };
        self.since_nanos = now_nanos;
    }

    pub fn record(&mut self, now_nanos: u64, half_nanos: u64, value: u64) {
        self.rotate(now_nanos, half_nanos);
        self.current.record(value);
    }

    pub fn count(&self) -> u64 {
        self.current.count().saturating_add(self.previous.count())
    }

    /// The quantile, at most half a minute old.
    pub fn quantile(&mut self, now_nanos: u64, wanted: Quantile) -> Option<u64> {
        self.rotate(now_nanos, wanted.half_nanos);
        if self.count() < wanted.min_values.max(1) {
            self.remembered = None;
            return None;
        }
        if self.remembered.is_none() || self.is_stale(now_nanos) {
            let quantile = if self.previous.count() == 0 {
                self.current.quantile(wanted.q)
            } else {
                let mut both = self.previous.clone();
                both.merge(&self.current);
                both.quantile(wanted.q)
            };
            self.remembered = quantile.map(|value| value as u64);
            (self.remembered_nanos, self.remembered_count) = (now_nanos, self.count());
        }
        self.remembered
    }

    fn is_stale(&self, now_nanos: u64) -> bool {
        let age = now_nanos.abs_diff(self.remembered_nanos);
        let change = self.count().abs_diff(self.remembered_count);
        age >= STALE_NANOS || (age >= FRESH_NANOS && change >= self.remembered_count / GROWN)
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.u64(self.since_nanos);
        self.current.write(out);
        self.previous.write(out);
        // Kept, so that a restored sampler decides as the one that went on.
        out.u64(self.remembered_nanos);
        out.u64(self.remembered_count);
        out.u8(u8::from(self.remembered.is_some()));
        out.u64(self.remembered.unwrap_or(0));
    }

    pub(crate) fn read(input: &mut Reader, max_buckets: u32) -> Result<Self, Error> {
        let since_nanos = input.u64()?;
        let current = Histogram::read(input, max_buckets)?;
        let previous = Histogram::read(input, max_buckets)?;
        let (remembered_nanos, remembered_count) = (input.u64()?, input.u64()?);
        let known = input.u8()? == 1;
        let remembered = Some(input.u64()?).filter(|_| known);
        Ok(Self { current, previous, since_nanos, max_buckets, remembered, remembered_nanos, remembered_count })
    }
}
