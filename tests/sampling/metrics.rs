//! Exact metrics, counted as spans arrive: a histogram for each span name in each window of 10 s.

use std::collections::HashMap;

use sampling::sketch::Histogram;

const WINDOW_MILLIS: u32 = 10_000;
const BUCKETS: u32 = 640;

#[derive(Debug, Default)]
pub struct Metrics {
    rows: HashMap<(u16, u32), Row>,
}

#[derive(Debug, Clone)]
pub struct Row {
    pub errors: u64,
    pub durations: Histogram,
}

impl Default for Row {
    fn default() -> Self {
        Self { errors: 0, durations: Histogram::new(BUCKETS) }
    }
}

impl Metrics {
    pub fn count(&mut self, name: u16, arrival_millis: u32, error: bool, duration_nanos: u64) {
        let row = self.rows.entry((name, arrival_millis / WINDOW_MILLIS)).or_default();
        row.errors += u64::from(error);
        row.durations.record(duration_nanos);
    }

    /// Of all windows, by name.
    pub fn merged(&self) -> HashMap<u16, Row> {
        let mut merged: HashMap<u16, Row> = HashMap::new();
        for ((name, _), row) in &self.rows {
            let sum = merged.entry(*name).or_default();
            sum.errors += row.errors;
            sum.durations.merge(&row.durations);
        }
        merged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_add_up() {
        let mut metrics = Metrics::default();
        for n in 0..100_u32 {
            metrics.count(3, n * 1_000, n % 10 == 0, u64::from(n + 1) * 1_000_000);
        }
        assert_eq!(metrics.rows.len(), 10);
        let row = &metrics.merged()[&3];
        assert_eq!((row.errors, row.durations.count()), (10, 100));
        let p99 = row.durations.quantile(0.99).unwrap();
        assert!((p99 / 99e6 - 1.0).abs() < 0.011, "{p99}");
    }
}
