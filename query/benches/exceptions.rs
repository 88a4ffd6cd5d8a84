//! What it costs to find exceptions by their column, and among all events:
//! `cargo bench --package query --features testing --bench exceptions` (SPANS=1000000 RUNS=20 EXCEPTIONS=100).
//!
//! One segment in memory. One span in EXCEPTIONS has an exception, one in five another event.

mod measure;

use storage::model::{SpanBatchBuilder, SpanFields, SpanId, TraceId, UnixNanos};
use storage::rows::SpanRows;
use storage::schema::Table;

use self::measure::{Error, cost, random};

const CHUNK: u64 = 50_000;

/// Spans of a hundred operations, one after the other, each by start.
fn batch(first: u64, all: u64, exceptions: u64) -> Result<arrow::array::RecordBatch, Error> {
    let mut builder = SpanBatchBuilder::default();
    for span in first..all.min(first + CHUNK) {
        let operation = span * 100 / all;
        let resource = builder.resource(|to| to.push_text("service.version", "1.4.2"));
        let origin = builder.origin(resource, &format!("service-{:02}", operation / 5), Some("bench"), None);
        let start = 1_767_225_600_000_000_000 + (span % (all / 100) * 100) as i64 * 3_600_000_000;
        builder.attributes().push_text("http.route", &format!("/api/v1/resource{}/{{id}}", random(span, 2) % 50));
        if random(span, 3).is_multiple_of(5) {
            builder.event(UnixNanos(start), "cache miss", |to| to.push_int("bytes", (random(span, 4) % 5_000) as i64));
        }
        if random(span, 5).is_multiple_of(exceptions) {
            builder.event(UnixNanos(start + 5), "exception", |to| {
                to.push_text("exception.type", &format!("com.example.shop.Failure{}Exception", random(span, 6) % 12));
                to.push_text("exception.message", &format!("order {} was refused", random(span, 7) % 5_000));
            });
        }
        builder.append(&SpanFields {
            trace_id: TraceId::from_bytes((u128::from(random(span, 8)) << 64 | u128::from(span + 1)).to_be_bytes())?,
            span_id: SpanId::from_bytes((span + 1).to_be_bytes())?,
            parent_span_id: None,
            origin,
            span_name: format!("operation-{}", operation % 5).as_str().into(),
            kind: "server",
            status_code: "unset",
            status_message: None,
            start: UnixNanos(start),
            duration_nanos: 1_000 + (random(span, 9) % 10_000_000) as i64,
            trace_state: None,
            flags: 1,
        });
    }
    Ok(SpanRows::underived(builder.finish()?).record_batch()?)
}

const COLUMNS: &str = "trace_id, span_id, start_time, service_name, span_name";

fn main() -> Result<(), Error> {
    let setting = |name: &str, default: u64| std::env::var(name).ok().map_or(Ok(default), |text| text.parse());
    let (spans, runs) = (setting("SPANS", 1_000_000)?, setting("RUNS", 20)? as usize);
    let exceptions = setting("EXCEPTIONS", 100)?.max(1);
    let among_events = format!("(SELECT {COLUMNS}, unnest(events) AS e FROM spans) WHERE e['name'] = 'exception'");
    let queries = [
        (
            "newest 20 with an exception",
            format!("SELECT {COLUMNS} FROM {among_events} ORDER BY start_time DESC LIMIT 20"),
            format!("SELECT {COLUMNS} FROM spans WHERE exception_type IS NOT NULL ORDER BY start_time DESC LIMIT 20"),
        ),
        (
            "count by type",
            format!("SELECT e['attributes']['exception.type'] AS t, count(*) FROM {among_events} GROUP BY 1"),
            "SELECT exception_type, count(*) FROM spans WHERE exception_type IS NOT NULL GROUP BY 1".to_owned(),
        ),
        (
            "newest 20 of a type",
            format!(
                "SELECT {COLUMNS} FROM {among_events} AND e['attributes']['exception.type'] = \
                 'com.example.shop.Failure3Exception' ORDER BY start_time DESC LIMIT 20"
            ),
            format!(
                "SELECT {COLUMNS} FROM spans WHERE exception_type = 'com.example.shop.Failure3Exception' \
                 ORDER BY start_time DESC LIMIT 20"
            ),
        ),
        (
            "none of a type",
            format!("SELECT {COLUMNS} FROM {among_events} AND e['attributes']['exception.type'] = 'none' LIMIT 20"),
            format!("SELECT {COLUMNS} FROM spans WHERE exception_type = 'none' LIMIT 20"),
        ),
    ];
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let batches = (0..spans).step_by(CHUNK as usize).map(|first| batch(first, spans, exceptions));
        let (engine, bytes) = measure::engine(Table::Spans.schema(), batches, spans, 1 << 20, &[]).await?;
        println!("{spans} spans, one exception in {exceptions}: {:.1} bytes a span", bytes as f64 / spans as f64);
        println!("{:28} {:>30} {:>30} {:>14}", "", "events: p50 ms, CPU ms, kB", "exception_type", "ratio of CPU");
        for (name, by_events, by_column) in queries {
            let (events, column) =
                (cost(&engine, &by_events, runs.div_ceil(4)).await?, cost(&engine, &by_column, runs).await?);
            assert_eq!(events.rows, column.rows, "{by_column}");
            println!(
                "{name:28} {:10.2} {:9.1} {:9.0} {:10.2} {:9.1} {:9.0} {:14.1}",
                events.p50_ms,
                events.cpu_ms,
                events.bytes as f64 / 1e3,
                column.p50_ms,
                column.cpu_ms,
                column.bytes as f64 / 1e3,
                events.cpu_ms / column.cpu_ms.max(0.05),
            );
        }
        Ok(())
    })
}
