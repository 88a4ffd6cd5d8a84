//! What the SDKs of a service are told: how likely a trace is to be sampled at its source, by its first operation.

use std::sync::Arc;

/// Operations with a probability of their own, as many as Go's SDK keeps; the rest have the default.
pub const MAX_OPERATIONS: usize = 256;

/// Operations with longer names have the default.
pub const MAX_OPERATION_BYTES: usize = 512;

/// Two that are equal say the same of every operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Strategy {
    default_probability: f64,
    /// By name, each once, none with the default.
    operations: Vec<(Arc<str>, f64)>,
}

impl Strategy {
    pub fn keep_all() -> Self {
        Self { default_probability: 1.0, operations: Vec::new() }
    }

    /// Of an operation that comes twice the first counts, and so do the first [`MAX_OPERATIONS`].
    pub fn new(default_probability: f64, operations: impl IntoIterator<Item = (Arc<str>, f64)>) -> Self {
        let default_probability = probability(default_probability);
        let own = operations.into_iter().map(|(name, own)| (name, probability(own)));
        let mut operations: Vec<_> = own
            .filter(|(name, own)| name.len() <= MAX_OPERATION_BYTES && *own != default_probability)
            .take(MAX_OPERATIONS)
            .collect();
        operations.sort_by(|(one, _), (other, _)| one.cmp(other));
        operations.dedup_by(|(later, _), (earlier, _)| later == earlier);
        Self { default_probability, operations }
    }

    pub fn default_probability(&self) -> f64 {
        self.default_probability
    }

    /// Those with a probability of their own, by name.
    pub fn operations(&self) -> &[(Arc<str>, f64)] {
        &self.operations
    }

    pub fn probability(&self, operation: &str) -> f64 {
        let found = self.operations.binary_search_by(|(name, _)| (**name).cmp(operation)).ok();
        found.and_then(|index| self.operations.get(index)).map_or(self.default_probability, |(_, own)| *own)
    }

    pub fn keeps_all(&self) -> bool {
        *self == Self::keep_all()
    }
}

/// What is none keeps everything.
fn probability(value: f64) -> f64 {
    if value.is_nan() { 1.0 } else { value.clamp(0.0, 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operations(listed: &[(&str, f64)]) -> Vec<(Arc<str>, f64)> {
        listed.iter().map(|(name, own)| (Arc::from(*name), *own)).collect()
    }

    #[test]
    fn an_operation_has_its_own_probability_or_the_default() {
        let strategy = Strategy::new(0.5, operations(&[("GET /b", 0.25), ("GET /a", 0.125), ("GET /c", 0.5)]));
        for (operation, expected) in [("GET /a", 0.125), ("GET /b", 0.25), ("GET /c", 0.5), ("", 0.5), ("GET /z", 0.5)]
        {
            assert_eq!(strategy.probability(operation), expected, "{operation}");
        }
        assert_eq!(strategy.operations().len(), 2, "what has the default needs no place");
        assert_eq!(strategy, Strategy::new(0.5, operations(&[("GET /a", 0.125), ("GET /b", 0.25)])));
        assert!(Strategy::new(1.0, operations(&[("GET /", 1.0)])).keeps_all());
        assert!(!strategy.keeps_all());
    }

    #[test]
    fn numbers_that_are_no_probabilities_become_some() {
        let odd = operations(&[("nan", f64::NAN), ("above", 7.0), ("below", -1.0)]);
        let strategy = Strategy::new(0.5, odd);
        let found = ["nan", "above", "below"].map(|name| strategy.probability(name));
        assert_eq!(found, [1.0, 1.0, 0.0]);
        assert!(Strategy::new(f64::INFINITY, []).keeps_all());
    }

    #[test]
    fn a_strategy_is_bounded() {
        let many = (0..1_000).map(|number| (format!("GET /{number}").into(), 0.25));
        let long = ("x".repeat(MAX_OPERATION_BYTES + 1).into(), 0.25);
        let strategy = Strategy::new(0.5, [long].into_iter().chain(many));
        assert_eq!(strategy.operations().len(), MAX_OPERATIONS);
        assert_eq!(strategy.probability("GET /255"), 0.25);
        assert_eq!(strategy.probability("GET /256"), 0.5);
        let twice = Strategy::new(1.0, operations(&[("a", 0.25), ("a", 0.5)]));
        assert_eq!((twice.operations().len(), twice.probability("a")), (1, 0.25));
    }
}
