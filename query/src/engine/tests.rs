//! Limits, cancelling, and what a query sees.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use object_store::ObjectStore;
use object_store::memory::InMemory;
use storage::{Segment, Snapshot, SnapshotSource};

use crate::testing::{TestSource, TestSpan, ask, lines};
use crate::{Config, Engine, Error, Parameter, SqlRequest, UnixNanos};

async fn source() -> Arc<TestSource> {
    let spans =
        |trace| vec![TestSpan::new(trace, 2 * trace, None), TestSpan::new(trace, 2 * trace + 1, Some(2 * trace))];
    TestSource::new(&spans(1), &[spans(2), spans(3)]).await
}

async fn engine(config: Config) -> Engine {
    Engine::new(Config { threads: 2, ..config }, source().await).unwrap()
}

#[tokio::test]
async fn a_query_ends_at_its_time_limit() {
    let engine = engine(Config { time_limit: Duration::from_millis(300), ..Config::default() }).await;
    for sql in [
        "SELECT count(*) FROM generate_series(1, 1000000000000) WHERE value % 7 = 3",
        "SELECT sum(a.value * b.value) FROM range(0, 10000000) a, range(0, 10000000) b",
        "WITH RECURSIVE n AS (SELECT 1 AS a UNION ALL SELECT a FROM n) SELECT count(*) FROM n",
    ] {
        let started = Instant::now();
        match ask(&engine, sql).await {
            Err(Error::Timeout { limit_ms: 300 }) => {}
            other => panic!("{sql}: {other:?}"),
        }
        assert!(started.elapsed() < Duration::from_secs(5), "{sql}: {:?}", started.elapsed());
    }
}

#[tokio::test]
async fn a_query_that_needs_too_much_memory_says_so() {
    let engine = engine(Config { memory_limit_bytes: 8 << 20, ..Config::default() }).await;
    for sql in [
        "SELECT v, count(*) AS n FROM (SELECT value * 7919 % 3000017 AS v FROM range(0, 3000000)) GROUP BY v ORDER BY n DESC",
        "SELECT sum(r) FROM (SELECT row_number() OVER (ORDER BY value DESC) AS r FROM range(0, 3000000))",
        "SELECT array_agg(value) FROM generate_series(1, 30000000)",
    ] {
        match ask(&engine, sql).await {
            Err(Error::Resources(message)) => assert!(!message.is_empty()),
            other => panic!("{sql}: {:?}", other.map(|lines| lines.len())),
        }
    }
    assert_eq!(ask(&engine, "SELECT count(*) FROM spans").await.unwrap(), ["6"]);
}

#[tokio::test]
async fn functions_that_make_gigabytes_of_one_row_are_unknown() {
    let engine = engine(Config::default()).await;
    for sql in [
        "SELECT repeat('x', 2000000000)",
        "SELECT lpad('x', 2000000000)",
        "SELECT rpad('x', 2000000000)",
        "SELECT array_repeat(1, 1000000000)",
        "SELECT list_repeat(1, 1000000000)",
        "SELECT range(0, 1000000000)",
        "SELECT generate_series(0, 1000000000)",
        "SELECT array_resize([1], 1000000000, 1)",
    ] {
        assert!(matches!(ask(&engine, sql).await, Err(Error::BadQuery { .. })), "{sql}");
    }
}

#[tokio::test]
async fn now_is_a_time_also_in_a_filter_on_segments() {
    let engine = engine(Config::default()).await;
    let sql = "SELECT count(*) FROM spans WHERE start_time < now() + interval '1 day'";
    assert_eq!(ask(&engine, sql).await.unwrap(), ["6"]);
}

#[tokio::test]
async fn rows_end_at_the_limit_and_say_so() {
    let engine = engine(Config { default_row_limit: 3, max_row_limit: 5, ..Config::default() }).await;
    for (limit, rows, truncated) in [(None, 3, true), (Some(5), 5, true), (Some(1), 1, true), (Some(0), 0, true)] {
        let request = SqlRequest { limit, ..SqlRequest::new("SELECT * FROM spans") };
        let mut answer = engine.sql(request).await.unwrap();
        assert_eq!((lines(&answer.collect().await.unwrap()).len(), answer.truncated()), (rows, truncated), "{limit:?}");
    }
    let mut exact = engine.sql(SqlRequest::new("SELECT * FROM spans LIMIT 3")).await.unwrap();
    assert_eq!((lines(&exact.collect().await.unwrap()).len(), exact.truncated()), (3, false));
    let beyond = SqlRequest { limit: Some(6), ..SqlRequest::new("SELECT 1") };
    assert!(engine.sql(beyond).await.unwrap_err().to_string().contains("limit 6 is above 5"));
}

#[tokio::test]
async fn the_cost_counts_rows_in_memory_and_in_segments() {
    let engine = engine(Config::default()).await;
    let mut answer = engine.sql(SqlRequest::new("SELECT service_name FROM spans WHERE duration_ns > 5")).await.unwrap();
    answer.collect().await.unwrap();
    let stats = answer.stats();
    assert_eq!((stats.rows_scanned, stats.segments_scanned, stats.segments_total), (6, 2, 2));
    assert!(stats.bytes_scanned > 0 && stats.ms > 0.0, "{stats:?}");
}

#[tokio::test]
async fn dropping_an_answer_stops_its_query() {
    let engine = engine(Config { max_concurrent_queries: 1, ..Config::default() }).await;
    let endless = "SELECT value FROM generate_series(1, 1000000000000)";
    let mut answer = engine.sql(SqlRequest { limit: Some(1_000_000), ..SqlRequest::new(endless) }).await.unwrap();
    assert!(answer.next().await.unwrap().is_ok());
    match engine.sql(SqlRequest::new("SELECT 1")).await {
        Err(Error::Unavailable(_)) => {}
        other => panic!("{other:?}"),
    }
    drop(answer);
    let started = Instant::now();
    while engine.threads.alive_tasks() > 0 {
        assert!(started.elapsed() < Duration::from_secs(5), "{} tasks are still alive", engine.threads.alive_tasks());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(ask(&engine, "SELECT 1").await.unwrap(), ["1"]);
}

#[tokio::test]
async fn a_trace_is_one_query() {
    let engine = engine(Config { max_concurrent_queries: 1, ..Config::default() }).await;
    let trace = engine.trace(crate::testing::trace_id(1)).await.unwrap();
    assert!(trace.facts.span_count > 0 && trace.digest.num_rows() == 1, "{:?}", trace.facts);
    assert_eq!(engine.permits.available_permits(), 1);
}

#[tokio::test]
async fn parameters_mean_what_their_literals_mean() {
    let engine = engine(Config::default()).await;
    let ask = async |query: &str, parameters: Vec<Parameter>| {
        let mut answer = engine.sql(SqlRequest { parameters, ..SqlRequest::new(query) }).await?;
        Ok::<_, Error>(lines(&answer.collect().await?))
    };
    let text = |text: &str| Parameter::Text(text.to_owned());
    let id = "ABABABABABABABAB0000000000000002";
    for (query, parameters, expected) in [
        ("SELECT count(*) FROM spans WHERE trace_id = $1", vec![text(id)], "2"),
        (
            "SELECT count(*) FROM spans WHERE trace_id IN ($1, $2)",
            vec![text(id), text("abababababababab0000000000000001")],
            "4",
        ),
        ("SELECT $1 || $2", vec![text("it's'; --"), text("x")], "it's'; --x"),
        ("SELECT $1 + $2", vec![Parameter::Int(-5), Parameter::Int(i64::MAX)], "9223372036854775802"),
        ("SELECT $1", vec![Parameter::Float(-2.0)], "-2.0"),
        ("SELECT $1 IS NULL AND $2", vec![Parameter::Null, Parameter::Bool(true)], "true"),
        ("SELECT count(*) FROM (SELECT * FROM spans LIMIT $1)", vec![Parameter::Int(2)], "2"),
        ("SELECT $1, $1", vec![Parameter::Int(1)], "1|1"),
    ] {
        match ask(query, parameters).await {
            Ok(lines) => assert_eq!(lines, [expected], "{query}"),
            // Two columns of one name are refused by SQL itself.
            Err(error) => assert!(query == "SELECT $1, $1" && error.to_string().contains("unique"), "{query}: {error}"),
        }
    }
    for (query, parameters, message) in [
        ("SELECT $2", vec![Parameter::Int(1)], "$2 has no value"),
        ("SELECT 1", vec![Parameter::Int(1)], "$1 is not in the query"),
        ("SELECT $0", vec![], "$0 has no number"),
        ("SELECT 1 FROM spans WHERE trace_id = $1", vec![text("abc")], "'abc', which is not 32 hex digits"),
    ] {
        let error = ask(query, parameters).await.unwrap_err().to_string();
        assert!(error.contains(message), "{query}: {error}");
    }
}

/// Counts how often a snapshot is taken.
#[derive(Debug)]
struct Counting {
    inner: Arc<TestSource>,
    taken: AtomicUsize,
}

impl SnapshotSource for Counting {
    fn snapshot(&self) -> storage::Result<Snapshot> {
        self.taken.fetch_add(1, Ordering::Relaxed);
        self.inner.snapshot()
    }

    fn object_store(&self) -> Arc<dyn ObjectStore> {
        self.inner.object_store()
    }
}

#[tokio::test]
async fn a_query_takes_one_snapshot_however_often_it_names_a_table() {
    let counting = Arc::new(Counting { inner: source().await, taken: AtomicUsize::new(0) });
    let engine = Engine::new(Config { threads: 1, ..Config::default() }, Arc::clone(&counting) as _).unwrap();
    let sql = "SELECT count(*) FROM spans a JOIN spans b ON a.trace_id = b.trace_id WHERE a.trace_id IN (SELECT trace_id FROM traces)";
    assert_eq!(ask(&engine, sql).await.unwrap(), ["12"]);
    assert_eq!(counting.taken.load(Ordering::Relaxed), 1);
}

/// Segments that the store does not have: whatever reads one fails.
async fn unreadable() -> Engine {
    let mut snapshot = source().await.snapshot().unwrap();
    let segment = Segment {
        location: "tables/spans/gone.parquet".into(),
        size_bytes: 1_000,
        row_count: 40,
        start_range: Some((UnixNanos(1_000_000), UnixNanos(2_000_000))),
        written_at: UnixNanos(2_000_000),
        keys: storage::schema::promoted::Keys::default(),
        expired_rows: 0,
    };
    snapshot.spans.segments = vec![Arc::new(segment)];
    Engine::new(Config { threads: 1, ..Config::default() }, TestSource::set(snapshot, Arc::new(InMemory::new())))
        .unwrap()
}

#[tokio::test]
async fn planning_reads_no_file_and_statistics_answer_counts() {
    let engine = unreadable().await;
    assert!(ask(&engine, "EXPLAIN SELECT * FROM spans WHERE service_name = 'x'").await.is_ok());
    assert_eq!(ask(&engine, "SELECT count(*) FROM spans").await.unwrap(), ["42"]);
    // A segment outside of the times asked for is not even part of the plan.
    let plan =
        ask(&engine, "EXPLAIN SELECT span_name FROM spans WHERE start_time > '2020-01-01T00:00:00Z'").await.unwrap();
    assert!(!plan.join("\n").contains("gone.parquet"), "{plan:?}");
    assert_eq!(
        ask(&engine, "SELECT count(*) FROM spans WHERE start_time > '2020-01-01T00:00:00Z'").await.unwrap(),
        ["2"]
    );
    assert_eq!(
        ask(&engine, "SELECT count(*) FROM spans WHERE start_time > to_timestamp_micros(2001)").await.unwrap(),
        ["2"]
    );
    assert!(ask(&engine, "SELECT count(*) FROM spans WHERE start_time > to_timestamp_micros(1999)").await.is_err());
}
