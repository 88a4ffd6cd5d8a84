//! Metrics on a real directory: the same before and after every crash, whichever tables a flush has reached.

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;

use super::*;
use crate::snapshot::TableSnapshot;

/// Four bytes a span: trace, span, parent (255 for none) and window.
#[derive(Debug)]
struct WideDecoder;

impl Decoder for WideDecoder {
    fn decode(&self, request: &Request) -> Result<SpanBatch, Box<dyn std::error::Error + Send + Sync>> {
        let mut builder = SpanBatchBuilder::default();
        let resource = builder.resource(|_| {});
        let origins = ["front", "cart"].map(|service| builder.origin(resource, service, None, None));
        for span in request.body.chunks_exact(4) {
            builder.append(&SpanFields {
                trace_id: trace(span[0]),
                span_id: SpanId::from_bytes([span[1] + 1; 8])?,
                parent_span_id: (span[2] < 255).then(|| SpanId::from_bytes([span[2] + 1; 8])).transpose()?,
                origin: origins[usize::from(span[1] % 2)],
                span_name: "name".into(),
                kind: "server",
                status_code: "unset",
                status_message: None,
                start: UnixNanos(1_700_000_000_000_000_000 + i64::from(span[3]) * 10_000_000_000),
                duration_nanos: i64::from(span[1]),
                trace_state: None,
                flags: 0,
            });
        }
        Ok(builder.finish()?)
    }
}

async fn open_with(directory: &Path, config: Config) -> Store {
    Store::open(directory, config, Arc::new(crate::SystemClock), Arc::new(WideDecoder)).await.unwrap()
}

/// The front, and the cart below it.
async fn append_trace(store: &Store, of: u8) -> Appended {
    let body = [of, 0, 255, 0, of, 1, 0, 0];
    let request = Request { body: Bytes::copy_from_slice(&body), content_hash: 1 + u128::from(of), ..request(&[]) };
    let batch = WideDecoder.decode(&request).unwrap();
    store.append(request, batch).await.unwrap()
}

async fn column(source: &dyn SnapshotSource, table: &TableSnapshot, of: Table, name: &str) -> Vec<i64> {
    let at = of.schema().index_of(name).unwrap();
    let parts = table.memory.iter().flat_map(|rows| rows.parts(&[at], None));
    let mut batches: Vec<_> = parts.map(|part| part.columns(&[at]).unwrap()).collect();
    for segment in &table.segments {
        batches.extend(read_segment(source, segment).await);
    }
    let values = batches.iter().map(|batch| batch.column_by_name(name).unwrap().as_primitive::<Int64Type>());
    values.flat_map(|values| values.values().to_vec()).collect()
}

/// Spans, edges, and paths, which must all differ.
async fn counts(source: &dyn SnapshotSource) -> (i64, i64, usize) {
    let snapshot = source.snapshot().unwrap();
    let spans = column(source, &snapshot.span_metrics, Table::SpanMetrics, "span_count").await;
    let edges = column(source, &snapshot.edge_metrics, Table::EdgeMetrics, "span_count").await;
    let paths = column(source, &snapshot.paths, Table::Paths, "path_id").await;
    assert_eq!(paths.iter().collect::<std::collections::HashSet<_>>().len(), paths.len(), "{paths:?}");
    (spans.iter().sum(), edges.iter().sum(), paths.len())
}

#[tokio::test]
async fn counts_are_there_once_acknowledged_and_once_only_on_every_step_to_segments() {
    let directory = tempfile::tempdir().unwrap();
    let store = open_with(directory.path(), config()).await;
    append_trace(&store, 1).await;
    assert_eq!(counts(&store).await, (2, 0, 0));
    assert_eq!(append_trace(&store, 1).await, Appended::Duplicate);
    assert_eq!(counts(&store).await, (2, 0, 0));
    // Nothing is decided, and there is something to flush all the same.
    let report = store.flush().await.unwrap();
    assert_eq!((report.epoch, report.spans, report.segments), (1, 0, 1));
    assert_eq!(counts(&store).await, (2, 0, 0));
    append_trace(&store, 2).await;
    store.decide(vec![Decision { keep: false, ..keep(1) }, keep(2)]).await.unwrap();
    assert_eq!(counts(&store).await, (4, 2, 2));
    let report = store.flush().await.unwrap();
    assert_eq!((report.epoch, report.spans, report.segments), (2, 2, 5));
    assert_eq!(counts(&store).await, (4, 2, 2));
    let rows = |table| store.status().tables.iter().find(|status| status.table == table).unwrap().rows;
    assert_eq!([Table::SpanMetrics, Table::EdgeMetrics, Table::Paths].map(rows), [4, 1, 2]);
    drop(store);
    let reader =
        ReadOnlyStore::open(directory.path(), &config(), &crate::SystemClock, Arc::new(WideDecoder)).await.unwrap();
    assert_eq!(counts(&reader).await, (4, 2, 2));
}

/// Where the flush of epoch 2 fails: at a table's segment, or at its commit, by something else in the file's place.
fn obstacle(directory: &Path, table: Table, at_commit: bool) -> std::path::PathBuf {
    let folder = directory.join("tables").join(table.name());
    let collector = std::fs::read_to_string(directory.join("wal/collector")).unwrap();
    if at_commit {
        let entries = std::fs::read_dir(folder.join("_delta_log")).unwrap();
        let next =
            entries.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|e| e == "json")).count();
        return folder.join(format!("_delta_log/{next:020}.json"));
    }
    let partition = if table == Table::Paths { folder } else { folder.join("date=2023-11-14") };
    partition.join(format!("{collector}-0000000002.parquet"))
}

#[tokio::test]
async fn a_flush_that_any_table_ends_and_a_crash_behind_it_double_and_lose_no_count() {
    for table in Table::ALL {
        for at_commit in [false, true] {
            let name = format!("{} at {}", table.name(), if at_commit { "its commit" } else { "its segment" });
            let directory = tempfile::tempdir().unwrap();
            let store = open_with(directory.path(), config()).await;
            append_trace(&store, 1).await;
            store.decide(vec![keep(1)]).await.unwrap();
            store.flush().await.unwrap();
            // New paths are there no more, but for those of a trace without its root.
            append_trace(&store, 2).await;
            let lone =
                Request { body: Bytes::from_static(&[3, 0, 1, 0, 3, 3, 0, 0]), content_hash: 77, ..request(&[]) };
            let batch = WideDecoder.decode(&lone).unwrap();
            store.append(lone, batch).await.unwrap();
            append_trace(&store, 4).await;
            store.decide(vec![keep(2), Decision { keep: false, ..keep(3) }]).await.unwrap();
            let expected = (8, 3, 4);
            assert_eq!(counts(&store).await, expected, "{name}");
            let obstacle = obstacle(directory.path(), table, at_commit);
            std::fs::create_dir_all(&obstacle).unwrap();
            assert!(store.flush().await.is_err(), "{name} stops nothing");
            assert_eq!(counts(&store).await, expected, "{name}");
            drop(store);
            std::fs::remove_dir(&obstacle).unwrap();
            for _ in 0..2 {
                let store = open_with(directory.path(), config()).await;
                assert_eq!(counts(&store).await, expected, "{name}, started again");
            }
            let store = open_with(directory.path(), config()).await;
            store.flush().await.unwrap();
            assert_eq!(counts(&store).await, expected, "{name}, flushed");
            append_trace(&store, 5).await;
            store.decide(vec![keep(4), keep(5)]).await.unwrap();
            store.flush().await.unwrap();
            drop(store);
            let store = open_with(directory.path(), config()).await;
            assert_eq!(counts(&store).await, (10, 5, 4), "{name}, and on");
        }
    }
}

#[tokio::test]
async fn a_log_that_is_torn_anywhere_counts_the_spans_that_are_left() {
    let directory = tempfile::tempdir().unwrap();
    let store = open_with(directory.path(), config()).await;
    for of in 0..6 {
        append_trace(&store, of).await;
        store.decide(vec![keep(of)]).await.unwrap();
        if of == 3 {
            store.shared.seal().await.unwrap();
        }
    }
    drop(store);
    // What was sealed is in segments by now, or it is not: begin without.
    let tables = directory.path().join("tables");
    std::fs::remove_dir_all(&tables).unwrap();
    let log = std::fs::read_dir(directory.path().join("wal")).unwrap().map(|entry| entry.unwrap().path());
    let log = log.filter(|path| path.extension().is_some_and(|e| e == "log")).max().unwrap();
    let whole = std::fs::read(&log).unwrap();
    let end = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let mut found = Vec::new();
    for cut in (0..=12).map(|part| end - (end - 4_096.min(end / 2)) * part / 13) {
        let mut torn = whole.clone();
        torn[cut..].fill(0);
        std::fs::write(&log, torn).unwrap();
        let _ = std::fs::remove_dir_all(&tables);
        std::fs::create_dir_all(&tables).unwrap();
        let reader =
            ReadOnlyStore::open(directory.path(), &config(), &crate::SystemClock, Arc::new(WideDecoder)).await.unwrap();
        let (spans, edges, _) = counts(&reader).await;
        assert_eq!(spans, seen(&reader).await.len() as i64, "cut at {cut} of {end}");
        assert!(edges <= spans / 2);
        found.push(spans);
    }
    assert!(found[0] == 12 && found.last().is_some_and(|last| *last < 12), "{found:?}");
}

#[tokio::test]
async fn tables_that_a_directory_lacks_are_made_and_count_from_then_on() {
    let directory = tempfile::tempdir().unwrap();
    let store = open_with(directory.path(), config()).await;
    append_trace(&store, 1).await;
    append_trace(&store, 2).await;
    store.decide(vec![keep(1)]).await.unwrap();
    store.flush().await.unwrap();
    drop(store);
    for table in ["span_metrics", "edge_metrics", "paths"] {
        std::fs::remove_dir_all(directory.path().join("tables").join(table)).unwrap();
    }
    {
        let reader =
            ReadOnlyStore::open(directory.path(), &config(), &crate::SystemClock, Arc::new(WideDecoder)).await.unwrap();
        assert_eq!(counts(&reader).await, (0, 0, 0));
    }
    let store = open_with(directory.path(), config()).await;
    assert_eq!(counts(&store).await, (0, 0, 0), "what was flushed without them is counted no more");
    store.decide(vec![keep(2)]).await.unwrap();
    append_trace(&store, 3).await;
    assert_eq!(counts(&store).await, (2, 1, 2));
    store.flush().await.unwrap();
    drop(store);
    assert_eq!(counts(&open_with(directory.path(), config()).await).await, (2, 1, 2));
}

#[tokio::test]
async fn keys_without_end_are_flushed_and_never_folded() {
    let directory = tempfile::tempdir().unwrap();
    let config = Config { metric_rows: 16, ..config() };
    let store = open_with(directory.path(), config).await;
    for of in 0..8_u8 {
        // A window each.
        let body: Vec<u8> = (0..8_u8).flat_map(|at| [of, at, 255, of * 8 + at]).collect();
        let request = Request { body: Bytes::from(body), content_hash: 1 + u128::from(of), ..request(&[]) };
        let batch = WideDecoder.decode(&request).unwrap();
        store.append(request, batch).await.unwrap();
    }
    let flushed = || store.status().tables.iter().find(|table| table.table == Table::SpanMetrics).unwrap().rows;
    let deadline = Instant::now() + Duration::from_secs(20);
    while flushed() < 48 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(flushed() >= 48, "{} rows are in segments", flushed());
    assert_eq!(counts(&store).await.0, 64);
    assert_eq!(store.status().pending_spans, 64);
}
