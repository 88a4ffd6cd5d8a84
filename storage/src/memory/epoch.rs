//! A flush epoch: the batch of decisions that one flush makes durable.

use std::sync::Arc;

use arrow::array::RecordBatch;

use crate::model::UnixNanos;
use crate::rows::SpanRows;
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
}

impl Epoch {
    pub fn new(number: u64) -> Self {
        Self { number, spans: Vec::new(), traces: Vec::new(), span_count: 0, bytes: 0, first_lsn: None, since: None }
    }

    pub fn is_empty(&self) -> bool {
        self.spans.is_empty() && self.traces.is_empty()
    }

    pub fn push(&mut self, first_lsn: Lsn, now: UnixNanos, spans: SpanRows, traces: Option<RecordBatch>) {
        self.first_lsn = Some(self.first_lsn.map_or(first_lsn, |known| known.min(first_lsn)));
        self.since.get_or_insert(now);
        self.span_count += spans.len();
        self.bytes += spans.size_bytes() + traces.as_ref().map_or(0, RecordBatch::get_array_memory_size);
        if !spans.is_empty() {
            self.spans.push(Arc::new(spans));
        }
        self.traces.extend(traces);
    }
}
