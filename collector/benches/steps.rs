//! What each step of ingest costs a span, in one process: `make bench-steps CORPUS=FILE`.
//!
//! The file holds `(u32 little-endian length, ExportTraceServiceRequest)` repeated. Prints CPU time of the whole process,
//! so that threads behind a step count.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use collector::{Limits, otlp};
use storage::model::UnixNanos;
use storage::{Clock, ContentType, Decision, Encoding, Request, Store, SystemClock};

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn requests(file: &str) -> std::io::Result<Vec<Bytes>> {
    let mut rest = Bytes::from(std::fs::read(file)?);
    let mut requests = Vec::new();
    while let Some(length) = rest.first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        requests.push(rest.slice(4..4 + length));
        rest = rest.slice(4 + length..);
    }
    Ok(requests)
}

struct Steps {
    before: Duration,
}

impl Steps {
    fn say(&mut self, step: &str, spans: usize) {
        let now = cpu_time();
        println!("{step:<10} {:>7.0} ns a span", (now - self.before).as_secs_f64() * 1e9 / spans as f64);
        self.before = cpu_time();
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Ok(file) = std::env::var("CORPUS") else {
        println!("CORPUS names no file of requests: nothing is measured");
        return Ok(());
    };
    let requests = requests(&file)?;
    let limits = Limits::default();
    let arrival = SystemClock.now();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let decode = |body: &Bytes| otlp::decode(&limits, ContentType::OtlpProtobuf, Encoding::Identity, body, arrival);

    let mut steps = Steps { before: cpu_time() };
    let mut spans = 0;
    let mut batch_bytes = 0;
    for body in &requests {
        if let Some(batch) = decode(body)?.batch {
            spans += batch.span_count();
            batch_bytes += batch.size_bytes();
        }
    }
    steps.say("decode", spans);
    println!("{:<10} {:>7.0} bytes a span", "memory", batch_bytes as f64 / spans as f64);

    let directory = tempfile::tempdir()?;
    let config = storage::Config {
        memory_bytes: storage::Config::MAX_MEMORY_BYTES,
        flush_bytes: storage::Config::MAX_MEMORY_BYTES,
        flush_age: Duration::from_secs(3_600),
        ..storage::Config::default()
    };
    runtime.block_on(async {
        let decoder = Arc::new(collector::OtlpDecoder::default());
        let store = Store::open(directory.path(), config, Arc::new(SystemClock), decoder).await?;
        for (number, requests) in requests.chunks(200).enumerate() {
            let mut decoded = Vec::new();
            let mut of_chunk = 0;
            for body in requests {
                let decoded_request = decode(body)?;
                let Some(batch) = decoded_request.batch else { continue };
                of_chunk += batch.span_count();
                decoded.push((body, decoded_request.content_hash, batch));
            }
            steps.before = cpu_time();
            for (body, content_hash, batch) in decoded {
                let request = Request {
                    arrival: UnixNanos(arrival.0 + number as i64),
                    content_type: ContentType::OtlpProtobuf,
                    encoding: Encoding::Identity,
                    body: body.clone(),
                    content_hash,
                    judged_by: Bytes::new(),
                };
                store.append(request, batch).await?;
            }
            steps.say("append", of_chunk);
            let mut pending = Vec::new();
            store.pending(|_, id, _| pending.push(*id));
            store.decide(pending.into_iter().map(Decision::keep_all).collect()).await?;
            steps.say("decide", of_chunk);
            store.flush().await?;
            steps.say("flush", of_chunk);
        }
        for table in store.status().tables {
            println!("{:<10} {:>7.1} bytes a span", table.table.name(), table.bytes as f64 / spans as f64);
        }
        store.close().await?;
        Ok::<(), Box<dyn std::error::Error>>(())
    })?;
    println!("{spans} spans, {} requests", requests.len());
    Ok(())
}
