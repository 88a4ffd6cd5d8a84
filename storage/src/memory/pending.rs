//! Spans whose trace has no decision yet.
//!
//! Spans stay in the batch that brought them; a trace knows its rows. A batch goes when its last row is taken.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::DataType;

use crate::Result;
use crate::decided::DecidedTraces;
use crate::derive::RootNames;
use crate::model::{SpanBatch, SpanColumns, TraceId, UnixNanos};
use crate::wal::Lsn;

/// A trace without a decision.
#[derive(Debug, Clone)]
pub struct PendingTrace {
    rows: Vec<(Lsn, u32)>,
    pub first_arrival: UnixNanos,
    pub last_arrival: UnixNanos,
    /// When a span without a parent came.
    pub root_arrival: Option<UnixNanos>,
}

impl PendingTrace {
    pub fn span_count(&self) -> usize {
        self.rows.len()
    }
}

#[derive(Debug)]
struct Chunk {
    columns: RecordBatch,
    live_rows: usize,
    bytes: usize,
}

/// Rows of some traces, trace by trace.
#[derive(Debug)]
pub struct Gathered {
    /// The received columns.
    pub spans: RecordBatch,
    /// Index among the ids asked for, and rows.
    pub traces: Vec<(usize, Range<usize>)>,
    /// The earliest request among them.
    pub first_lsn: Lsn,
}

#[derive(Debug, Default)]
pub struct Pending {
    chunks: BTreeMap<Lsn, Chunk>,
    traces: HashMap<TraceId, PendingTrace>,
    spans: usize,
    bytes: usize,
    /// Rises with every change.
    revision: u64,
}

impl Pending {
    pub fn insert(&mut self, lsn: Lsn, arrival: UnixNanos, batch: &SpanBatch) -> Result<()> {
        let columns = SpanColumns::new(batch.columns())?;
        let mut live_rows = 0;
        for row in 0..batch.span_count() {
            let Some(trace_id) = columns.trace_id(row) else { continue };
            let trace = self.traces.entry(trace_id).or_insert_with(|| PendingTrace {
                rows: Vec::new(),
                first_arrival: arrival,
                last_arrival: arrival,
                root_arrival: None,
            });
            trace.rows.push((lsn, u32::try_from(row).unwrap_or(u32::MAX)));
            trace.last_arrival = trace.last_arrival.max(arrival);
            if columns.parent_span_id(row).is_none() {
                trace.root_arrival.get_or_insert(arrival);
            }
            live_rows += 1;
        }
        if live_rows > 0 {
            let bytes = batch.columns().get_array_memory_size();
            self.bytes += bytes;
            self.spans += live_rows;
            self.chunks.insert(lsn, Chunk { columns: batch.columns().clone(), live_rows, bytes });
        }
        self.revision += 1;
        Ok(())
    }

    /// Takes the named traces out; `None` if none of them is here.
    pub fn take(&mut self, ids: &[TraceId]) -> Result<Option<Gathered>> {
        let mut named = HashSet::new();
        let taken: Vec<(usize, PendingTrace)> = ids
            .iter()
            .enumerate()
            .filter(|(_, id)| named.insert(**id))
            .filter_map(|(index, id)| Some((index, self.traces.get(id)?.clone())))
            .collect();
        let column_of = |lsn: &Lsn| self.chunks.get(lsn).map(|chunk| &chunk.columns);
        let gathered = gather(column_of, taken.iter().map(|(index, trace)| (*index, trace)))?;
        // Nothing is taken before it is gathered, so that an error leaves all as it was.
        for id in ids {
            self.traces.remove(id);
        }
        for (lsn, _) in taken.iter().flat_map(|(_, trace)| &trace.rows) {
            self.spans -= 1;
            if let Some(chunk) = self.chunks.get_mut(lsn) {
                chunk.live_rows -= 1;
                if chunk.live_rows == 0 {
                    self.bytes -= chunk.bytes;
                    self.chunks.remove(lsn);
                }
            }
        }
        self.revision += 1;
        Ok(gathered)
    }

    /// What is pending now, to be gathered by a query without holding up anyone.
    pub fn capture(&self, decided: &DecidedTraces) -> PendingCapture {
        PendingCapture {
            chunks: self.chunks.iter().map(|(lsn, chunk)| (*lsn, chunk.columns.clone())).collect(),
            late: self.traces.keys().map(|id| decided.get(id).cloned()).collect(),
            traces: self.traces.values().cloned().collect(),
        }
    }

    pub fn first_lsn(&self) -> Option<Lsn> {
        self.chunks.keys().next().copied()
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

/// The pending traces of one moment.
#[derive(Debug)]
pub struct PendingCapture {
    chunks: BTreeMap<Lsn, RecordBatch>,
    traces: Vec<PendingTrace>,
    late: Vec<Option<Option<RootNames>>>,
}

impl PendingCapture {
    /// For a trace of the gathered ones: the root's names, if it was decided before.
    pub fn late(&self, index: usize) -> Option<&Option<RootNames>> {
        self.late.get(index)?.as_ref()
    }

    /// All rows, trace by trace; `None` if there are none.
    pub fn gather(&self) -> Result<Option<Gathered>> {
        gather(|lsn| self.chunks.get(lsn), self.traces.iter().enumerate())
    }
}

fn gather<'a, 'b>(
    columns_of: impl Fn(&Lsn) -> Option<&'b RecordBatch>,
    traces: impl Iterator<Item = (usize, &'a PendingTrace)>,
) -> Result<Option<Gathered>> {
    let mut numbers: HashMap<Lsn, usize> = HashMap::new();
    let mut batches: Vec<&RecordBatch> = Vec::new();
    let mut rows: Vec<(usize, usize)> = Vec::new();
    let mut ranges = Vec::new();
    for (index, trace) in traces {
        let start = rows.len();
        for (lsn, row) in &trace.rows {
            let Some(columns) = columns_of(lsn) else { continue };
            let number = *numbers.entry(*lsn).or_insert_with(|| {
                batches.push(columns);
                batches.len() - 1
            });
            rows.push((number, *row as usize));
        }
        ranges.push((index, start..rows.len()));
    }
    let Some(first_lsn) = numbers.keys().min().copied() else { return Ok(None) };
    let spans = interleave_record_batch(&batches, &rows)?;
    let columns = spans.columns().iter().map(compacted).collect();
    let spans = RecordBatch::try_new(spans.schema(), columns)?;
    Ok(Some(Gathered { spans, traces: ranges, first_lsn }))
}

/// Gathered views still point into the batches that they come from, and would hold all of those in memory.
fn compacted(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Utf8View => Arc::new(column.as_string_view().gc()),
        DataType::BinaryView => Arc::new(column.as_binary_view().gc()),
        _ => ArrayRef::clone(column),
    }
}
