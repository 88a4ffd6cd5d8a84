//! The same spans in memory, where every row is looked at, and in segments.

use crate::testing::{TestSource, TestSpan, ask, trace_id};
use crate::{Config, Engine, SqlRequest};

/// Two row groups and many pages each.
const SEGMENT_ROWS: u64 = 1_100;

fn spans(segment: u64) -> Vec<TestSpan> {
    let span = |row: u64| {
        let number = segment * SEGMENT_ROWS + row;
        // Scattered, and some at the same time.
        let scattered = (number * 7_919 % 4_001) as i64;
        let mut span = TestSpan::new(number / 5 + 1, number, (!row.is_multiple_of(5)).then(|| number - 1))
            .service(["a", "b", "c"][row as usize % 3])
            .name(&format!("op{}", row % 11))
            .times(1_700_000_000_000_000_000 + scattered / 2 * 1_000_000, (number * 31 % 977) as i64)
            .attribute("k", (number % 13) as i64);
        span.status = if number.is_multiple_of(4) { "error" } else { "unset" }.to_owned();
        span
    };
    (0..SEGMENT_ROWS).map(span).collect()
}

fn config() -> Config {
    Config { threads: 2, ..Config::default() }
}

/// One with all spans in memory, and one with some of them in segments of which no footer stays known.
async fn both() -> (Engine, Engine) {
    let parts: Vec<Vec<TestSpan>> = (0..3).map(spans).collect();
    let memory = Engine::new(config(), TestSource::new(&parts.concat(), &[]).await).unwrap();
    let forgetful = Config { metadata_cache_bytes: 0, ..config() };
    let segments = Engine::new(forgetful, TestSource::new(&parts[0], &parts[1..]).await).unwrap();
    (memory, segments)
}

/// The same, with segments sorted as they are, whose footers are known. Up to so many rows are picked.
async fn both_known(max_picked_rows: usize) -> (Engine, Engine) {
    let mut parts: Vec<Vec<TestSpan>> = (0..3).map(spans).collect();
    let memory = Engine::new(config(), TestSource::new(&parts.concat(), &[]).await).unwrap();
    for part in &mut parts {
        part.sort_by(|one, other| {
            (&one.service, &one.name, one.start).cmp(&(&other.service, &other.name, other.start))
        });
    }
    let config = Config { max_picked_rows, ..config() };
    let segments = Engine::new(config, TestSource::new(&parts[0], &parts[1..]).await).unwrap();
    ask(&segments, "SELECT max(duration_ns), count(*) FROM spans WHERE kind <> 'x'").await.unwrap();
    (memory, segments)
}

async fn plan(engine: &Engine, sql: &str) -> String {
    ask(engine, &format!("EXPLAIN {sql}")).await.unwrap().join("\n")
}

#[tokio::test]
async fn what_is_read_late_is_what_would_be_read_at_once() {
    let (memory, segments) = both().await;
    let shown = "trace_id, span_id, parent_span_id, service_name, span_name, start_time, duration_ns, attributes['k'], status_code";
    for rest in [
        "ORDER BY start_time DESC, span_id LIMIT 20",
        "ORDER BY start_time, span_id LIMIT 20 OFFSET 7",
        "WHERE service_name = 'b' AND span_name = 'op7' ORDER BY start_time DESC, span_id LIMIT 20",
        "WHERE status_code = 'error' ORDER BY duration_ns DESC, span_id LIMIT 33",
        "WHERE service_name = 'nobody' ORDER BY start_time DESC LIMIT 20",
        "WHERE duration_ns > 970 ORDER BY span_id DESC LIMIT 1001",
        // Sorted by what the filter leaves one value of.
        "WHERE service_name = 'b' ORDER BY service_name, start_time DESC, span_id LIMIT 20",
        "WHERE span_name = 'op7' AND status_code = 'error' ORDER BY status_code DESC, start_time, span_name, span_id LIMIT 20",
        "WHERE span_id = 'cd000000000005dc' ORDER BY start_time DESC, start_nanos DESC, trace_id, span_id LIMIT 21",
        "ORDER BY parent_span_id NULLS FIRST, span_id LIMIT 5",
        "ORDER BY parent_span_id DESC NULLS LAST, span_id LIMIT 5",
        "WHERE start_time > TIMESTAMP '2023-11-14T22:13:21Z' ORDER BY service_name, span_name DESC, span_id LIMIT 50",
    ] {
        let sql = format!("SELECT {shown} FROM spans {rest}");
        let plan = plan(&segments, &sql).await;
        assert!(plan.contains("LateRowsExec"), "{plan}");
        assert_eq!(ask(&segments, &sql).await.unwrap(), ask(&memory, &sql).await.unwrap(), "{sql}");
    }
}

#[tokio::test]
async fn rows_below_something_else_are_first_all_the_same() {
    let (memory, segments) = both().await;
    for (is_late, sql) in [
        (
            true,
            "SELECT upper(service_name), duration_ns + 1, span_name, kind FROM spans ORDER BY start_time DESC, span_id LIMIT 9",
        ),
        (
            true,
            "SELECT service_name, kind, count(*) FROM (SELECT * FROM spans ORDER BY start_time DESC, span_id LIMIT 100) \
         GROUP BY 1, 2 ORDER BY 1, 2",
        ),
        (
            true,
            "SELECT span_id, kind, span_name, row_number() OVER (PARTITION BY service_name ORDER BY start_time DESC, span_id) AS n FROM \
         (SELECT * FROM spans WHERE service_name = 'b' ORDER BY start_time DESC, span_id LIMIT 20) ORDER BY n",
        ),
        (
            true,
            "SELECT a.span_id, a.kind, a.span_name FROM (SELECT * FROM spans WHERE service_name = 'a' UNION ALL \
         SELECT * FROM spans WHERE service_name = 'b') a ORDER BY a.start_time DESC, a.span_id LIMIT 15",
        ),
        (
            false,
            "SELECT t.root_name, s.span_name, s.span_id, s.start_time FROM spans s JOIN traces t ON s.trace_id = t.trace_id \
         ORDER BY s.start_time DESC, s.span_id LIMIT 12",
        ),
        (
            false,
            "SELECT span_id, kind, attributes['k'] FROM spans WHERE attributes['k'] = 5 ORDER BY start_time DESC, span_id LIMIT 9",
        ),
        (false, "SELECT service_name, max(duration_ns) AS d FROM spans GROUP BY 1 ORDER BY d DESC, 1 LIMIT 2"),
    ] {
        let plan = plan(&segments, sql).await;
        assert_eq!(plan.contains("LateRowsExec"), is_late, "{plan}");
        assert_eq!(ask(&segments, sql).await.unwrap(), ask(&memory, sql).await.unwrap(), "{sql}");
    }
}

#[tokio::test]
async fn nothing_is_read_late_where_that_gains_nothing() {
    let (_, segments) = both().await;
    for sql in [
        // Nothing beside what it is sorted and filtered by.
        "SELECT start_time, service_name FROM spans WHERE service_name = 'a' ORDER BY start_time DESC LIMIT 20",
        "SELECT * FROM spans ORDER BY start_time DESC LIMIT 1002",
        "SELECT * FROM spans ORDER BY start_time DESC",
        "SELECT * FROM spans LIMIT 20",
        // Not a column of the table.
        "SELECT * FROM spans ORDER BY duration_ns % 10 LIMIT 20",
    ] {
        assert!(!plan(&segments, sql).await.contains("LateRowsExec"), "{sql}");
    }
    let traced = format!("SELECT * FROM spans WHERE trace_id = '{}' ORDER BY start_time LIMIT 3", trace_id(300));
    segments.index_traces().await.unwrap();
    assert!(!plan(&segments, &traced).await.contains("LateRowsExec"));
    assert_eq!(ask(&segments, &traced).await.unwrap().len(), 3);
}

#[tokio::test]
async fn what_is_read_late_is_counted_once() {
    let (_, segments) = both().await;
    let sql = "SELECT * FROM spans WHERE service_name = 'a' ORDER BY start_time DESC, span_id LIMIT 5";
    let mut answer = segments.sql(SqlRequest::new(sql)).await.unwrap();
    answer.collect().await.unwrap();
    let whole = answer.stats();
    let sql = "SELECT start_time FROM spans WHERE service_name = 'a' ORDER BY start_time DESC, span_id LIMIT 5";
    let mut answer = segments.sql(SqlRequest::new(sql)).await.unwrap();
    answer.collect().await.unwrap();
    let keys = answer.stats();
    assert_eq!((whole.segments_scanned, keys.segments_scanned), (2, 2));
    assert!(whole.bytes_scanned > keys.bytes_scanned, "{whole:?} {keys:?}");
    assert!(whole.rows_scanned <= 3 * SEGMENT_ROWS, "{whole:?}");
}

#[tokio::test]
async fn a_scan_leaves_out_what_the_first_rows_do_not_reach() {
    let (memory, segments) = both_known(0).await;
    let shown = "span_id, service_name, span_name, kind, start_time, duration_ns";
    for (rest, bound) in [
        ("ORDER BY start_time DESC, span_id LIMIT 20", "start_time@8 >="),
        ("ORDER BY start_time, span_id LIMIT 20 OFFSET 7", "start_time@8 <="),
        ("ORDER BY duration_ns DESC, span_id LIMIT 9", "duration_ns@10 >="),
        ("WHERE service_name = 'b' ORDER BY start_time DESC, span_id LIMIT 20", "start_time@8 >="),
        ("WHERE service_name IN ('a', 'c') ORDER BY duration_ns, span_id LIMIT 5", "duration_ns@10 <="),
        ("WHERE service_name = 'b' OR service_name = 'c' ORDER BY start_time, span_id LIMIT 5", "start_time@8 <="),
        ("WHERE 'b' < service_name ORDER BY start_time DESC, span_id LIMIT 20", "start_time@8 >="),
        ("WHERE 900 > duration_ns AND NOT is_root ORDER BY start_time DESC, span_id LIMIT 20", ""),
        ("WHERE service_name = 'b' AND lower(span_name) = 'op7' ORDER BY start_time DESC, span_id LIMIT 20", ""),
        ("ORDER BY parent_span_id DESC NULLS LAST, span_id LIMIT 5", ""),
    ] {
        let sql = format!("SELECT {shown} FROM spans {rest}");
        let plan = plan(&segments, &sql).await;
        let scan = plan.lines().find(|line| line.contains("file_groups")).unwrap();
        let predicate = scan.split("predicate=").nth(1).unwrap().split("DynamicFilter").next().unwrap();
        match bound {
            "" => assert!(!predicate.contains(">=") && !predicate.contains("<="), "{sql}\n{plan}"),
            bound => assert!(predicate.contains(bound), "{sql}\n{plan}"),
        }
        assert_eq!(ask(&segments, &sql).await.unwrap(), ask(&memory, &sql).await.unwrap(), "{sql}");
    }
}

#[tokio::test]
async fn whatever_is_left_out_was_not_among_the_first() {
    const CONDITIONS: [&str; 14] = [
        "service_name = 'b'",
        "service_name <> 'a'",
        "service_name IN ('a', 'c')",
        "span_name = 'op7'",
        "(span_name < 'op3' OR span_name = 'op9')",
        "(span_name = 'op1' OR status_code = 'error')",
        "status_code = 'unset'",
        "duration_ns > 400",
        "940 >= duration_ns",
        "start_time >= TIMESTAMP '2023-11-14T22:13:20.5Z'",
        "(start_time < TIMESTAMP '2023-11-14T22:13:21Z' OR (start_time = TIMESTAMP '2023-11-14T22:13:21Z' AND span_id > 'cd000000000003e8'))",
        "is_root",
        "NOT is_root",
        "parent_span_id IS NOT NULL",
    ];
    // All have the same nanoseconds.
    const KEYS: [&str; 7] = [
        "start_time",
        "start_time DESC",
        "duration_ns",
        "duration_ns DESC",
        "self_ns DESC",
        "span_name DESC",
        "start_nanos DESC",
    ];
    let (memory, decoded) = both_known(0).await;
    let (_, picked) = both_known(2_000).await;
    for seed in 0..150_u64 {
        let drawn = |salt: u64, below: usize| {
            (seed.wrapping_mul(31).wrapping_add(salt).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) as usize % below
        };
        let conditions: Vec<&str> =
            (0..drawn(1, 4)).map(|salt| CONDITIONS[drawn(salt as u64 + 2, CONDITIONS.len())]).collect();
        let filter = if conditions.is_empty() { String::new() } else { format!("WHERE {} ", conditions.join(" AND ")) };
        let columns = if drawn(9, 3) == 0 { "*" } else { "span_id, service_name, span_name, start_time, duration_ns" };
        let (key, limit) = (KEYS[drawn(10, KEYS.len())], drawn(11, 90) + 1);
        let sql = format!("SELECT {columns} FROM spans {filter}ORDER BY {key}, span_id LIMIT {limit}");
        let segments = if seed % 2 == 0 { &decoded } else { &picked };
        assert_eq!(ask(segments, &sql).await.unwrap(), ask(&memory, &sql).await.unwrap(), "seed {seed}: {sql}");
    }
}

#[tokio::test]
async fn few_rows_that_may_be_first_are_picked() {
    let (memory, segments) = both_known(usize::MAX).await;
    let shown = "span_id, trace_id, kind, status_code, duration_ns";
    for (rest, rows) in [
        // Pages of 64: those of each segment that may have some of the first.
        ("WHERE service_name = 'b' ORDER BY start_time DESC, span_id LIMIT 3", 256..1_024),
        ("WHERE service_name = 'b' AND span_name = 'op7' ORDER BY duration_ns DESC, span_id LIMIT 3", 128..513),
        // A condition that pages say nothing of leaves the others.
        ("WHERE service_name = 'b' AND lower(span_name) = 'op7' ORDER BY start_time, span_id LIMIT 3", 640..1_024),
        ("WHERE service_name = 'nobody' ORDER BY start_time, span_id LIMIT 3", 0..1),
        ("WHERE lower(service_name) = 'b' ORDER BY start_time, span_id LIMIT 3", 2_200..2_201),
    ] {
        let sql = format!("SELECT {shown} FROM spans {rest}");
        let plan = plan(&segments, &sql).await;
        let scan = plan.lines().find(|line| line.contains("known rows")).unwrap_or_else(|| panic!("{plan}"));
        let picked: usize = scan.split("rows=").nth(1).unwrap().split(',').next().unwrap().parse().unwrap();
        assert!(rows.contains(&picked) && !plan.contains("file_groups"), "{picked} {sql}\n{plan}");
        assert_eq!(ask(&segments, &sql).await.unwrap(), ask(&memory, &sql).await.unwrap(), "{sql}");
    }
}

#[tokio::test]
async fn a_segment_that_is_read_twice_is_read_for_each() {
    let (memory, segments) = both_known(usize::MAX).await;
    let half = |name: &str| format!("SELECT * FROM spans WHERE service_name = '{name}'");
    let sql = format!(
        "SELECT span_id, kind, span_name FROM ({} UNION ALL {}) ORDER BY start_time DESC, span_id LIMIT 15",
        half("a"),
        half("b")
    );
    let plan = plan(&segments, &sql).await;
    assert_eq!(plan.matches("known rows").count(), 2, "{plan}");
    assert_eq!(ask(&segments, &sql).await.unwrap(), ask(&memory, &sql).await.unwrap());
}

#[tokio::test]
async fn a_segment_whose_times_are_not_known_may_have_the_first_rows() {
    const HOUR: i64 = 3_600_000_000_000;
    let mut parts: Vec<Vec<TestSpan>> = (0..4).map(spans).collect();
    for (part, hours) in parts.iter_mut().zip(0..) {
        part.iter_mut().for_each(|span| span.start += hours * HOUR);
    }
    let memory = Engine::new(config(), TestSource::new(&parts.concat(), &[]).await).unwrap();
    let source = TestSource::new(&parts[0], &parts[1..]).await.undated(&[2]);
    for max_picked_rows in [0, 2_000] {
        let segments = Engine::new(Config { max_picked_rows, ..config() }, source.clone()).unwrap();
        ask(&segments, "SELECT max(duration_ns) FROM spans WHERE kind <> 'x'").await.unwrap();
        let sql = "SELECT span_id, trace_id, kind, span_name FROM spans ORDER BY start_time DESC, span_id LIMIT 9";
        assert_eq!(plan(&segments, sql).await.contains("known rows"), max_picked_rows > 0);
        assert_eq!(ask(&segments, sql).await.unwrap(), ask(&memory, sql).await.unwrap(), "{max_picked_rows}");
    }
}

#[tokio::test]
async fn rows_that_are_not_known_are_not_picked_however_many_may_be() {
    let (memory, segments) = both_known(usize::MAX).await;
    let sql = "SELECT span_id, trace_id, kind, span_name FROM spans ORDER BY parent_span_id, span_id LIMIT 9";
    assert!(!plan(&segments, sql).await.contains("known rows"));
    assert_eq!(ask(&segments, sql).await.unwrap(), ask(&memory, sql).await.unwrap());
}

#[tokio::test]
async fn rows_at_the_bound_are_first_in_whatever_segment_they_are() {
    let mut parts: Vec<Vec<TestSpan>> = (0..3).map(spans).collect();
    // No segment is farther than another.
    parts.iter_mut().flatten().for_each(|span| span.start = 1_700_000_000_000_000_000);
    let memory = Engine::new(config(), TestSource::new(&parts.concat(), &[]).await).unwrap();
    let source = TestSource::new(&parts[1], &[parts[0].clone(), parts[2].clone()]).await;
    for max_picked_rows in [0, usize::MAX] {
        let segments = Engine::new(Config { max_picked_rows, ..config() }, source.clone()).unwrap();
        ask(&segments, "SELECT max(duration_ns) FROM spans WHERE kind <> 'x'").await.unwrap();
        for order in ["start_time DESC, span_id", "start_time DESC, span_id DESC", "start_time, span_id"] {
            let sql = format!("SELECT span_id, trace_id, kind, span_name FROM spans ORDER BY {order} LIMIT 9");
            assert_eq!(ask(&segments, &sql).await.unwrap(), ask(&memory, &sql).await.unwrap(), "{sql}");
        }
    }
}

#[tokio::test]
async fn rows_are_those_of_their_segment_beside_others_that_have_none() {
    let mut parts: Vec<Vec<TestSpan>> = (0..4).map(spans).collect();
    for (part, service) in parts.iter_mut().zip(["a", "b", "c", "d"]) {
        part.iter_mut().for_each(|span| span.service = service.to_owned());
    }
    let memory = Engine::new(config(), TestSource::new(&parts.concat(), &[]).await).unwrap();
    let segments = Engine::new(config(), TestSource::new(&parts[0], &parts[1..]).await).unwrap();
    ask(&segments, "SELECT max(duration_ns) FROM spans WHERE kind <> 'x'").await.unwrap();
    for service in ["b", "c", "d"] {
        let sql = format!(
            "SELECT span_id, trace_id, kind, span_name FROM spans WHERE service_name = '{service}' \
             ORDER BY start_time DESC, span_id LIMIT 9"
        );
        let plan = plan(&segments, &sql).await;
        assert!(plan.contains("known rows"), "{plan}");
        assert_eq!(ask(&segments, &sql).await.unwrap(), ask(&memory, &sql).await.unwrap(), "{sql}");
    }
}
