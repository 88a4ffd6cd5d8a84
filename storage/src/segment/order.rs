//! The order of rows in a segment of `spans`: service, operation, start.

use std::collections::BTreeMap;

use crate::rows::SpanRows;

/// The templates of all batches, numbered.
pub(super) struct Templates {
    count: usize,
    /// By template: the place of its service and operation among all of them.
    ranks: Vec<u32>,
    /// By row.
    of_rows: Vec<u32>,
}

impl Templates {
    pub fn new(spans: &SpanRows) -> Self {
        let mut operations: BTreeMap<(&[u8], &[u8]), u32> = BTreeMap::new();
        let mut firsts = Vec::with_capacity(spans.batches.len());
        let mut count = 0;
        let all =
            || spans.batches.iter().flat_map(|batch| batch.templates().iter().map(move |template| (batch, template)));
        for batch in &spans.batches {
            firsts.push(count as u32);
            count += batch.templates().len();
        }
        let mut named = Vec::with_capacity(count);
        for (batch, template) in all() {
            let texts = batch.texts();
            let operation = (texts.bytes(batch.service_name(template)), texts.bytes(template.span_name));
            operations.insert(operation, 0);
            named.push(operation);
        }
        operations.values_mut().enumerate().for_each(|(rank, of)| *of = rank as u32);
        let ranks = named.iter().map(|operation| operations.get(operation).copied().unwrap_or_default()).collect();
        let of_rows =
            spans.rows.iter().enumerate().map(|(at, row)| firsts[row.span.batch as usize] + spans.head(at).template);
        let of_rows = of_rows.collect();
        Self { count, ranks, of_rows }
    }

    pub fn count(&self) -> usize {
        self.count
    }

    pub fn of_row(&self, row: u32) -> u32 {
        self.of_rows[row as usize]
    }

    /// Sorts rows as [`super::layout::sort_columns`] says, ascending, texts by their bytes.
    pub fn sort(&self, spans: &SpanRows, rows: &mut Vec<u32>) {
        // Equal starts stay in the order of their arrival.
        let mut keyed: Vec<(u32, i64, u32)> = rows
            .iter()
            .map(|&row| (self.ranks[self.of_row(row) as usize], spans.head(row as usize).start.0, row))
            .collect();
        keyed.sort_unstable();
        rows.clear();
        rows.extend(keyed.into_iter().map(|(_, _, row)| row));
    }
}
