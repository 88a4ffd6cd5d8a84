//! Rows in memory and in segments as one table.

mod computed;
mod known_traces;
mod metrics;
mod promoted;
mod promotion;

use std::sync::Arc;

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use storage::SnapshotSource;
use storage::schema::promoted::{Promoted, PromotedType, Scope};
use storage::schema::{Table, spans};

use crate::testing::{TestSource, TestSpan, Value, ask, span_id, trace_id};
use crate::{Config, Engine, Error};

async fn engine(memory: &[TestSpan], segments: &[Vec<TestSpan>]) -> Engine {
    engine_of(TestSource::new(memory, segments).await)
}

fn engine_of(source: Arc<TestSource>) -> Engine {
    Engine::new(Config { threads: 2, ..Config::default() }, source).unwrap()
}

#[tokio::test]
async fn segments_have_the_columns_of_their_table_and_no_arrow_schema() {
    let spans = [TestSpan::new(1, 1, None).attribute("k", 1).event("e", &[("x", "y".into())])];
    let source = TestSource::new(&[], &[spans.to_vec()]).await;
    let snapshot = source.snapshot().unwrap();
    for table in [Table::Spans, Table::Traces] {
        let segment = Arc::clone(&snapshot.table(table).segments[0]);
        let bytes = object_store::ObjectStoreExt::get(&source.object_store(), &segment.location)
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
        let names = |schema: &arrow::datatypes::Schema| -> Vec<String> {
            schema.fields().iter().map(|field| field.name().clone()).collect()
        };
        assert_eq!(names(reader.schema()), names(&table.schema()));
        assert_eq!(reader.metadata().file_metadata().key_value_metadata(), None);
        assert_eq!(reader.build().unwrap().next().unwrap().unwrap().num_rows(), 1);
    }
}

#[tokio::test]
async fn columns_that_a_segment_was_written_without_are_null_in_it() {
    let lacking = [spans::CRITICAL_NS, spans::PATH_ID];
    let (old, new) = (TestSpan::new(1, 1, None).name("old"), TestSpan::new(2, 2, None).name("new"));
    let source = TestSource::with_segments_lacking(&lacking, &[new], &[vec![old]]).await;
    let engine = Engine::new(Config { threads: 2, ..Config::default() }, source).unwrap();
    for (sql, expected) in [
        ("SELECT span_name, critical_ns FROM spans ORDER BY span_name", &["new|1000000", "old|NULL"][..]),
        ("SELECT span_name FROM spans WHERE critical_ns IS NULL", &["old"]),
        ("SELECT span_name FROM spans WHERE critical_ns > 5 AND duration_ns > 5", &["new"]),
        ("SELECT sum(critical_ns), count(critical_ns), count(path_id), count(*) FROM spans", &["1000000|1|0|2"]),
    ] {
        assert_eq!(ask(&engine, sql).await.unwrap(), expected, "{sql}");
    }
}

/// The value of a metric in the text of EXPLAIN ANALYZE, of the scan of segments.
async fn metric(engine: &Engine, sql: &str, name: &str) -> String {
    let plan = ask(engine, &format!("EXPLAIN ANALYZE VERBOSE {sql}")).await.unwrap().join("\n");
    let found = plan.split(&format!("{name}=")).nth(1).unwrap_or_else(|| panic!("{name} in {plan}"));
    found.split([',', ']', '\n']).next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn blooms_and_pushdown_work_on_binary_view_ids() {
    // One segment with the even traces; odd ids are within its range and not in it.
    let segment: Vec<TestSpan> = (0..500).map(|number| TestSpan::new(2 * number + 2, number, None)).collect();
    let config = Config { threads: 2, trace_index_bytes: 0, ..Config::default() };
    let engine = Engine::new(config, TestSource::new(&[], &[segment]).await).unwrap();
    let absent = "SELECT span_id FROM spans WHERE trace_id = 'abababababababab0000000000000011'";
    assert_eq!(ask(&engine, absent).await.unwrap(), Vec::<String>::new());
    let pruned = metric(&engine, absent, "row_groups_pruned_bloom_filter").await;
    assert_eq!(pruned, "1 total → 0 matched");
    let present = "SELECT span_name FROM spans WHERE trace_id = 'abababababababab0000000000000010'";
    assert_eq!(ask(&engine, present).await.unwrap(), ["op"]);
    assert_eq!(metric(&engine, present, "row_groups_pruned_bloom_filter").await, "1 total → 1 matched");
    assert_eq!(metric(&engine, present, "pushdown_rows_matched").await, "1");
    let list = "SELECT span_name FROM spans WHERE trace_id IN ('abababababababab0000000000000011', 'abababababababab0000000000000013')";
    assert_eq!(metric(&engine, list, "row_groups_pruned_bloom_filter").await, "1 total → 0 matched");
    let grouped = "SELECT count(*) FROM (SELECT trace_id FROM spans GROUP BY trace_id)";
    assert_eq!(ask(&engine, grouped).await.unwrap(), ["500"]);
}

#[tokio::test]
async fn a_filter_that_fails_on_a_value_is_the_querys_fault() {
    let engine = engine(&[], &[vec![TestSpan::new(1, 1, None)]]).await;
    match ask(&engine, "SELECT 1 FROM spans WHERE CAST(service_name AS INT) = 5").await {
        Err(Error::BadQuery { message, .. }) => assert!(message.contains("shop"), "{message}"),
        other => panic!("{other:?}"),
    }
}

/// DataFusion 55.2 makes a filter of what `max(column)` has seen and forgets the other aggregates, whose rows go missing.
#[tokio::test]
async fn an_aggregate_over_an_expression_sees_all_rows_beside_one_over_a_column() {
    let segment = |number: u64, starts: std::ops::Range<i64>| -> Vec<TestSpan> {
        starts.map(|start| TestSpan::new(number, start as u64, None).times(start, start)).collect()
    };
    // Each of the two threads has a segment with long spans first.
    let segments = [segment(1, 300..400), segment(2, 200..300), segment(3, 100..200), segment(4, 0..100)];
    let engine = engine(&[], &segments).await;
    let sql = "SELECT max(duration_ns), min(start_nanos + 1) FROM spans";
    assert_eq!(ask(&engine, sql).await.unwrap(), ["399|1"]);
}

#[tokio::test]
async fn empty_legs_are_left_out() {
    let spans = vec![TestSpan::new(1, 1, None)];
    for (memory, segments, has, has_not) in [
        (spans.clone(), vec![], "DataSourceExec: memory", "parquet"),
        (vec![], vec![spans.clone()], "parquet", "DataSourceExec: memory"),
        (vec![], vec![], "EmptyExec", "parquet"),
    ] {
        let engine = engine(&memory, &segments).await;
        let plan = ask(&engine, "EXPLAIN SELECT span_name FROM spans").await.unwrap().join("\n");
        assert!(plan.contains(has) && !plan.contains(has_not) && !plan.contains("UnionExec"), "{plan}");
    }
}

#[tokio::test]
async fn columns_come_in_the_order_asked_for_whatever_the_filter_reads() {
    let engine = engine(
        &[TestSpan::new(1, 1, None).name("a").attribute("k", 1)],
        &[vec![TestSpan::new(2, 2, None).name("b").attribute("k", 2)]],
    )
    .await;
    for (sql, expected) in [
        (
            "SELECT span_name, trace_id FROM spans WHERE duration_ns > 0 AND attributes['k'] = 2",
            "b|abababababababab0000000000000002",
        ),
        ("SELECT count(*) FROM spans WHERE attributes['k'] = 1", "1"),
        (
            "SELECT kind, span_name, kind AS again FROM spans WHERE span_name = 'a' AND kind = 'server'",
            "server|a|server",
        ),
        ("SELECT 1 FROM spans WHERE resource['x'] IS NULL AND span_id = 'cd00000000000001'", "1"),
    ] {
        assert_eq!(ask(&engine, sql).await.unwrap(), [expected], "{sql}");
    }
}

/// A condition on one span, in SQL and in Rust.
#[derive(Debug, Clone)]
enum Condition {
    Service(u8),
    Longer(i64),
    Trace(u64),
    Traces(Vec<u64>),
    StartsAfter(i64),
    Number(&'static str, i64),
    Text(String),
    HasN,
    Not(Box<Condition>),
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
}

impl Condition {
    fn sql(&self) -> String {
        match self {
            Self::Service(service) => format!("service_name = 's{service}'"),
            Self::Longer(duration) => format!("duration_ns > {duration}"),
            Self::Trace(trace) => format!("trace_id = '{}'", trace_id(*trace)),
            Self::Traces(traces) => {
                let ids: Vec<String> = traces.iter().map(|trace| format!("'{}'", trace_id(*trace))).collect();
                format!("trace_id IN ({})", ids.join(", "))
            }
            Self::StartsAfter(micros) => format!("start_time > to_timestamp_micros({micros})"),
            Self::Number(operator, number) => format!("attributes['n'] {operator} {number}"),
            Self::Text(text) => format!("attributes['n'] = '{text}'"),
            Self::HasN => "attributes['n'] IS NOT NULL".to_owned(),
            Self::Not(inner) => format!("NOT ({})", inner.sql()),
            Self::And(left, right) => format!("({} AND {})", left.sql(), right.sql()),
            Self::Or(left, right) => format!("({} OR {})", left.sql(), right.sql()),
        }
    }

    /// SQL's three values.
    fn holds(&self, span: &TestSpan) -> Option<bool> {
        let n = span.attributes.iter().find(|(key, _)| key == "n").map(|(_, value)| value);
        match self {
            Self::Service(service) => Some(span.service == format!("s{service}")),
            Self::Longer(duration) => Some(span.duration > *duration),
            Self::Trace(trace) => Some(span.trace == trace_id(*trace)),
            Self::Traces(traces) => Some(traces.iter().any(|trace| span.trace == trace_id(*trace))),
            Self::StartsAfter(micros) => Some(span.start.div_euclid(1_000) > *micros),
            Self::Number(operator, number) => {
                let value = match n? {
                    Value::Int(int) => *int as f64,
                    Value::Float(float) => *float,
                    _ => return None,
                };
                let number = *number as f64;
                Some(match *operator {
                    "=" => value == number,
                    "!=" => value != number,
                    "<" => value < number,
                    _ => value >= number,
                })
            }
            Self::Text(text) => match n? {
                Value::Text(value) => Some(value == text),
                Value::Int(int) => Some(int.to_string() == *text),
                Value::Float(float) => Some(format!("{float:?}") == *text),
                Value::Bool(bool) => Some(bool.to_string() == *text),
                Value::Json(json) => Some(json == text),
                Value::Unset => None,
            },
            Self::HasN => Some(!matches!(n, None | Some(Value::Unset))),
            Self::Not(inner) => inner.holds(span).map(|holds| !holds),
            Self::And(left, right) => match (left.holds(span), right.holds(span)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Self::Or(left, right) => match (left.holds(span), right.holds(span)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
        }
    }
}

const FIRST: i64 = 1_000_000;

fn condition() -> impl Strategy<Value = Condition> {
    let leaf = prop_oneof![
        (0..3_u8).prop_map(Condition::Service),
        (0..10_i64).prop_map(Condition::Longer),
        (0..8_u64).prop_map(Condition::Trace),
        prop::collection::vec(0..8_u64, 1..4).prop_map(Condition::Traces),
        (FIRST / 1_000 - 1..FIRST / 1_000 + 12).prop_map(Condition::StartsAfter),
        (prop::sample::select(vec!["=", "!=", "<", ">="]), -2..4_i64)
            .prop_map(|(operator, number)| Condition::Number(operator, number)),
        prop::sample::select(vec!["1", "1.5", "true", "word", "[]"]).prop_map(|text| Condition::Text(text.to_owned())),
        Just(Condition::HasN),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|inner| Condition::Not(Box::new(inner))),
            (inner.clone(), inner.clone()).prop_map(|(left, right)| Condition::And(Box::new(left), Box::new(right))),
            (inner.clone(), inner).prop_map(|(left, right)| Condition::Or(Box::new(left), Box::new(right))),
        ]
    })
}

fn value() -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        Just(None),
        (-2..4_i64).prop_map(|int| Some(Value::Int(int))),
        prop::sample::select(vec![-1.0, 0.0, 1.0, 1.5]).prop_map(|float| Some(Value::Float(float))),
        Just(Some(Value::Bool(true))),
        Just(Some(Value::Text("word".to_owned()))),
        Just(Some(Value::Text("1".to_owned()))),
        Just(Some(Value::Json("[]".to_owned()))),
        Just(Some(Value::Unset)),
    ]
}

/// (trace, service, start offset, duration, n)
type Row = (u64, u8, i64, i64, Option<Value>);

fn span(number: usize, (trace, service, start, duration, n): Row) -> TestSpan {
    let mut span =
        TestSpan::new(trace, number as u64, None).service(&format!("s{service}")).times(FIRST + start, duration);
    if let Some(n) = n {
        span = span.attribute("n", n);
    }
    span
}

/// The attribute `n` with every type.
fn promoted_n() -> Vec<Promoted> {
    PromotedType::ALL.map(|value_type| Promoted { scope: Scope::Attributes, value_type, key: "n".into() }).into()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn queries_over_memory_and_segments_equal_a_naive_scan(
        rows in prop::collection::vec((0..8_u64, 0..3_u8, 0..12_000_i64, 0..10_i64, value()), 0..40),
        cuts in prop::collection::vec(0..4_usize, 40),
        promoted in prop::collection::vec(0..PromotedType::ALL.len() + 1, 3),
        conditions in prop::collection::vec(condition(), 4),
    ) {
        let spans: Vec<TestSpan> = rows.into_iter().enumerate().map(|(number, row)| span(number, row)).collect();
        let mut parts = vec![Vec::new(); 4];
        for (span, part) in spans.iter().zip(cuts) {
            parts[part].push(span.clone());
        }
        let memory = parts.pop().unwrap_or_default();
        let segments = promoted.into_iter().zip(parts).filter(|(_, part)| !part.is_empty()).collect::<Vec<_>>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let engine = async || engine_of(TestSource::with_promoted(&promoted_n(), &memory, &segments).await);
            let (searching, knowing) = (engine().await, engine().await);
            knowing.index_traces().await.unwrap();
            assert_eq!(knowing.trace_index().with_rows, 2 * segments.len());
            for (engine, condition) in [&searching, &knowing].into_iter().flat_map(|of| conditions.iter().map(move |it| (of, it))) {
                let matching: Vec<&TestSpan> = spans.iter().filter(|span| condition.holds(span) == Some(true)).collect();
                let mut expected: Vec<String> = matching.iter().map(|span| span.span.to_string()).collect();
                expected.sort();
                let condition = condition.sql();
                let sql = format!("SELECT span_id FROM spans WHERE {condition} ORDER BY span_id");
                assert_eq!(ask(engine, &sql).await.unwrap(), expected, "{sql}");
                let sql = format!("SELECT count(*) FROM spans WHERE {condition}");
                assert_eq!(ask(engine, &sql).await.unwrap(), [matching.len().to_string()], "{sql}");
                let newest = format!("SELECT span_id FROM spans WHERE {condition} ORDER BY start_time DESC, start_nanos DESC, span_id LIMIT 3");
                let mut by_start = matching;
                by_start.sort_by_key(|span| (std::cmp::Reverse(span.start), span.span));
                let expected: Vec<String> = by_start.iter().take(3).map(|span| span.span.to_string()).collect();
                assert_eq!(ask(engine, &newest).await.unwrap(), expected, "{newest}");
            }
        });
    }
}

#[test]
fn test_ids_are_those_of_their_numbers() {
    assert_eq!(span_id(1).to_string(), "cd00000000000001");
}

#[tokio::test]
async fn segments_that_a_filter_on_times_leaves_nothing_of_are_not_planned() {
    let segment = |number: u64| vec![TestSpan::new(number, number, None).times(number as i64 * 1_000_000_000, 1)];
    let engine = engine(&[], &[segment(1), segment(2), segment(3)]).await;
    for (condition, rows, segments) in [
        ("start_time >= '1970-01-01T00:00:02Z'", 2, 2),
        ("start_time >= '1970-01-01T00:00:02Z' AND duration_ns = 1", 2, 2),
        ("start_time >= '1970-01-01T00:00:09Z' OR start_time < '1970-01-01T00:00:02Z'", 1, 1),
        ("duration_ns = 1", 3, 3),
    ] {
        let sql = format!("SELECT span_name FROM spans WHERE {condition}");
        assert_eq!(ask(&engine, &sql).await.unwrap().len(), rows, "{sql}");
        // The reader would leave them out, too, each by itself.
        let plan = ask(&engine, &format!("EXPLAIN {sql}")).await.unwrap().join("\n");
        assert_eq!(plan.matches(".parquet").count(), segments, "{plan}");
    }
}
