//! The shop in real time: every pod sends through an exporter of its own, as SDKs do.
//!
//! First the history in a burst, so that a page has something to show at once, in large batches, since a server syncs
//! for each request; then what happens now. A slow server slows the shop until it has caught up with the present; from
//! then on a full queue drops spans and counts them, since visitors do not wait for telemetry.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::Error;
use crate::export::{DEFAULT_DELAY, Export, Requests};
use crate::send::{self, Client, Compression, Endpoint, Transport};
use crate::shop::{self, Fault, InstanceId, Schedule};

#[derive(Debug, Clone)]
pub struct Config {
    /// Where the exporters send to. With both, pods take turns, so that both receivers have work.
    pub grpc: Option<Endpoint>,
    pub http: Option<Endpoint>,
    pub seed: u64,
    pub visits_per_second: f64,
    /// How much of the past is sent first.
    pub history: Duration,
    /// The caller's clock, read just before.
    pub now_unix_nanos: u64,
    pub send: send::Config,
}

impl Config {
    pub fn new(grpc: Option<Endpoint>, http: Option<Endpoint>, now_unix_nanos: u64) -> Self {
        let shop = shop::Config::default();
        Self {
            grpc,
            http,
            seed: shop.seed,
            visits_per_second: shop.visits_per_second,
            history: Duration::from_secs(15 * 60),
            now_unix_nanos,
            send: send::Config::default(),
        }
    }
}

/// What became of the spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    pub requests: u64,
    pub accepted_spans: u64,
    pub rejected_spans: u64,
    /// Refused, given up, or no room in the queue.
    pub lost_spans: u64,
}

#[derive(Debug, Default)]
struct Counters {
    requests: AtomicU64,
    accepted_spans: AtomicU64,
    rejected_spans: AtomicU64,
    lost_spans: AtomicU64,
}

/// Requests that wait at one exporter; an SDK's queue holds 2,048 spans.
const QUEUE_REQUESTS: usize = 4;
/// Between the ticks of an exporter while the history is sent.
const HISTORY_DELAY: Duration = Duration::from_secs(30);
const DRAIN: Duration = Duration::from_secs(3);

/// Runs until `shutdown`, then lets the exporters finish what they hold, for three seconds at most.
pub async fn run(config: Config, shutdown: impl Future<Output = ()>) -> Result<Summary, Error> {
    let shop = shop::Config {
        seed: config.seed,
        start_unix_nanos: config.now_unix_nanos.saturating_sub(nanos(config.history)),
        visits_per_second: config.visits_per_second,
        ..shop::Config::default()
    };
    let requests = Requests::new(shop, HISTORY_DELAY)?;
    let mut exporters = Exporters::new(&config, requests.world().instances().len())?;
    let counters = Arc::clone(&exporters.counters);

    {
        let mut shutdown = pin!(shutdown);
        tokio::select! {
            () = &mut shutdown => {}
            outcome = drive(&config, requests, &mut exporters) => outcome?,
        }
    }
    exporters.finish().await;

    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    Ok(Summary {
        requests: read(&counters.requests),
        accepted_spans: read(&counters.accepted_spans),
        rejected_spans: read(&counters.rejected_spans),
        lost_spans: read(&counters.lost_spans),
    })
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

async fn drive(config: &Config, mut requests: Requests, exporters: &mut Exporters) -> Result<(), Error> {
    let now = config.now_unix_nanos;
    let schedule = requests.world().schedule().clone();
    log_past(config, &schedule);
    // Early enough for the last large batches to be sent by now.
    let end_of_large_batches = now.saturating_sub(nanos(2 * HISTORY_DELAY));
    let started = Instant::now();
    let mut active: Vec<Fault> = Vec::new();
    let mut has_small_batches = false;
    let mut has_caught_up = false;
    while let Some(export) = requests.next() {
        let at = export.send_at_unix_nanos;
        if !has_small_batches && at >= end_of_large_batches {
            has_small_batches = true;
            requests.set_delay(DEFAULT_DELAY)?;
        }
        let due = started + Duration::from_nanos(at.saturating_sub(now));
        if !has_caught_up && due <= Instant::now() {
            exporters.send_when_there_is_room(export).await;
            continue;
        }
        if !has_caught_up {
            has_caught_up = true;
            let (seconds, ms) = (config.history.as_secs(), started.elapsed().as_millis());
            tracing::info!(history_seconds = seconds, ms, "the shop's past is sent, it is open now");
        }
        sleep_until(due).await;
        log_changes(&mut active, schedule.active(at).collect());
        exporters.send_or_lose(export);
    }
    Ok(())
}

fn log_past(config: &Config, schedule: &Schedule) {
    let now = config.now_unix_nanos;
    let start = now.saturating_sub(nanos(config.history));
    for window in schedule.windows(start, now) {
        let (from, to) = (window.start_unix_nanos.max(start), window.end_unix_nanos.min(now));
        let (from_seconds_ago, to_seconds_ago) = ((now - from) / 1_000_000_000, (now - to) / 1_000_000_000);
        let fault = window.fault.name();
        tracing::info!(fault, from_seconds_ago, to_seconds_ago, "in the past: {}", window.fault.description());
    }
}

fn log_changes(active: &mut Vec<Fault>, now: Vec<Fault>) {
    for fault in now.iter().filter(|fault| !active.contains(fault)) {
        tracing::info!(fault = fault.name(), "fault begins: {}", fault.description());
    }
    for fault in active.iter().filter(|fault| !now.contains(fault)) {
        tracing::info!(fault = fault.name(), "fault is over");
    }
    *active = now;
}

/// One task a pod, begun with its first request.
struct Exporters {
    clients: Vec<(Client, Compression)>,
    queues: HashMap<InstanceId, mpsc::Sender<Export>>,
    tasks: JoinSet<()>,
    counters: Arc<Counters>,
}

impl Exporters {
    fn new(config: &Config, pods: usize) -> Result<Self, Error> {
        let clients = (0..pods)
            .map(|pod| {
                let (grpc, http) = (config.grpc.as_ref(), config.http.as_ref());
                let endpoint = if pod % 2 == 0 { grpc.or(http) } else { http.or(grpc) };
                let endpoint = endpoint.ok_or_else(|| Error::Config("the demo has nowhere to send to".to_owned()))?;
                let compression = match (endpoint.transport(), pod % 4 < 2) {
                    (Transport::Grpc, true) => Compression::None,
                    (Transport::Grpc, false) | (Transport::Http, true) => Compression::Gzip,
                    (Transport::Http, false) => Compression::Zstd,
                };
                let send = send::Config { jitter_seed: pod as u64, ..config.send.clone() };
                Ok((Client::new(endpoint.clone(), send), compression))
            })
            .collect::<Result<_, Error>>()?;
        Ok(Self { clients, queues: HashMap::new(), tasks: JoinSet::new(), counters: Arc::default() })
    }

    fn queue(&mut self, instance: InstanceId) -> Option<&mpsc::Sender<Export>> {
        let (client, compression) = self.clients.get(usize::from(instance.0))?;
        Some(self.queues.entry(instance).or_insert_with(|| {
            let (queue, requests) = mpsc::channel(QUEUE_REQUESTS);
            self.tasks.spawn(export(client.clone(), *compression, requests, Arc::clone(&self.counters)));
            queue
        }))
    }

    async fn send_when_there_is_room(&mut self, export: Export) {
        if let Some(queue) = self.queue(export.instance) {
            // The receiver lives until the queue is dropped.
            let _ = queue.send(export).await;
        }
    }

    fn send_or_lose(&mut self, export: Export) {
        let spans = export.spans as u64;
        if self.queue(export.instance).is_none_or(|queue| queue.try_send(export).is_err()) {
            self.counters.lost_spans.fetch_add(spans, Ordering::Relaxed);
        }
    }

    async fn finish(self) {
        let Self { queues, mut tasks, .. } = self;
        drop(queues);
        let drained = async { while tasks.join_next().await.is_some() {} };
        if timeout(DRAIN, drained).await.is_err() {
            tracing::debug!("exporters did not finish in time");
        }
        tasks.shutdown().await;
    }
}

/// One request at a time, as SDKs do.
async fn export(
    client: Client,
    compression: Compression,
    mut requests: mpsc::Receiver<Export>,
    counters: Arc<Counters>,
) {
    let mut was_well = true;
    while let Some(export) = requests.recv().await {
        let spans = export.spans as u64;
        counters.requests.fetch_add(1, Ordering::Relaxed);
        match client.send(&export.request, compression).await {
            Ok(accepted) => {
                let rejected = accepted.rejected_spans.min(spans);
                counters.rejected_spans.fetch_add(rejected, Ordering::Relaxed);
                counters.accepted_spans.fetch_add(spans - rejected, Ordering::Relaxed);
                if rejected > 0 && was_well {
                    tracing::warn!(rejected, message = accepted.message, "the server rejected spans of the demo");
                }
                was_well = rejected == 0;
            }
            Err(error) => {
                counters.lost_spans.fetch_add(spans, Ordering::Relaxed);
                if was_well {
                    tracing::warn!(%error, spans, "spans of the demo are lost");
                }
                was_well = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::send::fake_server::{FakeServer, grpc_ok, http_ok};

    #[tokio::test]
    async fn without_an_address_there_is_no_demo() {
        let config = Config::new(None, None, 1_767_614_400_000_000_000);
        let outcome = run(config, std::future::pending()).await;
        assert!(matches!(outcome, Err(Error::Config(_))), "{outcome:?}");
    }

    #[tokio::test]
    async fn past_and_present_arrive_over_both_transports() {
        let grpc = FakeServer::start(vec![grpc_ok]).await;
        let http = FakeServer::start(vec![http_ok]).await;
        let now_unix_nanos = 1_767_614_400_000_000_000;
        let config = Config {
            visits_per_second: 20.0,
            history: Duration::from_secs(90),
            ..Config::new(Some(grpc.endpoint(Transport::Grpc)), Some(http.endpoint(Transport::Http)), now_unix_nanos)
        };
        let summary = run(config, tokio::time::sleep(Duration::from_secs(6))).await.unwrap();
        assert_eq!(summary.rejected_spans, 0);
        // An exporter's queue overflows where a busy machine leaves it no time, as an SDK's would.
        assert!(summary.lost_spans * 20 < summary.accepted_spans, "{summary:?}");
        assert_eq!(summary.requests, (grpc.requests() + http.requests()) as u64);
        assert!(grpc.requests() > 50 && http.requests() > 50);
        // 90 s of the past and a few of the present, at 20 visits of some 15 spans.
        assert!(summary.accepted_spans > 20 * 90 * 12, "{summary:?}");
        let shop = shop::Config {
            start_unix_nanos: now_unix_nanos - 90_000_000_000,
            visits_per_second: 20.0,
            ..shop::Config::default()
        };
        let past =
            crate::export::requests(shop).unwrap().take_while(|export| export.send_at_unix_nanos < now_unix_nanos);
        let past: usize = past.map(|export| export.spans).sum();
        assert!(summary.accepted_spans > past as u64, "the present is missing: {past} before, {summary:?}");
    }

    #[tokio::test]
    async fn a_server_that_is_away_costs_spans_but_not_the_shop() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let endpoint = Endpoint::parse(&address, Transport::Http).unwrap();
        let config = Config {
            visits_per_second: 100.0,
            history: Duration::from_secs(2),
            send: send::Config { retry: send::Retry::never(), ..send::Config::default() },
            ..Config::new(None, Some(endpoint), 1_767_614_400_000_000_000)
        };
        let summary = run(config, tokio::time::sleep(Duration::from_millis(1_500))).await.unwrap();
        assert!(summary.lost_spans > 1_000 && summary.accepted_spans == 0, "{summary:?}");
    }
}
