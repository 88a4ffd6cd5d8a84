//! Rows of `spans` in memory: references into the batches that requests brought, and what was derived of them.
//!
//! - this file: the rows themselves.
//! - `columns`: their columns, made when a query or a flush asks for them, and only those that it asks for.
//! - `attributes`: the nested ones.
//!
//! Rows are not copied from request to segment. A batch lives as long as rows refer to it.

mod attributes;
mod columns;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use hashbrown::HashMap;

use crate::derive::{RootNames, Verdict};
use crate::model::{
    CopiedOrigins, Entry, Head, SpanBatch, SpanBatchBuilder, Template, TextId, TooLarge, TraceId, TypedKey, ValueId,
    ValueType,
};
use crate::schema::spans as schema;

/// A span in a list of batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanRef {
    pub batch: u32,
    pub row: u32,
}

/// A batch of which fewer rows than one in this many are wanted is not kept for them.
pub(crate) const DENSE_PARTS: usize = 4;

/// One row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanRow {
    pub span: SpanRef,
    /// Among [`SpanRows::traces`].
    pub trace: u32,
    /// The parent's row; [`SpanRow::NOWHERE`] where it is missing.
    pub parent: u32,
    /// Steps from a root; -1 where a parent is missing on the way, or in a cycle.
    pub depth: i32,
    pub self_ns: i64,
    pub is_root: bool,
    pub is_entry: bool,
}

impl SpanRow {
    pub const NOWHERE: u32 = u32::MAX;
}

/// What the rows of a trace have in common.
#[derive(Debug, Clone)]
pub struct TraceFacts {
    pub trace_id: TraceId,
    pub root: Option<RootNames>,
    pub verdict: Verdict,
    pub complete: bool,
}

/// Rows of `spans`, trace by trace.
#[derive(Debug, Clone, Default)]
pub struct SpanRows {
    pub(crate) batches: Vec<Arc<SpanBatch>>,
    pub(crate) rows: Vec<SpanRow>,
    pub(crate) traces: Vec<TraceFacts>,
}

impl SpanRows {
    /// Spans of which nothing is derived, each a trace of its own kind: what a batch looks like as columns.
    pub fn underived(batch: SpanBatch) -> Self {
        let row = |(at, head): (usize, &Head)| SpanRow {
            span: SpanRef { batch: 0, row: at as u32 },
            trace: at as u32,
            parent: SpanRow::NOWHERE,
            depth: -1,
            self_ns: head.duration_nanos,
            is_root: head.parent_span_id().is_none(),
            is_entry: false,
        };
        let facts = |head: &Head| TraceFacts {
            trace_id: head.trace_id,
            root: None,
            verdict: Verdict::pending(),
            complete: false,
        };
        Self {
            rows: batch.heads().iter().enumerate().map(row).collect(),
            traces: batch.heads().iter().map(facts).collect(),
            batches: vec![Arc::new(batch)],
        }
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(crate) fn batch(&self, span: SpanRef) -> &SpanBatch {
        &self.batches[span.batch as usize]
    }

    pub(crate) fn head(&self, row: usize) -> &Head {
        let span = self.rows[row].span;
        &self.batch(span).heads()[span.row as usize]
    }

    pub(crate) fn template(&self, row: usize) -> (&SpanBatch, &Template) {
        let span = self.rows[row].span;
        let batch = self.batch(span);
        (batch, batch.template(span.row as usize))
    }

    /// The trace of a row.
    pub(crate) fn facts(&self, row: usize) -> &TraceFacts {
        &self.traces[self.rows[row].trace as usize]
    }

    /// A row's service name: the batch's number, and the text's in it.
    pub(crate) fn service(&self, row: usize) -> (u32, TextId) {
        let (batch, template) = self.template(row);
        (self.rows[row].span.batch, batch.service_name(template))
    }

    /// The rows of the traces that `wanted` takes, in order.
    pub fn of_traces(&self, wanted: impl Fn(&TraceId) -> bool) -> Vec<u32> {
        let takes: Vec<bool> = self.traces.iter().map(|trace| wanted(&trace.trace_id)).collect();
        let rows = self.rows.iter().enumerate();
        rows.filter(|(_, row)| takes[row.trace as usize]).map(|(at, _)| at as u32).collect()
    }

    /// Every row, in order.
    pub fn all(&self) -> Vec<u32> {
        (0..self.rows.len() as u32).collect()
    }

    /// The columns of [`schema::stored`] with these indexes, of the named rows in the order named.
    pub fn columns(&self, columns: &[usize], rows: &[u32]) -> Result<RecordBatch, ArrowError> {
        columns::of(self, columns, rows)
    }

    /// All columns of all rows.
    pub fn record_batch(&self) -> Result<RecordBatch, ArrowError> {
        let columns: Vec<usize> = (0..schema::stored().fields().len()).collect();
        self.columns(&columns, &self.all())
    }

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

    /// What a row's nested columns take at least, as columns repeat what rows have in common.
    pub(crate) fn nested_bytes(&self, row: usize) -> usize {
        let span = self.rows[row].span;
        let (batch, template) = self.template(row);
        let texts = batch.texts();
        let of_entry = |key: TypedKey, value: ValueId| {
            let value_bytes = match key.value_type() {
                ValueType::Text | ValueType::Json => texts.bytes(TextId(value.0)).len(),
                _ => size_of::<u64>(),
            };
            texts.bytes(key.key()).len() + value_bytes
        };
        let of_entries =
            |entries: &[Entry]| entries.iter().map(|entry| of_entry(entry.key, entry.value)).sum::<usize>();
        let attributes = batch.keys(template).iter().zip(batch.values(span.row as usize));
        attributes.map(|(key, value)| of_entry(*key, *value)).sum::<usize>()
            + of_entries(batch.resource(batch.resource_of(template)))
            + batch
                .events(span.row as usize)
                .iter()
                .map(|event| of_entries(batch.event_attributes(event)))
                .sum::<usize>()
            + batch.links(span.row as usize).iter().map(|link| of_entries(batch.link_attributes(link))).sum::<usize>()
    }
}
