//! The store on a real directory, with requests whose body is a list of spans in two bytes each.

mod compaction;
mod expiring;
mod faulty;
mod full;
mod metrics;
mod promotion;

use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::Decision;
use crate::ReadOnlyStore;
use crate::model::{SpanBatch, SpanBatchBuilder, SpanFields, SpanId, UnixNanos};
use crate::request::{Appended, ContentType, Encoding};
use crate::schema::{Table, traces};

/// Trace and span numbers become ids; a span number above 100 has a parent that does not exist.
#[derive(Debug)]
struct PairDecoder;

impl Decoder for PairDecoder {
    fn decode(&self, request: &Request) -> Result<SpanBatch, Box<dyn std::error::Error + Send + Sync>> {
        let mut builder = SpanBatchBuilder::default();
        let resource = builder.resource(|_| {});
        let origin = builder.origin(resource, "service", None, None);
        for pair in request.body.chunks_exact(2) {
            builder.attributes().push_int("number", i64::from(pair[1]));
            builder.append(&SpanFields {
                trace_id: trace(pair[0]),
                span_id: SpanId::from_bytes([pair[1] + 1; 8])?,
                parent_span_id: (pair[1] > 100).then(|| SpanId::from_bytes([255; 8])).transpose()?,
                origin,
                span_name: "name".into(),
                kind: "server",
                status_code: "unset",
                status_message: None,
                start: UnixNanos(1_700_000_000_000_000_000 + i64::from(pair[1])),
                duration_nanos: 5,
                trace_state: None,
                flags: 0,
            });
        }
        Ok(builder.finish()?)
    }
}

fn trace(number: u8) -> TraceId {
    TraceId::from_bytes([number + 1; 16]).unwrap()
}

fn request(pairs: &[(u8, u8)]) -> Request {
    let body: Vec<u8> = pairs.iter().flat_map(|(trace, span)| [*trace, *span]).collect();
    let content_hash = body.iter().fold(17_u128, |hash, byte| hash.wrapping_mul(257) + u128::from(*byte));
    Request {
        arrival: UnixNanos(1_000),
        content_type: ContentType::OtlpProtobuf,
        encoding: Encoding::Identity,
        body: Bytes::from(body),
        content_hash,
        judged_by: Bytes::new(),
    }
}

fn keep(number: u8) -> Decision {
    Decision::keep_all(trace(number))
}

fn config() -> Config {
    // No flush but those that a test asks for.
    let wal = wal::WalConfig { file_bytes: 1 << 20, ..wal::WalConfig::default() };
    Config { flush_age: Duration::from_secs(86_400), wal, ..Config::default() }
}

async fn open(directory: &Path) -> Store {
    Store::open(directory, config(), Arc::new(crate::SystemClock), Arc::new(PairDecoder)).await.unwrap()
}

async fn append(store: &Store, pairs: &[(u8, u8)]) -> Appended {
    let request = request(pairs);
    let batch = PairDecoder.decode(&request).unwrap();
    store.append(request, batch).await.unwrap()
}

/// Every span that a query would see, as (trace, span) numbers, in order.
async fn seen(source: &dyn SnapshotSource) -> Vec<(u8, u8)> {
    let snapshot = source.snapshot().unwrap();
    let mut seen = Vec::new();
    let mut collect = |batch: &arrow::array::RecordBatch| {
        let first_bytes = |name: &str| -> Vec<u8> {
            let ids = arrow::array::AsArray::as_binary_view(batch.column_by_name(name).unwrap());
            ids.iter().map(|id| id.unwrap()[0] - 1).collect()
        };
        seen.extend(first_bytes("trace_id").into_iter().zip(first_bytes("span_id")));
    };
    memory_rows(&snapshot).iter().for_each(&mut collect);
    for segment in &snapshot.spans.segments {
        for batch in read_segment(source, segment).await {
            collect(&batch);
        }
    }
    seen.sort_unstable();
    seen
}

/// The rows of `spans` that are in memory.
fn memory_rows(snapshot: &Snapshot) -> Vec<arrow::array::RecordBatch> {
    let columns: Vec<usize> = (0..Table::Spans.schema().fields().len()).collect();
    let parts = snapshot.spans.memory.iter().flat_map(|rows| rows.parts(&columns, None));
    parts.map(|part| part.columns(&columns).unwrap()).collect()
}

async fn read_segment(source: &dyn SnapshotSource, segment: &crate::Segment) -> Vec<arrow::array::RecordBatch> {
    use crate::segment::open_file;
    use object_store::ObjectStoreExt;
    let bytes = source.object_store().get(&segment.location).await.unwrap().bytes().await.unwrap();
    assert_eq!(bytes.len() as u64, segment.size_bytes);
    let reader = open_file(bytes).unwrap().build().unwrap();
    reader.map(Result::unwrap).collect()
}

async fn digests(source: &dyn SnapshotSource) -> usize {
    let snapshot = source.snapshot().unwrap();
    let in_segments: u64 = snapshot.traces.segments.iter().map(|segment| segment.row_count).sum();
    let in_memory: usize = snapshot.traces.memory.iter().map(|rows| rows.row_count()).sum();
    in_memory + in_segments as usize
}

#[tokio::test]
async fn spans_are_visible_once_appended_and_once_only_on_every_step_to_segments() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    append(&store, &[(1, 1), (2, 2)]).await;
    assert_eq!(seen(&store).await, [(1, 1), (2, 2)]);
    assert_eq!(digests(&store).await, 2);
    store.decide(vec![keep(1)]).await.unwrap();
    assert_eq!(seen(&store).await, [(1, 1), (2, 2)]);
    let report = store.flush().await.unwrap();
    assert_eq!(
        (report.epoch, report.spans, report.traces, report.segments),
        (1, 1, 1, 4),
        "spans, traces, span_metrics and paths"
    );
    assert_eq!(seen(&store).await, [(1, 1), (2, 2)]);
    assert_eq!(digests(&store).await, 2);
    store.decide(vec![keep(2)]).await.unwrap();
    assert_eq!(store.flush().await.unwrap().epoch, 2);
    assert_eq!(store.flush().await.unwrap().epoch, 0, "there is nothing left to flush");
    assert_eq!(seen(&store).await, [(1, 1), (2, 2)]);
    assert_eq!(store.status().pending_spans + store.status().buffer_spans, 0);
}

#[tokio::test]
async fn settings_without_sense_open_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let config = Config { flush_bytes: 0, ..config() };
    let opened = Store::open(directory.path(), config, Arc::new(crate::SystemClock), Arc::new(PairDecoder)).await;
    assert!(matches!(opened, Err(Error::Config(_))));
    assert_eq!(listing(directory.path()), []);
}

#[tokio::test]
async fn a_process_that_ends_without_a_word_leaves_everything_behind() {
    let directory = tempfile::tempdir().unwrap();
    let expected = [(1, 1), (1, 110), (2, 2), (3, 3)];
    {
        let store = open(directory.path()).await;
        append(&store, &[(1, 1), (2, 2)]).await;
        store.decide(vec![keep(1)]).await.unwrap();
        store.flush().await.unwrap();
        append(&store, &[(3, 3), (1, 110)]).await;
        store.decide(vec![keep(3)]).await.unwrap();
        assert_eq!(seen(&store).await, expected);
    }
    for _ in 0..2 {
        let store = open(directory.path()).await;
        assert_eq!(seen(&store).await, expected);
        assert_eq!(digests(&store).await, 3);
        assert_eq!(root_of_late(&store).as_deref(), Some("service"));
    }
    let store = open(directory.path()).await;
    assert_eq!(store.status().pending_traces, 2);
    store.decide(vec![keep(1), keep(2)]).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    let store = open(directory.path()).await;
    assert_eq!(seen(&store).await, expected);
    assert_eq!(store.status().tables[0].rows, 4);
    assert_eq!(digests(&store).await, 3);
}

/// The root that the span with number 110, which is in memory, knows of its trace.
fn root_of_late(store: &Store) -> Option<String> {
    memory_rows(&store.snapshot().unwrap()).iter().find_map(|batch| {
        let ids = arrow::array::AsArray::as_binary_view(batch.column_by_name("span_id").unwrap());
        let row = ids.iter().position(|id| id.unwrap()[0] == 111)?;
        let roots = arrow::array::AsArray::as_string_view(batch.column_by_name("root_service").unwrap());
        Some(roots.value(row).to_owned())
    })
}

#[tokio::test]
async fn late_spans_know_a_trace_of_which_segments_alone_have_the_digest() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    append(&store, &[(1, 1)]).await;
    store.decide(vec![keep(1)]).await.unwrap();
    store.flush().await.unwrap();
    store.close().await.unwrap();
    drop(store);
    // As its files were used again meanwhile.
    for entry in std::fs::read_dir(directory.path().join("wal")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "log") {
            std::fs::remove_file(path).unwrap();
        }
    }
    let store = open(directory.path()).await;
    append(&store, &[(1, 110)]).await;
    assert_eq!(root_of_late(&store).as_deref(), Some("service"));
}

#[tokio::test]
async fn a_repeated_request_is_stored_once_also_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    assert_eq!(append(&store, &[(1, 1)]).await, Appended::Stored);
    assert_eq!(append(&store, &[(1, 1)]).await, Appended::Duplicate);
    let both = tokio::join!(append(&store, &[(2, 2)]), append(&store, &[(2, 2)]));
    assert!(matches!(both, (Appended::Stored, Appended::Duplicate) | (Appended::Duplicate, Appended::Stored)));
    drop(store);
    let mut config = config();
    config.repeat_window = Duration::from_secs(1 << 40);
    let store =
        Store::open(directory.path(), config, Arc::new(crate::SystemClock), Arc::new(PairDecoder)).await.unwrap();
    assert_eq!(append(&store, &[(1, 1)]).await, Appended::Duplicate);
    assert_eq!(seen(&store).await, [(1, 1), (2, 2)]);
}

#[tokio::test]
async fn otlp_508_a_span_of_two_requests_is_counted_when_it_is_decided_and_not_at_replay() {
    let directory = tempfile::tempdir().unwrap();
    let expected = [(1, 1), (1, 2), (1, 3)];
    {
        let store = open(directory.path()).await;
        append(&store, &[(1, 1), (1, 2)]).await;
        append(&store, &[(1, 2), (1, 3), (1, 1)]).await;
        assert_eq!(seen(&store).await, expected);
        assert_eq!(store.status().same_ids, SameIds::default(), "a query counts nothing");
        store.decide(vec![keep(1)]).await.unwrap();
        assert_eq!(store.status().same_ids, SameIds { repeated: 2, conflicting: 0 });
    }
    let store = open(directory.path()).await;
    assert_eq!(store.status().same_ids, SameIds::default());
    assert_eq!(store.flush().await.unwrap().spans, 3);
    assert_eq!(seen(&store).await, expected);
}

#[tokio::test]
async fn reading_a_directory_sees_the_same_and_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    append(&store, &[(1, 1), (2, 2)]).await;
    store.decide(vec![keep(1)]).await.unwrap();
    store.flush().await.unwrap();
    let refused = ReadOnlyStore::open(directory.path(), &config(), &crate::SystemClock, Arc::new(PairDecoder)).await;
    assert!(matches!(refused, Err(Error::Locked { .. })));
    drop(store);
    let before = listing(directory.path());
    let reader =
        ReadOnlyStore::open(directory.path(), &config(), &crate::SystemClock, Arc::new(PairDecoder)).await.unwrap();
    assert_eq!(seen(&reader).await, [(1, 1), (2, 2)]);
    assert_eq!(listing(directory.path()), before);
}

fn listing(directory: &Path) -> Vec<(std::path::PathBuf, u64, std::time::SystemTime)> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let meta = entry.metadata().unwrap();
            if meta.is_dir() {
                open.push(entry.path());
            }
            found.push((entry.path(), meta.len(), meta.modified().unwrap()));
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn a_flush_whose_caller_leaves_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    append(&store, &[(1, 1), (2, 2)]).await;
    store.decide(vec![keep(1)]).await.unwrap();
    {
        let mut left = std::pin::pin!(store.flush());
        // Far enough to name the epoch in the log, and no further.
        for _ in 0..2 {
            assert!(futures::poll!(&mut left).is_pending());
            tokio::task::yield_now().await;
        }
    }
    let (decided, flushed) = tokio::join!(store.decide(vec![keep(2)]), store.flush());
    decided.unwrap();
    flushed.unwrap();
    store.flush().await.unwrap();
    assert_eq!(seen(&store).await, [(1, 1), (2, 2)]);
    drop(store);
    assert_eq!(seen(&open(directory.path()).await).await, [(1, 1), (2, 2)]);
}

#[tokio::test]
async fn a_full_memory_refuses_and_accepts_again_after_a_flush() {
    let directory = tempfile::tempdir().unwrap();
    let config = Config { memory_bytes: 1, flush_bytes: 1, ..config() };
    let store =
        Store::open(directory.path(), config, Arc::new(crate::SystemClock), Arc::new(PairDecoder)).await.unwrap();
    append(&store, &[(1, 1)]).await;
    let refused = request(&[(2, 2)]);
    let batch = PairDecoder.decode(&refused).unwrap();
    assert!(matches!(store.append(refused.clone(), batch.clone()).await, Err(Error::Busy(_))));
    store.decide(vec![keep(1)]).await.unwrap();
    store.flush().await.unwrap();
    assert_eq!(store.append(refused, batch).await.unwrap(), Appended::Stored);
}

#[tokio::test]
async fn dropped_traces_leave_only_their_digest() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    append(&store, &[(1, 1), (2, 2)]).await;
    store.decide(vec![Decision { keep: false, ..keep(1) }, keep(2)]).await.unwrap();
    store.flush().await.unwrap();
    assert_eq!(seen(&store).await, [(2, 2)]);
    let snapshot = store.snapshot().unwrap();
    let rows = read_segment(&store, &snapshot.traces.segments[0]).await;
    let kept = rows[0].column_by_name(traces::KEPT).unwrap();
    let kept: Vec<_> = arrow::array::AsArray::as_boolean(kept).iter().flatten().collect();
    assert_eq!(kept.iter().filter(|kept| **kept).count(), 1);
    assert_eq!(kept.len(), 2);
}

#[tokio::test]
async fn spans_of_several_days_go_to_several_partitions() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    append(&store, &[(1, 1)]).await;
    store.decide(vec![keep(1)]).await.unwrap();
    store.flush().await.unwrap();
    let snapshot = store.snapshot().unwrap();
    let location = snapshot.spans.segments[0].location.to_string();
    assert!(location.starts_with("spans/date=2023-11-14/"), "{location}");
}
