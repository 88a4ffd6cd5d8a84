//! What DataFusion does with a filter on a column that some segments have and others read from their attributes.
//!
//! It loses it, which is why such segments are legs of their own (`table::promoted`). This keeps watch over the trap, see
//! `docs/decisions/0012-filters-on-promoted-columns.md`.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, ScalarValue};
use datafusion::config::ConfigOptions;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::datasource::{TableProvider, TableType};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, ScalarUDF, TableProviderFilterPushDown};
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_expr_adapter::{
    DefaultPhysicalExprAdapterFactory, PhysicalExprAdapter, PhysicalExprAdapterFactory,
};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ArrowWriter;
use storage::schema::attributes;

use crate::semantics::attributes::text::Attribute;
use crate::testing::{TestSpan, lines, span_batch};

/// Reads `route` from the attributes where a file has no such column.
#[derive(Debug)]
struct FromAttributes;

#[derive(Debug)]
struct Rewriting {
    physical: SchemaRef,
    inner: Arc<dyn PhysicalExprAdapter>,
}

impl PhysicalExprAdapterFactory for FromAttributes {
    fn create(&self, logical: SchemaRef, physical: SchemaRef) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let inner = DefaultPhysicalExprAdapterFactory.create(logical, Arc::clone(&physical))?;
        Ok(Arc::new(Rewriting { physical, inner }))
    }
}

impl PhysicalExprAdapter for Rewriting {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        let expr = expr.transform_up(|expr| match expr.downcast_ref::<Column>() {
            Some(column) if column.name() == "route" && self.physical.index_of("route").is_err() => {
                let args: Vec<Arc<dyn PhysicalExpr>> = vec![
                    Arc::new(Column::new("attributes", 1)),
                    Arc::new(Literal::new(ScalarValue::Utf8(Some("route".to_owned())))),
                ];
                let function = Arc::new(ScalarUDF::from(Attribute::default()));
                let field = Arc::new(Field::new("route", DataType::Utf8View, true));
                let call = ScalarFunctionExpr::new("attribute", function, args, field, Arc::new(ConfigOptions::new()));
                Ok(Transformed::yes(Arc::new(call) as _))
            }
            _ => Ok(Transformed::no(expr)),
        })?;
        self.inner.rewrite(expr.data)
    }
}

#[derive(Debug)]
struct Promoted {
    schema: SchemaRef,
    files: Vec<PartitionedFile>,
    pushdown: bool,
}

#[async_trait]
impl TableProvider for Promoted {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let source =
            ParquetSource::new(TableSchema::from(Arc::clone(&self.schema))).with_pushdown_filters(self.pushdown);
        let config = FileScanConfigBuilder::new(ObjectStoreUrl::parse("spanhouse://segments")?, Arc::new(source))
            .with_file_groups(vec![FileGroup::new(self.files.clone())])
            .with_expr_adapter(Some(Arc::new(FromAttributes)))
            .with_projection_indices(projection.cloned())?
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

fn schema(promoted: bool) -> SchemaRef {
    let mut fields =
        vec![Field::new("id", DataType::Int64, false), Field::new("attributes", attributes::data_type(), false)];
    if promoted {
        fields.push(Field::new("route", DataType::Utf8View, true));
    }
    Arc::new(Schema::new(fields))
}

/// A file with the rows' routes in the column, or in the attributes.
async fn file(store: &InMemory, name: &str, ids: Vec<i64>, routes: &[Option<&str>], promoted: bool) -> PartitionedFile {
    let span = |route: &Option<&str>| match route {
        Some(route) if !promoted => TestSpan::new(1, 1, None).attribute("route", *route),
        _ => TestSpan::new(1, 1, None),
    };
    let spans = span_batch(&routes.iter().map(span).collect::<Vec<_>>());
    let maps = ArrayRef::clone(spans.column_by_name("attributes").unwrap());
    let mut columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(ids)), maps];
    if promoted {
        columns.push(Arc::new(StringViewArray::from_iter(routes.iter().copied())));
    }
    let batch = RecordBatch::try_new(schema(promoted), columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let size = bytes.len() as u64;
    store.put(&name.into(), bytes.into()).await.unwrap();
    PartitionedFile::new(name, size)
}

const ROUTES: [Option<&str>; 4] = [Some("/a"), Some("/b"), Some("/c"), None];

/// The ids that a filter leaves: 0 to 3 are in the file with the column, 10 to 13 in the one without.
async fn ids(filter: &str, pushdown: bool) -> Vec<String> {
    let store = InMemory::new();
    let files = vec![
        file(&store, "after.parquet", vec![0, 1, 2, 3], &ROUTES, true).await,
        file(&store, "before.parquet", vec![10, 11, 12, 13], &ROUTES, false).await,
    ];
    let context = SessionContext::new();
    let url = ObjectStoreUrl::parse("spanhouse://segments").unwrap();
    context.register_object_store(url.as_ref(), Arc::new(store) as Arc<dyn ObjectStore>);
    context.register_table("t", Arc::new(Promoted { schema: schema(true), files, pushdown })).unwrap();
    let batches = context.sql(&format!("SELECT id FROM t WHERE {filter} ORDER BY id")).await.unwrap().collect().await;
    lines(&batches.unwrap())
}

/// The filters, what they should leave, and whether DataFusion leaves that with pushdown on.
const FILTERS: &[(&str, &[&str], bool)] = &[
    ("route = '/b'", &["1", "11"], false),
    ("route != '/b'", &["0", "2", "10", "12"], false),
    ("route < '/b'", &["0", "10"], false),
    ("route >= '/b'", &["1", "2", "11", "12"], false),
    ("route BETWEEN '/a' AND '/b'", &["0", "1", "10", "11"], false),
    ("route IN ('/a', '/c')", &["0", "2", "10", "12"], false),
    ("route NOT IN ('/a', '/c')", &["1", "11"], false),
    ("route LIKE '%b'", &["1", "11"], false),
    ("route IS NULL", &["3", "13"], false),
    ("route IS NOT NULL", &["0", "1", "2", "10", "11", "12"], false),
    ("route = '/b' AND id > 5", &["11"], false),
    ("route = '/b' OR id = 0", &["0", "1", "11"], false),
    ("id > 5", &["10", "11", "12", "13"], true),
];

#[tokio::test]
async fn without_pushdown_every_operator_is_right() {
    for (filter, expected, _) in FILTERS {
        assert_eq!(ids(filter, false).await, *expected, "{filter}");
    }
}

#[tokio::test]
async fn with_pushdown_a_segment_without_the_column_is_not_filtered() {
    let mut seen = Vec::new();
    for (filter, expected, right) in FILTERS {
        let got = ids(filter, true).await;
        if (got == *expected) != *right {
            seen.push(format!("{filter}: {got:?}"));
        }
    }
    assert!(seen.is_empty(), "DataFusion does otherwise now, so look at the decision again:\n{}", seen.join("\n"));
}
