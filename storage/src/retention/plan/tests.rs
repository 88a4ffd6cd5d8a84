//! What goes, and when.

use std::time::Duration;

use object_store::path::Path;
use proptest::prelude::*;

use super::*;
use crate::catalog::partition_of;
use crate::config::RetentionRule;

const DAY: i64 = 86_400_000_000_000;

fn segment(table: Table, day: i64, hour: i64, size_bytes: u64) -> Arc<Segment> {
    let start = UnixNanos(day * DAY + hour * DAY / 24);
    let date = partition_of(start.micros());
    Arc::new(Segment {
        location: Path::from(format!("{}/date={date}/aa-{:010}.parquet", table.name(), day * 24 + hour)),
        size_bytes,
        row_count: 10,
        start_range: Some((UnixNanos(day * DAY), start)),
        written_at: start,
        keys: crate::schema::promoted::Keys::default(),
        expired_rows: 0,
    })
}

fn live() -> ByTable<Vec<Arc<Segment>>> {
    ByTable::new(|table| {
        let size = if table == Table::Spans { 1_000 } else { 10 };
        (100..104).flat_map(|day| [segment(table, day, 6, size), segment(table, day, 18, size)]).collect()
    })
}

/// Segments that go, as (table, day of the tests, why, number).
#[track_caller]
fn check(settings: RetentionSettings, expected: &[(&str, &str, Why, usize)]) {
    let planned = plan(&live(), UnixNanos(104 * DAY), &settings, &Settled::default()).whole;
    let planned: Vec<_> = planned
        .iter()
        .map(|expiry| (expiry.table.name(), expiry.date.as_deref().unwrap(), expiry.why, expiry.segments.len()))
        .collect();
    assert_eq!(planned, expected);
}

fn of(max_age: Option<Duration>, max_bytes: Option<u64>) -> RetentionSettings {
    RetentionSettings { max_age, max_bytes, rules: Vec::new() }
}

fn hours(hours: u64) -> Option<Duration> {
    Some(Duration::from_secs(hours * 3_600))
}

#[test]
fn without_a_limit_nothing_goes() {
    check(RetentionSettings::default(), &[]);
}

#[test]
fn what_is_older_goes_whole_segments_only_and_paths_stay() {
    let max_age = hours(3 * 24);
    let first = "1970-04-11";
    check(
        of(max_age, None),
        &[
            ("spans", first, Why::Age, 2),
            ("span_metrics", first, Why::Age, 2),
            ("edge_metrics", first, Why::Age, 2),
            ("traces", first, Why::Age, 2),
        ],
    );
    // Its latest start is what counts: 18:00 of that day is no older than 78 hours.
    let planned = plan(&live(), UnixNanos(104 * DAY), &of(hours(78), None), &Settled::default()).whole;
    assert!(planned.iter().all(|expiry| expiry.segments.len() == 1), "{planned:?}");
}

#[test]
fn what_is_too_much_goes_oldest_first_spans_before_their_digests() {
    // There are 8,320 bytes.
    check(of(None, Some(8_320)), &[]);
    check(of(None, Some(8_319)), &[("spans", "1970-04-11", Why::Bytes, 1)]);
    check(
        of(None, Some(6_305)),
        &[("spans", "1970-04-11", Why::Bytes, 2), ("span_metrics", "1970-04-11", Why::Bytes, 2)],
    );
    check(
        of(hours(72), Some(5_300)),
        &[
            ("spans", "1970-04-11", Why::Age, 2),
            ("spans", "1970-04-12", Why::Bytes, 1),
            ("span_metrics", "1970-04-11", Why::Age, 2),
            ("edge_metrics", "1970-04-11", Why::Age, 2),
            ("traces", "1970-04-11", Why::Age, 2),
        ],
    );
}

proptest! {
    #[test]
    fn what_is_left_is_young_and_little_enough_and_no_older_one_was_spared(
        sizes in proptest::collection::vec(1..1_000_u64, 1..60), hours in 0..200_i64, max_bytes in 1..20_000_u64
    ) {
        let spans: Vec<_> =
            sizes.iter().zip(0..).map(|(size, at)| segment(Table::Spans, 100 + at / 24, at % 24, *size)).collect();
        let live = ByTable { spans, ..ByTable::default() };
        let max_age = Duration::from_secs(hours.unsigned_abs() * 3_600 + 1);
        let now = UnixNanos(103 * DAY);
        let settings = of(Some(max_age), Some(max_bytes));
        let planned = plan(&live, now, &settings, &Settled::default()).whole;
        let gone: Vec<_> = planned.iter().flat_map(|expiry| &expiry.segments).collect();
        let left: Vec<_> = live.spans.iter().filter(|segment| !gone.contains(segment)).collect();
        let latest = |segment: &Arc<Segment>| segment.start_range.unwrap().1;
        prop_assert!(left.iter().map(|segment| segment.size_bytes).sum::<u64>() <= max_bytes);
        prop_assert!(left.iter().all(|segment| now.since(latest(segment)) <= max_age.as_nanos() as i64));
        let youngest_gone = gone.iter().map(|segment| latest(segment)).max();
        let oldest_left = left.iter().map(|segment| latest(segment)).min();
        prop_assert!(youngest_gone.zip(oldest_left).is_none_or(|(gone, left)| gone < left));
    }
}

fn rule(days: u64, service: &str, error: Option<bool>) -> RetentionRule {
    let max_age = Duration::from_secs(days * 86_400);
    let services = Some(service.to_owned()).filter(|service| !service.is_empty()).into_iter().collect();
    RetentionRule { max_age, services, keep_reasons: Vec::new(), error }
}

/// The day of the tests, and the hour of a segment's last row.
fn names(segments: &[(Arc<Segment>, Due)]) -> Vec<(i64, i64)> {
    let hours = segments.iter().map(|(segment, _)| segment.start_range.unwrap().1.0 / (DAY / 24));
    hours.map(|hours| (hours / 24 - 100, hours % 24)).collect()
}

fn tables(expiries: &[Expiry]) -> Vec<(&'static str, Why, usize)> {
    expiries.iter().map(|of| (of.table.name(), of.why, of.segments.len())).collect()
}

#[test]
fn a_segment_is_looked_at_once_its_latest_row_is_older_than_a_rule_and_again_for_the_next() {
    let of = RetentionSettings { rules: vec![rule(2, "a", None), rule(3, "b", None)], ..of(None, None) };
    let live = live();
    let mut settled = Settled::default();
    let at = |hours: i64, settled: &Settled| plan(&live, UnixNanos(100 * DAY + hours * DAY / 24), &of, settled);
    assert_eq!(at(48 + 6, &settled), Plan::default());
    let first = at(48 + 7, &settled);
    assert_eq!((names(&first.examine), first.whole.len()), (vec![(0, 6)], 0));
    assert_eq!(names(&at(48 + 19, &settled).examine), [(0, 6), (0, 18)], "the oldest first");
    for (segment, due) in &first.examine {
        settled.under(&of).insert(segment.location.clone(), *due);
    }
    assert_eq!(at(48 + 7, &settled), Plan::default());
    assert_eq!(names(&at(48 + 19, &settled).examine), [(0, 18)]);
    let later = at(72 + 7, &settled);
    assert_eq!(names(&later.examine), [(0, 6), (0, 18), (1, 6)]);
    assert!(later.examine[0].1 != later.examine[1].1);
    // Other rules look again; other bytes do not.
    let same = RetentionSettings { max_bytes: Some(u64::MAX), ..of.clone() };
    assert_eq!(plan(&live, UnixNanos(100 * DAY + 55 * DAY / 24), &same, settled.under(&same)), Plan::default());
    let other = RetentionSettings { rules: vec![rule(2, "b", None)], ..of.clone() };
    assert_eq!(
        names(&plan(&live, UnixNanos(100 * DAY + 55 * DAY / 24), &other, settled.under(&other)).examine),
        [(0, 6)]
    );
    settled.retain(&[]);
    assert!(settled.segments.is_empty());
}

#[test]
fn spans_go_whole_by_the_longest_limit_and_digests_by_max_age() {
    let of = |days| RetentionSettings { rules: vec![rule(days, "a", None)], ..of(hours(2 * 24), None) };
    let now = UnixNanos(103 * DAY);
    let short = plan(&live(), now, &of(1), &Settled::default());
    let others = [("span_metrics", Why::Age, 2), ("edge_metrics", Why::Age, 2), ("traces", Why::Age, 2)];
    assert_eq!(tables(&short.whole), [&[("spans", Why::Age, 2)], &others[..]].concat());
    assert_eq!(names(&short.examine), [(1, 6), (1, 18)]);
    let long = plan(&live(), now, &of(3), &Settled::default());
    assert_eq!(tables(&long.whole), others, "they are looked at, and not dropped");
    assert_eq!(names(&long.examine), [(0, 6), (0, 18)]);
    let over = plan(&live(), UnixNanos(104 * DAY), &of(3), &Settled::default());
    assert_eq!(tables(&over.whole)[0], ("spans", Why::Rule(0), 2));
}

#[test]
fn digests_wait_for_spans_that_must_be_looked_at_for_their_errors() {
    let of = |error| RetentionSettings { rules: vec![rule(9, "a", error)], ..of(hours(2 * 24), None) };
    let count = |of: &RetentionSettings, hour: i64, settled: &Settled| {
        let planned = plan(&live(), UnixNanos(102 * DAY + hour * DAY / 24), of, settled);
        planned
            .whole
            .iter()
            .filter(|expiry| expiry.table == Table::Traces)
            .map(|expiry| expiry.segments.len())
            .sum::<usize>()
    };
    assert_eq!(count(&of(None), 7, &Settled::default()), 1, "nothing asks for them");
    let of = of(Some(true));
    assert_eq!(count(&of, 7, &Settled::default()), 0);
    // Both segments of spans of that day share the digests' time: the second is not due yet, then it was not looked at.
    let mut settled = Settled::default();
    for hour in [7, 19] {
        assert_eq!(count(&of, hour, &settled), 0, "{hour}");
        for (segment, due) in plan(&live(), UnixNanos(102 * DAY + hour * DAY / 24), &of, &settled).examine {
            settled.under(&of).insert(segment.location.clone(), due);
        }
    }
    assert_eq!(count(&of, 19, &settled), 2);
}

#[test]
fn bytes_are_cut_after_rules_and_meanwhile_a_tenth_later() {
    // There are 8,320 bytes.
    let of = |max_bytes| RetentionSettings { rules: vec![rule(1, "a", None)], ..of(None, Some(max_bytes)) };
    let now = UnixNanos(103 * DAY);
    let waiting = plan(&live(), now, &of(8_000), &Settled::default());
    assert_eq!((waiting.whole.len(), waiting.examine.len()), (0, 4));
    let mut settled = Settled::default();
    for (segment, due) in waiting.examine {
        settled.under(&of(1)).insert(segment.location.clone(), due);
    }
    assert_eq!(tables(&plan(&live(), now, &of(8_000), &settled).whole), [("spans", Why::Bytes, 1)]);
    let far_beyond = plan(&live(), now, &of(7_000), &Settled::default());
    assert_eq!((tables(&far_beyond.whole), far_beyond.examine.len()), (vec![("spans", Why::Bytes, 1)], 3));
}

#[test]
fn segments_that_others_wrote_are_not_rewritten() {
    let foreign = Segment {
        location: Path::from("spans/date=1970-04-11/part-0.parquet"),
        ..(*segment(Table::Spans, 100, 6, 9)).clone()
    };
    let live = ByTable { spans: vec![Arc::new(foreign)], ..ByTable::default() };
    let of = RetentionSettings { rules: vec![rule(1, "a", None)], ..of(None, None) };
    assert_eq!(plan(&live, UnixNanos(200 * DAY), &of, &Settled::default()), Plan::default());
}
