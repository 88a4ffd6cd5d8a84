//! The weights of what a query reads: from the footers of its segments, which never change and are read once, and from the
//! rows in memory.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, AsArray};
use arrow::datatypes::Float64Type;
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::datasource::source::DataSourceExec;
use datafusion::parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use datafusion::parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use datafusion::physical_plan::ExecutionPlan;
use futures::{StreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use storage::schema::{Table, spans};
use storage::{Segment, TableSnapshot};

use crate::table::{KnownRows, MemoryScan};

/// Footers that are read at once.
const READS_AT_ONCE: usize = 8;
/// Segments whose weights are remembered; more than are ever live.
const REMEMBERED: usize = 100_000;

/// The range of weights; unknown ones make no range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Weights {
    smallest: f64,
    largest: f64,
    has_unknown: bool,
    /// Of the segments: rows that are gone, of which no weight is known any more.
    expired_rows: u64,
}

impl Weights {
    const NONE: Self =
        Self { smallest: f64::INFINITY, largest: f64::NEG_INFINITY, has_unknown: false, expired_rows: 0 };

    fn of(smallest: Option<f64>, largest: Option<f64>, has_unknown: bool) -> Self {
        Self {
            smallest: smallest.unwrap_or(Self::NONE.smallest),
            largest: largest.unwrap_or(Self::NONE.largest),
            has_unknown,
            expired_rows: 0,
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            smallest: self.smallest.min(other.smallest),
            largest: self.largest.max(other.largest),
            has_unknown: self.has_unknown || other.has_unknown,
            expired_rows: self.expired_rows.saturating_add(other.expired_rows),
        }
    }

    /// Whether every row stands for itself alone; also where there is no row.
    pub(super) fn is_one(&self) -> bool {
        let is_none = self.smallest == Self::NONE.smallest && self.largest == Self::NONE.largest;
        !self.has_unknown && (is_none || (self.smallest == 1.0 && self.largest == 1.0))
    }

    pub(super) fn expired_rows(&self) -> u64 {
        self.expired_rows
    }

    pub(super) fn largest(&self) -> Option<f64> {
        self.largest.is_finite().then_some(self.largest)
    }
}

/// Weights of segments that were asked for once.
#[derive(Debug, Default)]
pub(crate) struct WeightsOfSegments(Mutex<HashMap<Path, Weights>>);

impl WeightsOfSegments {
    /// The weights of all spans that the plan can read; `None` where a segment cannot be read.
    pub(crate) async fn of(
        &self,
        plan: &Arc<dyn ExecutionPlan>,
        table: &TableSnapshot,
        store: &Arc<dyn ObjectStore>,
    ) -> Option<Weights> {
        let column = Table::Spans.schema().index_of(spans::ADJUSTED_COUNT).ok()?;
        let mut found = Found::default();
        found.scans_of(plan.as_ref(), column);
        if !found.any {
            // The snapshot's own statistics answered, or nothing is left to read.
            found.whole(table, column);
        }
        let mut weights = found.memory;
        weights.expired_rows = expired_rows(table, &found.segments);
        let mut each =
            stream::iter(found.segments).map(|segment| self.of_segment(segment, store)).buffer_unordered(READS_AT_ONCE);
        while let Some(segment) = each.next().await {
            weights = weights.and(segment?);
        }
        Some(weights)
    }

    async fn of_segment(&self, segment: ObjectMeta, store: &Arc<dyn ObjectStore>) -> Option<Weights> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&segment.location).copied();
        if known.is_some() {
            return known;
        }
        let footer =
            DFParquetMetadata::new(store.as_ref(), &segment).with_page_index_policy(Some(PageIndexPolicy::Skip));
        let weights = of_footer(&*footer.fetch_metadata().await.ok()?)?;
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= REMEMBERED {
            remembered.clear();
        }
        remembered.insert(segment.location, weights);
        Some(weights)
    }
}

/// Of those segments that are read, each once.
fn expired_rows(table: &TableSnapshot, read: &[ObjectMeta]) -> u64 {
    let mut with_gone = table.segments.iter().filter(|segment| segment.expired_rows > 0).peekable();
    if with_gone.peek().is_none() {
        return 0;
    }
    let read: HashSet<&Path> = read.iter().map(|segment| &segment.location).collect();
    let of_read = with_gone.filter(|segment| read.contains(&segment.location));
    of_read.map(|segment| segment.expired_rows).fold(0, u64::saturating_add)
}

fn of_footer(footer: &ParquetMetaData) -> Option<Weights> {
    let schema = Table::Spans.schema();
    let file = footer.file_metadata().schema_descr();
    if !file.columns().iter().any(|column| column.path().string() == spans::ADJUSTED_COUNT) {
        return Some(Weights::of(None, None, true));
    }
    let converter = StatisticsConverter::try_new(spans::ADJUSTED_COUNT, &schema, file).ok()?;
    let groups = footer.row_groups();
    let range = |values: arrow::array::ArrayRef| values.as_primitive_opt::<Float64Type>().cloned();
    let smallest = range(converter.row_group_mins(groups).ok()?)?;
    let largest = range(converter.row_group_maxes(groups).ok()?)?;
    let nulls = converter.row_group_null_counts(groups).ok()?;
    let mut weights = Weights::NONE;
    for (place, group) in groups.iter().enumerate() {
        // A column of nothing but NULL has no range, one without statistics neither.
        let rows = u64::try_from(group.num_rows()).unwrap_or(0);
        let unknown = nulls.is_valid(place).then(|| nulls.value(place))?;
        let valid = |values: &arrow::array::Float64Array| values.is_valid(place).then(|| values.value(place));
        if unknown < rows && (valid(&smallest).is_none() || valid(&largest).is_none()) {
            return None;
        }
        weights = weights.and(Weights::of(valid(&smallest), valid(&largest), unknown > 0));
    }
    Some(weights)
}

fn object(segment: &Segment) -> ObjectMeta {
    ObjectMeta {
        location: segment.location.clone(),
        last_modified: Default::default(),
        size: segment.size_bytes,
        e_tag: None,
        version: None,
    }
}

/// What a plan reads of `spans`.
struct Found {
    any: bool,
    memory: Weights,
    segments: Vec<ObjectMeta>,
}

impl Default for Found {
    fn default() -> Self {
        Self { any: false, memory: Weights::NONE, segments: Vec::new() }
    }
}

impl Found {
    fn scans_of(&mut self, plan: &dyn ExecutionPlan, column: usize) {
        let mut open = vec![plan];
        while let Some(node) = open.pop() {
            open.extend(node.children().into_iter().map(|child| child.as_ref()));
            let Some(scan) = node.downcast_ref::<DataSourceExec>() else { continue };
            if let Some(memory) = scan.data_source().downcast_ref::<MemoryScan>()
                && memory.table() == Table::Spans
            {
                self.any = true;
                memory.parts().for_each(|part| self.part(part, column));
            } else if let Some(known) = scan.data_source().downcast_ref::<KnownRows>()
                && known.table() == Table::Spans
            {
                self.any = true;
                self.segments.extend(known.segments().map(object));
            } else if let Some(files) = scan.data_source().downcast_ref::<FileScanConfig>()
                && files.file_schema().index_of(spans::SPAN_ID).is_ok()
            {
                self.any = true;
                let files = files.file_groups.iter().flat_map(|group| group.iter());
                self.segments.extend(files.map(|file| file.object_meta.clone()));
            }
        }
    }

    fn whole(&mut self, table: &TableSnapshot, column: usize) {
        for rows in &table.memory {
            rows.parts(&[column], None).iter().for_each(|part| self.part(part, column));
        }
        self.segments.extend(table.segments.iter().map(|segment| object(segment)));
    }

    fn part(&mut self, part: &storage::MemoryPart, column: usize) {
        let weights = part.columns(&[column]).ok();
        let Some(weights) = weights.as_ref().and_then(|batch| batch.column(0).as_primitive_opt::<Float64Type>()) else {
            self.memory.has_unknown = true;
            return;
        };
        let (smallest, largest) = (arrow::compute::min(weights), arrow::compute::max(weights));
        self.memory = self.memory.and(Weights::of(smallest, largest, weights.null_count() > 0));
    }
}
