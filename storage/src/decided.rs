//! Traces that were decided already, so that their late spans are not taken for new traces.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

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

impl Hash for Remembered {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { keep, adjusted_count, head_count, keep_reason, class, policy_revision } = self;
        (keep, keep_reason, class, policy_revision).hash(state);
        [adjusted_count, head_count].map(|count| count.map(f64::to_bits)).hash(state);
    }
}

/// What is known of a decided trace.
#[derive(Debug, Clone, Copy)]
pub struct DecidedTrace<'d> {
    pub root: Option<&'d RootNames>,
    pub verdict: &'d Arc<Remembered>,
}

/// The most recent decisions, bounded in number: two generations, of which the older is forgotten whole.
#[derive(Debug)]
pub struct DecidedTraces {
    newer: Generation,
    older: Generation,
    generation_size: usize,
}

impl DecidedTraces {
    /// Remembers at least the last `limit / 2` traces and at most `limit`.
    pub fn new(limit: usize) -> Self {
        Self { newer: Generation::default(), older: Generation::default(), generation_size: (limit / 2).max(1) }
    }

    /// The first decision of a trace stays. A late span seldom brings the root; where it does, the root is known from then on.
    pub fn insert(&mut self, trace_id: TraceId, root: Option<RootNames>, verdict: Remembered) {
        if self.newer.traces.len() >= self.generation_size && !self.newer.traces.contains_key(&trace_id) {
            self.older = std::mem::take(&mut self.newer);
        }
        let before = self.older.get(&trace_id);
        let root = root.as_ref().or(before.and_then(|known| known.root));
        let first = before.map_or(&verdict, |known| known.verdict);
        self.newer.insert(trace_id, root, first);
    }

    /// `None` if no decision is known.
    pub fn get(&self, trace_id: &TraceId) -> Option<DecidedTrace<'_>> {
        self.newer.get(trace_id).or_else(|| self.older.get(trace_id))
    }
}

/// Decisions by trace: 24 bytes each, since few roots and verdicts differ.
#[derive(Debug, Default)]
struct Generation {
    traces: HashMap<TraceId, Place>,
    roots: Numbered<RootNames>,
    verdicts: Numbered<Arc<Remembered>>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    /// [`NO_ROOT`] where none is known.
    root: u32,
    verdict: u32,
}

const NO_ROOT: u32 = u32::MAX;

impl Generation {
    fn insert(&mut self, trace_id: TraceId, root: Option<&RootNames>, verdict: &Remembered) {
        let Self { traces, roots, verdicts } = self;
        let number = |root: &RootNames| roots.number(root, || root.clone());
        let root = root.map_or(NO_ROOT, number);
        let place = traces.entry(trace_id).or_insert_with(|| {
            let verdict = verdicts.number(verdict, || Arc::new(verdict.clone()));
            Place { root, verdict }
        });
        if root != NO_ROOT {
            place.root = root;
        }
    }

    fn get(&self, trace_id: &TraceId) -> Option<DecidedTrace<'_>> {
        let place = self.traces.get(trace_id)?;
        Some(DecidedTrace {
            root: self.roots.values.get(place.root as usize),
            verdict: self.verdicts.values.get(place.verdict as usize)?,
        })
    }
}

/// Equal values once, by number. A generation has fewer traces than numbers.
#[derive(Debug)]
struct Numbered<T> {
    values: Vec<T>,
    numbers: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self { values: Vec::new(), numbers: HashTable::new(), hasher: DefaultHashBuilder::default() }
    }
}

impl<T> Numbered<T> {
    fn number<Q: Hash + PartialEq>(&mut self, value: &Q, owned: impl FnOnce() -> T) -> u32
    where
        T: Borrow<Q>,
    {
        let Self { values, numbers, hasher } = self;
        let hash = hasher.hash_one(value);
        if let Some(known) = numbers.find(hash, |number| values[*number as usize].borrow() == value) {
            return *known;
        }
        let number = values.len() as u32;
        values.push(owned());
        numbers.insert_unique(hash, number, |number| hasher.hash_one(values[*number as usize].borrow()));
        number
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
            assert!(decided.newer.traces.len() + decided.older.traces.len() <= 100);
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
        assert_eq!(decided.get(&id(1)).unwrap().root, Some(&root));
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
        assert_eq!(decided.get(&id(1)).unwrap().root, Some(&root));
    }

    #[test]
    fn equal_roots_and_verdicts_are_there_once() {
        let mut decided = DecidedTraces::new(10_000);
        for number in 0..1_000 {
            let root = RootNames { service: "a".into(), name: ["b", "c"][number as usize % 2].into() };
            decided.insert(id(number), Some(root), kept(f64::from(number as u32 % 3)));
        }
        assert_eq!((decided.newer.roots.values.len(), decided.newer.verdicts.values.len()), (2, 3));
        assert_eq!(size_of::<(TraceId, Place)>(), 24);
        let known = decided.get(&id(7)).unwrap();
        assert_eq!((known.root.unwrap().name.as_ref(), known.verdict.adjusted_count), ("c", Some(1.0)));
    }
}
