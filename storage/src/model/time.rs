//! Times. The model counts nanoseconds since the Unix epoch; tables hold microseconds and a remainder, because Delta
//! tables that every engine can read have no finer timestamp.

use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds since the Unix epoch, from 1677 to 2262.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixNanos(pub i64);

impl UnixNanos {
    pub fn from_micros(micros: i64) -> Self {
        Self::from_micros_and_remainder(micros, 0)
    }

    pub fn from_micros_and_remainder(micros: i64, nanos: i32) -> Self {
        Self(micros.saturating_mul(1_000).saturating_add(i64::from(nanos)))
    }

    /// The timestamp column's value.
    pub fn micros(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// What `micros` leaves over: 0 to 999.
    pub fn remainder(self) -> i32 {
        // A remainder by 1,000 always fits.
        self.0.rem_euclid(1_000) as i32
    }

    pub fn plus(self, nanos: i64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// Nanoseconds from `earlier` to `self`; negative if it is later.
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl From<SystemTime> for UnixNanos {
    fn from(time: SystemTime) -> Self {
        let nanos = match time.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos| -nanos),
        };
        Self(nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_split_is_exact_on_both_sides_of_the_epoch() {
        for nanos in [0, 1, 999, 1_000, 1_655_753_657_874_176_123, -1, -1_001, i64::MAX, i64::MIN + 1_000] {
            let time = UnixNanos(nanos);
            assert!((0..1_000).contains(&time.remainder()));
            assert_eq!(UnixNanos::from_micros_and_remainder(time.micros(), time.remainder()), time);
        }
    }
}
