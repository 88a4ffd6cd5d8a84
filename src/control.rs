//! The running server as the page sees it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use async_trait::async_trait;
use collector::sampler::Revised;
use collector::{Metrics, Pipeline};
use sampling::{Class, Policy, Score};
use storage::model::UnixNanos;
use storage::{Clock, Store};
use ui::{ControlError, Flushed, ListenerState, ServerControl};

use crate::config::Durability;
use crate::policy::PolicyFile;

/// What to do where a policy could not be written.
const NOT_IN_FORCE: &str = "the policy before it stays in force; make room on that disk or make the directory writable, and try again \
                            (SIGHUP reads the configuration again)";

/// Handles on every part that the page shows.
#[derive(Debug)]
pub struct Control {
    pub store: Store,
    pub engine: Arc<query::Engine>,
    pub pipeline: Arc<Pipeline>,
    pub metrics: Arc<Metrics>,
    pub polls: Arc<collector::remote::Metrics>,
    pub clock: Arc<dyn Clock>,
    pub started_at: UnixNanos,
    pub data_dir: String,
    pub durability: Durability,
    pub addresses: Vec<(&'static str, Option<SocketAddr>)>,
    pub ready: Arc<AtomicBool>,
    /// Locked while the policy changes: it is in its file, durably, before it is in force.
    pub policy_file: tokio::sync::Mutex<PolicyFile>,
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
            compaction: ui::Compaction {
                merges: store.compaction.merges,
                merged_segments: store.compaction.merged_segments,
                read_bytes: store.compaction.read_bytes,
                written_bytes: store.compaction.written_bytes,
                failures: store.compaction.failures,
                last_error: store.compaction.last_error,
                waiting_files: store.compaction.waiting_files,
                waiting_bytes: store.compaction.waiting_bytes,
                deleted_files: store.compaction.deleted_files,
                deleted_bytes: store.compaction.deleted_bytes,
            },
            retention: ui::Expired {
                segments: store.retention.expired_segments,
                rows: store.retention.expired_rows,
                bytes: store.retention.expired_bytes,
                last_error: store.retention.last_error,
            },
            hints: self.hints(),
            alarms: self.alarms(),
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

    async fn compact(&self, to_the_end: bool) -> Result<ui::Compacted, ControlError> {
        let report = self.store.compact(to_the_end).await.map_err(|error| match error {
            storage::Error::Busy(why) => ControlError::Unavailable(why),
            storage::Error::Closed => ControlError::Unavailable("the server is shutting down".to_owned()),
            other => ControlError::Internal(format!("{:#}", anyhow::Error::new(other))),
        })?;
        Ok(ui::Compacted {
            merges: report.merges,
            segments_before: report.segments_before,
            segments_after: report.segments_after,
            read_bytes: report.read_bytes,
            written_bytes: report.written_bytes,
            ms: report.elapsed.as_secs_f64() * 1e3,
        })
    }

    async fn retention(&self) -> Result<ui::Retention, ControlError> {
        let (settings, preview) = self.store.expiring().await.map_err(|error| match error {
            storage::Error::Closed => ControlError::Unavailable("the server is shutting down".to_owned()),
            other => ControlError::Internal(format!("{:#}", anyhow::Error::new(other))),
        })?;
        Ok(ui::Retention {
            max_age_seconds: settings.max_age.map(|age| age.as_secs()),
            max_bytes: settings.max_bytes,
            rules: (0..settings.rules.len()).map(|rule| settings.name_of(rule)).collect(),
            expiring: preview.expiring.iter().map(crate::retention::shown).collect(),
            unread: preview.unread.into_iter().map(crate::retention::told).collect(),
        })
    }

    fn sampling(&self) -> ui::SamplingPolicy {
        shown(&self.pipeline.policy())
    }

    async fn set_sampling(&self, policy: serde_json::Value) -> Result<ui::SamplingPolicy, ControlError> {
        let file = self.policy_file.lock().await;
        let revised = self.pipeline.revise_policy(policy_of(policy)?).map_err(refused)?;
        tokio::task::block_in_place(|| file.write(&revised))
            .map_err(|error| ControlError::Unavailable(format!("{error:#}; {NOT_IN_FORCE}")))?;
        self.pipeline.set_policy(Arc::clone(&revised));
        tracing::info!(revision = revised.revision, "another sampling policy is in force");
        Ok(shown(&revised))
    }

    async fn preview_sampling(&self, policy: serde_json::Value) -> Result<serde_json::Value, ControlError> {
        let compared = self.pipeline.preview(policy_of(policy)?).await.map_err(refused)?;
        let mut answer = shown_score(&compared.tried);
        // Beside it, or two requests would be compared that met different traces.
        answer["in_force"] = shown_score(&compared.in_force);
        Ok(answer)
    }

    fn metrics(&self) -> String {
        let revision = self.pipeline.policy().revision;
        let mut page = crate::metrics::prometheus(
            &self.metrics,
            &self.polls,
            &self.store.status(),
            self.pipeline.counts(),
            revision,
        );
        let config = self.engine.config();
        page.push_str(&crate::metrics::trace_index(self.engine.trace_index(), config.trace_index_bytes));
        page.push_str(&crate::metrics::dictionaries(
            self.engine.dictionary_cache_bytes(),
            config.dictionary_cache_bytes,
        ));
        page
    }
}

fn shown(revised: &Revised) -> ui::SamplingPolicy {
    // A policy is plain data, which serializes.
    let policy = serde_json::to_value(&revised.policy).unwrap_or_default();
    ui::SamplingPolicy { revision: revised.revision, policy }
}

fn shown_score(score: &Score) -> serde_json::Value {
    let by_class = |counts: [u64; 5]| -> serde_json::Map<String, serde_json::Value> {
        Class::ALL.iter().zip(counts).map(|(class, count)| (class.word().to_owned(), count.into())).collect()
    };
    serde_json::json!({
        "seen": by_class(score.seen),
        "kept": by_class(score.kept),
        "rare_seen": score.rare_seen,
        "rare_kept": score.rare_kept,
        "offered_cost": score.offered_cost,
        "kept_cost": score.kept_cost,
        "peak_cost_per_second": score.peak_cost_per_second,
    })
}

fn policy_of(policy: serde_json::Value) -> Result<Policy, ControlError> {
    serde_json::from_value(policy)
        .map_err(|error| ControlError::Refused(format!("this is no sampling policy: {error}")))
}

fn refused(error: sampling::Error) -> ControlError {
    ControlError::Refused(error.to_string())
}

impl Control {
    /// Follows a configuration that may have changed; the revision if its policy is another one than the configuration had.
    pub async fn follow(&self, configured: Policy) -> anyhow::Result<Option<i64>> {
        let mut file = self.policy_file.lock().await;
        if !file.is_news(&configured) {
            return Ok(None);
        }
        let revised = self.pipeline.revise_policy(configured.clone())?;
        tokio::task::block_in_place(|| file.configure(configured, &revised)).context(NOT_IN_FORCE)?;
        let revision = revised.revision;
        self.pipeline.set_policy(revised);
        Ok(Some(revision))
    }

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

    fn alarms(&self) -> Vec<ui::Alarm> {
        let alarms = self.pipeline.counts().alarms().into_iter();
        alarms
            .map(|alarm| ui::Alarm {
                service: alarm.service.to_string(),
                operation: alarm.operation.to_string(),
                until: alarm.until,
            })
            .collect()
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
