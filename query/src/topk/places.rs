//! The scan that gives sort keys and the place of each row: its segment and its row there.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfig, FileScanConfigBuilder, FileSource, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::{TableSchema, TableSchemaBuilder};
use datafusion::parquet::arrow::RowNumber;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, Partitioning};

use storage::ROW_GROUP_ROWS;

use super::late::Rows;
use super::scan::{WholeScan, row_count};
use crate::table::{ROW, SEGMENT};

/// Columns that the first rows alone are to be read of, for it to be worth a second look into the segments.
const MIN_LATE_COLUMNS: usize = 2;

pub(super) struct Places {
    /// Gives the keys, then segment and row.
    pub(super) scan: Arc<dyn ExecutionPlan>,
    /// The order in terms of that scan.
    pub(super) order: LexOrdering,
    pub(super) rows: Rows,
}

impl Places {
    /// `None` unless `scan`, which is that of `plan`, reads more than what it is sorted and filtered by.
    pub(super) fn of(plan: &Arc<dyn ExecutionPlan>, scan: &WholeScan<'_>, fetch: usize) -> Result<Option<Self>> {
        let WholeScan { config, source, keys, .. } = scan;
        if !is_worth(scan, fetch) {
            return Ok(None);
        }
        let groups = groups(scan);
        let files: Vec<PartitionedFile> = groups.iter().flatten().cloned().collect();
        let (scan, order) = of_keys(config, source, keys, groups)?;
        let Some(order) = LexOrdering::new(order) else { return Ok(None) };
        let Some(rows) = Rows::new(config, source, &files, plan.equivalence_properties().clone())? else {
            return Ok(None);
        };
        Ok(Some(Self { scan, order, rows }))
    }
}

/// Whether there is enough beside what it is sorted and filtered by.
pub(super) fn is_worth(scan: &WholeScan<'_>, fetch: usize) -> bool {
    let WholeScan { config, source, keys, .. } = scan;
    let files = config.file_groups.iter().flat_map(|group| group.files());
    let rows = files.filter_map(row_count).fold(0, usize::saturating_add);
    let columns_of = |expr: &Arc<dyn PhysicalExpr>| -> Vec<usize> {
        collect_columns(expr).into_iter().map(|column| column.index()).collect()
    };
    let mut needed: HashSet<usize> = keys.iter().flat_map(|key| columns_of(&key.expr)).collect();
    if let Some(filter) = source.filter() {
        needed.extend(columns_of(&filter));
    }
    let wanted = source.projection().into_iter().flat_map(|projection| projection.iter());
    let wanted: HashSet<usize> = wanted.flat_map(|output| columns_of(&output.expr)).collect();
    rows > fetch && wanted.difference(&needed).count() >= MIN_LATE_COLUMNS
}

/// A source that reads as `source` does, all rows of all columns.
pub(super) fn same_reader(source: &ParquetSource, schema: TableSchema) -> ParquetSource {
    let same = ParquetSource::new(schema).with_table_parquet_options(source.table_parquet_options().clone());
    match source.parquet_file_reader_factory() {
        Some(readers) => same.with_parquet_file_reader_factory(Arc::clone(readers)),
        None => same,
    }
}

/// The scan's files, by who reads them. A part of a segment that has one row group would be opened for nothing.
fn groups(scan: &WholeScan<'_>) -> Vec<Vec<PartitionedFile>> {
    let files = scan.files();
    let is_one_group = |file: &&PartitionedFile| row_count(file).is_some_and(|rows| rows <= ROW_GROUP_ROWS);
    if !files.iter().all(is_one_group) {
        return scan.config.file_groups.iter().map(|group| group.files().to_vec()).collect();
    }
    let mut groups = vec![Vec::new(); files.len().min(scan.config.file_groups.len())];
    let count = groups.len().max(1);
    for (at, file) in files.into_iter().enumerate() {
        let mut whole = file.clone();
        whole.range = None;
        groups[at % count].push(whole);
    }
    groups
}

/// The same scan of these files with the keys' columns and places, and the order of its columns.
fn of_keys(
    config: &FileScanConfig,
    source: &ParquetSource,
    keys: &[PhysicalSortExpr],
    groups: Vec<Vec<PartitionedFile>>,
) -> Result<(Arc<dyn ExecutionPlan>, Vec<PhysicalSortExpr>)> {
    let file_schema = Arc::clone(source.table_schema().file_schema());
    let mut columns: Vec<usize> = Vec::new();
    let mut order = Vec::new();
    for (key, column) in keys.iter().filter_map(|key| Some((key, key.expr.downcast_ref::<Column>()?))) {
        let known = columns.iter().position(|index| *index == column.index());
        let place = known.unwrap_or_else(|| {
            columns.push(column.index());
            columns.len() - 1
        });
        order.push(PhysicalSortExpr::new(Arc::new(Column::new(column.name(), place)), key.options));
    }
    let first_place = file_schema.fields().len();
    columns.extend([first_place, first_place + 1]);
    let schema = TableSchemaBuilder::new(file_schema)
        .with_table_partition_cols(vec![Arc::new(Field::new(SEGMENT, DataType::UInt32, false))])
        .with_virtual_columns(vec![Arc::new(Field::new(ROW, DataType::Int64, false).with_extension_type(RowNumber))])
        .build();
    let mut places = same_reader(source, schema);
    if let Some(filter) = source.filter() {
        places = places.with_predicate(filter);
    }
    let mut number = 0;
    let mut numbered = |mut file: PartitionedFile| {
        file.partition_values = vec![ScalarValue::UInt32(Some(number))];
        number += 1;
        match file.statistics.take() {
            Some(statistics) => file.with_statistics(statistics),
            None => file,
        }
    };
    let groups = groups.into_iter().map(|group| FileGroup::new(group.into_iter().map(&mut numbered).collect()));
    let groups: Vec<FileGroup> = groups.collect();
    let partitioning = Partitioning::UnknownPartitioning(groups.len());
    let mut statistics = Statistics::new_unknown(places.table_schema().table_schema());
    statistics.num_rows = config.statistics().num_rows.to_inexact();
    let config = FileScanConfigBuilder::new(config.object_store_url.clone(), Arc::new(places))
        .with_file_groups(groups)
        .with_statistics(statistics)
        .with_output_partitioning(Some(partitioning))
        .with_projection_indices(Some(columns))?
        .build();
    Ok((DataSourceExec::from_data_source(config), order))
}
