//! What the pages need of the running server, which the binary implements.

use async_trait::async_trait;
use query::UnixNanos;
use serde::Serialize;

/// The running server, as far as the HTTP API shows and steers it.
#[async_trait]
pub trait ServerControl: Send + Sync + 'static {
    /// A view of the moment; must not block.
    fn status(&self) -> Status;

    /// Makes what is in memory a segment now.
    async fn flush(&self) -> Result<Flushed, ControlError>;

    /// Merges segments until nothing is due; with `to_the_end` every date counts as over.
    async fn compact(&self, to_the_end: bool) -> Result<Compacted, ControlError>;

    /// What retention would take out of the tables now. Segments that rules have not looked at yet are read for it.
    async fn retention(&self) -> Result<Retention, ControlError>;

    /// The body of `/metrics`, in the Prometheus text format.
    fn metrics(&self) -> String;

    /// The sampling policy in force, as the configuration has it.
    fn sampling(&self) -> SamplingPolicy;

    /// Puts another policy in force.
    async fn set_sampling(&self, policy: serde_json::Value) -> Result<SamplingPolicy, ControlError>;

    /// What a policy would have kept of the traces decided last.
    async fn preview_sampling(&self, policy: serde_json::Value) -> Result<serde_json::Value, ControlError>;
}

/// Why the server did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The request cannot be meant; the message says what to write instead.
    #[error("{0}")]
    Refused(String),
    /// Not now; the same request may work later.
    #[error("{0}")]
    Unavailable(String),
    /// A fault of the server.
    #[error("{0}")]
    Internal(String),
}

/// Nanoseconds as decimal text: JSON's numbers end at 2^53.
pub(crate) fn nanos_as_text<S: serde::Serializer>(time: &UnixNanos, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&time.0)
}

fn some_nanos_as_text<S: serde::Serializer>(time: &Option<UnixNanos>, to: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => nanos_as_text(time, to),
        None => to.serialize_none(),
    }
}

#[derive(Debug, Clone, Serialize)]
pub struct Status {
    pub version: String,
    #[serde(serialize_with = "nanos_as_text")]
    pub started_at: UnixNanos,
    #[serde(serialize_with = "nanos_as_text")]
    pub now: UnixNanos,
    /// Replay is done and every listener accepts.
    pub ready: bool,
    pub data_dir: String,
    pub listeners: Vec<Listener>,
    pub ingest: Ingest,
    pub memory: Memory,
    pub wal: Wal,
    pub tables: Vec<TableStatus>,
    pub compaction: Compaction,
    pub retention: Expired,
    pub hints: Vec<Hint>,
    pub alarms: Vec<Alarm>,
}

/// An operation that fails or is slow more often than in the last half hour. More of its traces are kept.
#[derive(Debug, Clone, Serialize)]
pub struct Alarm {
    pub service: String,
    pub operation: String,
    /// When it ends unless it goes on.
    #[serde(serialize_with = "nanos_as_text")]
    pub until: UnixNanos,
}

#[derive(Debug, Clone, Serialize)]
pub struct Listener {
    pub name: String,
    /// The address it really has; `None` if it is off.
    pub address: Option<String>,
    pub state: ListenerState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ListenerState {
    Listening,
    Off,
}

/// Counted since the start of the process.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Ingest {
    pub requests: u64,
    pub spans: u64,
    pub rejected_spans: u64,
    pub refused_requests: u64,
    #[serde(serialize_with = "some_nanos_as_text")]
    pub last_span_at: Option<UnixNanos>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct Memory {
    pub pending_traces: u64,
    pub pending_spans: u64,
    pub buffer_spans: u64,
    pub buffer_bytes: u64,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct Wal {
    pub bytes: u64,
    pub files: u64,
    pub durability: String,
}

/// What decides which traces are kept.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SamplingPolicy {
    /// Rises with every change; stored spans carry it.
    pub revision: i64,
    pub policy: serde_json::Value,
}

#[derive(Debug, Clone, Serialize)]
pub struct TableStatus {
    pub name: String,
    pub rows: u64,
    pub segments: u64,
    pub bytes: u64,
    pub version: i64,
}

/// A mistake that a client seems to make.
#[derive(Debug, Clone, Serialize)]
pub struct Hint {
    /// `grpc_on_http_port`, `http_on_grpc_port`, `wrong_path` or `bad_encoding`.
    pub kind: String,
    pub count: u64,
    #[serde(serialize_with = "nanos_as_text")]
    pub last_at: UnixNanos,
    pub message: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Flushed {
    pub epoch: u64,
    pub spans: u64,
    pub traces: u64,
    pub segments: u64,
    pub ms: f64,
}

/// Counted since the start of the process.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Compaction {
    pub merges: u64,
    pub merged_segments: u64,
    pub read_bytes: u64,
    pub written_bytes: u64,
    pub failures: u64,
    pub last_error: Option<String>,
    /// Files that no table has any more and that queries may still read.
    pub waiting_files: u64,
    pub waiting_bytes: u64,
    pub deleted_files: u64,
    pub deleted_bytes: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Compacted {
    pub merges: u64,
    pub segments_before: u64,
    pub segments_after: u64,
    pub read_bytes: u64,
    pub written_bytes: u64,
    pub ms: f64,
}

/// What retention took out of the tables since the start of the process.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Expired {
    pub segments: u64,
    pub rows: u64,
    pub bytes: u64,
    pub last_error: Option<String>,
}

/// The retention in force, and what it would take out now.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Retention {
    pub max_age_seconds: Option<u64>,
    pub max_bytes: Option<u64>,
    /// Each with its number and what it says, in their order.
    pub rules: Vec<String>,
    pub expiring: Vec<Expiring>,
    /// Segments that rules cannot look at, each with why.
    pub unread: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Expiring {
    pub table: String,
    pub date: Option<String>,
    /// Segments that go, or lose rows. One that loses rows for several reasons is in each of them.
    pub segments: u64,
    pub rows: u64,
    /// Of a segment that loses rows, in proportion to these.
    pub bytes: u64,
    /// The setting that wants it: `max_age`, `max_bytes`, or a rule as in [`Retention::rules`].
    pub why: String,
}
