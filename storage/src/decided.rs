//! Traces that were decided already, so that their late spans are not taken for new traces.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::derive::RootNames;
use crate::model::TraceId;

/// The most recent decisions, bounded in number: two generations, of which the older is forgotten whole.
#[derive(Debug)]
pub struct DecidedTraces {
    newer: HashMap<TraceId, Option<RootNames>>,
    older: HashMap<TraceId, Option<RootNames>>,
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
            roots: HashMap::new(),
            generation_size: (limit / 2).max(1),
        }
    }

    pub fn insert(&mut self, trace_id: TraceId, root: Option<RootNames>) {
        let root = root.map(|root| self.share(root));
        if self.newer.len() >= self.generation_size && !self.newer.contains_key(&trace_id) {
            self.older = std::mem::take(&mut self.newer);
            self.roots.clear();
        }
        match self.newer.entry(trace_id) {
            // A late span seldom brings the root, so a known one stays.
            Entry::Occupied(mut known) if root.is_some() => {
                known.insert(root);
            }
            Entry::Occupied(_) => {}
            Entry::Vacant(vacant) => {
                vacant.insert(root);
            }
        }
    }

    /// `None` if no decision is known; inside, the root's names if they are.
    pub fn get(&self, trace_id: &TraceId) -> Option<&Option<RootNames>> {
        self.newer.get(trace_id).or_else(|| self.older.get(trace_id))
    }

    fn share(&mut self, root: RootNames) -> RootNames {
        let key = (root.service.clone(), root.name.clone());
        self.roots.entry(key).or_insert(root).clone()
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

    #[test]
    fn the_newest_half_is_always_known_and_the_number_is_bounded() {
        let mut decided = DecidedTraces::new(100);
        for number in 0..1_000 {
            decided.insert(id(number), None);
            assert!(decided.newer.len() + decided.older.len() <= 100);
            assert!((number.saturating_sub(49)..=number).all(|recent| decided.get(&id(recent)).is_some()));
        }
        assert!(decided.get(&id(0)).is_none());
    }

    #[test]
    fn a_known_root_is_not_forgotten_for_an_unknown_one() {
        let mut decided = DecidedTraces::new(100);
        let root = RootNames { service: "a".into(), name: "b".into() };
        decided.insert(id(1), Some(root.clone()));
        decided.insert(id(1), None);
        assert_eq!(decided.get(&id(1)), Some(&Some(root)));
    }
}
