//! A flush epoch: the batch of decisions that one flush makes durable.

use std::sync::Arc;

use arrow::array::RecordBatch;
use hashbrown::HashSet;

use crate::model::UnixNanos;
use crate::rows::{DENSE_PARTS, SpanRows};
use crate::wal::Lsn;

#[derive(Debug)]
pub struct Epoch {
    pub number: u64,
    /// Rows of `spans`, one item a batch of decisions.
    pub spans: Vec<Arc<SpanRows>>,
    /// Rows of `traces`.
    pub traces: Vec<RecordBatch>,
    pub span_count: usize,
    pub bytes: usize,
    /// The earliest record that its rows come from.
    pub first_lsn: Option<Lsn>,
    /// When its first rows were decided.
    pub since: Option<UnixNanos>,
    /// Where the batches lie that its rows are in: each counts in full, and once.
    batches: HashSet<usize>,
    /// Spans of those batches, its own or not.
    held_spans: usize,
}

impl Epoch {
    pub fn new(number: u64) -> Self {
        Self {
            number,
            spans: Vec::new(),
            traces: Vec::new(),
            span_count: 0,
            bytes: 0,
            first_lsn: None,
            since: None,
            batches: HashSet::new(),
            held_spans: 0,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.spans.is_empty() && self.traces.is_empty()
    }

    pub fn push(&mut self, first_lsn: Lsn, now: UnixNanos, spans: SpanRows, traces: Option<RecordBatch>) {
        self.first_lsn = Some(self.first_lsn.map_or(first_lsn, |known| known.min(first_lsn)));
        self.since.get_or_insert(now);
        self.span_count += spans.len();
        self.bytes += traces.as_ref().map_or(0, RecordBatch::get_array_memory_size);
        self.traces.extend(traces);
        if !spans.is_empty() {
            self.hold(spans);
        }
    }

    fn hold(&mut self, spans: SpanRows) {
        self.bytes += spans.row_bytes();
        for batch in &spans.batches {
            if self.batches.insert(Arc::as_ptr(batch).addr()) {
                self.bytes += batch.size_bytes();
                self.held_spans += batch.span_count();
            }
        }
        self.spans.push(Arc::new(spans));
    }

    /// Lets go of requests of which it has few spans, as after sampling: those are copied.
    pub fn thin(&mut self) {
        if self.span_count * DENSE_PARTS >= self.held_spans {
            return;
        }
        let mut spans = SpanRows::concat(&self.spans);
        if spans.drop_sparse_batches().is_err() {
            tracing::warn!("rows that are too large to copy hold on to their requests until they are flushed");
            return;
        }
        self.bytes = self.traces.iter().map(RecordBatch::get_array_memory_size).sum();
        self.batches.clear();
        self.held_spans = 0;
        self.spans.clear();
        self.hold(spans);
    }
}
