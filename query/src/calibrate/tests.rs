use std::sync::Arc;

use arrow::array::{Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use proptest::prelude::*;

use crate::session::{CATALOG, SCHEMA, Sessions};
use crate::testing::{TestSource, TestSpan, ask, lines};
use crate::{Config, Engine, Error};

const SECOND: i64 = 1_000_000_000;

/// A trace of two spans that starts at a second after the epoch.
fn trace(number: u64, operation: &str, second: i64, weight: f64) -> Vec<TestSpan> {
    let root = TestSpan::new(number, 2 * number, None).name(operation).weight(weight).times(second * SECOND, 5);
    let child = TestSpan::new(number, 2 * number + 1, Some(2 * number)).service("db").name("SELECT");
    let spans = [root, child.weight(weight).times(second * SECOND + 1_000, 3)];
    spans.into_iter().map(|span| if weight == 0.0 { span.dropped() } else { span }).collect()
}

async fn engine(traces: Vec<Vec<TestSpan>>) -> Arc<Engine> {
    let half = traces.len() / 2;
    let (memory, segment) = (traces[..half].concat(), traces[half..].concat());
    let source = TestSource::new(&memory, &[segment]).await;
    Arc::new(Engine::new(Config { threads: 2, ..Config::default() }, source).unwrap())
}

const RANGE: &str = "calibrated_spans('1970-01-01T00:00:00Z', '1970-01-01T00:05:00Z')";

#[tokio::test]
async fn weights_add_up_to_the_traces_there_were() {
    // Minute 0: 5 of "buy", of which two stand for 2 each: g = 5/4. Minute 1: 3, of which one stands for 4: g = 3/4.
    let mut traces = vec![trace(1, "buy", 0, 2.0), trace(2, "buy", 59, 2.0)];
    traces.extend((3..6).map(|number| trace(number, "buy", 30, 0.0)));
    traces.extend([trace(6, "buy", 60, 4.0), trace(7, "buy", 61, 0.0), trace(8, "buy", 62, 0.0)]);
    let engine = engine(traces).await;
    for (sql, expected) in [
        (format!("SELECT DISTINCT trace_id, adjusted_count FROM {RANGE} ORDER BY 1"), vec![
            "abababababababab0000000000000001|2.5",
            "abababababababab0000000000000002|2.5",
            "abababababababab0000000000000006|3.0",
        ]),
        (format!("SELECT estimate_count()['estimate'] FROM {RANGE} WHERE is_root"), vec!["8.0"]),
        (format!("SELECT service_name, estimate_count()['estimate'] FROM {RANGE} GROUP BY 1 ORDER BY 1"), vec!["db|8.0", "shop|8.0"]),
        // A part of a minute is the whole of it.
        ("SELECT estimate_count()['estimate'] FROM calibrated_spans('1970-01-01T00:01:30Z', '1970-01-01T00:01:40Z') WHERE is_root".to_owned(), vec!["3.0"]),
        (format!("SELECT count(*) FROM {RANGE} WHERE trace_id = 'abababababababab0000000000000001'"), vec!["2"]),
        (format!("SELECT attributes['x'] FROM {RANGE} LIMIT 1"), vec!["NULL"]),
        ("SELECT count(*) FROM calibrated_spans(now() - interval '1 hour', now())".to_owned(), vec!["0"]),
    ] {
        assert_eq!(ask(&engine, &sql).await.unwrap(), expected, "{sql}");
    }
}

#[tokio::test]
async fn what_strata_know_has_no_interval_and_the_rest_a_narrower_one() {
    let traces = (1..=60).map(|number| {
        let weight = if number % 3 == 0 { 7.3 } else { 0.0 };
        trace(number, "buy", i64::try_from(number).unwrap() % 60, weight)
            .into_iter()
            .map(|span| if number % 12 == 0 { span.attribute("tenant", "acme") } else { span })
            .collect()
    });
    let engine = engine(traces.collect()).await;
    let width = async |from: &str, condition: &str| -> f64 {
        let sql = format!(
            "SELECT e['high'] - e['low'] FROM (SELECT estimate_sum(CASE WHEN {condition} THEN 1 ELSE 0 END) AS e FROM {from} WHERE is_root)"
        );
        ask(&engine, &sql).await.unwrap()[0].parse().unwrap()
    };
    assert_eq!(width(RANGE, "true").await, 0.0);
    assert!(width("spans", "true").await > 20.0);
    let acme = "attributes['tenant'] = 'acme'";
    let (calibrated, plain) = (width(RANGE, acme).await, width("spans", acme).await);
    assert!(calibrated > 1.0 && calibrated < 0.95 * plain, "{calibrated} {plain}");
}

#[tokio::test]
async fn strata_without_a_kept_trace_are_shared_out_to_those_beside_them() {
    let slow = |number, second, weight| -> Vec<TestSpan> {
        trace(number, "buy", second, weight).into_iter().map(|span| span.class("slow")).collect()
    };
    let engine = engine(vec![
        // The class slow has none kept: its two go to the operation's minute, which has 3 and stood for 4.
        trace(1, "buy", 0, 4.0),
        trace(2, "buy", 1, 0.0),
        trace(3, "buy", 2, 0.0),
        slow(4, 3, 0.0),
        slow(5, 4, 0.0),
        // Neither has the minute after it: its one goes to the operation.
        trace(6, "buy", 60, 0.0),
        // Nor has this operation: its one goes to the service.
        trace(7, "browse", 0, 0.0),
        trace(8, "look", 0, 1.0),
    ])
    .await;
    let sql =
        format!("SELECT root_name, estimate_count()['estimate'] FROM {RANGE} WHERE is_root GROUP BY 1 ORDER BY 1");
    // 8 in all, shared 6 to 1 between the operations that have kept traces.
    let (buy, look) = (8.0_f64 * 6.0 / 7.0, 8.0_f64 / 7.0);
    let got = ask(&engine, &sql).await.unwrap();
    let number = |line: &str| line.split('|').nth(1).unwrap().parse::<f64>().unwrap();
    assert!((number(&got[0]) - buy).abs() < 1e-9 && (number(&got[1]) - look).abs() < 1e-9, "{got:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn calibrated_counts_by_operation_are_the_exact_ones(
        traces in prop::collection::vec((0..3_usize, 0..180_i64, prop::option::of(1.0..500.0_f64)), 1..40)
    ) {
        let name = |operation: usize| ["buy", "browse", "look"][operation];
        let mut all: Vec<Vec<TestSpan>> = traces
            .iter()
            .zip(1..)
            .map(|((operation, second, weight), number)| trace(number, name(*operation), *second, weight.unwrap_or(0.0)))
            .collect();
        // Each operation has one that is kept, as none can be estimated without.
        all.extend((0..3).map(|operation| trace(1_000 + operation as u64, name(operation), 10, 3.0)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let engine = engine(all).await;
            let (names, counts) = ("SELECT root_name, ", "GROUP BY 1 ORDER BY 1");
            let exact = ask(&engine, &format!("{names} sum(head_count) FROM traces {counts}")).await.unwrap();
            let estimated = format!("{names} round(estimate_count()['estimate'], 6) FROM {RANGE} WHERE is_root {counts}");
            assert_eq!(exact, ask(&engine, &estimated).await.unwrap());
        });
    }
}

#[tokio::test]
async fn against_span_metrics_the_counts_of_spans_are_exact() {
    let source =
        TestSource::new(&[trace(1, "buy", 0, 2.0), trace(2, "buy", 5, 3.0)].concat(), &[trace(3, "buy", 70, 10.0)])
            .await;
    let sessions = Sessions::new(Arc::new(Config { threads: 2, ..Config::default() }), source).unwrap();
    let state = sessions.open().unwrap().state().clone();
    let metrics = [
        // Two windows of a minute, and a status that no stored span has.
        ("shop", "buy", "unset", 0, 4.0),
        ("shop", "buy", "unset", 10, 3.0),
        ("shop", "buy", "error", 20, 1.0),
        ("db", "SELECT", "unset", 0, 12.0),
        ("db", "SELECT", "unset", 60, 6.0),
        ("shop", "buy", "unset", 60, 5.0),
    ];
    let text = |of: fn(&(&'static str, &'static str, &'static str, i64, f64)) -> &'static str| {
        Arc::new(StringArray::from_iter_values(metrics.iter().map(of))) as _
    };
    let batch = RecordBatch::try_from_iter([
        (
            "window_start",
            Arc::new(
                TimestampMicrosecondArray::from_iter_values(metrics.iter().map(|row| row.3 * 1_000_000))
                    .with_timezone("UTC"),
            ) as _,
        ),
        ("service_name", text(|row| row.0)),
        ("span_name", text(|row| row.1)),
        ("kind", text(|_| "server")),
        ("status_code", text(|row| row.2)),
        ("span_count", Arc::new(Int64Array::from_iter_values(metrics.iter().map(|row| row.4 as i64))) as _),
        ("adjusted_count", Arc::new(Float64Array::from_iter_values(metrics.iter().map(|row| row.4))) as _),
    ])
    .unwrap();
    let table = MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap();
    let schema = state.catalog_list().catalog(CATALOG).unwrap().schema(SCHEMA).unwrap();
    schema.deregister_table("span_metrics").unwrap();
    schema.register_table("span_metrics".to_owned(), Arc::new(table)).unwrap();
    let context = SessionContext::new_with_state(state);
    let ask = async |sql: &str| lines(&context.sql(sql).await.unwrap().collect().await.unwrap());
    let range = RANGE.replace(')', ", 'span_metrics')");
    assert_eq!(
        ask(&format!("SELECT service_name, estimate_count()['estimate'] FROM {range} GROUP BY 1 ORDER BY 1")).await,
        ["db|18.0", "shop|13.0"]
    );
    assert_eq!(
        ask(&format!("SELECT date_trunc('minute', start_time) AS m, round(estimate_count()['estimate'], 6) FROM {range} WHERE service_name = 'shop' GROUP BY 1 ORDER BY 1")).await,
        ["1970-01-01T00:00:00.000000Z|8.0", "1970-01-01T00:01:00.000000Z|5.0"]
    );
}

#[tokio::test]
async fn a_call_that_means_nothing_says_how_to_call() {
    let engine = engine(vec![trace(1, "buy", 0, 2.0)]).await;
    for (call, message) in [
        ("calibrated_spans()", "the form is calibrated_spans(from, to)"),
        ("calibrated_spans('yesterday', now())", "the form is calibrated_spans(from, to)"),
        ("calibrated_spans(1, 2)", "the form is calibrated_spans(from, to)"),
        ("calibrated_spans('1970-01-01', '1970-01-02', 'metrics')", "the form is calibrated_spans(from, to)"),
        ("calibrated_spans('1970-01-02', '1970-01-01')", "a from that is not before its to"),
    ] {
        match ask(&engine, &format!("SELECT count(*) FROM {call}")).await {
            Err(Error::BadQuery { message: got, .. }) => assert!(got.contains(message), "{call}: {got}"),
            other => panic!("{call}: {other:?}"),
        }
    }
}
