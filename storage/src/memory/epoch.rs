//! A flush epoch: the batch of decisions that one flush makes durable.

use arrow::array::RecordBatch;

use crate::model::UnixNanos;
use crate::schema::Table;
use crate::wal::Lsn;

#[derive(Debug)]
pub struct Epoch {
    pub number: u64,
    pub spans: Vec<RecordBatch>,
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

    pub fn rows(&self, table: Table) -> &[RecordBatch] {
        match table {
            Table::Spans => &self.spans,
            Table::Traces => &self.traces,
        }
    }

    pub fn push(&mut self, first_lsn: Lsn, now: UnixNanos, spans: Option<RecordBatch>, traces: Option<RecordBatch>) {
        self.first_lsn = Some(self.first_lsn.map_or(first_lsn, |known| known.min(first_lsn)));
        self.since.get_or_insert(now);
        self.span_count += spans.as_ref().map_or(0, RecordBatch::num_rows);
        self.bytes += [&spans, &traces].into_iter().flatten().map(RecordBatch::get_array_memory_size).sum::<usize>();
        self.spans.extend(spans);
        self.traces.extend(traces);
    }
}
