//! Memory as a [`Snapshot`]: what pending traces look like is worked out when a query asks, and kept until they change.

use std::sync::{Mutex, PoisonError};

use arrow::array::RecordBatch;

use crate::Result;
use crate::derive::{TraceRows, Verdict, derive};
use crate::memory::{Committed, Memory, PendingCapture};
use crate::schema::Table;
use crate::snapshot::{Snapshot, TableSnapshot};

/// The pending traces' rows as of one revision.
#[derive(Debug, Clone, Default)]
struct PendingRows {
    revision: u64,
    spans: Option<RecordBatch>,
    traces: Option<RecordBatch>,
}

/// Builds snapshots.
#[derive(Debug, Default)]
pub struct View {
    pending: Mutex<PendingRows>,
}

impl View {
    /// Holds `memory` only to copy references; the work is done without it.
    pub fn snapshot(&self, memory: &Mutex<Memory>) -> Result<Snapshot> {
        let mut cached = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut spans, mut traces, changed) = {
            let memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
            let revision = memory.pending.revision();
            let changed = (revision != cached.revision).then(|| (revision, memory.pending.capture(&memory.decided)));
            (table(&memory, Table::Spans, &memory.spans), table(&memory, Table::Traces, &memory.traces), changed)
        };
        if let Some((revision, capture)) = changed {
            *cached = pending_rows(revision, &capture)?;
        }
        spans.memory.extend(cached.spans.clone());
        traces.memory.extend(cached.traces.clone());
        Ok(Snapshot { spans, traces })
    }
}

fn table(memory: &Memory, table: Table, committed: &Committed) -> TableSnapshot {
    TableSnapshot { memory: memory.unflushed(table), segments: committed.segments.clone(), version: committed.version }
}

fn pending_rows(revision: u64, capture: &PendingCapture) -> Result<PendingRows> {
    let Some(gathered) = capture.gather()? else { return Ok(PendingRows { revision, ..PendingRows::default() }) };
    let rows: Vec<TraceRows> = gathered
        .traces
        .iter()
        .map(|(index, rows)| TraceRows {
            rows: rows.clone(),
            verdict: Verdict::pending(),
            late: capture.late(*index).cloned(),
        })
        .collect();
    let derived = derive(&gathered.spans, &rows)?;
    Ok(PendingRows { revision, spans: derived.spans, traces: derived.traces })
}
