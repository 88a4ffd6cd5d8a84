//! Which segments go, and why. Pure.
//!
//! - By age: a segment goes once all of its rows are older. So rows stay until the youngest of their segment is too old, which is a day
//!   longer at most.
//! - By bytes: what is left of all tables is cut to the limit, the oldest dates first. Of a date spans go before digests, so
//!   that no span is without its trace.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::date_of;
use crate::config::RetentionSettings;
use crate::model::UnixNanos;
use crate::schema::{ByTable, Table};
use crate::snapshot::Segment;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// It is older than `retention.max_age`.
    Age,
    /// There is more than `retention.max_bytes`.
    Bytes,
}

impl Why {
    pub fn word(self) -> &'static str {
        match self {
            Why::Age => "max_age",
            Why::Bytes => "max_bytes",
        }
    }
}

/// Segments of a table and date that go for the same reason.
#[derive(Debug, Clone, PartialEq)]
pub struct Expiry {
    pub table: Table,
    pub date: Option<String>,
    pub why: Why,
    pub segments: Vec<Arc<Segment>>,
}

impl Expiry {
    pub fn rows(&self) -> u64 {
        self.segments.iter().map(|segment| segment.row_count).sum()
    }

    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.size_bytes).sum()
    }
}

/// In the order in which they should go.
const ORDER: [Table; 4] = [Table::Spans, Table::SpanMetrics, Table::EdgeMetrics, Table::Traces];

/// Place of the table, date and reason.
type Group<'s> = (usize, Option<&'s str>, Why);

/// What goes now: tables in the order in which they should be changed, the oldest dates first.
pub fn plan(live: &ByTable<Vec<Arc<Segment>>>, now: UnixNanos, settings: &RetentionSettings) -> Vec<Expiry> {
    let oldest = settings.max_age.map(|age| {
        let age = i64::try_from(age.as_nanos()).unwrap_or(i64::MAX);
        UnixNanos(now.0.saturating_sub(age))
    });
    let mut going: BTreeMap<Group<'_>, Vec<Arc<Segment>>> = BTreeMap::new();
    let mut left: Vec<(Option<&str>, usize, UnixNanos, &Arc<Segment>)> = Vec::new();
    for (place, table) in ORDER.into_iter().enumerate() {
        for segment in live.table(table) {
            // Of a segment that does not say when it was nobody knows that it is old.
            let Some((_, latest)) = segment.start_range else { continue };
            let date = date_of(&segment.location);
            if oldest.is_some_and(|oldest| latest < oldest) {
                going.entry((place, date, Why::Age)).or_default().push(Arc::clone(segment));
            } else {
                left.push((date, place, latest, segment));
            }
        }
    }
    if let Some(max_bytes) = settings.max_bytes {
        let all: u64 = Table::ALL.iter().flat_map(|table| live.table(*table)).map(|segment| segment.size_bytes).sum();
        let aged: u64 = going.values().flatten().map(|segment| segment.size_bytes).sum();
        let mut bytes = all - aged;
        left.sort_by_key(|(date, place, latest, segment)| (*date, *place, *latest, &segment.location));
        for (date, place, _, segment) in left {
            if bytes <= max_bytes {
                break;
            }
            bytes -= segment.size_bytes;
            going.entry((place, date, Why::Bytes)).or_default().push(Arc::clone(segment));
        }
    }
    let expiry = |((place, date, why), segments): (Group<'_>, _)| Expiry {
        table: ORDER[place],
        date: date.map(str::to_owned),
        why,
        segments,
    };
    going.into_iter().map(expiry).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use object_store::path::Path;
    use proptest::prelude::*;

    use super::*;
    use crate::catalog::partition_of;

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
        let planned = plan(&live(), UnixNanos(104 * DAY), &settings);
        let planned: Vec<_> = planned
            .iter()
            .map(|expiry| (expiry.table.name(), expiry.date.as_deref().unwrap(), expiry.why, expiry.segments.len()))
            .collect();
        assert_eq!(planned, expected);
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
            RetentionSettings { max_age, max_bytes: None },
            &[
                ("spans", first, Why::Age, 2),
                ("span_metrics", first, Why::Age, 2),
                ("edge_metrics", first, Why::Age, 2),
                ("traces", first, Why::Age, 2),
            ],
        );
        // Its latest start is what counts: 18:00 of that day is no older than 78 hours.
        let planned = plan(&live(), UnixNanos(104 * DAY), &RetentionSettings { max_age: hours(78), max_bytes: None });
        assert!(planned.iter().all(|expiry| expiry.segments.len() == 1), "{planned:?}");
    }

    #[test]
    fn what_is_too_much_goes_oldest_first_spans_before_their_digests() {
        // There are 8,320 bytes.
        check(RetentionSettings { max_age: None, max_bytes: Some(8_320) }, &[]);
        let of = |max_bytes| RetentionSettings { max_age: None, max_bytes: Some(max_bytes) };
        check(of(8_319), &[("spans", "1970-04-11", Why::Bytes, 1)]);
        check(of(6_305), &[("spans", "1970-04-11", Why::Bytes, 2), ("span_metrics", "1970-04-11", Why::Bytes, 2)]);
        check(
            RetentionSettings { max_age: hours(72), max_bytes: Some(5_300) },
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
            let settings = RetentionSettings { max_age: Some(max_age), max_bytes: Some(max_bytes) };
            let planned = plan(&live, now, &settings);
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
}
