//! `/metrics`: the pipeline's counters in the Prometheus text format.

use std::fmt::{Display, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use collector::sampler::Counts;
use collector::{Metrics, remote};
use storage::StoreStatus;
use storage::trace_index::TraceIndexStatus;
use storage::wal::WalStatus;

/// The page as it is written.
#[derive(Default)]
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "counter", help);
        let _ = writeln!(self.0, "{name} {value}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        let _ = writeln!(self.0, "{name} {value}");
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = writeln!(self.0, "{name}{{{labels}}} {value}");
    }

    /// One sample for each value of `label`.
    fn labelled<V: Display>(
        &mut self,
        (name, kind, help): (&str, &str, &str),
        label: &str,
        samples: impl Iterator<Item = (&'static str, V)>,
    ) {
        self.family(name, kind, help);
        for (of, value) in samples {
            self.sample(name, &format!("{label}=\"{of}\""), value);
        }
    }

    /// `counts` are by bucket, the last one without a bound.
    fn histogram(&mut self, (name, help): (&str, &str), bounds: impl Iterator<Item = f64>, counts: &[u64], sum: f64) {
        self.family(name, "histogram", help);
        let mut below = 0;
        let bounds = bounds.map(|bound| bound.to_string()).chain(["+Inf".to_owned()]);
        for (bound, count) in bounds.zip(counts) {
            below += count;
            let _ = writeln!(self.0, "{name}_bucket{{le=\"{bound}\"}} {below}");
        }
        let _ = writeln!(self.0, "{name}_sum {sum}\n{name}_count {below}");
    }
}

pub fn prometheus(
    metrics: &Metrics,
    remote: &remote::Metrics,
    store: &StoreStatus,
    decided: &Counts,
    policy_revision: i64,
) -> String {
    let mut page = Page::default();
    receivers(&mut page, metrics);
    books(&mut page, metrics);
    same_ids(&mut page, store);
    sampling(&mut page, decided, policy_revision);
    polls(&mut page, remote);
    memory(&mut page, store);
    wal(&mut page, &store.wal);
    tables(&mut page, store);
    compaction(&mut page, store);
    page.0
}

/// What queries know of where traces are, which is theirs and not the store's.
pub fn trace_index(known: TraceIndexStatus, budget_bytes: usize) -> String {
    let mut page = Page::default();
    page.gauge(
        "spanhouse_trace_index_segments",
        "Segments of spans and of traces of which is known what traces they have.",
        known.segments,
    );
    page.gauge(
        "spanhouse_trace_index_segments_with_rows",
        "Of these, segments of which is known in which rows, too.",
        known.with_rows,
    );
    page.gauge("spanhouse_trace_index_bytes", "Bytes of memory that this takes.", known.bytes);
    page.gauge("spanhouse_trace_index_budget_bytes", "Bytes that it may take.", budget_bytes);
    page.0
}

/// What queries keep of segments' dictionaries.
pub fn dictionaries(bytes: usize, budget_bytes: usize) -> String {
    let mut page = Page::default();
    page.gauge("spanhouse_dictionary_cache_bytes", "Bytes of memory that dictionaries of segments take.", bytes);
    page.gauge("spanhouse_dictionary_cache_budget_bytes", "Bytes that they may take.", budget_bytes);
    page.0
}

fn receivers(page: &mut Page, metrics: &Metrics) {
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    page.counter("spanhouse_requests_total", "Requests answered with success.", count(&metrics.requests));
    page.counter("spanhouse_duplicate_requests_total", "Requests stored before.", count(&metrics.duplicates));
    page.labelled(
        ("spanhouse_refused_requests_total", "counter", "Requests refused, by answer."),
        "answer",
        metrics.refused_by_answer().map(|(answer, count)| (answer.name(), count)),
    );
    page.counter("spanhouse_spans_total", "Spans acknowledged.", count(&metrics.spans));
    page.labelled(
        ("spanhouse_rejected_spans_total", "counter", "Spans rejected, by reason."),
        "reason",
        metrics.rejected_by_reason().map(|(reason, count)| (reason.name(), count)),
    );
    page.labelled(
        ("spanhouse_warnings_total", "counter", "Values cut or replaced in accepted spans, by cause."),
        "cause",
        metrics.warned_by_cause().map(|(cause, count)| (cause.name(), count)),
    );
    page.counter("spanhouse_body_bytes_total", "Bytes of acknowledged requests.", count(&metrics.body_bytes));
    let inflated = count(&metrics.inflated_bytes);
    page.counter("spanhouse_inflated_bytes_total", "Bytes of acknowledged requests, inflated.", inflated);
    page.gauge(
        "spanhouse_in_flight_bytes",
        "Bytes of bodies that are being received, decoded or made durable.",
        metrics.in_flight_bytes(),
    );
    page.gauge("spanhouse_open_connections", "Connections of OTLP clients.", metrics.connections.open());
    page.counter("spanhouse_connections_total", "Connections accepted.", count(&metrics.connections.accepted));
    page.counter(
        "spanhouse_broken_connections_total",
        "Connections closed for what came over them.",
        count(&metrics.connections.broken),
    );
    page.counter(
        "spanhouse_accept_failures_total",
        "Connections that could not be accepted, as when out of file descriptors.",
        count(&metrics.connections.accept_failures),
    );
}

/// Where every decoded span is.
fn books(page: &mut Page, metrics: &Metrics) {
    let books = metrics.books();
    page.counter("spanhouse_received_spans_total", "Spans decoded: the sum of their places.", books.received);
    let places = [
        ("stored", books.stored),
        ("duplicate", books.duplicate),
        ("rejected", books.rejected),
        ("refused", books.refused),
        ("in_flight", books.in_flight),
    ];
    let family = ("spanhouse_span_places", "gauge", "Where decoded spans are, since the start.");
    page.labelled(family, "place", places.into_iter());
}

/// What SDKs asked of head sampling.
fn polls(page: &mut Page, metrics: &remote::Metrics) {
    page.family("spanhouse_sampling_polls_total", "counter", "Polls for a sampling strategy, by transport and result.");
    for (transport, outcome, count) in metrics.polls() {
        let labels = format!("transport=\"{}\",result=\"{}\"", transport.name(), outcome.name());
        page.sample("spanhouse_sampling_polls_total", &labels, count);
    }
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let services = count(&metrics.ledger_services);
    page.gauge("spanhouse_sampling_ledger_services", "Services whose strategies are remembered.", services);
    let probabilities = count(&metrics.ledger_probabilities);
    page.gauge("spanhouse_sampling_ledger_probabilities", "Probabilities that are remembered.", probabilities);
    page.counter(
        "spanhouse_sampling_ledger_refused_total",
        "Polls whose strategy could not be remembered, so that the last one, or keeping everything, was served.",
        count(&metrics.ledger_refused),
    );
    page.gauge("spanhouse_sampling_open_connections", "Connections of polling clients.", metrics.connections.open());
}

/// What of the stored spans another span of the trace had the id of.
fn same_ids(page: &mut Page, store: &StoreStatus) {
    page.counter(
        "spanhouse_repeated_spans_total",
        "Stored spans that another request of their trace had brought, and that are kept once.",
        store.same_ids.repeated,
    );
    page.counter(
        "spanhouse_span_id_conflicts_total",
        "Stored spans with the id, but not the content, of an earlier span of their trace; both are kept.",
        store.same_ids.conflicting,
    );
}

fn sampling(page: &mut Page, decided: &Counts, policy_revision: i64) {
    page.gauge("spanhouse_sampling_policy_revision", "Revision of the policy in force.", policy_revision);
    let kept = decided.by_class().map(|(class, kept, _)| (class.word(), kept));
    page.labelled(("spanhouse_traces_kept_total", "counter", "Traces kept, by class."), "class", kept);
    let dropped = decided.by_class().map(|(class, _, dropped)| (class.word(), dropped));
    page.labelled(("spanhouse_traces_dropped_total", "counter", "Traces dropped, by class."), "class", dropped);
    let late = decided.late_traces().map(|(late, count)| (late.word(), count));
    let family = (
        "spanhouse_late_traces_total",
        "counter",
        "Times that late spans of a trace were decided, by what became of them.",
    );
    page.labelled(family, "late", late);
    page.counter(
        "spanhouse_sampling_unweighed_traces_total",
        "Traces of which nobody knows with which probability they were sampled at their source: their weight is NULL.",
        decided.unweighed(),
    );
    page.counter(
        "spanhouse_sampling_shed_traces_total",
        "Traces that were dropped unseen because memory ran short; others carry their weight.",
        decided.shed(),
    );
    page.gauge(
        "spanhouse_sampling_shed_probability",
        "The probability with which a trace that comes now is waited for: 1 unless memory runs short.",
        decided.shedding(),
    );
    page.gauge(
        "spanhouse_sampling_alarmed_operations",
        "Operations that fail or are slow more often than in their last half hour, so that more of them is kept.",
        decided.alarms().len(),
    );
    page.counter("spanhouse_sampling_alarms_total", "Alarms of operations that began.", decided.alarms_raised());
    let (offered, kept) = decided.costs();
    page.counter("spanhouse_sampling_offered_cost_total", "Cost of decided traces, in the budget's unit.", offered);
    page.counter("spanhouse_sampling_kept_cost_total", "Cost of kept traces, in the budget's unit.", kept);
}

fn memory(page: &mut Page, store: &StoreStatus) {
    page.gauge("spanhouse_pending_traces", "Traces without a decision.", store.pending_traces);
    page.gauge("spanhouse_pending_spans", "Spans without a decision.", store.pending_spans);
    page.gauge("spanhouse_buffer_spans", "Decided spans in no segment.", store.buffer_spans);
    page.gauge("spanhouse_memory_bytes", "Bytes of spans in memory.", store.memory_bytes);
}

fn wal(page: &mut Page, wal: &WalStatus) {
    page.gauge("spanhouse_wal_bytes", "Size of the write-ahead log.", wal.bytes);
    page.gauge("spanhouse_wal_files", "Files of the write-ahead log.", wal.files);
    page.gauge("spanhouse_wal_queue_records", "Appends that wait for the log.", wal.queued_records);
    page.gauge("spanhouse_wal_queue_bytes", "Bytes that wait for the log.", wal.queued_bytes);
    page.counter("spanhouse_wal_group_bytes_total", "Bytes written to the log.", wal.group_bytes);
    page.histogram(
        ("spanhouse_wal_sync_seconds", "How long the log's syncs took."),
        WalStatus::sync_bounds_nanos().into_iter().map(|nanos| nanos as f64 / 1e9),
        &wal.sync_buckets,
        wal.sync_nanos as f64 / 1e9,
    );
    page.histogram(
        ("spanhouse_wal_group_records", "Appends that one sync covered."),
        WalStatus::group_bounds_records().into_iter().map(|records| records as f64),
        &wal.group_buckets,
        wal.group_records as f64,
    );
}

fn tables(page: &mut Page, store: &StoreStatus) {
    let tables = || store.tables.iter();
    let rows = tables().map(|table| (table.table.name(), table.rows));
    page.labelled(("spanhouse_table_rows", "gauge", "Rows in segments."), "table", rows);
    let segments = tables().map(|table| (table.table.name(), table.segments as u64));
    page.labelled(("spanhouse_table_segments", "gauge", "Live segments."), "table", segments);
    let bytes = tables().map(|table| (table.table.name(), table.bytes));
    page.labelled(("spanhouse_table_bytes", "gauge", "Bytes of live segments."), "table", bytes);
}

/// Merges, the files that they leave, and what expired.
fn compaction(page: &mut Page, store: &StoreStatus) {
    let done = &store.compaction;
    page.counter("spanhouse_compaction_merges_total", "Merges of segments.", done.merges);
    page.counter("spanhouse_compaction_merged_segments_total", "Segments that were merged.", done.merged_segments);
    page.counter("spanhouse_compaction_read_bytes_total", "Bytes of segments that were merged.", done.read_bytes);
    page.counter("spanhouse_compaction_written_bytes_total", "Bytes of segments made by merges.", done.written_bytes);
    page.counter(
        "spanhouse_compaction_failures_total",
        "Merges and deletions that failed; the status and the log say why.",
        done.failures,
    );
    page.gauge(
        "spanhouse_replaced_files",
        "Files that no table has any more and that queries may still read.",
        done.waiting_files,
    );
    page.gauge("spanhouse_replaced_file_bytes", "Bytes of those files.", done.waiting_bytes);
    page.counter("spanhouse_deleted_files_total", "Files deleted since nobody needed them.", done.deleted_files);
    let expired = &store.retention;
    page.counter("spanhouse_expired_segments_total", "Segments that retention took out.", expired.expired_segments);
    page.counter("spanhouse_expired_rows_total", "Rows of those segments.", expired.expired_rows);
    page.counter("spanhouse_expired_bytes_total", "Bytes of those segments.", expired.expired_bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_from_below_and_ends_without_a_bound() {
        let mut page = Page::default();
        page.histogram(("t", "Time."), [0.25, 0.5].into_iter(), &[3, 0, 2], 1.75);
        let expected = "# HELP t Time.\n# TYPE t histogram\nt_bucket{le=\"0.25\"} 3\nt_bucket{le=\"0.5\"} 3\n\
                        t_bucket{le=\"+Inf\"} 5\nt_sum 1.75\nt_count 5\n";
        assert_eq!(page.0, expected);
    }

    #[test]
    fn what_is_known_of_traces_stands_beside_what_may_be() {
        let page = trace_index(TraceIndexStatus { segments: 3, with_rows: 2, bytes: 70 }, 100);
        let samples: Vec<&str> = page.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                "spanhouse_trace_index_segments 3",
                "spanhouse_trace_index_segments_with_rows 2",
                "spanhouse_trace_index_bytes 70",
                "spanhouse_trace_index_budget_bytes 100"
            ]
        );
    }
}
