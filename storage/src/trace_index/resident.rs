//! What is known of the traces of segments, within a budget.
//!
//! Every question asks the ids of all segments, but the positions of one or two. So positions go first, those that were
//! not asked for the longest; then the ids of the segments whose newest row is the oldest.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use object_store::path::Path;

use super::rows::{Ids, Positions, TraceRows};
use crate::model::{TraceId, UnixNanos};
use crate::snapshot::Segment;

/// What a segment has of some traces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing is known of the segment.
    Unknown,
    /// No row is of one of the traces.
    Nothing,
    /// Some rows are, but not known which.
    Some,
    /// Exactly these, ascending.
    Rows(Vec<u32>),
}

/// How much is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TraceIndexStatus {
    /// Segments whose traces are known.
    pub segments: usize,
    /// Of these, segments whose rows are known as well.
    pub with_rows: usize,
    pub bytes: usize,
}

/// Share it behind an `Arc`.
#[derive(Debug)]
pub struct TraceIndex {
    max_bytes: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    segments: HashMap<Path, Known>,
    bytes: usize,
    /// Counts questions, to tell which positions were asked for last.
    questions: u64,
}

#[derive(Debug)]
struct Known {
    /// `None` where the budget has no room for the segment, or the segment no proper ids.
    ids: Option<Arc<Ids>>,
    positions: Option<Arc<Positions>>,
    latest: Option<UnixNanos>,
    asked: u64,
}

impl TraceIndex {
    pub fn new(max_bytes: usize) -> Self {
        Self { max_bytes, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is whole before its guard goes.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn find(&self, segment: &Segment, traces: &HashSet<TraceId>) -> Found {
        let (ids, positions) = {
            let state = self.state();
            let Some(known) = state.segments.get(&segment.location) else { return Found::Unknown };
            let Some(ids) = &known.ids else { return Found::Unknown };
            (Arc::clone(ids), known.positions.clone())
        };
        let ranks: Vec<usize> = traces.iter().filter_map(|trace| ids.rank(trace)).collect();
        if ranks.is_empty() {
            return Found::Nothing;
        }
        let mut state = self.state();
        state.questions += 1;
        let questions = state.questions;
        if let Some(known) = state.segments.get_mut(&segment.location) {
            known.asked = questions;
        }
        drop(state);
        let Some(positions) = positions else { return Found::Some };
        let mut rows = Vec::new();
        ranks.into_iter().for_each(|rank| positions.rows(rank, &mut rows));
        rows.sort_unstable();
        Found::Rows(rows)
    }

    /// Forgets segments that are not among `live`, and says which of those nothing is known of, newest first.
    pub fn unknown<'s>(&self, live: impl Iterator<Item = &'s Arc<Segment>>) -> Vec<Arc<Segment>> {
        let live: HashMap<&Path, &Arc<Segment>> = live.map(|segment| (&segment.location, segment)).collect();
        let mut state = self.state();
        let before = state.segments.len();
        state.segments.retain(|location, _| live.contains_key(location));
        if state.segments.len() < before {
            // There may be room again.
            state.segments.retain(|_, known| known.ids.is_some());
            state.bytes = state.segments.values().map(Known::size_bytes).sum();
        }
        let mut unknown: Vec<Arc<Segment>> = live
            .into_iter()
            .filter(|(location, _)| !state.segments.contains_key(*location))
            .map(|(_, segment)| Arc::clone(segment))
            .collect();
        unknown.sort_by_key(|segment| std::cmp::Reverse(segment.start_range.map(|(_, latest)| latest)));
        unknown
    }

    /// Keeps what was read of a segment, if there is room, and says whether its ids are kept; `None` says that it has to be
    /// searched.
    pub fn insert(&self, segment: &Segment, rows: Option<TraceRows>) -> bool {
        let (ids, positions) = rows.map(|rows| (Arc::new(rows.ids), Arc::new(rows.positions))).unzip();
        let latest = segment.start_range.map(|(_, latest)| latest);
        let mut state = self.state();
        let asked = state.questions;
        let known = Known { ids, positions, latest, asked };
        state.bytes += known.size_bytes();
        if let Some(known) = state.segments.insert(segment.location.clone(), known) {
            state.bytes -= known.size_bytes();
        }
        state.shrink(self.max_bytes);
        state.segments.get(&segment.location).is_some_and(|known| known.ids.is_some())
    }

    pub fn status(&self) -> TraceIndexStatus {
        let state = self.state();
        let known = || state.segments.values();
        TraceIndexStatus {
            segments: known().filter(|known| known.ids.is_some()).count(),
            with_rows: known().filter(|known| known.positions.is_some()).count(),
            bytes: state.bytes,
        }
    }
}

impl Known {
    fn size_bytes(&self) -> usize {
        self.ids.as_ref().map_or(0, |ids| ids.size_bytes())
            + self.positions.as_ref().map_or(0, |positions| positions.size_bytes())
    }
}

impl State {
    fn shrink(&mut self, max_bytes: usize) {
        while self.bytes > max_bytes {
            let with_positions = self.segments.values_mut().filter(|known| known.positions.is_some());
            let known = match with_positions.min_by_key(|known| (known.asked, known.latest)) {
                Some(known) => known,
                None => {
                    let with_ids = self.segments.values_mut().filter(|known| known.ids.is_some());
                    let Some(oldest) = with_ids.min_by_key(|known| known.latest) else { return };
                    oldest
                }
            };
            let before = known.size_bytes();
            if known.positions.take().is_none() {
                known.ids = None;
            }
            self.bytes -= before - known.size_bytes();
        }
    }
}
