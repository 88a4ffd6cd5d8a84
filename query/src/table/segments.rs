//! The scan of a table's segments. Which segments can have matching rows is decided here from what the snapshot knows
//! of them; row groups and pages are left to the Parquet reader.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, UInt64Array};
use arrow::datatypes::SchemaRef;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::stats::Precision;
use datafusion::common::{Column, ColumnStatistics, Result, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfigBuilder, ParquetFileReaderFactory, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::ExecutionPlan;
use storage::Segment;
use storage::schema::{Table, span_metrics, spans};

use super::known_rows;
use crate::session::store_url;

/// The segment that a file is, for who comes back for some of its rows.
#[derive(Debug, Clone)]
pub(crate) struct OfSegment {
    pub(crate) table: Table,
    pub(crate) segment: Arc<Segment>,
}

/// What every scan of a table's segments has in common.
pub(crate) struct Scan<'a> {
    pub(crate) table: Table,
    pub(crate) schema: &'a SchemaRef,
    pub(crate) columns: &'a [usize],
    pub(crate) partitions: usize,
    pub(crate) readers: Arc<dyn ParquetFileReaderFactory>,
}

/// The segments that can have rows for `predicate` (over the whole schema), newest first, so that a query for the newest
/// rows soon knows what it need not read.
pub(crate) fn live(
    schema: &SchemaRef,
    segments: &[Arc<Segment>],
    predicate: Option<&Arc<dyn PhysicalExpr>>,
) -> Result<Vec<Arc<Segment>>> {
    let mut live: Vec<Arc<Segment>> = segments.iter().filter(|segment| segment.row_count > 0).cloned().collect();
    if let Some(predicate) = predicate {
        prune(&mut live, schema, predicate)?;
    }
    live.sort_by_key(|segment| std::cmp::Reverse(segment.start_range.map(|(_, latest)| latest)));
    Ok(live)
}

impl Scan<'_> {
    /// A Parquet leg over whole segments; `None` if there are none. With `pushdown` the reader evaluates filters itself,
    /// column by column.
    pub(crate) fn whole(&self, segments: &[Arc<Segment>], pushdown: bool) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let file = |segment: &Arc<Segment>| {
            let statistics = Arc::new(statistics(segment, self.schema));
            PartitionedFile::new(segment.location.as_ref(), segment.size_bytes)
                .with_statistics(statistics)
                .with_extension(OfSegment { table: self.table, segment: Arc::clone(segment) })
        };
        let files: Vec<PartitionedFile> = segments.iter().map(file).collect();
        if files.is_empty() {
            return Ok(None);
        }
        let source = ParquetSource::new(TableSchema::from(Arc::clone(self.schema)))
            .with_pushdown_filters(pushdown)
            .with_reorder_filters(pushdown)
            .with_parquet_file_reader_factory(Arc::clone(&self.readers));
        let statistics = files.iter().filter_map(|file| file.statistics.as_deref());
        let total = Statistics::try_merge_iter(statistics, self.schema)?;
        let mut groups = vec![Vec::new(); self.partitions.min(files.len())];
        for (index, file) in files.into_iter().enumerate() {
            let group = index % groups.len();
            groups[group].push(file);
        }
        let config = FileScanConfigBuilder::new(store_url()?, Arc::new(source))
            .with_file_groups(groups.into_iter().map(FileGroup::new).collect())
            .with_statistics(total)
            .with_projection_indices(Some(self.columns.to_vec()))?
            .build();
        Ok(Some(DataSourceExec::from_data_source(config)))
    }

    /// A leg over these rows of segments.
    pub(crate) fn rows(&self, segments: Vec<(Arc<Segment>, Vec<u32>)>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        if segments.is_empty() {
            return Ok(None);
        }
        let count: usize = segments.iter().map(|(_, rows)| rows.len()).sum();
        let partitions = if count <= FEW_ROWS { 1 } else { self.partitions };
        let columns = Arc::new(self.schema.project(self.columns)?);
        Ok(Some(known_rows::scan(self.table, columns, segments, partitions, Arc::clone(&self.readers))))
    }
}

/// Rows that one thread reads sooner than two.
const FEW_ROWS: usize = 8_192;

/// The columns that segments know the range of; a table has one of them at most.
const TIMES: [&str; 2] = [spans::START_TIME, span_metrics::WINDOW_START];

/// Whether it may be known of a segment without opening it that the filter leaves none of its rows.
pub(crate) fn can_prune(filter: &Expr) -> bool {
    let columns = filter.column_refs();
    columns.is_empty() || columns.iter().any(|column| TIMES.contains(&column.name.as_str()))
}

fn micros(micros: i64) -> ScalarValue {
    ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into()))
}

fn statistics(segment: &Segment, schema: &SchemaRef) -> Statistics {
    let mut statistics = Statistics::new_unknown(schema);
    statistics.num_rows = Precision::Exact(usize::try_from(segment.row_count).unwrap_or(usize::MAX));
    for (field, column) in schema.fields().iter().zip(&mut statistics.column_statistics) {
        if !field.is_nullable() {
            column.null_count = Precision::Exact(0);
        }
        if TIMES.contains(&field.name().as_str())
            && let Some((earliest, latest)) = segment.start_range
        {
            *column = ColumnStatistics {
                min_value: Precision::Exact(micros(earliest.micros())),
                max_value: Precision::Exact(micros(latest.micros())),
                ..column.clone()
            };
        }
    }
    statistics
}

fn prune(segments: &mut Vec<Arc<Segment>>, schema: &SchemaRef, predicate: &Arc<dyn PhysicalExpr>) -> Result<()> {
    let builder = PruningPredicateBuilder::new().with_file_schema(Arc::clone(schema));
    // A predicate that the pruner cannot use leaves every segment.
    let Some(pruning) = builder.build(Arc::clone(predicate)) else { return Ok(()) };
    let mut kept = pruning.prune(&Known(segments))?.into_iter();
    segments.retain(|_| kept.next().unwrap_or(true));
    Ok(())
}

/// What is known of segments without opening them.
struct Known<'a>(&'a [Arc<Segment>]);

impl Known<'_> {
    fn starts(&self, column: &Column, pick: impl Fn(&Segment) -> Option<i64>) -> Option<ArrayRef> {
        if !TIMES.contains(&column.name.as_str()) {
            return None;
        }
        let values = self
            .0
            .iter()
            .map(|segment| pick(segment).map_or(ScalarValue::TimestampMicrosecond(None, Some("UTC".into())), micros));
        ScalarValue::iter_to_array(values).ok()
    }
}

impl PruningStatistics for Known<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.starts(column, |segment| segment.start_range.map(|(earliest, _)| earliest.micros()))
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.starts(column, |segment| segment.start_range.map(|(_, latest)| latest.micros()))
    }

    fn num_containers(&self) -> usize {
        self.0.len()
    }

    fn null_counts(&self, _column: &Column) -> Option<ArrayRef> {
        None
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(UInt64Array::from_iter_values(self.0.iter().map(|segment| segment.row_count))))
    }

    fn contained(&self, _column: &Column, _values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
