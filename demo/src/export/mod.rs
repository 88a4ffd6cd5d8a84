//! Spans of the shop as OTLP requests, the way SDK batch exporters send them.
//!
//! Every pod has an exporter of its own. Spans reach it when they end; it sends when it holds 512 of them, or when its
//! timer ticks. So a trace arrives in pieces, children before parents, from many senders, as in life.
//!
//! - [`otlp`]: one batch as protobuf messages
//!
//! Invariants: requests come in order of their sending time; each holds spans of one pod only; every span of the
//! generator is in exactly one request.

mod otlp;

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeSet, BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;

use crate::Error;
use crate::shop::{Config, Generator, InstanceId, Rng, Span, World};

/// `OTEL_BSP_MAX_EXPORT_BATCH_SIZE` of every SDK.
pub const BATCH_SPANS: usize = 512;

/// `OTEL_BSP_SCHEDULE_DELAY`; SDKs wait five seconds, which is long for somebody who looks at a page.
pub const DEFAULT_DELAY: Duration = Duration::from_secs(1);

/// One request of one exporter.
#[derive(Debug, Clone, PartialEq)]
pub struct Export {
    pub send_at_unix_nanos: u64,
    pub instance: InstanceId,
    pub spans: usize,
    pub request: ExportTraceServiceRequest,
}

/// The requests of a shop in order of their sending time. Pure: takes no time and sends nothing.
#[derive(Debug)]
pub struct Requests {
    generator: Generator,
    world: Arc<World>,
    delay_nanos: u64,
    /// Ended or ending, not yet at their exporter.
    running: BinaryHeap<Reverse<Ending>>,
    sequence: u64,
    exporters: Vec<Exporter>,
    /// The next tick of each exporter that holds spans.
    due: BTreeSet<(u64, InstanceId)>,
    ready: VecDeque<Export>,
}

#[derive(Debug)]
struct Exporter {
    /// So that exporters do not all tick together.
    phase: u64,
    due_unix_nanos: u64,
    spans: Vec<Span>,
}

#[derive(Debug)]
struct Ending {
    end_unix_nanos: u64,
    sequence: u64,
    span: Box<Span>,
}

/// All requests of a shop, with one second between the ticks of an exporter.
pub fn requests(config: Config) -> Result<Requests, Error> {
    Requests::new(config, DEFAULT_DELAY)
}

impl Requests {
    pub fn new(config: Config, delay: Duration) -> Result<Self, Error> {
        let mut phases = Rng::new(config.seed, 0xe4_50);
        let generator = Generator::new(config)?;
        let world = Arc::clone(generator.world());
        let exporters = world
            .instances()
            .iter()
            .map(|_| Exporter { phase: phases.next(), due_unix_nanos: 0, spans: Vec::new() })
            .collect();
        let mut requests = Self {
            generator,
            world,
            delay_nanos: 0,
            running: BinaryHeap::new(),
            sequence: 0,
            exporters,
            due: BTreeSet::new(),
            ready: VecDeque::new(),
        };
        requests.set_delay(delay)?;
        Ok(requests)
    }

    /// The time between the ticks of an exporter from now on; batches that have begun keep their tick.
    pub fn set_delay(&mut self, delay: Duration) -> Result<(), Error> {
        let delay_nanos = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
        if !(1_000_000..=3_600_000_000_000).contains(&delay_nanos) {
            return Err(Error::Config("the export delay must be between 1 ms and 1 h".to_owned()));
        }
        self.delay_nanos = delay_nanos;
        Ok(())
    }

    pub const fn world(&self) -> &Arc<World> {
        &self.world
    }

    /// Takes in one more trace and sends what is certain by then: no later trace has a span that ends earlier.
    fn advance(&mut self) -> bool {
        let Some(trace) = self.generator.next() else {
            let had_rest = !self.running.is_empty() || !self.due.is_empty();
            self.settle(u64::MAX);
            return had_rest;
        };
        for span in trace.spans {
            self.running.push(Reverse(Ending {
                end_unix_nanos: span.end_unix_nanos,
                sequence: self.sequence,
                span: Box::new(span),
            }));
            self.sequence += 1;
        }
        // At the end of the stream the next call settles everything.
        if let Some(horizon) = self.generator.next_start_unix_nanos() {
            self.settle(horizon);
        }
        true
    }

    fn settle(&mut self, horizon_unix_nanos: u64) {
        while let Some(Reverse(ending)) = self.running.peek()
            && ending.end_unix_nanos < horizon_unix_nanos
        {
            let end = ending.end_unix_nanos;
            self.tick(end);
            if let Some(Reverse(ending)) = self.running.pop() {
                self.collect(*ending.span, end);
            }
        }
        self.tick(horizon_unix_nanos);
    }

    /// Sends for each exporter whose tick comes before `now`.
    fn tick(&mut self, now_unix_nanos: u64) {
        while let Some((due, instance)) = self.due.first().copied()
            && due < now_unix_nanos
        {
            self.due.pop_first();
            self.send(instance, due);
        }
    }

    fn collect(&mut self, span: Span, now_unix_nanos: u64) {
        let instance = span.instance;
        let Some(exporter) = self.exporters.get_mut(usize::from(instance.0)) else {
            return;
        };
        if exporter.spans.is_empty() {
            let phase = exporter.phase % self.delay_nanos;
            let ticks = now_unix_nanos.saturating_sub(phase) / self.delay_nanos + 1;
            exporter.due_unix_nanos = phase + ticks * self.delay_nanos;
            self.due.insert((exporter.due_unix_nanos, instance));
        }
        exporter.spans.push(span);
        if exporter.spans.len() >= BATCH_SPANS {
            self.due.remove(&(exporter.due_unix_nanos, instance));
            self.send(instance, now_unix_nanos);
        }
    }

    fn send(&mut self, instance: InstanceId, send_at_unix_nanos: u64) {
        let Some(exporter) = self.exporters.get_mut(usize::from(instance.0)) else {
            return;
        };
        let spans = std::mem::take(&mut exporter.spans);
        let count = spans.len();
        let request = otlp::request(&self.world, instance, spans);
        self.ready.push_back(Export { send_at_unix_nanos, instance, spans: count, request });
    }
}

impl Iterator for Requests {
    type Item = Export;

    fn next(&mut self) -> Option<Export> {
        loop {
            if let Some(export) = self.ready.pop_front() {
                return Some(export);
            }
            if !self.advance() {
                return None;
            }
        }
    }
}

impl PartialEq for Ending {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ending {}

impl PartialOrd for Ending {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ending {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.end_unix_nanos, self.sequence).cmp(&(other.end_unix_nanos, other.sequence))
    }
}

#[cfg(test)]
mod tests;
