//! How far the first rows reach: a bound for their first key, from what pages say of rows that surely match. What lies beyond it
//! need not be looked at.
//!
//! Of a page of which all rows match, one has the page's extreme, and the others have at least its other extreme. As many rows
//! as are asked for, counted from the farthest, give the bound.

use std::ops::Range;

use arrow::array::{Array, AsArray, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use datafusion::common::stats::Precision;
use datafusion::common::{Result, ScalarValue};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::FileSource;
use datafusion::datasource::physical_plan::parquet::metadata::CachedParquetMetaData;
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::parquet::file::metadata::ParquetMetaData;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{PhysicalSortExpr, split_conjunction};

use super::certain::Condition;
use super::pages::Pages;
use super::scan::{WholeScan, row_count};

/// Segments that are looked into at most; a bound from some of them holds for all.
const MAX_SEGMENTS: usize = 64;

/// Rows that surely match, by their first key. The farther, the greater its rank.
#[derive(Debug, Default)]
pub(super) struct Reach {
    /// So many rows have at least this rank.
    rows: Vec<(i64, usize)>,
    /// The greatest rank of each page that may have some, and all of its rows; `None` where it is not known. Of segments that
    /// were not looked into, all rows.
    pages: Vec<(Option<i64>, usize)>,
}

/// What as many rows as are asked for reach at least.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) rank: i64,
    /// Of the pages that may have such rows.
    pub(super) rows_within: usize,
}

impl Reach {
    /// Adds what is known of the rows that `scan` reads. Looks no further than `fetch` rows need.
    pub(super) fn add_scan(&mut self, scan: &WholeScan<'_>, fetch: usize, footers: &FileMetadataCache) -> Result<()> {
        let Some(key) = scan.keys.first().and_then(|key| Key::of(key, scan.schema())) else { return Ok(()) };
        let filter = scan.source.filter();
        let conditions: Option<Vec<Condition>> = filter.iter().flat_map(split_conjunction).map(Condition::of).collect();
        let mut files = scan.files();
        files.sort_by_key(|file| std::cmp::Reverse(key.farthest(file)));
        for (looked_into, file) in files.into_iter().enumerate() {
            let farthest = key.farthest(file);
            if farthest.zip(self.rank_of_first(fetch)).is_some_and(|(farthest, reached)| farthest < reached) {
                break;
            }
            let cached = footers.get(&file.object_meta.location);
            let cached = cached.as_ref().filter(|cached| cached.is_valid_for(&file.object_meta));
            let footer =
                cached.and_then(|cached| cached.file_metadata.as_any().downcast_ref::<CachedParquetMetaData>());
            match (footer, &conditions) {
                (Some(footer), Some(conditions)) if looked_into < MAX_SEGMENTS => {
                    self.add_segment(footer.parquet_metadata(), scan.schema(), &key, conditions)?;
                }
                _ => self.pages.push((farthest, row_count(file).unwrap_or(usize::MAX))),
            }
        }
        Ok(())
    }

    pub(super) fn of_first(&mut self, fetch: usize) -> Option<Bound> {
        let rank = self.rank_of_first(fetch)?;
        let within = self.pages.iter().filter(|(farthest, _)| farthest.is_none_or(|farthest| farthest >= rank));
        Some(Bound { rank, rows_within: within.map(|(_, rows)| *rows).fold(0, usize::saturating_add) })
    }

    /// Forgets the rows that are not needed for it.
    fn rank_of_first(&mut self, fetch: usize) -> Option<i64> {
        self.rows.sort_unstable_by_key(|(rank, _)| std::cmp::Reverse(*rank));
        let mut rows = 0_usize;
        let last = self.rows.iter().position(|(_, more)| {
            rows = rows.saturating_add(*more);
            rows >= fetch
        })?;
        self.rows.truncate(last + 1);
        self.rows.last().map(|(rank, _)| *rank)
    }

    fn add_segment(
        &mut self,
        footer: &ParquetMetaData,
        schema: &SchemaRef,
        key: &Key,
        conditions: &[Condition],
    ) -> Result<()> {
        for (group, of_group) in footer.row_groups().iter().enumerate() {
            let row_count = usize::try_from(of_group.num_rows()).unwrap_or(usize::MAX);
            let Some(keys) = Pages::of(footer, group, schema, key.column.name()) else {
                self.pages.push((None, row_count));
                continue;
            };
            let whole = || -> Vec<Range<usize>> { std::iter::once(0..row_count).collect() };
            let (mut all, mut some) = (whole(), whole());
            for condition in conditions {
                if some.is_empty() {
                    break;
                }
                match Pages::of(footer, group, schema, &condition.column) {
                    Some(pages) => {
                        all = overlaps(&all, &pages.all_matching(condition));
                        some = overlaps(&some, &pages.some_matching(condition));
                    }
                    None => all.clear(),
                }
            }
            self.add_pages(&keys, key, &all, &some)?;
        }
        Ok(())
    }

    fn add_pages(&mut self, keys: &Pages, key: &Key, all: &[Range<usize>], some: &[Range<usize>]) -> Result<()> {
        let whole =
            |array| -> Result<Int64Array> { Ok(cast(array, &DataType::Int64)?.as_primitive::<Int64Type>().clone()) };
        let (mins, maxes) = (whole(&keys.mins)?, whole(&keys.maxes)?);
        let (mut all, mut some) = (Within(all), Within(some));
        for (page, rows) in keys.rows().enumerate() {
            let (matching, may_match) = (all.count(&rows), some.count(&rows));
            if may_match == 0 {
                continue;
            }
            if mins.is_null(page) || maxes.is_null(page) {
                self.pages.push((None, rows.len()));
                continue;
            }
            let (min, max) = (key.rank(mins.value(page)), key.rank(maxes.value(page)));
            let (nearest, farthest) = (min.min(max), min.max(max));
            self.pages.push((Some(farthest), rows.len()));
            // Whose row the extreme is is known only if all match.
            let extremes = usize::from(matching == rows.len());
            let known = [(farthest, extremes), (nearest, matching - extremes)];
            self.rows.extend(known.into_iter().filter(|(_, rows)| *rows > 0));
        }
        Ok(())
    }
}

/// Ranges that pages are compared with, page after page.
struct Within<'r>(&'r [Range<usize>]);

impl Within<'_> {
    /// How many of a page's rows are in the ranges; pages come ascending.
    fn count(&mut self, rows: &Range<usize>) -> usize {
        let passed = self.0.partition_point(|range| range.end <= rows.start);
        self.0 = self.0.get(passed..).unwrap_or_default();
        let there = self.0.iter().take_while(|range| range.start < rows.end);
        there.map(|range| overlap(range, rows).len()).sum()
    }
}

/// The first key of an order, a column of integers or times without NULL.
#[derive(Debug, Clone)]
pub(super) struct Key {
    column: Column,
    data_type: DataType,
    is_descending: bool,
}

impl Key {
    pub(super) fn of(key: &PhysicalSortExpr, schema: &SchemaRef) -> Option<Self> {
        let column = key.expr.downcast_ref::<Column>()?.clone();
        let field = schema.fields().get(column.index())?;
        let data_type = field.data_type().clone();
        let is_ranked = matches!(data_type, DataType::Int32 | DataType::Int64 | DataType::Timestamp(..));
        let is_descending = key.options.descending;
        (is_ranked && !field.is_nullable()).then_some(Self { column, data_type, is_descending })
    }

    pub(super) fn is_descending(&self) -> bool {
        self.is_descending
    }

    fn rank(&self, value: i64) -> i64 {
        if self.is_descending { value } else { !value }
    }

    /// The greatest rank of a segment's rows.
    pub(super) fn farthest(&self, file: &PartitionedFile) -> Option<i64> {
        let known = file.statistics.as_ref()?.column_statistics.get(self.column.index())?;
        let value = if self.is_descending { &known.max_value } else { &known.min_value };
        let Precision::Exact(value) = value else { return None };
        match value.cast_to(&DataType::Int64) {
            Ok(ScalarValue::Int64(Some(value))) => Some(self.rank(value)),
            _ => None,
        }
    }

    pub(super) fn column(&self) -> &Column {
        &self.column
    }

    /// The value with this rank.
    pub(super) fn value(&self, rank: i64) -> Result<ScalarValue> {
        ScalarValue::Int64(Some(self.rank(rank))).cast_to(&self.data_type)
    }
}

fn overlap(one: &Range<usize>, other: &Range<usize>) -> Range<usize> {
    one.start.max(other.start)..one.end.min(other.end)
}

/// The rows that are in both, each ascending.
fn overlaps(ones: &[Range<usize>], others: &[Range<usize>]) -> Vec<Range<usize>> {
    let (mut ones, mut others) = (ones.iter().peekable(), others.iter().peekable());
    let mut both = Vec::new();
    while let (Some(one), Some(other)) = (ones.peek(), others.peek()) {
        let rows = overlap(one, other);
        let one_ends = one.end <= other.end;
        if !rows.is_empty() {
            both.push(rows);
        }
        if one_ends {
            ones.next();
        } else {
            others.next();
        }
    }
    both
}

#[cfg(test)]
mod tests;
