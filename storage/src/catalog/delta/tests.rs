mod promoting;

use deltalake_core::operations::create::CreateBuilder;

use super::open::builder;
use super::*;
use crate::model::{SpanBatchBuilder, SpanFields, SpanId, TraceId};
use crate::rows::SpanRows;
use crate::schema::spans;

fn segment(epoch: u64) -> NewSegment {
    NewSegment {
        segment: Segment {
            location: Path::from(format!("spans/date=2026-01-01/{epoch}.parquet")),
            size_bytes: 10,
            row_count: 3,
            start_range: None,
            written_at: UnixNanos(1_000_000),
            keys: crate::schema::promoted::Keys::default(),
            expired_rows: 0,
        },
        date: Some("2026-01-01".to_owned()),
        ranges: ColumnRanges::default(),
    }
}

async fn open(directory: &FilePath) -> DeltaCatalog {
    DeltaCatalog::open_or_create(Table::Spans, directory, "collector-1".to_owned()).await.unwrap()
}

#[tokio::test]
async fn a_committed_epoch_and_its_segments_are_found_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut catalog = open(directory.path()).await;
    assert_eq!(catalog.committed_epoch(), 0);
    catalog.commit(1, &[segment(1)], &[]).await.unwrap();
    catalog.commit(2, &[segment(2)], &[]).await.unwrap();
    let sorted = |catalog: &DeltaCatalog| {
        let mut segments = catalog.segments().to_vec();
        segments.sort_by_key(|segment| segment.location.clone());
        segments
    };
    let committed = sorted(&catalog);
    let found = open(directory.path()).await;
    assert_eq!(found.committed_epoch(), 2);
    assert_eq!(sorted(&found), committed);
    assert_eq!(committed.len(), 2);
    assert_eq!(committed[0].location.as_ref(), "spans/date=2026-01-01/1.parquet");
    assert_eq!(committed[0].row_count, 3);
}

#[tokio::test]
async fn committing_an_epoch_again_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut catalog = open(directory.path()).await;
    catalog.commit(1, &[segment(1)], &[]).await.unwrap();
    let version = catalog.version();
    catalog.commit(1, &[segment(1)], &[]).await.unwrap();
    assert_eq!(catalog.version(), version);
    // Not even by a process that does not remember.
    let mut later = open(directory.path()).await;
    later.commit(1, &[segment(1)], &[]).await.unwrap();
    assert_eq!(later.version(), version);
}

#[tokio::test]
async fn checkpoints_come_now_and_then_and_lose_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut catalog = open(directory.path()).await;
    let mut checkpoints = 0;
    for epoch in 1..=205 {
        catalog.commit(epoch, &[segment(epoch)], &[]).await.unwrap();
        checkpoints += u32::from(catalog.maintain().await.unwrap());
    }
    assert_eq!(checkpoints, 2);
    assert!(directory.path().join("spans/_delta_log/_last_checkpoint").exists());
    let catalog = open(directory.path()).await;
    assert_eq!(catalog.segments().len(), 205);
    assert_eq!(catalog.committed_epoch(), 205);
}

#[tokio::test]
async fn statistics_give_the_range_of_starts_and_the_date() {
    let mut builder = SpanBatchBuilder::default();
    let start = UnixNanos(1_655_753_657_874_176_999);
    let resource = builder.resource(|_| {});
    let origin = builder.origin(resource, "a", None, None);
    for (number, offset) in [(1_u64, 0), (2, 5_000_000_123)] {
        builder.append(&SpanFields {
            trace_id: TraceId::from_bytes([1; 16]).unwrap(),
            span_id: SpanId::from_bytes(number.to_be_bytes()).unwrap(),
            parent_span_id: None,
            origin,
            span_name: "b".into(),
            kind: "server",
            status_code: "unset",
            status_message: None,
            start: start.plus(offset),
            duration_nanos: 5,
            trace_state: None,
            flags: 0,
        });
    }
    let received = builder.finish().unwrap();
    let encoded = crate::segment::encode_spans(SpanRows::underived(received)).unwrap().remove(0);
    assert_eq!(encoded.date.as_deref(), Some("2022-06-20"));
    assert_eq!(encoded.start_range, Some((start, start.plus(5_000_000_123))));

    let directory = tempfile::tempdir().unwrap();
    let mut catalog = open(directory.path()).await;
    let new = NewSegment { ranges: encoded.ranges, date: encoded.date, ..segment(1) };
    catalog.commit(1, &[new], &[]).await.unwrap();
    let catalog = open(directory.path()).await;
    let (earliest, latest) = catalog.segments()[0].start_range.unwrap();
    assert!(earliest <= start && start.plus(5_000_000_123) <= latest);
    assert!(start.since(earliest) < 1_000 && latest.since(start.plus(5_000_000_123)) < 1_000);
}

/// The table as a version without `lacking` created it, with one segment.
async fn create_without(directory: &FilePath, lacking: &[&str]) {
    let table = directory.join("spans");
    std::fs::create_dir_all(&table).unwrap();
    let fields = columns::of(Table::Spans).unwrap();
    let fields: Vec<_> = fields.fields().filter(|field| !lacking.contains(&field.name().as_str())).cloned().collect();
    let created = CreateBuilder::new()
        .with_log_store(builder(Table::Spans, &table).unwrap().log_store())
        .with_columns(fields)
        .with_partition_columns([DATE])
        .await
        .unwrap();
    let mut catalog = DeltaCatalog::from_table(Table::Spans, created, "collector-1".to_owned()).await.unwrap();
    catalog.commit(1, &[segment(1)], &[]).await.unwrap();
}

fn has_column(catalog: &DeltaCatalog, name: &str) -> bool {
    catalog.state.schema().field(name).is_some()
}

#[tokio::test]
async fn a_table_of_an_earlier_version_gets_its_new_columns_once_and_keeps_its_segments() {
    let directory = tempfile::tempdir().unwrap();
    create_without(directory.path(), &[spans::CRITICAL_NS, spans::PATH_ID, spans::EXCEPTION_TYPE]).await;

    let read = DeltaCatalog::open_existing(Table::Spans, directory.path(), "collector-1".to_owned()).await;
    let read = read.unwrap().unwrap();
    assert_eq!((read.version(), has_column(&read, spans::PATH_ID)), (1, false), "reading writes nothing");

    let mut catalog = open(directory.path()).await;
    assert_eq!(
        (catalog.version(), catalog.committed_epoch(), catalog.segments().len()),
        (3, 1, 1),
        "columns and properties"
    );
    let added = [spans::CRITICAL_NS, spans::PATH_ID, spans::EXCEPTION_TYPE];
    assert!(added.iter().all(|name| has_column(&catalog, name)));
    catalog.commit(2, &[segment(2)], &[]).await.unwrap();

    let again = open(directory.path()).await;
    assert_eq!((again.version(), again.committed_epoch(), again.segments().len()), (4, 2, 2));
}

#[tokio::test]
async fn a_table_without_a_column_that_every_row_needs_is_refused_by_name_and_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    create_without(directory.path(), &[spans::SELF_NS, spans::PATH_ID]).await;
    let collector = || "collector-1".to_owned();
    let written = DeltaCatalog::open_or_create(Table::Spans, directory.path(), collector()).await.err();
    let read = DeltaCatalog::open_existing(Table::Spans, directory.path(), collector()).await.err();
    for error in [written, read] {
        let error = error.unwrap();
        assert_eq!(error.to_string(), "table spans: compare the table's columns");
        assert_eq!(
            std::error::Error::source(&error).unwrap().to_string(),
            "column self_ns is missing, so another version of spanhouse wrote this table; use that version, or another \
             data directory"
        );
    }
    let log = std::fs::read_dir(directory.path().join("spans/_delta_log")).unwrap();
    let entries = log.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "json"));
    assert_eq!(entries.count(), 2);
}
