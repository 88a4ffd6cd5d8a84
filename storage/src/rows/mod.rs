//! Rows of `spans` in memory: references into the batches that requests brought, and what was derived of them.
//!
//! - this file: the rows themselves.
//! - `arrange`: rows of several parts together, in another order, and out of batches that are mostly others'.
//! - `columns`: their columns, made when a query or a flush asks for them, and only those that it asks for.
//! - `attributes`: the nested ones.
//!
//! Rows are not copied from request to segment. A batch lives as long as rows refer to it.

#[cfg(feature = "catalog")]
mod arrange;
mod attributes;
mod columns;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;

use crate::derive::{self, PathId, RootNames, Verdict};
use crate::model::{Entry, Head, SpanBatch, Template, TextId, TraceId, TypedKey, ValueId, ValueType};
use crate::schema::spans as schema;

#[cfg(feature = "catalog")]
pub(crate) use arrange::DENSE_PARTS;

/// A span in a list of batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanRef {
    pub batch: u32,
    pub row: u32,
}

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
    /// `None` in a cycle.
    pub path: Option<PathId>,
    pub self_ns: i64,
    /// Of these, those on the critical path; [`SpanRow::UNKNOWN`] where that is not known.
    pub critical_ns: i64,
    pub is_root: bool,
    pub is_entry: bool,
}

impl SpanRow {
    pub const NOWHERE: u32 = u32::MAX;
    pub const UNKNOWN: i64 = -1;
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
            path: None,
            self_ns: head.duration_nanos,
            critical_ns: SpanRow::UNKNOWN,
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

    /// The type of the exception that left the span.
    pub(crate) fn exception_type(&self, row: usize) -> Option<&str> {
        let span = self.rows[row].span;
        derive::exception_type(self.batch(span), span.row as usize)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_takes_48_bytes() {
        assert_eq!(size_of::<SpanRow>(), 48);
    }
}
