//! An answer: batches as they come, and what it took to find them.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::MetricValue;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::timeout_at;

use crate::basis::{Basis, Figures, Note, Weights};
use crate::error::{Error, Result};
use crate::table::MemoryScan;
use crate::threads::Task;
use crate::topk::LateRowsExec;

/// What a query cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Stats {
    pub ms: f64,
    pub rows_scanned: u64,
    pub bytes_scanned: u64,
    pub segments_scanned: u64,
    pub segments_total: u64,
    /// What the answer's figures rest on.
    pub basis: Basis,
    /// What a reader should know before acting on them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<Note>,
}

impl Stats {
    /// The cost of both, asked at the same time.
    pub fn and(self, other: Self) -> Self {
        Self {
            ms: self.ms.max(other.ms),
            rows_scanned: self.rows_scanned.saturating_add(other.rows_scanned),
            bytes_scanned: self.bytes_scanned.saturating_add(other.bytes_scanned),
            segments_scanned: self.segments_scanned.saturating_add(other.segments_scanned),
            segments_total: self.segments_total.saturating_add(other.segments_total),
            basis: self.basis.max(other.basis),
            note: self.note.or(other.note),
        }
    }
}

/// The rows of a query as a stream. Dropping it stops the query.
#[derive(Debug)]
pub struct SqlAnswer {
    pub(crate) schema: SchemaRef,
    pub(crate) batches: mpsc::Receiver<Result<RecordBatch>>,
    pub(crate) plan: Arc<dyn ExecutionPlan>,
    pub(crate) segments_total: u64,
    pub(crate) figures: Figures,
    /// Empty until the weights are known; the first rows come after that.
    pub(crate) weights: Arc<OnceLock<Weights>>,
    pub(crate) rows_left: usize,
    pub(crate) truncated: bool,
    pub(crate) started: Instant,
    pub(crate) deadline: Instant,
    pub(crate) timeout: Duration,
    pub(crate) finished_ms: Option<f64>,
    pub(crate) _task: Task<()>,
    pub(crate) _permit: Arc<OwnedSemaphorePermit>,
}

impl SqlAnswer {
    /// The columns, known before the first row.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The next rows; `None` after the last or once the row limit is reached. After an error nothing follows.
    pub async fn next(&mut self) -> Option<Result<RecordBatch>> {
        loop {
            // The query's own task ends at the deadline too, but cannot say so while it computes or the channel is full.
            let Ok(received) = timeout_at(self.deadline.into(), self.batches.recv()).await else {
                self.finish();
                return Some(Err(Error::Timeout { limit_ms: self.timeout.as_millis() }));
            };
            let batch = match received {
                Some(Ok(batch)) => batch,
                Some(Err(error)) => {
                    self.finish();
                    return Some(Err(error));
                }
                None => {
                    self.finish();
                    return None;
                }
            };
            if batch.num_rows() == 0 {
                continue;
            }
            if batch.num_rows() <= self.rows_left {
                self.rows_left -= batch.num_rows();
                return Some(Ok(batch));
            }
            self.truncated = true;
            self.finish();
            let rest = std::mem::take(&mut self.rows_left);
            return (rest > 0).then(|| Ok(batch.slice(0, rest)));
        }
    }

    /// All remaining rows.
    pub async fn collect(&mut self) -> Result<Vec<RecordBatch>> {
        let mut batches = Vec::new();
        while let Some(batch) = self.next().await {
            batches.push(batch?);
        }
        Ok(batches)
    }

    /// Whether rows were left out because of the row limit; final once `next` gave `None`.
    pub fn truncated(&self) -> bool {
        self.truncated
    }

    /// What the query cost so far.
    pub fn stats(&self) -> Stats {
        let (basis, note) = self.figures.basis(self.weights.get().copied());
        let mut stats = Stats {
            basis,
            note,
            ms: self.finished_ms.unwrap_or_else(|| elapsed_ms(self.started)),
            segments_total: self.segments_total,
            ..Stats::default()
        };
        add_scans(self.plan.as_ref(), &mut stats);
        stats
    }

    fn finish(&mut self) {
        self.batches.close();
        self.deadline = Instant::now();
        self.finished_ms.get_or_insert_with(|| elapsed_ms(self.started));
    }
}

pub(crate) fn elapsed_ms(started: Instant) -> f64 {
    (started.elapsed().as_secs_f64() * 1e6).round() / 1e3
}

/// Adds up the metrics of the plan's scans.
fn add_scans(plan: &dyn ExecutionPlan, stats: &mut Stats) {
    let mut files = HashSet::new();
    let mut open = vec![plan];
    while let Some(node) = open.pop() {
        let children = node.children();
        if children.is_empty() || node.is::<LateRowsExec>() {
            add_scan(node, stats, &mut files);
        }
        open.extend(children.into_iter().map(|child| child.as_ref()));
    }
    stats.segments_scanned = files.len() as u64;
}

fn add_scan(leaf: &dyn ExecutionPlan, stats: &mut Stats, files: &mut HashSet<String>) {
    let scan = leaf.downcast_ref::<DataSourceExec>();
    if let Some(memory) = scan.and_then(|scan| scan.data_source().downcast_ref::<MemoryScan>()) {
        // Scans of memory keep no metrics, and pass all their rows on unless a limit ends the query.
        stats.rows_scanned = stats.rows_scanned.saturating_add(memory.row_count() as u64);
        return;
    }
    let Some(metrics) = leaf.metrics() else { return };
    for metric in metrics.iter() {
        let add = |to: &mut u64, count: usize| *to = to.saturating_add(count as u64);
        match metric.value() {
            MetricValue::OutputRows(count) => add(&mut stats.rows_scanned, count.value()),
            MetricValue::Count { name, count } if name == "pushdown_rows_pruned" => {
                add(&mut stats.rows_scanned, count.value());
            }
            MetricValue::Count { name, count } if name == "bytes_scanned" => {
                add(&mut stats.bytes_scanned, count.value());
            }
            _ => {}
        }
    }
    if scan.is_some() {
        // A file counts once its reader has asked for bytes of it.
        for metric in metrics.iter() {
            if let MetricValue::Count { name, count } = metric.value()
                && name == "bytes_scanned"
                && count.value() > 0
                && let Some(file) = metric.labels().iter().find(|label| label.name() == "filename")
            {
                files.insert(file.value().to_owned());
            }
        }
    }
}
