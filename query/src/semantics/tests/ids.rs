//! Ids: hex in, hex out, and no comparison that could only be false.

use super::check;

const T1: &str = "abababababababab0000000000000001";

#[tokio::test]
async fn ids_compare_with_hex_in_every_place() {
    check(&[
        ("SELECT count(*) FROM spans WHERE trace_id = 'abababababababab0000000000000001'", &["2"]),
        ("SELECT count(*) FROM spans WHERE 'ABABABABABABABAB0000000000000002' = trace_id", &["2"]),
        ("SELECT count(*) FROM spans WHERE trace_id != 'abababababababab0000000000000001'", &["4"]),
        ("SELECT count(*) FROM spans WHERE trace_id > 'abababababababab0000000000000001'", &["4"]),
        ("SELECT count(*) FROM spans WHERE trace_id <= 'abababababababab0000000000000002'", &["4"]),
        ("SELECT count(*) FROM spans WHERE trace_id = X'abababababababab0000000000000001'", &["2"]),
        (
            "SELECT count(*) FROM spans WHERE trace_id IN ('abababababababab0000000000000001', 'ABABABABABABABAB0000000000000003')",
            &["4"],
        ),
        ("SELECT count(*) FROM spans WHERE trace_id NOT IN ('abababababababab0000000000000001')", &["4"]),
        (
            "SELECT count(*) FROM spans WHERE trace_id BETWEEN 'abababababababab0000000000000002' AND 'abababababababab0000000000000009'",
            &["4"],
        ),
        (
            "SELECT count(*) FROM spans WHERE trace_id NOT BETWEEN 'abababababababab0000000000000002' AND X'abababababababab0000000000000009'",
            &["2"],
        ),
        ("SELECT count(*) FROM spans WHERE parent_span_id IS NULL", &["3"]),
        ("SELECT count(*) FROM spans WHERE parent_span_id IS DISTINCT FROM 'cd00000000000001'", &["5"]),
        ("SELECT count(*) FROM spans WHERE trace_id LIKE '%0001'", &["2"]),
        ("SELECT count(*) FROM spans WHERE trace_id LIKE 'ABAB%'", &["6"]),
        ("SELECT count(*) FROM spans WHERE trace_id NOT LIKE '%0001'", &["4"]),
        ("SELECT count(*) FROM spans WHERE trace_id ~ '0{15}[12]$'", &["4"]),
        ("SELECT count(*) FROM spans WHERE trace_id || '!' = 'abababababababab0000000000000001!'", &["2"]),
        ("SELECT DISTINCT concat('t:', trace_id) FROM spans WHERE service_name = 'db' ORDER BY 1 LIMIT 1", &["t:abababababababab0000000000000001"]),
        ("SELECT DISTINCT trace_id || '/' || service_name FROM spans WHERE service_name='db' ORDER BY 1 LIMIT 1", &["abababababababab0000000000000001/db"]),
        ("SELECT CAST(span_id AS VARCHAR) FROM spans WHERE name_is(span_name)", &["error: name_is"]),
        ("SELECT CAST(span_id AS VARCHAR) AS a, span_id::text AS b FROM spans WHERE span_name = 'checkout'", &["cd00000000000001|cd00000000000001"]),
        ("SELECT trace_id, span_id, parent_span_id FROM spans WHERE span_name = 'SELECT'", &["abababababababab0000000000000001|cd00000000000002|cd00000000000001"]),
        ("SELECT COALESCE(parent_span_id, 'none') FROM spans ORDER BY span_id LIMIT 2", &["none", "cd00000000000001"]),
        ("SELECT count(*) FROM spans WHERE COALESCE(parent_span_id, span_id) = 'cd00000000000001'", &["2"]),
        ("SELECT count(*) FROM spans WHERE COALESCE(parent_span_id, 'none') = 'none'", &["3"]),
        ("SELECT nullif(span_id, 'cd00000000000001') FROM spans ORDER BY span_id LIMIT 2", &["NULL", "cd00000000000002"]),
        ("SELECT CASE trace_id WHEN 'abababababababab0000000000000001' THEN 'one' ELSE 'other' END AS c, count(*) FROM spans GROUP BY c ORDER BY c", &["one|2", "other|4"]),
        ("SELECT CASE WHEN is_root THEN trace_id ELSE 'inner' END AS c FROM spans ORDER BY c LIMIT 1", &["abababababababab0000000000000001"]),
        ("SELECT count(*) FROM spans WHERE CASE WHEN is_root THEN span_id ELSE parent_span_id END = 'cd00000000000003'", &["2"]),
        ("SELECT count(*) FILTER (WHERE trace_id = 'abababababababab0000000000000001') FROM spans", &["2"]),
        ("SELECT trace_id = 'abababababababab0000000000000001' AS x, count(*) FROM spans GROUP BY x ORDER BY x", &["false|4", "true|2"]),
        ("SELECT min(trace_id), max(span_id) FROM spans", &["abababababababab0000000000000001|cd00000000000006"]),
        ("SELECT length(trace_id), upper(span_id) FROM spans WHERE span_name = 'checkout'", &["32|CD00000000000001"]),
        ("SELECT encode(span_id, 'hex') FROM spans WHERE span_name = 'checkout'", &["cd00000000000001"]),
    ])
    .await;
}

#[tokio::test]
async fn ids_keep_their_meaning_through_the_shapes_of_a_query() {
    check(&[
        ("SELECT count(*) FROM (SELECT trace_id AS t FROM spans) WHERE t = 'ABABABABABABABAB0000000000000001'", &["2"]),
        ("WITH x AS (SELECT trace_id t, count(*) n FROM spans GROUP BY 1) SELECT n FROM x WHERE t = 'abababababababab0000000000000001'", &["2"]),
        ("SELECT count(*) FROM (SELECT max(trace_id) t FROM spans) WHERE t = 'abababababababab0000000000000003'", &["1"]),
        ("SELECT trace_id FROM spans GROUP BY trace_id HAVING max(span_id) = 'cd00000000000004'", &["abababababababab0000000000000002"]),
        ("SELECT count(*) FROM spans WHERE trace_id IN (SELECT trace_id FROM traces WHERE error_count > 0)", &["2"]),
        ("SELECT count(*) FROM spans WHERE trace_id IN (SELECT 'ABABABABABABABAB0000000000000002')", &["2"]),
        ("SELECT count(*) FROM spans WHERE trace_id IN (VALUES ('abababababababab0000000000000002'), ('abababababababab0000000000000001'))", &["4"]),
        ("SELECT count(*) FROM spans WHERE 'abababababababab0000000000000002' IN (SELECT trace_id FROM traces)", &["6"]),
        ("SELECT count(*) FROM spans WHERE trace_id = (SELECT max(trace_id) FROM traces)", &["2"]),
        ("SELECT count(*) FROM spans WHERE (SELECT max(trace_id) FROM traces) = 'abababababababab0000000000000003'", &["6"]),
        ("SELECT count(*) FROM traces t WHERE EXISTS (SELECT 1 FROM spans s WHERE s.trace_id = t.trace_id AND s.service_name = 'db')", &["2"]),
        ("SELECT count(*) FROM spans s JOIN traces t ON s.trace_id = t.trace_id", &["6"]),
        ("SELECT count(*) FROM spans s JOIN traces t USING (trace_id) WHERE t.trace_id = 'abababababababab0000000000000001'", &["2"]),
        ("SELECT c.span_name FROM spans c JOIN spans p ON c.parent_span_id = p.span_id WHERE p.span_name = 'checkout'", &["SELECT"]),
        ("SELECT s.span_name FROM spans s JOIN (VALUES ('ABABABABABABABAB0000000000000001')) v(hex) ON s.trace_id = v.hex ORDER BY 1", &["SELECT", "checkout"]),
        ("SELECT count(*) FROM spans s JOIN (SELECT 'abababababababab0000000000000001' AS trace_id) v USING (trace_id)", &["2"]),
        ("SELECT o.span_name FROM spans s JOIN spans o ON o.trace_id = s.attributes['linked'] ORDER BY 1", &["UPDATE", "browse"]),
        ("SELECT count(*) FROM (SELECT trace_id FROM spans UNION ALL SELECT 'x')", &["7"]),
        ("SELECT trace_id FROM traces UNION SELECT 'x' ORDER BY 1 DESC LIMIT 2", &["x", "abababababababab0000000000000003"]),
        ("SELECT trace_id FROM traces UNION SELECT trace_id FROM spans ORDER BY 1 LIMIT 1", &["abababababababab0000000000000001"]),
        ("SELECT count(*) FROM (SELECT trace_id FROM traces UNION ALL SELECT trace_id FROM spans) WHERE trace_id = 'abababababababab0000000000000001'", &["3"]),
        ("SELECT count(*) FROM (SELECT trace_id FROM traces EXCEPT SELECT 'ABABABABABABABAB0000000000000001')", &["2"]),
        ("SELECT trace_id FROM traces INTERSECT SELECT 'ABABABABABABABAB0000000000000001'", &["abababababababab0000000000000001"]),
        ("SELECT lag(span_id) OVER (ORDER BY span_id) AS l FROM spans ORDER BY span_id LIMIT 2", &["NULL", "cd00000000000001"]),
        ("SELECT count(*) FROM (SELECT lag(span_id) OVER (ORDER BY span_id) AS l FROM spans) WHERE l = 'cd00000000000001'", &["1"]),
        ("SELECT array_agg(span_id ORDER BY span_id) FROM spans WHERE trace_id = 'abababababababab0000000000000001'", &["[cd00000000000001, cd00000000000002]"]),
        ("SELECT array_has(array_agg(span_id), 'CD00000000000001') FROM spans", &["true"]),
        ("SELECT array_to_string(array_agg(span_id ORDER BY span_id), ',') FROM spans WHERE is_root", &["cd00000000000001,cd00000000000003,cd00000000000005"]),
        ("SELECT string_agg(span_id, ',' ORDER BY span_id) FROM spans WHERE is_root", &["cd00000000000001,cd00000000000003,cd00000000000005"]),
        ("SELECT count(*) FROM spans WHERE trace_id = try_id('nonsense')", &["0"]),
        ("SELECT count(*) FROM spans WHERE trace_id = ANY (SELECT trace_id FROM traces)", &["6"]),
        ("SELECT count(DISTINCT trace_id), approx_distinct(trace_id) FROM spans", &["3|3"]),
        ("WITH RECURSIVE up AS (SELECT span_id, parent_span_id FROM spans WHERE span_id = 'cd00000000000002' UNION ALL SELECT s.span_id, s.parent_span_id FROM spans s JOIN up ON s.span_id = up.parent_span_id) SELECT span_id FROM up ORDER BY 1", &["cd00000000000001", "cd00000000000002"]),
    ])
    .await;
}

#[tokio::test]
async fn a_comparison_that_could_only_be_false_is_an_error() {
    let wrong = "error: trace_id is compared with 'abc', which is not 32 hex digits";
    check(&[
        ("SELECT 1 FROM spans WHERE trace_id = 'abc'", &[wrong]),
        ("SELECT 1 FROM spans WHERE 'abc' != trace_id", &[wrong]),
        ("SELECT 1 FROM spans WHERE trace_id IN ('abc')", &[wrong]),
        ("SELECT 1 FROM spans WHERE trace_id IN (SELECT 'abc')", &[wrong]),
        ("SELECT 1 FROM spans WHERE trace_id BETWEEN 'abc' AND 'abd'", &[wrong]),
        ("SELECT CASE trace_id WHEN 'abc' THEN 1 END FROM spans", &[wrong]),
        ("SELECT 1 FROM spans s JOIN (SELECT 'abc' AS h) v ON s.trace_id = v.h", &[wrong]),
        (
            "SELECT 1 FROM (SELECT trace_id AS t FROM spans) WHERE t = 'abc'",
            &["error: t is compared with 'abc', which is not 32 hex digits"],
        ),
        (
            "SELECT 1 FROM (SELECT max(trace_id) AS t FROM spans) WHERE t = 'cd00000000000001'",
            &["error: t is compared with 'cd00000000000001', which is not 32 hex digits"],
        ),
        (
            "SELECT 1 FROM spans WHERE span_id = 'abababababababab0000000000000001'",
            &["error: span_id is compared with 'abababababababab0000000000000001', which is not 16 hex digits"],
        ),
        (
            "SELECT 1 FROM spans WHERE trace_id = 'zbababababababab0000000000000001'",
            &["error: which is not 32 hex digits"],
        ),
        ("SELECT 1 FROM spans WHERE trace_id = ''", &["error: which is not 32 hex digits"]),
        ("SELECT 1 FROM spans WHERE trace_id = X'ab'", &["error: trace_id is compared with 1 bytes, but has 16 bytes"]),
        ("SELECT 1 FROM spans WHERE parent_span_id = '0000000000000000'", &["error: a root's parent_span_id IS NULL"]),
        ("SELECT 1 FROM spans WHERE trace_id = span_id", &["error: trace_id has 16 bytes and span_id has 8 bytes"]),
        ("SELECT 1 FROM spans WHERE trace_id IN (SELECT span_id FROM spans)", &["error: so they are never equal"]),
        ("SELECT 1 FROM spans WHERE trace_id LIKE 'xyz%'", &["error: ids have only hex digits"]),
        (
            "SELECT count(*) FROM spans WHERE trace_id = service_name",
            &["error: trace_id is compared with 'shop', which is not 32 hex digits; try_id"],
        ),
        ("SELECT count(*) FROM spans WHERE trace_id = lower('ABC')", &["error: trace_id is compared with 'abc'"]),
        (
            "SELECT count(*) FROM spans WHERE trace_id = CAST('abc' AS BYTEA)",
            &["error: trace_id is compared with 3 bytes"],
        ),
        ("SELECT count(*) FROM spans WHERE (trace_id, span_id) = ('abc', 'abc')", &["error: inside a row value"]),
        ("SELECT count(*) FROM spans WHERE trace_id = 5", &["error: "]),
    ])
    .await;
    assert_eq!(T1.len(), 32);
}
