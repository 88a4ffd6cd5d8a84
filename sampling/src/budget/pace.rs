//! A day's budget, spread over its hours: `remaining / seconds left`, times how busy this hour of the week is.
//!
//! Days are UTC. What is left of the day is divided by the traffic that past weeks had in the rest of it, so a quiet night
//! leaves more for the day. The rate stays within 0.5 to 2 times the mean: nothing goes dark, and nothing is spent in a
//! rush. The plan keeps to these bounds too, or a night at 0.5 would be overspent. The rate follows it with a half-life of a
//! minute.

use crate::codec::{Reader, Writer};
use crate::error::Error;
use crate::rate::HalfLife;

const DAY_SECONDS: f64 = 86_400.0;
const HOUR_SECONDS: f64 = 3600.0;
const HOURS_OF_WEEK: u64 = 168;
/// How much of an hour's traffic is from the last week.
const LEARN: f64 = 0.3;
const SMOOTH_SECONDS: f64 = 60.0;
const HOUR_NANOS: u64 = 3_600_000_000_000;

#[derive(Debug, Clone, PartialEq)]
pub struct Pace {
    /// Since the epoch.
    day: u64,
    hour: u64,
    used_today: f64,
    offered_this_hour: f64,
    /// Cost offered in each hour of the week; 0 when not seen yet.
    week: Vec<f64>,
    rate: f64,
    at_nanos: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            day: 0,
            hour: 0,
            used_today: 0.0,
            offered_this_hour: 0.0,
            week: vec![0.0; HOURS_OF_WEEK as usize],
            rate: 0.0,
            at_nanos: 0,
        }
    }
}

impl Pace {
    /// What may be kept per second now.
    pub fn rate(&mut self, now_nanos: u64, per_day: f64) -> f64 {
        let mean = per_day / DAY_SECONDS;
        let second_of_day = (now_nanos % (24 * HOUR_NANOS)) as f64 / 1e9;
        let hour = now_nanos / HOUR_NANOS;
        if self.at_nanos == 0 {
            // The part of the first day before the start is not made up for.
            (self.day, self.hour, self.used_today, self.rate) = (hour / 24, hour, mean * second_of_day, mean);
            self.at_nanos = now_nanos;
        }
        self.turn(hour);
        let remaining = (per_day - self.used_today).max(0.0);
        let aim = self.aim(hour, second_of_day, remaining, mean);
        let old = HalfLife::seconds(SMOOTH_SECONDS).left_after(now_nanos.saturating_sub(self.at_nanos));
        self.rate = (aim + (self.rate - aim) * old).clamp(0.5 * mean, 2.0 * mean);
        self.at_nanos = now_nanos;
        self.rate
    }

    /// The rate of this hour in a plan for the rest of the day that costs `remaining`: each hour in proportion to its
    /// traffic, within the bounds.
    fn aim(&self, hour: u64, second_of_day: f64, remaining: f64, mean: f64) -> f64 {
        let known = self.week.iter().filter(|seen| **seen > 0.0).count().max(1) as f64;
        let week_mean = self.week.iter().sum::<f64>() / known;
        let mut busy = [1.0; 24];
        for (later, busy) in (0..).zip(&mut busy) {
            let of_week = ((hour - hour % 24 + later) % HOURS_OF_WEEK) as usize;
            if let Some(seen) = self.week.get(of_week).filter(|seen| **seen > 0.0) {
                *busy = (seen / week_mean).clamp(0.05, 20.0);
            }
        }
        let planned = |busy: f64, factor: f64| (busy * factor * mean).clamp(0.5 * mean, 2.0 * mean);
        let (mut low, mut high) = (0.0, 64.0);
        for _ in 0..40 {
            let factor = (low + high) / 2.0;
            let mut from = second_of_day;
            let mut cost = 0.0;
            for later in hour % 24..24 {
                let end = (later + 1) as f64 * HOUR_SECONDS;
                cost += planned(busy[later as usize], factor) * (end - from);
                from = end;
            }
            (low, high) = if cost < remaining { (factor, high) } else { (low, factor) };
        }
        planned(busy[(hour % 24) as usize], low)
    }

    pub fn spend(&mut self, offered: f64, used: f64) {
        self.offered_this_hour += offered;
        self.used_today += used;
    }

    fn turn(&mut self, hour: u64) {
        if hour == self.hour {
            return;
        }
        // An hour of which only a part was seen, at the start or when the clock jumped, is not learned from.
        if hour == self.hour + 1
            && let Some(seen) = self.week.get_mut((self.hour % HOURS_OF_WEEK) as usize)
        {
            *seen = if *seen > 0.0 { *seen + LEARN * (self.offered_this_hour - *seen) } else { self.offered_this_hour };
        }
        (self.hour, self.offered_this_hour) = (hour, 0.0);
        // A clock that is set back over midnight does not get the day's budget twice.
        if hour / 24 > self.day || hour / 24 + 1 < self.day {
            (self.day, self.used_today) = (hour / 24, 0.0);
        }
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        [self.day, self.hour, self.at_nanos].into_iter().for_each(|value| out.u64(value));
        [self.used_today, self.offered_this_hour, self.rate].into_iter().for_each(|value| out.f64(value));
        self.week.iter().for_each(|seen| out.f64(*seen));
    }

    pub(crate) fn read(input: &mut Reader) -> Result<Self, Error> {
        let (day, hour, at_nanos) = (input.u64()?, input.u64()?, input.u64()?);
        let (used_today, offered_this_hour, rate) = (input.amount()?, input.amount()?, input.amount()?);
        let week = (0..HOURS_OF_WEEK).map(|_| input.amount()).collect::<Result<_, _>>()?;
        Ok(Self { day, hour, used_today, offered_this_hour, week, rate, at_nanos })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP_NANOS: u64 = 10_000_000_000;

    /// Uses of each day and hour, of `days` days in steps of 10 s; `demand` by second of the day.
    fn run(pace: &mut Pace, days: u64, per_day: f64, demand: fn(f64) -> f64) -> Vec<Vec<f64>> {
        let mut used = vec![vec![0.0; 24]; days as usize];
        for step in 0..days * 8_640 {
            let now = 20_000 * 24 * HOUR_NANOS + step * STEP_NANOS;
            let offered = 10.0 * demand(step as f64 * 10.0 % DAY_SECONDS);
            let kept = (10.0 * pace.rate(now, per_day)).min(offered);
            pace.spend(offered, kept);
            used[(step / 8_640) as usize][(step % 8_640 / 360) as usize] += kept;
        }
        used
    }

    #[test]
    fn a_day_with_enough_traffic_is_used_up_and_not_more() {
        for day in run(&mut Pace::default(), 3, 86_400.0, |_| 1_000.0) {
            let total: f64 = day.iter().sum();
            assert!((total / 86_400.0 - 1.0).abs() < 0.01, "{total}");
        }
    }

    #[test]
    fn a_quiet_night_leaves_more_for_the_day() {
        let by_day = |second: f64| if (8.0 * 3600.0..20.0 * 3600.0).contains(&second) { 20.0 } else { 0.4 };
        let used = run(&mut Pace::default(), 9, 86_400.0, by_day);
        let last = &used[8];
        let total: f64 = last.iter().sum();
        // The night is planned at 0.5 of the mean, and has only 0.4.
        assert!((0.98..1.005).contains(&(total / 86_400.0)), "{total}");
        let busy = &last[9..20];
        let (low, high) = (busy.iter().copied().fold(f64::MAX, f64::min), busy.iter().copied().fold(0.0, f64::max));
        assert!(low > 1.4 * 3600.0 && high <= 2.0 * 3600.0 + 1.0, "{last:?}");
    }

    #[test]
    fn a_start_at_noon_has_half_a_day() {
        let mut pace = Pace::default();
        let noon = 20_000 * 24 * HOUR_NANOS + 12 * HOUR_NANOS;
        let used: f64 = (0..4_320)
            .map(|step| {
                let kept = 10.0 * pace.rate(noon + step * STEP_NANOS, 86_400.0);
                pace.spend(kept, kept);
                kept
            })
            .sum();
        assert!((used / 43_200.0 - 1.0).abs() < 0.01, "{used}");
    }
}
