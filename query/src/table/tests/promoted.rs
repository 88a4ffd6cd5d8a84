//! Attributes in columns of their own answer as those in maps do: the same spans once in memory, and once in segments from
//! before the promotion, from after it, and from in between.

use storage::schema::promoted::{Promoted, PromotedType, Scope};

use super::{engine_of, metric};
use crate::Engine;
use crate::testing::{TestSource, TestSpan, Value, ask};

use PromotedType::{Bool, Float, Int, Text};

fn promoted(value_type: PromotedType, key: &str) -> Promoted {
    Promoted { scope: Scope::Attributes, value_type, key: key.into() }
}

fn values() -> Vec<Option<Value>> {
    let texts = ["", "a", "b", "200", "2.5", "true", "NaN", "0.0"].map(Value::from);
    let ints = [0, 200, -3, 7, i64::MAX, i64::MIN].map(Value::from);
    let floats = [0.0, -0.0, 200.0, 2.5, 1e300, f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(Value::from);
    let bools = [true, false].map(Value::from);
    let others = [Value::Json("[1]".to_owned()), Value::Unset];
    let all = texts.into_iter().chain(ints).chain(floats).chain(bools).chain(others);
    all.map(Some).chain([None]).collect()
}

fn has_type(value: &Value, value_type: PromotedType) -> bool {
    match value {
        Value::Text(_) => value_type == Text,
        Value::Int(_) => value_type == Int,
        Value::Float(_) => value_type == Float,
        Value::Bool(_) => value_type == Bool,
        Value::Json(_) | Value::Unset => false,
    }
}

/// Spans with these values of `k`, those of segment `number`.
fn spans(number: usize, values: &[Option<Value>]) -> Vec<TestSpan> {
    let span = |(row, value): (usize, &Option<Value>)| {
        let span = TestSpan::new(number as u64 + 1, (number * 100 + row) as u64, None)
            .name(if row % 2 == 0 { "even" } else { "odd" })
            .times(1_700_000_000_000_000_000 + row as i64, row as i64)
            .attribute("other", row as i64);
        match value {
            Some(value) => span.attribute("k", value.clone()).resource("k", value.clone()),
            None => span,
        }
    };
    values.iter().enumerate().map(span).collect()
}

/// An engine with all spans in memory, and one with the same in segments: for each number of promoted columns one with every
/// value of `k`, and one with those that are promoted.
pub(super) async fn both(types: &[PromotedType]) -> (Engine, Engine) {
    let list: Vec<Promoted> = types.iter().map(|value_type| promoted(*value_type, "k")).collect();
    let mut segments = Vec::new();
    for known in [0, 1, types.len()] {
        segments.push((known, spans(segments.len(), &values())));
        let is_known = |value: &Option<Value>| match value {
            Some(value) => types[..known].iter().any(|value_type| has_type(value, *value_type)),
            None => true,
        };
        let pure: Vec<_> = values().into_iter().filter(is_known).collect();
        segments.push((known, spans(segments.len(), &pure)));
        // Its file has none of the columns.
        segments.push((known, spans(segments.len(), &[None, None])));
    }
    let all: Vec<TestSpan> = segments.iter().flat_map(|(_, spans)| spans.clone()).collect();
    let stored = TestSource::with_promoted(&list, &[], &segments).await;
    (engine_of(TestSource::new(&all, &[]).await), engine_of(stored))
}

/// Notes where the two answer differently.
pub(super) async fn compare(wrong: &mut Vec<String>, memory: &Engine, stored: &Engine, sql: &str) {
    let expected = ask(memory, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let got = ask(stored, sql).await.unwrap_or_else(|error| vec![format!("error: {error}")]);
    if got != expected {
        wrong.push(format!("{sql}\n  memory {expected:?}\n  stored {got:?}"));
    }
}

fn conditions() -> Vec<String> {
    const K: &str = "attributes['k']";
    let mut conditions = Vec::new();
    let literals = [
        "'200'",
        "'a'",
        "''",
        "'0.0'",
        "'2.5'",
        "'NaN'",
        "'true'",
        "'-3'",
        "0",
        "200",
        "-3",
        "2.5",
        "9223372036854775807",
        "9223372036854775808",
        "1e300",
        "true",
        "false",
        "CAST('NaN' AS DOUBLE)",
        "NULL",
        "duration_ns",
        "span_name",
    ];
    for operator in ["=", "!=", "<", "<=", ">", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"] {
        for literal in literals {
            // The planner knows no such comparison of text and booleans.
            if !(operator.starts_with("IS") && ["true", "false"].contains(&literal)) {
                conditions.push(format!("{K} {operator} {literal}"));
            }
        }
    }
    let others = [
        "IS NULL",
        "IS NOT NULL",
        "IN ('200', 'a')",
        "NOT IN ('200', 'a')",
        "IN ('200', '-3', '7', 'b', 'true', '2.5')",
        "NOT IN ('200', '-3', '7', 'b', 'true', '2.5')",
        "IN (200, 2.5)",
        "NOT IN (200, 2.5)",
        "IN (200, 'a')",
        "NOT IN ('a', NULL)",
        "LIKE '2%'",
        "NOT LIKE '2%'",
        "ILIKE 'A%'",
        "BETWEEN 0 AND 200",
        "NOT BETWEEN 0 AND 200",
        "BETWEEN '2' AND 'b'",
        "~ '^[0-9]+$'",
        "IN (SELECT duration_ns FROM spans)",
        "= attributes['other']",
    ];
    conditions.extend(others.map(|rest| format!("{K} {rest}")));
    let plain = conditions.clone();
    for (index, condition) in plain.iter().enumerate() {
        conditions.push(match index % 4 {
            0 => format!("NOT ({condition})"),
            1 => format!("({condition}) IS NOT TRUE"),
            2 => format!("NOT (({condition}) AND span_name = 'even')"),
            _ => format!("({condition}) IS NULL OR duration_ns = 3"),
        });
    }
    conditions.extend([
        "CAST(attributes['k'] AS BIGINT) > 5".to_owned(),
        "attributes['k']::double * 2 < 6".to_owned(),
        "CAST(attributes['k'] AS BOOLEAN)".to_owned(),
        "upper(attributes['k']) = 'A'".to_owned(),
        "attributes['k'] || '!' = '200!'".to_owned(),
        "CASE attributes['k'] WHEN 200 THEN true WHEN 'a' THEN true ELSE false END".to_owned(),
        "coalesce(attributes['k'], 'none') = 'none'".to_owned(),
        "CAST(attributes AS VARCHAR) LIKE '%true%'".to_owned(),
        "attributes['k'] = 200 AND attributes['other'] > 3".to_owned(),
        "attributes['k'] > 2 AND attributes['k'] < 300 AND span_name = 'even'".to_owned(),
        "attributes['k'] = 'a' OR resource['k'] = 200 OR duration_ns = 1".to_owned(),
        "attributes['k'] = resource['k']".to_owned(),
    ]);
    conditions
}

#[tokio::test]
async fn a_filter_says_the_same_before_and_after_a_promotion() {
    let lists: [&[PromotedType]; 4] = [&[Text, Int], &[Int, Float, Bool], &[Float, Text, Int, Bool], &[Bool, Int]];
    for (place, types) in lists.into_iter().enumerate() {
        let (memory, stored) = both(types).await;
        let mut wrong = Vec::new();
        // All of them for every list would take minutes.
        for condition in conditions().iter().skip(place % 3).step_by(3) {
            let sql = format!("SELECT span_id FROM spans WHERE {condition} ORDER BY span_id");
            compare(&mut wrong, &memory, &stored, &sql).await;
        }
        assert!(wrong.is_empty(), "{types:?}: {}\n{}", wrong.len(), wrong.join("\n"));
    }
}

#[tokio::test]
async fn attributes_as_a_whole_have_what_is_in_columns() {
    let (memory, stored) = both(&[Int, Text, Bool, Float]).await;
    let mut wrong = Vec::new();
    for sql in [
        "SELECT attributes, resource FROM spans ORDER BY span_id",
        "SELECT * FROM spans ORDER BY span_id",
        "SELECT attributes FROM spans WHERE attributes['k'] = 200 ORDER BY span_id",
        "SELECT attributes FROM spans WHERE attributes['other'] = 2 ORDER BY span_id",
        "SELECT CAST(attributes AS VARCHAR), count(*) FROM spans GROUP BY 1 ORDER BY 1",
        "SELECT resource FROM spans WHERE trace_id = 'abababababababab0000000000000004' ORDER BY span_id",
    ] {
        compare(&mut wrong, &memory, &stored, sql).await;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    stored.index_traces().await.unwrap();
    let of_trace = "SELECT attributes FROM spans WHERE trace_id = 'abababababababab0000000000000008' AND attributes['k'] != 'a' ORDER BY span_id";
    compare(&mut wrong, &memory, &stored, of_trace).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn the_reader_prunes_by_a_promoted_attribute_and_filters_by_it() {
    // Pages have 64 rows.
    let span = |row: u64| {
        let span = TestSpan::new(row + 1, row + 1, None).attribute("k", format!("value{:02}", row / 64).as_str());
        span.attribute("n", row as i64)
    };
    let spans: Vec<TestSpan> = (0..640).map(span).collect();
    let list = [promoted(Text, "k"), promoted(Int, "n")];
    let stored = engine_of(TestSource::with_promoted(&list, &[], &[(2, spans)]).await);
    for (condition, pages, matched) in [
        ("attributes['k'] = 'value07'", "10 total → 1 matched", "64"),
        ("attributes['k'] IN ('value00', 'value09')", "10 total → 2 matched", "128"),
        ("attributes['n'] >= 600", "10 total → 1 matched", "40"),
        ("attributes['n'] = '130'", "10 total → 1 matched", "1"),
        ("attributes['k'] LIKE 'value07%'", "10 total → 2 matched", "64"),
        ("NOT (attributes['n'] < 600 OR attributes['n'] IS NULL)", "10 total → 1 matched", "40"),
    ] {
        let sql = format!("SELECT span_id FROM spans WHERE {condition}");
        assert_eq!(metric(&stored, &sql, "page_index_pages_pruned").await, pages, "{condition}");
        assert_eq!(metric(&stored, &sql, "pushdown_rows_matched").await, matched, "{condition}");
        let plan = ask(&stored, &format!("EXPLAIN {sql}")).await.unwrap().join("\n");
        assert!(!plan.contains("FilterExec"), "{plan}");
    }
    let none = "SELECT span_id FROM spans WHERE attributes['n'] > 700";
    assert_eq!(metric(&stored, none, "row_groups_pruned_statistics").await, "1 total → 0 matched");
}
