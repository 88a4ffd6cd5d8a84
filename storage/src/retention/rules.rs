//! Which rule holds for a span, and whether its age has come. Pure.
//!
//! Limits are numbered: rules by their place, and behind them [`RetentionSettings::max_age`] for spans that no rule names.

use crate::config::{RetentionRule, RetentionSettings};
use crate::model::UnixNanos;

/// The number of a rule, or that of `max_age`.
pub type Limit = usize;

/// Limits whose age has come, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Due(u64);

impl Due {
    /// For rows of which the latest began at `latest`.
    pub fn of(settings: &RetentionSettings, latest: UnixNanos, now: UnixNanos) -> Self {
        let is_due = |limit: Limit| {
            let age = age_of(settings, limit)?;
            let age = i64::try_from(age.as_nanos()).unwrap_or(i64::MAX);
            (latest < UnixNanos(now.0.saturating_sub(age))).then_some(1 << limit)
        };
        Self((0..=settings.rules.len()).filter_map(is_due).fold(0, |due, limit: u64| due | limit))
    }

    pub fn has(self, limit: Limit) -> bool {
        self.0 & 1 << limit != 0
    }

    pub fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Whether all of `other` are among these.
    pub fn covers(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// Whether no row can be kept any longer, whichever limit is its.
    pub fn is_all(self, settings: &RetentionSettings) -> bool {
        (0..=settings.rules.len()).all(|limit| self.has(limit))
    }
}

fn age_of(settings: &RetentionSettings, limit: Limit) -> Option<std::time::Duration> {
    settings.rules.get(limit).map_or(settings.max_age, |rule| Some(rule.max_age))
}

/// The limit that keeps rows longest; `max_age` where it is no shorter than all rules.
pub fn longest(settings: &RetentionSettings) -> Limit {
    let rest = settings.rules.len();
    let Some(max_age) = settings.max_age else { return rest };
    let rule = settings.rules.iter().enumerate().max_by_key(|(_, rule)| rule.max_age);
    rule.filter(|(_, rule)| rule.max_age > max_age).map_or(rest, |(place, _)| place)
}

/// What a row's limit depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fate {
    /// The limit if its trace has an error, ...
    pub with_error: Limit,
    /// ... and if not.
    pub without: Limit,
}

impl Fate {
    /// Of a span with this service and reason.
    pub fn of(rules: &[RetentionRule], service: &str, keep_reason: &str) -> Self {
        let is_among = |words: &[String], word: &str| words.is_empty() || words.iter().any(|other| other == word);
        let first = |has_error| {
            let holds = |rule: &RetentionRule| {
                is_among(&rule.services, service)
                    && is_among(&rule.keep_reasons, keep_reason)
                    && rule.error.is_none_or(|wanted| wanted == has_error)
            };
            rules.iter().position(holds).unwrap_or(rules.len())
        };
        Self { with_error: first(true), without: first(false) }
    }

    /// Whether a row may go at all.
    pub fn is_touched(self, due: Due) -> bool {
        due.has(self.with_error) || due.has(self.without)
    }

    /// Whether its trace must be known to tell whether it goes, and by which limit.
    pub fn asks(self, due: Due) -> bool {
        self.with_error != self.without && self.is_touched(due)
    }

    /// The limit by which a row goes. Where nobody knows whether its trace has an error, it stays as long as it might have to.
    pub fn going(self, due: Due, has_error: Option<bool>) -> Option<Limit> {
        let (limit, other) = match has_error {
            Some(true) => (self.with_error, self.with_error),
            Some(false) => (self.without, self.without),
            None => (self.without, self.with_error),
        };
        (due.has(limit) && due.has(other)).then_some(limit)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const DAY: i64 = 86_400_000_000_000;

    fn rule(days: u64, services: &[&str], keep_reasons: &[&str], error: Option<bool>) -> RetentionRule {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let max_age = Duration::from_secs(days * 86_400);
        RetentionRule { max_age, services: words(services), keep_reasons: words(keep_reasons), error }
    }

    fn settings(max_days: Option<u64>, rules: Vec<RetentionRule>) -> RetentionSettings {
        let max_age = max_days.map(|days| Duration::from_secs(days * 86_400));
        RetentionSettings { max_age, max_bytes: None, rules }
    }

    #[track_caller]
    fn check(rules: &[RetentionRule], service: &str, reason: &str, expected: (Limit, Limit)) {
        let fate = Fate::of(rules, service, reason);
        assert_eq!((fate.with_error, fate.without), expected, "{service} {reason}");
    }

    #[test]
    fn the_first_rule_of_which_all_conditions_hold_wins() {
        let rules = [
            rule(1, &["a", "b"], &["rare"], None),
            rule(2, &["a"], &[], Some(true)),
            rule(3, &[], &["rare", "normal"], None),
            rule(4, &[], &[], Some(false)),
        ];
        check(&rules, "a", "rare", (0, 0));
        check(&rules, "b", "rare", (0, 0));
        check(&rules, "a", "normal", (1, 2));
        check(&rules, "c", "rare", (2, 2));
        check(&rules, "a", "slow", (1, 3));
        check(&rules, "c", "slow", (4, 3));
        check(&rules[..3], "c", "slow", (3, 3));
        check(&[], "c", "slow", (0, 0));
    }

    #[test]
    fn a_limit_is_due_once_the_latest_row_is_older() {
        let of = settings(Some(3), vec![rule(1, &["a"], &[], None), rule(5, &["b"], &[], None)]);
        let due = |age: i64| {
            let due = Due::of(&of, UnixNanos(0), UnixNanos(age));
            (0..3).map(|limit| due.has(limit)).collect::<Vec<_>>()
        };
        assert_eq!(due(DAY), [false, false, false]);
        assert_eq!(due(DAY + 1), [true, false, false]);
        assert_eq!(due(3 * DAY + 1), [true, false, true]);
        assert_eq!(due(5 * DAY + 1), [true, true, true]);
        assert!(Due::of(&of, UnixNanos(0), UnixNanos(5 * DAY + 1)).is_all(&of));
        assert!(!Due::of(&of, UnixNanos(0), UnixNanos(5 * DAY)).is_all(&of));
        // Without a limit for the others, nothing is ever old enough as a whole.
        let of = settings(None, of.rules);
        assert!(!Due::of(&of, UnixNanos(0), UnixNanos(i64::MAX)).is_all(&of));
        assert!(Due::of(&of, UnixNanos(i64::MIN), UnixNanos(i64::MIN)).is_none());
    }

    #[test]
    fn the_longest_limit_names_what_goes_whole() {
        assert_eq!(longest(&settings(Some(3), vec![])), 0);
        assert_eq!(longest(&settings(Some(3), vec![rule(3, &["a"], &[], None)])), 1);
        assert_eq!(longest(&settings(Some(3), vec![rule(1, &["a"], &[], None), rule(4, &["b"], &[], None)])), 1);
        assert_eq!(longest(&settings(None, vec![rule(4, &["b"], &[], None)])), 1);
    }

    #[test]
    fn a_trace_of_which_nobody_knows_an_error_stays_as_if_it_had_one_and_as_if_not() {
        let fate = Fate { with_error: 0, without: 1 };
        let (none, first, second, both) = (Due(0), Due(1), Due(2), Due(3));
        for (due, with_error, without, unknown) in [
            (none, None, None, None),
            (first, Some(0), None, None),
            (second, None, Some(1), None),
            (both, Some(0), Some(1), Some(1)),
        ] {
            assert_eq!(fate.going(due, Some(true)), with_error);
            assert_eq!(fate.going(due, Some(false)), without);
            assert_eq!(fate.going(due, None), unknown);
            assert_eq!(fate.asks(due), due != none);
        }
        assert!(!Fate { with_error: 1, without: 1 }.asks(both));
    }
}
