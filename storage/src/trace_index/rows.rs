//! The traces of one segment, sorted, and the rows of each.
//!
//! Rows are written trace by trace: how many there are, the first, then the differences, all as varints. A trace is
//! found by its rank, so every [`STRIDE`]th trace says where its rows begin.

use std::collections::HashMap;

use crate::model::TraceId;

/// Traces that are passed over at most to come to the rows of one.
const STRIDE: usize = 16;

/// Ids alone: enough to say whether a segment has a trace.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ids(Box<[TraceId]>);

/// The rows of the traces of [`Ids`].
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Positions {
    anchors: Box<[u32]>,
    bytes: Box<[u8]>,
}

/// What a segment's column of trace ids says.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceRows {
    pub(super) ids: Ids,
    pub(super) positions: Positions,
}

impl TraceRows {
    /// From the trace of each row, in the order of rows. `None` if there are more than 32 bits can count.
    pub fn new(traces: impl Iterator<Item = TraceId>) -> Option<Self> {
        let mut builder = Builder::default();
        for trace in traces {
            builder.add(trace);
        }
        builder.finish()
    }
}

impl Ids {
    pub fn rank(&self, trace: &TraceId) -> Option<usize> {
        self.0.binary_search(trace).ok()
    }

    pub fn size_bytes(&self) -> usize {
        self.0.len() * TraceId::LENGTH
    }
}

impl Positions {
    pub fn size_bytes(&self) -> usize {
        self.bytes.len() + self.anchors.len() * size_of::<u32>()
    }

    /// Adds the rows of the trace with this rank, ascending.
    pub fn rows(&self, rank: usize, rows: &mut Vec<u32>) {
        let anchor = self.anchors.get(rank / STRIDE).map_or(self.bytes.len(), |at| *at as usize);
        let mut bytes = self.bytes.get(anchor..).unwrap_or_default();
        for _ in 0..rank % STRIDE {
            for _ in 0..varint(&mut bytes) {
                varint(&mut bytes);
            }
        }
        let mut row = 0_u32;
        for _ in 0..varint(&mut bytes) {
            row = row.wrapping_add(varint(&mut bytes));
            rows.push(row);
        }
    }
}

/// Gathers a segment's traces row by row.
#[derive(Debug, Default)]
pub(super) struct Builder {
    numbers: HashMap<TraceId, u32>,
    ids: Vec<TraceId>,
    /// By row, the number of its trace.
    rows: Vec<u32>,
}

impl Builder {
    pub fn add(&mut self, trace: TraceId) {
        let next = self.ids.len() as u32;
        let number = *self.numbers.entry(trace).or_insert(next);
        if number == next {
            self.ids.push(trace);
        }
        self.rows.push(number);
    }

    pub fn finish(self) -> Option<TraceRows> {
        u32::try_from(self.rows.len()).ok()?;
        let mut ranked: Vec<u32> = (0..self.ids.len() as u32).collect();
        ranked.sort_unstable_by_key(|number| self.ids[*number as usize]);
        // Rows by trace, without a list for each: where each trace's rows end, then the rows themselves.
        let mut ends = vec![0_u32; self.ids.len() + 1];
        for number in &self.rows {
            ends[*number as usize + 1] += 1;
        }
        for number in 1..ends.len() {
            ends[number] += ends[number - 1];
        }
        let mut next = ends.clone();
        let mut by_trace = vec![0_u32; self.rows.len()];
        for (row, number) in self.rows.iter().enumerate() {
            let at = &mut next[*number as usize];
            by_trace[*at as usize] = row as u32;
            *at += 1;
        }
        let (mut bytes, mut anchors) = (Vec::new(), Vec::new());
        for (rank, number) in ranked.iter().enumerate() {
            if rank % STRIDE == 0 {
                anchors.push(u32::try_from(bytes.len()).ok()?);
            }
            let of_trace = &by_trace[ends[*number as usize] as usize..ends[*number as usize + 1] as usize];
            put_varint(of_trace.len() as u32, &mut bytes);
            let mut last = 0;
            for row in of_trace {
                put_varint(row - last, &mut bytes);
                last = *row;
            }
        }
        Some(TraceRows {
            ids: Ids(ranked.iter().map(|number| self.ids[*number as usize]).collect()),
            positions: Positions { anchors: anchors.into(), bytes: bytes.into() },
        })
    }
}

fn put_varint(mut value: u32, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Takes one off the front; the bytes are this module's own.
fn varint(bytes: &mut &[u8]) -> u32 {
    let mut value = 0;
    for shift in (0..32).step_by(7) {
        let Some((byte, rest)) = bytes.split_first() else { break };
        *bytes = rest;
        value |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}
