//! Everything in one process: build the parts, run them, drain them in flow order.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, bail};
use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use collector::sampler::{ActivePolicy, Shedding};
use collector::{OtlpDecoder, Pipeline, Receiver, Saved};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use storage::{Clock, Store, SystemClock};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tower::ServiceExt;

use crate::config::Config;
use crate::control::Control;
use crate::data_file::DataFile;
use crate::export::Encoder;
use crate::head_sampling::{self, HeadSampling};
use crate::listeners::{self, HTTP, OTLP_GRPC, OTLP_HTTP};
use crate::policy::PolicyFile;
use crate::reload;

pub const DEFAULT_DATA: &str = "./spanhouse-data";
pub const DEMO_DATA: &str = "./spanhouse-demo";

const SAMPLER_STATE: &str = "sampler.state";
const SHED: &str = "shed.json";

/// How long open pages and downloads get after everything else has ended.
const HTTP_DRAIN: Duration = Duration::from_secs(2);

/// The demo's traffic.
#[derive(Debug, Clone)]
pub struct Shop {
    pub seed: Option<u64>,
    pub visits_per_second: Option<f64>,
}

/// Runs until a signal, or until the WAL fails. `source` is where the configuration came from, to be followed.
pub async fn run(config: Config, source: Option<reload::Source>, shop: Option<Shop>) -> anyhow::Result<()> {
    listeners::check(&config.server)?;
    raise_file_limit();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let started_at = clock.now();
    let (stop, stopping) = watch::channel(false);
    let signals = Signals::new()?;

    // The page's port opens first: whoever waits for replay asks it. The ingest ports stay closed until then.
    let http = listeners::bind(HTTP, config.server.http).await?;
    let page: Arc<OnceLock<Router>> = Arc::default();
    let ready = Arc::new(AtomicBool::new(false));
    let http_address = listeners::local_address(http.as_ref());
    let (http_stop, http_stopping) = watch::channel(false);
    let http_server = http.map(|listener| tokio::spawn(serve_page(listener, Arc::clone(&page), http_stopping)));

    let data = config.server.data.clone();
    let decoder = Arc::new(OtlpDecoder { limits: config.limits.clone() });
    let store = Store::open(&data, config.storage(), Arc::clone(&clock), decoder)
        .await
        .with_context(|| format!("cannot open data directory {}", data.display()))?;
    let (policy_file, policy) = PolicyFile::open(&data, config.sampling.clone())?;
    let policy = ActivePolicy::new(policy.policy, policy.revision).context("the sampling policy")?;
    let heads = head_sampling::read_ledger(&config, &*clock)?;
    let state_file = DataFile::new(&data, SAMPLER_STATE);
    let state = state_file.read().unwrap_or_else(|error| {
        tracing::warn!(error = format!("{error:#}"), "the sampler starts without what it knew of rates and durations");
        None
    });
    let shed_file = DataFile::new(&data, SHED);
    let shed = shed_file.read()?;
    let shedding = Shedding::new(Arc::new(shed_file.clone()), shed.as_deref())
        .with_context(|| shed_file.path().display().to_string())?;
    let saved = Saved { state, file: Arc::new(state_file), shedding };
    let pipeline = Pipeline::new(store.clone(), Arc::clone(&clock), config.assembly(), policy, heads.clone(), saved)?;

    let grpc = listeners::bind(OTLP_GRPC, config.server.otlp_grpc).await?;
    let otlp_http = listeners::bind(OTLP_HTTP, config.server.otlp_http).await?;
    let grpc_address = listeners::local_address(grpc.as_ref());
    let otlp_http_address = listeners::local_address(otlp_http.as_ref());
    let receiver = Receiver::new(
        collector::Config {
            limits: config.limits.clone(),
            receiver: collector::config::ReceiverConfig {
                grpc_address,
                http_address: otlp_http_address,
                host_names: config.server.host_names.clone(),
                cors_origins: config.server.cors_origins.clone(),
                ..Default::default()
            },
        },
        Arc::clone(&pipeline) as _,
    )?;

    let sampling = HeadSampling::bind(&config, heads, Arc::clone(&clock)).await?;

    let mut addresses = vec![(OTLP_GRPC, grpc_address), (OTLP_HTTP, otlp_http_address), (HTTP, http_address)];
    addresses.extend(sampling.addresses());
    let engine = Arc::new(query::Engine::new(config.query(), Arc::new(store.clone()))?);
    let control = Arc::new(Control {
        store: store.clone(),
        engine: Arc::clone(&engine),
        pipeline: Arc::clone(&pipeline),
        metrics: receiver.metrics(),
        polls: sampling.metrics(),
        clock: Arc::clone(&clock),
        started_at,
        data_dir: shown(&data),
        durability: config.wal.durability,
        addresses: addresses.clone(),
        ready: Arc::clone(&ready),
        policy_file: policy_file.into(),
    });
    let mut host_names = config.server.host_names.clone();
    host_names.extend(http_address.map(|address| address.ip().to_string()));
    let following = tokio::spawn(reload::follow(source, config.clone(), Arc::clone(&control)));
    let app =
        ui::router(Arc::clone(&engine), control, Arc::new(Encoder), ui::Config { host_names, ..ui::Config::default() });
    // The cell is empty until here.
    let _ = page.set(app);

    let mut receivers = Vec::new();
    if let Some(listener) = grpc {
        let receiver = Arc::clone(&receiver);
        receivers.push(tokio::spawn(receiver.serve_grpc(listener, stopped(stopping.clone()))));
    }
    if let Some(listener) = otlp_http {
        let receiver = Arc::clone(&receiver);
        receivers.push(tokio::spawn(receiver.serve_http(listener, stopped(stopping.clone()))));
    }
    receivers.extend(sampling.serve(|| stopped(stopping.clone())));
    let deciding = tokio::spawn(Arc::clone(&pipeline).run());
    ready.store(true, Ordering::Relaxed);
    listeners::announce(&addresses);
    index_traces(engine, stopped(stopping.clone()));
    let shop = shop.map(|shop| tokio::spawn(run_shop(shop, grpc_address, otlp_http_address, stopped(stopping))));

    let failure = tokio::select! {
        () = signals.first() => None,
        error = store.failed() => Some(error),
    };
    ready.store(false, Ordering::Relaxed);
    following.abort();
    // Requests that wait for room on a full disk would never be answered, and so never end.
    store.stop_waiting();
    stop.send_replace(true);
    match failure {
        None => tracing::info!("shutting down: requests in flight are answered, then memory is flushed"),
        Some(error) => {
            // Nothing can be made durable any more, so there is nothing to drain.
            return Err(anyhow::Error::new(error).context("stopped, since nothing can be acknowledged any more"));
        }
    }
    let drain = async {
        if let Some(shop) = shop {
            let _ = shop.await;
        }
        for receiver in receivers {
            let _ = receiver.await;
        }
        deciding.abort();
        pipeline.save_state().await;
        let closed = store.close().await;
        http_stop.send_replace(true);
        if let Some(server) = http_server {
            let _ = tokio::time::timeout(HTTP_DRAIN, server).await;
        }
        closed.with_context(|| {
            let log = data.join("wal");
            format!("what is in memory could not be flushed; all that was acknowledged is kept in {}", shown(&log))
        })
    };
    tokio::select! {
        drained = drain => drained,
        () = signals.second() => bail!("stopped at the second signal; what was acknowledged is in the WAL"),
    }
}

/// Learns in the background where the traces of segments are, so that the first who asks for one need not wait. It decodes a
/// column of each segment, which is nothing for the async threads.
fn index_traces(engine: Arc<query::Engine>, stopped: impl Future<Output = ()> + Send + 'static) {
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        runtime.block_on(async {
            tokio::select! {
                indexed = engine.index_traces() => {
                    if let Err(error) = indexed {
                        tracing::warn!(error = %error, "traces are not indexed; queries that name some see to it");
                    }
                }
                () = stopped => {}
            }
        });
    });
}

/// Connections must not use up the files that the WAL and segments need.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    if setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).is_err() {
        tracing::warn!(limit = ?limit.current, "the limit on open files could not be raised");
    }
}

async fn stopped(mut stopping: watch::Receiver<bool>) {
    // A sender that is gone means the same.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// Serves the app once it is there; until then, health alone.
async fn serve_page(listener: TcpListener, page: Arc<OnceLock<Router>>, stopping: watch::Receiver<bool>) {
    let service = Router::new().fallback(move |request: Request| {
        let page = Arc::clone(&page);
        async move {
            match page.get() {
                Some(app) => app.clone().oneshot(request).await.into_response(),
                None => starting(request.uri().path()),
            }
        }
    });
    if let Err(error) = axum::serve(listener, service).with_graceful_shutdown(stopped(stopping)).await {
        tracing::error!(error = %error, "the page's listener ended");
    }
}

fn starting(path: &str) -> Response {
    if path == "/healthz" {
        return (StatusCode::OK, "ok\n").into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "1")], "starting: the write-ahead log is being replayed\n")
        .into_response()
}

async fn run_shop(
    shop: Shop,
    grpc: Option<std::net::SocketAddr>,
    http: Option<std::net::SocketAddr>,
    shutdown: impl Future<Output = ()>,
) {
    let endpoint = |address: Option<std::net::SocketAddr>, transport| {
        address.and_then(|address| demo::send::Endpoint::parse(&format!("http://{address}"), transport).ok())
    };
    let now = u64::try_from(SystemClock.now().0).unwrap_or(0);
    let mut config = demo::run::Config::new(
        endpoint(grpc, demo::send::Transport::Grpc),
        endpoint(http, demo::send::Transport::Http),
        now,
    );
    // Another one each time: the ids follow from it, and traces of an earlier demo in the same directory are decided already.
    config.seed = shop.seed.unwrap_or(now);
    tracing::info!(seed = config.seed, "the shop opens");
    config.visits_per_second = shop.visits_per_second.unwrap_or(config.visits_per_second);
    match demo::run::run(config, shutdown).await {
        Ok(summary) => tracing::info!(?summary, "the shop closed"),
        Err(error) => tracing::error!(error = %error, "the shop stopped"),
    }
}

fn shown(data: &Path) -> String {
    data.canonicalize().unwrap_or_else(|_| data.to_owned()).display().to_string()
}

/// SIGINT and SIGTERM: the first asks to drain, the second to stop at once.
struct Signals {
    received: watch::Receiver<u32>,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot handle SIGINT")?;
        let mut terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
        let (count, received) = watch::channel(0);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                count.send_modify(|count| *count += 1);
            }
        });
        Ok(Self { received })
    }

    async fn reached(&self, wanted: u32) {
        let mut received = self.received.clone();
        if received.wait_for(|count| *count >= wanted).await.is_err() {
            std::future::pending().await
        }
    }

    async fn first(&self) {
        self.reached(1).await;
    }

    async fn second(&self) {
        self.reached(2).await;
    }
}
