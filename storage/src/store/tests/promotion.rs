//! Frequent attributes get columns with the flush that makes them frequent.

use super::faulty::{Fault, Faults};
use super::*;
use crate::schema::promoted::{Keys, Promoted};

/// More spans than it takes to tell what is frequent; each has the integer `number`.
async fn append_many(store: &Store, first_trace: u8) {
    for trace in first_trace..first_trace + 11 {
        append(store, &(0..100).map(|span| (trace, span)).collect::<Vec<_>>()).await;
    }
    store.decide((first_trace..first_trace + 11).map(keep).collect()).await.unwrap();
}

fn expected() -> Vec<Promoted> {
    vec![Promoted::parse("attributes__int__number").unwrap()]
}

fn promoted(source: &dyn SnapshotSource) -> (Vec<Promoted>, Vec<usize>) {
    let snapshot = source.snapshot().unwrap();
    let mut segments = snapshot.spans.segments.clone();
    segments.sort_by(|one, other| one.location.cmp(&other.location));
    assert!(segments.iter().all(|segment| segment.keys.mixed.is_empty()));
    (snapshot.spans.promoted.to_vec(), segments.iter().map(|segment| segment.keys.promoted).collect())
}

#[tokio::test]
async fn a_key_is_promoted_with_the_flush_that_makes_it_frequent_and_stays_so() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    append(&store, &[(200, 1)]).await;
    store.decide(vec![keep(200)]).await.unwrap();
    store.flush().await.unwrap();
    assert_eq!(promoted(&store), (Vec::new(), vec![0]), "one span says nothing");
    append_many(&store, 0).await;
    store.flush().await.unwrap();
    assert_eq!(promoted(&store), (expected(), vec![0, 1]));
    let all = seen(&store).await;
    let snapshot = store.snapshot().unwrap();
    for segment in &snapshot.spans.segments {
        let batches = read_segment(&store, segment).await;
        let has_column = batches[0].column_by_name("attributes__int__number").is_some();
        assert_eq!(has_column, segment.keys == Keys { promoted: 1, mixed: Vec::new() });
    }
    store.close().await.unwrap();
    drop(store);

    let config = config();
    let reader = ReadOnlyStore::open(directory.path(), &config, &crate::SystemClock, Arc::new(PairDecoder));
    let reader = reader.await.unwrap();
    assert_eq!(promoted(&reader), (expected(), vec![0, 1]));
    drop(reader);
    // What is promoted stays so, also for a process that has not counted anything.
    let store = open(directory.path()).await;
    append(&store, &[(201, 1)]).await;
    store.decide(vec![keep(201)]).await.unwrap();
    store.flush().await.unwrap();
    assert_eq!(promoted(&store), (expected(), vec![0, 1, 1]));
    assert_eq!(seen(&store).await.len(), all.len() + 1);
}

#[tokio::test]
async fn a_flush_that_fails_leaves_the_columns_as_they_are_and_is_made_again_with_them() {
    let directory = tempfile::tempdir().unwrap();
    let faults = Faults::default();
    let found = recovery::DataDirectory::new(directory.path());
    let open_disk = |wal: &Path| Ok(Arc::new(LocalDisk::open(wal.to_owned())?) as Arc<dyn wal::Disk>);
    let clock = Arc::new(crate::SystemClock);
    let store = Store::open_on(found, config(), clock, Arc::new(PairDecoder), open_disk, |objects| faults.on(objects));
    let store = store.await.unwrap();
    append_many(&store, 0).await;
    faults.set(Fault::Put);
    store.flush().await.unwrap_err();
    assert_eq!(promoted(&store), (Vec::new(), Vec::new()));
    faults.set(Fault::None);
    append(&store, &[(200, 1)]).await;
    store.decide(vec![keep(200)]).await.unwrap();
    let mut tries = 0;
    while store.flush().await.is_err() {
        tries += 1;
        assert!(tries < 100);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(promoted(&store), (expected(), vec![1, 1]));
}

#[tokio::test]
async fn without_columns_nothing_is_promoted() {
    let directory = tempfile::tempdir().unwrap();
    let config = Config { promotion: crate::PromotionSettings { columns: 0, share: 0.01 }, ..config() };
    let clock = Arc::new(crate::SystemClock);
    let store = Store::open(directory.path(), config, clock, Arc::new(PairDecoder)).await.unwrap();
    append_many(&store, 0).await;
    store.flush().await.unwrap();
    assert_eq!(promoted(&store), (Vec::new(), vec![0]));
}
