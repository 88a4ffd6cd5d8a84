//! `/metrics`: the pipeline's counters in the Prometheus text format.

use std::fmt::Write;
use std::sync::atomic::Ordering;

use collector::Metrics;
use storage::StoreStatus;

/// Name, type, help, value.
type Sample = (&'static str, &'static str, &'static str, f64);

pub fn prometheus(metrics: &Metrics, store: &StoreStatus) -> String {
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed) as f64;
    let samples: [Sample; 16] = [
        ("spanhouse_requests_total", "counter", "Requests answered with success.", count(&metrics.requests)),
        ("spanhouse_duplicate_requests_total", "counter", "Requests stored before.", count(&metrics.duplicates)),
        ("spanhouse_refused_requests_total", "counter", "Requests refused.", metrics.refused_requests() as f64),
        ("spanhouse_spans_total", "counter", "Spans acknowledged.", count(&metrics.spans)),
        ("spanhouse_rejected_spans_total", "counter", "Spans rejected.", count(&metrics.rejected_spans)),
        ("spanhouse_body_bytes_total", "counter", "Bytes of acknowledged requests.", count(&metrics.body_bytes)),
        (
            "spanhouse_inflated_bytes_total",
            "counter",
            "Bytes of acknowledged requests, inflated.",
            count(&metrics.inflated_bytes),
        ),
        ("spanhouse_pending_traces", "gauge", "Traces without a decision.", store.pending_traces as f64),
        ("spanhouse_pending_spans", "gauge", "Spans without a decision.", store.pending_spans as f64),
        ("spanhouse_buffer_spans", "gauge", "Decided spans in no segment.", store.buffer_spans as f64),
        ("spanhouse_memory_bytes", "gauge", "Bytes of spans in memory.", store.memory_bytes as f64),
        ("spanhouse_wal_bytes", "gauge", "Size of the write-ahead log.", store.wal.bytes as f64),
        ("spanhouse_wal_files", "gauge", "Files of the write-ahead log.", store.wal.files as f64),
        ("spanhouse_wal_queue_bytes", "gauge", "Bytes that wait for the log.", store.wal.queued_bytes as f64),
        ("spanhouse_wal_syncs_total", "counter", "Syncs of the log.", store.wal.syncs as f64),
        (
            "spanhouse_wal_sync_seconds_total",
            "counter",
            "Time spent in syncs of the log.",
            store.wal.sync_nanos as f64 / 1e9,
        ),
    ];
    let mut text = String::new();
    for (name, kind, help, value) in samples {
        // Writing to a string does not fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
    }
    for (name, help) in [
        ("spanhouse_table_rows", "Rows in segments."),
        ("spanhouse_table_segments", "Live segments."),
        ("spanhouse_table_bytes", "Bytes of live segments."),
    ] {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for table in &store.tables {
            let value = match name {
                "spanhouse_table_rows" => table.rows,
                "spanhouse_table_segments" => table.segments as u64,
                _ => table.bytes,
            };
            let _ = writeln!(text, "{name}{{table=\"{}\"}} {value}", table.table.name());
        }
    }
    text
}
