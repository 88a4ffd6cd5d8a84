//! What queries on attributes cost where these have columns of their own, and where they are in maps:
//! `cargo bench --package query --features testing --bench promoted` (SPANS=1000000 RUNS=30
//! ROW_GROUP=1048576 ONLY=newest).
//!
//! One segment each way, in memory, with twelve attributes a span of which ten are promoted.

mod measure;

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringViewArray};
use arrow::datatypes::Schema;
use query::Engine;
use storage::model::{AttributesBuilder, SpanBatchBuilder, SpanFields, SpanId, TraceId, UnixNanos};
use storage::rows::SpanRows;
use storage::schema::promoted::{Promoted, PromotedType, Scope};

use self::measure::{Error, cost, random};

enum Value {
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
}

/// The attributes of a span: key, value, whether it is promoted. A few lack here and there.
fn attributes(span: u64) -> Vec<(&'static str, Value, bool)> {
    let pick = |of: u64, count: u64| random(span, of) % count;
    let status = [200, 200, 200, 200, 200, 201, 204, 304, 404, 500][pick(1, 10) as usize];
    let mut all = vec![
        ("http.route", Value::Text(format!("/api/v1/resource{}/{{id}}", pick(2, 50))), true),
        (
            "http.request.method",
            Value::Text(["GET", "GET", "GET", "POST", "PUT"][pick(3, 5) as usize].to_owned()),
            true,
        ),
        ("http.response.status_code", Value::Int(status), true),
        ("user.id", Value::Text(format!("user-{:08}", pick(4, 200_000))), true),
        ("server.address", Value::Text(format!("10.0.{}.{}", pick(5, 4), pick(6, 200))), true),
        ("server.port", Value::Int(8_080 + pick(7, 4) as i64), true),
        ("network.protocol.version", Value::Text("1.1".to_owned()), true),
        ("thread.id", Value::Int(pick(8, 64) as i64), true),
        ("cache.hit", Value::Bool(pick(9, 3) == 0), true),
        ("queue.ratio", Value::Float(pick(10, 1_000) as f64 / 1_000.0), true),
        ("url.path", Value::Text(format!("/api/v1/resource/{:016x}", random(span, 11))), false),
        ("note", Value::Text(format!("n{}", pick(12, 1_000))), false),
    ];
    all.retain(|(key, ..)| *key != "cache.hit" || pick(13, 4) > 0);
    all
}

fn promoted() -> Vec<Promoted> {
    let of = |value_type, key: &str| Promoted { scope: Scope::Attributes, value_type, key: key.into() };
    vec![
        of(PromotedType::Text, "http.route"),
        of(PromotedType::Text, "http.request.method"),
        of(PromotedType::Int, "http.response.status_code"),
        of(PromotedType::Text, "user.id"),
        of(PromotedType::Text, "server.address"),
        of(PromotedType::Int, "server.port"),
        of(PromotedType::Text, "network.protocol.version"),
        of(PromotedType::Int, "thread.id"),
        of(PromotedType::Bool, "cache.hit"),
        of(PromotedType::Float, "queue.ratio"),
    ]
}

fn push(to: &mut AttributesBuilder<'_>, key: &str, value: &Value) {
    match value {
        Value::Text(text) => to.push_text(key, text),
        Value::Int(int) => to.push_int(key, *int),
        Value::Float(float) => to.push_float(key, *float),
        Value::Bool(bool) => to.push_bool(key, *bool),
    }
}

/// `count` spans of `all` from number `first` on, sorted as segments are: twenty services with five operations each.
fn batch(first: u64, count: u64, all: u64, columns: &[Promoted]) -> Result<RecordBatch, Error> {
    let mut builder = SpanBatchBuilder::default();
    for span in first..first + count {
        let operation = span * 100 / all;
        let resource = builder.resource(|to| {
            to.push_text("service.version", "1.4.2");
            to.push_text("k8s.pod.name", &format!("pod-{operation}-{}", random(span, 20) % 8));
            to.push_text("telemetry.sdk.language", "go");
        });
        let origin = builder.origin(resource, &format!("service-{:02}", operation / 5), Some("bench"), None);
        for (key, value, is_promoted) in attributes(span) {
            if columns.is_empty() || !is_promoted {
                push(&mut builder.attributes(), key, &value);
            }
        }
        let mut trace = [0; 16];
        trace[..8].copy_from_slice(&random(span, 30).to_be_bytes());
        trace[8..].copy_from_slice(&(span + 1).to_be_bytes());
        builder.append(&SpanFields {
            trace_id: TraceId::from_bytes(trace)?,
            span_id: SpanId::from_bytes((span + 1).to_be_bytes())?,
            parent_span_id: None,
            origin,
            span_name: format!("operation-{}", operation % 5).as_str().into(),
            kind: "server",
            status_code: if random(span, 31).is_multiple_of(100) { "error" } else { "unset" },
            status_message: None,
            start: UnixNanos(
                1_767_225_600_000_000_000 + (span % (all / 100)) as i64 * 3_600_000_000_000 / (all / 100) as i64,
            ),
            duration_nanos: 1_000 + (random(span, 32) % 10_000_000) as i64,
            trace_state: None,
            flags: 1,
        });
    }
    let rest = SpanRows::underived(builder.finish()?).record_batch()?;
    let mut fields: Vec<_> = rest.schema().fields().iter().cloned().collect();
    let mut arrays = rest.columns().to_vec();
    for column in columns {
        fields.push(Arc::new(column.field()));
        arrays.push(values(column, first..first + count));
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}

fn values(column: &Promoted, spans: std::ops::Range<u64>) -> ArrayRef {
    let values =
        spans.map(|span| attributes(span).into_iter().find(|(key, ..)| *key == &*column.key).map(|found| found.1));
    match column.value_type {
        PromotedType::Text => Arc::new(StringViewArray::from_iter(values.map(|value| match value {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }))),
        PromotedType::Int => Arc::new(Int64Array::from_iter(values.map(|value| match value {
            Some(Value::Int(int)) => Some(int),
            _ => None,
        }))),
        PromotedType::Float => Arc::new(Float64Array::from_iter(values.map(|value| match value {
            Some(Value::Float(float)) => Some(float),
            _ => None,
        }))),
        PromotedType::Bool => Arc::new(BooleanArray::from_iter(values.map(|value| match value {
            Some(Value::Bool(bool)) => Some(bool),
            _ => None,
        }))),
    }
}

const CHUNK: u64 = 50_000;

async fn engine(spans: u64, row_group: u64, columns: &[Promoted]) -> Result<(Engine, u64), Error> {
    let first = batch(0, 1, spans, columns)?.schema();
    let batches = (0..spans).step_by(CHUNK as usize).map(|from| batch(from, CHUNK.min(spans - from), spans, columns));
    measure::engine(first, batches, spans, row_group, columns).await
}

const NEWEST: &str = "SELECT trace_id, span_id, start_time, duration_ns, service_name, span_name FROM spans WHERE";

fn main() -> Result<(), Error> {
    let setting = |name: &str, default: u64| std::env::var(name).ok().map_or(Ok(default), |text| text.parse());
    let (spans, runs) = (setting("SPANS", 1_000_000)?, setting("RUNS", 30)? as usize);
    let row_group = setting("ROW_GROUP", 1 << 20)?;
    let only = std::env::var("ONLY").unwrap_or_default();
    let user = format!("user-{:08}", random(spans / 3, 4) % 200_000);
    let newest = |condition: &str| format!("{NEWEST} {condition} ORDER BY start_time DESC LIMIT 20");
    let queries = [
        ("newest 20, frequent text", newest("attributes['http.route'] = '/api/v1/resource7/{id}'")),
        ("newest 20, rare text", newest(&format!("attributes['user.id'] = '{user}'"))),
        ("newest 20, absent text", newest("attributes['http.route'] = '/nowhere'")),
        ("newest 20, number", newest("attributes['http.response.status_code'] >= 500")),
        ("newest 20, number as text", newest("attributes['http.response.status_code'] = '404'")),
        ("newest 20, contains", newest("attributes['user.id'] ILIKE '%0777%'")),
        ("newest 20, not promoted", newest("attributes['note'] = 'n7'")),
        (
            "newest 20 whole, frequent",
            "SELECT * FROM spans WHERE attributes['http.route'] = '/api/v1/resource7/{id}' ORDER BY start_time DESC LIMIT 20".to_owned(),
        ),
        ("count, rare text", format!("SELECT count(*) FROM spans WHERE attributes['user.id'] = '{user}'")),
        ("any 1,000 whole", "SELECT * FROM spans LIMIT 1000".to_owned()),
        ("newest 1,000 whole", "SELECT * FROM spans ORDER BY start_time DESC LIMIT 1000".to_owned()),
        ("all attributes", "SELECT count(attributes) FROM (SELECT attributes FROM spans LIMIT 100000)".to_owned()),
        ("groups of text", "SELECT attributes['http.route'], count(*) FROM spans GROUP BY 1".to_owned()),
        ("groups of a number", "SELECT attributes['http.response.status_code'], count(*) FROM spans GROUP BY 1".to_owned()),
        ("mean of a number", "SELECT avg(attributes['queue.ratio']) FROM spans".to_owned()),
        ("groups of another", "SELECT attributes['note'], count(*) FROM spans GROUP BY 1".to_owned()),
        ("count", "SELECT count(*) FROM spans".to_owned()),
    ];
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let (maps, maps_bytes) = engine(spans, row_group, &[]).await?;
        let (columns, columns_bytes) = engine(spans, row_group, &promoted()).await?;
        let per_span = |bytes: u64| bytes as f64 / spans as f64;
        println!(
            "{spans} spans: {:.1} bytes a span in maps, {:.1} in columns",
            per_span(maps_bytes),
            per_span(columns_bytes)
        );
        println!("{:28} {:>30} {:>30} {:>14}", "", "maps: p50 ms, CPU ms, kB", "columns", "ratio of CPU");
        for (name, sql) in queries.into_iter().filter(|(name, _)| name.starts_with(&only)) {
            let (map, column) = (cost(&maps, &sql, runs.div_ceil(3)).await?, cost(&columns, &sql, runs).await?);
            assert_eq!(map.rows, column.rows, "{sql}");
            println!(
                "{name:28} {:10.2} {:9.1} {:9.0} {:10.2} {:9.1} {:9.0} {:14.1}",
                map.p50_ms,
                map.cpu_ms,
                map.bytes as f64 / 1e3,
                column.p50_ms,
                column.cpu_ms,
                column.bytes as f64 / 1e3,
                map.cpu_ms / column.cpu_ms.max(0.05),
            );
        }
        Ok(())
    })
}
