//! What a query sees: pending ∪ buffer ∪ live segments, each span exactly once.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use object_store::ObjectStore;
use object_store::path::Path;

use crate::model::{TraceId, UnixNanos};
use crate::rows::SpanRows;
use crate::schema::Table;

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

    /// The columns with these indexes in `Table::schema`, of the rows of `traces` alone if any are named, in batches of
    /// moderate size. Makes the columns, so call it off the async threads.
    pub fn columns(
        &self,
        columns: &[usize],
        traces: Option<&HashSet<TraceId>>,
    ) -> Result<Vec<RecordBatch>, ArrowError> {
        match self {
            Self::Spans(spans) => {
                let rows = match traces {
                    Some(ids) => spans.of_traces(|id| ids.contains(id)),
                    None => spans.all(),
                };
                rows.chunks(BATCH_ROWS).map(|rows| spans.columns(columns, rows)).collect()
            }
            Self::Columns(batch) => Ok(vec![batch.project(columns)?]),
        }
    }
}

/// Rows of a batch: as many as query engines like, and few enough for offsets of 32 bits.
const BATCH_ROWS: usize = 8_192;

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
