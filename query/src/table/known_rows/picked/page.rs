//! The levels of a page: which of its levels and values a row has.

use std::ops::Range;

use datafusion::parquet::basic::Encoding;
use datafusion::parquet::column::page::Page;
use datafusion::parquet::schema::types::ColumnDescriptor;

use super::hybrid::Hybrid;

#[derive(Debug)]
pub(super) struct Levels<'p> {
    /// Of the page.
    count: usize,
    /// A 0 where a row begins; without them each level is a row. To know where a row ends, the next must be found, so that they are
    /// gone through twice.
    rows: Option<Hybrid<'p>>,
    repetitions: Option<Hybrid<'p>>,
    /// The greatest where a value is there; without them each level has one.
    definitions: Option<Hybrid<'p>>,
}

/// A level, and the place of its value among the values of the page, if it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Level {
    pub repetition: u32,
    pub definition: u32,
    pub value: Option<usize>,
}

impl<'p> Levels<'p> {
    /// Levels and values; `None` if the page is too short, or has levels in an encoding that nobody has written for years.
    pub fn split(page: &'p Page, column: &ColumnDescriptor) -> Option<(Self, &'p [u8])> {
        let (max_repetition, max_definition) = (column.max_rep_level(), column.max_def_level());
        let mut rest = page.buffer().as_ref();
        let mut next = |max: i16, encoding: Option<Encoding>, length: Option<u32>, counted: u32| {
            if max == 0 {
                return Some(None);
            }
            let (levels, behind) = match length {
                Some(length) => rest.split_at_checked(usize::try_from(length).ok()?)?,
                None => {
                    let (length, behind) = rest.split_first_chunk::<4>()?;
                    behind.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?
                }
            };
            rest = behind;
            let is_read = encoding.is_none_or(|encoding| encoding == Encoding::RLE);
            is_read.then(|| Some(Hybrid::counting(levels, bit_width(max), counted)))
        };
        let (encodings, lengths) = match page {
            // Levels are behind their lengths, or the header says these.
            Page::DataPage { rep_level_encoding, def_level_encoding, .. } => {
                ((Some(*rep_level_encoding), Some(*def_level_encoding)), (None, None))
            }
            Page::DataPageV2 { rep_levels_byte_len, def_levels_byte_len, .. } => {
                ((None, None), (Some(*rep_levels_byte_len), Some(*def_levels_byte_len)))
            }
            Page::DictionaryPage { .. } => return None,
        };
        let rows = next(max_repetition, encodings.0, lengths.0, 0)?;
        let there = u32::from(max_definition.unsigned_abs());
        let definitions = next(max_definition, encodings.1, lengths.1, there)?;
        let count = usize::try_from(page.num_values()).ok()?;
        Some((Self { count, repetitions: rows.clone(), rows, definitions }, rest))
    }

    /// Whether so many rows can be in the page.
    pub fn may_have(&self, rows: usize) -> bool {
        if self.rows.is_some() { rows <= self.count } else { rows == self.count }
    }

    /// The places of a row's levels. Rows are asked for ascending.
    pub fn of_row(&mut self, row: usize) -> Option<Range<usize>> {
        let Some(rows) = &mut self.rows else { return (row < self.count).then_some(row..row + 1) };
        let start = rows.nth(row).filter(|start| *start < self.count)?;
        // The last row ends with the page, whose levels may be padded.
        let end = rows.nth(row + 1).map_or(self.count, |end| end.min(self.count));
        Some(start..end)
    }

    /// The place of the row's value, where each row has one level; `None` inside if it has no value.
    pub fn value_of(&mut self, row: usize) -> Option<Option<usize>> {
        match &mut self.definitions {
            Some(definitions) => definitions.rank(row).map(|(before, is_there)| is_there.then_some(before)),
            None => (row < self.count).then_some(Some(row)),
        }
    }

    /// The level in this place. Places are asked for ascending.
    pub fn at(&mut self, place: usize) -> Option<Level> {
        let (definition, value) = match &mut self.definitions {
            Some(definitions) => {
                let (before, is_there) = definitions.rank(place)?;
                (definitions.at(place)?, is_there.then_some(before))
            }
            None => (0, Some(place)),
        };
        let repetition = match &mut self.repetitions {
            Some(repetitions) => repetitions.at(place)?,
            None => 0,
        };
        Some(Level { repetition, definition, value })
    }
}

/// The bits of levels.
pub(super) fn bit_width(max: i16) -> u8 {
    (u16::BITS - max.unsigned_abs().leading_zeros()) as u8
}
