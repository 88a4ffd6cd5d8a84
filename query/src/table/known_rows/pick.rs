//! A leaf of known rows: what of a row group is read for it, and what is filled with its values.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::parquet::column::page::{Page, PageReader};
use datafusion::parquet::errors::Result;
use datafusion::parquet::file::metadata::ColumnChunkMetaData;
use datafusion::parquet::file::page_index::offset_index::PageLocation;

use super::chunk::{Chunk, HeldPage, wrong};
use super::dictionaries::{Dictionaries, OfColumn};
use super::pages::{CheckedPages, Parts, Zstd};
use super::picked::{Dictionary, Filled};

pub(super) struct Pick<F> {
    column: ColumnChunkMetaData,
    filled: F,
    pages: Vec<HeldPage>,
    row_count: usize,
    dictionary: Source,
}

/// Where a column's dictionary is.
enum Source {
    Nowhere,
    Known(Arc<Dictionary>),
    File(PageLocation, OfColumn),
}

impl<F: Filled> Pick<F> {
    /// Adds the bytes to read to `ranges`.
    pub(super) fn plan(
        chunk: &Chunk<'_>,
        of: OfColumn,
        filled: F,
        rows: &[usize],
        known: Option<&Dictionaries>,
        ranges: &mut Vec<Range<u64>>,
    ) -> Result<Self> {
        let bytes = chunk.dictionary()?;
        let dictionary = match known.and_then(|known| known.get(&of)) {
            _ if bytes.is_empty() => Source::Nowhere,
            Some(dictionary) => Source::Known(dictionary),
            None => {
                let location = PageLocation {
                    offset: i64::try_from(bytes.start)?,
                    compressed_page_size: i32::try_from(bytes.end - bytes.start)?,
                    first_row_index: 0,
                };
                ranges.push(bytes);
                Source::File(location, of)
            }
        };
        let pages = chunk.held(rows, ranges)?;
        Ok(Self { column: chunk.column.clone(), filled, pages, row_count: chunk.row_count(), dictionary })
    }

    /// Filled with the values in these rows, the same as before. A dictionary that was not known is, from now on.
    pub(super) fn read(
        mut self,
        rows: &[usize],
        parts: &Arc<Parts>,
        zstd: &Zstd,
        known: Option<&Dictionaries>,
    ) -> Result<F> {
        let in_file = match &self.dictionary {
            Source::File(location, _) => Some(location.clone()),
            _ => None,
        };
        let places: Vec<PageLocation> =
            in_file.into_iter().chain(self.pages.iter().map(|page| page.location.clone())).collect();
        let Some(first) = places.first() else { return Ok(self.filled) };
        // The reader takes what lies before the first place for a dictionary.
        let column =
            self.column.into_builder().set_dictionary_page_offset(None).set_data_page_offset(first.offset).build()?;
        let physical = column.column_descr().physical_type();
        let mut pages = CheckedPages::new(parts, column, self.row_count, Some(places), zstd)?;
        let missing = || wrong("a page is missing");
        let dictionary = match self.dictionary {
            Source::Nowhere => None,
            Source::Known(dictionary) => Some(dictionary),
            Source::File(_, of) => {
                let Some(Page::DictionaryPage { buf, num_values, .. }) = pages.get_next_page()? else {
                    return Err(wrong("a dictionary is missing"));
                };
                // What is kept must not keep all that was read with it.
                let buf = Bytes::copy_from_slice(&buf);
                let dictionary = Dictionary::new(buf, physical, usize::try_from(num_values)?);
                let dictionary = Arc::new(dictionary.ok_or_else(|| wrong("a dictionary ends too early"))?);
                if let Some(known) = known {
                    known.insert(of, Arc::clone(&dictionary));
                }
                Some(dictionary)
            }
        };
        for held in self.pages {
            let page = pages.get_next_page()?.filter(|page| page.is_data_page()).ok_or_else(missing)?;
            let asked = rows.get(held.asked).ok_or_else(missing)?;
            let within = asked.iter().map(|row| row - held.first_row);
            self.filled.add(&page, held.row_count, within, dictionary.as_deref())?;
        }
        Ok(self.filled)
    }
}
