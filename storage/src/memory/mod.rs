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

mod epoch;
mod pending;

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::RecordBatch;

use crate::Result;
use crate::catalog::DeltaCatalog;
use crate::decided::{DecidedTraces, Remembered, Words};
use crate::derive::{SameIds, TraceSpans, Verdict, derive};
use crate::model::{SpanBatch, TraceId, UnixNanos};
use crate::rows::SpanRows;
use crate::snapshot::Segment;
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
}

/// Everything that a query can see, but for the contents of segments.
#[derive(Debug)]
pub struct Memory {
    pub pending: Pending,
    pub open: Epoch,
    pub sealed: VecDeque<Arc<Epoch>>,
    pub decided: DecidedTraces,
    pub spans: Committed,
    pub traces: Committed,
    /// The last record that is in here.
    applied: Lsn,
}

impl Committed {
    pub fn of(catalog: &DeltaCatalog) -> Self {
        Self { segments: catalog.segments().to_vec(), version: catalog.version(), epoch: catalog.committed_epoch() }
    }
}

impl Memory {
    pub fn new(spans: Committed, traces: Committed, decided_traces: usize) -> Self {
        // Spans are committed last, so whatever epoch they have is whole. Until a seal says otherwise, records belong
        // to the epoch after it.
        let open = Epoch::new(spans.epoch + 1);
        Self {
            pending: Pending::default(),
            open,
            sealed: VecDeque::new(),
            decided: DecidedTraces::new(decided_traces),
            spans,
            traces,
            applied: Lsn(0),
        }
    }

    /// The request at `lsn` brought `batch`.
    pub fn insert(&mut self, lsn: Lsn, arrival: UnixNanos, batch: SpanBatch) {
        self.applied = lsn;
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
            late: self.decided.get(&decision.trace_id).map(|known| known.root.clone()),
        });
        let derived = derive(gathered.batches, traces.collect())?;
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
        let next = number.max(self.spans.epoch).max(self.traces.epoch) + 1;
        let mut epoch = std::mem::replace(&mut self.open, Epoch::new(next));
        epoch.number = number;
        if number <= self.traces.epoch {
            epoch.traces.clear();
        }
        if number > self.spans.epoch && !epoch.is_empty() {
            epoch.thin();
            self.sealed.push_back(Arc::new(epoch));
        }
    }

    /// A flush put the oldest sealed epoch into segments.
    pub fn committed(&mut self, number: u64, spans: Committed, traces: Committed) {
        self.sealed.retain(|epoch| epoch.number != number);
        self.spans = spans;
        self.traces = traces;
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

    /// Rows of `spans` of decided traces that are in no segment.
    pub fn unflushed_spans(&self) -> Vec<Arc<SpanRows>> {
        self.epochs().flat_map(|epoch| epoch.spans.iter().cloned()).collect()
    }

    /// The same of `traces`.
    pub fn unflushed_traces(&self) -> Vec<RecordBatch> {
        self.epochs().flat_map(|epoch| epoch.traces.iter().cloned()).collect()
    }

    /// Bytes that spans take, decided or not.
    pub fn bytes(&self) -> usize {
        self.pending.bytes() + self.decided_bytes()
    }

    fn decided_bytes(&self) -> usize {
        self.epochs().map(|epoch| epoch.bytes).sum()
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
