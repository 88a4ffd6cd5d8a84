//! The OTLP servers, and what servers of other protocols share with them.
//!
//! - `listener`, `places`: accepting within a bound, and draining.
//! - `protocol`: one connection, HTTP/1.1 or cleartext HTTP/2 on every port, for a `Service`; `connection`, `watched`, `frames`: what tells
//!   that it stalls, floods or idles.
//! - `grpc`, `http`: the two transports, from a request's head to its answer; `head`: what both ask of the head;
//!   `cors`: web pages.
//! - `body`: bodies, bounded in size and time; `in_flight`: the budget that all of them share.
//! - `intake`: decoding, the sink, and counting.
//! - `status`: errors as OTLP answers, the only place that knows both; `rpc`, `answer`: those answers as bytes.
//! - `metrics`, `books`: counters, and where every span is.
//! - `host`, `told`: names a loopback listener has, warnings once a minute.
//!
//! Success is answered only after the sink's. Decoding that takes long leaves the async threads. What a client sends is
//! held only within the budget, and nobody waits for the budget.

pub(crate) mod answer;
pub(crate) mod body;
mod books;
pub(crate) mod connection;
pub(crate) mod cors;
mod frames;
pub(crate) mod grpc;
pub(crate) mod head;
mod host;
mod http;
pub(crate) mod in_flight;
mod intake;
pub(crate) mod listener;
pub(crate) mod metrics;
mod places;
pub(crate) mod protocol;
pub(crate) mod rpc;
pub(crate) mod status;
mod told;
mod watched;

#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use ::http::{Request, Response};
use hyper::body::Incoming;
use storage::{Clock, SystemClock};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

pub use books::Books;
pub use metrics::{ConnectionCounts, Hint, HintSeen, Metrics};
pub use status::Answer;

use crate::config::ReceiverConfig;
use crate::{Config, Error, Result, Sink};
use answer::AnswerBody;
use connection::Connection;
use in_flight::Budget;
use protocol::Service;
use status::Refusal;
use told::Told;

/// Which server a listener is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    Grpc,
    Http,
}

/// One of the two listeners.
struct Port {
    receiver: Arc<Receiver>,
    transport: Transport,
}

impl Service for Port {
    fn config(&self) -> &ReceiverConfig {
        &self.receiver.config.receiver
    }

    fn connections(&self) -> &ConnectionCounts {
        &self.receiver.metrics.connections
    }

    /// There are two listeners, and as many files again stay for the WAL, segments, queries and small listeners.
    fn shares_of_open_files(&self) -> u64 {
        4
    }

    async fn answer(&self, connection: Arc<Connection>, request: Request<Incoming>) -> Response<AnswerBody> {
        let receiver = Arc::clone(&self.receiver);
        match self.transport {
            Transport::Grpc => grpc::handle(receiver, connection, request).await,
            Transport::Http => http::handle(receiver, connection, request).await,
        }
    }
}

/// What both servers share: limits, budgets, counters, and the sink.
pub struct Receiver {
    config: Config,
    sink: Arc<dyn Sink>,
    /// Tells the arrival time of requests.
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    in_flight: Budget,
    decoders: Arc<Semaphore>,
    told: Told,
}

impl fmt::Debug for Receiver {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Receiver").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Receiver {
    pub fn new(config: Config, sink: Arc<dyn Sink>) -> Result<Arc<Self>> {
        Self::with_clock(config, sink, Arc::new(SystemClock))
    }

    pub fn with_clock(config: Config, sink: Arc<dyn Sink>, clock: Arc<dyn Clock>) -> Result<Arc<Self>> {
        config.validate()?;
        let decoders = match config.receiver.decoders {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            count => count.min(Semaphore::MAX_PERMITS),
        };
        let in_flight = Budget::new(config.limits.in_flight_bytes);
        Ok(Arc::new(Self {
            metrics: Arc::new(Metrics::new(in_flight.clone())),
            in_flight,
            decoders: Arc::new(Semaphore::new(decoders)),
            config,
            sink,
            clock,
            told: Told::default(),
        }))
    }

    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.metrics)
    }

    /// Serves OTLP/gRPC until `shutdown` resolves; returns once requests in flight are answered or the drain time is
    /// over.
    pub async fn serve_grpc(self: Arc<Self>, listener: TcpListener, shutdown: impl Future<Output = ()> + Send) {
        listener::serve(Port { receiver: self, transport: Transport::Grpc }, listener, shutdown).await;
    }

    /// Serves OTLP/HTTP likewise.
    pub async fn serve_http(self: Arc<Self>, listener: TcpListener, shutdown: impl Future<Output = ()> + Send) {
        listener::serve(Port { receiver: self, transport: Transport::Http }, listener, shutdown).await;
    }

    fn hint(&self, hint: Hint) {
        self.metrics.hint(hint, self.clock.now());
    }

    fn count_refusal(&self, error: &Error, refusal: &Refusal) {
        self.metrics.refuse(refusal.answer);
        if refusal.answer == Answer::Internal {
            tracing::error!(%error, "request failed");
        } else {
            tracing::debug!(%error, answer = refusal.answer.name(), "request refused");
        }
    }
}
