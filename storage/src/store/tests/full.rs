//! A disk without room: nothing is lost, nobody waits for ever, and what is stored can be queried.

use super::faulty::{Fault, Faults, FaultyDisk};
use super::*;

const ROOM_FOR_A_CLOSE: Duration = Duration::from_secs(20);

async fn open_on(directory: &Path, faults: &Faults) -> Result<Store> {
    let open_disk = |wal: &Path| {
        let inner = LocalDisk::open(wal.to_owned())?;
        Ok(Arc::new(FaultyDisk { inner, faults: faults.clone() }) as Arc<dyn wal::Disk>)
    };
    let wal = wal::WalConfig { file_bytes: 1 << 16, ..wal::WalConfig::default() };
    let config = Config { wal, ..config() };
    let found = DataDirectory::new(directory);
    let clock = Arc::new(crate::SystemClock);
    Store::open_on(found, config, clock, Arc::new(PairDecoder), open_disk, |objects| faults.on(objects)).await
}

/// Requests until one waits for room: what was acknowledged.
async fn fill(store: &Store) -> (Vec<(u8, u8)>, tokio::task::JoinHandle<Result<Appended>>) {
    let mut acknowledged = Vec::new();
    for number in 0..200 {
        let spans: Vec<(u8, u8)> = (0..100).map(|span| (number, span)).collect();
        let request = Request { judged_by: Bytes::from_static(&[0; 255]), ..request(&spans) };
        let batch = PairDecoder.decode(&request).unwrap();
        let store = store.clone();
        let mut stored = tokio::spawn(async move { store.append(request, batch).await });
        match tokio::time::timeout(Duration::from_secs(1), &mut stored).await {
            Ok(done) => assert_eq!(done.unwrap().unwrap(), Appended::Stored),
            Err(_) => return (acknowledged, stored),
        }
        acknowledged.extend(spans);
    }
    panic!("all requests had room");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_closes_on_a_full_disk_and_says_what_it_lacks() {
    let directory = tempfile::tempdir().unwrap();
    let faults = Faults::default();
    let store = open_on(directory.path(), &faults).await.unwrap();
    append(&store, &[(220, 0)]).await;
    store.decide(vec![keep(220)]).await.unwrap();
    faults.set(Fault::Put);
    let (mut acknowledged, waiting) = fill(&store).await;
    acknowledged.push((220, 0));
    assert!(acknowledged.len() > 1_000 && !waiting.is_finished());

    store.stop_waiting();
    let refused = tokio::time::timeout(ROOM_FOR_A_CLOSE, waiting).await.unwrap().unwrap();
    assert!(matches!(refused, Err(Error::Closed)), "{refused:?}");
    let closed = tokio::time::timeout(ROOM_FOR_A_CLOSE, store.close()).await.unwrap().unwrap_err();
    let wal = directory.path().canonicalize().unwrap().join("wal");
    let lacking = format!("the disk of {} has no room for a log file of 65536 bytes: ", wal.display());
    assert!(with_causes(&closed).starts_with(&format!("cannot write the WAL: {lacking}")), "{}", with_causes(&closed));
    drop(store);

    // Without room it can be asked, and closed again.
    let store = open_on(directory.path(), &faults).await.unwrap();
    assert_eq!(seen(&store).await, acknowledged);
    let closed = tokio::time::timeout(ROOM_FOR_A_CLOSE, store.close()).await.unwrap();
    assert!(closed.is_err());
    drop(store);

    faults.set(Fault::None);
    let store = open_on(directory.path(), &faults).await.unwrap();
    append(&store, &[(221, 0)]).await;
    acknowledged.push((221, 0));
    assert_eq!(seen(&store).await, acknowledged);
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_closes_although_what_is_in_memory_cannot_become_segments() {
    let directory = tempfile::tempdir().unwrap();
    let faults = Faults::default();
    let store = open_on(directory.path(), &faults).await.unwrap();
    append(&store, &[(1, 0)]).await;
    store.decide(vec![keep(1)]).await.unwrap();
    faults.set(Fault::Put);
    let closed = tokio::time::timeout(ROOM_FOR_A_CLOSE, store.close()).await.unwrap().unwrap_err();
    assert!(closed.to_string().starts_with("flush epoch 1 is not in segments yet: "), "{closed}");
    drop(store);
    faults.set(Fault::None);
    assert_eq!(seen(&open_on(directory.path(), &faults).await.unwrap()).await, [(1, 0)]);
}
