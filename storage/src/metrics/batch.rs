//! A request's spans, counted before anyone holds memory.
//!
//! Names are the batch's own numbers, read as text only where a row is new. Most spans of a template lie in the same window,
//! so that they find their row without a search.

use std::hash::Hasher;

use hashbrown::HashMap;

use super::buckets::{PLACES, place_of};
use super::{Bucket, Head, Totals, WINDOW_NANOS, window_of};
use crate::model::{SpanBatch, TextId, UnixNanos, hasher};

/// A row of one request.
#[derive(Debug)]
pub(super) struct Counted {
    pub window: UnixNanos,
    /// Service, span name, kind and status, in the batch's texts.
    pub names: [TextId; 4],
    pub hash: u64,
    pub totals: Totals,
    buckets_end: u32,
}

/// Rows of `span_metrics` of one request.
#[derive(Debug, Default)]
pub struct BatchCounts {
    rows: Vec<Counted>,
    buckets: Vec<Bucket>,
}

/// Where the spans of a template were counted last.
#[derive(Debug, Clone, Copy)]
struct Slot {
    window: UnixNanos,
    row: u32,
    head: Head,
}

const NO_ROW: u32 = u32::MAX;

impl BatchCounts {
    pub fn of(batch: &SpanBatch) -> Self {
        let empty = Slot { window: UnixNanos(0), row: NO_ROW, head: Head::ALL };
        let mut slots = vec![empty; batch.templates().len()];
        let mut rows = Rows { batch, rows: Vec::new(), numbers: HashMap::new() };
        // A batch's spans are numbered with 32 bits.
        let mut places: Vec<(u32, u16)> = Vec::with_capacity(batch.span_count());
        for head in batch.heads() {
            let slot = &mut slots[head.template as usize];
            let is_within = (0..WINDOW_NANOS).contains(&head.start.since(slot.window));
            if slot.row == NO_ROW || !is_within {
                rows.find(slot, head.template, window_of(head.start));
            }
            let totals = &mut rows.rows[slot.row as usize].totals;
            totals.add(head.duration_nanos, slot.head, false);
            if let Ok(nanos @ 1..) = u64::try_from(head.duration_nanos) {
                places.push((slot.row, place_of(nanos)));
            }
        }
        let mut counts = Self { rows: rows.rows, buckets: Vec::new() };
        counts.count_places(&places);
        counts
    }

    /// Makes buckets of the spans' rows and places.
    fn count_places(&mut self, places: &[(u32, u16)]) {
        let of_row = |row: &Counted| (row.totals.spans - row.totals.zeros) as usize;
        let mut next: Vec<u32> = Vec::with_capacity(self.rows.len());
        let mut end = 0;
        for row in &self.rows {
            next.push(end);
            end += of_row(row) as u32;
        }
        let mut by_row = vec![0_u16; places.len()];
        for (row, place) in places {
            let at = &mut next[*row as usize];
            by_row[*at as usize] = *place;
            *at += 1;
        }
        let mut counts = [0_u32; PLACES];
        let mut touched = [0_u64; PLACES / 64];
        let mut rest = &by_row[..];
        for row in &mut self.rows {
            let (own, others) = rest.split_at(of_row(row));
            rest = others;
            for place in own {
                counts[usize::from(*place) % PLACES] += 1;
                touched[usize::from(*place) / 64 % touched.len()] |= 1 << (place % 64);
            }
            for (word, bits) in touched.iter_mut().enumerate() {
                while *bits != 0 {
                    let place = word * 64 + bits.trailing_zeros() as usize;
                    *bits &= *bits - 1;
                    self.buckets.push(Bucket::new(place as u16, std::mem::take(&mut counts[place % PLACES])));
                }
            }
            row.buckets_end = self.buckets.len() as u32;
        }
    }

    /// Rows and their buckets.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&Counted, &[Bucket])> {
        let mut start = 0;
        self.rows.iter().map(move |row| {
            let buckets = self.buckets.get(start..row.buckets_end as usize).unwrap_or_default();
            start = row.buckets_end as usize;
            (row, buckets)
        })
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The memory that they take.
    pub fn size_bytes(&self) -> usize {
        size_of_val(&*self.rows) + size_of_val(&*self.buckets)
    }
}

struct Rows<'b> {
    batch: &'b SpanBatch,
    rows: Vec<Counted>,
    numbers: HashMap<([TextId; 4], UnixNanos), u32>,
}

impl Rows<'_> {
    /// Sets a template's slot to its row of `window`.
    fn find(&mut self, slot: &mut Slot, template: u32, window: UnixNanos) {
        let template = &self.batch.templates()[template as usize];
        let texts = self.batch.texts();
        if slot.row == NO_ROW && !template.trace_state.is_none() {
            slot.head = Head::of(texts.text(template.trace_state));
        }
        let names = [self.batch.service_name(template), template.span_name, template.kind, template.status_code];
        let rows = &mut self.rows;
        let row = *self.numbers.entry((names, window)).or_insert_with(|| {
            let hash = hash_of(window, names.map(|name| texts.bytes(name)));
            rows.push(Counted { window, names, hash, totals: Totals::NOTHING, buckets_end: 0 });
            rows.len() as u32 - 1
        });
        (slot.window, slot.row) = (window, row);
    }
}

/// Of a row's window and names.
pub(super) fn hash_of<const N: usize>(window: UnixNanos, names: [&[u8]; N]) -> u64 {
    let mut hasher = hasher();
    hasher.write_i64(window.0);
    for name in names {
        hasher.write_usize(name.len());
        hasher.write(name);
    }
    hasher.finish()
}
