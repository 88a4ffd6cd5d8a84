//! What one query can see: the tables of one snapshot, the functions, and nothing else.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::catalog::{
    CatalogProvider, MemoryCatalogProvider, MemoryCatalogProviderList, MemorySchemaProvider, SchemaProvider,
};
use datafusion::common::{DataFusionError, exec_datafusion_err};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{GreedyMemoryPool, TrackConsumersPool};
use datafusion::execution::object_store::{ObjectStoreRegistry, ObjectStoreUrl};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::execution::{SessionStateDefaults, TaskContext};
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::logical_expr::{AggregateUDF, LogicalPlan, LogicalPlanBuilder};
use datafusion::optimizer::analyzer::resolve_grouping_function::ResolveGroupingFunction;
use datafusion::optimizer::analyzer::type_coercion::TypeCoercion;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionConfig;
use object_store::ObjectStore;
use storage::schema::Table;
use storage::{Snapshot, SnapshotSource};

use crate::basis::{Figures, Weights, WeightsOfSegments};
use crate::bind::{Parameter, bind};
use crate::calibrate;
use crate::config::Config;
use crate::engine::Planned;
use crate::error::{Error, Result};
use crate::estimate;
use crate::guard;
use crate::semantics::{AttributePlanner, Meaning, callable};
use crate::table::{Computing, Dictionaries, KnownTraces, SnapshotTable};
use crate::topk;

pub(crate) const CATALOG: &str = "spanhouse";
pub(crate) const SCHEMA: &str = "public";
/// Where plans say that segments are; nothing outside this crate resolves it.
pub(crate) const STORE_URL: &str = "spanhouse://segments";

/// Rows of a batch.
const BATCH_ROWS: usize = 8_192;
/// Lists of ids up to this length still prune by statistics and blooms.
const MAX_IN_LIST: usize = 256;

/// Makes sessions that share memory, caches and functions.
#[derive(Debug)]
pub(crate) struct Sessions {
    config: Arc<Config>,
    source: Arc<dyn SnapshotSource>,
    base: Arc<SessionState>,
    /// For plans without functions that are looked up by their names.
    task: Arc<TaskContext>,
    weights: Arc<WeightsOfSegments>,
    traces: Arc<KnownTraces>,
    dictionaries: Arc<Dictionaries>,
}

impl Sessions {
    pub(crate) fn new(config: Arc<Config>, source: Arc<dyn SnapshotSource>) -> Result<Self> {
        let runtime = runtime(&config, source.object_store())?;
        let dictionaries = Dictionaries::new(config.dictionary_cache_bytes).map_err(Error::Internal)?;
        let dictionaries = Arc::new(dictionaries);
        let base = SessionStateBuilder::new()
            .with_config(session_config(&config).with_extension(Arc::clone(&dictionaries)))
            .with_runtime_env(Arc::clone(&runtime))
            .with_expr_planners(expr_planners())
            .with_analyzer_rules(vec![
                Arc::new(ResolveGroupingFunction::new()),
                Arc::new(Meaning),
                Arc::new(TypeCoercion::new()),
                Arc::new(Computing),
            ])
            .with_physical_optimizer_rules(topk::rules(
                runtime.cache_manager.get_file_metadata_cache(),
                config.max_picked_rows,
            ))
            .with_scalar_functions(callable(SessionStateDefaults::default_scalar_functions()))
            .with_higher_order_functions(SessionStateDefaults::default_higher_order_functions())
            .with_aggregate_functions(aggregate_functions())
            .with_window_functions(SessionStateDefaults::default_window_functions())
            .with_table_function_list(
                SessionStateDefaults::default_table_functions()
                    .into_iter()
                    .filter(|function| guard::TABLE_FUNCTIONS.contains(&function.name()))
                    .chain([calibrate::function()])
                    .collect(),
            )
            .build();
        let traces = Arc::new(KnownTraces::new(config.trace_index_bytes, source.object_store()));
        let task = Arc::new(TaskContext::new(
            None,
            base.session_id().to_owned(),
            base.config().clone(),
            HashMap::new(),
            HashMap::new(),
            HashMap::new(),
            HashMap::new(),
            Arc::clone(base.runtime_env()),
        ));
        Ok(Self { config, source, base: Arc::new(base), task, weights: Arc::default(), traces, dictionaries })
    }

    pub(crate) fn traces(&self) -> &KnownTraces {
        &self.traces
    }

    pub(crate) fn dictionaries(&self) -> &Dictionaries {
        &self.dictionaries
    }

    /// Reads what is not known yet of the traces of the newest snapshot's segments.
    pub(crate) async fn read_traces(&self) -> Result<()> {
        let snapshot = self.source.snapshot()?;
        self.traces.read_all(&snapshot).await;
        Ok(())
    }

    /// The tables of the newest snapshot. Blocks while storage builds it.
    pub(crate) fn tables(&self) -> Result<Tables> {
        let snapshot = Arc::new(self.source.snapshot()?);
        self.traces.follow(&snapshot);
        let (base, task, traces) = (Arc::clone(&self.base), Arc::clone(&self.task), Arc::clone(&self.traces));
        Ok(Tables { base, task, snapshot, traces, store: self.source.object_store() })
    }

    /// A session over the newest snapshot. Blocks while storage builds it.
    pub(crate) fn open(&self) -> Result<Session> {
        let tables = self.tables()?;
        let schema = MemorySchemaProvider::new();
        let mut segments_total = Vec::new();
        for table in Table::ALL {
            schema.register_table(table.name().to_owned(), Arc::new(tables.table(table)))?;
            segments_total.push((table, tables.segment_count(table)));
        }
        let catalog = MemoryCatalogProvider::new();
        catalog.register_schema(SCHEMA, Arc::new(schema))?;
        let catalogs = MemoryCatalogProviderList::new();
        datafusion::catalog::CatalogProviderList::register_catalog(&catalogs, CATALOG.to_owned(), Arc::new(catalog));
        // A builder would register every function anew, for a quarter of what the smallest query costs.
        let mut state = self.base.as_ref().clone();
        state.register_catalog_list(Arc::new(catalogs));
        // A `SessionContext` would do this: it is the time that `now()` has throughout the query.
        state.mark_start_execution();
        Ok(Session {
            config: Arc::clone(&self.config),
            state,
            segments_total,
            snapshot: tables.snapshot,
            store: tables.store,
            weights: Arc::clone(&self.weights),
        })
    }
}

/// One snapshot's tables, for questions that need neither names nor functions. A session costs more than a trace's rows.
#[derive(Debug)]
pub(crate) struct Tables {
    base: Arc<SessionState>,
    task: Arc<TaskContext>,
    snapshot: Arc<Snapshot>,
    traces: Arc<KnownTraces>,
    store: Arc<dyn ObjectStore>,
}

impl Tables {
    pub(crate) fn table(&self, table: Table) -> SnapshotTable {
        let (snapshot, traces) = (Arc::clone(&self.snapshot), Arc::clone(&self.traces));
        SnapshotTable::new(table, snapshot, traces, Arc::clone(&self.store))
    }

    /// Whether rules of the retention have taken spans of segments that are there.
    pub(crate) fn are_thinned(&self) -> bool {
        self.snapshot.table(Table::Spans).segments.iter().any(|segment| segment.expired_rows > 0)
    }

    fn segment_count(&self, table: Table) -> u64 {
        self.snapshot.table(table).segments.len() as u64
    }

    /// How expressions are made for plans.
    pub(crate) fn state(&self) -> &SessionState {
        &self.base
    }

    /// A plan over rows of this table as they are.
    pub(crate) fn planned(&self, table: Table, plan: Arc<dyn ExecutionPlan>) -> Planned {
        Planned {
            plan,
            task: Arc::clone(&self.task),
            segments_total: self.segment_count(table),
            figures: Figures::of_rows(table),
        }
    }
}

fn aggregate_functions() -> Vec<Arc<AggregateUDF>> {
    let mut functions = SessionStateDefaults::default_aggregate_functions();
    functions.extend(estimate::functions());
    functions
}

fn expr_planners() -> Vec<Arc<dyn ExprPlanner>> {
    let mut planners: Vec<Arc<dyn ExprPlanner>> = vec![Arc::new(AttributePlanner)];
    planners.extend(SessionStateDefaults::default_expr_planners());
    planners
}

/// One snapshot's tables and what may be asked of them.
#[derive(Debug)]
pub(crate) struct Session {
    config: Arc<Config>,
    state: SessionState,
    segments_total: Vec<(Table, u64)>,
    snapshot: Arc<Snapshot>,
    store: Arc<dyn ObjectStore>,
    weights: Arc<WeightsOfSegments>,
}

impl Session {
    pub(crate) fn state(&self) -> &SessionState {
        &self.state
    }

    /// Parses, checks and plans one statement; `limit` rows and one more are computed, so that a cut is noticed.
    pub(crate) async fn plan(&self, query: &str, parameters: &[Parameter], limit: usize) -> Result<Planned> {
        let mut statement = guard::parse(query, &self.config)?;
        bind(guard::innermost(&mut statement)?, parameters)?;
        let logical = self.state.statement_to_plan(statement).await?;
        let tables = guard::check_plan(&logical, &self.config)?;
        let figures = Figures::of(&logical);
        let logical = limited(logical, limit)?;
        let plan = self.state.create_physical_plan(&logical).await?;
        let segments_total =
            self.segments_total.iter().filter(|(table, _)| tables.contains(table)).map(|(_, count)| count).sum();
        Ok(Planned { plan, task: self.state.task_ctx(), segments_total, figures })
    }

    /// The weights of the spans that the plan reads, where they can be found out.
    pub(crate) async fn weights(&self, plan: &Arc<dyn ExecutionPlan>) -> Option<Weights> {
        self.weights.of(plan, self.snapshot.table(Table::Spans), &self.store).await
    }
}

fn limited(plan: LogicalPlan, limit: usize) -> Result<LogicalPlan, DataFusionError> {
    match plan {
        LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) | LogicalPlan::DescribeTable(_) => Ok(plan),
        plan => LogicalPlanBuilder::from(plan).limit(0, Some(limit.saturating_add(1)))?.build(),
    }
}

fn session_config(config: &Config) -> SessionConfig {
    let mut session = SessionConfig::new()
        .with_default_catalog_and_schema(CATALOG, SCHEMA)
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(true)
        .with_target_partitions(config.threads)
        .with_batch_size(BATCH_ROWS);
    let options = session.options_mut();
    options.sql_parser.collect_spans = true;
    options.execution.parquet.max_in_list_size = MAX_IN_LIST;
    // Else a trace's few rows are dealt out to all threads, and what is made of their columns is made behind that, of whole
    // columns, instead of in the reader.
    options.execution.use_row_number_estimates_to_optimize_partitioning = true;
    // What `max(column)` has seen so far would filter the rows of other aggregates beside it.
    options.optimizer.enable_aggregate_dynamic_filter_pushdown = false;
    session
}

fn runtime(config: &Config, store: Arc<dyn ObjectStore>) -> Result<Arc<RuntimeEnv>> {
    let pool = TrackConsumersPool::new(GreedyMemoryPool::new(config.memory_limit_bytes), TRACKED_CONSUMERS);
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(pool))
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
        .with_object_store_registry(Arc::new(OwnStore { store }))
        .with_metadata_cache_limit(config.metadata_cache_bytes)
        .build_arc()?;
    Ok(runtime)
}

/// How many of the largest users of memory an error names.
const TRACKED_CONSUMERS: std::num::NonZeroUsize = std::num::NonZeroUsize::new(3).expect("three");

/// The one object store that a query can reach. DataFusion's own registry starts with the local file system in it.
#[derive(Debug)]
struct OwnStore {
    store: Arc<dyn ObjectStore>,
}

impl ObjectStoreRegistry for OwnStore {
    fn register_store(&self, _url: &url::Url, _store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        None
    }

    fn get_store(&self, url: &url::Url) -> Result<Arc<dyn ObjectStore>, DataFusionError> {
        if url.as_str().trim_end_matches('/') == STORE_URL {
            Ok(Arc::clone(&self.store))
        } else {
            Err(exec_datafusion_err!("{url} is not reachable from a query"))
        }
    }
}

pub(crate) fn store_url() -> Result<ObjectStoreUrl, DataFusionError> {
    ObjectStoreUrl::parse(STORE_URL)
}
