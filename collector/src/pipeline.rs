//! From a decoded request to the store, and from pending to decided.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use storage::model::SpanBatch;
use storage::{Appended, Clock, FlushReport, Request, Store};
use tokio::sync::Mutex;

use crate::Sink;
use crate::sampler::{self, AssemblyConfig};

/// How often due traces are looked for.
const TICK: Duration = Duration::from_millis(100);

/// The sink of the receivers, on a store.
#[derive(Debug)]
pub struct Pipeline {
    store: Store,
    clock: Arc<dyn Clock>,
    config: AssemblyConfig,
    /// One round of decisions at a time, so that no trace is proposed twice.
    deciding: Mutex<()>,
}

impl Pipeline {
    pub fn new(store: Store, clock: Arc<dyn Clock>, config: AssemblyConfig) -> crate::Result<Arc<Self>> {
        config.validate()?;
        Ok(Arc::new(Self { store, clock, config, deciding: Mutex::new(()) }))
    }

    /// Decides traces as they ripen, until the store closes.
    pub async fn run(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let _one_round = self.deciding.lock().await;
            match sampler::decide_due(&self.store, &self.config, self.clock.now()).await {
                Ok(_) => {}
                Err(storage::Error::Closed) => return,
                Err(error) => tracing::error!(error = %error, "traces could not be decided and are tried again"),
            }
        }
    }

    /// Decides everything pending and makes it segments.
    pub async fn flush(&self) -> storage::Result<FlushReport> {
        {
            let _one_round = self.deciding.lock().await;
            sampler::decide_all(&self.store, &self.config).await?;
        }
        self.store.flush().await
    }
}

#[async_trait]
impl Sink for Pipeline {
    async fn append(&self, request: Request, batch: SpanBatch) -> Result<Appended, storage::Error> {
        self.store.append(request, batch).await
    }
}
