//! What a query sees: pending ∪ buffer ∪ live segments, each span exactly once.

use std::sync::Arc;

use arrow::array::RecordBatch;
use object_store::ObjectStore;
use object_store::path::Path;

use crate::model::UnixNanos;
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
    /// Batches with the columns of `Table::schema`, in no order.
    pub memory: Vec<RecordBatch>,
    pub segments: Vec<Arc<Segment>>,
    /// The Delta version that lists the segments.
    pub version: i64,
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
