//! What counting costs a span, beside what is done with it anyway: `cargo bench -p storage --no-default-features --bench counting`.
//!
//! Traces of 14 spans over seven services, each of which sends its spans in requests of 512, as SDKs do; and all of them in
//! requests of 8,192, as collectors do. Prints CPU time.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use storage::derive::{TraceSpans, Verdict, derive, derive_counted};
use storage::metrics::{BatchCounts, EdgeMetrics, KnownPaths, SpanMetrics, Tally};
use storage::model::{OriginId, SpanBatch, SpanBatchBuilder, SpanFields, SpanId, TraceId, UnixNanos};
use storage::rows::SpanRef;

const SERVICES: [&str; 7] = ["front", "cart", "checkout", "stock", "payment", "mail", "ads"];
/// Service, operation and parent of a trace's spans.
const SPANS: [(usize, &str, Option<usize>); 14] = [
    (0, "GET /checkout", None),
    (0, "render", Some(0)),
    (0, "POST cart", Some(0)),
    (1, "Cart/Get", Some(2)),
    (1, "SELECT carts", Some(3)),
    (0, "POST checkout", Some(0)),
    (2, "Checkout/Place", Some(5)),
    (2, "stock", Some(6)),
    (3, "Stock/Reserve", Some(7)),
    (3, "UPDATE stock", Some(8)),
    (2, "pay", Some(6)),
    (4, "Payment/Charge", Some(10)),
    (5, "Mail/Send", Some(6)),
    (6, "Ads/List", Some(0)),
];
const TRACES: usize = 40_000;

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Numbers without an order, always the same.
fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (number ^ (number >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ (number >> 32)
}

fn trace_id(trace: usize) -> TraceId {
    let mut bytes = [1; 16];
    bytes[..8].copy_from_slice(&mixed(trace as u64).to_be_bytes());
    TraceId::from_bytes(bytes).unwrap_or_else(|_| std::process::abort())
}

fn push(builder: &mut SpanBatchBuilder, origins: &[OriginId], trace: usize, at: usize) {
    let (service, name, parent) = SPANS[at];
    let id = |at: usize| SpanId::from_bytes((at as u64 + 1).to_be_bytes()).unwrap_or_else(|_| std::process::abort());
    let random = mixed((trace * SPANS.len() + at) as u64);
    builder.attributes().push_int("http.status_code", (random % 5) as i64);
    builder.append(&SpanFields {
        trace_id: trace_id(trace),
        span_id: id(at),
        parent_span_id: parent.map(id),
        origin: origins[service],
        span_name: name.into(),
        kind: "server",
        status_code: if random.is_multiple_of(100) { "error" } else { "unset" },
        status_message: None,
        // 10,000 traces a second.
        start: UnixNanos(1_800_000_000_000_000_000 + trace as i64 * 100_000),
        duration_nanos: 1_000_000 + (random % (1 << (12 + random % 13))) as i64,
        trace_state: None,
        flags: 1,
    });
}

/// Requests of `request_spans` spans, of one service each or of all, and where each trace's spans are.
fn requests(request_spans: usize, is_by_service: bool) -> (Vec<Arc<SpanBatch>>, Vec<Vec<SpanRef>>) {
    let mut waiting: Vec<Vec<(usize, usize)>> = vec![Vec::new(); SERVICES.len()];
    let mut batches = Vec::new();
    let mut traces = vec![Vec::new(); TRACES];
    let mut send = |spans: &mut Vec<(usize, usize)>| {
        let mut builder = SpanBatchBuilder::default();
        let origins = SERVICES.map(|service| {
            let resource = builder.resource(|to| to.push_text("service.instance.id", service));
            builder.origin(resource, service, Some("bench"), None)
        });
        for (row, (trace, at)) in spans.drain(..).enumerate() {
            push(&mut builder, &origins, trace, at);
            traces[trace].push(SpanRef { batch: batches.len() as u32, row: row as u32 });
        }
        batches.extend(builder.finish().map(Arc::new));
    };
    for trace in 0..TRACES {
        for (at, (service, ..)) in SPANS.iter().enumerate() {
            let spans = &mut waiting[if is_by_service { *service } else { 0 }];
            spans.push((trace, at));
            if spans.len() == request_spans {
                send(spans);
            }
        }
    }
    waiting.iter_mut().filter(|spans| !spans.is_empty()).for_each(send);
    (batches, traces)
}

fn main() {
    for (request_spans, is_by_service) in [(512, true), (8_192, false), (20, true)] {
        let (batches, traces) = requests(request_spans, is_by_service);
        let decided: Vec<TraceSpans> = traces
            .into_iter()
            .enumerate()
            .map(|(trace, spans)| {
                let verdict = Verdict { keep: false, ..Verdict::pending() };
                TraceSpans { trace_id: trace_id(trace), spans, verdict, late: None }
            })
            .collect();
        println!(
            "requests of {request_spans} spans, {}",
            if is_by_service { "a service each" } else { "all services" }
        );
        // The least of some rounds: what the machine does beside comes and goes.
        let mut least = [f64::MAX; 5];
        let mut said = String::new();
        for _ in 0..6 {
            let timed = |least: &mut f64, work: &mut dyn FnMut()| {
                let before = cpu_time();
                work();
                let nanos = (cpu_time() - before).as_secs_f64() * 1e9 / (TRACES * SPANS.len()) as f64;
                *least = least.min(nanos);
            };
            let mut counts = Vec::with_capacity(batches.len());
            timed(&mut least[0], &mut || counts.extend(batches.iter().map(|batch| BatchCounts::of(batch))));
            let mut metrics = SpanMetrics::default();
            timed(&mut least[1], &mut || counts.drain(..).for_each(|counts| metrics.add(counts)));
            timed(&mut least[4], &mut || drop(black_box(metrics.view().merged())));
            let (mut edges, mut known) = (EdgeMetrics::default(), KnownPaths::new(100_000));
            // As many traces as a tick decides.
            for is_counted in [false, true] {
                let mut ticks: Vec<_> = decided.chunks(1_000).map(<[TraceSpans]>::to_vec).collect();
                timed(&mut least[2 + usize::from(is_counted)], &mut || {
                    for tick in ticks.drain(..) {
                        let batches = batches.clone();
                        let derived = if is_counted {
                            let mut tally = Tally::new(&mut known);
                            let derived = derive_counted(batches, tick, &mut tally);
                            edges.add(tally.finish().0);
                            derived
                        } else {
                            derive(batches, tick)
                        };
                        black_box(derived.is_ok());
                    }
                });
            }
            said = format!("{} and {} rows, {} paths", metrics.len(), edges.len(), known.len());
        }
        let [count, merge, derived, tallied, flush] = least;
        println!(
            "  count {count:.1}, add under the lock {merge:.1}, merge for the flush {flush:.1}, edges and paths {:.1} (derive {derived:.0}) ns a span; {said}",
            tallied - derived
        );
    }
}
