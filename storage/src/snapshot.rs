//! What a query sees: pending ∪ buffer ∪ live segments, each span exactly once.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use object_store::ObjectStore;
use object_store::path::Path;

use crate::metrics::LazyRows;
use crate::model::{TraceId, UnixNanos};
use crate::rows::SpanRows;
use crate::schema::promoted::{Keys, Promoted};
use crate::schema::{ByTable, Table, spans};

/// One consistent view of every table. It never changes; a later one is taken for later data.
pub type Snapshot = ByTable<TableSnapshot>;

/// One table's rows: some in memory, the others in segments.
#[derive(Debug, Clone, Default)]
pub struct TableSnapshot {
    pub memory: Vec<MemoryRows>,
    pub segments: Vec<Arc<Segment>>,
    /// The Delta version that lists the segments.
    pub version: i64,
    /// Attributes with a column of their own, in the order of the table's columns; of `spans` alone.
    pub promoted: Arc<[Promoted]>,
}

/// Rows in memory, in no order.
#[derive(Debug, Clone)]
pub enum MemoryRows {
    /// Of `spans`.
    Spans(Arc<SpanRows>),
    /// Of any table, with the columns of `Table::schema`.
    Columns(RecordBatch),
    /// The same, made when a query reads them.
    Lazy(Arc<dyn LazyRows>),
}

impl MemoryRows {
    pub fn row_count(&self) -> usize {
        match self {
            Self::Spans(rows) => rows.len(),
            Self::Columns(batch) => batch.num_rows(),
            Self::Lazy(rows) => rows.row_count(),
        }
    }

    /// The rows of `traces` alone if any are named, cut where a batch of these columns ends. Nothing is made yet.
    pub fn parts(&self, columns: &[usize], traces: Option<&HashSet<TraceId>>) -> Vec<MemoryPart> {
        match self {
            Self::Spans(spans) => parts_of_spans(spans, columns, traces),
            Self::Columns(batch) => vec![MemoryPart(Part::Columns(batch.clone()))],
            Self::Lazy(rows) => {
                let part = |start| start..rows.row_count().min(start + BATCH_ROWS);
                let starts = (0..rows.row_count()).step_by(BATCH_ROWS);
                starts.map(|start| MemoryPart(Part::Lazy(Arc::clone(rows), part(start)))).collect()
            }
        }
    }
}

fn parts_of_spans(spans: &Arc<SpanRows>, columns: &[usize], traces: Option<&HashSet<TraceId>>) -> Vec<MemoryPart> {
    let rows = match traces {
        Some(ids) => spans.of_traces(|id| ids.contains(id)),
        None => spans.all(),
    };
    let nested = [spans::ATTRIBUTES, spans::RESOURCE, spans::EVENTS, spans::LINKS];
    let table = Table::Spans.schema();
    let has_nested = columns.iter().any(|column| nested.contains(&table.field(*column).name().as_str()));
    let mut parts = Vec::new();
    let mut part = Vec::new();
    let mut bytes = 0;
    for row in rows {
        bytes += if has_nested { spans.nested_bytes(row as usize) } else { 0 };
        part.push(row);
        if part.len() == BATCH_ROWS || bytes >= BATCH_BYTES {
            bytes = 0;
            parts.push(MemoryPart(Part::Spans(Arc::clone(spans), std::mem::take(&mut part))));
        }
    }
    if !part.is_empty() {
        parts.push(MemoryPart(Part::Spans(Arc::clone(spans), part)));
    }
    parts
}

/// As many rows as query engines like in a batch.
const BATCH_ROWS: usize = 8_192;
/// Columns repeat what rows have in common, so that a batch may be a thousand times larger than its rows.
const BATCH_BYTES: usize = 16 << 20;

/// Rows in memory that make one batch of columns.
#[derive(Debug, Clone)]
pub struct MemoryPart(Part);

#[derive(Debug, Clone)]
enum Part {
    Spans(Arc<SpanRows>, Vec<u32>),
    Columns(RecordBatch),
    Lazy(Arc<dyn LazyRows>, Range<usize>),
}

impl MemoryPart {
    pub fn row_count(&self) -> usize {
        match &self.0 {
            Part::Spans(_, rows) => rows.len(),
            Part::Columns(batch) => batch.num_rows(),
            Part::Lazy(_, rows) => rows.len(),
        }
    }

    /// Makes the columns with these indexes in `Table::schema`, so call it off the async threads.
    pub fn columns(&self, columns: &[usize]) -> Result<RecordBatch, ArrowError> {
        match &self.0 {
            Part::Spans(spans, rows) => spans.columns(columns, rows),
            Part::Columns(batch) => batch.project(columns),
            Part::Lazy(lazy, rows) => Ok(lazy.columns()?.project(columns)?.slice(rows.start, rows.len())),
        }
    }
}

/// A live Parquet file and what is known of it without opening it.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// In the object store of [`SnapshotSource::object_store`].
    pub location: Path,
    pub size_bytes: u64,
    pub row_count: u64,
    /// The earliest and the latest start among its rows, exact.
    pub start_range: Option<(UnixNanos, UnixNanos)>,
    pub written_at: UnixNanos,
    /// Where its attributes are, if it is one of `spans`.
    pub keys: Keys,
    /// Rows that retention rules took out of it, or of what it was merged from.
    pub expired_rows: u64,
}

/// Where queries get their snapshots.
pub trait SnapshotSource: Send + Sync + std::fmt::Debug {
    /// The newest view. May build columns for pending traces, so call it off the async threads.
    fn snapshot(&self) -> Result<Snapshot, crate::Error>;

    /// The store that holds the segments.
    fn object_store(&self) -> Arc<dyn ObjectStore>;
}
