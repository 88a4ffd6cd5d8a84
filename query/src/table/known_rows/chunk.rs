//! Where the pages of a column lie that hold some rows.

use std::ops::Range;

use datafusion::parquet::errors::{ParquetError, Result};
use datafusion::parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use datafusion::parquet::file::page_index::offset_index::PageLocation;

/// Where a column of a row group lies in its file.
pub(super) struct Chunk<'f> {
    pub(super) column: &'f ColumnChunkMetaData,
    bytes: Range<u64>,
    /// Empty if the file does not say where pages are.
    pages: &'f [PageLocation],
    row_count: usize,
}

/// A page that holds rows.
#[derive(Debug)]
pub(super) struct HeldPage {
    number: usize,
    pub(super) location: PageLocation,
    pub(super) first_row: usize,
    pub(super) row_count: usize,
    /// The rows it holds, by their places among those that are asked for.
    pub(super) asked: Range<usize>,
}

impl<'f> Chunk<'f> {
    pub(super) fn of(footer: &'f ParquetMetaData, group: usize, leaf: usize) -> Result<Self> {
        let of_group = footer.row_groups().get(group).ok_or_else(|| wrong("there is no such row group"))?;
        let column = of_group.columns().get(leaf).ok_or_else(|| wrong("a row group lacks a column"))?;
        let start = column.dictionary_page_offset().unwrap_or_else(|| column.data_page_offset());
        let (Ok(start), Ok(length)) = (u64::try_from(start), u64::try_from(column.compressed_size())) else {
            return Err(wrong("a column lies before its file"));
        };
        let end = start.checked_add(length).ok_or_else(|| wrong("a column has no end"))?;
        let index = footer.offset_index().and_then(|index| index.get(group)).and_then(|index| index.get(leaf));
        let pages = index.map(|index| index.page_locations().as_slice()).unwrap_or_default();
        Ok(Self { column, bytes: start..end, pages, row_count: usize::try_from(of_group.num_rows())? })
    }

    /// Whether it is known where pages are.
    pub(super) fn has_index(&self) -> bool {
        !self.pages.is_empty()
    }

    pub(super) fn row_count(&self) -> usize {
        self.row_count
    }

    /// The bytes of a dictionary, if any.
    pub(super) fn dictionary(&self) -> Result<Range<u64>> {
        let first = self.pages.first().and_then(|page| self.first_byte(page)).ok_or_else(outside)?;
        Ok(self.bytes.start..first)
    }

    fn first_byte(&self, page: &PageLocation) -> Option<u64> {
        u64::try_from(page.offset).ok().filter(|at| self.bytes.contains(at))
    }

    /// The pages that hold one of the rows, which are ascending; their bytes go to `ranges`.
    pub(super) fn held(&self, rows: &[usize], ranges: &mut Vec<Range<u64>>) -> Result<Vec<HeldPage>> {
        let mut held = Vec::new();
        let mut asked = 0;
        while let Some(row) = rows.get(asked) {
            let behind = self.pages.partition_point(|page| first_row(page) <= *row);
            let page = behind.checked_sub(1).and_then(|number| Some((number, self.pages.get(number)?)));
            let (number, page) = page.ok_or_else(outside)?;
            let (first, end) = (first_row(page), self.pages.get(behind).map_or(self.row_count, first_row));
            if first > *row || end <= *row {
                return Err(wrong("pages are not in the order of their rows"));
            }
            let start = self.first_byte(page).ok_or_else(outside)?;
            let length = u64::try_from(page.compressed_page_size).map_err(|_| outside())?;
            let bytes_end = start.checked_add(length).filter(|end| *end <= self.bytes.end).ok_or_else(outside)?;
            match ranges.last_mut().filter(|last| last.end == start) {
                Some(last) => last.end = bytes_end,
                None => ranges.push(start..bytes_end),
            }
            let until = asked + rows[asked..].partition_point(|row| *row < end);
            held.push(HeldPage {
                number,
                location: page.clone(),
                first_row: first,
                row_count: end - first,
                asked: asked..until,
            });
            asked = until;
        }
        Ok(held)
    }

    /// What the crate reads of it; adds the bytes to `ranges`.
    pub(super) fn thin(&self, leaf: usize, rows: &[usize], ranges: &mut Vec<Range<u64>>) -> Result<ThinChunk> {
        if !self.has_index() {
            ranges.push(self.bytes.clone());
            return Ok(ThinChunk { leaf, pages: None });
        }
        let dictionary = self.dictionary()?;
        if !dictionary.is_empty() {
            ranges.push(dictionary);
        }
        let (mut thin, mut next) = (Vec::new(), 0);
        for page in self.held(rows, ranges)? {
            let between = self.pages.get(next..page.number);
            thin.extend(between.ok_or_else(|| wrong("pages are not in the order of their rows"))?.first().cloned());
            thin.push(page.location);
            next = page.number + 1;
        }
        thin.extend(self.pages.get(next).cloned());
        let firsts: Vec<usize> = thin.iter().map(first_row).chain([self.row_count]).collect();
        if firsts.first() != Some(&0) || !firsts.is_sorted_by(|one, next| one < next) {
            return Err(wrong("pages are not in the order of their rows"));
        }
        Ok(ThinChunk { leaf, pages: Some(thin) })
    }
}

/// What the crate reads of a column of a row group.
pub(super) struct ThinChunk {
    pub(super) leaf: usize,
    /// The pages that hold rows, and a page for all that lie between two of them, which is passed and never read. `None` if
    /// the file does not say where pages are: then all are read.
    pub(super) pages: Option<Vec<PageLocation>>,
}

fn first_row(page: &PageLocation) -> usize {
    usize::try_from(page.first_row_index).unwrap_or(usize::MAX)
}

fn outside() -> ParquetError {
    wrong("a page lies outside of its column")
}

pub(super) fn wrong(what: &str) -> ParquetError {
    ParquetError::General(what.to_owned())
}
