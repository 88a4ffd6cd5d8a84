//! A row group as the crate's readers see it: what they read of each column.

use std::sync::Arc;

use datafusion::parquet::arrow::arrow_reader::RowGroups;
use datafusion::parquet::column::page::{Page, PageIterator, PageMetadata, PageReader};
use datafusion::parquet::errors::Result;
use datafusion::parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};

use super::chunk::{ThinChunk, wrong};
use super::pages::{CheckedPages, Parts, Zstd};

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
