//! Merges and the vacuum on a real directory: what queries see never changes, whatever fails.

use super::faulty::{Fault, Faults, SetClock};
use super::*;
use crate::compact::{self, Vacuumed};
use crate::{CompactSettings, segment};

const KEEP: Duration = Duration::from_secs(600);

/// A store whose merges begin at four segments, and only when they are asked for.
struct Rig {
    directory: tempfile::TempDir,
    faults: Faults,
    clock: Arc<SetClock>,
}

impl Rig {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), faults: Faults::default(), clock: SetClock::new() }
    }

    fn config() -> Config {
        let compaction =
            CompactSettings { enabled: false, merge_segments: 4, keep_replaced: KEEP, ..CompactSettings::default() };
        Config { compaction, ..config() }
    }

    async fn open(&self) -> Store {
        self.open_with(Self::config()).await
    }

    async fn open_with(&self, config: Config) -> Store {
        let directory = DataDirectory::new(self.directory.path());
        let open_disk = |wal: &Path| Ok(Arc::new(LocalDisk::open(wal.to_owned())?) as Arc<dyn wal::Disk>);
        let clock: Arc<dyn Clock> = self.clock.clone();
        Store::open_on(directory, config, clock, Arc::new(PairDecoder), open_disk, |objects| self.faults.on(objects))
            .await
            .unwrap()
    }

    /// Names of the files of `spans`, sorted.
    fn files(&self) -> Vec<String> {
        let found = std::fs::read_dir(self.directory.path().join("tables/spans/date=2023-11-14")).unwrap();
        let mut names: Vec<String> = found.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// Flushes a trace of one span each.
async fn flush_traces(store: &Store, numbers: std::ops::Range<u8>) {
    for number in numbers {
        append(store, &[(number, number)]).await;
        store.decide(vec![keep(number)]).await.unwrap();
        store.flush().await.unwrap();
    }
}

fn numbers(range: std::ops::Range<u8>) -> Vec<(u8, u8)> {
    range.map(|number| (number, number)).collect()
}

async fn vacuum(store: &Store, at_start: bool) -> Vacuumed {
    store.ask(|done| Ask::Vacuum { at_start, done }).await.unwrap()
}

fn live(store: &Store) -> usize {
    store.status().tables[0].segments
}

#[tokio::test(flavor = "multi_thread")]
async fn merges_change_nothing_that_a_query_sees_also_after_a_restart() {
    let rig = Rig::new();
    let store = rig.open().await;
    flush_traces(&store, 0..9).await;
    let held = store.snapshot().unwrap();
    let report = store.compact(false).await.unwrap();
    // Spans, traces, span_metrics: two merges of four each. Paths: there is one path, and one segment.
    assert_eq!((report.merges, report.segments_before, report.segments_after), (6, 28, 10));
    assert_eq!(live(&store), 3);
    assert_eq!(seen(&store).await, numbers(0..9));
    assert_eq!(digests(&store).await, 9);
    // What a query had before it can still read.
    for segment in &held.spans.segments {
        assert_eq!(read_segment(&store, segment).await[0].num_rows(), 1);
    }
    let merged = store.snapshot().unwrap().spans.segments.clone();
    let merged = merged.iter().find(|segment| segment.row_count == 4).unwrap();
    let rows = read_segment(&store, merged).await;
    let starts = rows[0].column_by_name("start_nanos").unwrap();
    let starts: Vec<i32> = arrow::array::AsArray::as_primitive::<arrow::datatypes::Int32Type>(starts).values().to_vec();
    assert!(starts.is_sorted() && merged.start_range.is_some(), "{starts:?}");
    assert_eq!(store.compact(false).await.unwrap().merges, 0);
    assert_eq!(store.compact(true).await.unwrap().segments_after, 4, "one a table; it has no edges");
    flush_traces(&store, 9..11).await;
    drop(store);
    let store = rig.open().await;
    assert_eq!(seen(&store).await, numbers(0..11));
    assert_eq!((live(&store), digests(&store).await), (3, 11));
    // Epochs go on where they were.
    flush_traces(&store, 11..12).await;
    assert_eq!(seen(&store).await, numbers(0..12));
    let status = store.status().compaction;
    assert_eq!((status.failures, status.last_error), (0, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_decided_is_remembered_from_merged_segments() {
    let rig = Rig::new();
    let store = rig.open().await;
    flush_traces(&store, 0..4).await;
    store.compact(false).await.unwrap();
    drop(store);
    let store = rig.open().await;
    let mut known = 0;
    append(&store, &(0..4).map(|trace| (trace, 99)).collect::<Vec<_>>()).await;
    store.pending(|before, _, _| known += usize::from(before.is_some()));
    assert_eq!(known, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn replaced_files_go_when_they_were_out_of_the_table_for_long_enough_and_never_sooner() {
    let rig = Rig::new();
    let store = rig.open().await;
    flush_traces(&store, 0..5).await;
    store.compact(false).await.unwrap();
    rig.clock.advance(KEEP - Duration::from_secs(1));
    assert_eq!(vacuum(&store, false).await.deleted, 0);
    assert_eq!(rig.files().len(), 6);
    drop(store);
    // A restart forgets nothing, and hurries nothing.
    let store = rig.open().await;
    assert_eq!(vacuum(&store, true).await.deleted, 0);
    let waiting = store.status().compaction;
    assert_eq!(waiting.waiting_files, 4 * 3, "of spans, traces and span_metrics");
    assert!(waiting.waiting_bytes > 0);
    rig.clock.advance(Duration::from_secs(2));
    assert_eq!(vacuum(&store, false).await.deleted, 4 * 3);
    let files = rig.files();
    assert!(files.len() == 2 && files.iter().any(|name| name.contains("-compacted1-")), "{files:?}");
    assert_eq!(seen(&store).await, numbers(0..5));
    assert_eq!(vacuum(&store, false).await, Vacuumed::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_that_cannot_write_leaves_everything_as_it_was_and_nothing_behind() {
    let rig = Rig::new();
    let store = rig.open().await;
    flush_traces(&store, 0..4).await;
    let (files, version) = (rig.files(), store.status().tables[0].version);
    for fault in [Fault::Part, Fault::Complete] {
        rig.faults.set(fault);
        let failed = store.compact(false).await;
        assert!(matches!(failed, Err(Error::Write { .. })), "{fault:?}: {failed:?}");
        assert_eq!((rig.files(), store.status().tables[0].version), (files.clone(), version), "{fault:?}");
        assert_eq!(seen(&store).await, numbers(0..4));
    }
    rig.faults.set(Fault::None);
    assert_eq!(store.compact(false).await.unwrap().merges, 3);
    assert_eq!(seen(&store).await, numbers(0..4));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_kill_between_file_and_commit_leaves_goes_with_the_next_start() {
    let rig = Rig::new();
    let store = rig.open().await;
    flush_traces(&store, 0..4).await;
    let segments = store.snapshot().unwrap().spans.segments.clone();
    let settings = Rig::config().compaction;
    let planned = compact::plan(&segments, rig.clock.now(), &settings, false).remove(0);
    let shared = &store.shared;
    compact::write(Table::Spans, Arc::default(), &planned, &shared.objects, &shared.collector, rig.clock.now())
        .await
        .unwrap();
    let part = rig.directory.path().join("tables/spans/date=2023-11-14/c-1-compacted1-2.parquet#77");
    std::fs::write(&part, "half").unwrap();
    assert_eq!(rig.files().len(), 6);
    drop(store);
    let store = rig.open().await;
    assert!(!part.exists());
    assert_eq!(seen(&store).await, numbers(0..4));
    vacuum(&store, true).await;
    assert_eq!(rig.files().len(), 4);
    assert_eq!(store.compact(false).await.unwrap().merges, 3);
    assert_eq!(seen(&store).await, numbers(0..4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ends_within_a_merge_leaves_a_whole_store() {
    let rig = Rig::new();
    {
        let store = rig.open().await;
        flush_traces(&store, 0..4).await;
        rig.faults.set(Fault::Hang);
        let merging = store.compact(false);
        assert!(tokio::time::timeout(Duration::from_millis(200), merging).await.is_err());
    }
    rig.faults.set(Fault::None);
    let store = rig.open().await;
    assert_eq!(seen(&store).await, numbers(0..4));
    assert_eq!(store.compact(false).await.unwrap().merges, 3);
    assert_eq!(seen(&store).await, numbers(0..4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_that_takes_long_delays_no_flush() {
    let rig = Rig::new();
    let store = rig.open().await;
    flush_traces(&store, 0..4).await;
    rig.faults.set(Fault::Hang);
    let merging = {
        let store = store.clone();
        tokio::spawn(async move { store.compact(false).await })
    };
    tokio::time::sleep(Duration::from_millis(50)).await;
    let flushes = flush_traces(&store, 4..8);
    tokio::time::timeout(Duration::from_secs(20), flushes).await.unwrap();
    assert!(!merging.is_finished());
    assert_eq!(live(&store), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn flushes_and_merges_at_once_lose_and_double_nothing() {
    let rig = Rig::new();
    let compaction = CompactSettings { enabled: true, ..Rig::config().compaction };
    let store = rig.open_with(Config { compaction, ..Rig::config() }).await;
    let merging = {
        let store = store.clone();
        tokio::spawn(async move {
            let mut merges = 0;
            while merges < 6 {
                merges += store.compact(false).await.unwrap().merges;
            }
        })
    };
    for number in 0..40 {
        flush_traces(&store, number..number + 1).await;
        assert_eq!(seen(&store).await, numbers(0..number + 1));
    }
    merging.await.unwrap();
    store.close().await.unwrap();
    drop(store);
    let store = rig.open().await;
    assert_eq!(seen(&store).await, numbers(0..40));
    assert_eq!(digests(&store).await, 40);
    store.compact(true).await.unwrap();
    assert_eq!((live(&store), seen(&store).await), (1, numbers(0..40)));
}

#[tokio::test(flavor = "multi_thread")]
async fn flushes_that_lag_do_not_keep_merges_away() {
    let rig = Rig::new();
    // Every decision is an epoch of its own, and they come faster than they are flushed.
    let store = rig.open_with(Config { flush_bytes: 1, ..Rig::config() }).await;
    flush_traces(&store, 0..4).await;
    let feeding = {
        let store = store.clone();
        tokio::spawn(async move {
            for round in 0_usize.. {
                let (trace, span) = ((round % 200 + 10) as u8, (round / 200 % 100) as u8);
                append(&store, &[(trace, span)]).await;
                store.decide(vec![keep(trace)]).await.unwrap();
            }
        })
    };
    while lock(&store.shared.memory).sealed.len() < 5 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let merged = async {
        while store.status().compaction.merges == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        lock(&store.shared.memory).sealed.len()
    };
    let asked = {
        let store = store.clone();
        tokio::spawn(async move { store.compact(true).await })
    };
    let lagging = tokio::time::timeout(Duration::from_secs(20), merged).await.unwrap();
    assert!(lagging > 0, "they lag still");
    // It ends although there is always something new.
    tokio::time::timeout(Duration::from_secs(20), asked).await.unwrap().unwrap().unwrap();
    assert!(!feeding.is_finished());
    feeding.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_whose_merge_fails_are_left_alone_and_others_are_merged() {
    let rig = Rig::new();
    let store = rig.open().await;
    flush_traces(&store, 0..4).await;
    let broken = store.snapshot().unwrap().traces.segments[0].location.to_string();
    let path = rig.directory.path().join("tables").join(broken);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, vec![0; bytes.len()]).unwrap();
    assert!(store.compact(false).await.is_err());
    drop(store);
    std::fs::write(&path, &bytes).unwrap();
    let store = rig.open_with(Config {
        compaction: CompactSettings { enabled: true, ..Rig::config().compaction },
        ..Rig::config()
    });
    let store = store.await;
    std::fs::write(&path, vec![0; bytes.len()]).unwrap();
    let merged = async {
        while live(&store) > 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), merged).await.unwrap();
    let status = store.status();
    assert_eq!((status.tables[1].segments, status.compaction.failures), (4, 1));
    assert!(status.compaction.last_error.is_some_and(|error| error.contains("segment traces/")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_that_panics_over_a_file_says_that_it_is_damaged() {
    let rig = Rig::new();
    let store = rig.open().await;
    flush_traces(&store, 0..4).await;
    let broken = store.snapshot().unwrap().traces.segments[0].location.to_string();
    let path = rig.directory.path().join("tables").join(broken);
    std::fs::write(&path, segment::spoiled(&std::fs::read(&path).unwrap().into())).unwrap();
    let failed = store.compact(false).await.unwrap_err();
    assert!(matches!(&failed, Error::Damaged { what, .. } if what.contains("segment of traces")), "{failed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_with_its_reason_and_damages_nothing() {
    let rig = Rig::new();
    let store = rig.open_with(Config { memory_bytes: 1, flush_bytes: 1, ..Rig::config() }).await;
    append(&store, &[(1, 1)]).await;
    store.decide(vec![keep(1)]).await.unwrap();
    rig.faults.set(Fault::Put);
    assert!(matches!(store.flush().await, Err(Error::Busy(why)) if why.contains("no storage space")));
    let refused = request(&[(2, 2)]);
    let batch = PairDecoder.decode(&refused).unwrap();
    let answer = store.append(refused.clone(), batch.clone()).await;
    assert!(
        matches!(&answer, Err(Error::Busy(why)) if why.contains("the last flush failed") && why.contains("no storage space")),
        "{answer:?}"
    );
    assert_eq!(seen(&store).await, [(1, 1)]);
    rig.faults.set(Fault::None);
    // It is tried again by itself.
    let flushed = async {
        while store.flush().await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), flushed).await.unwrap();
    assert_eq!(store.append(refused, batch).await.unwrap(), Appended::Stored);
    drop(store);
    assert_eq!(seen(&rig.open().await).await, [(1, 1), (2, 2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_old_expires_in_all_tables_and_another_retention_takes_effect_at_once() {
    let rig = Rig::new();
    let store = rig.open().await;
    flush_traces(&store, 0..3).await;
    let (in_force, planned) = store.expiring().await.unwrap();
    assert_eq!((in_force, planned.expiring), (crate::RetentionSettings::default(), Vec::new()));
    let version = store.status().tables[0].version;
    // Its spans are of 2023.
    let long =
        crate::RetentionSettings { max_age: Some(Duration::from_secs(100 * 365 * 86_400)), ..Default::default() };
    store.set_retention(long).await.unwrap();
    assert_eq!((store.status().tables[0].version, live(&store)), (version, 3));
    let held = store.snapshot().unwrap();
    let day = crate::RetentionSettings { max_age: Some(Duration::from_secs(86_400)), ..Default::default() };
    let refused = store.set_retention(crate::RetentionSettings { max_bytes: Some(0), ..day.clone() }).await;
    assert!(matches!(refused, Err(Error::Config(_))));
    store.set_retention(day.clone()).await.unwrap();
    let segments: Vec<usize> = store.status().tables.iter().map(|table| table.segments).collect();
    assert_eq!(segments, [0, 0, 0, 0, 1], "paths are of no time");
    assert_eq!((seen(&store).await, digests(&store).await), (vec![], 0));
    let status = store.status().retention;
    assert_eq!((status.expired_segments, status.expired_rows, status.last_error), (9, 9, None));
    // Queries that run still find their files.
    assert_eq!(read_segment(&store, &held.spans.segments[0]).await[0].num_rows(), 1);
    rig.clock.advance(KEEP);
    assert_eq!(vacuum(&store, false).await.deleted, 9);
    drop(store);
    let store = rig.open().await;
    assert_eq!(seen(&store).await, []);
    flush_traces(&store, 5..6).await;
    assert_eq!(seen(&store).await, numbers(5..6));
    drop(store);
    let planned = crate::retention::dry_run(rig.directory.path(), &day, rig.clock.now()).await.unwrap().expiring;
    assert_eq!(planned.iter().map(|of| of.segments).sum::<u64>(), 3);
    assert_eq!(planned[0].table, Table::Spans);
    let store = rig.open().await;
    assert_eq!(seen(&store).await, numbers(5..6), "a dry run changes nothing");
}
