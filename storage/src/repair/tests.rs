//! Whatever records are missing, what is whole is found once: on a model of the fold, and on a store.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proptest::prelude::*;

use super::plan::{Span, plan, questions};
use super::*;
use crate::model::{SpanBatch, SpanBatchBuilder, SpanFields, SpanId, TraceId};
use crate::request::{ContentType, Encoding, Request};
use crate::snapshot::SnapshotSource;
use crate::{Config, Store, SystemClock};

fn span(trace: u8, number: u8) -> Span {
    Span {
        trace_id: TraceId::from_bytes([trace + 1; 16]).unwrap(),
        span_id: SpanId::from_bytes([number + 1; 8]).unwrap(),
        start: UnixNanos(1_700_000_000_000_000_000 + i64::from(number)),
    }
}

fn keep(trace: u8) -> Decision {
    Decision::keep_all(span(trace, 0).trace_id)
}

#[derive(Debug, Clone)]
enum Step {
    Request(Vec<Span>),
    Decide(Vec<TraceId>),
    Seal(u64),
}

/// `memory`'s rules, told again in a few lines.
#[derive(Debug, Default)]
struct Model {
    committed: u64,
    pending: BTreeMap<TraceId, Vec<Span>>,
    open: Vec<Span>,
    sealed: BTreeMap<u64, Vec<Span>>,
}

impl Model {
    fn apply(&mut self, step: &Step) {
        match step {
            Step::Request(spans) => {
                spans.iter().for_each(|span| self.pending.entry(span.trace_id).or_default().push(*span));
            }
            Step::Decide(ids) => {
                ids.iter().for_each(|id| self.open.extend(self.pending.remove(id).unwrap_or_default()))
            }
            Step::Seal(epoch) => {
                let spans = std::mem::take(&mut self.open);
                if *epoch > self.committed {
                    self.sealed.entry(*epoch).or_default().extend(spans);
                }
            }
        }
    }

    fn all(&self) -> Vec<Span> {
        let sealed = self.sealed.values().flatten();
        sealed.chain(&self.open).chain(self.pending.values().flatten()).copied().collect()
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => proptest::collection::vec(0u8..6, 1..4).prop_map(|traces| {
            Step::Request(traces.into_iter().map(|trace| span(trace, 0)).collect())
        }),
        3 => proptest::collection::vec(0u8..6, 1..4).prop_map(|traces| {
            Step::Decide(traces.into_iter().map(|trace| span(trace, 0).trace_id).collect())
        }),
        2 => Just(Step::Seal(0)),
    ];
    proptest::collection::vec(step, 1..40).prop_map(|mut steps| {
        let (mut number, mut epoch) = (0, 0);
        for step in &mut steps {
            match step {
                Step::Request(spans) => spans.iter_mut().for_each(|span| {
                    number += 1;
                    span.span_id = SpanId::from_bytes(u64::to_be_bytes(number)).unwrap();
                }),
                Step::Seal(of) => {
                    epoch += 1;
                    *of = epoch;
                }
                Step::Decide(_) => {}
            }
        }
        steps
    })
}

proptest! {
    // No files beside the sources: a finding becomes a test of its own.
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Records are missing in up to three places of a log that reaches back as far as it must. What is whole is in the
    /// tables or in memory afterwards, and nothing is in both.
    #[test]
    fn whole_spans_are_neither_lost_nor_doubled_by_holes(
        steps in steps(),
        committed in 0u64..5,
        begin in any::<prop::sample::Index>(),
        holes in proptest::collection::vec((any::<prop::sample::Index>(), 1usize..6), 1..4),
    ) {
        let mut live = Model::default();
        steps.iter().for_each(|step| live.apply(step));
        let committed = committed.min(live.sealed.len() as u64);
        let stored: Vec<Span> = live.sealed.range(..=committed).flat_map(|(_, spans)| spans).copied().collect();
        let in_tables: BTreeSet<SpanId> = stored.iter().map(|span| span.span_id).collect();
        let is_needed = |step: &Step| match step {
            Step::Request(spans) => spans.iter().any(|span| !in_tables.contains(&span.span_id)),
            _ => false,
        };
        let needed = steps.iter().position(is_needed).unwrap_or(steps.len() - 1);
        let begin = begin.index(needed + 1);
        let missing: BTreeSet<usize> = holes.iter()
            .flat_map(|(at, length)| { let at = at.index(steps.len()); at..at + length })
            .filter(|at| (begin..steps.len()).contains(at))
            .collect();

        let mut fold = Fold::new(committed);
        let mut whole: Vec<Option<&Step>> = Vec::new();
        let mut room = 0;
        for at in begin..=steps.len() {
            if missing.contains(&at) {
                room += 1;
                continue;
            }
            if room > 0 {
                fold.hole(Some(std::mem::take(&mut room)));
                whole.push(None);
            }
            let Some(step) = steps.get(at) else { break };
            match step {
                Step::Request(spans) => fold.request(spans.clone()),
                Step::Decide(ids) => {
                    let decision = |id: &TraceId| Decision { trace_id: *id, ..keep(0) };
                    fold.decide(&ids.iter().map(decision).collect::<Vec<_>>());
                }
                Step::Seal(epoch) => fold.seal(*epoch),
            }
            whole.push(Some(step));
        }
        let asked = questions(&fold.events);
        let mended = plan(&fold.events, committed, |span| {
            assert!(asked.contains(span));
            in_tables.contains(&span.span_id)
        });

        let mut replayed = Model { committed, ..Model::default() };
        let mut mended = mended.into_iter();
        for step in &whole {
            match step {
                Some(step) => replayed.apply(step),
                None => {
                    let mending = mended.next().unwrap();
                    replayed.apply(&Step::Decide(mending.decisions));
                    mending.seal.into_iter().for_each(|epoch| replayed.apply(&Step::Seal(epoch)));
                }
            }
        }
        let mut found = stored;
        found.extend(replayed.all());
        let distinct: BTreeSet<SpanId> = found.iter().map(|span| span.span_id).collect();
        prop_assert_eq!(found.len(), distinct.len(), "doubled");
        for step in whole.into_iter().flatten() {
            if let Step::Request(spans) = step {
                prop_assert!(spans.iter().all(|span| distinct.contains(&span.span_id)), "lost");
            }
        }
    }
}

#[test]
fn what_is_put_in_a_hole_never_exceeds_what_is_missing() {
    let at = |room| {
        let hole = plan::AtHole { room, pending: vec![vec![span(1, 1)]], decided: vec![span(2, 2)] };
        plan(&[plan::Event::Hole(hole)], 4, |_| true).remove(0)
    };
    let id = span(1, 1).trace_id;
    assert_eq!(at(Some(0)), Mending::default());
    assert_eq!(at(Some(1)), Mending { decisions: vec![id], seal: None });
    assert_eq!(at(Some(2)), Mending { decisions: vec![id], seal: Some(4) });
    assert_eq!(at(None), Mending { decisions: vec![id], seal: Some(4) });
}

/// Each byte of a body is a span: its number, and its trace in the tens.
#[derive(Debug)]
struct ByteDecoder;

impl Decoder for ByteDecoder {
    fn decode(&self, request: &Request) -> Result<SpanBatch, Box<dyn std::error::Error + Send + Sync>> {
        let mut builder = SpanBatchBuilder::default();
        let resource = builder.resource(|_| {});
        let origin = builder.origin(resource, "service", None, None);
        for number in &request.body {
            let span = span(number / 10, *number);
            builder.append(&SpanFields {
                trace_id: span.trace_id,
                span_id: span.span_id,
                parent_span_id: None,
                origin,
                span_name: "name".into(),
                kind: "server",
                status_code: "unset",
                status_message: None,
                start: span.start,
                duration_nanos: 5,
                trace_state: None,
                flags: 0,
            });
        }
        Ok(builder.finish()?)
    }
}

async fn open(directory: &Path) -> Result<Store> {
    let config = Config { flush_age: std::time::Duration::from_secs(86_400), ..Config::default() };
    Store::open(directory, config, Arc::new(SystemClock), Arc::new(ByteDecoder)).await
}

async fn append(store: &Store, spans: &[u8]) {
    let request = Request {
        arrival: UnixNanos(1_000),
        content_type: ContentType::OtlpProtobuf,
        encoding: Encoding::Identity,
        body: Bytes::copy_from_slice(spans),
        content_hash: spans.iter().fold(1, |hash, span| hash * 256 + u128::from(*span)),
        judged_by: Bytes::new(),
    };
    let batch = ByteDecoder.decode(&request).unwrap();
    store.append(request, batch).await.unwrap();
}

fn span_count(store: &Store) -> u64 {
    let spans = store.snapshot().unwrap().spans;
    let memory: usize = spans.memory.iter().map(crate::MemoryRows::row_count).sum();
    memory as u64 + spans.segments.iter().map(|segment| segment.row_count).sum::<u64>()
}

/// Flips bytes of the one log file that has records.
fn spoil(directory: &Path, at: std::ops::Range<usize>) {
    let path = directory.join("wal").join(format!("{:020}.log", 1));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[at].iter_mut().for_each(|byte| *byte ^= 0xFF);
    std::fs::write(path, bytes).unwrap();
}

/// What a frame of a request with one span takes; of one decision; of a seal. See `wal`.
const REQUEST: usize = 33 + 27 + 1;
const DECISION: usize = 33 + 34 + 3;
const SEAL: usize = 33 + 8;

#[tokio::test]
async fn a_store_with_a_lost_decision_and_seal_opens_after_repair_with_each_span_once() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let store = open(directory).await.unwrap();
    append(&store, &[10]).await;
    append(&store, &[20]).await;
    store.decide(vec![keep(1)]).await.unwrap();
    assert_eq!(store.flush().await.unwrap().spans, 1);
    append(&store, &[30]).await;
    append(&store, &[11]).await;
    assert!(matches!(inspect(directory, Arc::new(ByteDecoder)).await, Err(Error::Locked { .. })));
    drop(store);

    let clean = inspect(directory, Arc::new(ByteDecoder)).await.unwrap();
    assert_eq!((clean.damage.len(), clean.records), (0, 6));
    drop(clean);
    let hole = 64 + 2 * REQUEST;
    spoil(directory, hole..hole + DECISION + SEAL);
    assert!(matches!(open(directory).await, Err(Error::Damaged { .. })));

    let found = inspect(directory, Arc::new(ByteDecoder)).await.unwrap();
    let told: Vec<String> = found.damage.iter().map(ToString::to_string).collect();
    assert!(
        told.len() == 1 && told[0].contains(&format!("offset {hole}")) && told[0].contains("lsn 3 to 4"),
        "{told:?}"
    );
    let repaired = found.cut(UnixNanos(7_000_000_001)).unwrap();
    assert_eq!(repaired.kept_in, directory.join("wal/damaged-7"));
    assert!(repaired.kept_in.join(&repaired.files[0]).is_file());

    let store = open(directory).await.unwrap();
    assert_eq!(span_count(&store), 4);
    assert_eq!(store.status().pending_spans, 3, "the late span waits for a decision of its own");
    store.decide(vec![keep(1), keep(2), keep(3)]).await.unwrap();
    assert_eq!(store.flush().await.unwrap().spans, 3);
    assert_eq!(span_count(&store), 4);
    drop(store);
    assert_eq!(span_count(&open(directory).await.unwrap()), 4);
}

#[tokio::test]
async fn a_damaged_segment_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let store = open(directory).await.unwrap();
    append(&store, &[10]).await;
    append(&store, &[20]).await;
    store.decide(vec![keep(1)]).await.unwrap();
    store.flush().await.unwrap();
    append(&store, &[30]).await;
    let location = store.snapshot().unwrap().spans.segments[0].location.clone();
    drop(store);
    // Which spans the lost decision was about is asked of the segment.
    let hole = 64 + 2 * REQUEST;
    spoil(directory, hole..hole + DECISION + SEAL);
    let path = DataDirectory::new(directory).tables().join(location.as_ref());
    std::fs::write(&path, crate::segment::spoiled(&std::fs::read(&path).unwrap().into())).unwrap();
    let error = inspect(directory, Arc::new(ByteDecoder)).await.unwrap_err().to_string();
    assert!(error.contains(location.as_ref()) && error.contains("is damaged"), "{error}");
}

#[tokio::test]
async fn a_request_that_no_longer_decodes_is_named_and_cut() {
    #[derive(Debug)]
    struct Refusing;
    impl Decoder for Refusing {
        fn decode(&self, request: &Request) -> Result<SpanBatch, Box<dyn std::error::Error + Send + Sync>> {
            if request.body[0] == 20 { Err("not this one".into()) } else { ByteDecoder.decode(request) }
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await.unwrap();
    for number in [10, 20, 30] {
        append(&store, &[number]).await;
    }
    drop(store);
    let found = inspect(directory.path(), Arc::new(Refusing)).await.unwrap();
    let told = found.damage[0].to_string();
    assert!(told.contains("not this one") && told.contains("lsn 2"), "{told}");
    found.cut(UnixNanos(0)).unwrap();
    assert_eq!(span_count(&open(directory.path()).await.unwrap()), 2);
}

#[tokio::test]
async fn a_directory_without_a_log_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let refused = inspect(directory.path(), Arc::new(ByteDecoder)).await.unwrap_err();
    assert!(refused.to_string().contains(&directory.path().display().to_string()), "{refused}");
}
