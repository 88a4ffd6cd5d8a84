//! Pages of a column, decompressed by one decompressor for all columns of a file.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, Bytes};
use datafusion::parquet::basic::Compression;
use datafusion::parquet::column::page::{Page, PageMetadata, PageReader};
use datafusion::parquet::errors::Result;
use datafusion::parquet::file::metadata::ColumnChunkMetaData;
use datafusion::parquet::file::page_index::offset_index::PageLocation;
use datafusion::parquet::file::reader::{ChunkReader, Length, SerializedPageReader};
use zstd::bulk::Decompressor;
use zstd::zstd_safe::get_frame_content_size;

use super::chunk::wrong;

/// Larger pages than any writer makes. One that claims more would be given memory before it is found to be wrong.
const PAGE_BYTES: u64 = 1 << 30;
/// The same of a data page's values: those of a page of nothing but the same value take no bytes.
const PAGE_VALUES: u32 = 1 << 26;

pub(super) type Zstd = Arc<Mutex<Decompressor<'static>>>;

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
