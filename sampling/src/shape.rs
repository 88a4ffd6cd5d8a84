//! The shape of a trace: which edges it has, whatever their order and number.
//!
//! The wrapping sum, over distinct edges, of a hash of ((parent service, name), (service, name), kind, error bit); a set of
//! edges tells traces apart as well as their trees do (Gleaner, arXiv 2604.16810). Beside it the coarse shape, of edges
//! between services alone.
//!
//! A trace of which parts are missing has a shape that nobody has seen, and would pass for rare; there are as many such shapes
//! as ways to lose spans. So where a span lacks its parent, only edges of which both ends are here can tell that the trace is
//! something new: if its operation has had all of them before, it has the one shape of the operation's incomplete traces.
//!
//! Of more than [`MAX_EDGES`] distinct edges those with the least hashes count, which does not depend on their order either.

use std::collections::HashSet;
use std::mem;

use xxhash_rust::xxh3::xxh3_64;

use crate::table::Mixed;

pub const MAX_EDGES: usize = 4096;

/// A span and its parent, by hashes of their names that the caller chose; 0 where there is no parent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Edge {
    pub parent_service: u64,
    pub parent_name: u64,
    pub service: u64,
    pub name: u64,
    pub kind: u8,
    pub error: bool,
    /// The span names a parent that is not here.
    pub parent_missing: bool,
}

/// One for many traces: `finish` leaves it empty, and its memory stays.
#[derive(Debug, Clone, Default)]
pub struct ShapeBuilder {
    fine: Vec<u64>,
    coarse: Vec<u64>,
    /// Of `fine`, those of spans whose parent is missing.
    broken: Vec<u64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shape {
    pub fine: u64,
    pub coarse: u64,
}

impl ShapeBuilder {
    pub fn edge(&mut self, edge: Edge) {
        let mut bytes = [0; 34];
        let names = [edge.parent_service, edge.service, edge.parent_name, edge.name];
        for (place, name) in bytes.chunks_exact_mut(8).zip(names) {
            place.copy_from_slice(&name.to_le_bytes());
        }
        bytes[32] = edge.kind;
        bytes[33] = u8::from(edge.error);
        let hash = xxh3_64(&bytes);
        if edge.parent_missing {
            add(&mut self.broken, hash);
        }
        add(&mut self.fine, hash);
        add(&mut self.coarse, xxh3_64(&bytes[..16]));
    }

    /// Of all edges, whatever is missing.
    pub fn finish(&mut self) -> Shape {
        self.broken.clear();
        Shape { fine: sum(&mut self.fine), coarse: sum(&mut self.coarse) }
    }

    /// Of a trace of `operation` whose edges `known` remembers: where parts are missing, that of incomplete traces or of what
    /// is new about it.
    pub fn finish_known(&mut self, operation: u64, known: &mut KnownEdges) -> Shape {
        if self.broken.is_empty() {
            distinct(&mut self.fine);
            let shape = self.fine.iter().fold(0, |sum: u64, hash| sum.wrapping_add(*hash));
            // Its edges were known when its shape was.
            if !known.is_known(operation, shape) {
                known.add(operation, shape);
                self.fine.iter().for_each(|edge| known.add(operation, *edge));
            }
            return self.finish();
        }
        distinct(&mut self.broken);
        let broken = &self.broken;
        self.fine.retain(|edge| broken.binary_search(edge).is_err());
        distinct(&mut self.fine);
        let new = self.fine.iter().fold(false, |new, edge| {
            let is_known = known.is_known(operation, *edge);
            if !is_known {
                known.add(operation, *edge);
            }
            new || !is_known
        });
        let shape = self.finish();
        if new { shape } else { Shape { fine: INCOMPLETE.wrapping_add(operation), ..shape } }
    }
}

/// Added to an operation it gives the shape of its incomplete traces.
const INCOMPLETE: u64 = 0x9e37_79b9_7f4a_7c15;

/// Edges and shapes that operations have had lately: two generations, of which the elder goes when the younger is full.
#[derive(Debug, Clone)]
pub struct KnownEdges {
    young: HashSet<u64, Mixed>,
    old: HashSet<u64, Mixed>,
    /// Of a generation.
    max: usize,
}

impl KnownEdges {
    /// `max` hashes at most, 9 to 18 bytes each.
    pub fn new(max: usize) -> Self {
        Self { young: HashSet::default(), old: HashSet::default(), max: (max / 2).max(1) }
    }

    /// What is known and asked for stays known.
    fn is_known(&mut self, operation: u64, hash: u64) -> bool {
        let key = key(operation, hash);
        if self.young.contains(&key) {
            return true;
        }
        let is_old = self.old.contains(&key);
        if is_old {
            self.insert(key);
        }
        is_old
    }

    fn add(&mut self, operation: u64, hash: u64) {
        self.insert(key(operation, hash));
    }

    fn insert(&mut self, key: u64) {
        if self.young.len() >= self.max {
            mem::swap(&mut self.old, &mut self.young);
            self.young.clear();
        }
        self.young.insert(key);
    }
}

fn key(operation: u64, hash: u64) -> u64 {
    operation.rotate_left(32) ^ hash
}

fn add(hashes: &mut Vec<u64>, hash: u64) {
    // Most spans of a large trace repeat the edge before.
    if hashes.last() == Some(&hash) {
        return;
    }
    if hashes.len() >= 2 * MAX_EDGES {
        distinct(hashes);
    }
    hashes.push(hash);
}

fn distinct(hashes: &mut Vec<u64>) {
    hashes.sort_unstable();
    hashes.dedup();
    hashes.truncate(MAX_EDGES);
}

fn sum(hashes: &mut Vec<u64>) -> u64 {
    distinct(hashes);
    let sum = hashes.iter().fold(0, |sum: u64, hash| sum.wrapping_add(*hash));
    hashes.clear();
    sum
}

/// How many new shapes an operation has in a minute, by linear counting (Whang et al. 1990): a bit for each hash. Smaller
/// than a HyperLogLog at this size, within 3 %, and allocated only for operations that have new shapes at all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Novelty {
    minute: u64,
    bits: Vec<u64>,
    set: u32,
    /// The minute before had too many.
    flooded: bool,
}

impl Novelty {
    /// Counts a shape that is not known; whether there are too many to tell it apart. Once too many, also in the next minute:
    /// else the first thousand of each would be taken for rare.
    pub fn is_flood(&mut self, now_nanos: u64, shape: u64, per_minute: u32) -> bool {
        let minute = now_nanos / 60_000_000_000;
        let size = (per_minute.max(32) * 2).next_power_of_two();
        // Bits expected after `per_minute` hashes; the logarithm's series would gain nothing here.
        let limit = f64::from(size)
            * (1.0 - crate::math::exp2(-f64::from(per_minute) / f64::from(size) * std::f64::consts::LOG2_E));
        let words = (size / 64) as usize;
        if minute != self.minute || self.bits.len() != words {
            self.flooded = minute == self.minute + 1 && f64::from(self.set) > limit;
            self.minute = minute;
            self.set = 0;
            self.bits.clear();
            self.bits.resize(words, 0);
        }
        let bit = (xxh3_64(&shape.to_le_bytes()) % u64::from(size)) as usize;
        if let Some(word) = self.bits.get_mut(bit / 64) {
            let mask = 1 << (bit % 64);
            self.set += u32::from(*word & mask == 0);
            *word |= mask;
        }
        self.flooded || f64::from(self.set) > limit
    }

    /// Gives the bits back when nothing new came for a while.
    pub fn rest(&mut self, now_nanos: u64) {
        if !self.bits.is_empty() && now_nanos / 60_000_000_000 > self.minute + 1 {
            drop(mem::take(self));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn of(edges: &[Edge]) -> Shape {
        let mut builder = ShapeBuilder::default();
        edges.iter().for_each(|edge| builder.edge(*edge));
        builder.finish()
    }

    fn edge(service: u64, name: u64) -> Edge {
        Edge { parent_service: 1, parent_name: 2, service, name, kind: 3, ..Edge::default() }
    }

    #[test]
    fn names_change_the_fine_shape_and_services_both() {
        let base = of(&[edge(5, 6)]);
        assert_eq!(of(&[edge(5, 6), edge(5, 6)]), base);
        for other in [
            edge(5, 7),
            Edge { error: true, ..edge(5, 6) },
            Edge { kind: 4, ..edge(5, 6) },
            Edge { parent_name: 9, ..edge(5, 6) },
        ] {
            assert!(of(&[other]).fine != base.fine && of(&[other]).coarse == base.coarse, "{other:?}");
        }
        assert_ne!(of(&[edge(6, 6)]).coarse, base.coarse);
        assert_eq!(of(&[]), Shape::default());
        // Written down, since shapes are stored and other nodes compute them too.
        assert_eq!(base, Shape { fine: 4758500996803559999, coarse: 9994031345380217886 });
    }

    #[test]
    fn a_builder_is_empty_after_each_trace() {
        let mut builder = ShapeBuilder::default();
        builder.edge(edge(5, 6));
        builder.finish();
        builder.edge(edge(7, 8));
        assert_eq!(builder.finish(), of(&[edge(7, 8)]));
    }

    /// The shape of a trace of `operation` that had these edges.
    fn known(known: &mut KnownEdges, operation: u64, edges: &[Edge]) -> Shape {
        let mut builder = ShapeBuilder::default();
        edges.iter().for_each(|edge| builder.edge(*edge));
        builder.finish_known(operation, known)
    }

    #[test]
    fn an_incomplete_trace_of_what_is_known_is_nothing_new() {
        let mut memory = KnownEdges::new(1_000);
        let broken = |edge: Edge| Edge { parent_service: 0, parent_name: 0, parent_missing: true, ..edge };
        let whole = [edge(1, 2), edge(3, 4), edge(5, 6)];
        assert_eq!(known(&mut memory, 9, &whole), of(&whole));
        let incomplete = known(&mut memory, 9, &[edge(1, 2), broken(edge(5, 6))]);
        assert_ne!(incomplete.fine, of(&[edge(1, 2)]).fine);
        // Whatever is missing, they are alike; services are told apart all the same.
        assert_eq!(known(&mut memory, 9, &[edge(3, 4), broken(edge(5, 6))]).fine, incomplete.fine);
        assert_ne!(known(&mut memory, 9, &[edge(3, 4), broken(edge(7, 6))]).coarse, incomplete.coarse);
        // Of another operation it is new, once.
        let elsewhere = known(&mut memory, 8, &[edge(1, 2), broken(edge(5, 6))]);
        assert_eq!(elsewhere.fine, of(&[edge(1, 2)]).fine);
        let again = known(&mut memory, 8, &[edge(1, 2), broken(edge(5, 6))]);
        assert!(again.fine != elsewhere.fine && again.fine != incomplete.fine);
        // An edge that nobody has had is what it is told by.
        assert_eq!(
            known(&mut memory, 9, &[edge(1, 2), edge(1, 3), broken(edge(5, 6))]).fine,
            of(&[edge(1, 2), edge(1, 3)]).fine
        );
        assert_eq!(known(&mut memory, 9, &whole), of(&whole));
    }

    #[test]
    fn what_was_had_lately_is_remembered_within_bounds() {
        let mut memory = KnownEdges::new(100);
        for n in 0..10_000 {
            known(&mut memory, 1, &[edge(1, n), edge(7, 7)]);
        }
        assert!(memory.young.len() <= 50 && memory.old.len() <= 50);
        assert!(memory.is_known(1, of(&[edge(7, 7)]).fine) && !memory.is_known(1, of(&[edge(1, 1)]).fine));
    }

    #[test]
    fn what_is_asked_for_stays_known_and_the_rest_for_a_generation() {
        let mut memory = KnownEdges::new(100);
        memory.add(1, 7);
        for hash in 1_000..2_000 {
            memory.add(1, hash);
            assert!(memory.is_known(1, 7), "after {hash}");
        }
        // 50 behind it at least.
        assert!(memory.is_known(1, 1_950) && !memory.is_known(1, 1_000));
    }

    #[test]
    fn of_very_many_edges_the_order_does_not_matter_either() {
        let mut edges: Vec<Edge> = (0..30_000).map(|n| edge(n % 9_000, n % 11)).collect();
        let shape = of(&edges);
        edges.reverse();
        assert_eq!(of(&edges), shape);
        edges.rotate_left(12_345);
        assert_eq!(of(&edges), shape);
    }

    #[test]
    fn a_thousand_new_shapes_a_minute_are_told_apart() {
        const MINUTE: u64 = 60_000_000_000;
        let mut novelty = Novelty::default();
        // Repeats do not count.
        let mut floods = |minute: u64, from: u64, shapes: u64| {
            (0..3 * shapes).filter(|n| novelty.is_flood(minute * MINUTE, from + n % shapes, 1000)).count() as u64
        };
        assert_eq!(floods(1, 0, 900), 0);
        let flooded = floods(2, 10_000, 2_000);
        assert!((3 * 2_000 - 1_100..3 * 2_000 - 900).contains(&flooded), "{flooded}");
        assert_eq!(floods(3, 20_000, 100), 300);
        assert_eq!(floods(4, 30_000, 100), 0);
        novelty.rest(5 * MINUTE);
        assert!(!novelty.bits.is_empty());
        novelty.rest(6 * MINUTE);
        assert!(novelty.bits.is_empty());
    }

    proptest! {
        #[test]
        fn neither_order_nor_repeats_matter(names in vec((0..5u64, 0..5u64), 0..40)) {
            let edges: Vec<Edge> = names.iter().map(|(service, name)| edge(*service, *name)).collect();
            let mut twice: Vec<Edge> = edges.iter().rev().chain(&edges).copied().collect();
            twice.rotate_left(edges.len() / 2);
            prop_assert_eq!(of(&twice), of(&edges));
        }
    }
}
