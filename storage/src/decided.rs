//! Traces that were decided already, so that their late spans are not taken for new traces.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use crate::derive::RootNames;
use crate::model::TraceId;

/// What late spans follow: the first decision of their trace.
#[derive(Debug, Clone, PartialEq)]
pub struct Remembered {
    pub keep: bool,
    pub adjusted_count: Option<f64>,
    pub head_count: Option<f64>,
    pub keep_reason: Arc<str>,
    pub class: Arc<str>,
    pub policy_revision: i64,
}

/// What is known of a decided trace.
#[derive(Debug, Clone, PartialEq)]
pub struct DecidedTrace {
    pub root: Option<RootNames>,
    pub verdict: Arc<Remembered>,
}

/// The most recent decisions, bounded in number: two generations, of which the older is forgotten whole.
#[derive(Debug)]
pub struct DecidedTraces {
    newer: HashMap<TraceId, DecidedTrace>,
    older: HashMap<TraceId, DecidedTrace>,
    /// Of the trace inserted last: neighbours often have the same.
    last: Option<Arc<Remembered>>,
    /// Equal names share their text.
    roots: HashMap<(std::sync::Arc<str>, std::sync::Arc<str>), RootNames>,
    generation_size: usize,
}

impl DecidedTraces {
    /// Remembers at least the last `limit / 2` traces and at most `limit`.
    pub fn new(limit: usize) -> Self {
        Self {
            newer: HashMap::new(),
            older: HashMap::new(),
            last: None,
            roots: HashMap::new(),
            generation_size: (limit / 2).max(1),
        }
    }

    /// The first decision of a trace stays. A late span seldom brings the root; where it does, the root is known from then on.
    pub fn insert(&mut self, trace_id: TraceId, root: Option<RootNames>, verdict: Remembered) {
        let root = root.map(|root| self.share(root));
        if self.newer.len() >= self.generation_size && !self.newer.contains_key(&trace_id) {
            self.older = std::mem::take(&mut self.newer);
            self.roots.clear();
        }
        let before = self.older.get(&trace_id).cloned();
        match self.newer.entry(trace_id) {
            Entry::Occupied(mut known) => {
                if root.is_some() {
                    known.get_mut().root = root;
                }
            }
            Entry::Vacant(vacant) => {
                let last = self.last.take().filter(|last| **last == verdict);
                let (root_before, first) = before.map(|known| (known.root, known.verdict)).unzip();
                let verdict = first.or(last).unwrap_or_else(|| Arc::new(verdict));
                self.last = Some(Arc::clone(&verdict));
                vacant.insert(DecidedTrace { root: root.or(root_before.flatten()), verdict });
            }
        }
    }

    /// `None` if no decision is known.
    pub fn get(&self, trace_id: &TraceId) -> Option<&DecidedTrace> {
        self.newer.get(trace_id).or_else(|| self.older.get(trace_id))
    }

    fn share(&mut self, root: RootNames) -> RootNames {
        let key = (root.service.clone(), root.name.clone());
        self.roots.entry(key).or_insert(root).clone()
    }
}

/// Reasons and classes, each there once: most decisions have the same.
#[derive(Debug, Default)]
pub(crate) struct Words(Vec<Arc<str>>);

impl Words {
    pub fn of(&mut self, word: &str) -> Arc<str> {
        if let Some(known) = self.0.iter().find(|known| &***known == word) {
            return Arc::clone(known);
        }
        let new: Arc<str> = Arc::from(word);
        self.0.push(Arc::clone(&new));
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> TraceId {
        let mut bytes = [1; 16];
        bytes[8..].copy_from_slice(&number.to_be_bytes());
        TraceId::from_bytes(bytes).unwrap()
    }

    fn kept(weight: f64) -> Remembered {
        Remembered {
            keep: true,
            adjusted_count: Some(weight),
            head_count: Some(1.0),
            keep_reason: "slow".into(),
            class: "slow".into(),
            policy_revision: 1,
        }
    }

    #[test]
    fn the_newest_half_is_always_known_and_the_number_is_bounded() {
        let mut decided = DecidedTraces::new(100);
        for number in 0..1_000 {
            decided.insert(id(number), None, kept(2.0));
            assert!(decided.newer.len() + decided.older.len() <= 100);
            assert!((number.saturating_sub(49)..=number).all(|recent| decided.get(&id(recent)).is_some()));
        }
        assert!(decided.get(&id(0)).is_none());
    }

    #[test]
    fn a_known_root_is_not_forgotten_for_an_unknown_one() {
        let mut decided = DecidedTraces::new(100);
        let root = RootNames { service: "a".into(), name: "b".into() };
        decided.insert(id(1), Some(root.clone()), kept(2.0));
        decided.insert(id(1), None, kept(2.0));
        assert_eq!(decided.get(&id(1)).unwrap().root, Some(root));
    }

    #[test]
    fn the_first_decision_stays_even_in_another_generation() {
        let mut decided = DecidedTraces::new(4);
        let root = RootNames { service: "a".into(), name: "b".into() };
        decided.insert(id(1), Some(root.clone()), kept(2.0));
        for number in [2, 3, 1] {
            decided.insert(id(number), None, kept(3.0));
        }
        let weight = |number| decided.get(&id(number)).unwrap().verdict.adjusted_count;
        assert_eq!((weight(1), weight(3)), (Some(2.0), Some(3.0)));
        assert_eq!(decided.get(&id(1)).unwrap().root, Some(root));
    }
}
