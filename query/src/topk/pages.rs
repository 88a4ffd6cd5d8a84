//! What the pages of one column of a row group say of their rows.

use std::ops::Range;

use arrow::array::{Array, ArrayRef, UInt64Array};
use arrow::datatypes::Schema;
use datafusion::common::Result;
use datafusion::parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use datafusion::parquet::file::metadata::ParquetMetaData;

use super::certain::Condition;

pub(super) struct Pages {
    first_rows: Vec<usize>,
    row_count: usize,
    pub(super) mins: ArrayRef,
    pub(super) maxes: ArrayRef,
    nulls: UInt64Array,
}

impl Pages {
    /// `None` where the file does not say it.
    pub(super) fn of(metadata: &ParquetMetaData, group: usize, schema: &Schema, column: &str) -> Option<Self> {
        let parquet = metadata.file_metadata().schema_descr();
        let converter = StatisticsConverter::try_new(column, schema, parquet).ok()?;
        let (columns, offsets) = (metadata.column_index()?, metadata.offset_index()?);
        let leaf = converter.parquet_column_index()?;
        let pages = offsets.get(group)?.get(leaf)?.page_locations();
        let first_rows =
            pages.iter().map(|page| usize::try_from(page.first_row_index).ok()).collect::<Option<Vec<_>>>()?;
        let row_count = usize::try_from(metadata.row_groups().get(group)?.num_rows()).ok()?;
        let pages = Self {
            row_count,
            mins: converter.data_page_mins(columns, offsets, [&group]).ok()?,
            maxes: converter.data_page_maxes(columns, offsets, [&group]).ok()?,
            nulls: converter.data_page_null_counts(columns, offsets, [&group]).ok()?,
            first_rows,
        };
        let counts = [pages.mins.len(), pages.maxes.len(), pages.nulls.len()];
        counts.iter().all(|count| *count == pages.first_rows.len()).then_some(pages)
    }

    pub(super) fn row_count(&self) -> usize {
        self.row_count
    }

    /// The rows of each page.
    pub(super) fn rows(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let ends = self.first_rows.iter().skip(1).copied().chain([self.row_count]);
        self.first_rows.iter().copied().zip(ends).map(|(start, end)| start..end)
    }

    /// The rows of pages of which all rows surely match, ascending.
    pub(super) fn all_matching(&self, condition: &Condition) -> Result<Vec<Range<usize>>> {
        let matching = condition.of_all(&self.mins, &self.maxes)?;
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for (page, rows) in self.rows().enumerate() {
            let has_nulls = self.nulls.is_null(page) || self.nulls.value(page) > 0;
            if has_nulls || matching.is_null(page) || !matching.value(page) {
                continue;
            }
            match ranges.last_mut() {
                Some(last) if last.end == rows.start => last.end = rows.end,
                _ => ranges.push(rows),
            }
        }
        Ok(ranges)
    }
}
