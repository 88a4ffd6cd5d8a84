//! Where a trace began, and with which probability it was sampled there.

use std::sync::{Mutex, PoisonError};

use storage::model::{Entry, ResourceId, SpanBatch, TextId, UnixNanos, ValueType};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::remote::{self, Ledger};

const INSTANCE: &[u8] = b"service.instance.id";

/// Where a trace began, as far as its spans say.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    pub service: &'a str,
    /// The name of the root; without one, of the span that stands for it.
    pub operation: &'a str,
    pub has_root: bool,
    /// Of the process that the root comes from: its `service.instance.id`, or else all of its resource.
    pub instance: u64,
    /// Spans of the root's service.
    pub own_spans: u32,
    /// The probability that it was sampled with, good enough for rates.
    pub likely_head: f64,
}

/// What is known of head sampling by those who told SDKs of it.
pub trait Heads {
    /// With which probability a trace was sampled that began there and then.
    fn of(&self, service: &str, operation: &str, start: UnixNanos) -> remote::Head;

    /// Whether a trace that began there and then may have been sampled with less than 1.
    fn may_thin(&self, service: &str, start: UnixNanos) -> bool;
}

impl Heads for Mutex<Ledger> {
    fn of(&self, service: &str, operation: &str, start: UnixNanos) -> remote::Head {
        self.lock().unwrap_or_else(PoisonError::into_inner).head(service, operation, start)
    }

    fn may_thin(&self, service: &str, start: UnixNanos) -> bool {
        self.lock().unwrap_or_else(PoisonError::into_inner).may_thin(service, start)
    }
}

/// The probability that a trace without `th` was sampled with, if it is known, and one that is near it.
pub fn sampled(heads: &dyn Heads, source: &Source<'_>, start: UnixNanos) -> (Option<f64>, f64) {
    if !source.has_root {
        // Its root may have been elsewhere, where nothing was told. If it was here, nobody knows which it was.
        return ((!heads.may_thin(source.service, start)).then_some(1.0), 1.0);
    }
    match heads.of(source.service, source.operation, start) {
        remote::Head::Unserved => (Some(1.0), 1.0),
        remote::Head::Known(probability) => (Some(probability), probability),
        remote::Head::Between { lowest, highest } => (None, (lowest * highest).sqrt()),
        remote::Head::Forgotten => (None, 1.0),
    }
}

/// Tells processes apart.
pub fn instance(batch: &SpanBatch, resource: ResourceId) -> u64 {
    let texts = batch.texts();
    let value = |entry: &Entry| match entry.key.value_type() {
        ValueType::Int | ValueType::Float => xxh3_64(batch.word_bytes(entry.value)),
        ValueType::Bool => u64::from(entry.value.0),
        ValueType::Text | ValueType::Json => xxh3_64(texts.bytes(TextId(entry.value.0))),
    };
    let entries = batch.resource(resource);
    if let Some(id) = entries.iter().find(|entry| texts.bytes(entry.key.key()) == INSTANCE) {
        return value(id);
    }
    let mut all = Xxh3::new();
    for entry in entries {
        all.update(&xxh3_64(texts.bytes(entry.key.key())).to_le_bytes());
        all.update(&value(entry).to_le_bytes());
    }
    all.digest()
}
