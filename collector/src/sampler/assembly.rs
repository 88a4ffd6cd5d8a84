//! When a pending trace has waited long enough for its spans.

use std::time::Duration;

use storage::PendingTrace;
use storage::model::UnixNanos;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssemblyConfig {
    /// After the root came, for spans that come behind it.
    pub root_grace: Duration,
    /// Between these an operation's traces wait as long as its spans have needed; `root_grace` counts until that is known.
    pub adaptive: Option<Bounds>,
    /// From a trace's first span to its decision at most, root or not.
    pub max_age: Duration,
    /// A trace with this many spans is decided at once; the rest of it is late.
    pub max_spans: usize,
    /// For late spans of a decided trace, so that some of them are stored together.
    pub late_grace: Duration,
    /// Spans that one record of decisions is about, roughly: requests behind it wait while they are derived.
    pub spans_per_record: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub least: Duration,
    pub most: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { least: Duration::from_millis(500), most: Duration::from_secs(10) }
    }
}

/// Used shares of the memory between which waits shrink.
const PRESSED: f64 = 0.7;
const FULL: f64 = 0.95;
/// Times of different threads differ by less.
const MOMENT_NANOS: i64 = 500_000_000;
/// A trace without a root is given this long whatever the pressure.
const LEAST_AGE: Duration = Duration::from_secs(2);

impl Default for AssemblyConfig {
    fn default() -> Self {
        Self {
            root_grace: Duration::from_secs(2),
            adaptive: Some(Bounds::default()),
            max_age: Duration::from_secs(30),
            max_spans: 100_000,
            late_grace: Duration::from_secs(1),
            spans_per_record: 8_192,
        }
    }
}

impl AssemblyConfig {
    pub fn validate(&self) -> crate::Result<()> {
        let refuse = |message: &str| Err(crate::Error::Config(message.to_owned()));
        if self.max_age < self.root_grace {
            return refuse("assembly.max_age must be at least assembly.root_grace");
        }
        if let Some(Bounds { least, most }) = self.adaptive
            && (least > most || most > self.max_age)
        {
            return refuse("assembly.root_grace_min must be at most root_grace_max, and that at most max_age");
        }
        if self.max_spans == 0 || self.spans_per_record == 0 {
            return refuse("assembly.max_spans and assembly.spans_per_record must be at least 1");
        }
        Ok(())
    }

    /// The waits that are affordable while `used` of the memory for spans is taken: beyond seven tenths they shrink, so
    /// that traces are decided earlier rather than requests refused.
    pub fn under_pressure(&self, used: f64) -> Self {
        let left = left(used);
        let shrunk = |wait: Duration, least: Duration| {
            let least = least.min(wait);
            least + (wait - least).mul_f64(left)
        };
        Self {
            root_grace: shrunk(self.root_grace, Duration::ZERO),
            max_age: shrunk(self.max_age, LEAST_AGE),
            late_grace: shrunk(self.late_grace, Duration::ZERO),
            ..self.clone()
        }
    }
}

/// The part of waits that is affordable while `used` of the memory is taken.
pub fn left(used: f64) -> f64 {
    ((FULL - used) / (FULL - PRESSED)).clamp(0.0, 1.0)
}

/// What of a pending trace says whether it is ripe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ripeness {
    pub first_arrival: UnixNanos,
    pub root_arrival: Option<UnixNanos>,
    pub span_count: usize,
    /// The trace was decided before.
    pub late: bool,
}

impl Ripeness {
    pub fn of(trace: &PendingTrace, late: bool) -> Self {
        Self {
            first_arrival: trace.first_arrival,
            root_arrival: trace.root_arrival,
            span_count: trace.span_count(),
            late,
        }
    }

    /// `grace` is how long its operation's traces wait behind their root.
    pub fn is_ripe(&self, config: &AssemblyConfig, grace: Duration, now: UnixNanos) -> bool {
        let waited = |since: UnixNanos, grace: Duration| {
            // A clock that was set back must not hold a trace for ever; a moment is no setting back.
            let nanos = now.since(since);
            nanos < -MOMENT_NANOS || nanos >= 0 && u128::from(nanos.unsigned_abs()) >= grace.as_nanos()
        };
        self.span_count >= config.max_spans
            || waited(self.first_arrival, config.max_age)
            || self.late && waited(self.first_arrival, config.late_grace)
            || self.root_arrival.is_some_and(|root| waited(root, grace))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn check(trace: Ripeness, now_seconds: i64, expected: bool) {
        let config = AssemblyConfig::default();
        assert_eq!(trace.is_ripe(&config, config.root_grace, UnixNanos(now_seconds * SECOND)), expected, "{trace:?}");
    }

    #[test]
    fn a_trace_waits_for_its_root_and_a_grace_or_for_an_age_or_a_size() {
        let trace = Ripeness { first_arrival: UnixNanos(100 * SECOND), root_arrival: None, span_count: 3, late: false };
        check(trace, 129, false);
        check(trace, 130, true);
        let rooted = Ripeness { root_arrival: Some(UnixNanos(105 * SECOND)), ..trace };
        check(rooted, 106, false);
        check(rooted, 107, true);
        check(Ripeness { span_count: 100_000, ..trace }, 100, true);
        check(Ripeness { late: true, ..trace }, 100, false);
        check(Ripeness { late: true, ..trace }, 101, true);
        check(trace, 99, true);
        let moment_ago = UnixNanos(100 * SECOND - 1_000_000);
        let config = AssemblyConfig::default();
        assert!(!trace.is_ripe(&config, config.root_grace, moment_ago), "it came while others were looked at");
        let now = UnixNanos(106 * SECOND);
        assert!(!rooted.is_ripe(&config, Duration::from_millis(1_001), now));
        assert!(rooted.is_ripe(&config, Duration::from_secs(1), now));
    }

    #[test]
    fn waits_shrink_under_pressure_and_never_grow() {
        let config = AssemblyConfig::default();
        assert_eq!(config.under_pressure(0.0), config);
        assert_eq!(config.under_pressure(0.7), config);
        let pressed = config.under_pressure(0.825);
        assert!(pressed.root_grace.abs_diff(Duration::from_secs(1)) < Duration::from_micros(1));
        assert!(pressed.max_age.abs_diff(Duration::from_secs(16)) < Duration::from_micros(1));
        let full = config.under_pressure(2.0);
        assert_eq!((full.root_grace, full.late_grace, full.max_age), (Duration::ZERO, Duration::ZERO, LEAST_AGE));
        let short = AssemblyConfig { max_age: Duration::from_millis(10), ..config };
        assert_eq!(short.under_pressure(1.0).max_age, Duration::from_millis(10));
    }
}
