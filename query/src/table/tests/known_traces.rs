//! Traces that are found without a search.

use super::*;
use crate::SqlRequest;

/// Three segments with the same services, a trace in two of them.
async fn known(config: Config) -> Engine {
    let of = |trace: u64, span: u64| TestSpan::new(trace, span, None).name(&format!("op{span}")).times(span as i64, 1);
    let segments = [vec![of(1, 10), of(2, 11), of(1, 12)], vec![of(2, 20), of(3, 21)], vec![of(4, 30)]];
    let engine = Engine::new(config, TestSource::new(&[of(3, 40)], &segments).await).unwrap();
    engine.index_traces().await.unwrap();
    engine
}

fn config() -> Config {
    Config { threads: 2, ..Config::default() }
}

async fn scanned(engine: &Engine, sql: &str) -> (Vec<String>, u64, u64) {
    let mut answer = engine.sql(SqlRequest::new(sql)).await.unwrap();
    let batches = answer.collect().await.unwrap();
    let stats = answer.stats();
    (crate::testing::lines(&batches), stats.segments_scanned, stats.rows_scanned)
}

#[tokio::test]
async fn a_known_trace_is_read_and_nothing_else() {
    let engine = known(config()).await;
    let id = trace_id;
    for (condition, rows, segments, read) in [
        (format!("trace_id = '{}'", id(1)), &["op10", "op12"][..], 1, 2),
        (format!("trace_id = '{}'", id(2)), &["op11", "op20"], 2, 2),
        (format!("trace_id IN ('{}', '{}')", id(3), id(4)), &["op21", "op30", "op40"], 2, 2),
        (format!("trace_id = '{}' AND span_name > 'op10'", id(1)), &["op12"], 1, 2),
        (format!("trace_id = '{}' AND attributes['k'] IS NULL", id(4)), &["op30"], 1, 1),
        (format!("trace_id = '{}'", id(9)), &[], 0, 0),
    ] {
        let sql = format!("SELECT span_name FROM spans WHERE {condition} ORDER BY span_name");
        let rows: Vec<String> = rows.iter().map(|row| (*row).to_owned()).collect();
        // The row in memory is looked at always.
        assert_eq!(scanned(&engine, &sql).await, (rows, segments, read + 1), "{sql}");
    }
    let never = format!("SELECT 1 FROM spans WHERE trace_id = '{}' AND trace_id = '{}'", id(1), id(2));
    assert_eq!(scanned(&engine, &never).await, (vec![], 0, 0));
}

#[tokio::test]
async fn the_id_of_a_known_trace_is_answered_without_its_column() {
    let engine = known(config()).await;
    let id = trace_id(1);
    for (columns, rows) in [
        ("trace_id", vec![format!("{id}"); 2]),
        ("span_name, trace_id", vec![format!("op10|{id}"), format!("op12|{id}")]),
        (
            "span_name, trace_id IS NULL, upper(trace_id)",
            vec![
                format!("op10|false|{}", id.to_string().to_uppercase()),
                format!("op12|false|{}", id.to_string().to_uppercase()),
            ],
        ),
    ] {
        let sql = format!("SELECT {columns} FROM spans WHERE trace_id = '{id}' ORDER BY 1");
        assert_eq!(scanned(&engine, &sql).await.0, rows, "{sql}");
        let plan = ask(&engine, &format!("EXPLAIN {sql}")).await.unwrap().join("\n");
        let of_segments: Vec<&str> = plan.lines().filter(|line| line.contains("known rows")).collect();
        assert!(of_segments.len() == 1 && !of_segments[0].contains("trace_id"), "{plan}");
    }
    // Of two traces the column says which is whose.
    let sql = format!("SELECT trace_id FROM spans WHERE trace_id IN ('{id}', '{}') ORDER BY 1", trace_id(4));
    assert_eq!(scanned(&engine, &sql).await.0, [format!("{id}"), format!("{id}"), trace_id(4).to_string()]);
}

#[tokio::test]
async fn the_few_rows_of_a_trace_are_not_dealt_out_to_threads() {
    let first = TestSpan::new(1, 1, None).event("e", &[("x", "y".into())]).event("f", &[]);
    let source = TestSource::new(&[], &[vec![first, TestSpan::new(1, 2, Some(1))]]).await;
    let engine = Engine::new(config(), source).unwrap();
    engine.index_traces().await.unwrap();
    let sql = format!(
        "SELECT span_name, coalesce(array_length(events), 0) FROM spans WHERE trace_id = '{}' ORDER BY 2 DESC",
        trace_id(1)
    );
    let plan = ask(&engine, &format!("EXPLAIN {sql}")).await.unwrap().join("\n");
    assert!(plan.contains("known rows") && !plan.contains("RepartitionExec"), "{plan}");
    assert_eq!(ask(&engine, &sql).await.unwrap(), ["op|2", "op|0"]);
}

#[tokio::test]
async fn nothing_is_answered_from_what_a_segment_says_of_all_its_rows() {
    let segment = vec![TestSpan::new(1, 1, None).times(0, 1), TestSpan::new(2, 2, None).times(5_000, 1)];
    let engine = Engine::new(config(), TestSource::new(&[], &[segment]).await).unwrap();
    engine.index_traces().await.unwrap();
    let sql = format!("SELECT min(start_time), count(*) FROM spans WHERE trace_id = '{}'", trace_id(2));
    assert_eq!(scanned(&engine, &sql).await, (vec!["1970-01-01T00:00:00.000005Z|1".to_owned()], 1, 1));
}

#[tokio::test]
async fn rows_are_searched_where_there_is_no_room_to_know_them() {
    for trace_index_bytes in [0, 1, 100, 150] {
        let engine = known(Config { trace_index_bytes, ..config() }).await;
        assert!(engine.trace_index().bytes <= trace_index_bytes);
        for (trace, rows) in [(1, &["op10", "op12"][..]), (2, &["op11", "op20"]), (3, &["op21", "op40"]), (9, &[])] {
            let sql = format!("SELECT span_name FROM spans WHERE trace_id = '{}' ORDER BY 1", trace_id(trace));
            assert_eq!(ask(&engine, &sql).await.unwrap(), rows, "{trace_index_bytes} bytes");
        }
    }
}

#[tokio::test]
async fn columns_that_a_known_traces_segment_lacks_are_null() {
    let old = TestSpan::new(1, 1, None).name("old");
    let source = TestSource::with_segments_lacking(&[spans::CRITICAL_NS], &[], &[vec![old]]).await;
    let engine = Engine::new(config(), source).unwrap();
    engine.index_traces().await.unwrap();
    let sql = format!("SELECT span_name, critical_ns FROM spans WHERE trace_id = '{}'", trace_id(1));
    assert_eq!(scanned(&engine, &sql).await, (vec!["old|NULL".to_owned()], 1, 1));
    let sql = format!("{sql} AND critical_ns > 5");
    assert_eq!(scanned(&engine, &sql).await.0, Vec::<String>::new());
}

#[tokio::test]
async fn who_asks_for_a_trace_has_the_others_known_soon() {
    let segment = vec![TestSpan::new(1, 1, None)];
    let engine = Engine::new(config(), TestSource::new(&[], &[segment]).await).unwrap();
    ask(&engine, "SELECT count(*) FROM spans").await.unwrap();
    assert_eq!(engine.trace_index().segments, 0);
    let sql = format!("SELECT span_name FROM spans WHERE trace_id = '{}'", trace_id(1));
    assert_eq!(ask(&engine, &sql).await.unwrap(), ["op"]);
    let known = async {
        while engine.trace_index().with_rows < 2 {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), known).await.unwrap();
}

#[tokio::test]
async fn footers_stay_with_their_page_indexes() {
    let engine = known(config()).await;
    for _ in 0..2 {
        ask(&engine, "SELECT span_name FROM spans WHERE duration_ns > 0").await.unwrap();
    }
    let session = engine.session().await.unwrap();
    let cache = session.state().runtime_env().cache_manager.get_file_metadata_cache();
    let entries = cache.list_entries();
    assert_eq!(entries.len(), 3);
    for (location, entry) in entries {
        assert_eq!(entry.value.file_metadata.extra_info()["page_index"], "true", "{location}");
        assert!(entry.hits >= 1, "{location}");
    }
}

#[tokio::test]
async fn a_count_of_known_rows_rests_on_the_weights_of_their_segments_alone() {
    let segments = [vec![TestSpan::new(1, 1, None).weight(4.0)], vec![TestSpan::new(2, 2, None)]];
    let engine = Engine::new(config(), TestSource::new(&[], &segments).await).unwrap();
    engine.index_traces().await.unwrap();
    for (trace, basis) in [(1, crate::Basis::Unweighted), (2, crate::Basis::Exact)] {
        let sql = format!("SELECT count(*) FROM spans WHERE trace_id = '{}'", trace_id(trace));
        let mut answer = engine.sql(SqlRequest::new(sql)).await.unwrap();
        assert_eq!(crate::testing::lines(&answer.collect().await.unwrap()), ["1"]);
        assert_eq!(answer.stats().basis, basis, "{trace}");
    }
}
