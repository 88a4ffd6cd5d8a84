//! What a query sees: pending ∪ buffer ∪ live segments, each span exactly once.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use object_store::ObjectStore;
use object_store::path::Path;

use crate::model::{TraceId, UnixNanos};
use crate::rows::SpanRows;
use crate::schema::{Table, spans};

/// One consistent view of every table. It never changes; a later one is taken for later data.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub spans: TableSnapshot,
    pub traces: TableSnapshot,
}

impl Snapshot {
    pub fn table(&self, table: Table) -> &TableSnapshot {
        match table {
            Table::Spans => &self.spans,
            Table::Traces => &self.traces,
        }
    }
}

/// One table's rows: some in memory, the others in segments.
#[derive(Debug, Clone)]
pub struct TableSnapshot {
    pub memory: Vec<MemoryRows>,
    pub segments: Vec<Arc<Segment>>,
    /// The Delta version that lists the segments.
    pub version: i64,
}

/// Rows in memory, in no order.
#[derive(Debug, Clone)]
pub enum MemoryRows {
    /// Of `spans`.
    Spans(Arc<SpanRows>),
    /// Of any table, with the columns of `Table::schema`.
    Columns(RecordBatch),
}

impl MemoryRows {
    pub fn row_count(&self) -> usize {
        match self {
            Self::Spans(rows) => rows.len(),
            Self::Columns(batch) => batch.num_rows(),
        }
    }

    /// The rows of `traces` alone if any are named, cut where a batch of these columns ends. Nothing is made yet.
    pub fn parts(&self, columns: &[usize], traces: Option<&HashSet<TraceId>>) -> Vec<MemoryPart> {
        let Self::Spans(spans) = self else {
            return vec![MemoryPart { rows: self.clone(), of_spans: Vec::new() }];
        };
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
                parts.push(MemoryPart { rows: self.clone(), of_spans: std::mem::take(&mut part) });
            }
        }
        if !part.is_empty() {
            parts.push(MemoryPart { rows: self.clone(), of_spans: part });
        }
        parts
    }
}

/// As many rows as query engines like in a batch.
const BATCH_ROWS: usize = 8_192;
/// Columns repeat what rows have in common, so that a batch may be a thousand times larger than its rows.
const BATCH_BYTES: usize = 16 << 20;

/// Rows in memory that make one batch of columns.
#[derive(Debug, Clone)]
pub struct MemoryPart {
    rows: MemoryRows,
    of_spans: Vec<u32>,
}

impl MemoryPart {
    pub fn row_count(&self) -> usize {
        match &self.rows {
            MemoryRows::Spans(_) => self.of_spans.len(),
            MemoryRows::Columns(batch) => batch.num_rows(),
        }
    }

    /// Makes the columns with these indexes in `Table::schema`, so call it off the async threads.
    pub fn columns(&self, columns: &[usize]) -> Result<RecordBatch, ArrowError> {
        match &self.rows {
            MemoryRows::Spans(spans) => spans.columns(columns, &self.of_spans),
            MemoryRows::Columns(batch) => batch.project(columns),
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
}

/// Where queries get their snapshots.
pub trait SnapshotSource: Send + Sync + std::fmt::Debug {
    /// The newest view. May build columns for pending traces, so call it off the async threads.
    fn snapshot(&self) -> Result<Snapshot, crate::Error>;

    /// The store that holds the segments.
    fn object_store(&self) -> Arc<dyn ObjectStore>;
}
