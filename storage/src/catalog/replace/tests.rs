use std::path::Path as FilePath;

use super::*;
use crate::catalog::ColumnRanges;

fn segment(number: u64) -> NewSegment {
    NewSegment {
        segment: Segment {
            location: Path::from(format!("spans/date=2026-01-01/c0ffee-{number:010}.parquet")),
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

fn location(number: u64) -> Path {
    segment(number).segment.location
}

async fn open(directory: &FilePath) -> DeltaCatalog {
    DeltaCatalog::open_or_create(Table::Spans, directory, "c0ffee".to_owned()).await.unwrap()
}

fn live(catalog: &DeltaCatalog) -> Vec<Path> {
    let mut live: Vec<Path> = catalog.segments().iter().map(|segment| segment.location.clone()).collect();
    live.sort();
    live
}

/// The last entry of the table's log, a line an action.
fn last_entry(directory: &FilePath, version: i64) -> Vec<serde_json::Value> {
    let path = directory.join(format!("spans/_delta_log/{version:020}.json"));
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

const NOW: UnixNanos = UnixNanos(1_700_000_000_123_000_000);

#[tokio::test]
async fn a_merge_is_one_commit_that_changes_no_data_and_no_epoch() {
    let directory = tempfile::tempdir().unwrap();
    let mut catalog = open(directory.path()).await;
    for epoch in 1..=3 {
        catalog.commit(epoch, &[segment(epoch)], &[]).await.unwrap();
    }
    let version = catalog.version();
    catalog.replace(&[location(1), location(2)], &[segment(9)], &[], Replacing::Merged, NOW).await.unwrap();
    assert_eq!(catalog.version(), version + 1);
    let entry = last_entry(directory.path(), catalog.version());
    let of = |action: &str| entry.iter().filter_map(|line| line.get(action)).collect::<Vec<_>>();
    assert_eq!((of("remove").len(), of("add").len(), of("txn").len()), (2, 1, 0));
    assert_eq!(of("commitInfo")[0]["operation"], "OPTIMIZE");
    for change in of("remove").into_iter().chain(of("add")) {
        assert_eq!(change["dataChange"], false);
    }
    assert_eq!(of("remove")[0]["deletionTimestamp"], 1_700_000_000_123_i64);
    for mut found in [catalog, open(directory.path()).await] {
        assert_eq!(live(&found), [location(3), location(9)]);
        assert_eq!(found.committed_epoch(), 3);
        let removed = found.files().await.unwrap().removed().await.unwrap();
        assert_eq!(removed, HashMap::from([(location(1), NOW), (location(2), NOW)]));
    }
}

#[tokio::test]
async fn what_expires_changes_data() {
    let directory = tempfile::tempdir().unwrap();
    let mut catalog = open(directory.path()).await;
    catalog.commit(1, &[segment(1)], &[]).await.unwrap();
    catalog.replace(&[location(1)], &[], &[], Replacing::Expired, NOW).await.unwrap();
    let entry = last_entry(directory.path(), catalog.version());
    assert!(entry.iter().any(|line| line["remove"]["dataChange"] == true));
    assert!(entry.iter().any(|line| line["commitInfo"]["operation"] == "DELETE"));
    assert_eq!(live(&open(directory.path()).await), []);
}

#[tokio::test]
async fn a_replacement_that_is_there_changes_nothing_and_one_of_what_is_gone_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut catalog = open(directory.path()).await;
    catalog.commit(1, &[segment(1), segment(2)], &[]).await.unwrap();
    let both = [location(1), location(2)];
    catalog.replace(&both, &[segment(9)], &[], Replacing::Merged, NOW).await.unwrap();
    let version = catalog.version();
    catalog.replace(&both, &[segment(9)], &[], Replacing::Merged, NOW).await.unwrap();
    assert_eq!(catalog.version(), version);
    let refused = catalog.replace(&[location(2), location(9)], &[segment(10)], &[], Replacing::Merged, NOW).await;
    assert!(matches!(refused, Err(Error::Busy(_))), "{refused:?}");
    assert_eq!((catalog.version(), live(&catalog)), (version, vec![location(9)]));
}

#[tokio::test]
async fn a_replacement_whose_outcome_was_lost_is_found_in_the_log_and_never_made_twice() {
    let directory = tempfile::tempdir().unwrap();
    let mut catalog = open(directory.path()).await;
    catalog.commit(1, &[segment(1), segment(2)], &[]).await.unwrap();
    let both = [location(1), location(2)];
    let mut unaware = open(directory.path()).await;
    catalog.replace(&both, &[segment(9)], &[], Replacing::Merged, NOW).await.unwrap();
    unaware.replace(&both, &[segment(9)], &[], Replacing::Merged, NOW).await.unwrap();
    assert_eq!((unaware.version(), live(&unaware)), (2, vec![location(9)]));

    // What comes second with another result must not be there as well.
    let mut unaware = open(directory.path()).await;
    catalog.commit(2, &[segment(3)], &[]).await.unwrap();
    catalog.replace(&[location(9), location(3)], &[segment(10)], &[], Replacing::Merged, NOW).await.unwrap();
    let refused = unaware.replace(&[location(9)], &[segment(11)], &[], Replacing::Merged, NOW).await;
    assert!(matches!(refused, Err(Error::Busy(_))), "{refused:?}");
    assert_eq!(live(&open(directory.path()).await), [location(10)]);
}

#[tokio::test]
async fn a_replacement_does_not_lose_to_flushes_that_come_first() {
    let directory = tempfile::tempdir().unwrap();
    let mut catalog = open(directory.path()).await;
    catalog.commit(1, &[segment(1), segment(2)], &[]).await.unwrap();
    let mut unaware = open(directory.path()).await;
    catalog.commit(2, &[segment(3)], &[]).await.unwrap();
    unaware.replace(&[location(1), location(2)], &[segment(9)], &[], Replacing::Merged, NOW).await.unwrap();
    assert_eq!((unaware.committed_epoch(), live(&unaware)), (2, vec![location(3), location(9)]));
}

#[tokio::test]
async fn removed_files_stay_known_over_checkpoints() {
    let directory = tempfile::tempdir().unwrap();
    let mut catalog = open(directory.path()).await;
    let now = crate::Clock::now(&crate::SystemClock);
    for epoch in 1..=150 {
        catalog.commit(epoch, &[segment(epoch)], &[]).await.unwrap();
        if epoch % 10 == 0 {
            let removed: Vec<Path> = catalog.segments().iter().map(|segment| segment.location.clone()).collect();
            catalog.replace(&removed, &[segment(1_000 + epoch)], &[], Replacing::Merged, now).await.unwrap();
        }
        catalog.maintain().await.unwrap();
    }
    let mut found = open(directory.path()).await;
    assert_eq!(live(&found), [location(1_150)]);
    assert_eq!(found.files().await.unwrap().removed().await.unwrap().len(), 150 + 14);
}
