//! A flush epoch: the batch of decisions that one flush makes durable.

use std::sync::Arc;

use arrow::array::RecordBatch;
use hashbrown::HashSet;

use crate::Result;
use crate::metrics::{BatchCounts, EdgeMetrics, LazyRows, SpanMetrics};
use crate::model::UnixNanos;
use crate::rows::{DENSE_PARTS, SpanRows};
use crate::schema::Table;
use crate::wal::Lsn;

#[derive(Debug)]
pub struct Epoch {
    pub number: u64,
    /// Rows of `spans`, one item a batch of decisions.
    pub spans: Vec<Arc<SpanRows>>,
    /// Rows of `traces`.
    pub traces: Vec<RecordBatch>,
    /// Of the requests since the epoch before was sealed.
    pub span_metrics: SpanMetrics,
    pub edge_metrics: EdgeMetrics,
    /// Rows of `paths`.
    pub paths: Vec<RecordBatch>,
    pub path_ids: Vec<i64>,
    path_bytes: usize,
    pub span_count: usize,
    pub bytes: usize,
    /// The earliest record that its rows come from.
    pub first_lsn: Option<Lsn>,
    /// When its first rows came.
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
            span_metrics: SpanMetrics::default(),
            edge_metrics: EdgeMetrics::default(),
            paths: Vec::new(),
            path_ids: Vec::new(),
            path_bytes: 0,
            span_count: 0,
            bytes: 0,
            first_lsn: None,
            since: None,
            batches: HashSet::new(),
            held_spans: 0,
        }
    }

    pub fn is_empty(&self) -> bool {
        let has_metrics = !self.span_metrics.is_empty() || !self.edge_metrics.is_empty();
        !self.has_decided() && self.paths.is_empty() && !has_metrics
    }

    /// Everything that it takes, where `bytes` is spans and digests.
    pub fn size_bytes(&self) -> usize {
        self.bytes + self.span_metrics.size_bytes() + self.edge_metrics.size_bytes() + self.path_bytes
    }

    /// Rows of metrics and paths.
    pub fn metric_rows(&self) -> usize {
        self.span_metrics.len() + self.edge_metrics.len() + self.path_ids.len()
    }

    /// Whether it has anything of decided traces, which flushing it would free.
    pub fn has_decided(&self) -> bool {
        !self.spans.is_empty() || !self.traces.is_empty()
    }

    fn begin(&mut self, first_lsn: Lsn, now: UnixNanos) {
        self.first_lsn = Some(self.first_lsn.map_or(first_lsn, |known| known.min(first_lsn)));
        self.since.get_or_insert(now);
    }

    /// The request at `lsn` was counted.
    pub fn count(&mut self, lsn: Lsn, now: UnixNanos, counts: BatchCounts) {
        if !counts.is_empty() {
            self.begin(lsn, now);
            self.span_metrics.add(counts);
        }
    }

    pub fn push(&mut self, first_lsn: Lsn, now: UnixNanos, spans: SpanRows, traces: Option<RecordBatch>) {
        self.begin(first_lsn, now);
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

    pub fn row_count(&self, table: Table) -> usize {
        let of = |batches: &[RecordBatch]| batches.iter().map(RecordBatch::num_rows).sum();
        match table {
            Table::Spans => self.span_count,
            Table::Traces => of(&self.traces),
            Table::SpanMetrics => self.span_metrics.len(),
            Table::EdgeMetrics => self.edge_metrics.len(),
            Table::Paths => of(&self.paths),
        }
    }

    /// Rows of a table as columns. Takes its time.
    pub fn columns(&self, table: Table) -> Result<Vec<RecordBatch>> {
        Ok(match table {
            Table::Spans => self.spans.iter().map(|rows| rows.record_batch()).collect::<Result<_, _>>()?,
            Table::Traces => self.traces.clone(),
            Table::SpanMetrics => vec![self.span_metrics.view().merged().columns()?],
            Table::EdgeMetrics => vec![self.edge_metrics.view().merged().columns()?],
            Table::Paths => self.paths.clone(),
        })
    }

    /// Paths that were met for the first time.
    pub fn add_paths(&mut self, ids: Vec<i64>, rows: RecordBatch) {
        self.path_bytes += rows.get_array_memory_size();
        self.path_ids.extend(ids);
        self.paths.push(rows);
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
