use std::collections::HashSet;
use std::sync::Mutex;

use bytes::Bytes;
use sampling::Policy;
use storage::{ContentType, Encoding, Request};

use super::*;
use crate::config::Limits;
use crate::durable::Durable;
use crate::otlp;

const SECOND: i64 = 1_000_000_000;
const START: i64 = 1_760_000_000 * SECOND;

#[derive(Debug)]
struct SetClock(Mutex<i64>);

impl Clock for SetClock {
    fn now(&self) -> UnixNanos {
        UnixNanos(*self.0.lock().unwrap())
    }
}

#[derive(Debug)]
struct Nowhere;

impl Durable for Nowhere {
    fn replace(&self, _: &[u8]) -> std::io::Result<()> {
        Ok(())
    }
}

struct Shop {
    store: Store,
    deciding: Deciding,
    clock: Arc<SetClock>,
    _directory: tempfile::TempDir,
}

impl Shop {
    async fn open(budget: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(SetClock(Mutex::new(START)));
        let decoder = Arc::new(crate::OtlpDecoder::default());
        let config = storage::Config::default();
        let store = Store::open(directory.path(), config, Arc::clone(&clock) as _, decoder).await.unwrap();
        let policy = Policy { budget: Some(budget.parse().unwrap()), ..Policy::default() };
        let active = Arc::new(ActivePolicy::new(policy, 1).unwrap());
        let shedding = Shedding::new(Arc::new(Nowhere), None).unwrap();
        let deciding = Deciding::new(active, HeadRates::default(), shedding, None).unwrap();
        Self { store, deciding, clock, _directory: directory }
    }

    /// A request of traces of one failed span each.
    async fn send(&self, traces: std::ops::Range<u32>) {
        let now = self.clock.now();
        let span = |trace: u32| {
            format!(
                r#"{{"traceId":"{:032x}","spanId":"{:016x}","name":"pay","kind":2,"startTimeUnixNano":"{}","endTimeUnixNano":"{}","status":{{"code":2}}}}"#,
                trace + 1,
                trace + 1,
                now.0 - 5_000_000,
                now.0
            )
        };
        let spans: Vec<String> = traces.map(span).collect();
        let body = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{}]}}]}}]}}"#, spans.join(","));
        let (content_type, encoding, body) = (ContentType::OtlpJson, Encoding::Identity, Bytes::from(body));
        let decoded = otlp::decode(&Limits::default(), content_type, encoding, &body, now).unwrap();
        let content_hash = decoded.content_hash;
        let request = Request { arrival: now, content_type, encoding, body, content_hash, judged_by: Bytes::new() };
        self.store.append(request, decoded.batch.unwrap()).await.unwrap();
    }

    /// The traces that are decided `millis` later.
    async fn tick(&mut self, millis: i64) -> Vec<TraceId> {
        *self.clock.0.lock().unwrap() += millis * 1_000_000;
        let records = self.deciding.due(&self.store, &AssemblyConfig::default(), &*self.clock);
        let decided = records.iter().flatten().map(|decision| decision.trace_id).collect();
        for record in records {
            self.store.decide(record).await.unwrap();
        }
        decided
    }
}

#[tokio::test]
async fn a_lump_of_failures_is_decided_over_some_ticks() {
    let mut shop = Shop::open("200 spans/s").await;
    shop.send(0..1).await;
    assert_eq!(shop.tick(20_000).await.len(), 1);
    // A tick of many, then one soon after it with more than it has budget for.
    shop.send(1..201).await;
    assert_eq!(shop.tick(200).await.len(), 0, "none is ripe");
    shop.send(201..501).await;
    let grace_millis = AssemblyConfig::default().root_grace.as_millis() as i64;
    assert_eq!(shop.tick(grace_millis - 200).await.len(), 200);
    let mut decided = Vec::new();
    let mut all = HashSet::new();
    for _ in 0..6 {
        let now = shop.tick(200).await;
        decided.push(now.len());
        all.extend(now);
    }
    // 0.7 of 40 spans a tick, as long as there are enough for short ticks; none waits longer than 0.8 s.
    assert_eq!((decided, all.len()), (vec![28, 28, 28, 28, 188, 0], 300));
    shop.store.close().await.unwrap();
}

#[tokio::test]
async fn nobody_waits_for_a_clock_that_was_set_back() {
    let mut shop = Shop::open("200 spans/s").await;
    shop.send(0..1).await;
    assert_eq!(shop.tick(20_000).await.len(), 1);
    shop.send(1..201).await;
    assert_eq!(shop.tick(200).await.len(), 0);
    shop.send(201..501).await;
    let grace_millis = AssemblyConfig::default().root_grace.as_millis() as i64;
    assert_eq!(shop.tick(grace_millis - 200).await.len(), 200);
    let decided = shop.tick(200).await.len();
    assert!((1..300).contains(&decided), "{decided}");
    assert_eq!(shop.tick(-3_600_000).await.len(), 300 - decided);
    shop.store.close().await.unwrap();
}
