//! What was counted and is in no segment yet, as a table.

use std::sync::Arc;

use object_store::memory::InMemory;
use storage::metrics::{BatchCounts, SpanMetrics, WINDOW_NANOS};
use storage::model::{SpanBatchBuilder, SpanFields, SpanId, TraceId, UnixNanos};
use storage::{MemoryRows, Snapshot};

use crate::testing::{TestSource, ask};
use crate::{Config, Engine};

/// One span in each of these windows, of as many nanoseconds as its window's number.
fn counted(windows: i64) -> SpanMetrics {
    let mut builder = SpanBatchBuilder::default();
    let resource = builder.resource(|_| {});
    let origin = builder.origin(resource, "shop", None, None);
    for window in 0..windows {
        builder.append(&SpanFields {
            trace_id: TraceId::from_bytes([1; 16]).unwrap(),
            span_id: SpanId::from_bytes([1; 8]).unwrap(),
            parent_span_id: None,
            origin,
            span_name: "GET /".into(),
            kind: "server",
            status_code: "unset",
            status_message: None,
            start: UnixNanos(window * WINDOW_NANOS + 5),
            duration_nanos: window,
            trace_state: None,
            flags: 0,
        });
    }
    let batch = builder.finish().unwrap();
    let mut metrics = SpanMetrics::default();
    metrics.add(BatchCounts::of(&batch));
    metrics
}

fn engine(windows: i64) -> Engine {
    let mut snapshot = Snapshot::default();
    snapshot.span_metrics.memory = vec![MemoryRows::Lazy(counted(windows).freeze())];
    Engine::new(Config { threads: 2, ..Config::default() }, TestSource::set(snapshot, Arc::new(InMemory::new())))
        .unwrap()
}

#[tokio::test]
async fn counts_in_memory_are_a_table_with_filters_and_lists() {
    let engine = engine(3);
    for (sql, expected) in [
        (
            "SELECT sum(span_count), sum(duration_sum_ns), sum(zero_count), bool_and(exact) FROM span_metrics",
            &["3|3|1|true"][..],
        ),
        ("SELECT duration_max_ns FROM span_metrics WHERE window_start >= '1970-01-01T00:00:20Z'", &["2"]),
        (
            "SELECT index, sum(count) FROM (SELECT unnest(bucket_indexes) AS index, unnest(bucket_counts) AS count \
             FROM span_metrics) GROUP BY index ORDER BY index",
            &["-1|1", "31|1"],
        ),
        ("SELECT count(*) FROM edge_metrics", &["0"]),
        ("SELECT count(*) FROM paths", &["0"]),
    ] {
        assert_eq!(ask(&engine, sql).await.unwrap(), expected, "{sql}");
    }
}

#[tokio::test]
async fn many_rows_in_memory_are_cut_into_batches_and_each_is_there_once() {
    let engine = engine(20_000);
    let sql = "SELECT count(*), count(DISTINCT window_start), sum(duration_sum_ns) FROM span_metrics";
    assert_eq!(ask(&engine, sql).await.unwrap(), ["20000|20000|199990000"]);
}
