//! How far the first rows reach: a bound for their first key, from what pages say of rows that surely match. What lies beyond it
//! need not be looked at, and neither do pages of which no row matches.
//!
//! Of a page of which all rows match, one has the page's extreme, and the others have at least its other extreme. As many rows
//! as are asked for, counted from the farthest, give the bound.

use std::collections::HashMap;
use std::ops::Range;

use arrow::array::{Array, AsArray, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use datafusion::common::Result;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::FileSource;
use datafusion::datasource::physical_plan::parquet::metadata::CachedParquetMetaData;
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::parquet::file::metadata::ParquetMetaData;
use datafusion::physical_expr::split_conjunction;
use object_store::path::Path;

use super::certain::Condition;
use super::key::Key;
use super::pages::Pages;
use super::ranges::{Overlaps, overlaps};
use super::scan::{WholeScan, row_count};

/// Segments that are looked into at most; a bound from some of them holds for all.
const MAX_SEGMENTS: usize = 64;

/// Rows that surely match, by their first key. The farther, the greater its rank.
#[derive(Debug, Default)]
pub(super) struct Reach {
    /// So many rows have at least this rank.
    rows: Vec<(i64, usize)>,
    /// Pages that may have some. Of segments that were not looked into, all rows are one.
    pages: Vec<Page>,
    /// A file may be read by several scans.
    scans: Vec<Vec<Path>>,
    /// Some of the scans were not understood.
    is_partial: bool,
}

#[derive(Debug)]
struct Page {
    /// `None` where it is not known.
    greatest_rank: Option<i64>,
    /// Of the file.
    rows: Range<usize>,
    scan: usize,
    file: usize,
}

/// Where the first rows are.
#[derive(Debug)]
pub(super) struct Candidates {
    /// What as many rows as are asked for have at least, if that is known.
    pub(super) rank: Option<i64>,
    /// Of the pages that may have such rows. `usize::MAX` where these are not known.
    pub(super) row_count: usize,
    /// By scan, in the order in which they were added; of none where not all rows are known.
    pub(super) scans: Vec<RowsOfScan>,
}

/// Rows by file, ascending.
#[derive(Debug, Default)]
pub(super) struct RowsOfScan(HashMap<Path, Vec<Range<usize>>>);

impl RowsOfScan {
    pub(super) fn of(&self, file: &PartitionedFile) -> &[Range<usize>] {
        self.0.get(&file.object_meta.location).map(Vec::as_slice).unwrap_or_default()
    }

    fn add(&mut self, file: &Path, added: &Range<usize>) {
        match self.0.get_mut(file) {
            Some(rows) => match rows.last_mut() {
                Some(last) if last.end == added.start => last.end = added.end,
                _ => rows.push(added.clone()),
            },
            None => {
                self.0.insert(file.clone(), vec![added.clone()]);
            }
        }
    }
}

impl Reach {
    /// Adds what is known of the rows that `scan` reads. Looks no further than `fetch` rows need.
    pub(super) fn add_scan(&mut self, scan: &WholeScan<'_>, fetch: usize, footers: &FileMetadataCache) -> Result<()> {
        self.scans.push(Vec::new());
        let Some(key) = scan.keys.first().and_then(|key| Key::of(key, scan.schema())) else {
            self.is_partial = true;
            return Ok(());
        };
        let filter = scan.source.filter();
        let conditions: Vec<Option<Condition>> = filter.iter().flat_map(split_conjunction).map(Condition::of).collect();
        let mut files = scan.files();
        // Those of which it is not known come first: behind one that is too near there is none to look into.
        files.sort_by_key(|file| key.farthest(file).map(std::cmp::Reverse));
        for (looked_into, file) in files.into_iter().enumerate() {
            let farthest = key.farthest(file);
            if farthest.zip(self.rank_of_first(fetch)).is_some_and(|(farthest, reached)| farthest < reached) {
                break;
            }
            let cached = footers.get(&file.object_meta.location);
            let cached = cached.as_ref().filter(|cached| cached.is_valid_for(&file.object_meta));
            let footer =
                cached.and_then(|cached| cached.file_metadata.as_any().downcast_ref::<CachedParquetMetaData>());
            match footer {
                Some(footer) if looked_into < MAX_SEGMENTS => {
                    self.add_segment(footer.parquet_metadata(), scan.schema(), &key, &conditions)?;
                }
                _ => {
                    let rows = 0..row_count(file).unwrap_or(usize::MAX);
                    self.add_page(farthest, rows);
                }
            }
            self.end_file(&file.object_meta.location);
        }
        Ok(())
    }

    pub(super) fn of_first(&mut self, fetch: usize) -> Candidates {
        let rank = self.rank_of_first(fetch);
        let is_within = |page: &&Page| rank.zip(page.greatest_rank).is_none_or(|(rank, greatest)| greatest >= rank);
        let (mut row_count, mut scans) = (0_usize, Vec::new());
        scans.resize_with(self.scans.len(), RowsOfScan::default);
        for page in self.pages.iter().filter(is_within) {
            row_count = row_count.saturating_add(page.rows.len());
            let file = self.scans.get(page.scan).and_then(|files| files.get(page.file));
            if let Some((scan, file)) = scans.get_mut(page.scan).zip(file) {
                scan.add(file, &page.rows);
            }
        }
        let (row_count, scans) = if self.is_partial { (usize::MAX, Vec::new()) } else { (row_count, scans) };
        Candidates { rank, row_count, scans }
    }

    /// Of the last scan's next file.
    fn add_page(&mut self, greatest_rank: Option<i64>, rows: Range<usize>) {
        let file = self.scans.last().map_or(0, Vec::len);
        self.pages.push(Page { greatest_rank, rows, scan: self.scans.len().saturating_sub(1), file });
    }

    fn end_file(&mut self, file: &Path) {
        if let Some(files) = self.scans.last_mut() {
            files.push(file.clone());
        }
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
        conditions: &[Option<Condition>],
    ) -> Result<()> {
        let mut end = 0_usize;
        for (group, of_group) in footer.row_groups().iter().enumerate() {
            let row_count = usize::try_from(of_group.num_rows()).unwrap_or(usize::MAX);
            let start = end;
            end = end.saturating_add(row_count);
            let Some(keys) = Pages::of(footer, group, schema, key.column().name()) else {
                self.add_page(None, start..end);
                continue;
            };
            let whole = || -> Vec<Range<usize>> { std::iter::once(0..row_count).collect() };
            let (mut all, mut some) = (whole(), whole());
            for condition in conditions {
                if some.is_empty() {
                    break;
                }
                let pages = condition
                    .as_ref()
                    .and_then(|condition| Some((condition, Pages::of(footer, group, schema, &condition.column)?)));
                match pages {
                    Some((condition, pages)) => {
                        all = overlaps(&all, &pages.all_matching(condition));
                        some = overlaps(&some, &pages.some_matching(condition));
                    }
                    // What is not understood leaves it open which rows match.
                    None => all.clear(),
                }
            }
            self.add_pages(&keys, key, start, &all, &some)?;
        }
        Ok(())
    }

    /// Of a row group that begins with this row of the file, which is the next one.
    fn add_pages(
        &mut self,
        keys: &Pages,
        key: &Key,
        start: usize,
        all: &[Range<usize>],
        some: &[Range<usize>],
    ) -> Result<()> {
        let whole =
            |array| -> Result<Int64Array> { Ok(cast(array, &DataType::Int64)?.as_primitive::<Int64Type>().clone()) };
        let (mins, maxes) = (whole(&keys.mins)?, whole(&keys.maxes)?);
        let (mut all, mut some) = (Overlaps(all), Overlaps(some));
        for (page, rows) in keys.rows().enumerate() {
            let (matching, may_match) = (all.count(&rows), some.count(&rows));
            if may_match == 0 {
                continue;
            }
            let of_file = start.saturating_add(rows.start)..start.saturating_add(rows.end);
            if mins.is_null(page) || maxes.is_null(page) {
                self.add_page(None, of_file);
                continue;
            }
            let (min, max) = (key.rank(mins.value(page)), key.rank(maxes.value(page)));
            let (nearest, farthest) = (min.min(max), min.max(max));
            self.add_page(Some(farthest), of_file);
            // Whose row the extreme is is known only if all match.
            let extremes = usize::from(matching == rows.len());
            let known = [(farthest, extremes), (nearest, matching - extremes)];
            self.rows.extend(known.into_iter().filter(|(_, rows)| *rows > 0));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
