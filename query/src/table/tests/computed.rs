//! Attributes outside of filters: the same from columns as from maps, and without the other attributes.

use storage::schema::promoted::PromotedType::{Float, Int, Text};

use super::promoted::{both, compare};
use crate::testing::ask;

/// Shapes of queries that use an attribute somewhere else than in a filter.
const SHAPES: &[&str] = &[
    "SELECT span_id, attributes['k'] FROM spans ORDER BY span_id",
    "SELECT attributes['k'], attributes['other'], resource['k'] FROM spans ORDER BY span_id",
    "SELECT attributes['k'] AS k, count(*) FROM spans GROUP BY k ORDER BY k",
    "SELECT attributes['k'], count(*) FROM spans GROUP BY attributes['k'] ORDER BY count(*) DESC, attributes['k']",
    "SELECT attributes['k'], resource['k'], count(*) FROM spans GROUP BY ROLLUP (attributes['k'], resource['k']) ORDER BY 1, 2, 3",
    "SELECT count(DISTINCT attributes['k']), count(attributes['k']), min(attributes['k']), max(attributes['k']) FROM spans",
    "SELECT sum(attributes['other']), avg(CAST(attributes['other'] AS BIGINT)) FROM spans",
    "SELECT span_id FROM spans ORDER BY attributes['k'], span_id LIMIT 7",
    "SELECT span_id FROM spans ORDER BY attributes['k']::double DESC NULLS LAST, span_id LIMIT 7",
    "SELECT span_id, attributes['k'] > 5, attributes['k'] = '200', attributes['k'] IS NULL FROM spans ORDER BY span_id",
    "SELECT attributes['k'] IS DISTINCT FROM 200, attributes['k'] IS NOT DISTINCT FROM 'a', count(*) FROM spans GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT attributes['k'] IS DISTINCT FROM NULL, count(*) FROM spans GROUP BY 1 ORDER BY 1",
    "SELECT attributes['k'] > duration_ns, count(*) FROM spans GROUP BY 1 ORDER BY 1",
    "SELECT CASE WHEN attributes['k'] > 5 THEN 'big' WHEN attributes['k'] IS NULL THEN 'none' ELSE attributes['k'] END c, count(*) FROM spans GROUP BY c ORDER BY c",
    "SELECT attributes['k'] FROM spans WHERE attributes['k'] LIKE '%a%' OR attributes['other'] = 3 ORDER BY span_id",
    "SELECT *, attributes['k'] AS k FROM spans WHERE attributes['other'] < 4 ORDER BY span_id",
    "SELECT attributes, attributes['k'] FROM spans ORDER BY span_id LIMIT 9",
    "SELECT DISTINCT attributes['k'] FROM spans ORDER BY 1",
    "SELECT DISTINCT ON (attributes['k']) attributes['k'], span_id FROM spans ORDER BY attributes['k'], span_id",
    "SELECT k FROM (SELECT attributes['k'] AS k, span_id FROM spans) q WHERE k > 5 ORDER BY q.span_id",
    "SELECT k, n FROM (SELECT attributes['k'] AS k, count(*) AS n FROM spans GROUP BY 1) WHERE n > 1 ORDER BY k",
    "SELECT a['k'] FROM (SELECT attributes AS a, span_id FROM spans ORDER BY span_id LIMIT 30) ORDER BY span_id",
    "SELECT * FROM (SELECT attributes['k'] AS k FROM spans UNION ALL SELECT resource['k'] FROM spans) ORDER BY k",
    "SELECT a['k'], count(*) FROM (SELECT attributes AS a FROM spans UNION ALL SELECT resource FROM spans) GROUP BY 1 ORDER BY 1",
    "SELECT a.attributes['k'], b.attributes['k'], count(*) FROM spans a JOIN spans b ON a.trace_id = b.trace_id AND a.attributes['other'] = b.attributes['other'] GROUP BY 1, 2 ORDER BY 1, 2, 3",
    "SELECT count(*) FROM spans a JOIN spans b ON a.attributes['k'] = b.attributes['k'] WHERE a.attributes['other'] != b.attributes['other']",
    "SELECT t.trace_id, s.attributes['k'], s.attributes['k'] IS NULL, s.attributes['k'] IS DISTINCT FROM 7, s.attributes['k'] > 0 FROM traces t LEFT JOIN spans s ON s.trace_id = t.trace_id AND s.attributes['other'] = 9 ORDER BY 1, 2",
    "SELECT count(*) FROM traces t LEFT JOIN spans s ON s.trace_id = t.trace_id AND s.attributes['k'] = 7 WHERE s.attributes['k'] IS NULL",
    "SELECT count(*) FROM traces t LEFT JOIN spans s ON s.trace_id = t.trace_id AND s.attributes['k'] = 7 WHERE s.attributes['k'] IS NOT DISTINCT FROM 7",
    "SELECT l['k'], r['k'] FROM (SELECT a.attributes AS l, b.resource AS r, a.span_id FROM spans a JOIN spans b ON a.span_id = b.span_id) q ORDER BY q.span_id",
    "SELECT span_id, row_number() OVER (PARTITION BY attributes['k'] ORDER BY span_id), lag(attributes['k']) OVER (ORDER BY span_id) FROM spans ORDER BY span_id",
    "SELECT span_id FROM spans WHERE attributes['k'] IN (SELECT attributes['k'] FROM spans WHERE attributes['other'] = 1) ORDER BY span_id",
    "SELECT trace_id FROM traces t WHERE EXISTS (SELECT 1 FROM spans s WHERE s.trace_id = t.trace_id AND s.attributes['k'] = 'a') ORDER BY 1",
    "SELECT trace_id, (SELECT max(s.attributes['k']) FROM spans s WHERE s.trace_id = t.trace_id) FROM traces t ORDER BY 1",
    "SELECT span_id FROM spans WHERE attributes['k'] = (SELECT max(attributes['k']) FROM spans) ORDER BY 1",
    "WITH s AS (SELECT * FROM spans WHERE attributes['k'] > 0) SELECT x.attributes['k'], count(*) FROM s x JOIN s y ON x.span_id = y.span_id GROUP BY 1 ORDER BY 1",
    "SELECT count(*) FILTER (WHERE attributes['k'] > 4), count(*) FILTER (WHERE attributes['k'] = 'a') FROM spans",
    "SELECT attributes['k'] AS k FROM spans WHERE attributes['k'] IS NOT NULL EXCEPT SELECT resource['other'] FROM spans ORDER BY k",
    "SELECT span_name FROM spans GROUP BY span_name HAVING max(attributes['k']) > 'a' ORDER BY 1",
    "SELECT upper(attributes['k']) || '!', length(attributes['k']) FROM spans ORDER BY span_id",
    "SELECT CAST(attributes['k'] AS INT) a, attributes['k']::boolean b, TRY_CAST(attributes['k'] AS TIMESTAMP) c FROM spans ORDER BY span_id",
    "WITH RECURSIVE up AS (SELECT span_id, attributes['k'] AS k FROM spans WHERE attributes['other'] = 1 UNION ALL SELECT s.span_id, s.attributes['k'] FROM spans s JOIN up ON s.parent_span_id = up.span_id) SELECT k FROM up ORDER BY 1",
    "SELECT estimate_count(), attributes['k'] FROM spans GROUP BY 2 ORDER BY 2",
    "SELECT k FROM (SELECT attributes['k'] AS k, span_id FROM spans ORDER BY span_id LIMIT 20) WHERE k IS NOT NULL ORDER BY 1",
    "DESCRIBE spans",
    "SELECT column_name FROM information_schema.columns WHERE table_name = 'spans' ORDER BY 1",
];

#[tokio::test]
async fn every_shape_of_a_query_says_the_same() {
    let (memory, stored) = both(&[Int, Text, Float]).await;
    let mut wrong = Vec::new();
    for sql in SHAPES {
        compare(&mut wrong, &memory, &stored, sql).await;
    }
    assert!(wrong.is_empty(), "{} of {}\n{}", wrong.len(), SHAPES.len(), wrong.join("\n"));
}

#[tokio::test]
async fn columns_of_an_answer_are_named_as_without_promotion() {
    let (memory, stored) = both(&[Int, Text]).await;
    for sql in SHAPES {
        let [memory, stored] = [&memory, &stored].map(|engine| engine.sql(crate::SqlRequest::new(*sql)));
        let names = |schema: arrow::datatypes::SchemaRef| -> Vec<(String, arrow::datatypes::DataType)> {
            schema.fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect()
        };
        let (memory, stored) = (memory.await.unwrap(), stored.await.unwrap());
        assert_eq!(names(stored.schema()), names(memory.schema()), "{sql}");
    }
}

#[tokio::test]
async fn no_more_is_read_than_what_is_asked_for() {
    let (_, stored) = both(&[Int, Text]).await;
    for (sql, reads_all) in [
        ("SELECT attributes['k'] FROM spans", false),
        ("SELECT attributes['k'], count(*) FROM spans WHERE duration_ns > 3 GROUP BY 1", false),
        ("SELECT span_id FROM spans WHERE attributes['k'] > 3 ORDER BY attributes['k'] LIMIT 3", false),
        (
            "SELECT q.k FROM (SELECT attributes['k'] AS k, trace_id FROM spans) q JOIN traces t ON t.trace_id = q.trace_id WHERE k = 3",
            false,
        ),
        ("SELECT count(*) FROM spans a JOIN spans b ON a.attributes['k'] = b.attributes['k']", false),
        ("SELECT attributes FROM spans", true),
    ] {
        let plan = ask(&stored, &format!("EXPLAIN {sql}")).await.unwrap().join("\n");
        // Segments whose maps may have the key read them, but do not hand them on.
        let names = |start: &str| [",", "]"].iter().any(|end| plan.contains(&format!("{start}attributes{end}")));
        let scanned = plan.lines().any(|line| {
            let columns = line.split_once("TableScan: ").and_then(|(_, scan)| scan.split_once("projection=["));
            columns.is_some_and(|(_, columns)| {
                columns.split(']').next().unwrap_or_default().split(", ").any(|column| column == "attributes")
            })
        });
        assert_eq!((scanned, names(" as ")), (reads_all, reads_all), "{plan}");
    }
}
