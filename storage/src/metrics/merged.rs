//! Counts of several in one, each window and names once.

use std::sync::Arc;

use hashbrown::HashMap;

use super::counts::{Gauge, Names};
use super::{Counts, Totals};
use crate::model::UnixNanos;

/// A row to be merged: the rank of its names, its window, and where it is.
type Place = (u32, UnixNanos, u32, u32);

/// Rows of equal window and names become one. The order is that of names, then windows.
pub(super) fn merged<const N: usize>(parts: &[Arc<Counts<N>>]) -> Counts<N> {
    let mut merged = Counts::default();
    let ranks = ranks(parts, &mut merged);
    let mut places: Vec<Place> = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
    for (number, (part, ranks)) in parts.iter().zip(&ranks).enumerate() {
        let rows = part.rows().iter().enumerate();
        places.extend(rows.map(|(at, row)| (ranks[row.names as usize], row.window, number as u32, at as u32)));
    }
    places.sort_unstable();
    let mut gauge = Gauge::default();
    for same in places.chunk_by(|one, next| (one.0, one.1) == (next.0, next.1)) {
        let mut totals = Totals::NOTHING;
        for (_, _, part, at) in same {
            let (part, at) = (&parts[*part as usize], *at as usize);
            totals.merge(&part.rows()[at].totals);
            part.buckets(at).iter().for_each(|bucket| gauge.add(bucket.place(), bucket.count()));
        }
        let (rank, window, ..) = same[0];
        merged.add_row(window, rank, totals, &mut gauge);
    }
    merged
}

/// By part, by the number that names have in it: their rank among all names, which `merged` gets in that order.
fn ranks<const N: usize>(parts: &[Arc<Counts<N>>], merged: &mut Counts<N>) -> Vec<Vec<u32>> {
    let mut numbers: HashMap<&Names<N>, u32> = HashMap::new();
    let numbered: Vec<Vec<u32>> = parts
        .iter()
        .map(|part| {
            let names = part.names().iter();
            names
                .map(|names| {
                    let next = numbers.len() as u32;
                    *numbers.entry(names).or_insert(next)
                })
                .collect()
        })
        .collect();
    let mut sorted: Vec<(&Names<N>, u32)> = numbers.into_iter().collect();
    sorted.sort_unstable_by(|(one, _), (other, _)| one.each().cmp(&other.each()));
    let mut ranks = vec![0; sorted.len()];
    for (names, number) in sorted {
        ranks[number as usize] = merged.add_names(names.clone());
    }
    let ranked = numbered.into_iter().map(|numbers| numbers.into_iter().map(|number| ranks[number as usize]).collect());
    ranked.collect()
}
