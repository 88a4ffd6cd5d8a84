//! What the receivers count; the status page and `/metrics` read it.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use storage::model::UnixNanos;

use super::books::Moves;
use super::in_flight::Budget;
use super::status::Answer;
use crate::otlp::{Cause, Reason};

/// A mistake in an exporter's setup that the receiver recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    GrpcOnHttpPort,
    HttpOnGrpcPort,
    WrongPath,
    BadEncoding,
}

impl Hint {
    pub const ALL: [Hint; 4] = [Hint::GrpcOnHttpPort, Hint::HttpOnGrpcPort, Hint::WrongPath, Hint::BadEncoding];

    pub fn kind(self) -> &'static str {
        match self {
            Hint::GrpcOnHttpPort => "grpc_on_http_port",
            Hint::HttpOnGrpcPort => "http_on_grpc_port",
            Hint::WrongPath => "wrong_path",
            Hint::BadEncoding => "bad_encoding",
        }
    }

    pub fn message(self) -> &'static str {
        match self {
            Hint::GrpcOnHttpPort => "an exporter sends OTLP/gRPC to the OTLP/HTTP port; use the gRPC address",
            Hint::HttpOnGrpcPort => "an exporter sends OTLP/HTTP to the OTLP/gRPC port; use the HTTP address",
            Hint::WrongPath => "an exporter sends to a path that is not served; traces go to /v1/traces",
            Hint::BadEncoding => "an exporter sends a content type or compression that is not supported",
        }
    }
}

/// A hint that was met at least once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HintSeen {
    pub hint: Hint,
    pub count: u64,
    pub last_at: UnixNanos,
}

#[derive(Debug, Default)]
struct HintCounter {
    count: AtomicU64,
    last_at: AtomicI64,
}

/// Counters since the start, over both transports; and what is open now.
#[derive(Debug)]
pub struct Metrics {
    /// Requests answered with success, partial success included.
    pub requests: AtomicU64,
    /// Requests that were durable already.
    pub duplicates: AtomicU64,
    /// Spans handed to the sink and acknowledged, those of duplicates excluded.
    pub spans: AtomicU64,
    pub rejected_spans: AtomicU64,
    /// Bytes of acknowledged requests as they came, and inflated.
    pub body_bytes: AtomicU64,
    pub inflated_bytes: AtomicU64,
    pub connections: ConnectionCounts,
    pub(super) moves: Moves,
    in_flight: Budget,
    rejected: [AtomicU64; Reason::ALL.len()],
    warned: [AtomicU64; Cause::ALL.len()],
    answers: [AtomicU64; Answer::ALL.len()],
    /// Unix nanoseconds; 0 before the first.
    last_arrival: AtomicI64,
    hints: [HintCounter; Hint::ALL.len()],
}

/// What became of the connections of a service's listeners.
#[derive(Debug, Default)]
pub struct ConnectionCounts {
    pub accepted: AtomicU64,
    /// Closed for what came over them: other protocols, stalled heads.
    pub broken: AtomicU64,
    /// Could not be accepted, as when the process is out of file descriptors.
    pub accept_failures: AtomicU64,
    open: AtomicU64,
}

impl ConnectionCounts {
    /// Open now.
    pub fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    pub(super) fn accept(&self) -> OpenConnection<'_> {
        add(&self.accepted, 1);
        add(&self.open, 1);
        OpenConnection(self)
    }
}

/// Counts a connection as open until dropped.
#[derive(Debug)]
pub(super) struct OpenConnection<'m>(&'m ConnectionCounts);

impl Drop for OpenConnection<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(crate) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

impl Metrics {
    pub(super) fn new(in_flight: Budget) -> Self {
        Self {
            requests: AtomicU64::new(0),
            duplicates: AtomicU64::new(0),
            spans: AtomicU64::new(0),
            rejected_spans: AtomicU64::new(0),
            body_bytes: AtomicU64::new(0),
            inflated_bytes: AtomicU64::new(0),
            connections: ConnectionCounts::default(),
            moves: Moves::default(),
            in_flight,
            rejected: Default::default(),
            warned: Default::default(),
            answers: Default::default(),
            last_arrival: AtomicI64::new(0),
            hints: Default::default(),
        }
    }

    pub fn rejected(&self, reason: Reason) -> u64 {
        self.rejected.get(reason as usize).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    pub fn warned(&self, cause: Cause) -> u64 {
        self.warned.get(cause as usize).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    pub fn answered(&self, answer: Answer) -> u64 {
        self.answers.get(answer as usize).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    pub fn rejected_by_reason(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.into_iter().map(|reason| (reason, self.rejected(reason)))
    }

    pub fn warned_by_cause(&self) -> impl Iterator<Item = (Cause, u64)> {
        Cause::ALL.into_iter().map(|cause| (cause, self.warned(cause)))
    }

    pub fn refused_by_answer(&self) -> impl Iterator<Item = (Answer, u64)> {
        Answer::ALL.into_iter().map(|answer| (answer, self.answered(answer)))
    }

    /// Requests answered with an error.
    pub fn refused_requests(&self) -> u64 {
        self.refused_by_answer().map(|(_, count)| count).fold(0, u64::saturating_add)
    }

    /// Bytes of bodies being received, decoded or made durable.
    pub fn in_flight_bytes(&self) -> usize {
        self.in_flight.used_bytes()
    }

    /// When the last spans were acknowledged.
    pub fn last_arrival(&self) -> Option<UnixNanos> {
        match self.last_arrival.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(UnixNanos(nanos)),
        }
    }

    pub fn hints(&self) -> Vec<HintSeen> {
        let seen = Hint::ALL.iter().zip(&self.hints).map(|(hint, counter)| HintSeen {
            hint: *hint,
            count: counter.count.load(Ordering::Relaxed),
            last_at: UnixNanos(counter.last_at.load(Ordering::Relaxed)),
        });
        seen.filter(|seen| seen.count > 0).collect()
    }

    pub(super) fn arrived(&self, at: UnixNanos) {
        self.last_arrival.fetch_max(at.0, Ordering::Relaxed);
    }

    pub(super) fn reject(&self, reason: Reason, spans: u64) {
        add(&self.rejected_spans, spans);
        if let Some(counter) = self.rejected.get(reason as usize) {
            add(counter, spans);
        }
    }

    pub(super) fn warn(&self, cause: Cause, count: u64) {
        if let Some(counter) = self.warned.get(cause as usize) {
            add(counter, count);
        }
    }

    pub(super) fn refuse(&self, answer: Answer) {
        if let Some(counter) = self.answers.get(answer as usize) {
            add(counter, 1);
        }
    }

    pub(super) fn hint(&self, hint: Hint, at: UnixNanos) {
        if let Some(counter) = self.hints.get(hint as usize) {
            add(&counter.count, 1);
            counter.last_at.fetch_max(at.0, Ordering::Relaxed);
        }
    }
}
