//! Searches over spans in memory and in segments.

use crate::search::{AttributeScope, Comparison, Field, Filter, FilterValue, Search};
use crate::testing::{TestSource, TestSpan};
use crate::{Config, Engine, TimeRange, UnixNanos};

const START: i64 = 1_700_000_000_000_000_000;

/// Trace n starts at n microseconds and n nanoseconds; traces 0 to 4 are in segments, the others in memory.
fn spans(trace: u64) -> Vec<TestSpan> {
    let at = START + i64::try_from(trace).unwrap() * 1_001;
    vec![
        TestSpan::new(trace, 10 * trace + 1, None)
            .service("front")
            .name("GET /")
            .times(at, 100 + i64::try_from(trace).unwrap())
            .attribute("http.route", if trace.is_multiple_of(2) { "/even" } else { "/odd" })
            .attribute("n", i64::try_from(trace).unwrap()),
        TestSpan::new(trace, 10 * trace + 2, Some(10 * trace + 1))
            .service("db")
            .name("SELECT 100%")
            .times(at + 10, 50)
            .resource("host", format!("h{trace}").as_str()),
    ]
}

async fn engine() -> Engine {
    let memory: Vec<TestSpan> = (5..10).flat_map(spans).collect();
    let segments: Vec<Vec<TestSpan>> = (0..5).map(spans).collect();
    Engine::new(Config { threads: 2, ..Config::default() }, TestSource::new(&memory, &segments).await).unwrap()
}

fn field(field: Field, comparison: Comparison, value: FilterValue) -> Filter {
    Filter::Field { field, comparison, value }
}

fn attribute(key: &str, comparison: Comparison, value: FilterValue) -> Filter {
    Filter::Attribute { key: key.to_owned(), scope: AttributeScope::Any, comparison, value }
}

fn text(text: &str) -> FilterValue {
    FilterValue::Text(text.to_owned())
}

/// The number of a trace, from its id.
fn number(trace_id: &str) -> u64 {
    u64::from_str_radix(&trace_id[16..], 16).unwrap()
}

#[tokio::test]
async fn filters_find_their_traces_newest_first() {
    let engine = engine().await;
    let cases: Vec<(Option<Filter>, Vec<u64>)> = vec![
        (None, (0..10).rev().collect()),
        (Some(field(Field::ServiceName, Comparison::Eq, text("db"))), (0..10).rev().collect()),
        (Some(field(Field::SpanName, Comparison::Contains, text("0%"))), (0..10).rev().collect()),
        (Some(field(Field::SpanName, Comparison::Contains, text("0_"))), vec![]),
        (Some(attribute("http.route", Comparison::Eq, text("/even"))), vec![8, 6, 4, 2, 0]),
        (Some(attribute("n", Comparison::GtEq, FilterValue::Int(8))), vec![9, 8]),
        (Some(attribute("host", Comparison::Eq, text("h3"))), vec![3]),
        (Some(attribute("host", Comparison::Contains, text("H4"))), vec![4]),
        (Some(attribute("it's", Comparison::Exists, FilterValue::None)), vec![]),
        (Some(field(Field::TraceDurationNs, Comparison::Gt, FilterValue::Int(107))), vec![9, 8]),
        (Some(field(Field::TraceId, Comparison::Eq, text("abababababababab0000000000000005"))), vec![5]),
        (Some(field(Field::TraceId, Comparison::Contains, text("0005"))), vec![5]),
        (
            Some(Filter::All(vec![
                Filter::Not(Box::new(attribute("n", Comparison::Lt, FilterValue::Int(7)))),
                field(Field::IsRoot, Comparison::Eq, FilterValue::Bool(true)),
            ])),
            vec![9, 8, 7],
        ),
        (
            Some(Filter::Any(vec![
                attribute("n", Comparison::Eq, FilterValue::Float(1.0)),
                attribute("n", Comparison::Eq, FilterValue::Int(2)),
            ])),
            vec![2, 1],
        ),
    ];
    for (filter, expected) in cases {
        let page = engine.search_traces(&Search { filter: filter.clone(), limit: 100, ..Search::default() }).await;
        let page = page.unwrap_or_else(|error| panic!("{filter:?}: {error}"));
        let got: Vec<u64> = page.rows.iter().map(|row| number(&row.trace_id)).collect();
        assert_eq!(got, expected, "{}", page.sql);
        assert_eq!(page.cursor, None);
    }
}

#[tokio::test]
async fn ranges_are_exact_to_the_nanosecond() {
    let engine = engine().await;
    let at = |trace: i64, nanos: i64| Some(UnixNanos(START + trace * 1_001 + nanos));
    for (from, to, expected) in
        [(at(3, 0), at(5, 0), vec![4, 3]), (at(3, 1), at(5, 1), vec![5, 4]), (at(9, 1), None, vec![])]
    {
        let search = Search { range: TimeRange { from, to }, limit: 100, ..Search::default() };
        let page = engine.search_traces(&search).await.unwrap();
        assert_eq!(page.rows.iter().map(|row| number(&row.trace_id)).collect::<Vec<_>>(), expected, "{}", page.sql);
        let roots = Search { filter: Some(field(Field::IsRoot, Comparison::Eq, FilterValue::Bool(true))), ..search };
        let page = engine.search_spans(&roots).await.unwrap();
        assert_eq!(page.rows.iter().map(|row| number(&row.trace_id)).collect::<Vec<_>>(), expected, "{}", page.sql);
    }
}

#[tokio::test]
async fn a_range_reads_only_the_segments_within_it() {
    let engine = engine().await;
    let range = TimeRange { from: Some(UnixNanos(START)), to: Some(UnixNanos(START + 1_001)) };
    let page = engine.search_spans(&Search { range, limit: 100, ..Search::default() }).await.unwrap();
    assert_eq!(
        (page.rows.len(), page.stats.segments_scanned, page.stats.segments_total),
        (2, 1, 5),
        "{:?}",
        page.stats
    );
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_repetition() {
    let engine = engine().await;
    for filter in [None, Some(field(Field::DurationNs, Comparison::Gt, FilterValue::Int(0)))] {
        let mut search = Search { limit: 3, filter, ..Search::default() };
        let (mut traces, mut spans) = (Vec::new(), Vec::new());
        loop {
            let page = engine.search_traces(&search).await.unwrap();
            traces.extend(page.rows.iter().map(|row| number(&row.trace_id)));
            search.cursor = page.cursor;
            if search.cursor.is_none() {
                break;
            }
        }
        assert_eq!(traces, (0..10).rev().collect::<Vec<_>>());
        loop {
            let page = engine.search_spans(&search).await.unwrap();
            spans.extend(page.rows.iter().map(|row| row.span_id.clone()));
            search.cursor = page.cursor;
            if search.cursor.is_none() {
                break;
            }
        }
        spans.sort();
        spans.dedup();
        assert_eq!(spans.len(), 20);
    }
}

#[tokio::test]
async fn spans_are_found_by_the_exception_that_left_them() {
    let typed = |name: &'static str| [("exception.type", name.into()), ("exception.message", "no".into())];
    let failed = |trace, events: &[&'static str]| {
        let span = TestSpan::new(trace, trace, None).times(START + i64::try_from(trace).unwrap(), 1).error();
        vec![events.iter().fold(span, |span, name| span.event("exception", &typed(name)))]
    };
    let segments = [failed(1, &["Timeout"]), failed(2, &[]), failed(3, &["Timeout", "Refused"])];
    let memory = [failed(4, &["Refused", "Timeout"]), failed(5, &["Refused"]), failed(6, &[])].concat();
    let config = || Config { threads: 2, ..Config::default() };
    // Segments of before know nothing of exceptions.
    for (lacking, timeouts, any) in
        [(&[][..], vec![4, 1], vec![5, 4, 3, 1]), (&["exception_type"][..], vec![4], vec![5, 4])]
    {
        let source = TestSource::with_segments_lacking(lacking, &memory, &segments).await;
        let engine = Engine::new(config(), source).unwrap();
        for (filter, expected) in [
            (field(Field::ExceptionType, Comparison::Eq, text("Timeout")), timeouts),
            (field(Field::ExceptionType, Comparison::Exists, FilterValue::None), any.clone()),
            (field(Field::ExceptionType, Comparison::Contains, text("E")), any),
        ] {
            let page =
                engine.search_spans(&Search { filter: Some(filter), limit: 10, ..Search::default() }).await.unwrap();
            assert_eq!(page.rows.iter().map(|row| number(&row.trace_id)).collect::<Vec<_>>(), expected);
        }
        let spans = engine.trace(crate::testing::trace_id(4)).await.unwrap().spans().unwrap();
        assert_eq!(spans[0].exception_type.as_deref(), Some("Timeout"));
    }
}

#[tokio::test]
async fn the_first_matching_span_is_named() {
    let engine = engine().await;
    let filter = Some(field(Field::ServiceName, Comparison::Eq, text("db")));
    let page = engine.search_traces(&Search { filter, limit: 1, ..Search::default() }).await.unwrap();
    let row = &page.rows[0];
    assert_eq!(row.matched_span_id.as_deref(), Some("cd0000000000005c"));
    assert_eq!((row.matched_spans, row.span_count, row.root_name.as_deref()), (1, 2, Some("GET /")));
    assert_eq!(row.services, ["db", "front"]);
    assert!(page.cursor.is_some());
}

#[tokio::test]
async fn wrong_filters_say_what_they_need() {
    let engine = engine().await;
    for (filter, message) in [
        (field(Field::DurationNs, Comparison::Gt, text("long")), "duration_ns > needs a number"),
        (field(Field::IsRoot, Comparison::Eq, text("yes")), "is_root = needs true or false"),
        (field(Field::DurationNs, Comparison::Contains, text("1")), "duration_ns contains needs a text field"),
        (
            field(Field::TraceId, Comparison::Eq, text("abc")),
            "trace_id is compared with 'abc', which is not 32 hex digits",
        ),
        (attribute("k", Comparison::Eq, FilterValue::None), "attribute k = needs a text, number or boolean"),
    ] {
        let search = Search { filter: Some(filter), limit: 10, ..Search::default() };
        let error = engine.search_traces(&search).await.unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
    let search = Search { cursor: Some("1.x".to_owned()), limit: 10, ..Search::default() };
    assert!(engine.search_traces(&search).await.unwrap_err().to_string().contains("cursor is not one"));
}
