//! Which spans are slow for their own (service, span name).

use super::recent::{Quantile, Recent};
use crate::codec::{Reader, Writer};
use crate::error::Error;
use crate::policy::Policy;
use crate::table::Table;

/// Bounded: names beyond the limit are never slow.
#[derive(Debug, Clone)]
pub struct SlowSpans {
    names: Table<(u64, Recent)>,
    quantile: Quantile,
    max_buckets: u32,
    pruned_nanos: u64,
}

const PRUNE_NANOS: u64 = 10_000_000_000;
const KIND: [u8; 4] = *b"SHsn";
const VERSION: u8 = 1;

impl SlowSpans {
    pub fn new(policy: &Policy) -> Self {
        let mut new = Self {
            names: Table::new(0),
            quantile: Quantile { q: 1.0, min_values: 1, half_nanos: 1 },
            max_buckets: 16,
            pruned_nanos: 0,
        };
        new.set_policy(policy);
        new
    }

    pub fn set_policy(&mut self, policy: &Policy) {
        self.names.set_max(policy.limits.max_span_names);
        self.max_buckets = policy.limits.max_buckets;
        self.quantile = Quantile {
            q: policy.slow.span_quantile,
            // With fewer the quantile is the maximum, and every new one would be slow.
            min_values: policy.slow.min_values.max((1.0 / (1.0 - policy.slow.span_quantile)).round() as u64),
            half_nanos: policy.slow.half_nanos(),
        };
    }

    /// Whether a span of this duration is slow, then counts it.
    pub fn observe(&mut self, now_nanos: u64, name: u64, duration_nanos: u64) -> bool {
        self.prune(now_nanos);
        let (max_buckets, wanted) = (self.max_buckets, self.quantile);
        let row = self.names.find_or_add(name, || (now_nanos, Recent::new(max_buckets, now_nanos)));
        let Some((seen_nanos, recent)) = row.and_then(|row| self.names.get_mut(row)) else {
            return false;
        };
        *seen_nanos = now_nanos;
        let slow = recent.quantile(now_nanos, wanted).is_some_and(|threshold| duration_nanos > threshold);
        recent.record(now_nanos, wanted.half_nanos, duration_nanos);
        slow
    }

    fn prune(&mut self, now_nanos: u64) {
        if now_nanos.abs_diff(self.pruned_nanos) < PRUNE_NANOS {
            return;
        }
        self.pruned_nanos = now_nanos;
        let crowded = self.names.is_crowded();
        let idle_nanos = self.quantile.half_nanos.saturating_mul(2) / if crowded { 12 } else { 1 };
        self.names.retain(|_, (seen_nanos, _)| now_nanos.saturating_sub(*seen_nanos) < idle_nanos);
    }

    /// What was seen, for a state record.
    pub fn export(&self) -> Vec<u8> {
        let mut out = Writer::of(KIND, VERSION);
        out.u32(self.names.len() as u32);
        for (key, (seen_nanos, recent)) in self.names.iter() {
            out.u64(key);
            out.u64(*seen_nanos);
            recent.write(&mut out);
        }
        out.seal()
    }

    /// With what [`Self::export`] wrote.
    pub fn restore(policy: &Policy, state: &[u8]) -> Result<Self, Error> {
        let mut new = Self::new(policy);
        let mut input = Reader::open(state, KIND, VERSION)?;
        for _ in 0..input.rows(16)? {
            let (key, row) = (input.u64()?, (input.u64()?, Recent::read(&mut input, new.max_buckets)?));
            new.names.find_or_add(key, || row);
        }
        input.finish()?;
        Ok(new)
    }
}
