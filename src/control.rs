//! The running server as the page sees it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use collector::{Metrics, Pipeline};
use storage::model::UnixNanos;
use storage::{Clock, Store};
use ui::{ControlError, Flushed, ListenerState, ServerControl};

use crate::config::Durability;

/// Handles on every part that the page shows.
#[derive(Debug)]
pub struct Control {
    pub store: Store,
    pub pipeline: Arc<Pipeline>,
    pub metrics: Arc<Metrics>,
    pub clock: Arc<dyn Clock>,
    pub started_at: UnixNanos,
    pub data_dir: String,
    pub durability: Durability,
    pub addresses: Vec<(&'static str, Option<SocketAddr>)>,
    pub ready: Arc<AtomicBool>,
}

#[async_trait]
impl ServerControl for Control {
    fn status(&self) -> ui::Status {
        let store = self.store.status();
        ui::Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.started_at,
            now: self.clock.now(),
            ready: self.ready.load(Ordering::Relaxed),
            data_dir: self.data_dir.clone(),
            listeners: self
                .addresses
                .iter()
                .copied()
                .chain(crate::listeners::LATER.map(|name| (name, None)))
                .map(|(name, address)| ui::Listener {
                    name: name.to_owned(),
                    address: address.map(|address| address.to_string()),
                    state: if address.is_some() { ListenerState::Listening } else { ListenerState::Off },
                })
                .collect(),
            ingest: self.ingest(),
            memory: ui::Memory {
                pending_traces: store.pending_traces as u64,
                pending_spans: store.pending_spans as u64,
                buffer_spans: store.buffer_spans as u64,
                buffer_bytes: store.memory_bytes as u64,
            },
            wal: ui::Wal {
                bytes: store.wal.bytes,
                files: store.wal.files,
                durability: match self.durability {
                    Durability::Fsync => "fsync",
                    Durability::Os => "os",
                }
                .to_owned(),
            },
            tables: store
                .tables
                .iter()
                .map(|table| ui::TableStatus {
                    name: table.table.name().to_owned(),
                    rows: table.rows,
                    segments: table.segments as u64,
                    bytes: table.bytes,
                    version: table.version,
                })
                .collect(),
            hints: self.hints(),
        }
    }

    async fn flush(&self) -> Result<Flushed, ControlError> {
        let report = self.pipeline.flush().await.map_err(|error| match error {
            storage::Error::Busy(why) => ControlError::Unavailable(why),
            storage::Error::Closed => ControlError::Unavailable("the server is shutting down".to_owned()),
            other => ControlError::Internal(other.to_string()),
        })?;
        Ok(Flushed {
            epoch: report.epoch,
            spans: report.spans,
            traces: report.traces,
            segments: report.segments as u64,
            ms: report.elapsed.as_secs_f64() * 1e3,
        })
    }

    fn metrics(&self) -> String {
        crate::metrics::prometheus(&self.metrics, &self.store.status())
    }
}

impl Control {
    fn ingest(&self) -> ui::Ingest {
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        ui::Ingest {
            requests: count(&self.metrics.requests),
            spans: count(&self.metrics.spans),
            rejected_spans: count(&self.metrics.rejected_spans),
            refused_requests: self.metrics.refused_requests(),
            last_span_at: self.metrics.last_arrival(),
        }
    }

    fn hints(&self) -> Vec<ui::Hint> {
        let seen = self.metrics.hints().into_iter();
        seen.map(|seen| ui::Hint {
            kind: seen.hint.kind().to_owned(),
            count: seen.count,
            last_at: seen.last_at,
            message: seen.hint.message().to_owned(),
        })
        .collect()
    }
}
