//! What was counted of some spans: rows by window and names, and the buckets of their durations.

use super::buckets::{PLACES, place_of};
use super::{Bucket, Head, Totals};
use crate::model::UnixNanos;

/// Some texts in one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Names<const N: usize> {
    text: Box<str>,
    ends: [u32; N],
}

impl<const N: usize> Names<N> {
    pub fn new(names: [&str; N]) -> Self {
        // Texts of a batch are bounded far below 32 bits.
        let mut end = 0;
        Self {
            ends: names.map(|name| {
                end += name.len() as u32;
                end
            }),
            text: names.concat().into_boxed_str(),
        }
    }

    pub fn get(&self, at: usize) -> &str {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.text.get(start as usize..self.ends[at] as usize).unwrap_or_default()
    }

    pub fn each(&self) -> [&str; N] {
        std::array::from_fn(|at| self.get(at))
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub window: UnixNanos,
    /// Among [`Counts::names`].
    pub names: u32,
    /// Where its buckets end.
    buckets_end: u32,
    pub totals: Totals,
}

/// Rows by window and `N` names, which may occur several times.
#[derive(Debug)]
pub struct Counts<const N: usize> {
    names: Vec<Names<N>>,
    rows: Vec<Row>,
    buckets: Vec<Bucket>,
}

impl<const N: usize> Default for Counts<N> {
    fn default() -> Self {
        Self { names: Vec::new(), rows: Vec::new(), buckets: Vec::new() }
    }
}

impl<const N: usize> Counts<N> {
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The memory that they take.
    pub fn size_bytes(&self) -> usize {
        let texts: usize = self.names.iter().map(|names| names.text.len()).sum();
        size_of_val(&*self.names) + texts + size_of_val(&*self.rows) + size_of_val(&*self.buckets)
    }

    pub(super) fn names(&self) -> &[Names<N>] {
        &self.names
    }

    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The buckets of the row at `at`.
    pub(super) fn buckets(&self, at: usize) -> &[Bucket] {
        let start = at.checked_sub(1).map_or(0, |before| self.rows[before].buckets_end);
        self.buckets.get(start as usize..self.rows[at].buckets_end as usize).unwrap_or_default()
    }

    /// Adds names, and returns their number.
    pub(super) fn add_names(&mut self, names: Names<N>) -> u32 {
        self.names.push(names);
        self.names.len() as u32 - 1
    }

    /// Adds a row with what `gauge` has gathered.
    pub(super) fn add_row(&mut self, window: UnixNanos, names: u32, totals: Totals, gauge: &mut Gauge) {
        gauge.empty_into(&mut self.buckets);
        self.rows.push(Row { window, names, buckets_end: self.buckets.len() as u32, totals });
    }
}

/// Counts spans, in any order.
#[derive(Debug, Default)]
pub(super) struct Counter<const N: usize> {
    counts: Counts<N>,
    /// A row of each span that took time, and the place of its bucket. Spans are numbered with 32 bits.
    places: Vec<(u32, u16)>,
}

impl<const N: usize> Counter<N> {
    pub fn with_capacity(spans: usize) -> Self {
        Self { counts: Counts::default(), places: Vec::with_capacity(spans) }
    }

    pub fn add_names(&mut self, names: [&str; N]) -> u32 {
        self.counts.add_names(Names::new(names))
    }

    pub fn names(&self, number: u32) -> &Names<N> {
        &self.counts.names[number as usize]
    }

    pub fn add_row(&mut self, window: UnixNanos, names: u32) -> u32 {
        self.counts.rows.push(Row { window, names, buckets_end: 0, totals: Totals::NOTHING });
        self.counts.rows.len() as u32 - 1
    }

    #[inline]
    pub fn add_span(&mut self, row: u32, nanos: i64, head: Head, is_error: bool) {
        self.counts.rows[row as usize].totals.add(nanos, head, is_error);
        if let Ok(nanos @ 1..) = u64::try_from(nanos) {
            self.places.push((row, place_of(nanos)));
        }
    }

    pub fn finish(mut self) -> Counts<N> {
        let of_row = |row: &Row| (row.totals.spans - row.totals.zeros) as usize;
        let mut next: Vec<u32> = Vec::with_capacity(self.counts.rows.len());
        let mut end = 0;
        for row in &self.counts.rows {
            next.push(end);
            end += of_row(row) as u32;
        }
        let mut by_row = vec![0_u16; self.places.len()];
        for (row, place) in &self.places {
            let at = &mut next[*row as usize];
            by_row[*at as usize] = *place;
            *at += 1;
        }
        let mut gauge = Gauge::default();
        let mut rest = &by_row[..];
        let Counts { rows, buckets, .. } = &mut self.counts;
        for row in rows {
            let (own, others) = rest.split_at(of_row(row));
            rest = others;
            own.iter().for_each(|place| gauge.add(*place, 1));
            gauge.empty_into(buckets);
            row.buckets_end = buckets.len() as u32;
        }
        self.counts
    }
}

/// The buckets of one row while it is counted, by place.
#[derive(Debug)]
pub(super) struct Gauge {
    counts: [u64; PLACES],
    touched: [u64; PLACES / 64],
}

impl Default for Gauge {
    fn default() -> Self {
        Self { counts: [0; PLACES], touched: [0; PLACES / 64] }
    }
}

impl Gauge {
    #[inline]
    pub fn add(&mut self, place: u16, count: u64) {
        let place = usize::from(place) % PLACES;
        self.counts[place] = self.counts[place].saturating_add(count);
        self.touched[place / 64] |= 1 << (place % 64);
    }

    /// Appends what there is, in order of places, and begins again.
    fn empty_into(&mut self, buckets: &mut Vec<Bucket>) {
        for (word, bits) in self.touched.iter_mut().enumerate() {
            while *bits != 0 {
                let place = word * 64 + bits.trailing_zeros() as usize;
                *bits &= *bits - 1;
                buckets.push(Bucket::new(place as u16, std::mem::take(&mut self.counts[place])));
            }
        }
    }
}
