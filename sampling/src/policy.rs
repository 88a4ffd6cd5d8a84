//! The policy: what the sampler is told, as one immutable value. Its revision is counted by whoever holds it.
//!
//! A policy reads from TOML and JSON; missing keys have their defaults, unknown keys are errors. `validate` names the key
//! that cannot be meant, and what to write instead.

use serde::{Deserialize, Serialize};

use crate::budget::Budget;
use crate::error::Error;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Such as `"2000 spans/s"` or `"50 GiB/day"`; without one everything is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// The power of an operation's rate that its share of the budget grows with: 1 is proportional, 0 is equal.
    pub evenness: f64,
    /// How much a shape weighs that was not kept for `rates.shape_seconds`; it grows with the third power of that time.
    pub diversity: f64,
    /// How much an operation of one trace a second weighs for being rare, whatever its shapes.
    pub rarity: f64,
    /// The part of the budget that failed and slow traces always get, if they need it.
    pub must_keep_share: f64,
    /// The part of what these leave that ordinary traces always get, if they need it; for the rest they compete with rare ones.
    pub ordinary_share: f64,
    /// The part of the budget that clients can claim with `sampling.priority`.
    pub priority_share: f64,
    /// Attributes by which clients claim it, too: present on any span, and neither empty, `false` nor 0. As
    /// `http.request.header.x-force-trace`.
    pub force_keep: Vec<String>,
    pub strength: Strength,
    pub slow: Slow,
    pub alarm: Alarm,
    pub rates: Rates,
    pub cap: Cap,
    pub limits: Limits,
}

/// How much more a class is wanted than an ordinary trace of an operation as frequent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Strength {
    pub error: f64,
    pub slow: f64,
    /// Slow only because of one span that is slow for its own name.
    pub slow_span: f64,
    pub inner_error: f64,
    pub normal: f64,
}

/// When a trace is slow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Slow {
    /// Of the root's durations, per operation. Below 0.99 by more than the sketch's error, so that what is above the true
    /// p99 is slow.
    pub root_quantile: f64,
    /// Of a span's durations, per service and span name.
    pub span_quantile: f64,
    /// Durations an operation needs before its own quantile counts; until then its service's does.
    pub min_values: u64,
    /// How long durations count; forgotten half by half.
    pub window_seconds: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Alarm {
    /// Whether an operation that fails or is slow more often than in the last half hour has an alarm. What it gets is taken from other
    /// operations that fail, so it is off by default.
    pub detect: bool,
    /// The strength of an operation is multiplied by this while its alarm counts.
    pub factor: f64,
    pub seconds: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rates {
    pub operation_half_life_seconds: f64,
    pub shape_half_life_seconds: f64,
    /// After so long without a kept trace a shape is due.
    pub shape_seconds: f64,
    /// Of the demand that prices follow, at least.
    pub price_half_life_seconds: f64,
    /// Of which so many mean traces can be kept, where that is longer.
    pub price_traces: f64,
    /// Above it an operation's new shapes are told apart by services only.
    pub new_shapes_per_minute: u32,
}

/// The hard cap: what may be kept beyond the budget in any time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cap {
    /// Of the budget.
    pub seconds: f64,
    /// At least so many large traces (the p99.9 of cost) always fit.
    pub large_traces: f64,
    /// And so many of mean cost.
    pub mean_traces: f64,
    /// In which prices make up for what was kept too much or too little.
    pub settle_seconds: f64,
    /// So long a decision may wait where more that must be kept comes at once than a tick has budget for.
    pub wait_seconds: f64,
}

/// Bounds of the state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Operations beyond it share one entry, and so do services.
    pub max_operations: u32,
    pub max_services: u32,
    /// Shapes beyond it share one entry per operation.
    pub max_shapes: u32,
    /// What an operation had before it went beyond it is forgotten, and an incomplete trace may pass for something new.
    pub max_edges: u32,
    /// Spans of names beyond it are never slow.
    pub max_span_names: u32,
    /// Per sketch; a wider range is kept with less precision.
    pub max_buckets: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            budget: None,
            evenness: 0.7,
            diversity: 30.0,
            rarity: 1.0,
            must_keep_share: 0.85,
            ordinary_share: 0.6,
            priority_share: 0.05,
            force_keep: Vec::new(),
            strength: Strength::default(),
            slow: Slow::default(),
            alarm: Alarm::default(),
            rates: Rates::default(),
            cap: Cap::default(),
            limits: Limits::default(),
        }
    }
}

impl Default for Strength {
    fn default() -> Self {
        Self { error: 1000.0, slow: 30.0, slow_span: 10.0, inner_error: 1.0, normal: 1.0 }
    }
}

impl Default for Slow {
    fn default() -> Self {
        Self { root_quantile: 0.987, span_quantile: 0.999, min_values: 200, window_seconds: 3600.0 }
    }
}

impl Default for Alarm {
    fn default() -> Self {
        Self { detect: false, factor: 10.0, seconds: 300.0 }
    }
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            operation_half_life_seconds: 30.0,
            shape_half_life_seconds: 600.0,
            shape_seconds: 250.0,
            price_half_life_seconds: 4.0,
            price_traces: 100.0,
            new_shapes_per_minute: 1000,
        }
    }
}

impl Default for Cap {
    fn default() -> Self {
        Self { seconds: 0.25, large_traces: 4.0, mean_traces: 8.0, settle_seconds: 0.5, wait_seconds: 0.8 }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_operations: 10_000,
            max_services: 2_000,
            max_shapes: 200_000,
            max_edges: 400_000,
            max_span_names: 20_000,
            max_buckets: 640,
        }
    }
}

impl Slow {
    pub(crate) fn half_nanos(&self) -> u64 {
        (self.window_seconds * 5e8) as u64
    }
}

impl Policy {
    /// Names the first key that cannot be meant.
    pub fn validate(&self) -> Result<(), Error> {
        let a = &self.strength;
        for (key, value, low, high, remedy) in [
            (
                "evenness",
                self.evenness,
                0.0,
                1.0,
                "0 treats operations alike, 1 follows their traffic; 0.7 is the default",
            ),
            ("diversity", self.diversity, 0.0, 1e6, "0 ignores shapes; 30 is the default"),
            ("rarity", self.rarity, 0.0, 1e6, "0 ignores how rare an operation is; 1 is the default"),
            ("must_keep_share", self.must_keep_share, 0.0, 0.95, "write a share from 0 to 0.95; 0.85 is the default"),
            ("ordinary_share", self.ordinary_share, 0.0, 1.0, "write a share from 0 to 1; 0.6 is the default"),
            ("priority_share", self.priority_share, 0.0, 0.5, "write a share from 0 to 0.5; 0.05 is the default"),
            ("strength.error", a.error, 1e-6, 1e6, STRENGTH),
            ("strength.slow", a.slow, 1e-6, 1e6, STRENGTH),
            ("strength.slow_span", a.slow_span, 1e-6, 1e6, STRENGTH),
            ("strength.inner_error", a.inner_error, 1e-6, 1e6, STRENGTH),
            ("strength.normal", a.normal, 1e-6, 1e6, STRENGTH),
            ("slow.root_quantile", self.slow.root_quantile, 0.5, 0.9999, "write a quantile from 0.5 to 0.9999"),
            ("slow.span_quantile", self.slow.span_quantile, 0.5, 0.99999, "write a quantile from 0.5 to 0.99999"),
            ("slow.window_seconds", self.slow.window_seconds, 60.0, 86_400.0, "write 60 to 86400 seconds"),
            ("alarm.factor", self.alarm.factor, 1.0, 1e4, "write 1 to 10000; 1 ignores alarms"),
            ("alarm.seconds", self.alarm.seconds, 0.0, 86_400.0, "write 0 to 86400 seconds"),
            (
                "rates.operation_half_life_seconds",
                self.rates.operation_half_life_seconds,
                1.0,
                3600.0,
                "write 1 to 3600 seconds",
            ),
            (
                "rates.shape_half_life_seconds",
                self.rates.shape_half_life_seconds,
                10.0,
                86_400.0,
                "write 10 to 86400 seconds",
            ),
            ("rates.shape_seconds", self.rates.shape_seconds, 1.0, 86_400.0, "write 1 to 86400 seconds"),
            (
                "rates.price_half_life_seconds",
                self.rates.price_half_life_seconds,
                0.1,
                60.0,
                "write 0.1 to 60 seconds; 4 is the default",
            ),
            ("rates.price_traces", self.rates.price_traces, 0.0, 1e5, "write 0 to 100000 traces; 100 is the default"),
            ("cap.seconds", self.cap.seconds, 0.0, 60.0, "write 0 to 60 seconds of the budget; 0.25 is the default"),
            (
                "cap.large_traces",
                self.cap.large_traces,
                1.0,
                1000.0,
                "write 1 to 1000, or large traces can never be kept",
            ),
            ("cap.mean_traces", self.cap.mean_traces, 0.0, 1e4, "write 0 to 10000 traces; 8 is the default"),
            ("cap.settle_seconds", self.cap.settle_seconds, 0.1, 60.0, "write 0.1 to 60 seconds; 0.5 is the default"),
            ("cap.wait_seconds", self.cap.wait_seconds, 0.0, 10.0, "write 0 to 10 seconds; 0.8 is the default"),
        ] {
            // A comparison with what is not a number is false, so it fails here too.
            if !(value >= low && value <= high) {
                return Err(Error::Policy { key: key.to_owned(), found: value.to_string(), remedy });
            }
        }
        for (key, value, low, high, remedy) in [
            ("slow.min_values", self.slow.min_values, 1, 1_000_000, "write 1 to 1000000 durations; 200 is the default"),
            ("rates.new_shapes_per_minute", self.rates.new_shapes_per_minute.into(), 1, 100_000, "write 1 to 100000"),
            ("limits.max_operations", self.limits.max_operations.into(), 1, 1_000_000, "write 1 to 1000000"),
            ("limits.max_services", self.limits.max_services.into(), 1, 1_000_000, "write 1 to 1000000"),
            ("limits.max_shapes", self.limits.max_shapes.into(), 1, 10_000_000, "write 1 to 10000000"),
            ("limits.max_edges", self.limits.max_edges.into(), 1, 100_000_000, "write 1 to 100000000"),
            ("limits.max_span_names", self.limits.max_span_names.into(), 1, 1_000_000, "write 1 to 1000000"),
            (
                "limits.max_buckets",
                self.limits.max_buckets.into(),
                16,
                4096,
                "write 16 to 4096; 640 cover durations from 1 ms to 17 min",
            ),
        ] {
            if !(low..=high).contains(&value) {
                return Err(Error::Policy { key: key.to_owned(), found: value.to_string(), remedy });
            }
        }
        let too_long = self.force_keep.iter().find(|key| key.is_empty() || key.len() > MAX_FORCE_KEEP_BYTES);
        if self.force_keep.len() > MAX_FORCE_KEEP || too_long.is_some() {
            let found =
                too_long.map_or_else(|| format!("a list of {}", self.force_keep.len()), |key| format!("{key:?}"));
            let remedy = "write at most 32 attributes of 1 to 256 bytes";
            return Err(Error::Policy { key: "force_keep".to_owned(), found, remedy });
        }
        Ok(())
    }
}

const MAX_FORCE_KEEP: usize = 32;
const MAX_FORCE_KEEP_BYTES: usize = 256;

const STRENGTH: &str =
    "write a strength from 0.000001 to 1000000, relative to an ordinary trace; to drop traces, lower the budget";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_fills_in_the_rest() {
        let policy: Policy =
            toml::from_str("budget = \"50 GiB/day\"\ndiversity = 0.2\n[strength]\nslow = 40.0").unwrap();
        assert_eq!((policy.diversity, policy.strength.slow, policy.strength.error), (0.2, 40.0, 1000.0));
        assert_eq!(policy.budget.as_ref().map(ToString::to_string).as_deref(), Some("50 GiB/day"));
        policy.validate().unwrap();
        let json = serde_json::to_string(&policy).unwrap();
        assert_eq!(serde_json::from_str::<Policy>(&json).unwrap(), policy);
        let text = toml::to_string(&Policy::default()).unwrap();
        assert_eq!(toml::from_str::<Policy>(&text).unwrap(), Policy::default());
        Policy::default().validate().unwrap();
    }

    #[test]
    fn unknown_keys_and_budgets_are_errors() {
        let error = toml::from_str::<Policy>("divercity = 0.2").unwrap_err().to_string();
        assert!(error.contains("divercity"), "{error}");
        let error = toml::from_str::<Policy>("budget = \"2000\"").unwrap_err().to_string();
        assert!(error.contains("has no time") && error.contains("2000 spans/s"), "{error}");
    }

    #[test]
    fn names_the_key_and_the_remedy() {
        let check = |change: fn(&mut Policy), expected: &str| {
            let mut policy = Policy::default();
            change(&mut policy);
            assert_eq!(policy.validate().unwrap_err().to_string(), expected);
        };
        check(|p| p.must_keep_share = 1.5, "must_keep_share is 1.5; write a share from 0 to 0.95; 0.85 is the default");
        check(
            |p| p.evenness = f64::NAN,
            "evenness is NaN; 0 treats operations alike, 1 follows their traffic; 0.7 is the default",
        );
        check(
            |p| p.cap.large_traces = 0.0,
            "cap.large_traces is 0; write 1 to 1000, or large traces can never be kept",
        );
        check(
            |p| p.force_keep = vec![String::new()],
            "force_keep is \"\"; write at most 32 attributes of 1 to 256 bytes",
        );
        check(
            |p| p.force_keep = vec!["a".to_owned(); 33],
            "force_keep is a list of 33; write at most 32 attributes of 1 to 256 bytes",
        );
        check(|p| p.limits.max_shapes = 0, "limits.max_shapes is 0; write 1 to 10000000");
        check(
            |p| p.strength.normal = 0.0,
            "strength.normal is 0; write a strength from 0.000001 to 1000000, relative to an ordinary trace; to drop traces, \
             lower the budget",
        );
    }
}
