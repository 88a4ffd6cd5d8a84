//! What is known of a finished trace, and the class that follows from it.
//!
//! The class depends on facts alone, never on the trace's randomness: weights are unbiased because of that.

use crate::threshold::{Randomness, Threshold};

/// In order of strength; a trace has the first that applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Class {
    /// Someone asked for it.
    Priority = 0,
    /// The root or an entry span failed.
    Error = 1,
    /// The root is slow for its operation, or a span is for its name.
    Slow = 2,
    /// An error somewhere inside, and the request succeeded.
    InnerError = 3,
    Normal = 4,
}

impl Class {
    pub const ALL: [Self; 5] = [Self::Priority, Self::Error, Self::Slow, Self::InnerError, Self::Normal];

    /// As the column `class` says it.
    pub fn word(self) -> &'static str {
        ["priority", "error", "slow", "inner_error", "normal"][self.index()]
    }

    pub fn index(self) -> usize {
        self as usize
    }

    /// Whether it belongs to the tier that is served first.
    pub fn must_keep(self) -> bool {
        matches!(self, Self::Priority | Self::Error | Self::Slow)
    }
}

/// What gave a trace its weight, whether it was kept or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum KeepReason {
    Priority = 0,
    Error = 1,
    Slow = 2,
    InnerError = 3,
    Normal = 4,
    /// Of class normal, and its shape is seldom seen.
    Rare = 5,
    /// Stored with weight 0 after the trace had been dropped.
    Rescued = 6,
    /// `sampling.priority` = 0: never kept, and not part of any estimate.
    OptedOut = 7,
}

impl KeepReason {
    pub const ALL: [Self; 8] = [
        Self::Priority,
        Self::Error,
        Self::Slow,
        Self::InnerError,
        Self::Normal,
        Self::Rare,
        Self::Rescued,
        Self::OptedOut,
    ];

    /// As the column `keep_reason` says it.
    pub fn word(self) -> &'static str {
        ["priority", "error", "slow", "inner_error", "normal", "rare", "rescued", "opted_out"][self as usize]
    }

    pub fn of(class: Class) -> Self {
        Self::ALL[class.index()]
    }
}

/// What the client asked for: `sampling.priority`, Datadog's user keep, Zipkin's `debug`, a configured header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Priority {
    #[default]
    Unset,
    /// Above 0.
    Keep,
    /// 0: never kept.
    Drop,
}

/// What a sampler at the source has done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Head {
    /// `th` was present: the same coin as ours, so probabilities combine by their minimum.
    Threshold(Threshold),
    /// A ratio from the ledger of served strategies, thrown with another coin: probabilities multiply. 1 when the
    /// service does not sample.
    Ratio(f64),
    /// The weight stays unknown; it is never guessed.
    Unknown,
}

impl Default for Head {
    fn default() -> Self {
        Self::Ratio(1.0)
    }
}

impl Head {
    /// The probability, if it is one.
    pub fn probability(self) -> Option<f64> {
        let p = match self {
            Self::Threshold(threshold) => threshold.probability(),
            Self::Ratio(ratio) => ratio,
            Self::Unknown => return None,
        };
        (p > 0.0 && p <= 1.0).then_some(p)
    }
}

/// Everything that is known of a trace when it is decided. Keys are hashes that the caller chose, the same everywhere.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Facts {
    /// Of (root service, root span name, kind). Traces without a root share one for each service of their topmost span: which
    /// spans of a trace are lost is chance, and would make as many operations, each of them rare.
    pub operation: u64,
    /// Of the root service: whose slow threshold counts while the operation has seen too little.
    pub service: u64,
    /// See `shape::ShapeBuilder`.
    pub shape: u64,
    /// The shape by services alone, for operations that produce too many shapes.
    pub coarse_shape: u64,
    /// `None` without a root.
    pub root_duration_nanos: Option<u64>,
    /// From the first start to the last end of what has arrived: what a trace without a root has lasted at least.
    pub lasted_nanos: u64,
    pub root_failed: bool,
    /// An entry span failed: the first of a service in this trace.
    pub entry_failed: bool,
    /// Any span has an error.
    pub inner_error: bool,
    /// A span is slow for its own name; see `sketch::SlowSpans`.
    pub slow_span: bool,
    pub priority: Priority,
    /// In the unit of the budget, bytes or spans. Counts as 1 when it is less or not a number.
    pub cost: f64,
    pub randomness: Randomness,
    pub head: Head,
    /// What overload control demanded of the trace when its first span came; see `shed`.
    pub shed: Threshold,
}

impl Facts {
    /// The class, once it is known whether the root was slow. Priority is a wish; its bucket decides elsewhere.
    pub fn class(&self, slow_root: bool) -> Class {
        if self.priority == Priority::Keep { Class::Priority } else { self.class_by_itself(slow_root) }
    }

    /// The class without anybody's wish.
    pub fn class_by_itself(&self, slow_root: bool) -> Class {
        if self.root_failed || self.entry_failed {
            Class::Error
        } else if slow_root || self.slow_span {
            Class::Slow
        } else if self.inner_error {
            Class::InnerError
        } else {
            Class::Normal
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_class_that_applies() {
        let all = Facts {
            priority: Priority::Keep,
            root_failed: true,
            slow_span: true,
            inner_error: true,
            ..Facts::default()
        };
        let check = |facts: Facts, slow_root, class: Class| assert_eq!(facts.class(slow_root), class, "{facts:?}");
        check(all, true, Class::Priority);
        let all = Facts { priority: Priority::Unset, ..all };
        check(all, true, Class::Error);
        check(Facts { root_failed: false, entry_failed: true, ..all }, true, Class::Error);
        let all = Facts { root_failed: false, ..all };
        check(all, false, Class::Slow);
        let all = Facts { slow_span: false, ..all };
        check(all, true, Class::Slow);
        check(all, false, Class::InnerError);
        check(Facts { inner_error: false, ..all }, false, Class::Normal);
    }

    #[test]
    fn classes_and_reasons_share_their_words() {
        for class in Class::ALL {
            assert_eq!(class.word(), KeepReason::of(class).word());
        }
        assert!(KeepReason::ALL.iter().enumerate().all(|(at, reason)| *reason as usize == at));
    }
}
