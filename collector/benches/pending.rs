//! What pending traces take in memory, in the real store with the real sampler: `make bench-pending`.
//!
//! Every byte that is asked of the allocator counts, as it was asked for; what an allocator rounds up to does not.
//!
//! - *Filled*: pending traces of 1, 17 and 57 spans, in requests of 512 spans of one service each, so that a trace is spread
//!   over as many requests as it has services. What they take beyond their decoded bytes, in the store and in the sampler.
//! - *At the bound*: 20 s of traffic that fills half of a small bound, and ten times as much. Time is made up, and stands still
//!   while requests are decoded and flushed.

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use collector::remote::HeadRates;
use collector::sampler::{ActivePolicy, AssemblyConfig, Deciding, Shedding};
use collector::{Durable, Limits, otlp};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use sampling::Policy;
use storage::model::{SpanBatch, UnixNanos};
use storage::{Clock, ContentType, Encoding, Request, Store};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const START_NANOS: i64 = 1_790_000_000_000_000_000;
const SERVICES: usize = 8;
const NAMES: usize = 12;
const SPANS_PER_REQUEST: usize = 512;
/// In each filling.
const SPANS: usize = 200_000;
const GOAL_BYTES_PER_TRACE: f64 = 200.0;
const GOAL_SHARE: f64 = 0.1;
const BOUND_BYTES: usize = 4 << 20;
const TRACES_PER_TICK: usize = 25;
const SPANS_PER_TRACE: usize = 17;
const MIB: f64 = 1_048_576.0;
const TICK_NANOS: i64 = 100_000_000;
const TICKS: usize = 200;
/// Requests that are decided and flushed before anything is measured: what the log and the tables take is there then.
const WARM_UP: usize = 20;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

struct Counting;

fn grow(bytes: usize) {
    let live = LIVE.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(live, Ordering::Relaxed);
}

#[expect(unsafe_code, reason = "an allocator is unsafe by its trait; this one counts and passes everything on")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        grow(size);
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn live() -> f64 {
    LIVE.load(Ordering::Relaxed) as f64
}

#[derive(Debug, Default)]
struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> UnixNanos {
        UnixNanos(START_NANOS + self.0.load(Ordering::Relaxed))
    }
}

#[derive(Debug)]
struct Nowhere;

impl Durable for Nowhere {
    fn replace(&self, _: &[u8]) -> std::io::Result<()> {
        Ok(())
    }
}

/// Traces of the same number of spans, sent by an exporter for each service.
struct Traffic {
    spans_per_trace: usize,
    traces: u64,
    exporters: Vec<Vec<Span>>,
    ready: VecDeque<Bytes>,
}

impl Traffic {
    fn new(spans_per_trace: usize) -> Self {
        Self { spans_per_trace, traces: 0, exporters: vec![Vec::new(); SERVICES], ready: VecDeque::new() }
    }

    fn trace(&mut self, now: UnixNanos) {
        self.traces += 1;
        for at in 0..self.spans_per_trace {
            // A trace of one span is as likely one of any service.
            let service = (at + if self.spans_per_trace == 1 { self.traces as usize } else { 0 }) % SERVICES;
            self.exporters[service].push(span(self.traces, at, now));
            if self.exporters[service].len() == SPANS_PER_REQUEST {
                self.export(service);
            }
        }
    }

    fn export(&mut self, service: usize) {
        let spans = std::mem::take(&mut self.exporters[service]);
        if spans.is_empty() {
            return;
        }
        let attributes = vec![
            text("service.name", format!("service-{service}")),
            text("service.instance.id", format!("5f1c4d0e-9d7b-4b1e-8a6e-00000000000{service}")),
            text("k8s.pod.name", format!("service-{service}-7c9d8b6f5-x2x{service}")),
            text("telemetry.sdk.language", "go".to_owned()),
        ];
        let resource = Some(Resource { attributes, ..Resource::default() });
        let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
        let resource_spans = vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }];
        self.ready.push_back(ExportTraceServiceRequest { resource_spans }.encode_to_vec().into());
    }

    fn export_all(&mut self) {
        (0..SERVICES).for_each(|service| self.export(service));
    }
}

fn text(key: &str, value: String) -> KeyValue {
    attribute(key, Value::StringValue(value))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// As long as those of the ingest benchmark, with values of few and of many kinds.
fn span(trace: u64, at: usize, now: UnixNanos) -> Span {
    let bits = trace.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (at as u64).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let start = now.0.unsigned_abs() - 50_000_000 + bits % 1_000_000;
    let id = |at: usize| (trace << 8 | at as u64).to_be_bytes().to_vec();
    Span {
        trace_id: (u128::from(trace.wrapping_mul(0x94d0_49bb_1331_11eb)) << 64 | u128::from(bits | 1)).to_be_bytes()
            [..8]
            .iter()
            .chain(&trace.to_be_bytes())
            .copied()
            .collect(),
        span_id: id(at + 1),
        // A broad tree, two levels deep.
        parent_span_id: if at == 0 { Vec::new() } else { id(1 + (at - 1) / 8) },
        name: format!("GET /api/v2/resource-{}", at % NAMES),
        kind: if at.is_multiple_of(2) { 2 } else { 3 },
        start_time_unix_nano: start,
        end_time_unix_nano: start + 1_000_000 + bits % 40_000_000,
        attributes: vec![
            text("http.request.method", "GET".to_owned()),
            text("url.path", format!("/api/v2/resource-{}/{}", at % NAMES, bits % 5_000)),
            attribute("http.response.status_code", Value::IntValue(200)),
            text("server.address", format!("service-{}.shop.svc.cluster.local", at % SERVICES)),
            text("user.id", format!("user-{:08x}", bits as u32)),
            attribute("http.response.body.size", Value::IntValue((bits % 100_000) as i64)),
            text("network.protocol.version", "1.1".to_owned()),
            text("user_agent.original", "Go-http-client/1.1".to_owned()),
        ],
        ..Span::default()
    }
}

fn decode(body: &Bytes, arrival: UnixNanos) -> Result<(SpanBatch, u128)> {
    let decoded = otlp::decode(&Limits::default(), ContentType::OtlpProtobuf, Encoding::Identity, body, arrival)?;
    Ok((decoded.batch.ok_or("a request without spans")?, decoded.content_hash))
}

/// A store and a sampler that wait for the clock.
struct Bench {
    store: Store,
    deciding: Deciding,
    clock: Arc<SetClock>,
    _directory: tempfile::TempDir,
}

impl Bench {
    async fn open(memory_bytes: usize, budget: &str) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let clock = Arc::new(SetClock::default());
        let config = storage::Config {
            memory_bytes,
            flush_bytes: memory_bytes / 5,
            flush_age: Duration::from_secs(3_600),
            ..storage::Config::default()
        };
        let decoder = Arc::new(collector::OtlpDecoder::default());
        let store = Store::open(directory.path(), config, Arc::clone(&clock) as _, decoder).await?;
        let policy = Policy { budget: Some(budget.parse()?), ..Policy::default() };
        let active = Arc::new(ActivePolicy::new(policy, 1)?);
        let deciding = Deciding::new(active, HeadRates::default(), Shedding::new(Arc::new(Nowhere), None)?, None)?;
        let mut bench = Self { store, deciding, clock, _directory: directory };
        let mut traffic = Traffic::new(SPANS_PER_TRACE);
        // Ids of their own.
        traffic.traces = u64::from(u32::MAX);
        while traffic.ready.len() < WARM_UP {
            traffic.trace(bench.clock.now());
        }
        while let Some(body) = traffic.ready.pop_front() {
            bench.append(body).await?;
            let records = bench.deciding.all(&bench.store, &AssemblyConfig::default(), &*bench.clock);
            bench.decide(records).await?;
        }
        bench.store.flush().await?;
        Ok(bench)
    }

    async fn decide(&self, records: Vec<Vec<storage::Decision>>) -> Result<usize> {
        let decided = records.iter().map(Vec::len).sum();
        for record in records {
            self.store.decide(record).await?;
        }
        Ok(decided)
    }

    /// Decoded bytes, and whether the store took them.
    async fn append(&self, body: Bytes) -> Result<(usize, bool)> {
        let arrival = self.clock.now();
        let (batch, content_hash) = decode(&body, arrival)?;
        let decoded_bytes = batch.size_bytes();
        let (content_type, encoding) = (ContentType::OtlpProtobuf, Encoding::Identity);
        let request = Request { arrival, content_type, encoding, body, content_hash, judged_by: Bytes::new() };
        match self.store.append(request, batch).await {
            Ok(_) => Ok((decoded_bytes, true)),
            Err(storage::Error::Busy(_)) => Ok((decoded_bytes, false)),
            Err(error) => Err(error.into()),
        }
    }

    async fn tick(&mut self) -> Result<usize> {
        let records = self.deciding.due(&self.store, &AssemblyConfig::default(), &*self.clock);
        self.decide(records).await
    }
}

/// What a batch holds beside what it says that it does.
fn slack() -> Result<()> {
    let mut traffic = Traffic::new(17);
    let now = UnixNanos(START_NANOS);
    (0..SPANS / 17).for_each(|_| traffic.trace(now));
    let wire: usize = traffic.ready.iter().map(Bytes::len).sum();
    let mut batches = Vec::with_capacity(traffic.ready.len());
    let before = live();
    for body in &traffic.ready {
        batches.push(decode(body, now)?.0);
    }
    let held = live() - before;
    let spans: usize = batches.iter().map(SpanBatch::span_count).sum();
    let said: usize = batches.iter().map(SpanBatch::size_bytes).sum();
    let each = |bytes: f64| bytes / spans as f64;
    println!(
        "a span: {:.0} bytes as protobuf, {:.1} decoded by the batch's own count, {:.1} by the allocator's",
        each(wire as f64),
        each(said as f64),
        each(held)
    );
    Ok(())
}

async fn filled(spans_per_trace: usize) -> Result<()> {
    let mut bench = Bench::open(storage::Config::MAX_MEMORY_BYTES, "1 span/s").await?;
    let mut traffic = Traffic::new(spans_per_trace);
    let now = bench.clock.now();
    let traces = SPANS / spans_per_trace;
    let before = live();
    let mut decoded = 0;
    for at in 1..=traces {
        traffic.trace(now);
        if at == traces {
            traffic.export_all();
        }
        while let Some(body) = traffic.ready.pop_front() {
            decoded += bench.append(body).await?.0;
        }
    }
    drop(traffic);
    let status = bench.store.status();
    let in_store = live() - before;
    assert_eq!((status.pending_traces, status.buffer_spans), (traces, 0));
    assert_eq!(bench.tick().await?, 0, "nothing is due");
    let in_all = live() - before;
    let decoded = decoded as f64;
    let each = |bytes: f64| bytes / traces as f64;
    let goal = GOAL_BYTES_PER_TRACE + GOAL_SHARE * each(decoded);
    let over = each(in_all - decoded);
    println!(
        "{traces:>7} traces of {spans_per_trace:>2} spans: decoded {:>6.0} bytes a trace; beyond them {:>4.0} in the store, {:>4.0} in \
         the sampler, together {over:>4.0}, goal {goal:.0} {}; the store's own books: {:.0} beyond",
        each(decoded),
        each(in_store - decoded),
        each(in_all - in_store),
        if over <= goal { "met" } else { "MISSED" },
        each(status.memory_bytes as f64 - decoded),
    );
    bench.store.close().await?;
    Ok(())
}

/// The most that is live between ticks, what is left of it once all is flushed, and the most by the store's books.
async fn at_bound(factor: usize) -> Result<[f64; 3]> {
    // A twentieth of the usual load.
    let budget = format!("{} spans/s", TRACES_PER_TICK * SPANS_PER_TRACE * 10 / 20);
    let mut bench = Bench::open(BOUND_BYTES, &budget).await?;
    let mut traffic = Traffic::new(SPANS_PER_TRACE);
    let before = live();
    let (mut peak, mut books, mut most_pending, mut refused, mut requests, mut decided) = (0.0_f64, 0, 0, 0, 0, 0);
    for tick in 0..TICKS {
        bench.clock.0.fetch_add(TICK_NANOS, Ordering::Relaxed);
        let now = bench.clock.now();
        (0..TRACES_PER_TICK * factor).for_each(|_| traffic.trace(now));
        traffic.export_all();
        // What clients hold is not the store's.
        let mut bodies = std::mem::take(&mut traffic.ready);
        while let Some(body) = bodies.pop_front() {
            requests += 1;
            refused += usize::from(!bench.append(body).await?.1);
        }
        drop(bodies);
        decided += bench.tick().await?;
        let status = bench.store.status();
        peak = peak.max(live() - before);
        (books, most_pending) = (books.max(status.memory_bytes), most_pending.max(status.pending_traces));
        if tick % 10 == 9 {
            // A second of traffic takes less than a flush: time stands still meanwhile.
            bench.store.flush().await?;
        }
    }
    println!(
        "load x{factor:<2}: at most {:.2} MiB live between ticks, {:.2} MiB by the store's books, bound {:.0} MiB; {most_pending} traces \
         pending at most, {decided} decided, {:.1} % of {requests} requests refused",
        peak / MIB,
        books as f64 / MIB,
        BOUND_BYTES as f64 / MIB,
        100.0 * refused as f64 / requests as f64,
    );
    let records = bench.deciding.all(&bench.store, &AssemblyConfig::default(), &*bench.clock);
    bench.decide(records).await?;
    bench.store.flush().await?;
    let left = live() - before;
    let Bench { store, deciding, _directory, .. } = bench;
    drop(deciding);
    let of_sampler = left - (live() - before);
    println!(
        "          when all is decided and flushed {:.2} MiB are left, of which the sampler's {:.2}",
        left / MIB,
        of_sampler / MIB
    );
    store.close().await?;
    Ok([peak, left, books as f64])
}

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    slack()?;
    runtime.block_on(async {
        for spans_per_trace in [1, 17, 57] {
            filled(spans_per_trace).await?;
        }
        let usual = at_bound(1).await?;
        let ten = at_bound(10).await?;
        println!(
            "ten times the load: {:.2} of the live bytes, {:.2} of what was not left behind, {:.2} of the books",
            ten[0] / usual[0],
            (ten[0] - ten[1]) / (usual[0] - usual[1]),
            ten[2] / usual[2]
        );
        let met = if ten[0] - ten[1] <= BOUND_BYTES as f64 { "met" } else { "MISSED" };
        println!("what comes and goes stays within the bound: {met}");
        println!("the most live at any moment: {:.1} MiB", PEAK.load(Ordering::Relaxed) as f64 / MIB);
        Ok(())
    })
}
