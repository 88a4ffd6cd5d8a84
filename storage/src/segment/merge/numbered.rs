//! Leaves of texts and of nested columns: levels are copied, numbers exchanged for those of the output's dictionary.

use std::io::Write;

use parquet::basic::Type;
use parquet::bloom_filter::Sbbf;
use parquet::file::writer::SerializedRowGroupWriter;
use zstd::bulk::Compressor;

use super::super::dictionary::Dictionary;
use super::super::layout;
use super::super::leaf::{LeafWriter, PAGE_BYTES, PageRows};
use super::column::{Column, Seen};
use super::input::Input;
use super::order::Group;
use super::overrides::{self, Override};
use super::pages::{LeafPage, LeafPages, PageValues};
use super::write_failed;
use crate::Result;

/// Writes the leaf of a row group.
pub(super) fn write<W: Write + Send>(
    column: &Column,
    inputs: &[Input],
    group: &Group,
    row_group: &mut SerializedRowGroupWriter<'_, W>,
    compressor: &mut Compressor<'_>,
    overrides: &[(usize, Override)],
    seen: &mut Seen,
) -> Result<()> {
    let mut sources: Vec<Source<'_>> = inputs
        .iter()
        .zip(&group.first_rows)
        .map(|(input, first_row)| Source::open(column, input, *first_row))
        .collect();
    let mut target = Target::new(column, compressor, overrides);
    for run in &group.runs {
        let mut left = run.count();
        while left > 0 {
            let room = layout::PAGE_ROWS - target.rows;
            left -= sources[run.input()].take(left.min(room), &mut target)?;
            if target.is_full() {
                target.end_page()?;
            }
        }
    }
    if target.rows > 0 {
        target.end_page()?;
    }
    seen.texts(&target.leaf.dictionary);
    let bloom = column.has_bloom.then(|| bloom(&target.leaf.dictionary)).transpose()?;
    target.leaf.finish(row_group, target.compressor, bloom).map_err(write_failed)
}

/// A filter of all values, as large as a flush would make it.
fn bloom(values: &Dictionary) -> Result<Sbbf> {
    let count = values.len().max(1) as u64;
    let mut bloom = Sbbf::new_with_ndv_fpp(count, layout::BLOOM_FALSE_POSITIVES).map_err(write_failed)?;
    values.values().for_each(|value| bloom.insert(value));
    Ok(bloom)
}

/// The page that is being filled.
struct Target<'c, 'z> {
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
    may_have_own: bool,
    /// Where the page begins in its group.
    first_row: usize,
    overrides: &'c [(usize, Override)],
    text_of: Option<fn(&Override) -> Option<&str>>,
    compressor: &'c mut Compressor<'z>,
}

impl<'c, 'z> Target<'c, 'z> {
    fn new(column: &Column, compressor: &'c mut Compressor<'z>, overrides: &'c [(usize, Override)]) -> Self {
        let leaf = LeafWriter::new(column.descriptor.clone(), column.dictionary_bytes, column.has_ranges);
        let leaf = if column.is_map_value { leaf.aligned() } else { leaf };
        // Booleans are their own numbers; ranges and filters are made of all values.
        let is_boolean = column.descriptor.physical_type() == Type::BOOLEAN;
        Self {
            leaf,
            page: PageRows::default(),
            rows: 0,
            missing: 0,
            own: Dictionary::default(),
            is_own: false,
            stamp: 1,
            limit_bytes: column.dictionary_bytes,
            may_have_own: !is_boolean && !column.has_ranges && !column.has_bloom,
            first_row: 0,
            overrides,
            text_of: overrides::text(column.name()).filter(|_| column.has_ranges),
            compressor,
        }
    }

    fn is_full(&self) -> bool {
        let is_large = if self.is_own {
            self.own.size_bytes() >= PAGE_BYTES
        } else {
            // So that no page after the one that passes the limit adds to the dictionary.
            self.may_have_own && self.leaf.dictionary.size_bytes() > self.limit_bytes
        };
        self.rows == layout::PAGE_ROWS || is_large
    }

    fn end_missing(&mut self) {
        let count = std::mem::take(&mut self.missing);
        if count > 0 {
            self.page.missing(count);
        }
    }

    fn end_page(&mut self) -> Result<()> {
        self.end_missing();
        if let Some(text_of) = self.text_of {
            let Self { page, leaf, .. } = self;
            overrides::put_texts(self.overrides, self.first_row, page, &mut leaf.dictionary, text_of);
        }
        self.first_row += self.rows;
        let Self { leaf, page, rows, own, compressor, .. } = self;
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
}

/// A leaf of an input, from the row on that is the group's first.
struct Source<'i> {
    /// `None` where the file has not the leaf.
    pages: Option<LeafPages<'i>>,
    input: &'i Input,
    page: LeafPage,
    at: usize,
    /// By number in the input's dictionary: a stamp of the target, and the number there.
    to_target: Vec<(u32, u32)>,
    generation: u32,
}

impl<'i> Source<'i> {
    fn open(column: &Column, input: &'i Input, first_row: u64) -> Self {
        let max_definition = column.descriptor.max_def_level();
        let pages = input.leaf(column.leaf).map(|leaf| LeafPages::open(input, leaf, max_definition, first_row));
        Self { pages, input, page: LeafPage::default(), at: 0, to_target: Vec::new(), generation: 0 }
    }

    /// Moves at most `count` rows to `target`, and returns how many.
    fn take(&mut self, count: usize, target: &mut Target<'_, '_>) -> Result<usize> {
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
        if page.is_missing {
            target.missing += count;
            return Ok(count);
        }
        target.end_missing();
        let (start, end) = page.levels(from, self.at);
        if let Some(levels) = page.repetitions.get(start..end) {
            target.page.repetitions.extend_from_slice(levels);
        }
        if let Some(levels) = page.definitions.get(start..end) {
            target.page.definitions.extend_from_slice(levels);
        }
        let (start, end) = page.numbers_of(from, self.at);
        let numbers = &page.numbers[start..end];
        match &page.values {
            PageValues::Booleans => target.page.numbers.extend_from_slice(numbers),
            PageValues::Own(values) => {
                let Target { leaf, own, is_own, page: to_page, .. } = target;
                to_page.numbers.extend(numbers.iter().map(|number| {
                    let value = values.get(*number);
                    if *is_own { own.push(value) } else { leaf.dictionary.add(value) }
                }));
            }
            PageValues::Dictionary => {
                let Target { leaf, own, is_own, stamp, page: to_page, .. } = target;
                to_page.numbers.extend(numbers.iter().map(|&number| {
                    let known = &mut to_target[number as usize];
                    if known.0 != *stamp {
                        let value = pages.dictionary.get(number);
                        let number = if *is_own { own.push(value) } else { leaf.dictionary.add(value) };
                        *known = (*stamp, number);
                    }
                    known.1
                }));
            }
        }
        Ok(count)
    }
}
