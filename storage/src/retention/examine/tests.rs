//! Segments in memory, and what a naive look at their rows says.

use std::collections::HashMap as Files;
use std::time::Duration;

use arrow::array::AsArray;
use bytes::Bytes;
use object_store::path::Path;
use proptest::prelude::*;

use super::*;
use crate::derive::{TraceSpans, Verdict, derive};
use crate::model::{SpanBatchBuilder, SpanFields, SpanId, TraceId, UnixNanos};
use crate::rows::SpanRef;
use crate::segment::{encode, encode_promoted, open_file, spoiled};

const DAY: i64 = 86_400_000_000_000;

/// A span of a trace: its service, and whether it failed.
#[derive(Debug, Clone)]
struct Given {
    trace: u8,
    service: &'static str,
    reason: &'static str,
    failed: bool,
}

fn span(trace: u8, service: &'static str, reason: &'static str, failed: bool) -> Given {
    Given { trace, service, reason, failed }
}

fn rule(days: u64, services: &[&str], keep_reasons: &[&str], error: Option<bool>) -> RetentionRule {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let max_age = Duration::from_secs(days * 86_400);
    RetentionRule { max_age, services: words(services), keep_reasons: words(keep_reasons), error }
}

fn settings(max_days: Option<u64>, rules: Vec<RetentionRule>) -> RetentionSettings {
    let max_age = max_days.map(|days| Duration::from_secs(days * 86_400));
    RetentionSettings { max_age, max_bytes: None, rules }
}

fn trace_id(trace: u8) -> TraceId {
    TraceId::from_bytes([trace + 1; 16]).unwrap()
}

/// Files by location, and what was opened of them.
#[derive(Default)]
struct Store {
    files: Files<Path, Bytes>,
    opened: std::cell::RefCell<Vec<String>>,
}

impl Store {
    fn put(&mut self, name: &str, row_count: u64, bytes: Vec<u8>, keys: crate::schema::promoted::Keys) -> Arc<Segment> {
        let location = Path::from(name);
        let segment = Segment {
            location: location.clone(),
            size_bytes: bytes.len() as u64,
            row_count,
            start_range: Some((UnixNanos(0), UnixNanos(0))),
            written_at: UnixNanos(0),
            keys,
            expired_rows: 0,
        };
        self.files.insert(location, Bytes::from(bytes));
        Arc::new(segment)
    }

    /// A segment of spans, and one of their digests.
    fn flush(&mut self, name: &str, given: &[Given]) -> (Arc<Segment>, Arc<Segment>) {
        let mut builder = SpanBatchBuilder::default();
        let resource = builder.resource(|_| {});
        let mut traces: Vec<TraceSpans> = Vec::new();
        for (number, of) in given.iter().enumerate() {
            let origin = builder.origin(resource, of.service, None, None);
            builder.append(&SpanFields {
                trace_id: trace_id(of.trace),
                span_id: SpanId::from_bytes((number as u64 + 1).to_be_bytes()).unwrap(),
                parent_span_id: None,
                origin,
                span_name: "name".into(),
                kind: "server",
                status_code: if of.failed { "error" } else { "ok" },
                status_message: None,
                start: UnixNanos(number as i64),
                duration_nanos: 1,
                trace_state: None,
                flags: 0,
            });
            let span = SpanRef { batch: 0, row: number as u32 };
            match traces.iter_mut().find(|known| known.trace_id == trace_id(of.trace)) {
                Some(known) => known.spans.push(span),
                None => traces.push(TraceSpans {
                    trace_id: trace_id(of.trace),
                    spans: vec![span],
                    verdict: Verdict { keep_reason: of.reason.into(), ..Verdict::pending() },
                    late: None,
                }),
            }
        }
        let derived = derive(vec![Arc::new(builder.finish().unwrap())], traces).unwrap();
        let spans = encode_promoted(derived.spans, Arc::default()).unwrap().remove(0);
        let digests = encode(Table::Traces, &[derived.traces.unwrap()]).unwrap().remove(0);
        (
            self.put(&format!("spans/{name}"), given.len() as u64, spans.bytes, spans.keys),
            self.put(&format!("traces/{name}"), digests.row_count, digests.bytes, digests.keys),
        )
    }

    /// What goes when its latest row is so old.
    fn examine(
        &self,
        segment: &Arc<Segment>,
        digests: &[Arc<Segment>],
        settings: &RetentionSettings,
        days: i64,
    ) -> Result<Option<Going>> {
        let due = Due::of(settings, UnixNanos(0), UnixNanos(days * DAY + 1));
        let wanted =
            Examination { segment: Arc::clone(segment), due, promoted: Arc::default(), digests: digests.to_vec() };
        let open = |segment: &Segment| {
            self.opened.borrow_mut().push(segment.location.to_string());
            self.files[&segment.location].clone()
        };
        examine(&wanted, settings, open, &Arc::default())
    }

    /// By row: trace, service, reason.
    fn rows(&self, segment: &Segment) -> Vec<(u8, String, String)> {
        let reader = open_file(self.files[&segment.location].clone()).unwrap();
        let mut rows = Vec::new();
        for batch in reader.build().unwrap().map(std::result::Result::unwrap) {
            let text = |name| batch.column_by_name(name).unwrap().as_string_view().clone();
            let ids = batch.column_by_name(spans::TRACE_ID).unwrap().as_binary_view().clone();
            let (services, reasons) = (text(spans::SERVICE_NAME), text(spans::KEEP_REASON));
            rows.extend(
                (0..batch.num_rows())
                    .map(|row| (ids.value(row)[0] - 1, services.value(row).to_owned(), reasons.value(row).to_owned())),
            );
        }
        rows
    }
}

/// Traces of which rows go, one a row, sorted; and how many by each limit.
#[track_caller]
fn check(
    store: &Store,
    segment: &Arc<Segment>,
    digests: &[Arc<Segment>],
    of: &RetentionSettings,
    days: i64,
    expected: (&[u8], &[u64]),
) {
    let found = store.examine(segment, digests, of, days).unwrap();
    let (mut gone, mut by_limit) = (Vec::new(), Vec::new());
    if let Some(found) = found {
        let rows = store.rows(segment);
        assert_eq!(found.kept.len(), rows.len());
        gone.extend(rows.iter().zip(&found.kept).filter(|(_, kept)| !kept).map(|((trace, ..), _)| *trace));
        by_limit = found.by_limit;
        assert!(!gone.is_empty());
    }
    gone.sort_unstable();
    assert_eq!((gone.as_slice(), by_limit.as_slice()), expected, "after {days} days");
}

#[test]
fn the_first_rule_that_matches_a_row_says_when_it_goes() {
    let mut store = Store::default();
    let given = [
        span(0, "a", "rare", false),
        span(1, "a", "normal", false),
        span(2, "b", "rare", false),
        span(3, "b", "normal", false),
        span(4, "c", "slow", false),
    ];
    let (segment, _) = store.flush("x", &given);
    let of =
        settings(Some(4), vec![rule(2, &["a"], &[], None), rule(1, &[], &["rare"], None), rule(9, &["c"], &[], None)]);
    check(&store, &segment, &[], &of, 1, (&[2], &[0, 1, 0, 0]));
    check(&store, &segment, &[], &of, 2, (&[0, 1, 2], &[2, 1, 0, 0]));
    // A rule that keeps longer than max_age keeps its rows beyond it.
    check(&store, &segment, &[], &of, 4, (&[0, 1, 2, 3], &[2, 1, 0, 1]));
    check(&store, &segment, &[], &settings(None, of.rules.clone()), 4, (&[0, 1, 2], &[2, 1, 0, 0]));
    let both = settings(None, vec![rule(1, &["a", "b"], &["normal"], None)]);
    check(&store, &segment, &[], &both, 1, (&[1, 3], &[2, 0]));
}

#[test]
fn an_error_is_the_traces_and_is_known_from_its_digest_or_from_a_span_beside() {
    let mut store = Store::default();
    // The failing span of the first lies in another segment, and comes before the others of its trace.
    let (_, digest_of_first) = store.flush("y", &[span(0, "b", "all", true), span(3, "b", "all", true)]);
    let (_, digest_of_others) =
        store.flush("z", &[span(1, "b", "all", false), span(2, "b", "all", false), span(4, "b", "all", false)]);
    let given = [
        span(0, "a", "all", false),
        span(1, "a", "all", false),
        span(1, "b", "all", false),
        // It failed after its digest was written.
        span(2, "a", "all", false),
        span(2, "b", "all", true),
    ];
    let (segment, _) = store.flush("x", &given);
    let digests = [digest_of_others, digest_of_first];
    let of = settings(Some(1), vec![rule(9, &[], &[], Some(true))]);
    check(&store, &segment, &digests, &of, 1, (&[1, 1], &[0, 2]));
    let of = settings(None, vec![rule(1, &[], &[], Some(false))]);
    check(&store, &segment, &digests, &of, 1, (&[1, 1], &[2, 0]));
    let of = settings(None, vec![rule(1, &["a"], &[], Some(true))]);
    check(&store, &segment, &digests, &of, 1, (&[0, 2], &[2, 0]));
    // Without digests nobody knows, and what might have to stay does.
    let of = settings(Some(1), vec![rule(9, &[], &[], Some(true))]);
    check(&store, &segment, &[], &of, 1, (&[], &[]));
    check(&store, &segment, &digests[..1], &of, 1, (&[1, 1], &[0, 2]));
    let of = settings(Some(1), vec![rule(1, &[], &[], Some(true))]);
    check(&store, &segment, &[], &of, 1, (&[0, 1, 1, 2, 2], &[2, 3]));
}

#[test]
fn no_more_is_read_than_rules_need() {
    let mut store = Store::default();
    let (segment, digests) = store.flush("x", &[span(0, "a", "all", true), span(1, "b", "all", false)]);
    let digests = [digests];
    let by_error = |service: &str| settings(None, vec![rule(1, &[service], &[], Some(true))]);
    check(&store, &segment, &digests, &by_error("nobody"), 1, (&[], &[]));
    check(&store, &segment, &digests, &settings(None, vec![rule(1, &["b"], &[], None)]), 1, (&[1], &[1, 0]));
    assert_eq!(*store.opened.borrow(), ["spans/x"; 2]);
    check(&store, &segment, &digests, &by_error("a"), 1, (&[0], &[1, 0]));
    assert_eq!(store.opened.borrow()[2..], ["spans/x", "traces/x"]);
}

#[test]
fn what_is_damaged_or_waited_for_by_nobody_is_an_error() {
    let mut store = Store::default();
    let (segment, digests) = store.flush("x", &[span(0, "a", "all", true), span(1, "b", "all", false)]);
    let of = settings(None, vec![rule(1, &[], &[], Some(true))]);
    let shorter = Arc::new(Segment { row_count: 3, ..(*segment).clone() });
    let damaged = store.examine(&shorter, &[], &of, 1);
    assert!(matches!(&damaged, Err(crate::Error::Damaged { what, .. }) if what.contains("spans/x")), "{damaged:?}");
    let whole = store.files[&digests.location].clone();
    store.files.insert(digests.location.clone(), whole.slice(..whole.len() - 9));
    // What they would say is not known then, but the segment's own spans say that one trace has an error.
    let going = store.examine(&segment, &[digests], &of, 1).unwrap().unwrap();
    assert_eq!((going.kept.iter().collect::<Vec<_>>(), going.by_limit), (vec![false, true], vec![1, 0]));
    let wanted = Examination {
        segment,
        due: Due::of(&of, UnixNanos(0), UnixNanos(2 * DAY)),
        promoted: Arc::default(),
        digests: Vec::new(),
    };
    let left = examine(&wanted, &of, |segment| store.files[&segment.location].clone(), &Arc::new(true.into()));
    assert!(matches!(left, Err(crate::Error::Closed)), "{left:?}");
}

#[test]
fn a_file_over_which_the_parquet_crate_panics_is_damaged() {
    let mut store = Store::default();
    let (segment, digests) = store.flush("x", &[span(0, "a", "all", true), span(1, "b", "all", false)]);
    let of = settings(None, vec![rule(1, &[], &[], Some(true))]);
    for spoil in [&digests, &segment] {
        let file = spoiled(&store.files[&spoil.location]);
        store.files.insert(spoil.location.clone(), file.into());
        let found = store.examine(&segment, std::slice::from_ref(&digests), &of, 1);
        if spoil.location == segment.location {
            assert!(
                matches!(&found, Err(crate::Error::Damaged { what, .. }) if what == "segment spans/x"),
                "{found:?}"
            );
        } else {
            // The segment reads, and its own spans say that one trace has an error.
            assert_eq!(found.unwrap().unwrap().by_limit, [1, 0]);
        }
    }
}

const SERVICES: [&str; 4] = ["a", "b", "c", "d"];
const REASONS: [&str; 3] = ["normal", "rare", "slow"];

fn any_rule() -> impl Strategy<Value = RetentionRule> {
    let services = proptest::sample::subsequence(SERVICES.to_vec(), 0..3);
    let reasons = proptest::sample::subsequence(REASONS.to_vec(), 0..2);
    (1..6_u64, services, reasons, proptest::option::of(any::<bool>()))
        .prop_map(|(days, services, reasons, error)| rule(days, &services, &reasons, error))
}

fn any_span() -> impl Strategy<Value = Given> {
    (0..8_u8, 0..4_usize, any::<bool>()).prop_map(|(trace, service, failed)| {
        span(trace, SERVICES[service], REASONS[usize::from(trace) % 3], failed && trace % 2 == 0)
    })
}

/// By the words of the documentation, row by row.
fn days_of(of: &RetentionSettings, service: &str, reason: &str, has_error: bool) -> Option<u64> {
    for rule in &of.rules {
        let is_service = rule.services.is_empty() || rule.services.contains(&service.to_owned());
        let is_reason = rule.keep_reasons.is_empty() || rule.keep_reasons.contains(&reason.to_owned());
        if is_service && is_reason && rule.error.is_none_or(|error| error == has_error) {
            return Some(rule.max_age.as_secs() / 86_400);
        }
    }
    of.max_age.map(|age| age.as_secs() / 86_400)
}

proptest! {
    #[test]
    fn rows_go_as_a_naive_look_at_each_says(
        here in proptest::collection::vec(any_span(), 1..40),
        elsewhere in proptest::collection::vec(any_span(), 1..20),
        rules in proptest::collection::vec(any_rule(), 1..5),
        max_days in proptest::option::of(1..6_u64),
        days in 1..7_i64,
    ) {
        let mut store = Store::default();
        let (segment, digests) = store.flush("x", &here);
        let (_, others) = store.flush("y", &elsewhere);
        let of = settings(max_days, rules);
        let has_error = |trace| here.iter().chain(&elsewhere).any(|span| span.trace == trace && span.failed);
        let stays = |(trace, service, reason): &(u8, String, String)| {
            days_of(&of, service, reason, has_error(*trace)).is_none_or(|limit| days < limit as i64)
        };
        let expected: Vec<bool> = store.rows(&segment).iter().map(stays).collect();
        let found = store.examine(&segment, &[digests, others], &of, days).unwrap();
        let gone = expected.iter().filter(|stays| !**stays).count() as u64;
        prop_assert_eq!(found.as_ref().map_or(0, Going::rows), gone);
        if let Some(found) = found {
            prop_assert_eq!(found.kept.iter().collect::<Vec<_>>(), expected);
        }
    }
}
