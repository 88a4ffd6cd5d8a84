//! When to try again.

use std::time::Duration;

use crate::shop::Rng;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// The first try counts.
    pub max_tries: u32,
    /// No try begins later than this after the first.
    pub max_elapsed: Duration,
    pub initial_backoff: Duration,
    pub max_backoff: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            max_tries: 8,
            max_elapsed: Duration::from_secs(60),
            initial_backoff: Duration::from_millis(200),
            max_backoff: Duration::from_secs(10),
        }
    }
}

/// A server that asks for more than this is taken to be mistaken.
const MAX_WAIT: Duration = Duration::from_secs(300);

impl Retry {
    pub fn never() -> Self {
        Self { max_tries: 1, ..Self::default() }
    }

    /// What the server asks for and up to a fifth more; else doubling from `initial_backoff`, less up to a half.
    pub(super) fn pause(&self, tries: u32, wait: Option<Duration>, rng: &mut Rng) -> Duration {
        if let Some(wait) = wait {
            let wait = wait.min(MAX_WAIT).max(Duration::from_millis(1));
            return wait.mul_f64(1.0 + 0.2 * rng.unit());
        }
        let doublings = tries.saturating_sub(1).min(20);
        let backoff = self.initial_backoff.saturating_mul(1 << doublings).min(self.max_backoff);
        backoff.mul_f64(1.0 - 0.5 * rng.unit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn check(tries: u32, wait: Option<Duration>, expected: std::ops::RangeInclusive<Duration>) {
        let retry = Retry { initial_backoff: 100 * MS, max_backoff: 1_000 * MS, ..Retry::default() };
        for seed in 0..200 {
            let pause = retry.pause(tries, wait, &mut Rng::new(seed, 0));
            assert!(expected.contains(&pause), "{tries} tries, {wait:?}: {pause:?}");
        }
    }

    #[test]
    fn backoff_doubles_up_to_its_bound() {
        check(1, None, 50 * MS..=100 * MS);
        check(3, None, 200 * MS..=400 * MS);
        check(5, None, 500 * MS..=1_000 * MS);
        check(u32::MAX, None, 500 * MS..=1_000 * MS);
    }

    #[test]
    fn a_server_never_sees_us_before_the_time_it_named() {
        check(1, Some(3_000 * MS), 3_000 * MS..=3_600 * MS);
        check(7, Some(Duration::ZERO), MS..=2 * MS);
        check(1, Some(Duration::MAX), MAX_WAIT..=MAX_WAIT.mul_f64(1.2));
    }
}
