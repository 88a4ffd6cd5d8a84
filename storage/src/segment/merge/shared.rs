//! Traces of which several inputs have spans, and where.

use std::hash::{BuildHasher, Hasher};

use hashbrown::{DefaultHashBuilder, HashMap};

use super::flat::for_each_row;
use super::input::Input;
use super::pages::{LeafPage, LeafPages, PageValues};
use crate::Result;
use crate::model::TraceId;

/// Where a span is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub input: usize,
    pub row: u64,
    /// Among [`SharedTraces::ids`].
    pub trace: usize,
}

#[derive(Debug, Default)]
pub(super) struct SharedTraces {
    pub ids: Vec<TraceId>,
    /// By input and row.
    pub places: Vec<Place>,
    /// Further ones, whose spans would have been too many.
    pub left: u64,
}

/// Distinct trace ids that are looked at: each takes 16 to 32 bytes.
const MAX_IDS: usize = 4 << 20;
/// Spans of the trace are in several inputs.
const SEVERAL: u32 = u32::MAX;

impl SharedTraces {
    /// `leaf` is the table's column of trace ids. At most `max_rows` spans together.
    pub fn of(inputs: &[Input], leaf: usize, max_rows: usize) -> Result<Self> {
        let hasher = DefaultHashBuilder::default();
        let hash = |id: &[u8]| {
            let mut hasher = hasher.build_hasher();
            hasher.write(id);
            hasher.finish()
        };
        // Ids that share a hash are told apart later.
        let mut input_of: HashMap<u64, u32> = HashMap::new();
        let mut is_any_shared = false;
        for (number, input) in inputs.iter().enumerate() {
            let learn = |id: &[u8]| {
                let known = if input_of.len() < MAX_IDS {
                    input_of.entry(hash(id)).or_insert(number as u32)
                } else if let Some(known) = input_of.get_mut(&hash(id)) {
                    known
                } else {
                    return;
                };
                if *known != number as u32 {
                    (*known, is_any_shared) = (SEVERAL, true);
                }
            };
            for_each_row(input, leaf, learn, |_, ()| {})?;
        }
        if !is_any_shared {
            return Ok(Self::default());
        }

        let mut numbers: HashMap<TraceId, usize> = HashMap::new();
        // By number: rows, and the input that they are in.
        let mut found: Vec<(usize, u32)> = Vec::new();
        for (number, input) in inputs.iter().enumerate() {
            let learn = |id: &[u8]| {
                let is_shared = input_of.get(&hash(id)) == Some(&SEVERAL);
                let id = TraceId::from_slice(id).ok().filter(|_| is_shared)?;
                let next = numbers.len();
                Some(*numbers.entry(id).or_insert(next))
            };
            for_each_row(input, leaf, learn, |_, trace: Option<usize>| {
                let Some(trace) = trace else { return };
                if found.len() <= trace {
                    found.resize(trace + 1, (0, number as u32));
                }
                let (rows, known) = &mut found[trace];
                *rows += 1;
                if *known != number as u32 {
                    *known = SEVERAL;
                }
            })?;
        }
        drop(input_of);

        let mut shared = Self::default();
        let mut rows = 0;
        // In order of their appearance.
        let mut by_number: Vec<(usize, TraceId)> = numbers.into_iter().map(|(id, number)| (number, id)).collect();
        by_number.sort_unstable();
        let mut taken: HashMap<TraceId, usize> = HashMap::new();
        for (number, id) in by_number {
            match found.get(number) {
                Some((of_trace, SEVERAL)) if rows + of_trace <= max_rows => {
                    rows += of_trace;
                    taken.insert(id, shared.ids.len());
                    shared.ids.push(id);
                }
                Some((_, SEVERAL)) => shared.left += 1,
                _ => {}
            }
        }
        for (number, input) in inputs.iter().enumerate() {
            let learn = |id: &[u8]| TraceId::from_slice(id).ok().and_then(|id| taken.get(&id).copied());
            for_each_row(input, leaf, learn, |row, trace| {
                shared.places.extend(trace.map(|trace| Place { input: number, row, trace }));
            })?;
        }
        Ok(shared)
    }
}

/// Shows the values of some rows of a flat column, named in ascending order.
pub(super) fn for_some_rows(
    input: &Input,
    leaf: usize,
    rows: &[u64],
    mut see: impl FnMut(usize, Option<&[u8]>),
) -> Result<()> {
    let (Some(leaf), Some(&first)) = (input.leaf(leaf), rows.first()) else { return Ok(()) };
    let mut pages = LeafPages::open(input, leaf, input.column(leaf).max_def_level(), first);
    let mut page = LeafPage::default();
    let (mut start, mut end) = (first, first);
    for (number, &row) in rows.iter().enumerate() {
        while row >= end {
            pages.skip(row - end);
            let at = pages.next(&mut page)?;
            let at = at.ok_or_else(|| input.damaged("a column has fewer rows than its footer says"))?;
            start = row - at as u64;
            end = start + page.rows as u64;
        }
        let at = (row - start) as usize;
        let (from, to) = page.numbers_of(at, at + 1);
        let value = page.numbers.get(from..to).and_then(<[u32]>::first).map(|number| match &page.values {
            PageValues::Own(values) => values.get(*number),
            _ => pages.dictionary.get(*number),
        });
        see(number, value);
    }
    Ok(())
}
