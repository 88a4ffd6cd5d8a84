//! A trace is what SQL says that it is, wherever its spans are.

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;

use super::*;
use crate::testing::{TestSource, TestSpan, lines, trace_id};
use crate::{Config, SqlRequest};

fn config() -> Config {
    Config { threads: 2, ..Config::default() }
}

async fn engine_lacking(lacking: &[&str], memory: &[TestSpan], segments: &[Vec<TestSpan>], config: Config) -> Engine {
    let source = TestSource::with_segments_lacking(lacking, memory, segments).await;
    Engine::new(config, source).unwrap()
}

/// Spans with all there is to show, out of order.
fn spans(trace: u64, first: u64) -> Vec<TestSpan> {
    let mut other = TestSpan::new(trace, first + 2, Some(first)).service("cart").name("get").error();
    other.status_message = Some("no stock".to_owned());
    other.kind = "client".to_owned();
    let other = other.event("exception", &[("exception.type", "Oops".into())]).event("retry", &[]);
    let mut linked = TestSpan::new(trace, first + 1, Some(first)).times(first as i64 + 7, 3).attribute("k", 1);
    linked.links.push((trace_id(99), crate::testing::span_id(99), Vec::new()));
    vec![other, TestSpan::new(trace, first, None).times(first as i64, 1_000), linked]
}

async fn sql(engine: &Engine, trace: TraceId, limit: usize) -> (Vec<String>, Stats) {
    let query = format!(
        "SELECT {} FROM spans WHERE trace_id = '{trace}' ORDER BY start_time, start_nanos, span_id LIMIT {limit}",
        columns_in_sql()
    );
    let mut answer = engine.sql(SqlRequest::new(query)).await.unwrap();
    let batches = answer.collect().await.unwrap();
    (lines(&batches), answer.stats())
}

async fn digest(engine: &Engine, trace: TraceId) -> (Vec<String>, Stats) {
    let query = format!(
        "SELECT trace_id, start_time, start_nanos, duration_ns, root_service, root_name, span_count, error_count, services, \
         kept, keep_reason, class, adjusted_count, head_count, policy_revision, trace_complete FROM traces \
         WHERE trace_id = '{trace}'"
    );
    let mut answer = engine.sql(SqlRequest::new(query)).await.unwrap();
    let batches = answer.collect().await.unwrap();
    (lines(&batches), answer.stats())
}

/// An empty list's length is NULL in the rows, and 0 in SQL and in all that is made of the rows.
fn shown(rows: &Rows) -> Vec<String> {
    let mut columns = rows.batch().columns().to_vec();
    let counts = columns.len() - 2;
    for (place, name) in [(counts, "event_count"), (counts + 1, "link_count")] {
        columns[place] = Arc::new(arrow::array::Int64Array::from(rows.lengths(name).unwrap()));
    }
    let schema = rows.batch().schema();
    let names = schema.fields().iter().map(|field| field.name());
    let named = names.zip(columns).map(|(name, column)| (name, column, true));
    lines(&[RecordBatch::try_from_iter_with_nullable(named).unwrap()])
}

/// The trace has so many spans, and is what SQL says, and so is its cost; `segments` are those read, where none is searched.
async fn check(engine: &Engine, trace: u64, count: usize, segments: Option<u64>) {
    let trace = trace_id(trace);
    let (rows, of_spans) = sql(engine, trace, MAX_SPANS).await;
    let (digests, of_digest) = digest(engine, trace).await;
    assert_eq!(rows.len(), count);
    let answer = engine.trace(trace).await.unwrap();
    assert_eq!(shown(&answer.rows), rows);
    // Of several, one.
    let digest = lines(std::slice::from_ref(&answer.digest));
    assert!(digest.len() == 1 && digests.contains(&digest[0]), "{digest:?} of {digests:?}");
    assert_eq!(answer.spans().unwrap().len(), count);
    assert_eq!(answer.columns().unwrap().num_rows(), count);
    let of_sql = of_spans.and(of_digest);
    let cost = |stats: &Stats| (stats.rows_scanned, stats.segments_scanned, stats.segments_total, stats.basis);
    assert_eq!(cost(&answer.stats), cost(&of_sql));
    if let Some(segments) = segments {
        assert_eq!(answer.stats.segments_scanned, segments);
        assert_eq!(answer.stats.bytes_scanned > 0, segments > 0);
    }
    assert!(answer.stats.bytes_scanned <= of_sql.bytes_scanned, "{:?} {of_sql:?}", answer.stats);
}

#[tokio::test]
async fn a_trace_is_what_sql_says_of_it_wherever_it_is() {
    let both = [spans(1, 10), spans(2, 20)].concat();
    let alone = |trace, first| [spans(trace, first), spans(7, 70)].concat();
    for indexed in [false, true] {
        for lacking in [&[][..], &[storage::schema::spans::EXCEPTION_TYPE]] {
            for (memory, segments, read) in [
                (both.clone(), vec![], 0),
                (spans(2, 20), vec![alone(1, 10)], 2),
                (spans(1, 13), vec![alone(1, 10), alone(1, 20), alone(3, 30)], 4),
                (vec![], vec![alone(1, 10), alone(1, 20)], 4),
            ] {
                let count =
                    memory.iter().chain(segments.iter().flatten()).filter(|span| span.trace == trace_id(1)).count();
                let config = if indexed { config() } else { Config { trace_index_bytes: 0, ..config() } };
                let engine = engine_lacking(lacking, &memory, &segments, config).await;
                engine.index_traces().await.unwrap();
                check(&engine, 1, count, indexed.then_some(read)).await;
            }
        }
    }
}

#[tokio::test]
async fn of_a_trace_that_is_not_there_nothing_is_said_and_of_a_dropped_one_its_digest() {
    let dropped = |trace, span| TestSpan::new(trace, span, None).dropped();
    let segment = vec![TestSpan::new(1, 1, None), dropped(2, 2)];
    for trace_index_bytes in [0, 1 << 20] {
        let config = Config { trace_index_bytes, ..config() };
        let engine = engine_lacking(&[], &[dropped(3, 3)], std::slice::from_ref(&segment), config).await;
        engine.index_traces().await.unwrap();
        let unknown = engine.trace(trace_id(9)).await.unwrap_err();
        assert!(matches!(unknown, Error::NotFound(_)), "{unknown}");
        for trace in [2, 3] {
            let read = (trace_index_bytes > 0).then_some(u64::from(trace == 2));
            check(&engine, trace, 0, read).await;
            let facts = engine.trace(trace_id(trace)).await.unwrap().facts;
            assert_eq!((facts.span_count, facts.adjusted_count, facts.complete), (1, Some(0.0), true));
        }
    }
}

#[tokio::test]
async fn of_several_digests_the_first_that_was_kept_tells_and_all_that_were_kept_count() {
    let span = |span, start, class| TestSpan::new(1, span, None).times(start, 10).class(class);
    let segments = [
        vec![span(1, 10, "dropped").dropped()],
        vec![span(2, 300, "later"), span(3, 310, "later")],
        vec![span(4, 200, "first")],
        vec![span(5, 50, "dropped").dropped()],
    ];
    let source = TestSource::new(&[], &segments).await;
    let ask = async |source: Arc<TestSource>| {
        let answer = Engine::new(config(), source).unwrap().trace(trace_id(1)).await.unwrap();
        let classes = cast(answer.digest.column_by_name("class").unwrap(), &DataType::Utf8).unwrap();
        (classes.as_string::<i32>().value(0).to_owned(), answer.facts.start.0, answer.missing_spans())
    };
    let said = |class: &str, start, missing| (class.to_owned(), start, missing);
    assert_eq!(ask(Arc::clone(&source)).await, said("first", 200, Some(0)));
    assert_eq!(ask(source.without(&[1], &[])).await, said("first", 200, Some(2)));
    assert_eq!(ask(source.without(&[1, 2], &[])).await, said("first", 200, Some(3)));
    let late = source.without(&[], &[2]);
    assert_eq!(ask(Arc::clone(&late)).await, said("later", 200, Some(0)), "more than were counted");
    assert_eq!(ask(late.thinned()).await, said("later", 200, None), "any of them may be gone");
    assert_eq!(ask(source.without(&[1, 2], &[1, 2])).await, said("dropped", 10, Some(0)));
    for (count, missing) in [(MAX_DIGESTS, Some(1)), (MAX_DIGESTS + 1, None)] {
        let segments: Vec<_> = (0..count).map(|at| vec![span(at as u64 + 1, at as i64, "each")]).collect();
        let source = TestSource::new(&[], &segments).await;
        assert_eq!(ask(source.without(&[0], &[])).await.2, missing, "{count} digests");
    }
}

#[tokio::test]
async fn the_first_spans_of_a_long_trace_are_answered_and_that_there_are_more() {
    let all = |first: u64| {
        (first..first + 30).map(|span| TestSpan::new(1, span, None).times(1_000 - span as i64, 1)).collect::<Vec<_>>()
    };
    let engine = engine_lacking(&[], &all(100), &[all(200), all(300)], config()).await;
    engine.index_traces().await.unwrap();
    for limit in [1, 40, 89, 90, 91] {
        let answer = engine.trace_within(trace_id(1), limit).await.unwrap();
        assert_eq!(shown(&answer.rows), sql(&engine, trace_id(1), limit).await.0, "{limit}");
        assert_eq!(answer.facts.truncated, limit < 90, "{limit}");
    }
}
