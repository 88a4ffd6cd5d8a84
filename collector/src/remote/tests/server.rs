//! Both listeners on free ports, over a table of rates, with a clock that the test sets.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use storage::Clock;
use storage::model::UnixNanos;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::Durable;
use crate::config::ReceiverConfig;
use crate::remote::{
    ByRates, Head, HeadConfig, KeepAll, Ledger, Metrics, OperationRate, Outcome, RateTable, Remote, SharedRates,
    Strategies, Transport,
};

/// What was written, and whether writing fails.
#[derive(Debug, Default)]
pub struct Written {
    pub bytes: Mutex<Vec<u8>>,
    pub fails: AtomicBool,
    /// A disk that is slow while the test has it.
    pub waits: tokio::sync::Mutex<()>,
}

impl Durable for Written {
    fn replace(&self, bytes: &[u8]) -> std::io::Result<()> {
        drop(self.waits.blocking_lock());
        if self.fails.load(Ordering::SeqCst) {
            return Err(std::io::Error::other("the disk is full"));
        }
        *self.bytes.lock().unwrap() = bytes.to_vec();
        Ok(())
    }
}

#[derive(Debug)]
pub struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> UnixNanos {
        UnixNanos(self.0.load(Ordering::SeqCst))
    }
}

pub struct Server {
    pub http: SocketAddr,
    pub grpc: SocketAddr,
    pub rates: Arc<SharedRates>,
    pub ledger: Arc<Mutex<Ledger>>,
    pub metrics: Arc<Metrics>,
    pub written: Arc<Written>,
    clock: Arc<SetClock>,
    stop: Vec<oneshot::Sender<()>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Server {
    /// By the rates in the table, which is empty at first.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut ReceiverConfig)) -> Self {
        Self::build(change, true).await
    }

    /// One that has no budget to thin for.
    pub async fn keeping_all() -> Self {
        Self::build(|_| {}, false).await
    }

    async fn build(change: impl FnOnce(&mut ReceiverConfig), by_rates: bool) -> Self {
        let http = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let grpc = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (http_address, grpc_address) = (http.local_addr().unwrap(), grpc.local_addr().unwrap());
        let mut connections = ReceiverConfig {
            http_address: Some(http_address),
            grpc_address: Some(grpc_address),
            ..ReceiverConfig::default()
        };
        change(&mut connections);
        let clock = Arc::new(SetClock(AtomicI64::new(1_800_000_000_000_000_000)));
        let (rates, ledger) = (Arc::<SharedRates>::default(), Arc::<Mutex<Ledger>>::default());
        let strategies: Arc<dyn Strategies> = if by_rates {
            Arc::new(ByRates {
                rates: Arc::clone(&rates),
                ledger: Arc::clone(&ledger),
                clock: Arc::clone(&clock) as _,
                config: HeadConfig { max_spans_per_second: 2_000.0, ..HeadConfig::default() },
            })
        } else {
            Arc::new(KeepAll)
        };
        let written = Arc::<Written>::default();
        let file = Arc::clone(&written) as _;
        let remote = Remote::new(connections, strategies, Arc::clone(&ledger), file, Arc::clone(&clock) as _);
        let metrics = remote.metrics();
        let (stop_http, http_stopped) = oneshot::channel::<()>();
        let (stop_grpc, grpc_stopped) = oneshot::channel::<()>();
        let tasks = vec![
            tokio::spawn(Arc::clone(&remote).serve_http(http, async { drop(http_stopped.await) })),
            tokio::spawn(remote.serve_grpc(grpc, async { drop(grpc_stopped.await) })),
        ];
        let stop = vec![stop_http, stop_grpc];
        Self { http: http_address, grpc: grpc_address, rates, ledger, metrics, written, clock, stop, tasks }
    }

    pub fn pass_seconds(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds * 1_000_000_000, Ordering::SeqCst);
    }

    /// Says of `cart` that each of its instances makes as many spans, all of them for `GET /cart`.
    pub fn publish(&self, spans_per_second: f64) {
        self.rates.publish(RateTable::new([OperationRate {
            service: "cart".into(),
            operation: "GET /cart".into(),
            spans_per_second: spans_per_second * 4.0,
            traces_per_second: spans_per_second,
            error_share: 0.1,
            tail_probability: 0.001,
            instances: 4,
        }]));
    }

    /// With which probability a trace that begins now is sampled, as far as the ledger knows.
    pub fn head(&self, operation: &str) -> Head {
        self.ledger.lock().unwrap().head("cart", operation, self.clock.now())
    }

    pub fn polls(&self, transport: Transport, outcome: Outcome) -> u64 {
        let found = self.metrics.polls().find(|(of, what, _)| (*of, *what) == (transport, outcome));
        found.unwrap().2
    }

    /// Asks both listeners to end; the handles resolve once they have.
    pub fn shut_down(&mut self) -> Vec<JoinHandle<()>> {
        for stop in self.stop.drain(..) {
            let _ = stop.send(());
        }
        std::mem::take(&mut self.tasks)
    }
}
