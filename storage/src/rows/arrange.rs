//! Rows of several parts together, in another order, and out of batches that are mostly others'.

use std::sync::Arc;

use hashbrown::HashMap;

use super::{SpanRef, SpanRow, SpanRows};
use crate::model::{CopiedOrigins, SpanBatch, SpanBatchBuilder, TooLarge};

/// A batch of which fewer rows than one in this many are wanted is not kept for them.
pub(crate) const DENSE_PARTS: usize = 4;

impl SpanRows {
    /// The rows of all parts, one behind the other. A batch that several refer to is there once.
    pub(crate) fn concat(parts: &[Arc<Self>]) -> Self {
        let mut all = Self::default();
        let mut known: HashMap<*const SpanBatch, u32> = HashMap::new();
        all.rows.reserve_exact(parts.iter().map(|part| part.rows.len()).sum());
        for part in parts {
            let mut number_of = |batch: &Arc<SpanBatch>| {
                *known.entry(Arc::as_ptr(batch)).or_insert_with(|| {
                    all.batches.push(Arc::clone(batch));
                    all.batches.len() as u32 - 1
                })
            };
            let batches: Vec<u32> = part.batches.iter().map(&mut number_of).collect();
            let (first_row, first_trace) = (all.rows.len() as u32, all.traces.len() as u32);
            all.rows.extend(part.rows.iter().map(|row| SpanRow {
                span: SpanRef { batch: batches[row.span.batch as usize], ..row.span },
                trace: row.trace + first_trace,
                parent: if row.parent == SpanRow::NOWHERE { row.parent } else { row.parent + first_row },
                ..*row
            }));
            all.traces.extend(part.traces.iter().cloned());
        }
        all
    }

    /// Puts the rows into another order, which names each of them once.
    pub(crate) fn reorder(&mut self, order: impl ExactSizeIterator<Item = u32> + Clone) {
        let mut places = vec![0; self.rows.len()];
        order.clone().enumerate().for_each(|(place, row)| places[row as usize] = place as u32);
        let moved = |row: u32| {
            let row = self.rows[row as usize];
            let parent = if row.parent == SpanRow::NOWHERE { row.parent } else { places[row.parent as usize] };
            SpanRow { parent, ..row }
        };
        self.rows = order.map(moved).collect();
    }

    /// The memory of the rows, without the batches that they refer to.
    pub(crate) fn row_bytes(&self) -> usize {
        size_of_val(&*self.rows) + size_of_val(&*self.traces) + size_of_val(&*self.batches)
    }

    fn rows_by_batch(&self) -> Vec<usize> {
        let mut counts = vec![0; self.batches.len()];
        self.rows.iter().for_each(|row| counts[row.span.batch as usize] += 1);
        counts
    }

    /// Lets go of batches of which the rows are a small part: those rows are copied. An error leaves all as it was.
    pub(crate) fn drop_sparse_batches(&mut self) -> Result<(), TooLarge> {
        let counts = self.rows_by_batch();
        let is_sparse: Vec<bool> =
            self.batches.iter().zip(counts).map(|(batch, rows)| rows * DENSE_PARTS < batch.span_count()).collect();
        if !is_sparse.contains(&true) {
            return Ok(());
        }
        let mut copies = SpanBatchBuilder::default();
        let mut origins: Vec<CopiedOrigins> = is_sparse.iter().map(|_| CopiedOrigins::default()).collect();
        for SpanRow { span, .. } in &self.rows {
            let from = span.batch as usize;
            if is_sparse[from] {
                copies.copy(&self.batches[from], span.row as usize, &mut origins[from]);
            }
        }
        let copies = copies.finish()?;

        let mut numbers = Vec::with_capacity(is_sparse.len());
        let mut batches = Vec::with_capacity(is_sparse.len());
        for (batch, is_sparse) in self.batches.iter().zip(&is_sparse) {
            numbers.push(batches.len() as u32);
            batches.extend((!is_sparse).then(|| Arc::clone(batch)));
        }
        let mut copied = 0;
        for SpanRow { span, .. } in &mut self.rows {
            if is_sparse[span.batch as usize] {
                *span = SpanRef { batch: batches.len() as u32, row: copied };
                copied += 1;
            } else {
                span.batch = numbers[span.batch as usize];
            }
        }
        batches.push(Arc::new(copies));
        self.batches = batches;
        Ok(())
    }
}
