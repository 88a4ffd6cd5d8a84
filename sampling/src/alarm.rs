//! When an operation fails or is slow more often than it did: a test of ten seconds against the operation's own last half hour.
//!
//! Of `n` traces `k` fail where `n * share` would. By Chernoff's bound for Poisson counts that many or more come by chance with
//! `exp(-(k * ln(k / mean) - k + mean))` at most; an alarm begins where the exponent is [`BEGIN`] and goes on where it is [`GO_ON`].
//! The share is taken two standard deviations too high, since it is counted as well, and `k` has to be at least twice the mean: what is
//! certain of a busy operation need not matter.
//!
//! Windows with an alarm are not what is usual, so they are kept out of the half hour; after [`USUAL_AGAIN`] of them they are what it is.

use crate::math::{exp2, log2};

const WINDOW_NANOS: u64 = 10_000_000_000;
/// Half of what is known fades in so many windows: most of it is of the last half hour.
const HALF_LIFE_WINDOWS: f64 = 60.0;
/// One operation in ten million a window: of 10,000 operations one a day or so.
const BEGIN: f64 = 18.0;
const GO_ON: f64 = 6.0;
const LEAST_RATIO: f64 = 2.0;
const RATIO_TO_GO_ON: f64 = 1.5;
/// Fewer are an accident.
const LEAST_COUNT: f64 = 5.0;
/// Of the half hour; a share of fewer is none.
const LEAST_KNOWN: f64 = 200.0;
/// Half an hour.
const USUAL_AGAIN: u32 = 180;

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Tally {
    traces: f64,
    failed: f64,
    slow: f64,
}

impl Tally {
    /// Adds the window behind it, that ended so many windows ago.
    fn add(&mut self, other: &Self, windows: u64) {
        let left = |windows: u64| exp2(-(windows as f64) / HALF_LIFE_WINDOWS);
        let (own, others) = (left(windows), left(windows.saturating_sub(1)));
        self.traces = self.traces * own + other.traces * others;
        self.failed = self.failed * own + other.failed * others;
        self.slow = self.slow * own + other.slow * others;
    }
}

/// What is usual for one operation, and the window that is being counted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Watch {
    usual: Tally,
    now: Tally,
    window: u64,
    alarms: u32,
}

impl Watch {
    /// Counts a trace; whether the window that ended before it is alarming.
    pub fn count(&mut self, now_nanos: u64, is_failed: bool, is_slow: bool) -> bool {
        let window = now_nanos / WINDOW_NANOS;
        // A clock that is set back goes on with its window.
        let is_alarm = window > self.window && self.end(window);
        self.now.traces += 1.0;
        self.now.failed += f64::from(u8::from(is_failed));
        self.now.slow += f64::from(u8::from(is_slow));
        is_alarm
    }

    fn end(&mut self, window: u64) -> bool {
        let (passed, ended) = (window.saturating_sub(self.window), std::mem::take(&mut self.now));
        self.window = window;
        let goes_on = self.alarms > 0;
        let is_unusual = |count, usual| exceeds(count, ended.traces, usual, self.usual.traces, goes_on);
        let is_alarm = self.usual.traces >= LEAST_KNOWN
            && (is_unusual(ended.failed, self.usual.failed) || is_unusual(ended.slow, self.usual.slow));
        self.alarms = if is_alarm { self.alarms.saturating_add(1) } else { 0 };
        if self.alarms >= USUAL_AGAIN {
            *self = Self { usual: ended, window, ..Self::default() };
        } else if !is_alarm {
            self.usual.add(&ended, passed);
        }
        is_alarm
    }
}

/// Whether `count` of `traces` is more than chance makes where `usual` of `usual_traces` are usual.
fn exceeds(count: f64, traces: f64, usual: f64, usual_traces: f64, goes_on: bool) -> bool {
    let (least, ratio) = if goes_on { (GO_ON, RATIO_TO_GO_ON) } else { (BEGIN, LEAST_RATIO) };
    let share = (usual + 1.0 + 2.0 * (usual + 1.0).sqrt()) / usual_traces;
    let mean = traces * share.min(1.0);
    if count < LEAST_COUNT || count < ratio * mean || traces <= 0.0 {
        return false;
    }
    count * std::f64::consts::LN_2 * log2(count / mean) - count + mean >= least
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Windows of so many traces, of which so many failed and so many were slow; those that were alarming.
    fn alarms(watch: &mut Watch, begin: u64, windows: impl IntoIterator<Item = (u32, u32, u32)>) -> Vec<u64> {
        let mut found = Vec::new();
        for (at, (traces, failed, slow)) in windows.into_iter().enumerate() {
            let window = begin + at as u64;
            for number in 0..traces {
                let now = window * WINDOW_NANOS + u64::from(number);
                if watch.count(now, number < failed, number < slow) {
                    found.push(window - 1);
                }
            }
        }
        found
    }

    #[track_caller]
    fn check(usual: (u32, u32, u32), then: (u32, u32, u32), is_alarm: bool) {
        let mut watch = Watch::default();
        assert_eq!(alarms(&mut watch, 1, vec![usual; 100]), [0_u64; 0], "what is usual");
        let found = alarms(&mut watch, 101, [then, usual, usual]);
        assert_eq!(found, if is_alarm { vec![101] } else { vec![] }, "{usual:?}, then {then:?}");
    }

    #[test]
    fn shares_that_rise_are_an_alarm_and_chance_is_none() {
        for (usual, then, is_alarm) in [
            ((200, 1, 2), (200, 60, 2), true),
            ((200, 1, 2), (200, 1, 60), true),
            ((200, 0, 0), (200, 20, 0), true),
            ((200, 1, 2), (200, 6, 2), false),
            ((200, 1, 2), (200, 1, 10), false),
            // More of everything is not a larger share.
            ((200, 2, 2), (4_000, 40, 40), false),
            // Too few to say so, of all that there were or now.
            ((1, 0, 0), (200, 60, 0), false),
            ((200, 1, 2), (4, 4, 0), false),
            // Unlikely, and still an accident.
            ((5_000, 0, 0), (10, 4, 0), false),
            // Certain, and not twice as much.
            ((5_000, 500, 0), (5_000, 800, 0), false),
            ((5_000, 500, 0), (5_000, 1_300, 0), true),
        ] {
            check(usual, then, is_alarm);
        }
    }

    #[test]
    fn an_alarm_goes_on_where_it_would_not_begin_and_what_lasts_is_usual() {
        let (usual, milder) = ((200, 1, 2), (200, 10, 2));
        let mut watch = Watch::default();
        alarms(&mut watch, 1, vec![usual; 100]);
        assert!(alarms(&mut watch, 101, [milder, usual]).is_empty());
        assert_eq!(alarms(&mut watch, 103, [(200, 60, 2), milder, milder, usual, milder, usual]), [103, 104, 105]);
        let lasting = alarms(&mut watch, 200, vec![(200, 60, 2); 400]);
        assert_eq!((lasting.first(), lasting.len()), (Some(&200), USUAL_AGAIN as usize));
    }

    #[test]
    fn a_clock_that_is_set_back_and_silence_are_harmless() {
        let mut watch = Watch::default();
        alarms(&mut watch, 1_000, vec![(200, 1, 2); 100]);
        assert!(alarms(&mut watch, 5, [(200, 1, 2); 3]).is_empty());
        // Faded after days, so that nothing is known of it.
        alarms(&mut watch, 100_000, [(1, 0, 0)]);
        assert!(watch.usual.traces < 1.0);
        assert!(alarms(&mut watch, 100_001, [(200, 200, 200), (1, 0, 0)]).is_empty());
        assert!(!watch.count(u64::MAX, true, true) && !watch.count(0, true, true));
    }
}
