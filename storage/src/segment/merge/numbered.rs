//! Leaves of texts and of nested columns: levels are copied, numbers exchanged for those of the output's dictionary.

use std::io::Write;

use parquet::bloom_filter::Sbbf;
use parquet::file::writer::SerializedRowGroupWriter;
use zstd::bulk::Compressor;

use super::super::dictionary::Dictionary;
use super::super::layout;
use super::super::leaf::{LeafWriter, PAGE_BYTES, PageRows};
use super::column::{Column, Seen};
use super::input::Input;
use super::moved::{Gathered, MapMoves, Marks, Split};
use super::overrides::{self, Override};
use super::pages::{LeafPage, LeafPages, PageValues};
use super::sources::{self, Leaf};
use super::values::Values;
use super::write_failed;
use crate::Result;

/// Writes the leaf of a row group. `map` says what entries move out of it, if it is of a map of attributes.
pub(super) fn write<'g, W: Write + Send>(
    leaf: &Leaf<'g>,
    mut map: Option<MapMoves<'g>>,
    row_group: &mut SerializedRowGroupWriter<'_, W>,
    compressor: &mut Compressor<'_>,
    seen: &mut Seen,
) -> Result<()> {
    let open = |(number, source): (usize, &sources::Source<'g>)| {
        let marks = map.as_ref().and_then(|map| map.marks(number, source));
        Source::open(leaf.column, *source, marks)
    };
    let mut sources: Vec<Source<'g>> = leaf.sources.iter().enumerate().map(open).collect();
    let mut target = Target::new(leaf.column, leaf.overrides);
    for run in &leaf.group.runs {
        if run.is_gone() {
            leaf.passed_in(*run).into_iter().for_each(|source| sources[source].pass(run.count()));
            continue;
        }
        let source = &mut sources[leaf.source_of(*run)];
        let mut left = run.count();
        while left > 0 {
            let room = target.page_rows - target.rows;
            let count = source.take(left.min(room), &mut target)?;
            if let Some(map) = &mut map {
                map.gather(run.input(), count, source)?;
            }
            if target.is_full() {
                target.end_page(compressor)?;
            }
            left -= count;
        }
    }
    if target.rows > 0 {
        target.end_page(compressor)?;
    }
    seen.texts(&target.leaf.dictionary);
    let bloom = leaf.column.has_bloom.then(|| bloom(&target.leaf.dictionary)).transpose()?;
    target.leaf.finish(row_group, compressor, bloom).map_err(write_failed)
}

/// A filter of all values, as large as a flush would make it.
fn bloom(values: &Dictionary) -> Result<Sbbf> {
    let count = values.len().max(1) as u64;
    let mut bloom = Sbbf::new_with_ndv_fpp(count, layout::BLOOM_FALSE_POSITIVES).map_err(write_failed)?;
    values.values().for_each(|value| bloom.insert(value));
    Ok(bloom)
}

/// The page that is being filled, and those before it.
pub(super) struct Target<'c> {
    leaf: LeafWriter,
    page: PageRows,
    rows: usize,
    /// Rows without anything that are not among the levels yet: they come in long runs.
    missing: usize,
    /// Values of this page alone, once there is no dictionary any more.
    own: Dictionary,
    is_own: bool,
    /// Which dictionary numbers are of.
    stamp: u32,
    limit_bytes: usize,
    page_rows: usize,
    may_have_own: bool,
    /// Where the page begins in its group.
    first_row: usize,
    overrides: &'c [(usize, Override)],
    text_of: Option<fn(&Override) -> Option<&str>>,
}

impl<'c> Target<'c> {
    pub fn new(column: &Column, overrides: &'c [(usize, Override)]) -> Self {
        let leaf = LeafWriter::new(column.descriptor.clone(), column.dictionary_bytes, column.has_ranges);
        let leaf = if column.is_aligned { leaf.aligned() } else { leaf };
        Self {
            leaf,
            page: PageRows::default(),
            rows: 0,
            missing: 0,
            own: Dictionary::default(),
            is_own: false,
            stamp: 1,
            limit_bytes: column.dictionary_bytes,
            page_rows: column.page_rows,
            may_have_own: column.may_have_own,
            first_row: 0,
            overrides,
            text_of: overrides::text(column.name()).filter(|_| column.has_ranges),
        }
    }

    fn is_full(&self) -> bool {
        let is_large = if self.is_own {
            self.own.size_bytes() >= PAGE_BYTES
        } else {
            // So that no page after the one that passes the limit adds to the dictionary.
            self.may_have_own && self.leaf.dictionary.size_bytes() > self.limit_bytes
        };
        self.rows == self.page_rows || is_large
    }

    fn end_missing(&mut self) {
        let count = std::mem::take(&mut self.missing);
        if count > 0 {
            self.page.missing(count);
        }
    }

    fn end_page(&mut self, compressor: &mut Compressor<'_>) -> Result<()> {
        self.end_missing();
        if let Some(text_of) = self.text_of {
            let Self { page, leaf, .. } = self;
            overrides::put_texts(self.overrides, self.first_row, page, &mut leaf.dictionary, text_of);
        }
        self.first_row += self.rows;
        let Self { leaf, page, rows, own, .. } = self;
        let ended = if self.is_own {
            leaf.end_plain_page(*rows, page, own, compressor)
        } else {
            leaf.end_page(*rows, page, compressor)
        };
        ended.map_err(write_failed)?;
        page.clear();
        own.clear_pushed();
        self.rows = 0;
        self.is_own = self.may_have_own && leaf.is_plain();
        // Numbers of a page's own values mean nothing in the next one.
        self.stamp += u32::from(self.is_own);
        Ok(())
    }

    /// How many rows there are.
    pub fn row_count(&self) -> usize {
        self.first_row + self.rows
    }

    /// NULL, as far as row `end` of a flat column.
    pub fn fill(&mut self, end: usize, compressor: &mut Compressor<'_>) -> Result<()> {
        while self.row_count() < end {
            let count = (end - self.row_count()).min(self.page_rows - self.rows);
            (self.missing, self.rows) = (self.missing + count, self.rows + count);
            if self.is_full() {
                self.end_page(compressor)?;
            }
        }
        Ok(())
    }

    /// The next row of a flat column.
    pub fn put(&mut self, value: Value<'_>, compressor: &mut Compressor<'_>) -> Result<()> {
        self.end_missing();
        let number = match value {
            Value::Bool(number) => number,
            Value::Own(value) => self.add(value),
            Value::Known(known, value) => {
                if known.0 != self.stamp {
                    *known = (self.stamp, self.add(value));
                }
                known.1
            }
        };
        self.page.definitions.push(1);
        self.page.numbers.push(number);
        self.rows += 1;
        if self.is_full() { self.end_page(compressor) } else { Ok(()) }
    }

    /// Values of an input, with what is known of those in its dictionary.
    fn push_numbers(&mut self, numbers: &[u32], values: &PageValues, dictionary: &Values, known: &mut [Known]) {
        let Self { leaf, own, is_own, stamp, page: to_page, .. } = self;
        match values {
            PageValues::Booleans => to_page.numbers.extend_from_slice(numbers),
            PageValues::Own(values) => to_page.numbers.extend(numbers.iter().map(|number| {
                let value = values.get(*number);
                if *is_own { own.push(value) } else { leaf.dictionary.add(value) }
            })),
            PageValues::Dictionary => to_page.numbers.extend(numbers.iter().map(|&number| {
                let known = &mut known[number as usize];
                if known.0 != *stamp {
                    let value = dictionary.get(number);
                    let number = if *is_own { own.push(value) } else { leaf.dictionary.add(value) };
                    *known = (*stamp, number);
                }
                known.1
            })),
        }
    }

    fn add(&mut self, value: &[u8]) -> u32 {
        if self.is_own { self.own.push(value) } else { self.leaf.dictionary.add(value) }
    }

    /// Ends the last page.
    pub fn finish(mut self, compressor: &mut Compressor<'_>) -> Result<LeafWriter> {
        if self.rows > 0 {
            self.end_page(compressor)?;
        }
        Ok(self.leaf)
    }
}

/// A value for [`Target::put`].
pub(super) enum Value<'v> {
    /// As its number.
    Bool(u32),
    Own(&'v [u8]),
    /// With what is known of it: a stamp of the target, and the number there.
    Known(&'v mut Known, &'v [u8]),
}

pub(super) type Known = (u32, u32);

/// A leaf of an input, from the row on that is the group's first.
pub(super) struct Source<'i> {
    /// `None` where the file has not the leaf.
    pages: Option<LeafPages<'i>>,
    input: &'i Input,
    page: LeafPage,
    at: usize,
    /// By number in the input's dictionary.
    to_target: Vec<Known>,
    generation: u32,
    split: Option<Split<'i>>,
}

impl<'i> Source<'i> {
    fn open(column: &Column, source: sources::Source<'i>, marks: Option<Marks<'i>>) -> Self {
        let sources::Source { input, leaf, first_row } = source;
        let max_definition = column.descriptor.max_def_level();
        let pages = leaf.map(|leaf| LeafPages::open(input, leaf, max_definition, first_row));
        let split = marks.map(Split::new);
        Self { pages, input, page: LeafPage::default(), at: 0, to_target: Vec::new(), generation: 0, split }
    }

    /// Leaves the next rows out.
    fn pass(&mut self, count: usize) {
        if let Some(pages) = &mut self.pages {
            self.at = pages.pass(&self.page, self.at, count);
        }
        if let Some(split) = &mut self.split {
            split.pass(count);
        }
    }

    /// Moves at most `count` rows to `target`, and returns how many.
    fn take(&mut self, count: usize, target: &mut Target<'_>) -> Result<usize> {
        let Self { page, to_target, .. } = self;
        let Some(pages) = &mut self.pages else {
            (target.missing, target.rows) = (target.missing + count, target.rows + count);
            return Ok(count);
        };
        while self.at == page.rows {
            let first = pages.next(page)?;
            self.at = first.ok_or_else(|| self.input.damaged("a column has fewer rows than its footer says"))?;
            if self.generation != pages.generation {
                to_target.clear();
                self.generation = pages.generation;
            }
            to_target.resize(pages.dictionary.len(), (0, 0));
        }
        let from = self.at;
        let count = count.min(page.rows - from);
        self.at += count;
        target.rows += count;
        let staying = match &mut self.split {
            Some(split) => split.take(page, from, self.at, pages)?,
            None => None,
        };
        let part = match staying {
            Some(staying) => staying,
            None if page.is_missing => {
                target.missing += count;
                return Ok(count);
            }
            None => page.part(from, self.at),
        };
        target.end_missing();
        target.page.repetitions.extend_from_slice(part.repetitions);
        target.page.definitions.extend_from_slice(part.definitions);
        target.push_numbers(part.numbers, &page.values, &pages.dictionary, to_target);
        Ok(count)
    }

    /// Hands what of the rows taken last leaves its map to `gathered`, in which they are the rows from `first` on.
    pub fn gather(&mut self, first: usize, gathered: &mut Gathered) -> Result<()> {
        let (Some(split), Some(pages)) = (&mut self.split, &self.pages) else { return Ok(()) };
        let is_put = split.gather(first, &self.page.values, pages, gathered)?;
        if is_put { Ok(()) } else { Err(pages.damaged("a row has a key twice")) }
    }
}
