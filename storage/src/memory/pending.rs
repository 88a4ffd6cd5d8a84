//! Spans whose trace has no decision yet.
//!
//! Spans stay in the batch that brought them; a trace knows its rows. A batch goes when its last row is taken, and counts in
//! full until then.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use crate::decided::DecidedTraces;
use crate::derive::{TraceSpans, Verdict};
use crate::model::{CopiedOrigins, SpanBatch, SpanBatchBuilder, TraceId, UnixNanos};
use crate::rows::{DENSE_PARTS, SpanRef};
use crate::wal::Lsn;

/// A trace without a decision.
#[derive(Debug, Clone)]
pub struct PendingTrace {
    /// The batches' numbers wrap around; see [`Pending::chunk_at`].
    spans: Vec<SpanRef>,
    pub first_arrival: UnixNanos,
    /// When a span without a parent came.
    pub root_arrival: Option<UnixNanos>,
}

impl PendingTrace {
    pub fn span_count(&self) -> usize {
        self.spans.len()
    }
}

/// What a trace takes beside its batches: the entry here and the list of its spans.
const TRACE_BYTES: usize = size_of::<(TraceId, PendingTrace)>() + 64;

/// Most traces are decided within this time; what is left of their requests then are the slow ones.
const THIN_AFTER_NANOS: i64 = 5_000_000_000;
/// Batches looked at with each batch of decisions.
const THIN_AT_ONCE: usize = 64;

#[derive(Debug)]
struct Chunk {
    lsn: Lsn,
    arrival: UnixNanos,
    batch: Arc<SpanBatch>,
    live_rows: usize,
    size_bytes: usize,
}

/// Spans of some traces, as references into `batches`.
#[derive(Debug)]
pub struct Gathered {
    pub batches: Vec<Arc<SpanBatch>>,
    /// Index among the ids asked for, and spans.
    pub traces: Vec<(usize, Vec<SpanRef>)>,
    /// The earliest request among them.
    pub first_lsn: Lsn,
}

#[derive(Debug, Default)]
pub struct Pending {
    /// In the order of their LSNs. The first one has the number `first_chunk`.
    chunks: VecDeque<Option<Chunk>>,
    first_chunk: u64,
    /// Chunks before this one were thinned, or are dense.
    thin_from: u64,
    traces: HashMap<TraceId, PendingTrace>,
    spans: usize,
    bytes: usize,
    /// Rises with every change.
    revision: u64,
}

impl Pending {
    pub fn insert(&mut self, lsn: Lsn, arrival: UnixNanos, batch: SpanBatch) {
        self.revision += 1;
        if batch.span_count() == 0 {
            return;
        }
        // Only the low bits are kept in a reference: far fewer chunks are alive at a time than they count.
        let number = (self.first_chunk + self.chunks.len() as u64) as u32;
        for (row, head) in batch.heads().iter().enumerate() {
            let trace = self.traces.entry(head.trace_id).or_insert_with(|| {
                self.bytes += TRACE_BYTES;
                PendingTrace { spans: Vec::new(), first_arrival: arrival, root_arrival: None }
            });
            trace.spans.push(SpanRef { batch: number, row: row as u32 });
            if head.parent_span_id().is_none() {
                trace.root_arrival.get_or_insert(arrival);
            }
        }
        let live_rows = batch.span_count();
        let chunk = Chunk { lsn, arrival, size_bytes: batch.size_bytes(), batch: Arc::new(batch), live_rows };
        self.spans += live_rows;
        self.bytes += chunk.size_bytes;
        self.chunks.push_back(Some(chunk));
    }

    /// Where the chunk with the low bits `number` stands.
    fn chunk_at(&self, number: u32) -> usize {
        number.wrapping_sub(self.first_chunk as u32) as usize
    }

    /// Takes the named traces out; `None` if none of them is here.
    pub fn take(&mut self, now: UnixNanos, ids: &[TraceId]) -> Option<Gathered> {
        self.revision += 1;
        let mut numbers = Numbers::default();
        let mut traces = Vec::with_capacity(ids.len());
        for (index, id) in ids.iter().enumerate() {
            let Some(mut trace) = self.traces.remove(id) else { continue };
            self.bytes -= TRACE_BYTES;
            for span in &mut trace.spans {
                let at = self.chunk_at(span.batch);
                let Some(Some(chunk)) = self.chunks.get_mut(at) else { continue };
                span.batch = numbers.of(at, chunk);
                self.spans -= 1;
                chunk.live_rows -= 1;
                if chunk.live_rows == 0 {
                    self.bytes -= chunk.size_bytes;
                    self.chunks[at] = None;
                }
            }
            traces.push((index, trace.spans));
        }
        while let Some(None) = self.chunks.front() {
            self.chunks.pop_front();
            self.first_chunk += 1;
        }
        self.thin_old(now);
        let first_lsn = numbers.first_lsn?;
        Some(Gathered { batches: numbers.batches, traces, first_lsn })
    }

    /// The same, and leaves them here.
    pub fn look(&self, ids: &[TraceId]) -> Gathered {
        let mut numbers = Numbers::default();
        let traces = ids.iter().enumerate().filter_map(|(index, id)| {
            let trace = self.traces.get(id)?;
            let spans = trace.spans.iter().filter_map(|span| {
                let at = self.chunk_at(span.batch);
                let chunk = self.chunks.get(at)?.as_ref()?;
                Some(SpanRef { batch: numbers.of(at, chunk), ..*span })
            });
            Some((index, spans.collect()))
        });
        let traces = traces.collect();
        Gathered { batches: numbers.batches, traces, first_lsn: numbers.first_lsn.unwrap_or(Lsn(0)) }
    }

    /// Looks at some of the batches whose traces ought to be decided by now.
    fn thin_old(&mut self, now: UnixNanos) {
        self.thin_from = self.thin_from.max(self.first_chunk);
        for _ in 0..THIN_AT_ONCE {
            let at = (self.thin_from - self.first_chunk) as usize;
            match self.chunks.get(at) {
                Some(Some(chunk)) if now.since(chunk.arrival) < THIN_AFTER_NANOS => return,
                Some(_) => self.thin(at),
                None => return,
            }
            self.thin_from += 1;
        }
    }

    /// Copies what is left of a batch of which most rows are gone, so that a few slow traces do not hold on to it.
    fn thin(&mut self, at: usize) {
        let Some(Some(chunk)) = self.chunks.get_mut(at) else { return };
        if chunk.live_rows * DENSE_PARTS >= chunk.batch.span_count() {
            return;
        }
        let number = (self.first_chunk as u32).wrapping_add(at as u32);
        let mut copies = SpanBatchBuilder::default();
        let mut origins = CopiedOrigins::default();
        let mut moved = HashMap::new();
        let ids: HashSet<TraceId> = chunk.batch.heads().iter().map(|head| head.trace_id).collect();
        for trace in ids.iter().filter_map(|id| self.traces.get(id)) {
            for span in trace.spans.iter().filter(|span| span.batch == number) {
                moved.insert(span.row, copies.span_count() as u32);
                copies.copy(&chunk.batch, span.row as usize, &mut origins);
            }
        }
        // What cannot be copied stays where it is.
        let Ok(copies) = copies.finish() else { return };
        for id in &ids {
            let Some(trace) = self.traces.get_mut(id) else { continue };
            for span in trace.spans.iter_mut().filter(|span| span.batch == number) {
                span.row = moved.get(&span.row).copied().unwrap_or(span.row);
            }
        }
        self.bytes -= chunk.size_bytes;
        chunk.size_bytes = copies.size_bytes();
        chunk.batch = Arc::new(copies);
        self.bytes += chunk.size_bytes;
    }

    /// What is pending now, to be derived by a query without holding up anyone.
    pub fn capture(&self, decided: &DecidedTraces) -> PendingCapture {
        let mut batches = Vec::new();
        let places: Vec<u32> = self
            .chunks
            .iter()
            .map(|chunk| {
                let place = batches.len() as u32;
                batches.extend(chunk.as_ref().map(|chunk| Arc::clone(&chunk.batch)));
                place
            })
            .collect();
        let traces = self.traces.iter().map(|(id, trace)| {
            let placed = |span: &SpanRef| SpanRef { batch: places[self.chunk_at(span.batch)], ..*span };
            TraceSpans {
                trace_id: *id,
                spans: trace.spans.iter().map(placed).collect(),
                verdict: Verdict::pending(),
                late: decided.get(id).map(|known| known.root.cloned()),
            }
        });
        let mut traces: Vec<TraceSpans> = traces.collect();
        // Neighbours in memory are neighbours in the batches of columns, which hold on to all that they point into.
        traces.sort_unstable_by_key(|trace| trace.spans.first().map(|span| (span.batch, span.row)));
        PendingCapture { traces, batches }
    }

    pub fn first_lsn(&self) -> Option<Lsn> {
        self.chunks.iter().flatten().map(|chunk| chunk.lsn).next()
    }

    pub fn traces(&self) -> impl Iterator<Item = (&TraceId, &PendingTrace)> {
        self.traces.iter()
    }

    pub fn trace_count(&self) -> usize {
        self.traces.len()
    }

    pub fn span_count(&self) -> usize {
        self.spans
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn revision(&self) -> u64 {
        self.revision
    }
}

/// The batches that gathered spans come from, numbered in the order met.
#[derive(Default)]
struct Numbers {
    /// By place among the chunks.
    numbers: HashMap<usize, u32>,
    batches: Vec<Arc<SpanBatch>>,
    first_lsn: Option<Lsn>,
    last: Option<(usize, u32)>,
}

impl Numbers {
    fn of(&mut self, at: usize, chunk: &Chunk) -> u32 {
        // Spans of a trace often come in one request.
        if let Some((place, number)) = self.last
            && place == at
        {
            return number;
        }
        let number = *self.numbers.entry(at).or_insert_with(|| {
            self.batches.push(Arc::clone(&chunk.batch));
            self.first_lsn = Some(self.first_lsn.map_or(chunk.lsn, |first| first.min(chunk.lsn)));
            self.batches.len() as u32 - 1
        });
        self.last = Some((at, number));
        number
    }
}

/// The pending traces of one moment.
#[derive(Debug)]
pub struct PendingCapture {
    pub batches: Vec<Arc<SpanBatch>>,
    pub traces: Vec<TraceSpans>,
}
