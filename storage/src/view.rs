//! Memory as a [`Snapshot`]: what pending traces look like is worked out when a query asks, and kept until they change.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;

use crate::Result;
use crate::derive::derive;
use crate::memory::Memory;
use crate::rows::SpanRows;
use crate::schema::Table;
use crate::snapshot::{MemoryRows, Snapshot, TableSnapshot};

/// The pending traces' rows as of one revision.
#[derive(Debug, Clone, Default)]
struct PendingRows {
    revision: u64,
    spans: Arc<SpanRows>,
    traces: Option<RecordBatch>,
}

/// Builds snapshots.
#[derive(Debug, Default)]
pub struct View {
    pending: Mutex<PendingRows>,
}

impl View {
    /// Lets go of what was worked out for the last query, which may hold traces that are in segments by now. Waits for no
    /// query that is just working it out anew.
    pub fn forget(&self) {
        if let Ok(mut pending) = self.pending.try_lock() {
            *pending = PendingRows::default();
        }
    }

    /// Holds `memory` only to copy references; the work is done without it.
    pub fn snapshot(&self, memory: &Mutex<Memory>) -> Result<Snapshot> {
        let mut cached = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut snapshot, changed) = {
            let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
            let revision = memory.pending.revision();
            let changed = (revision != cached.revision).then(|| (revision, memory.pending.capture(&memory.decided)));
            (Snapshot::new(|table| of(&mut memory, table)), changed)
        };
        if let Some((revision, capture)) = changed {
            let derived = derive(capture.batches, capture.traces)?;
            *cached = PendingRows { revision, spans: Arc::new(derived.spans), traces: derived.traces };
        }
        snapshot.spans.memory.push(MemoryRows::Spans(Arc::clone(&cached.spans)));
        snapshot.traces.memory.extend(cached.traces.clone().map(MemoryRows::Columns));
        Ok(snapshot)
    }
}

fn of(memory: &mut Memory, table: Table) -> TableSnapshot {
    let rows = memory.unflushed(table);
    let committed = memory.tables.table(table);
    TableSnapshot {
        memory: rows,
        segments: committed.segments.clone(),
        version: committed.version,
        promoted: Arc::clone(&committed.promoted),
    }
}
