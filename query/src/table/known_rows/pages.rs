//! A row group as the crate's column readers see it: of each column the pages that hold rows, decompressed by one
//! decompressor for all.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, Bytes};
use datafusion::parquet::arrow::arrow_reader::RowGroups;
use datafusion::parquet::basic::Compression;
use datafusion::parquet::column::page::{Page, PageIterator, PageMetadata, PageReader};
use datafusion::parquet::errors::{ParquetError, Result};
use datafusion::parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use datafusion::parquet::file::page_index::offset_index::PageLocation;
use datafusion::parquet::file::reader::{ChunkReader, Length, SerializedPageReader};
use zstd::bulk::Decompressor;
use zstd::zstd_safe::get_frame_content_size;

/// Larger pages than any writer makes. One that claims more would be given memory before it is found to be wrong.
const PAGE_BYTES: u64 = 1 << 30;
/// The same of a data page's values: those of a page of nothing but the same value take no bytes.
const PAGE_VALUES: u32 = 1 << 26;

pub(super) type Zstd = Arc<Mutex<Decompressor<'static>>>;

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
    leaf: usize,
    /// The pages that hold rows, and a page for all that lie between two of them, which is passed and never read. `None` if
    /// the file does not say where pages are: then all are read.
    pages: Option<Vec<PageLocation>>,
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

/// Parts of a file.
#[derive(Debug)]
pub(super) struct Parts {
    length: u64,
    /// By their places in the file.
    parts: Vec<(u64, Bytes)>,
}

impl Parts {
    pub(super) fn new(length: u64, mut parts: Vec<(u64, Bytes)>) -> Self {
        parts.sort_unstable_by_key(|(start, _)| *start);
        Self { length, parts }
    }

    /// From this byte of the file to the end of the part.
    fn from(&self, start: u64) -> Result<Bytes> {
        let at = self.parts.partition_point(|(first, _)| *first <= start);
        let part = at.checked_sub(1).and_then(|at| self.parts.get(at));
        let rest = part.and_then(|(first, bytes)| {
            let skipped = usize::try_from(start - first).ok().filter(|skipped| *skipped < bytes.len())?;
            Some(bytes.slice(skipped..))
        });
        rest.ok_or_else(|| wrong("a page lies where none was read"))
    }
}

impl Length for Parts {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Parts {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let mut rest = self.from(start)?;
        if rest.len() < length {
            return Err(wrong("a page ends too early"));
        }
        rest.truncate(length);
        Ok(rest)
    }
}

/// Columns of a row group.
pub(super) struct Group {
    pub(super) footer: Arc<ParquetMetaData>,
    pub(super) group: usize,
    pub(super) row_count: usize,
    pub(super) chunks: Vec<ThinChunk>,
    pub(super) parts: Arc<Parts>,
    pub(super) zstd: Zstd,
}

impl RowGroups for Group {
    fn num_rows(&self) -> usize {
        self.row_count
    }

    fn column_chunks(&self, leaf: usize) -> Result<Box<dyn PageIterator>> {
        let chunk = self.chunks.iter().find(|chunk| chunk.leaf == leaf);
        let chunk = chunk.ok_or_else(|| wrong("a column was not read"))?;
        let column = self.footer.row_group(self.group).column(leaf);
        let pages = CheckedPages::new(&self.parts, column.clone(), self.row_count, chunk.pages.clone(), &self.zstd)?;
        Ok(Box::new(OneChunk(Some(Box::new(pages)))))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(std::iter::once(self.footer.row_group(self.group)))
    }

    fn metadata(&self) -> &ParquetMetaData {
        &self.footer
    }
}

/// Rows of a row group: of each column one page.
pub(super) struct SmallPages {
    pub(super) footer: Arc<ParquetMetaData>,
    pub(super) group: usize,
    pub(super) row_count: usize,
    pub(super) pages: Vec<(usize, Page)>,
}

impl RowGroups for SmallPages {
    fn num_rows(&self) -> usize {
        self.row_count
    }

    fn column_chunks(&self, leaf: usize) -> Result<Box<dyn PageIterator>> {
        let page = self.pages.iter().find(|(of, _)| *of == leaf).map(|(_, page)| page.clone());
        let page = OnePage { page: Some(page.ok_or_else(|| wrong("a column was not read"))?), rows: self.row_count };
        Ok(Box::new(OneChunk(Some(Box::new(page)))))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(std::iter::once(self.footer.row_group(self.group)))
    }

    fn metadata(&self) -> &ParquetMetaData {
        &self.footer
    }
}

struct OnePage {
    page: Option<Page>,
    rows: usize,
}

impl PageReader for OnePage {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        Ok(self.page.take())
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        let there = self.page.as_ref();
        Ok(there.map(|_| PageMetadata { num_rows: Some(self.rows), num_levels: None, is_dict: false }))
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.page = None;
        Ok(())
    }
}

impl Iterator for OnePage {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

struct OneChunk(Option<Box<dyn PageReader>>);

impl Iterator for OneChunk {
    type Item = Result<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take().map(Ok)
    }
}

impl PageIterator for OneChunk {}

/// Refuses pages that would be given more memory than they can need, which no decoder behind it asks. Decompresses the pages of
/// a reader that takes them for uncompressed: one that knows better would make a decompressor of its own, and a compressor.
pub(super) struct CheckedPages {
    pages: SerializedPageReader<Parts>,
    /// `None` if the reader decompresses by itself.
    zstd: Option<Zstd>,
}

impl CheckedPages {
    /// The pages of a column in these places; all if no places are given.
    pub(super) fn new(
        parts: &Arc<Parts>,
        mut column: ColumnChunkMetaData,
        row_count: usize,
        places: Option<Vec<PageLocation>>,
        zstd: &Zstd,
    ) -> Result<Self> {
        let mut own = None;
        if matches!(column.compression(), Compression::ZSTD(_)) {
            column = column.into_builder().set_compression(Compression::UNCOMPRESSED).build()?;
            own = Some(Arc::clone(zstd));
        }
        let pages = SerializedPageReader::new(Arc::clone(parts), &column, row_count, places)?;
        Ok(Self { pages, zstd: own })
    }

    /// The first `plain` bytes are not compressed.
    fn decompressed(&self, page: &Bytes, plain: usize) -> Result<Bytes> {
        let Some(zstd) = &self.zstd else { return Ok(page.clone()) };
        if page.len() <= plain {
            // A page of nothing but NULL has no values.
            return Ok(page.clone());
        }
        let (levels, values) = page.split_at(plain);
        let size = get_frame_content_size(values).ok().flatten().filter(|size| *size <= PAGE_BYTES);
        let size = size.and_then(|size| usize::try_from(size).ok());
        let size = size.ok_or_else(|| wrong("a page does not say how large it is"))?;
        let mut zstd = zstd.lock().unwrap_or_else(PoisonError::into_inner);
        let values = zstd.decompress(values, size)?;
        if levels.is_empty() {
            return Ok(Bytes::from(values));
        }
        Ok(Bytes::from([levels, &values].concat()))
    }
}

impl PageReader for CheckedPages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let Some(mut page) = self.pages.get_next_page()? else { return Ok(None) };
        match &mut page {
            Page::DataPage { buf, .. } | Page::DictionaryPage { buf, .. } => *buf = self.decompressed(buf, 0)?,
            Page::DataPageV2 { buf, def_levels_byte_len, rep_levels_byte_len, is_compressed, .. } => {
                let levels = u64::from(*def_levels_byte_len) + u64::from(*rep_levels_byte_len);
                let levels = usize::try_from(levels)?;
                if levels > buf.len() {
                    return Err(wrong("a page ends within its levels"));
                }
                if *is_compressed {
                    *buf = self.decompressed(buf, levels)?;
                }
            }
        }
        let is_too_many = match &page {
            // Each value takes a byte, at least.
            Page::DictionaryPage { buf, num_values, .. } => *num_values as usize > buf.len(),
            page => page.num_values() > PAGE_VALUES,
        };
        if is_too_many { Err(wrong("a page has more values than it can have")) } else { Ok(Some(page)) }
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.pages.skip_next_page()
    }
}

impl Iterator for CheckedPages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}
