//! The shape of a trace: which edges it has, whatever their order and number.
//!
//! The wrapping sum, over distinct edges, of a hash of ((parent service, name), (service, name), kind, error bit); a set of
//! edges tells traces apart as well as their trees do (Gleaner, arXiv 2604.16810). Beside it the coarse shape, of edges
//! between services alone.
//!
//! Of more than [`MAX_EDGES`] distinct edges those with the least hashes count, which does not depend on their order either.

use std::mem;

use xxhash_rust::xxh3::xxh3_64;

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
}

/// One for many traces: `finish` leaves it empty, and its memory stays.
#[derive(Debug, Clone, Default)]
pub struct ShapeBuilder {
    fine: Vec<u64>,
    coarse: Vec<u64>,
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
        add(&mut self.fine, xxh3_64(&bytes));
        add(&mut self.coarse, xxh3_64(&bytes[..16]));
    }

    pub fn finish(&mut self) -> Shape {
        Shape { fine: sum(&mut self.fine), coarse: sum(&mut self.coarse) }
    }
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
        Edge { parent_service: 1, parent_name: 2, service, name, kind: 3, error: false }
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
