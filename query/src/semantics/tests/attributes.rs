//! Attributes: text by themselves, typed where they are compared or cast.

use super::check;

#[tokio::test]
async fn an_attribute_is_text_by_itself() {
    check(&[
        ("SELECT attributes['n'] FROM spans ORDER BY span_id", &["5", "2.5", "many", "7", "NULL", "NaN"]),
        ("SELECT attributes['mixed'] FROM spans ORDER BY span_id", &["500", "500", "true", "500.0", "[1,\"a\"]", "x"]),
        ("SELECT resource['service.version'] v FROM spans ORDER BY v NULLS LAST LIMIT 3", &["1.0", "2", "NULL"]),
        ("SELECT s.attributes['flag'] FROM spans s ORDER BY span_id LIMIT 3", &["true", "false", "true"]),
        ("SELECT count(*) FROM spans WHERE attributes['mixed'] = '500'", &["2"]),
        ("SELECT count(*) FROM spans WHERE attributes['mixed'] != '500'", &["4"]),
        ("SELECT count(*) FROM spans WHERE attributes['mixed'] IN ('500', 'x')", &["3"]),
        ("SELECT count(*) FROM spans WHERE attributes['mixed'] LIKE '50%'", &["3"]),
        ("SELECT count(*) FROM spans WHERE attributes['n'] IS NULL", &["1"]),
        ("SELECT count(*) FROM spans WHERE attributes['n'] IS NOT NULL", &["5"]),
        ("SELECT count(*) FROM spans WHERE attributes['nothing'] IS NULL", &["6"]),
        ("SELECT count(attributes['n']) FROM spans", &["5"]),
        ("SELECT attributes['mixed'] AS m, count(*) FROM spans GROUP BY m ORDER BY m LIMIT 2", &["500|2", "500.0|1"]),
        ("SELECT upper(attributes['n']) FROM spans WHERE span_name = 'browse'", &["MANY"]),
        ("SELECT attributes['n'] || '!' FROM spans WHERE span_name = 'browse'", &["many!"]),
        ("SELECT count(*) FROM spans WHERE attributes['n'] = attributes['mixed']", &["0"]),
        ("SELECT attributes[\"n\"] FROM spans", &["error: an attribute's key is text in single quotes"]),
        ("SELECT attributes FROM spans WHERE span_name = 'SELECT'", &["{\"flag\":false,\"mixed\":\"500\",\"n\":2.5}"]),
        (
            "SELECT CAST(resource AS VARCHAR) FROM spans WHERE span_name = 'checkout'",
            &["{\"service.version\":\"1.0\"}"],
        ),
    ])
    .await;
}

#[tokio::test]
async fn compared_with_a_number_or_boolean_the_values_of_that_type_are_meant() {
    check(&[
        ("SELECT count(*) FROM spans WHERE attributes['n'] > 2", &["4"]),
        ("SELECT count(*) FROM spans WHERE attributes['n'] > 2 AND attributes['n'] < 1e9", &["3"]),
        ("SELECT count(*) FROM spans WHERE 5 = attributes['n']", &["1"]),
        ("SELECT count(*) FROM spans WHERE attributes['n'] = 2.5", &["1"]),
        ("SELECT count(*) FROM spans WHERE attributes['n'] <= 5", &["2"]),
        ("SELECT count(*) FROM spans WHERE attributes['mixed'] = 500", &["2"]),
        ("SELECT count(*) FROM spans WHERE attributes['mixed'] = 500.0", &["2"]),
        ("SELECT count(*) FROM spans WHERE attributes['mixed'] != 500", &["0"]),
        ("SELECT count(*) FROM spans WHERE attributes['mixed'] IS DISTINCT FROM 500", &["4"]),
        ("SELECT count(*) FROM spans WHERE attributes['mixed'] IS NOT DISTINCT FROM 500", &["2"]),
        ("SELECT count(*) FROM spans WHERE attributes['mixed'] IN (500, 501)", &["2"]),
        ("SELECT count(*) FROM spans WHERE attributes['mixed'] IN (500, 'x')", &["3"]),
        ("SELECT count(*) FROM spans WHERE attributes['mixed'] NOT IN (501)", &["2"]),
        ("SELECT count(*) FROM spans WHERE attributes['n'] BETWEEN 2 AND 5", &["2"]),
        ("SELECT count(*) FROM spans WHERE attributes['n'] NOT BETWEEN 2 AND 5", &["2"]),
        ("SELECT count(*) FROM spans WHERE attributes['big'] = 9223372036854775807", &["1"]),
        ("SELECT count(*) FROM spans WHERE attributes['big'] = 9223372036854775806", &["1"]),
        ("SELECT count(*) FROM spans WHERE attributes['big'] < 9223372036854775808", &["2"]),
        ("SELECT count(*) FROM spans WHERE attributes['flag'] = true", &["1"]),
        ("SELECT count(*) FROM spans WHERE attributes['flag'] = false", &["1"]),
        ("SELECT count(*) FROM spans WHERE true != attributes['flag']", &["1"]),
        ("SELECT count(*) FROM spans WHERE attributes['n'] > depth", &["1"]),
        ("SELECT count(*) FROM spans WHERE attributes['n'] < (SELECT avg(duration_ns) FROM spans)", &["3"]),
        ("SELECT count(*) FROM spans WHERE attributes['n'] IN (SELECT 5)", &["1"]),
        ("SELECT count(*) FILTER (WHERE attributes['n'] > 4) FROM spans", &["3"]),
        ("SELECT attributes['n'] > 4 AS x, count(*) FROM spans GROUP BY x ORDER BY x NULLS LAST", &["false|1", "true|3", "NULL|2"]),
        ("SELECT CASE WHEN attributes['n'] > 4 THEN 'big' ELSE 'small' END c, count(*) FROM spans GROUP BY c ORDER BY c", &["big|3", "small|3"]),
        ("SELECT CASE attributes['n'] WHEN 5 THEN 'five' END FROM spans WHERE span_name = 'checkout'", &["five"]),
        ("SELECT count(*) FROM spans WHERE NOT (attributes['n'] > 4)", &["1"]),
        ("SELECT count(*) FROM spans a JOIN spans b ON a.attributes['n'] = b.attributes['n']", &["5"]),
        ("SELECT count(*) FROM spans s JOIN (SELECT 5 AS five) v ON s.attributes['n'] = v.five", &["1"]),
        ("SELECT count(*) FROM spans WHERE attributes['n'] > TIMESTAMP '2020-01-01T00:00:00Z'", &["0"]),
    ])
    .await;
}

#[tokio::test]
async fn a_cast_takes_the_typed_value_and_never_fails() {
    check(&[
        ("SELECT CAST(attributes['n'] AS BIGINT) FROM spans ORDER BY span_id", &["5", "2", "NULL", "7", "NULL", "NULL"]),
        ("SELECT attributes['n']::double FROM spans ORDER BY span_id LIMIT 4", &["5.0", "2.5", "NULL", "7.0"]),
        ("SELECT TRY_CAST(attributes['mixed'] AS INT) FROM spans ORDER BY span_id", &["500", "500", "1", "500", "NULL", "NULL"]),
        ("SELECT CAST(attributes['flag'] AS BOOLEAN) FROM spans ORDER BY span_id LIMIT 3", &["true", "false", "true"]),
        ("SELECT CAST(attributes['big'] AS INT) FROM spans ORDER BY span_id LIMIT 1", &["NULL"]),
        ("SELECT sum(CAST(attributes['n'] AS BIGINT)) FROM spans", &["14"]),
        ("SELECT sum(attributes['n']) FROM spans WHERE span_id < 'cd00000000000005'", &["14.5"]),
        ("SELECT avg(attributes['mixed']) FROM spans WHERE service_name = 'db'", &["500.0"]),
        ("SELECT attributes['n'] * 2 FROM spans WHERE span_name = 'checkout'", &["10.0"]),
        ("SELECT max(attributes['n']::bigint), min(attributes['n']::float) FROM spans WHERE span_id < 'cd00000000000005'", &["7|2.5"]),
        ("SELECT span_name FROM spans ORDER BY attributes['n']::double DESC NULLS LAST, span_id LIMIT 2", &["op", "UPDATE"]),
    ])
    .await;
}

#[tokio::test]
async fn types_survive_subqueries() {
    check(&[
        ("SELECT count(*) FROM (SELECT attributes['n'] AS n FROM spans) WHERE n > 2", &["4"]),
        ("SELECT count(*) FROM (SELECT attributes['mixed'] AS m FROM spans) WHERE m = 500", &["2"]),
        ("SELECT n FROM (SELECT attributes['n'] AS n, span_id FROM spans) q WHERE q.n > 4 AND q.n < 100 ORDER BY q.span_id", &["5", "7"]),
        ("WITH a AS (SELECT attributes['n'] AS n FROM spans), b AS (SELECT n AS m FROM a) SELECT count(*) FROM b WHERE m BETWEEN 2 AND 5", &["2"]),
        ("SELECT sum(CAST(n AS BIGINT)) FROM (SELECT attributes['n'] AS n FROM spans)", &["14"]),
        ("SELECT count(*) FROM (SELECT attributes['flag'] AS f FROM spans) WHERE f = true", &["1"]),
        ("SELECT count(*) FROM (SELECT attributes AS a FROM spans) WHERE a['n'] > 2", &["4"]),
        ("SELECT n FROM (SELECT attributes['n'] AS n FROM spans) ORDER BY n::double NULLS LAST LIMIT 2", &["2.5", "5"]),
        ("SELECT * FROM (SELECT attributes['n'] AS n, span_name FROM spans) WHERE n = 7", &["7|UPDATE"]),
        ("SELECT q.n, t.error_count FROM (SELECT trace_id, attributes['n'] AS n FROM spans) q JOIN traces t ON q.trace_id = t.trace_id WHERE n = 7", &["7|1"]),
        ("SELECT count(*) FROM (SELECT attributes['n'] AS n FROM spans UNION ALL SELECT attributes['mixed'] FROM spans) WHERE n > 400", &["3"]),
        ("SELECT attributes['n'] AS n, count(*) FROM spans GROUP BY 1 HAVING attributes['n'] > 4 ORDER BY n", &["5|1", "7|1"]),
        ("SELECT count(*) FROM (SELECT DISTINCT attributes['n'] AS n FROM spans) WHERE n < 3", &["1"]),
        ("SELECT e['name'], e['attributes']['exception.type'] FROM (SELECT unnest(events) AS e FROM spans)", &["exception|Timeout"]),
        ("SELECT count(*) FROM (SELECT unnest(events) AS e FROM spans) WHERE e['attributes']['attempt'] >= 2", &["1"]),
        ("SELECT events[1]['attributes']['exception.type'] FROM spans WHERE span_name = 'checkout'", &["Timeout"]),
        ("SELECT t.trace_id, s.attributes['n'] FROM traces t LEFT JOIN spans s ON s.trace_id = t.trace_id AND s.attributes['n'] = 5 ORDER BY 1 LIMIT 2", &["abababababababab0000000000000001|5", "abababababababab0000000000000002|NULL"]),
        ("SELECT count(*) FROM (SELECT span_name AS f FROM spans) WHERE f = true", &["error: text and is compared with a boolean"]),
    ])
    .await;
}
