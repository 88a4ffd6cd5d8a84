//! Writes the column of exceptions' types.
//!
//! Which spans have one is noted where their events are written, so that it costs nothing a span that has none.

use std::io::Write;

use parquet::arrow::arrow_writer::ArrowColumnWriter;
use parquet::errors::Result;
use parquet::schema::types::ColumnDescPtr;

use super::layout;
use super::leaf::PageRows;
use super::spans::{RowGroup, parts};

/// Rows with an exception among their events, ascending, each once.
#[derive(Debug, Default)]
pub(super) struct ExceptionRows(Vec<u32>);

impl ExceptionRows {
    /// Notes an exception of the same row as the last, or of a later one.
    pub fn note(&mut self, row: u32) {
        if self.0.last() != Some(&row) {
            self.0.push(row);
        }
    }
}

impl<W: Write + Send, L: Iterator<Item = (ColumnDescPtr, ArrowColumnWriter)>> RowGroup<'_, W, L> {
    /// Of the rows noted so far: the events were written before.
    pub fn exception_types(&mut self) -> Result<()> {
        let mut leaf = self.next_column(layout::DICTIONARY_BYTES, true)?;
        let mut noted = std::mem::take(&mut self.exceptions).0.into_iter().peekable();
        let mut page = PageRows::default();
        for rows in parts(self.rows.clone(), layout::PAGE_ROWS) {
            page.clear();
            page.definitions.resize(rows.len(), 0);
            while let Some(row) = noted.next_if(|row| *row < rows.end) {
                if let Some(text) = self.spans.exception_type(row as usize) {
                    page.definitions[(row - rows.start) as usize] = 1;
                    page.numbers.push(leaf.dictionary.add(text.as_bytes()));
                }
            }
            leaf.end_page(rows.len(), &page, &mut self.compressor)?;
        }
        leaf.finish(&mut self.row_group, &mut self.compressor, None)
    }
}
