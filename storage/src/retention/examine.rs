//! Which rows of a segment of `spans` go by rules, and by which. Reads the columns that it needs, one by one.
//!
//! Services come first: rows are sorted by them, so that they are a few runs. If a limit that is due holds for any of them, the
//! keep reasons follow; and if it is an error of the trace that decides, status and trace ids, and the digests of these traces.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrow::buffer::BooleanBuffer;
use hashbrown::{DefaultHashBuilder, HashMap};
use parquet::file::reader::ChunkReader;

use super::rules::{Due, Fate, Limit};
use crate::config::{RetentionRule, RetentionSettings};
use crate::schema::promoted::Promoted;
use crate::schema::{Table, spans, traces};
use crate::segment::{FlatColumns, MergeInput, damaged_if_it_panics};
use crate::snapshot::Segment;
use crate::{Error, Result};

/// A segment to look at.
#[derive(Debug, Clone)]
pub struct Examination {
    pub segment: Arc<Segment>,
    pub due: Due,
    /// All columns of attributes that `spans` has.
    pub promoted: Arc<[Promoted]>,
    /// Segments of `traces` that may have the digests of its traces.
    pub digests: Vec<Arc<Segment>>,
}

/// Rows that go. There is at least one.
#[derive(Debug, Clone)]
pub struct Going {
    /// By row: whether it stays.
    pub kept: BooleanBuffer,
    /// By limit: how many rows go.
    pub by_limit: Vec<u64>,
}

impl Going {
    pub fn rows(&self) -> u64 {
        self.by_limit.iter().sum()
    }
}

/// Traces of a segment that are told apart: each takes 16 to 32 bytes. Of others nobody knows whether they have an error.
const MAX_TRACES: usize = 4 << 20;

/// `None` if no row goes. Works for as long as it takes to read: call it on a thread of its own.
pub fn examine<R: ChunkReader + 'static>(
    wanted: &Examination,
    settings: &RetentionSettings,
    open: impl Fn(&Segment) -> R,
    cancelled: &Arc<AtomicBool>,
) -> Result<Option<Going>> {
    damaged_if_it_panics(|| name(&wanted.segment), || look_through(wanted, settings, open, cancelled))
}

fn name(segment: &Segment) -> String {
    format!("segment {}", segment.location)
}

fn look_through<R: ChunkReader + 'static>(
    wanted: &Examination,
    settings: &RetentionSettings,
    open: impl Fn(&Segment) -> R,
    cancelled: &Arc<AtomicBool>,
) -> Result<Option<Going>> {
    let columns = |table, promoted: &[Promoted], segment: &Segment| {
        let (name, keys) = (segment.location.to_string(), segment.keys.clone());
        FlatColumns::open(table, promoted, MergeInput { name, file: open(segment), keys, lost_rows: false }, cancelled)
    };
    let segment = columns(Table::Spans, &wanted.promoted, &wanted.segment)?;
    if segment.row_count() != wanted.segment.row_count {
        let detail = format!("the log lists {} rows, and its footer {}", wanted.segment.row_count, segment.row_count());
        return Err(segment.damaged(&detail));
    }
    let Some(fates) = Fates::read(&segment, &settings.rules, wanted.due)? else { return Ok(None) };
    let mut errors = Errors::default();
    if fates.has(|fate| fate.asks(wanted.due)) {
        errors.read_spans(&segment, &fates, wanted.due)?;
        for digests in &wanted.digests {
            let read = || columns(Table::Traces, &[], digests).and_then(|digests| errors.read_digests(&digests));
            match damaged_if_it_panics(|| name(digests), read) {
                Err(error @ (Error::Damaged { .. } | Error::Read { .. })) => {
                    // Of its traces nobody knows whether they have an error, and their spans stay the longer.
                    tracing::warn!(%error, "digests cannot be read, so that rules keep what they may be of");
                }
                read => read?,
            }
        }
    }
    going(&segment, &fates, &errors, wanted.due, settings.rules.len() + 1)
}

/// What decides over each row.
#[derive(Debug, Default)]
struct Fates {
    kinds: Vec<Fate>,
    /// By row: a place in `kinds`.
    of_rows: Vec<u16>,
}

impl Fates {
    /// `None` if no row can go.
    fn read(segment: &FlatColumns, rules: &[RetentionRule], due: Due) -> Result<Option<Self>> {
        let services = match rules.iter().any(|rule| !rule.services.is_empty()) {
            true => Services::read(segment)?,
            false => Services { names: vec![String::new()], runs: vec![(0, segment.row_count())] },
        };
        let words: BTreeSet<&str> = rules.iter().flat_map(|rule| &rule.keep_reasons).map(String::as_str).collect();
        let words: Vec<&str> = words.into_iter().collect();
        let is_touched = |service: &String| {
            let mut words = words.iter().copied().chain([""]);
            words.any(|word| Fate::of(rules, service, word).is_touched(due))
        };
        if !services.names.iter().any(is_touched) {
            return Ok(None);
        }
        let mut fates = Self::default();
        if words.is_empty() {
            for (service, rows) in services.runs {
                let kind = fates.number(Fate::of(rules, &services.names[service], ""));
                fates.of_rows.resize(fates.of_rows.len() + rows as usize, kind);
            }
        } else {
            fates.read_reasons(segment, rules, &services, &words)?;
        }
        Ok(fates.has(|fate| fate.is_touched(due)).then_some(fates))
    }

    /// Whether any row is such.
    fn has(&self, is: impl Fn(Fate) -> bool) -> bool {
        let kinds: Vec<bool> = self.kinds.iter().map(|fate| is(*fate)).collect();
        self.of_rows.iter().any(|kind| kinds[usize::from(*kind)])
    }

    fn read_reasons(
        &mut self,
        segment: &FlatColumns,
        rules: &[RetentionRule],
        services: &Services,
        words: &[&str],
    ) -> Result<()> {
        // All that no rule names are alike.
        let learn = |word: &[u8]| words.iter().position(|known| known.as_bytes() == word).unwrap_or(words.len());
        segment.for_each_row(spans::KEEP_REASON, learn, |_, word: usize| self.of_rows.push(word as u16))?;
        let mut of_rows = std::mem::take(&mut self.of_rows);
        let mut rest = of_rows.as_mut_slice();
        for (service, rows) in &services.runs {
            let Some((of_service, others)) = rest.split_at_mut_checked(*rows as usize) else {
                return Err(segment.damaged("its columns differ in length"));
            };
            let word = |place: usize| words.get(place).copied().unwrap_or_default();
            let kinds: Vec<u16> = (0..=words.len())
                .map(|place| self.number(Fate::of(rules, &services.names[*service], word(place))))
                .collect();
            of_service.iter_mut().for_each(|of_row| *of_row = kinds[usize::from(*of_row)]);
            rest = others;
        }
        self.of_rows = of_rows;
        Ok(())
    }

    fn number(&mut self, fate: Fate) -> u16 {
        let place = self.kinds.iter().position(|known| *known == fate).unwrap_or_else(|| {
            self.kinds.push(fate);
            self.kinds.len() - 1
        });
        // Two of at most 33 limits make fewer than 65,536.
        place as u16
    }

    fn of(&self, row: u64) -> Option<Fate> {
        self.kinds.get(usize::from(*self.of_rows.get(row as usize)?)).copied()
    }
}

#[derive(Debug, Default)]
struct Services {
    names: Vec<String>,
    /// So many rows have this one.
    runs: Vec<(usize, u64)>,
}

impl Services {
    fn read(segment: &FlatColumns) -> Result<Self> {
        let mut numbers: HashMap<Box<[u8]>, usize> = HashMap::new();
        let mut names = Vec::new();
        let learn = |service: &[u8]| {
            if let Some(known) = numbers.get(service) {
                return *known;
            }
            numbers.insert(service.into(), names.len());
            names.push(String::from_utf8_lossy(service).into_owned());
            names.len() - 1
        };
        let mut runs: Vec<(usize, u64)> = Vec::new();
        segment.for_each_row(spans::SERVICE_NAME, learn, |_, service| match runs.last_mut() {
            Some((last, rows)) if *last == service => *rows += 1,
            _ => runs.push((service, 1)),
        })?;
        Ok(Self { names, runs })
    }
}

fn hash(hasher: &DefaultHashBuilder, id: &[u8]) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write(id);
    hasher.finish()
}

/// What is known of a trace.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    has_digest: bool,
    has_error: bool,
}

/// By hash of a trace id.
#[derive(Debug, Default)]
struct Errors {
    hasher: DefaultHashBuilder,
    traces: HashMap<u64, Known>,
}

impl Errors {
    /// Takes up the traces that must be known, and which of them have a span with an error here.
    fn read_spans(&mut self, segment: &FlatColumns, fates: &Fates, due: Due) -> Result<()> {
        let mut has_error = Vec::new();
        let is_error = |status: &[u8]| status == spans::STATUS_ERROR.as_bytes();
        segment.for_each_row(spans::STATUS_CODE, is_error, |_, is_error| has_error.push(is_error))?;
        let Self { hasher, traces } = self;
        segment.for_each_row(
            spans::TRACE_ID,
            |id| hash(hasher, id),
            |row, trace| {
                let has_error = has_error.get(row as usize).copied().unwrap_or_default();
                // A span that stays for certain may be the one that failed.
                if !has_error && !fates.of(row).is_some_and(|fate| fate.asks(due)) {
                    return;
                }
                if traces.len() < MAX_TRACES {
                    traces.entry(trace).or_default().has_error |= has_error;
                } else if let Some(known) = traces.get_mut(&trace) {
                    known.has_error |= has_error;
                }
            },
        )
    }

    fn read_digests(&mut self, digests: &FlatColumns) -> Result<()> {
        let mut found: Vec<(u64, u64)> = Vec::new();
        let learn = |id: &[u8]| Some(hash(&self.hasher, id)).filter(|trace| self.traces.contains_key(trace));
        digests.for_each_row(traces::TRACE_ID, learn, |row, trace: Option<u64>| {
            found.extend(trace.map(|trace| (row, trace)));
        })?;
        if found.is_empty() {
            return Ok(());
        }
        let mut found = found.into_iter().peekable();
        let is_above_zero = |count: &[u8]| count.try_into().is_ok_and(|count| i64::from_le_bytes(count) > 0);
        digests.for_each_row(traces::ERROR_COUNT, is_above_zero, |row, has_error| {
            if let Some((_, trace)) = found.next_if(|(of_trace, _)| *of_trace == row)
                && let Some(known) = self.traces.get_mut(&trace)
            {
                known.has_digest = true;
                known.has_error |= has_error;
            }
        })
    }

    /// `None` if nobody knows.
    fn of(&self, trace: u64) -> Option<bool> {
        let known = self.traces.get(&trace)?;
        (known.has_error || known.has_digest).then_some(known.has_error)
    }
}

fn going(segment: &FlatColumns, fates: &Fates, errors: &Errors, due: Due, limits: usize) -> Result<Option<Going>> {
    let mut kept = Vec::with_capacity(fates.of_rows.len());
    let mut by_limit = vec![0; limits];
    let mut decide = |fate: Fate, has_error: Option<bool>| {
        let limit: Option<Limit> = fate.going(due, has_error);
        kept.push(limit.is_none());
        if let Some(count) = limit.and_then(|limit| by_limit.get_mut(limit)) {
            *count += 1;
        }
    };
    if errors.traces.is_empty() {
        // Either no row asks, or of none is anything known.
        fates
            .of_rows
            .iter()
            .filter_map(|kind| fates.kinds.get(usize::from(*kind)))
            .for_each(|fate| decide(*fate, None));
    } else {
        let mut row = 0;
        let learn = |id: &[u8]| errors.of(hash(&errors.hasher, id));
        segment.for_each_row(spans::TRACE_ID, learn, |_, has_error| {
            if let Some(fate) = fates.of(row) {
                decide(fate, has_error);
            }
            row += 1;
        })?;
    }
    if kept.len() as u64 != segment.row_count() {
        return Err(segment.damaged("its columns differ in length"));
    }
    let is_any = by_limit.iter().any(|rows| *rows > 0);
    Ok(is_any.then(|| Going { kept: BooleanBuffer::from(kept), by_limit }))
}

#[cfg(test)]
mod tests;
