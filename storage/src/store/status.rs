//! What the store holds.

use super::{Store, lock};
use crate::derive::SameIds;
use crate::schema::Table;
use crate::wal::WalStatus;

/// What the store holds now.
#[derive(Debug, Clone, Default)]
pub struct StoreStatus {
    pub pending_traces: usize,
    pub pending_spans: usize,
    pub buffer_spans: usize,
    pub memory_bytes: usize,
    /// Of the spans that were decided since the start.
    pub same_ids: SameIds,
    pub wal: WalStatus,
    pub compaction: CompactionStatus,
    pub retention: RetentionStatus,
    pub tables: Vec<TableStatus>,
}

/// What compaction has done since the start.
#[derive(Debug, Clone, Default)]
pub struct CompactionStatus {
    pub merges: u64,
    /// Segments that were merged.
    pub merged_segments: u64,
    pub read_bytes: u64,
    pub written_bytes: u64,
    pub failures: u64,
    /// Files that are in no table any more, until no query can need them.
    pub waiting_files: u64,
    pub waiting_bytes: u64,
    pub deleted_files: u64,
    pub deleted_bytes: u64,
    pub last_error: Option<String>,
}

/// What retention has taken out of tables since the start.
#[derive(Debug, Clone, Default)]
pub struct RetentionStatus {
    pub expired_segments: u64,
    pub expired_rows: u64,
    pub expired_bytes: u64,
    pub last_error: Option<String>,
}

#[derive(Debug, Clone)]
pub struct TableStatus {
    pub table: Table,
    /// Rows in segments.
    pub rows: u64,
    pub segments: usize,
    pub bytes: u64,
    pub version: i64,
}

impl Store {
    pub fn status(&self) -> StoreStatus {
        let memory = lock(&self.shared.memory);
        let table = |table: Table| {
            let committed = memory.tables.table(table);
            TableStatus {
                table,
                rows: committed.segments.iter().map(|segment| segment.row_count).sum(),
                segments: committed.segments.len(),
                bytes: committed.segments.iter().map(|segment| segment.size_bytes).sum(),
                version: committed.version,
            }
        };
        StoreStatus {
            pending_traces: memory.pending.trace_count(),
            pending_spans: memory.pending.span_count(),
            buffer_spans: memory.open.span_count + memory.sealed.iter().map(|epoch| epoch.span_count).sum::<usize>(),
            memory_bytes: memory.bytes(),
            same_ids: *lock(&self.shared.same_ids),
            wal: self.shared.wal.status(),
            compaction: lock(&self.shared.compaction).clone(),
            retention: lock(&self.shared.expired).clone(),
            tables: vec![
                table(Table::Spans),
                table(Table::Traces),
                table(Table::SpanMetrics),
                table(Table::EdgeMetrics),
                table(Table::Paths),
            ],
        }
    }
}
