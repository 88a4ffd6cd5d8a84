use std::sync::Arc;

use storage::{Segment, SnapshotSource};

use crate::testing::{TestSource, TestSpan};
use crate::{Basis, Config, Engine, SqlRequest};

/// Traces 1 and 2 are in segments; the second stands for `weight`. Trace 3 is in memory.
async fn engine(weight: Option<f64>) -> Engine {
    let spans = |trace: u64| {
        let first = TestSpan::new(trace, 2 * trace, None).times(i64::try_from(trace).unwrap() * 1_000_000_000, 5);
        vec![first.clone(), TestSpan::new(trace, 2 * trace + 1, Some(2 * trace)).times(first.start, 5)]
    };
    let second: Vec<TestSpan> = spans(2).into_iter().map(|span| span.weight(weight)).collect();
    Engine::new(Config { threads: 2, ..Config::default() }, TestSource::new(&spans(3), &[spans(1), second]).await)
        .unwrap()
}

async fn check(engine: &Engine, sql: &str, basis: Basis, note: Option<&str>) {
    let mut answer = engine.sql(SqlRequest::new(sql)).await.unwrap();
    answer.collect().await.unwrap();
    let stats = answer.stats();
    assert_eq!((stats.basis, stats.note.map(|note| note.to_string()).as_deref()), (basis, note), "{sql}");
}

const COUNTED: &str = "count took each stored span for one, but spans were sampled and stand for up to 20 each; \
     estimate_count() gives what the real stream had, with its error";

#[tokio::test]
async fn an_answer_says_what_its_figures_rest_on() {
    let sampled = engine(Some(20.0)).await;
    for (sql, basis, note) in [
        ("SELECT 1", Basis::Exact, None),
        ("SELECT count(*) FROM traces", Basis::Exact, None),
        ("SELECT span_name FROM spans", Basis::Stored, None),
        ("SELECT max(duration_ns) FROM spans", Basis::Stored, None),
        ("EXPLAIN SELECT count(*) FROM spans", Basis::Exact, None),
        ("SELECT estimate_count() FROM spans", Basis::Estimated, None),
        ("SELECT sum(adjusted_count * duration_ns) FROM spans", Basis::Estimated, None),
        // Answered from statistics, without a scan.
        ("SELECT count(*) FROM spans", Basis::Unweighted, Some(COUNTED)),
        ("SELECT service_name, count(*) AS n FROM spans GROUP BY 1", Basis::Unweighted, Some(COUNTED)),
        ("SELECT estimate_count(), count(*) FROM spans", Basis::Unweighted, Some(COUNTED)),
        ("SELECT count(*) OVER () FROM spans", Basis::Unweighted, Some(COUNTED)),
        (
            "SELECT count(*) FROM traces WHERE trace_id IN (SELECT trace_id FROM spans)",
            Basis::Unweighted,
            Some(COUNTED),
        ),
        ("SELECT count(*) FROM (SELECT trace_id FROM spans GROUP BY 1)", Basis::Unweighted, Some(COUNTED)),
        // Within a trace nothing is sampled, and what is estimated is so above, too.
        ("SELECT trace_id, count(*) FROM spans GROUP BY 1", Basis::Stored, None),
        (
            "SELECT estimate_mean(n) FROM (SELECT trace_id, adjusted_count, count(*) AS n FROM spans GROUP BY 1, 2)",
            Basis::Estimated,
            None,
        ),
        (
            "SELECT sum(e['estimate']) FROM (SELECT estimate_count() AS e FROM spans GROUP BY kind)",
            Basis::Estimated,
            None,
        ),
        (
            "SELECT stddev(duration_ns) FROM spans",
            Basis::Unweighted,
            Some(
                "stddev took each stored span for one, but spans were sampled and stand for up to 20 each; it has no weighted form",
            ),
        ),
        // Only segments that the query reads count.
        ("SELECT count(*) FROM spans WHERE start_time < '1970-01-01T00:00:01.5Z'", Basis::Exact, None),
        ("SELECT count(*) FROM spans WHERE start_time > '1970-01-01T00:00:02.5Z'", Basis::Exact, None),
        ("SELECT estimate_count() FROM spans WHERE start_time > '1970-01-01T00:00:02.5Z'", Basis::Exact, None),
    ] {
        check(&sampled, sql, basis, note).await;
    }
}

#[tokio::test]
async fn weights_of_one_are_exact_and_unknown_ones_are_not() {
    let all = engine(Some(1.0)).await;
    check(&all, "SELECT count(*) FROM spans", Basis::Exact, None).await;
    check(&all, "SELECT estimate_count() FROM spans", Basis::Exact, None).await;
    let unknown = engine(None).await;
    let note = "count took each stored span for one, but spans were sampled; estimate_count() gives what the real stream had, with its error";
    check(&unknown, "SELECT count(*) FROM spans", Basis::Unweighted, Some(note)).await;
}

#[tokio::test]
async fn a_note_is_text_in_json_and_absent_without_one() {
    let engine = Arc::new(engine(Some(20.0)).await);
    let stats = async |sql: &str| {
        let mut answer = engine.sql(SqlRequest::new(sql)).await.unwrap();
        answer.collect().await.unwrap();
        serde_json::to_value(answer.stats()).unwrap()
    };
    let counted = stats("SELECT count(*) FROM spans").await;
    assert_eq!((&counted["basis"], &counted["note"]), (&"unweighted".into(), &COUNTED.into()));
    assert!(stats("SELECT 1").await.get("note").is_none());
}

#[tokio::test]
async fn figures_of_segments_that_lost_rows_say_so() {
    let spans = |trace: u64| {
        let start = i64::try_from(trace).unwrap() * 1_000_000_000;
        vec![TestSpan::new(trace, trace, None).times(start, 5).weight(Some(if trace == 3 { 20.0 } else { 1.0 }))]
    };
    let source = TestSource::new(&[], &[spans(1), spans(2), spans(3)]).await;
    let mut snapshot = source.snapshot().unwrap();
    for (segment, expired_rows) in snapshot.spans.segments.iter_mut().zip([1, 0, 700]) {
        *segment = Arc::new(Segment { expired_rows, ..(**segment).clone() });
    }
    let config = Config { threads: 2, ..Config::default() };
    let engine = Engine::new(config, TestSource::set(snapshot, source.object_store())).unwrap();
    let one = "1 span of the segments read is gone by retention rules: figures are of what is left";
    let all =
        format!("{COUNTED}; 701 spans of the segments read are gone by retention rules: figures are of what is left");
    let third = "700 spans of the segments read are gone by retention rules: figures are of what is left";
    for (sql, basis, note) in [
        ("SELECT count(*) FROM spans WHERE start_time < '1970-01-01T00:00:01.5Z'", Basis::Exact, Some(one)),
        ("SELECT count(*) FROM spans", Basis::Unweighted, Some(all.as_str())),
        (
            "SELECT estimate_count() FROM spans WHERE start_time > '1970-01-01T00:00:02.5Z'",
            Basis::Estimated,
            Some(third),
        ),
        // No figure of spans, and none of what lost any.
        ("SELECT span_name FROM spans", Basis::Stored, None),
        ("SELECT count(*) FROM traces", Basis::Exact, None),
        (
            "SELECT count(*) FROM spans WHERE start_time > '1970-01-01T00:00:01.5Z' AND start_time < '1970-01-01T00:00:02.5Z'",
            Basis::Exact,
            None,
        ),
    ] {
        check(&engine, sql, basis, note).await;
    }
}
