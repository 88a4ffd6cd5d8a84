//! Head sampling: the Jaeger remote sampling protocol, by which SDKs ask how much of their traces to sample.
//!
//! - `strategy`: an answer as a value.
//! - `rates`: what every operation costs, as the sampler publishes it; `head`: from there to probabilities; pure.
//! - `source`: where strategies come from.
//! - `ledger`: what was served to whom and when, so that spans can be weighed; pure. Its bytes, too.
//! - `http`, `grpc`: the two transports; `wire`: their messages. Connections, limits, host check and drain are the
//!   receiver's.
//! - `metrics`: polls counted.
//!
//! A strategy is in the ledger, and that on disk, before it is served; what finds no place there is not served. Whatever goes
//! wrong, the answer is to keep everything, or the SDK keeps what it has.

mod grpc;
pub mod head;
mod http;
pub mod ledger;
mod metrics;
pub mod rates;
mod source;
mod strategy;
mod wire;

#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::http::{Request, Response};
use hyper::body::Incoming;
use storage::Clock;
use tokio::net::TcpListener;

pub use head::HeadConfig;
pub use ledger::{Head, Ledger, LedgerConfig, Served};
pub use metrics::{Metrics, Outcome};
pub use rates::{OperationRate, RateTable, SharedRates};
pub use source::{ByRates, KeepAll, Strategies};
pub use strategy::Strategy;

use crate::config::ReceiverConfig;
use crate::durable::Durable;
use crate::receiver::ConnectionCounts;
use crate::receiver::answer::AnswerBody;
use crate::receiver::connection::Connection;
use crate::receiver::in_flight::Budget;
use crate::receiver::listener;
use crate::receiver::protocol::Service;
use crate::{Error, Result};

/// A request is the name of a service.
const MAX_REQUEST_BYTES: usize = 8 * 1_024;
/// Requests that are being received.
const IN_FLIGHT_BYTES: usize = 4 << 20;

/// Which server a listener is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Http,
    Grpc,
}

impl Transport {
    pub const ALL: [Transport; 2] = [Transport::Http, Transport::Grpc];

    pub fn name(self) -> &'static str {
        match self {
            Transport::Http => "http",
            Transport::Grpc => "grpc",
        }
    }
}

/// What both servers share.
pub struct Remote {
    connections: ReceiverConfig,
    strategies: Arc<dyn Strategies>,
    ledger: Arc<Mutex<Ledger>>,
    file: Arc<dyn Durable>,
    /// One poll at a time from the ledger to its file.
    serving: Arc<tokio::sync::Mutex<()>>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    in_flight: Budget,
}

/// What the sampler and the listeners share: what operations cost, and what was told of them.
#[derive(Debug, Clone, Default)]
pub struct HeadRates {
    pub rates: Arc<SharedRates>,
    pub ledger: Arc<Mutex<Ledger>>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Remote").field("strategies", &self.strategies).finish_non_exhaustive()
    }
}

impl Remote {
    /// `ledger` is the one that spans are weighed by; `file` has it across restarts.
    pub fn new(
        connections: ReceiverConfig,
        strategies: Arc<dyn Strategies>,
        ledger: Arc<Mutex<Ledger>>,
        file: Arc<dyn Durable>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        let (metrics, in_flight, serving) = (Arc::default(), Budget::new(IN_FLIGHT_BYTES), Arc::default());
        Arc::new(Self { connections, strategies, ledger, file, serving, clock, metrics, in_flight })
    }

    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.metrics)
    }

    /// Serves polls over HTTP until `shutdown` resolves; returns once those in flight are answered.
    pub async fn serve_http(self: Arc<Self>, listener: TcpListener, shutdown: impl Future<Output = ()> + Send) {
        listener::serve(Port { remote: self, transport: Transport::Http }, listener, shutdown).await;
    }

    /// Serves polls over gRPC likewise.
    pub async fn serve_grpc(self: Arc<Self>, listener: TcpListener, shutdown: impl Future<Output = ()> + Send) {
        listener::serve(Port { remote: self, transport: Transport::Grpc }, listener, shutdown).await;
    }

    /// What a service that polls now is told; remembered already, and durably.
    async fn serve(&self, service: &str) -> Result<Served> {
        let one_at_a_time = Arc::clone(&self.serving).lock_owned().await;
        let (wanted, now) = (self.strategies.of(service), self.clock.now());
        let mut next = {
            let mut ledger = self.ledger();
            if !ledger.is_news(service, &wanted) {
                let served = ledger.serve(service, wanted, now);
                self.metrics.remembered(&ledger);
                return Ok(served);
            }
            ledger.clone()
        };
        // Spans are not weighed by what nobody was told, so it counts once it is written; and then also where the client has left
        // meanwhile, since the file has it.
        let (file, ledger) = (Arc::clone(&self.file), Arc::clone(&self.ledger));
        let (metrics, service) = (Arc::clone(&self.metrics), service.to_owned());
        let write = move || {
            let _one_at_a_time = one_at_a_time;
            let served = next.serve(&service, wanted, now);
            if !next.is_saved() {
                file.replace(&next.export())?;
                next.note_saved();
            }
            metrics.remembered(&next);
            *lock(&ledger) = next;
            Ok(served)
        };
        let written = tokio::task::spawn_blocking(write).await;
        written.unwrap_or_else(|panic| Err(io::Error::other(panic))).map_err(|why| {
            tracing::error!(
                error = %why,
                "what services are told of head sampling cannot be written, so they are told nothing"
            );
            Error::Unavailable("the strategy cannot be remembered now; keep the one you have".to_owned())
        })
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }
}

fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One of the two listeners.
struct Port {
    remote: Arc<Remote>,
    transport: Transport,
}

impl Service for Port {
    fn config(&self) -> &ReceiverConfig {
        &self.remote.connections
    }

    fn connections(&self) -> &ConnectionCounts {
        &self.remote.metrics.connections
    }

    /// Few and idle beside those that bring spans.
    fn shares_of_open_files(&self) -> u64 {
        32
    }

    async fn answer(&self, connection: Arc<Connection>, request: Request<Incoming>) -> Response<AnswerBody> {
        let (outcome, response) = match self.transport {
            Transport::Http => http::handle(&self.remote, &connection, request).await,
            Transport::Grpc => grpc::handle(&self.remote, &connection, request).await,
        };
        self.remote.metrics.polled(self.transport, outcome);
        response
    }
}
