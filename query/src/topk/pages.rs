//! What the pages of one column of a row group say of their rows.

use std::ops::Range;

use arrow::array::{Array, ArrayRef, BooleanArray, UInt64Array};
use arrow::datatypes::Schema;
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
        let is_known = pages.mins.null_count() < pages.mins.len();
        (is_known && counts.iter().all(|count| *count == pages.first_rows.len())).then_some(pages)
    }

    /// The rows of each page.
    pub(super) fn rows(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let ends = self.first_rows.iter().skip(1).copied().chain([self.row_count]);
        self.first_rows.iter().copied().zip(ends).map(|(start, end)| start..end)
    }

    /// The rows of pages of which all rows surely match, ascending.
    pub(super) fn all_matching(&self, condition: &Condition) -> Vec<Range<usize>> {
        // What cannot be compared proves nothing.
        let Ok(matching) = condition.of_all(&self.mins, &self.maxes) else { return Vec::new() };
        let has_nulls = |page: usize| self.nulls.is_null(page) || self.nulls.value(page) > 0;
        self.ranges(|page| !has_nulls(page) && matching.is_valid(page) && matching.value(page))
    }

    /// The rows of pages of which some may match, ascending.
    pub(super) fn some_matching(&self, condition: &Condition) -> Vec<Range<usize>> {
        let matching = condition.of_some(&self.mins, &self.maxes).ok();
        let is_out = |matching: &BooleanArray, page: usize| matching.is_valid(page) && !matching.value(page);
        self.ranges(|page| !matching.as_ref().is_some_and(|matching| is_out(matching, page)))
    }

    fn ranges(&self, is_in: impl Fn(usize) -> bool) -> Vec<Range<usize>> {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for (_, rows) in self.rows().enumerate().filter(|(page, _)| is_in(*page)) {
            match ranges.last_mut() {
                Some(last) if last.end == rows.start => last.end = rows.end,
                _ => ranges.push(rows),
            }
        }
        ranges
    }
}
