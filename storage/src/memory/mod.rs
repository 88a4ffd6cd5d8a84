//! What is not in segments yet: pending traces and flush epochs, as a fold over the WAL's records.
//!
//! - `pending`: spans whose trace has no decision.
//! - `epoch`: decided, kept spans and digests, batched into flush epochs.
//! - this file: the fold itself, the same live and at replay.
//!
//! # Exactly once
//!
//! Every span has one request, and belongs to the flush epoch in which the first decision of its trace behind that
//! request lies. So which epoch a span belongs to follows from the order of records alone, and a replay that leaves out
//! the epochs that a table has committed neither loses nor doubles a span. Late spans need no rule of their own: they
//! are pending again until a further decision names their trace.
//!
//! Likewise every request is counted in the epoch that the next seal behind it ends, and edges and paths in the epoch that
//! decides their trace. A replay meets requests of committed epochs again, and counts them; what it has counted goes when
//! it meets such an epoch's seal.

mod epoch;
mod pending;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::Result;
use crate::catalog::DeltaCatalog;
use crate::decided::{DecidedTraces, Remembered, Words};
use crate::derive::{SameIds, TraceSpans, Verdict, derive_counted};
use crate::metrics::{BatchCounts, KnownPaths, Tally};
use crate::model::{SpanBatch, TraceId, UnixNanos};
use crate::schema::promoted::Promoted;
use crate::schema::{ByTable, Table};
use crate::snapshot::{MemoryRows, Segment};
use crate::wal::{Decision, Lsn};

pub use epoch::Epoch;
pub use pending::{Gathered, Pending, PendingTrace};

/// More sealed epochs than this mean that flushes do not keep up: one is being flushed, and one may wait for it.
const LAGGING_EPOCHS: usize = 2;

/// A table's committed state.
#[derive(Debug, Clone, Default)]
pub struct Committed {
    pub segments: Vec<Arc<Segment>>,
    pub version: i64,
    /// The last flush epoch that the table has.
    pub epoch: u64,
    /// Attributes with a column of their own, in the order of the columns.
    pub promoted: Arc<[Promoted]>,
}

/// Everything that a query can see, but for the contents of segments.
#[derive(Debug)]
pub struct Memory {
    pub pending: Pending,
    pub open: Epoch,
    pub sealed: VecDeque<Arc<Epoch>>,
    pub decided: DecidedTraces,
    pub known_paths: KnownPaths,
    pub tables: ByTable<Committed>,
    /// The last record that is in here.
    applied: Lsn,
}

impl Committed {
    pub fn of(catalog: &DeltaCatalog) -> Self {
        Self {
            segments: catalog.segments().to_vec(),
            version: catalog.version(),
            epoch: catalog.committed_epoch(),
            promoted: Arc::clone(catalog.promoted()),
        }
    }
}

impl Memory {
    pub fn new(tables: ByTable<Committed>, decided_traces: usize, known_paths: usize) -> Self {
        // Spans are committed last, so whatever epoch they have is whole. Until a seal says otherwise, records belong
        // to the epoch after it.
        let open = Epoch::new(tables.spans.epoch + 1);
        Self {
            pending: Pending::default(),
            open,
            sealed: VecDeque::new(),
            decided: DecidedTraces::new(decided_traces),
            known_paths: KnownPaths::new(known_paths),
            tables,
            applied: Lsn(0),
        }
    }

    /// The request at `lsn` brought `batch`, of which these are the counts.
    pub fn insert(&mut self, lsn: Lsn, now: UnixNanos, arrival: UnixNanos, batch: SpanBatch, counts: BatchCounts) {
        self.applied = lsn;
        self.open.count(lsn, now, counts);
        self.pending.insert(lsn, arrival, batch);
    }

    /// The record at `lsn` decided these traces. Traces without pending spans are passed over: at replay their requests
    /// may be gone, with the epoch that they belong to committed. After an error memory is not what the log says, and must
    /// not be used.
    pub fn decide(&mut self, lsn: Lsn, now: UnixNanos, decisions: &[Decision]) -> Result<SameIds> {
        self.applied = lsn;
        let ids: Vec<TraceId> = decisions.iter().map(|decision| decision.trace_id).collect();
        let Some(gathered) = self.pending.take(now, &ids) else { return Ok(SameIds::default()) };
        let taken: Vec<&Decision> = gathered.traces.iter().map(|(index, _)| &decisions[*index]).collect();
        let mut reasons = Words::default();
        let traces = gathered.traces.into_iter().zip(&taken).map(|((_, spans), decision)| TraceSpans {
            trace_id: decision.trace_id,
            spans,
            verdict: Verdict {
                keep: decision.keep,
                adjusted_count: decision.adjusted_count,
                head_count: decision.head_count,
                keep_reason: reasons.of(&decision.keep_reason),
                class: Some(reasons.of(&decision.class)),
                shape: Some(decision.shape),
                policy_revision: decision.policy_revision,
            },
            late: self.decided.get(&decision.trace_id).map(|known| known.root.cloned()),
        });
        let traces = traces.collect();
        let mut tally = Tally::new(&mut self.known_paths);
        let derived = derive_counted(gathered.batches, traces, &mut tally)?;
        let (edges, paths) = tally.finish();
        self.open.edge_metrics.add(edges);
        if !paths.is_empty() {
            let (ids, rows) = paths.finish()?;
            self.open.add_paths(ids, rows);
        }
        for (decision, root) in taken.iter().zip(derived.roots) {
            let verdict = Remembered {
                keep: decision.keep,
                adjusted_count: decision.adjusted_count,
                head_count: decision.head_count,
                keep_reason: reasons.of(&decision.keep_reason),
                class: reasons.of(&decision.class),
                policy_revision: decision.policy_revision,
            };
            self.decided.insert(decision.trace_id, root, verdict);
        }
        self.open.push(gathered.first_lsn.min(lsn), now, derived.spans, derived.traces);
        Ok(derived.same_ids)
    }

    /// Ends the open epoch as `number`. Live, that is the number it has; a replay that begins within an epoch learns it
    /// here.
    pub fn seal(&mut self, lsn: Lsn, number: u64) {
        self.applied = lsn;
        // A log that was not synced may end before what the tables have; no epoch of theirs may come again.
        let last = Table::ALL.iter().map(|table| self.tables.table(*table).epoch).max();
        let next = number.max(last.unwrap_or(0)) + 1;
        let mut epoch = std::mem::replace(&mut self.open, Epoch::new(next));
        epoch.number = number;
        let has = |table: Table| number <= self.tables.table(table).epoch;
        if has(Table::Traces) {
            epoch.traces.clear();
        }
        if has(Table::SpanMetrics) {
            epoch.span_metrics = Default::default();
        }
        if has(Table::EdgeMetrics) {
            epoch.edge_metrics = Default::default();
        }
        if has(Table::Paths) || has(Table::Spans) {
            // What the table has is known from there. Other paths are of traces whose requests are gone in part.
            epoch.paths.clear();
            epoch.path_ids.drain(..).for_each(|id| self.known_paths.forget(id));
        }
        if !has(Table::Spans) && !epoch.is_empty() {
            epoch.thin();
            epoch.span_metrics.freeze();
            epoch.edge_metrics.freeze();
            self.sealed.push_back(Arc::new(epoch));
        }
    }

    /// A flush put the oldest sealed epoch into segments.
    pub fn committed(&mut self, number: u64, tables: ByTable<Committed>) {
        self.sealed.retain(|epoch| epoch.number != number);
        self.tables = tables;
    }

    /// Everything below is in segments.
    pub fn needed_from(&self) -> Lsn {
        let epochs = self.sealed.iter().map(|epoch| epoch.first_lsn).chain([self.open.first_lsn]).flatten();
        epochs.chain(self.pending.first_lsn()).min().unwrap_or(Lsn(self.applied.0 + 1))
    }

    /// Epochs that are in no segment, oldest first.
    fn epochs(&self) -> impl Iterator<Item = &Epoch> {
        self.sealed.iter().map(|epoch| &**epoch).chain([&self.open])
    }

    /// Rows that are in no segment, of decided traces where they are of traces.
    pub fn unflushed(&mut self, table: Table) -> Vec<MemoryRows> {
        // Remembered, so that it is one view until something changes.
        self.open.span_metrics.freeze();
        self.open.edge_metrics.freeze();
        // Of an epoch that is flushed in part, a table may show what it has: other commits come between.
        let committed = self.tables.table(table).epoch;
        let epochs = self.epochs().filter(|epoch| epoch.number > committed);
        match table {
            Table::Spans => epochs.flat_map(|epoch| &epoch.spans).cloned().map(MemoryRows::Spans).collect(),
            Table::Traces => epochs.flat_map(|epoch| &epoch.traces).cloned().map(MemoryRows::Columns).collect(),
            Table::SpanMetrics => epochs.map(|epoch| MemoryRows::Lazy(epoch.span_metrics.view())).collect(),
            Table::EdgeMetrics => epochs.map(|epoch| MemoryRows::Lazy(epoch.edge_metrics.view())).collect(),
            Table::Paths => epochs.flat_map(|epoch| &epoch.paths).cloned().map(MemoryRows::Columns).collect(),
        }
    }

    /// Bytes that spans take, decided or not, and what was counted of them.
    pub fn bytes(&self) -> usize {
        self.pending.bytes() + self.decided_bytes()
    }

    fn decided_bytes(&self) -> usize {
        self.epochs().map(Epoch::size_bytes).sum()
    }

    /// Bytes of spans that deciding traces earlier would give back soon. Where flushes lag behind that is none of what is
    /// decided: it only would move more there.
    pub fn pressing_bytes(&self) -> usize {
        let lags = self.sealed.len() > LAGGING_EPOCHS;
        self.pending.bytes() + if lags { 0 } else { self.decided_bytes() }
    }
}

#[cfg(test)]
mod tests;
