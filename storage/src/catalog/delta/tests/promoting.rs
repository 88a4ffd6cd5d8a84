//! Columns of attributes come with the segments that have them, and the log says which those are.

use deltalake_core::TableProperty;

use super::*;
use crate::catalog::Replacing;
use crate::schema::FORMAT_VERSION;
use crate::schema::promoted::{Keys, PromotedType, Scope};

fn promoted(value_type: PromotedType, key: &str) -> Promoted {
    Promoted { scope: Scope::Attributes, value_type, key: key.into() }
}

fn text(key: &str) -> Promoted {
    promoted(PromotedType::Text, key)
}

/// A segment that was written when there were `count` columns.
fn written_for(epoch: u64, count: usize, mixed: &[&str]) -> NewSegment {
    let mixed = mixed.iter().map(|key| (Scope::Attributes, (*key).into())).collect();
    let new = segment(epoch);
    NewSegment { segment: Segment { keys: Keys { promoted: count, mixed }, ..new.segment }, ..new }
}

fn keys(catalog: &DeltaCatalog) -> Vec<Keys> {
    let mut segments = catalog.segments().to_vec();
    // Their names are numbers.
    segments.sort_by_key(|segment| (segment.location.as_ref().len(), segment.location.clone()));
    segments.iter().map(|segment| segment.keys.clone()).collect()
}

fn entry(directory: &FilePath, version: i64) -> Vec<Value> {
    let text = std::fs::read_to_string(directory.join(format!("spans/_delta_log/{version:020}.json"))).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn columns_come_in_one_commit_with_the_first_segments_that_have_them() {
    let directory = tempfile::tempdir().unwrap();
    let mut catalog = open(directory.path()).await;
    catalog.commit(1, &[segment(1)], &[]).await.unwrap();
    let first = [text("http.route"), promoted(PromotedType::Int, "http.route")];
    catalog.commit(2, &[written_for(2, 2, &["http.route"])], &first).await.unwrap();
    let lines = entry(directory.path(), catalog.version());
    let of = |action: &str| lines.iter().filter(|line| line.get(action).is_some()).count();
    assert_eq!((of("metaData"), of("add"), of("txn")), (1, 1, 1));
    let second = [promoted(PromotedType::Bool, "retried")];
    catalog.commit(3, &[written_for(3, 3, &[])], &second).await.unwrap();

    let all = [first.as_slice(), &second].concat();
    let expected_keys = [segment(1), written_for(2, 2, &["http.route"]), written_for(3, 3, &[])];
    let expected_keys = expected_keys.map(|new| new.segment.keys);
    let collector = "collector-1".to_owned();
    let read = DeltaCatalog::open_existing(Table::Spans, directory.path(), collector).await.unwrap().unwrap();
    for found in [&catalog, &read, &open(directory.path()).await] {
        assert_eq!(found.promoted()[..], all);
        assert_eq!(keys(found), expected_keys);
        let names: Vec<String> = found.state.schema().fields().map(|field| field.name().clone()).collect();
        let last: Vec<&str> = names.iter().rev().take(4).rev().map(String::as_str).collect();
        let expected =
            ["date", "attributes__text__http__route", "attributes__int__http__route", "attributes__bool__retried"];
        assert_eq!(last, expected);
    }
}

#[tokio::test]
async fn after_a_commit_that_failed_the_columns_are_those_of_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let mut catalog = open(directory.path()).await;
    let mut unaware = DeltaCatalog::open_or_create(Table::Spans, directory.path(), "other".to_owned()).await.unwrap();
    catalog.commit(1, &[written_for(1, 1, &[])], &[text("a")]).await.unwrap();
    let failed = unaware.commit(1, &[written_for(2, 1, &[])], &[text("b")]).await;
    assert!(matches!(failed, Err(Error::Catalog { .. })), "{failed:?}");
    assert_eq!((unaware.promoted()[..].to_vec(), unaware.committed_epoch()), (vec![text("a")], 0));
    // What was written for another list must not come, however often it is tried.
    let refused = unaware.commit(1, &[written_for(2, 1, &[])], &[text("b")]).await;
    assert!(matches!(refused, Err(Error::Busy(_))), "{refused:?}");
    unaware.commit(1, &[written_for(2, 2, &[])], &[text("b")]).await.unwrap();
    assert_eq!(open(directory.path()).await.promoted()[..], [text("a"), text("b")]);
}

#[tokio::test]
async fn checkpoints_and_merges_keep_what_is_said_of_attributes() {
    let directory = tempfile::tempdir().unwrap();
    let mut catalog = open(directory.path()).await;
    catalog.commit(1, &[written_for(1, 1, &["a"])], &[text("a")]).await.unwrap();
    catalog.commit(2, &[written_for(2, 1, &[])], &[]).await.unwrap();
    catalog.commit(3, &[written_for(3, 1, &[])], &[]).await.unwrap();
    let removed = [segment(2).segment.location, segment(3).segment.location];
    let now = UnixNanos(1_700_000_000_000_000_000);
    let merged = written_for(4, 2, &["b"]);
    catalog.replace(&removed, &[merged], &[text("b")], Replacing::Merged, now).await.unwrap();
    for epoch in 5.. {
        catalog.commit(epoch, &[written_for(epoch, 2, &[])], &[]).await.unwrap();
        if catalog.maintain().await.unwrap() {
            break;
        }
    }
    let before = keys(&catalog);
    assert_eq!((catalog.version(), before.len()), (100, 98));
    assert_eq!(before[..2], [written_for(1, 1, &["a"]), written_for(4, 2, &["b"])].map(|new| new.segment.keys));
    // Of all that came before it, the checkpoint alone.
    for version in 0..100 {
        std::fs::remove_file(directory.path().join(format!("spans/_delta_log/{version:020}.json"))).unwrap();
    }
    let mut found = open(directory.path()).await;
    assert_eq!((keys(&found), &found.promoted()[..]), (before, [text("a"), text("b")].as_slice()));
    found.commit(200, &[written_for(999, 3, &[])], &[text("c")]).await.unwrap();
    assert_eq!(keys(&open(directory.path()).await).len(), 99);
}

#[tokio::test]
async fn a_segment_with_more_columns_than_the_table_is_damage_and_not_guessed_at() {
    let directory = tempfile::tempdir().unwrap();
    let mut catalog = open(directory.path()).await;
    catalog.commit(1, &[written_for(1, 1, &[])], &[text("a")]).await.unwrap();
    let path = directory.path().join(format!("spans/_delta_log/{:020}.json", catalog.version()));
    let log = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, log.replace(r#""spanhouse.promoted":"1""#, r#""spanhouse.promoted":"2""#)).unwrap();
    let refused = DeltaCatalog::open_or_create(Table::Spans, directory.path(), "c0ffee".to_owned()).await.err();
    assert!(refused.unwrap().to_string().starts_with("the log of spans is damaged: spans/date=2026-01-01/1.parquet"));
}

async fn set_version(directory: &FilePath, version: Option<&str>) {
    let table = directory.join("spans");
    let mut opened = builder(Table::Spans, &table).unwrap();
    opened.load().await.unwrap();
    let key = "spanhouse.format_version";
    let metadata = opened.snapshot().unwrap().metadata().clone();
    let metadata = match version {
        Some(version) => metadata.add_config_key(key.to_owned(), version.to_owned()).unwrap(),
        None => metadata.remove_config_key(key).unwrap(),
    };
    let operation = DeltaOperation::SetTableProperties { properties: Default::default() };
    CommitBuilder::default()
        .with_actions(vec![Action::Metadata(metadata)])
        .build(Some(opened.snapshot().unwrap()), opened.log_store(), operation)
        .await
        .unwrap();
}

#[tokio::test]
async fn an_older_format_is_raised_by_who_writes_and_a_newer_one_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut catalog = open(directory.path()).await;
    catalog.commit(1, &[segment(1)], &[]).await.unwrap();
    let version = |catalog: &DeltaCatalog| {
        catalog.state.metadata().configuration().get("spanhouse.format_version").cloned().unwrap_or_default()
    };
    assert_eq!(version(&catalog), FORMAT_VERSION.to_string());
    let read = || DeltaCatalog::open_existing(Table::Spans, directory.path(), "c0ffee".to_owned());
    for older in [None, Some("3"), Some("4")] {
        set_version(directory.path(), older).await;
        let before = read().await.unwrap().unwrap();
        assert_eq!((version(&before), keys(&before).len()), (older.unwrap_or_default().to_owned(), 1));
        let raised = open(directory.path()).await;
        assert_eq!((version(&raised), raised.version()), (FORMAT_VERSION.to_string(), before.version() + 1));
        let retention = TableProperty::DeletedFileRetentionDuration;
        assert!(raised.state.metadata().configuration().contains_key(retention.as_ref()));
    }
    for newer in [(FORMAT_VERSION + 1).to_string(), "one".to_owned()] {
        set_version(directory.path(), Some(&newer)).await;
        let written = DeltaCatalog::open_or_create(Table::Spans, directory.path(), "c0ffee".to_owned()).await.err();
        for error in [written, read().await.err()] {
            let error = error.unwrap();
            assert_eq!(error.to_string(), "table spans: check the table's format");
            let cause = std::error::Error::source(&error).unwrap().to_string();
            let known = "this version of spanhouse knows formats up to";
            let start = format!("it has format {newer}, and {known} {FORMAT_VERSION}; use the");
            assert!(cause.starts_with(&start), "{cause}");
        }
    }
}
