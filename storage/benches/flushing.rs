//! What a flush costs a span: `cargo bench -p storage --bench flushing` (SPANS=150000 ROUNDS=15 EXCEPTIONS=100).
//!
//! One span in EXCEPTIONS has an exception among its events; 0: none. Prints the least and the median CPU time of the process
//! while segments are written and committed, and bytes a span: of the files of `spans`, and of its column `exception_type`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parquet::file::reader::{FileReader, SerializedFileReader};
use storage::model::{SpanBatch, SpanBatchBuilder, SpanFields, SpanId, TraceId, UnixNanos};
use storage::{ContentType, Decision, Decoder, Encoding, Request, Store, SystemClock};

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Scattered, and the same every time.
fn random(span: u64, of: u64) -> u64 {
    let mut bits = (span + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (of + 1).wrapping_mul(0xd6e8_feb8_6659_fd93);
    bits ^= bits >> 32;
    bits = bits.wrapping_mul(0xd6e8_feb8_6659_fd93);
    bits ^ (bits >> 32)
}

const REQUEST_SPANS: u64 = 1_000;
const TRACE_SPANS: u64 = 10;

/// Requests are not read again here.
#[derive(Debug)]
struct NoDecoder;

impl Decoder for NoDecoder {
    fn decode(&self, _: &Request) -> Result<SpanBatch, Failure> {
        Ok(SpanBatch::default())
    }
}

fn trace_id(span: u64) -> Result<TraceId, Failure> {
    let trace = span / TRACE_SPANS;
    Ok(TraceId::from_bytes((u128::from(random(trace, 0)) << 64 | u128::from(trace + 1)).to_be_bytes())?)
}

fn batch(first: u64, exceptions: u64) -> Result<SpanBatch, Failure> {
    let mut builder = SpanBatchBuilder::default();
    let resource = builder.resource(|to| to.push_text("service.version", "1.4.2"));
    let mut origins = Vec::new();
    for service in 0..10 {
        origins.push(builder.origin(resource, &format!("service-{service}"), Some("bench"), None));
    }
    for span in first..first + REQUEST_SPANS {
        let pick = |of: u64, count: u64| random(span, of) % count;
        let mut attributes = builder.attributes();
        attributes.push_text("http.route", &format!("/api/v1/resource{}/{{id}}", pick(2, 50)));
        attributes.push_int("http.response.status_code", [200, 200, 201, 404, 500][pick(3, 5) as usize]);
        attributes.push_text("user.id", &format!("user-{:06}", pick(4, 20_000)));
        attributes.push_text("server.address", &format!("10.0.{}.{}", pick(5, 4), pick(6, 200)));
        let start = 1_767_225_600_000_000_000 + (span * 20_000) as i64;
        if pick(7, 10) == 0 {
            builder.event(UnixNanos(start), "cache miss", |to| to.push_int("bytes", 1_000));
        }
        if exceptions > 0 && pick(8, exceptions) == 0 {
            builder.event(UnixNanos(start + 5), "exception", |to| {
                to.push_text("exception.type", &format!("com.example.shop.Failure{}Exception", pick(9, 12)));
                to.push_text("exception.message", &format!("order {} was refused", pick(10, 5_000)));
            });
        }
        let within = span % TRACE_SPANS;
        builder.append(&SpanFields {
            trace_id: trace_id(span)?,
            span_id: SpanId::from_bytes((random(span, 1) | 1).to_be_bytes())?,
            parent_span_id: match within {
                0 => None,
                _ => Some(SpanId::from_bytes((random(span - within, 1) | 1).to_be_bytes())?),
            },
            origin: origins[(within.min(1) * (1 + pick(11, 9))) as usize],
            span_name: ["GET /", "SELECT", "charge", "reserve"][pick(12, 4) as usize].into(),
            kind: "server",
            status_code: if pick(13, 100) == 0 { "error" } else { "unset" },
            status_message: None,
            start: UnixNanos(start),
            duration_nanos: 1_000 + pick(14, 10_000_000) as i64,
            trace_state: None,
            flags: 1,
        });
    }
    Ok(builder.finish()?)
}

/// Bytes of the files below, and of their column `exception_type`.
fn footprint(directory: &Path) -> Result<(u64, u64), Failure> {
    let (mut bytes, mut of_column) = (0, 0);
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("_delta_log") {
            let below = footprint(&path)?;
            (bytes, of_column) = (bytes + below.0, of_column + below.1);
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            let file = SerializedFileReader::new(std::fs::File::open(&path)?)?;
            bytes += path.metadata()?.len();
            for group in file.metadata().row_groups() {
                let columns = group.columns().iter().filter(|column| column.column_path().string() == "exception_type");
                of_column += columns.map(|column| column.compressed_size().unsigned_abs()).sum::<u64>();
            }
        }
    }
    Ok((bytes, of_column))
}

fn main() -> Result<(), Failure> {
    let (spans, rounds, exceptions) = (setting("SPANS", 150_000), setting("ROUNDS", 15), setting("EXCEPTIONS", 100));
    let directory = tempfile::tempdir()?;
    let config = storage::Config {
        memory_bytes: storage::Config::MAX_MEMORY_BYTES,
        flush_bytes: storage::Config::MAX_MEMORY_BYTES,
        flush_age: Duration::from_secs(3_600),
        compaction: storage::CompactSettings { enabled: false, ..Default::default() },
        ..storage::Config::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut taken = runtime.block_on(async {
        let store = Store::open(directory.path(), config, Arc::new(SystemClock), Arc::new(NoDecoder)).await?;
        let mut taken = Vec::new();
        for round in 0..rounds {
            let all = round * spans..(round + 1) * spans;
            for first in all.clone().step_by(REQUEST_SPANS as usize) {
                let request = Request {
                    arrival: UnixNanos(1 + round as i64),
                    content_type: ContentType::OtlpProtobuf,
                    encoding: Encoding::Identity,
                    body: Bytes::new(),
                    content_hash: u128::from(first),
                    judged_by: Bytes::new(),
                };
                store.append(request, batch(first, exceptions)?).await?;
            }
            let decisions = all.step_by(TRACE_SPANS as usize).map(|span| Ok(Decision::keep_all(trace_id(span)?)));
            store.decide(decisions.collect::<Result<_, Failure>>()?).await?;
            let before = cpu_time();
            store.flush().await?;
            taken.push((cpu_time() - before).as_secs_f64() * 1e9 / spans as f64);
        }
        store.close().await?;
        Ok::<_, Failure>(taken)
    })?;
    taken.sort_by(f64::total_cmp);
    let (bytes, of_column) = footprint(&directory.path().join("tables/spans"))?;
    let all = (spans * rounds) as f64;
    println!(
        "one exception in {exceptions}: {:.0} ns of CPU a span at least, {:.0} in the median of {rounds} flushes; {:.3} bytes a span, \
         {:.4} of it exception_type",
        taken.first().copied().unwrap_or_default(),
        taken.get(taken.len() / 2).copied().unwrap_or_default(),
        bytes as f64 / all,
        of_column as f64 / all
    );
    Ok(())
}
