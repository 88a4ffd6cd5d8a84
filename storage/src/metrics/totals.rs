//! What rows add up, beside their buckets.

use super::Head;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Totals {
    pub spans: u64,
    /// How many spans they stand for at their source.
    pub adjusted: f64,
    pub errors: u64,
    /// Spans that took no time, which no bucket covers.
    pub zeros: u64,
    /// Of their durations; saturates.
    pub sum_nanos: i64,
    pub min_nanos: i64,
    pub max_nanos: i64,
    pub is_exact: bool,
}

impl Totals {
    pub const NOTHING: Self = Self {
        spans: 0,
        adjusted: 0.0,
        errors: 0,
        zeros: 0,
        sum_nanos: 0,
        min_nanos: i64::MAX,
        max_nanos: 0,
        is_exact: true,
    };

    /// Adds a span.
    pub fn add(&mut self, nanos: i64, head: Head, is_error: bool) {
        let nanos = nanos.max(0);
        self.spans += 1;
        self.adjusted += head.weight;
        self.errors += u64::from(is_error);
        self.zeros += u64::from(nanos == 0);
        self.sum_nanos = self.sum_nanos.saturating_add(nanos);
        self.min_nanos = self.min_nanos.min(nanos);
        self.max_nanos = self.max_nanos.max(nanos);
        self.is_exact &= head.is_exact;
    }

    pub fn merge(&mut self, other: &Self) {
        self.spans += other.spans;
        self.adjusted += other.adjusted;
        self.errors += other.errors;
        self.zeros += other.zeros;
        self.sum_nanos = self.sum_nanos.saturating_add(other.sum_nanos);
        self.min_nanos = self.min_nanos.min(other.min_nanos);
        self.max_nanos = self.max_nanos.max(other.max_nanos);
        self.is_exact &= other.is_exact;
    }
}
