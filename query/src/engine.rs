//! Runs queries within their limits.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use arrow::array::RecordBatch;
use datafusion::common::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt;
use storage::SnapshotSource;
use storage::trace_index::TraceIndexStatus;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout_at;

use crate::answer::{SqlAnswer, Stats};
use crate::basis::Figures;
use crate::bind::Parameter;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::rows::Rows;
use crate::session::{Session, Sessions, Tables};
use crate::threads::Threads;

/// Batches that wait for a slow reader.
const BATCHES_AHEAD: usize = 2;

/// One SQL statement and its parameters.
#[derive(Debug, Clone, Default)]
pub struct SqlRequest {
    pub query: String,
    /// Values of `$1`, `$2`, ...
    pub parameters: Vec<Parameter>,
    /// Rows to answer at most; `None` takes the configured default.
    pub limit: Option<usize>,
}

impl SqlRequest {
    pub fn new(query: impl Into<String>) -> Self {
        Self { query: query.into(), ..Self::default() }
    }
}

/// The query service. Share it behind an `Arc`.
#[derive(Debug)]
pub struct Engine {
    config: Arc<Config>,
    sessions: Arc<Sessions>,
    permits: Arc<Semaphore>,
    pub(crate) threads: Threads,
}

/// A query ready to run.
pub(crate) struct Planned {
    pub(crate) plan: Arc<dyn ExecutionPlan>,
    pub(crate) task: Arc<TaskContext>,
    pub(crate) segments_total: u64,
    pub(crate) figures: Figures,
}

/// The whole answer to one of the engine's own questions.
pub(crate) struct Asked {
    pub(crate) rows: Rows,
    pub(crate) truncated: bool,
    pub(crate) stats: Stats,
}

impl Engine {
    /// Fails if the configuration cannot work or the threads cannot start.
    pub fn new(config: Config, source: Arc<dyn SnapshotSource>) -> Result<Self> {
        config.validate().map_err(Error::bad_query)?;
        let config = Arc::new(config);
        Ok(Self {
            sessions: Arc::new(Sessions::new(Arc::clone(&config), source)?),
            permits: Arc::new(Semaphore::new(config.max_concurrent_queries)),
            threads: Threads::start(config.threads)?,
            config,
        })
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What is known of where traces are.
    pub fn trace_index(&self) -> TraceIndexStatus {
        self.sessions.traces().status()
    }

    /// Bytes of memory that dictionaries of segments take.
    pub fn dictionary_cache_bytes(&self) -> usize {
        self.sessions.dictionaries().size_bytes()
    }

    /// Reads where the traces of all segments are, as far as the budget goes. Queries that name traces see to it, too, but
    /// do not wait for it; where they came first, this returns at once. Call it off the async threads.
    pub async fn index_traces(&self) -> Result<()> {
        self.sessions.read_traces().await
    }

    /// Plans the statement and starts it. Errors of planning come from here, those of running from the answer.
    pub async fn sql(&self, request: SqlRequest) -> Result<SqlAnswer> {
        let session = self.session().await?;
        self.sql_in(&session, request).await
    }

    /// A session: everything asked within it sees the same snapshot.
    pub(crate) async fn session(&self) -> Result<Arc<Session>> {
        let sessions = Arc::clone(&self.sessions);
        // Storage may have to build columns for this.
        let opened = tokio::task::spawn_blocking(move || sessions.open()).await;
        opened.map_err(|error| Error::Internal(format!("cannot take a snapshot: {error}")))?.map(Arc::new)
    }

    /// The tables of the newest snapshot, to be asked without SQL.
    pub(crate) async fn tables(&self) -> Result<Arc<Tables>> {
        let sessions = Arc::clone(&self.sessions);
        let opened = tokio::task::spawn_blocking(move || sessions.tables()).await;
        opened.map_err(|error| Error::Internal(format!("cannot take a snapshot: {error}")))?.map(Arc::new)
    }

    pub(crate) async fn sql_in(&self, session: &Arc<Session>, request: SqlRequest) -> Result<SqlAnswer> {
        let limit = request.limit.unwrap_or(self.config.default_row_limit);
        if limit > self.config.max_row_limit {
            return Err(Error::bad_query(format!(
                "limit {limit} is above {}, the most rows of an answer",
                self.config.max_row_limit
            )));
        }
        let (planning, query) = (Arc::clone(session), request.query);
        let planning = async move { planning.plan(&query, &request.parameters, limit).await };
        let permit = Arc::new(self.permit()?);
        self.start(planning, limit, permit, Some(Arc::clone(session))).await
    }

    /// Runs what `planning` plans. Whoever plans what counts gives the session that knows what it counts.
    async fn start(
        &self,
        planning: impl Future<Output = Result<Planned>> + Send + 'static,
        limit: usize,
        permit: Arc<OwnedSemaphorePermit>,
        session: Option<Arc<Session>>,
    ) -> Result<SqlAnswer> {
        let started = Instant::now();
        let deadline = started + self.config.time_limit;
        let planning = self.threads.spawn(planning);
        let planned = match timeout_at(deadline.into(), planning.join()).await {
            Ok(planned) => planned??,
            Err(_) => return Err(self.timeout()),
        };
        let (sender, batches) = mpsc::channel(BATCHES_AHEAD);
        let Planned { plan, task, segments_total, figures } = planned;
        let timed_out = self.timeout();
        let weights = Arc::new(OnceLock::new());
        let (running, found) = (Arc::clone(&plan), Arc::clone(&weights));
        let task = self.threads.spawn(async move {
            let run = async {
                if figures.is_figure()
                    && let Some(session) = session
                    && let Some(weights) = session.weights(&running).await
                {
                    let _ = found.set(weights);
                }
                run(running, task, &sender).await;
            };
            if timeout_at(deadline.into(), run).await.is_err() {
                // The reader may be slow or gone; the time limit must end the query all the same.
                let _ = sender.try_send(Err(timed_out));
            }
        });
        Ok(SqlAnswer {
            schema: plan.schema(),
            batches,
            plan,
            segments_total,
            figures,
            weights,
            rows_left: limit,
            truncated: false,
            started,
            deadline,
            timeout: self.config.time_limit,
            finished_ms: None,
            _task: task,
            _permit: permit,
        })
    }

    /// All rows of a statement that the engine wrote itself, and what they cost.
    pub(crate) async fn ask(&self, session: &Arc<Session>, query: &str, limit: usize) -> Result<Asked> {
        let request = SqlRequest { query: query.to_owned(), parameters: Vec::new(), limit: Some(limit) };
        collected(self.sql_in(session, request).await?).await
    }

    /// All rows of two plans and what they cost, run at the same time as one query. The plans give one row more than their
    /// limits where there are more.
    pub(crate) async fn run_both<F>(&self, [first, second]: [(F, usize); 2]) -> Result<(Asked, Asked)>
    where
        F: FnOnce() -> Result<Planned> + Send + 'static,
    {
        let permit = Arc::new(self.permit()?);
        let run = async |(plan, limit): (F, usize)| {
            collected(self.start(async move { plan() }, limit, Arc::clone(&permit), None).await?).await
        };
        futures::try_join!(run(first), run(second))
    }

    fn permit(&self) -> Result<OwnedSemaphorePermit> {
        Arc::clone(&self.permits).try_acquire_owned().map_err(|_| {
            Error::Unavailable(format!(
                "{} queries are running, the most at once; try again shortly",
                self.config.max_concurrent_queries
            ))
        })
    }

    fn timeout(&self) -> Error {
        Error::Timeout { limit_ms: self.config.time_limit.as_millis() }
    }
}

async fn collected(mut answer: SqlAnswer) -> Result<Asked> {
    let batches = answer.collect().await?;
    let rows = Rows::new(&answer.schema(), &batches)?;
    Ok(Asked { rows, truncated: answer.truncated(), stats: answer.stats() })
}

async fn run(plan: Arc<dyn ExecutionPlan>, task: Arc<TaskContext>, sender: &mpsc::Sender<Result<RecordBatch>>) {
    let mut stream = match execute_stream(plan, task) {
        Ok(stream) => stream,
        Err(error) => {
            let _ = sender.send(Err(error.into())).await;
            return;
        }
    };
    while let Some(batch) = stream.next().await {
        let ended = batch.is_err();
        if sender.send(batch.map_err(|error: DataFusionError| error.into())).await.is_err() || ended {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
