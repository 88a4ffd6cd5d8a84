//! Rules on a real directory: the rows that they name go, once, and nothing else changes, whatever fails.

use super::faulty::{Fault, Faults, SetClock};
use super::*;
use crate::retention::{self, Expiring, Preview, Settled};
use crate::{CompactSettings, RetentionRule, compact, segment};

const KEEP: Duration = Duration::from_secs(600);
const DAY: Duration = Duration::from_secs(86_400);
/// The spans are of 2023, so they are older than a day and younger than this.
const LONG: Duration = Duration::from_secs(36_500 * 86_400);

/// Traces of even numbers are of `checkout`, others of `cart`; spans from 100 on are of `payment`, and failed.
#[derive(Debug)]
struct ShopDecoder;

impl Decoder for ShopDecoder {
    fn decode(&self, request: &Request) -> Result<SpanBatch, Box<dyn std::error::Error + Send + Sync>> {
        let mut builder = SpanBatchBuilder::default();
        let resource = builder.resource(|_| {});
        let services = ["checkout", "cart", "payment"].map(|name| builder.origin(resource, name, None, None));
        for pair in request.body.chunks_exact(2) {
            let failed = pair[1] >= 100;
            builder.attributes().push_int("number", i64::from(pair[1]));
            builder.append(&SpanFields {
                trace_id: trace(pair[0]),
                span_id: SpanId::from_bytes([pair[1] + 1; 8])?,
                parent_span_id: None,
                origin: services[if failed { 2 } else { usize::from(pair[0] % 2) }],
                span_name: "name".into(),
                kind: "server",
                status_code: if failed { "error" } else { "unset" },
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

struct Rig {
    directory: tempfile::TempDir,
    faults: Faults,
    clock: Arc<SetClock>,
}

impl Rig {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), faults: Faults::default(), clock: SetClock::new() }
    }

    async fn open(&self) -> Store {
        self.open_with(RetentionSettings::default()).await
    }

    async fn open_with(&self, retention: RetentionSettings) -> Store {
        let compaction =
            CompactSettings { enabled: false, merge_segments: 2, keep_replaced: KEEP, ..CompactSettings::default() };
        let config = Config { compaction, retention, ..config() };
        let directory = DataDirectory::new(self.directory.path());
        let open_disk = |wal: &Path| Ok(Arc::new(LocalDisk::open(wal.to_owned())?) as Arc<dyn wal::Disk>);
        let clock: Arc<dyn Clock> = self.clock.clone();
        Store::open_on(directory, config, clock, Arc::new(ShopDecoder), open_disk, |objects| self.faults.on(objects))
            .await
            .unwrap()
    }

    /// How many files of `spans` there are.
    fn files(&self) -> usize {
        std::fs::read_dir(self.directory.path().join("tables/spans/date=2023-11-14")).unwrap().count()
    }
}

/// A flush of these spans, all of whose traces are decided.
async fn flush(store: &Store, pairs: &[(u8, u8)], reason: &'static str) {
    let request = request(pairs);
    let batch = ShopDecoder.decode(&request).unwrap();
    store.append(request, batch).await.unwrap();
    let mut traces: Vec<u8> = pairs.iter().map(|(trace, _)| *trace).collect();
    traces.sort_unstable();
    traces.dedup();
    let decision = |trace| Decision { keep_reason: reason.into(), ..keep(trace) };
    store.decide(traces.into_iter().map(decision).collect()).await.unwrap();
    store.flush().await.unwrap();
}

fn rule(max_age: Duration, service: &str) -> RetentionRule {
    let services = Some(service.to_owned()).filter(|service| !service.is_empty()).into_iter().collect();
    RetentionRule { max_age, services, keep_reasons: Vec::new(), error: None }
}

fn rules(rules: Vec<RetentionRule>) -> RetentionSettings {
    RetentionSettings { rules, ..RetentionSettings::default() }
}

/// Puts it in force and waits until all that goes is gone.
async fn keep_to(store: &Store, settings: &RetentionSettings) {
    store.set_retention(settings.clone()).await.unwrap();
    expire_rows(store).await.unwrap();
}

async fn expire_rows(store: &Store) -> Result<u64> {
    store.ask(|done| Ask::ExpireRows { done }).await
}

async fn preview(store: &Store, settings: &RetentionSettings) -> Vec<Expiring> {
    let shared = &store.shared;
    whole(shared.preview(shared.tables(), settings, Settled::default()).await.unwrap())
}

/// What would go where everything reads.
#[track_caller]
fn whole(preview: Preview) -> Vec<Expiring> {
    assert!(preview.unread.is_empty(), "{:?}", preview.unread);
    preview.expiring
}

/// Rows that retention took out of each segment of `spans`, sorted.
fn expired(store: &Store) -> Vec<u64> {
    let snapshot = store.snapshot().unwrap();
    let mut expired: Vec<u64> = snapshot.spans.segments.iter().map(|segment| segment.expired_rows).collect();
    expired.sort_unstable();
    expired
}

fn version(store: &Store) -> i64 {
    store.status().tables[0].version
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_a_rule_names_go_and_what_is_left_says_how_many_through_merges_and_restarts() {
    let rig = Rig::new();
    let store = rig.open().await;
    flush(&store, &[(0, 0), (1, 1), (2, 2), (3, 3)], "normal").await;
    flush(&store, &[(4, 4), (5, 5)], "normal").await;
    flush(&store, &[(6, 6)], "normal").await;
    let held = store.snapshot().unwrap();
    keep_to(&store, &rules(vec![rule(DAY, "checkout")])).await;
    let left = [(1, 1), (3, 3), (5, 5)];
    assert_eq!((seen(&store).await, expired(&store)), (left.to_vec(), vec![1, 2]));
    assert_eq!(digests(&store).await, 7, "no trace is unknown");
    let status = store.status().retention;
    assert_eq!((status.expired_segments, status.expired_rows, status.last_error), (1, 4, None));
    assert!(status.expired_bytes > 0);
    // Queries that run still find their files.
    let rows: usize = read_segment(&store, &held.spans.segments[0]).await.iter().map(|batch| batch.num_rows()).sum();
    assert_eq!(rows, 4);
    let names: Vec<_> = store.snapshot().unwrap().spans.segments.iter().map(|of| of.location.to_string()).collect();
    assert!(names.iter().all(|name| name.contains("-compacted0-")), "{names:?}");

    // Nothing more is to be done, and nothing is.
    let before = version(&store);
    assert_eq!((expire_rows(&store).await.unwrap(), version(&store)), (0, before));
    drop(store);
    let store = rig.open_with(rules(vec![rule(DAY, "checkout")])).await;
    expire_rows(&store).await.unwrap();
    assert_eq!((version(&store), expired(&store)), (before, vec![1, 2]));

    store.compact(true).await.unwrap();
    assert_eq!((seen(&store).await, expired(&store)), (left.to_vec(), vec![3]));
    drop(store);
    let store = rig.open().await;
    assert_eq!(expired(&store), [3]);
    keep_to(&store, &rules(vec![RetentionRule { keep_reasons: vec!["normal".to_owned()], ..rule(DAY, "") }])).await;
    assert_eq!((seen(&store).await, expired(&store)), (vec![], vec![]));
    assert_eq!(digests(&store).await, 7);
    rig.clock.advance(KEEP);
    store.ask(|done| Ask::Vacuum { at_start: false, done }).await.unwrap();
    assert_eq!(rig.files(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_rule_keeps_longer_outlives_its_digest_also_if_the_failing_span_lies_elsewhere() {
    let rig = Rig::new();
    let store = rig.open().await;
    // The error of trace 0 lies in the second segment, and its digest, as of the decision, in the first says nothing of it.
    flush(&store, &[(0, 0), (1, 1), (2, 2), (2, 102)], "normal").await;
    flush(&store, &[(0, 100), (4, 4)], "normal").await;
    flush(&store, &[(6, 6), (6, 106)], "normal").await;
    // Late spans whose trace is known to have failed from its digest alone.
    flush(&store, &[(6, 7), (1, 8)], "normal").await;
    let of = RetentionSettings {
        max_age: Some(DAY),
        rules: vec![rule(LONG, "cart"), RetentionRule { error: Some(true), ..rule(LONG, "") }],
        ..RetentionSettings::default()
    };
    let planned = preview(&store, &of).await;
    keep_to(&store, &of).await;
    // Trace 0 failed after its digest was written, so only the failing segment's span shows it.
    assert_eq!(seen(&store).await, [(0, 100), (1, 1), (1, 8), (2, 2), (2, 102), (6, 6), (6, 7), (6, 106)]);
    assert_eq!(digests(&store).await, 0, "they follow max_age, once nothing needs them");
    assert_eq!(expired(&store), [0, 0, 1, 1]);
    let status = store.status().retention;
    assert_eq!(planned.iter().map(|of| of.rows).sum::<u64>(), status.expired_rows);
    let of_spans: Vec<_> = planned.iter().filter(|of| of.table == Table::Spans).collect();
    assert_eq!(of_spans.len(), 1);
    assert_eq!((of_spans[0].why.as_str(), of_spans[0].segments, of_spans[0].rows), ("max_age", 2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_then_goes_and_why_with_a_server_and_without() {
    let rig = Rig::new();
    let store = rig.open().await;
    flush(&store, &[(0, 0), (1, 1), (2, 2), (3, 3)], "normal").await;
    flush(&store, &[(4, 4), (6, 6)], "rare").await;
    flush(&store, &[(5, 5), (7, 7)], "rare").await;
    let of =
        rules(vec![rule(DAY, "checkout"), RetentionRule { keep_reasons: vec!["rare".to_owned()], ..rule(DAY, "") }]);
    let planned = preview(&store, &of).await;
    let bytes = |number: usize| store.snapshot().unwrap().spans.segments[number].size_bytes;
    let expected = [
        ("rule 1 (service checkout, 1 d)", 2, 4, bytes(0) / 2 + bytes(1)),
        ("rule 2 (keep_reason rare, 1 d)", 1, 2, bytes(2)),
    ];
    let expected = expected.map(|(why, segments, rows, bytes)| Expiring {
        table: Table::Spans,
        date: Some("2023-11-14".to_owned()),
        why: why.to_owned(),
        segments,
        rows,
        bytes,
    });
    assert_eq!(planned, expected);
    // What is too much is so of what rules leave.
    let all = store.status().tables.iter().map(|table| table.bytes).sum::<u64>();
    let within = |max_bytes| RetentionSettings { max_bytes: Some(max_bytes), ..of.clone() };
    assert_eq!(preview(&store, &within(all - 1)).await, expected);
    // Far beyond the limit nothing waits for rules.
    let far_beyond = preview(&store, &within(all / 2)).await;
    assert_eq!((far_beyond[0].why.as_str(), far_beyond[0].rows), ("max_bytes", 8));
    let (before, all) = (version(&store), seen(&store).await);
    drop(store);
    let dry_run = async || whole(retention::dry_run(rig.directory.path(), &of, rig.clock.now()).await.unwrap());
    assert_eq!(dry_run().await, expected);
    let store = rig.open().await;
    assert_eq!((version(&store), seen(&store).await), (before, all), "a dry run changes nothing");
    keep_to(&store, &of).await;
    assert_eq!(store.status().retention.expired_rows, 6);
    assert_eq!(seen(&store).await, [(1, 1), (3, 3)]);
    let (in_force, left) = store.expiring().await.unwrap();
    assert_eq!((in_force, whole(left)), (of.clone(), Vec::new()));
    drop(store);
    assert_eq!(dry_run().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_segment_keeps_its_rows_is_named_and_holds_up_nothing() {
    let rig = Rig::new();
    let store = rig.open().await;
    // It is the first that rules look at.
    flush(&store, &[(0, 0), (1, 1)], "normal").await;
    flush(&store, &[(2, 2), (3, 3)], "normal").await;
    flush(&store, &[(4, 4), (5, 5)], "normal").await;
    flush(&store, &[(6, 6), (7, 7)], "normal").await;
    let segments = store.snapshot().unwrap().spans.segments.clone();
    let path = |number: usize| rig.directory.path().join("tables").join(segments[number].location.as_ref());
    std::fs::write(path(0), vec![0; segments[0].size_bytes as usize]).unwrap();
    std::fs::remove_file(path(1)).unwrap();
    std::fs::write(path(2), segment::spoiled(&std::fs::read(path(2)).unwrap().into())).unwrap();

    let of = rules(vec![rule(DAY, "checkout")]);
    let shared = &store.shared;
    let preview = shared.preview(shared.tables(), &of, Settled::default()).await.unwrap();
    assert_eq!(preview.expiring.iter().map(|of| (of.segments, of.rows)).collect::<Vec<_>>(), [(1, 1)]);
    let names = |error: &Error, number: usize| error.to_string().contains(segments[number].location.as_ref());
    assert_eq!(preview.unread.len(), 3);
    assert!(names(&preview.unread[0], 0) && matches!(preview.unread[0], Error::Damaged { .. }));
    assert!(names(&preview.unread[1], 1) && matches!(preview.unread[1], Error::Read { .. }));
    assert!(names(&preview.unread[2], 2) && matches!(preview.unread[2], Error::Damaged { .. }));

    store.set_retention(of).await.unwrap();
    tokio::time::timeout(Duration::from_secs(30), async {
        while store.status().retention.expired_rows == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("what reads is rewritten");
    assert_eq!(expired(&store), [0, 0, 0, 1]);
    assert!(store.status().retention.last_error.is_some_and(|error| error.contains(segments[2].location.as_ref())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_goes_while_a_dry_run_looks_is_not_taken_for_damaged() {
    let rig = Rig::new();
    let store = rig.open().await;
    flush(&store, &[(0, 0), (1, 1)], "normal").await;
    flush(&store, &[(2, 2), (3, 3)], "normal").await;
    let before = store.shared.tables();
    store.compact(true).await.unwrap();
    rig.clock.advance(KEEP);
    store.ask(|done| Ask::Vacuum { at_start: false, done }).await.unwrap();
    assert_eq!(rig.files(), 1);
    let of = rules(vec![rule(DAY, "checkout")]);
    let looked = store.shared.preview(before, &of, Settled::default()).await.unwrap();
    assert!(looked.unread.is_empty(), "{:?}", looked.unread);
    assert_eq!(preview(&store, &of).await.iter().map(|of| of.rows).sum::<u64>(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewriting_that_fails_leaves_everything_as_it_was_and_says_so() {
    let rig = Rig::new();
    let store = rig.open().await;
    flush(&store, &[(0, 0), (1, 1)], "normal").await;
    let (files, before) = (rig.files(), version(&store));
    for fault in [Fault::Part, Fault::Complete] {
        rig.faults.set(fault);
        keep_to_fails(&store).await;
        assert_eq!((rig.files(), version(&store)), (files, before), "{fault:?}");
        assert_eq!(seen(&store).await, [(0, 0), (1, 1)]);
        let status = store.status().retention;
        assert!(status.last_error.is_some_and(|error| error.contains("no storage space")));
        assert_eq!(status.expired_rows, 0);
        // It is left alone for a while, unless someone asks for a compaction.
        assert_eq!(expire_rows(&store).await.unwrap(), 0);
        store.set_retention(RetentionSettings::default()).await.unwrap();
        store.compact(false).await.unwrap();
    }
    rig.faults.set(Fault::None);
    keep_to(&store, &rules(vec![rule(DAY, "checkout")])).await;
    assert_eq!((seen(&store).await, expired(&store)), (vec![(1, 1)], vec![1]));
}

/// Whoever comes first, the store or the test.
async fn keep_to_fails(store: &Store) {
    store.set_retention(rules(vec![rule(DAY, "checkout")])).await.unwrap();
    let _ = expire_rows(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_file_and_commit_leaves_the_old_segment_and_a_leftover() {
    let rig = Rig::new();
    let store = rig.open().await;
    flush(&store, &[(0, 0), (1, 1)], "normal").await;
    let segment = Arc::clone(&store.snapshot().unwrap().spans.segments[0]);
    let kept = arrow::buffer::BooleanBuffer::from(vec![true, false]);
    let objects = &store.shared.objects;
    let new = compact::rewrite(Table::Spans, Arc::default(), &segment, kept, objects).await.unwrap();
    assert_eq!((new.segment.row_count, new.segment.expired_rows, rig.files()), (1, 1, 2));
    drop(store);
    let store = rig.open().await;
    assert_eq!((seen(&store).await, expired(&store)), (vec![(0, 0), (1, 1)], vec![0]));
    store.ask(|done| Ask::Vacuum { at_start: true, done }).await.unwrap();
    assert_eq!(rig.files(), 1);
    keep_to(&store, &rules(vec![rule(DAY, "checkout")])).await;
    assert_eq!(seen(&store).await, [(1, 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ends_while_it_looks_leaves_a_whole_store() {
    let rig = Rig::new();
    {
        let store = rig.open().await;
        flush(&store, &[(0, 0), (1, 1)], "normal").await;
        rig.faults.set(Fault::Hang);
        store.set_retention(rules(vec![rule(DAY, "checkout")])).await.unwrap();
        rig.faults.waiting().await;
        // A flush goes on meanwhile.
        flush(&store, &[(2, 2)], "normal").await;
        assert_eq!(store.status().tables[0].segments, 2);
    }
    rig.faults.set(Fault::None);
    let store = rig.open().await;
    assert_eq!(seen(&store).await, [(0, 0), (1, 1), (2, 2)]);
    assert_eq!((rig.files(), expired(&store)), (2, vec![0, 0]));
    // Who comes next looks again.
    keep_to(&store, &rules(vec![rule(DAY, "checkout")])).await;
    assert_eq!((seen(&store).await, expired(&store)), (vec![(1, 1)], vec![1]));
}

#[tokio::test(flavor = "multi_thread")]
async fn flushes_merges_and_rules_at_once_lose_nothing_else() {
    let rig = Rig::new();
    let store = rig.open_with(rules(vec![rule(DAY, "checkout")])).await;
    let upkeep = {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..12 {
                expire_rows(&store).await.unwrap();
                store.compact(false).await.unwrap();
            }
        })
    };
    for number in 0..24 {
        flush(&store, &[(number, number), (number + 24, number)], "normal").await;
    }
    upkeep.await.unwrap();
    expire_rows(&store).await.unwrap();
    let left: Vec<(u8, u8)> = (0..48).filter(|trace| trace % 2 == 1).map(|trace| (trace, trace % 24)).collect();
    assert_eq!(seen(&store).await, left);
    assert_eq!(digests(&store).await, 48);
    assert_eq!(store.status().retention.expired_rows, 24);
    store.close().await.unwrap();
    drop(store);
    assert_eq!(seen(&rig.open().await).await, left);
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_that_changed_while_a_segment_was_looked_at_take_nothing() {
    let rig = Rig::new();
    let store = rig.open().await;
    flush(&store, &[(0, 0), (1, 1)], "normal").await;
    rig.faults.set(Fault::Wait);
    store.set_retention(rules(vec![rule(DAY, "checkout")])).await.unwrap();
    rig.faults.waiting().await;
    // What it has begun it ends under the settings of before, and finds others in force.
    *lock(&store.shared.retention) = rules(vec![rule(LONG, "checkout")]);
    rig.faults.set(Fault::None);
    expire_rows(&store).await.unwrap();
    assert_eq!((seen(&store).await, expired(&store)), (vec![(0, 0), (1, 1)], vec![0]));
    assert_eq!(rig.files(), 2, "what it wrote waits for the vacuum");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewritten_segment_has_its_promoted_attributes() {
    let rig = Rig::new();
    let store = rig.open().await;
    flush(&store, &[(200, 1), (201, 1)], "normal").await;
    // More spans than it takes to tell what is frequent.
    let many: Vec<(u8, u8)> = (0..24).flat_map(|trace| (0..50).map(move |span| (trace, span))).collect();
    flush(&store, &many, "normal").await;
    keep_to(&store, &rules(vec![rule(DAY, "checkout")])).await;
    let snapshot = store.snapshot().unwrap();
    let mut rows = 0;
    for segment in &snapshot.spans.segments {
        assert_eq!(segment.keys.promoted, 1, "also that of before the column");
        for batch in read_segment(&store, segment).await {
            let numbers = batch.column_by_name("attributes__int__number").unwrap();
            let numbers: &arrow::array::Int64Array = arrow::array::AsArray::as_primitive(numbers);
            let ids = arrow::array::AsArray::as_binary_view(batch.column_by_name("span_id").unwrap()).clone();
            assert!((0..batch.num_rows()).all(|row| numbers.value(row) == i64::from(ids.value(row)[0] - 1)));
            rows += batch.num_rows();
        }
    }
    assert_eq!((rows, expired(&store)), (601, vec![1, 600]));
}
