//! What people write and get.

use std::sync::Arc;

use crate::testing::{TestSource, TestSpan, ask};
use crate::{Config, Engine, Error};

/// Traces 1 and 2 stand for 4 each, with two spans and one; trace 3 for itself; of 4 the weight is unknown; 5 is rescued.
async fn engine() -> Engine {
    let memory = vec![
        TestSpan::new(1, 1, None).weight(4.0).times(1_000, 10).attribute("n", 3),
        TestSpan::new(1, 2, Some(1)).weight(4.0).times(1_000, 30).service("db").error(),
        TestSpan::new(4, 6, None).weight(None).times(1_000, 999),
    ];
    let second = vec![TestSpan::new(2, 3, None).weight(4.0).times(1_000, 20).error()];
    let third = vec![
        TestSpan::new(3, 4, None).times(1_000, 50).service("single"),
        TestSpan::new(3, 5, Some(4)).times(1_000, 60).service("single"),
        TestSpan::new(5, 7, None).weight(0.0).times(1_000, 999).error(),
    ];
    Engine::new(Config { threads: 2, ..Config::default() }, TestSource::new(&memory, &[second, third]).await).unwrap()
}

async fn check(engine: Engine, cases: &[(&str, &[&str])]) {
    let engine = Arc::new(engine);
    let mut wrong = Vec::new();
    for (sql, expected) in cases {
        let got = match ask(&engine, sql).await {
            Ok(lines) => lines,
            Err(Error::BadQuery { message, .. }) => vec![format!("error: {message}")],
            Err(other) => vec![format!("{other:?}")],
        };
        if got != *expected {
            wrong.push(format!("{sql}\n  expected {expected:?}\n  got      {got:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[tokio::test]
async fn estimates_are_weighted_by_what_their_rows_stand_for() {
    let n = "SELECT e['estimate'] FROM";
    let cases: Vec<(String, &[&str])> = vec![
        // 4 + 4 + 4 + 1 + 1
        (format!("{n} (SELECT estimate_count() AS e FROM spans)"), &["14.0"]),
        (format!("{n} (SELECT estimate_count(*) AS e FROM spans)"), &["14.0"]),
        (format!("{n} (SELECT estimate_count(parent_span_id) AS e FROM spans)"), &["5.0"]),
        (format!("{n} (SELECT estimate_count() FILTER (WHERE service_name = 'db') AS e FROM spans)"), &["4.0"]),
        // 40 + 120 + 80 + 110
        (format!("{n} (SELECT estimate_sum(duration_ns) AS e FROM spans)"), &["350.0"]),
        (format!("{n} (SELECT estimate_mean(duration_ns) AS e FROM spans)"), &["25.0"]),
        (format!("{n} (SELECT estimate_mean(attributes['n']) AS e FROM spans)"), &["3.0"]),
        (format!("{n} (SELECT estimate_share(status_code = 'error') AS e FROM spans)"), &["0.5714285714285714"]),
        (format!("{n} (SELECT estimate_share(attributes['n'] > 2) AS e FROM spans)"), &["1.0"]),
        // By weight: 10 to 4 of 14, 20 to 8, 30 to 12, 50 to 13.
        (format!("{n} (SELECT estimate_quantile(duration_ns, 0.5) AS e FROM spans)"), &["20.0"]),
        (format!("{n} (SELECT estimate_quantile(duration_ns, 0.9) AS e FROM spans)"), &["50.0"]),
        ("SELECT estimate_count()['estimate'] AS n FROM spans GROUP BY service_name HAVING estimate_count()['estimate'] > 2 ORDER BY n".to_owned(), &["4.0", "8.0"]),
        ("SELECT service_name, estimate_count()['estimate'] AS n FROM spans GROUP BY 1 ORDER BY n DESC, 1".to_owned(), &["shop|8.0", "db|4.0", "single|2.0"]),
        ("SELECT service_name, e['exact'], e['n_eff'] FROM (SELECT service_name, estimate_count() AS e FROM spans WHERE adjusted_count > 0 GROUP BY 1) ORDER BY 1".to_owned(), &["db|false|1.0", "shop|false|2.0", "single|true|1.0"]),
        ("SELECT estimate_sum(duration_ns) FROM spans WHERE trace_id = 'abababababababab0000000000000003'".to_owned(), &["{estimate: 110.0, low: 110.0, high: 110.0, n_eff: 1.0, exact: true}"]),
        // Kept (4 + 4 + 1), and one dropped.
        ("SELECT estimate_count()['estimate'] FROM traces".to_owned(), &["9.0"]),
        ("SELECT estimate_sum(s.duration_ns)['estimate'] FROM spans s JOIN traces t ON s.trace_id = t.trace_id".to_owned(), &["350.0"]),
        ("SELECT estimate_count(s.trace_id)['estimate'] FROM spans s JOIN traces t USING (trace_id)".to_owned(), &["14.0"]),
        ("SELECT estimate_mean(y)['estimate'] FROM (SELECT trace_id, adjusted_count, count(*) AS y FROM spans GROUP BY 1, 2)".to_owned(), &["1.5555555555555556"]),
        ("SELECT estimate_count()['estimate'] FROM (SELECT trace_id, adjusted_count * 10 AS adjusted_count FROM spans)".to_owned(), &["140.0"]),
        ("SELECT estimate_count()['estimate'] FROM (SELECT * FROM spans UNION ALL SELECT * FROM spans)".to_owned(), &["28.0"]),
    ];
    let cases: Vec<(&str, &[&str])> = cases.iter().map(|(sql, rows)| (sql.as_str(), *rows)).collect();
    check(engine().await, &cases).await;
}

#[tokio::test]
async fn nothing_is_exact_that_met_unknown_weights_or_no_row() {
    check(
        engine().await,
        &[
            (
                "SELECT estimate_count() FROM spans WHERE duration_ns = 999",
                &["{estimate: 0.0, low: NULL, high: NULL, n_eff: 0.0, exact: false}"],
            ),
            (
                "SELECT estimate_mean(duration_ns) FROM spans WHERE false",
                &["{estimate: NULL, low: NULL, high: NULL, n_eff: 0.0, exact: false}"],
            ),
            (
                "SELECT estimate_quantile(duration_ns, 0.5) FROM spans WHERE false",
                &["{estimate: NULL, low: NULL, high: NULL, n_eff: 0.0, exact: false}"],
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn what_cannot_be_estimated_is_refused_with_the_remedy() {
    let lacking = |column: &str| {
        format!(
            "error: estimate_count needs the column {column}, which what it reads does not have; let the subquery select trace_id and adjusted_count too, or estimate inside it"
        )
    };
    let (no_trace, no_weight) = (lacking("trace_id"), lacking("adjusted_count"));
    check(
        engine().await,
        &[
            ("SELECT estimate_count() FROM (SELECT service_name, trace_id FROM spans)", &[no_weight.as_str()]),
            ("SELECT estimate_count() FROM (SELECT adjusted_count FROM spans)", &[no_trace.as_str()]),
            ("SELECT estimate_count()", &[no_trace.as_str()]),
            ("SELECT estimate_count() FROM (SELECT trace_id || '' AS trace_id, adjusted_count FROM spans)", &["error: estimate_count needs trace_id as the id that it is, but here it is text; select it unchanged"]),
            ("SELECT estimate_count() FROM spans a JOIN spans b ON a.span_id = b.parent_span_id", &["error: estimate_count finds trace_id and adjusted_count in a and b; name a column of the one that is meant, as in estimate_count(a.trace_id), or join a subquery without them"]),
            ("SELECT estimate_count(DISTINCT service_name) FROM spans", &["error: estimate_count cannot take DISTINCT: how often values repeat among rows that were not kept is unknown"]),
            ("SELECT estimate_count() OVER () FROM spans", &["error: estimate_count cannot be a window function; aggregate in a subquery first"]),
            ("SELECT estimate_sum(service_name) FROM spans", &["error: estimate_sum takes a number, not text; CAST(... AS DOUBLE) makes one of it"]),
            ("SELECT estimate_sum(start_time) FROM spans", &["error: estimate_sum takes a number"]),
            ("SELECT estimate_mean() FROM spans", &["error: the form is estimate_mean(number)"]),
            ("SELECT estimate_quantile(duration_ns) FROM spans", &["error: the form is estimate_quantile(number, 0.99)"]),
            ("SELECT estimate_quantile(duration_ns, 99) FROM spans", &["error: estimate_quantile takes a quantile from 0 to 1, written as a number: 0.99"]),
            ("SELECT estimate_quantile(duration_ns, depth) FROM spans", &["error: estimate_quantile takes a quantile from 0 to 1, written as a number: 0.99"]),
            ("SELECT estimate_share(duration_ns) FROM spans", &["error: estimate_share takes a condition, such as status_code = 'error'"]),
        ],
    )
    .await;
}

#[tokio::test]
async fn an_estimate_over_more_than_the_memory_limit_says_so() {
    let spans: Vec<TestSpan> = (1..=20_000).map(|number| TestSpan::new(number, number, None).weight(2.0)).collect();
    let source = TestSource::new(&[], &[spans]).await;
    for (limit, fits) in [(64 << 20, true), (1 << 20, false)] {
        let config = Config { threads: 2, memory_limit_bytes: limit, ..Config::default() };
        let engine = Engine::new(config, Arc::clone(&source) as _).unwrap();
        for sql in [
            "SELECT estimate_count()['estimate'] FROM spans",
            "SELECT estimate_count()['estimate'] FROM spans GROUP BY service_name",
            "SELECT 40000 * estimate_quantile(duration_ns, 0.5)['estimate'] / 1000000 FROM spans GROUP BY service_name",
        ] {
            match ask(&engine, sql).await {
                Ok(lines) => assert!(fits && lines == ["40000.0"], "{sql}: {lines:?}"),
                Err(Error::Resources(message)) => assert!(!fits && !message.is_empty(), "{sql}: {message}"),
                Err(other) => panic!("{sql}: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn histograms_merge_by_adding_their_buckets() {
    // 1,000 lies in bucket floor(32 * log2(1000)) = 318, 1,024 at the upper end of bucket 319.
    let rows = "(VALUES ([318, 319], [1, 2]), ([319, 400], [5, 2])) AS t(bucket_indexes, bucket_counts)";
    let ask_for = |q: &str| format!("SELECT histogram_quantile({q}, bucket_indexes, bucket_counts) FROM {rows}");
    let exact = |index: f64| ((index + 0.5) / 32.0).exp2().to_string();
    let (low, middle, high) = (exact(318.0), exact(319.0), exact(400.0));
    check(
        engine().await,
        &[
            (&ask_for("0.1"), &[low.as_str()]),
            (&ask_for("0.5"), &[middle.as_str()]),
            (&ask_for("0.8"), &[middle.as_str()]),
            (&ask_for("0.99"), &[high.as_str()]),
            (&ask_for("1"), &[high.as_str()]),
            (&format!("{} WHERE false", ask_for("0.5")), &["NULL"]),
            (&ask_for("99"), &["error: a quantile is one number from 0 to 1: histogram_quantile(0.99, bucket_indexes, bucket_counts, zero_count)"]),
            ("SELECT histogram_quantile(0.5, [1, 2], [1])", &["error: a histogram has 2 bucket_indexes, but 1 bucket_counts"]),
            ("SELECT histogram_quantile([1], [1])", &["error: the form is histogram_quantile(0.99, bucket_indexes, bucket_counts, zero_count)"]),
        ],
    )
    .await;
}

#[tokio::test]
async fn histograms_count_what_is_zero_if_it_is_handed_in() {
    let rows = "(VALUES ([318], [2], 5), (CAST([] AS BIGINT[]), CAST([] AS BIGINT[]), 1), ([319], [2], NULL)) \
                AS t(bucket_indexes, bucket_counts, zero_count)";
    let ask_for =
        |q: &str| format!("SELECT histogram_quantile({q}, bucket_indexes, bucket_counts, zero_count) FROM {rows}");
    let exact = |index: f64| ((index + 0.5) / 32.0).exp2().to_string();
    let (low, high) = (exact(318.0), exact(319.0));
    check(
        engine().await,
        &[
            (&ask_for("0"), &["0.0"]),
            (&ask_for("0.6"), &["0.0"]),
            (&ask_for("0.61"), &[low.as_str()]),
            (&ask_for("0.8"), &[low.as_str()]),
            (&ask_for("0.9"), &[high.as_str()]),
            (&ask_for("0.5").replacen(", zero_count)", ")", 1), &[low.as_str()]),
            (&format!("{} WHERE bucket_counts = CAST([] AS BIGINT[])", ask_for("0.99")), &["0.0"]),
            (
                "SELECT histogram_quantile(0.5, [1], [1], 'x')",
                &["error: the form is histogram_quantile(0.99, bucket_indexes, bucket_counts, zero_count)"],
            ),
        ],
    )
    .await;
}
