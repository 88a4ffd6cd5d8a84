//! Figures of a run, by name; medians and percentiles.

use std::time::Duration;

/// Of one run, in the order in which they are printed. Units end the names.
pub type Figures = Vec<(&'static str, f64)>;

pub fn find(figures: &Figures, name: &str) -> Option<f64> {
    figures.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

/// The smallest value that at least `percent` of all are not above; 0 without values.
pub fn percentile(values: &[Duration], percent: usize) -> Duration {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// The middle one, or the mean of the two in the middle.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
    let lower = sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or_default();
    f64::midpoint(lower, upper)
}

pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(count: u64, percent: usize, expected: u64) {
        let values: Vec<_> = (1..=count).rev().map(Duration::from_millis).collect();
        assert_eq!(percentile(&values, percent), Duration::from_millis(expected));
    }

    #[test]
    fn percentiles_are_values_that_were_seen() {
        check(0, 50, 0);
        check(1, 99, 1);
        check(2, 50, 1);
        check(100, 50, 50);
        check(100, 99, 99);
        check(101, 99, 100);
        check(1_000, 100, 1_000);
    }

    #[test]
    fn medians_do_not_depend_on_order() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!((median(&[7.0]), median(&[])), (7.0, 0.0));
    }
}
