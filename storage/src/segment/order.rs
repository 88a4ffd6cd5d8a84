//! The order of rows in segments of `spans`: date, service, operation, start.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::model::{SpanBatch, Template};
use crate::rows::SpanRows;

pub(super) const DAY_NANOS: i64 = 86_400_000_000_000;

/// Sorts rows by UTC date and then as [`super::layout::sort_columns`] says, ascending, texts by their bytes. Returns the
/// dates, in days since the epoch, and their rows.
pub(super) fn sort(spans: &mut SpanRows) -> Vec<(i64, Range<u32>)> {
    let ranks = ranks(spans);
    // Equal starts stay in the order of their arrival.
    let mut keyed: Vec<(i32, u32, i64, u32)> = (0..spans.len())
        .map(|row| {
            let head = spans.head(row);
            let rank = ranks[spans.rows[row].span.batch as usize][head.template as usize];
            // Days need far fewer bits than nanoseconds.
            (head.start.0.div_euclid(DAY_NANOS) as i32, rank, head.start.0, row as u32)
        })
        .collect();
    keyed.sort_unstable();
    spans.reorder(keyed.iter().map(|(.., row)| *row));
    let mut start = 0;
    let of_day = |rows: &[(i32, u32, i64, u32)]| {
        let range = start..start + rows.len() as u32;
        start = range.end;
        (i64::from(rows[0].0), range)
    };
    keyed.chunk_by(|one, next| one.0 == next.0).map(of_day).collect()
}

fn operation<'b>(batch: &'b SpanBatch, template: &Template) -> (&'b [u8], &'b [u8]) {
    let texts = batch.texts();
    (texts.bytes(batch.service_name(template)), texts.bytes(template.span_name))
}

/// By batch and template: the place of its service and operation among all of them.
fn ranks(spans: &SpanRows) -> Vec<Vec<u32>> {
    let mut operations: BTreeMap<(&[u8], &[u8]), u32> = BTreeMap::new();
    for batch in &spans.batches {
        operations.extend(batch.templates().iter().map(|template| (operation(batch, template), 0)));
    }
    operations.values_mut().enumerate().for_each(|(rank, of)| *of = rank as u32);
    let rank = |batch, template| operations.get(&operation(batch, template)).copied().unwrap_or_default();
    spans.batches.iter().map(|batch| batch.templates().iter().map(|template| rank(batch, template)).collect()).collect()
}

/// The templates of all batches, numbered.
pub(super) struct Templates {
    count: usize,
    /// By row.
    of_rows: Vec<u32>,
}

impl Templates {
    pub fn new(spans: &SpanRows) -> Self {
        let mut count = 0;
        let firsts: Vec<u32> = spans
            .batches
            .iter()
            .map(|batch| {
                let first = count;
                count += batch.templates().len();
                first as u32
            })
            .collect();
        let of_rows = spans.rows.iter().enumerate();
        let of_rows = of_rows.map(|(at, row)| firsts[row.span.batch as usize] + spans.head(at).template).collect();
        Self { count, of_rows }
    }

    pub fn count(&self) -> usize {
        self.count
    }

    /// How many rows each has.
    pub fn row_counts(&self) -> Vec<u32> {
        let mut counts = vec![0; self.count];
        self.of_rows.iter().for_each(|template| counts[*template as usize] += 1);
        counts
    }

    pub fn of_row(&self, row: u32) -> u32 {
        self.of_rows[row as usize]
    }
}
