//! A small OTLP client: one request, as many tries as it takes, a typed outcome.
//!
//! - [`endpoint`]: where to; [`payload`]: what, encoded and compressed
//! - [`grpc`], [`http`]: one try over one transport; [`status`]: what servers answer
//! - [`retry`]: when to try again
//!
//! Connections are kept and reused: HTTP/1.1 as many as there are requests at once, gRPC one with many streams.
//! What is retried follows the OTLP specification: gRPC's passing codes (RESOURCE_EXHAUSTED only with RetryInfo), HTTP's
//! 429, 502, 503 and 504, and connections that fail. A server's wish to wait is honoured. Whatever ends without an answer
//! may have been stored all the same: servers get such a request twice.

mod endpoint;
#[cfg(test)]
pub(crate) mod fake_server;
mod grpc;
mod http;
mod payload;
mod retry;
mod status;

use std::error::Error as StdError;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Collected, Full, Limited};
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use tokio::time::Instant;

pub use endpoint::{Endpoint, Transport};
pub use payload::{Compression, Format, Payload};
pub use retry::Retry;
pub use status::Answer;

use crate::Error;
use crate::shop::Rng;

/// An answer is small; more than this is not one.
const ANSWER_MAX_BYTES: usize = 4 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const IDLE_CONNECTION: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
pub struct Config {
    /// For one try, from connecting to the last byte of the answer.
    pub timeout: Duration,
    pub retry: Retry,
    /// So that many clients do not come back in step.
    pub jitter_seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(10), retry: Retry::default(), jitter_seed: 0 }
    }
}

/// The server has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Accepted {
    /// From `partial_success`: these it will never take.
    pub rejected_spans: u64,
    /// Why, or a warning when nothing was rejected; empty without either.
    pub message: String,
    pub tries: u32,
}

/// Cheap to clone; clones share connections.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    endpoint: Endpoint,
    config: Config,
    connections: legacy::Client<HttpConnector, Full<Bytes>>,
    sent: AtomicU64,
}

/// How one try failed.
#[derive(Debug)]
enum Failure {
    Refused(Answer),
    Busy { answer: Answer, wait: Option<Duration> },
    Unreachable(String),
}

impl Client {
    /// Connects with the first request.
    pub fn new(endpoint: Endpoint, config: Config) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let connections = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_CONNECTION)
            .http2_only(endpoint.transport() == Transport::Grpc)
            .build(connector);
        Self { inner: Arc::new(Inner { endpoint, config, connections, sent: AtomicU64::new(0) }) }
    }

    pub fn endpoint(&self) -> &Endpoint {
        &self.inner.endpoint
    }

    pub async fn send(&self, request: &ExportTraceServiceRequest, compression: Compression) -> Result<Accepted, Error> {
        self.send_payload(&Payload::protobuf(request, compression)?).await
    }

    /// Sends what is encoded and compressed already, byte for byte.
    pub async fn send_payload(&self, payload: &Payload) -> Result<Accepted, Error> {
        let Inner { endpoint, config, .. } = &*self.inner;
        let mut rng = Rng::new(config.jitter_seed, self.inner.sent.fetch_add(1, Ordering::Relaxed));
        let started = Instant::now();
        let mut tries = 0;
        loop {
            tries += 1;
            let failure = match self.try_once(payload).await {
                Ok(accepted) => return Ok(Accepted { tries, ..accepted }),
                Err(failure) => failure,
            };
            let wait = match &failure {
                Failure::Busy { wait, .. } => *wait,
                Failure::Refused(_) | Failure::Unreachable(_) => None,
            };
            let pause = config.retry.pause(tries, wait, &mut rng);
            let late = started.elapsed().saturating_add(pause) > config.retry.max_elapsed;
            let give_up = tries >= config.retry.max_tries || late;
            let endpoint = endpoint.clone();
            match failure {
                Failure::Refused(answer) => return Err(Error::Refused { endpoint, answer }),
                Failure::Busy { answer, .. } if give_up => return Err(Error::Overloaded { endpoint, answer, tries }),
                Failure::Unreachable(reason) if give_up => return Err(Error::Unreachable { endpoint, reason, tries }),
                Failure::Busy { answer, .. } => tracing::debug!(%endpoint, %answer, ?pause, "server is busy"),
                Failure::Unreachable(reason) => tracing::debug!(%endpoint, reason, ?pause, "server is away"),
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn try_once(&self, payload: &Payload) -> Result<Accepted, Failure> {
        let timeout = self.inner.config.timeout;
        let attempt = async {
            match self.inner.endpoint.transport() {
                Transport::Grpc => grpc::export(self, payload).await,
                Transport::Http => http::export(self, payload).await,
            }
        };
        tokio::time::timeout(timeout, attempt).await.unwrap_or_else(|_| {
            let answer = Answer::new("timeout", format!("no answer within {timeout:?}"));
            Err(Failure::Busy { answer, wait: None })
        })
    }

    async fn call(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Failure> {
        self.inner.connections.request(request).await.map_err(|error| Failure::Unreachable(causes(&error)))
    }

    fn timeout(&self) -> Duration {
        self.inner.config.timeout
    }
}

async fn collect(body: Incoming) -> Result<Collected<Bytes>, Failure> {
    Limited::new(body, ANSWER_MAX_BYTES)
        .collect()
        .await
        .map_err(|error| Failure::Unreachable(format!("the answer broke off: {}", causes(&*error))))
}

/// Of hyper's errors only the innermost says what happened.
fn causes(error: &(dyn StdError + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// A request that cannot even be built will not be better next time.
fn unbuildable(error: ::http::Error) -> Failure {
    Failure::Refused(Answer::new("invalid request", error.to_string()))
}

#[cfg(test)]
mod tests;
