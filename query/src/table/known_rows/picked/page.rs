//! The levels of a page: which of its values a row has.

use std::ops::Range;

use datafusion::parquet::basic::Encoding;
use datafusion::parquet::column::page::Page;

use super::Shape;
use super::hybrid::Hybrid;

#[derive(Debug)]
pub(super) struct Levels<'p> {
    /// Of the page.
    count: usize,
    kind: Kind<'p>,
}

#[derive(Debug)]
enum Kind<'p> {
    /// Each row has a value.
    Single,
    /// A 1 where a row has one.
    Optional(Hybrid<'p>),
    List {
        /// A 0 where a row begins.
        repetitions: Hybrid<'p>,
        /// A 0 for a row without values.
        definitions: Hybrid<'p>,
    },
}

impl<'p> Levels<'p> {
    /// Levels and values; `None` if the page is too short, or has levels in an encoding that nobody has written for years.
    pub fn split(page: &'p Page, shape: Shape) -> Option<(Self, &'p [u8])> {
        let count = usize::try_from(page.num_values()).ok()?;
        let mut rest = page.buffer().as_ref();
        let mut next = |length: Option<u32>| {
            let (levels, behind) = match length {
                Some(length) => rest.split_at_checked(usize::try_from(length).ok()?)?,
                None => {
                    let (length, behind) = rest.split_first_chunk::<4>()?;
                    behind.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?
                }
            };
            rest = behind;
            Some(Hybrid::new(levels, 1))
        };
        // Behind their length, or the header says it.
        let lengths = match page {
            Page::DataPage { def_level_encoding: Encoding::RLE, rep_level_encoding: Encoding::RLE, .. } => (None, None),
            Page::DataPage { .. } if shape == Shape::Single => (None, None),
            Page::DataPage { def_level_encoding: Encoding::RLE, .. } if shape == Shape::Optional => (None, None),
            Page::DataPageV2 { rep_levels_byte_len, def_levels_byte_len, .. } => {
                (Some(*rep_levels_byte_len), Some(*def_levels_byte_len))
            }
            _ => return None,
        };
        let kind = match shape {
            Shape::Single => Kind::Single,
            Shape::Optional => Kind::Optional(next(lengths.1)?),
            Shape::List => Kind::List { repetitions: next(lengths.0)?, definitions: next(lengths.1)? },
        };
        Some((Self { count, kind }, rest))
    }

    /// Whether so many rows can be in the page.
    pub fn may_have(&self, rows: usize) -> bool {
        match self.kind {
            Kind::Single | Kind::Optional(_) => rows == self.count,
            Kind::List { .. } => rows <= self.count,
        }
    }

    /// The places of a row's values among those that are there. Rows are asked for ascending.
    pub fn values_of(&mut self, row: usize) -> Option<Range<usize>> {
        match &mut self.kind {
            Kind::Single => (row < self.count).then_some(row..row + 1),
            Kind::Optional(levels) => {
                let (before, is_there) = levels.ones_before(row)?;
                Some(before..before + usize::from(is_there))
            }
            Kind::List { repetitions, definitions } => {
                let start = repetitions.zero(row).filter(|start| *start < self.count)?;
                // The last row ends with the page, whose levels may be padded.
                let end = repetitions.zero(row + 1).map_or(self.count, |end| end.min(self.count));
                let (before, _) = definitions.ones_before(start)?;
                let (last, is_there) = definitions.ones_before(end.checked_sub(1)?)?;
                Some(before..last + usize::from(is_there))
            }
        }
    }
}
