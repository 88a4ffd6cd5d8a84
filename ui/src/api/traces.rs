//! One trace and one span.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, header};
use query::span::SpanAnswer;
use query::trace::{SpanSummary, TraceAnswer, TraceFacts};
use query::{SpanId, Stats, TraceId};
use serde_json::{Map, Value, json};

use super::body::wants_arrow;
use super::decisions;
use super::encode::ipc;
use super::error::ApiError;
use super::{ARROW, Server};

/// Where the Arrow form has the trace's facts.
const FACTS_KEY: &str = "spanhouse.trace";

pub(super) async fn trace(
    State(server): State<Server>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let answer = server.engine.trace(trace_id(&id)?).await?;
    let counts = [
        ("x-spanhouse-span-count", answer.facts.span_count.to_string()),
        ("x-spanhouse-complete", answer.facts.complete.to_string()),
    ];
    if wants_arrow(&headers) {
        return Ok((counts, [(header::CONTENT_TYPE, ARROW)], columns(&answer)?).into_response());
    }
    let spans: Vec<Value> = answer.spans()?.iter().map(summary).map(Value::Object).collect();
    let mut body = body(&answer)?;
    body.insert("spans".to_owned(), Value::Array(spans));
    Ok((counts, Json(body)).into_response())
}

fn columns(answer: &TraceAnswer) -> Result<bytes::Bytes, ApiError> {
    let batch = answer.columns()?;
    let schema = batch.schema().as_ref().clone();
    let metadata = [(FACTS_KEY.to_owned(), Value::Object(body(answer)?).to_string())].into();
    ipc::whole(&batch.with_schema(schema.with_metadata(metadata).into())?)
}

/// What is said of a trace beside its spans.
fn body(answer: &TraceAnswer) -> Result<Map<String, Value>, ApiError> {
    let mut body = facts(&answer.facts, answer.stats, &answer.sql);
    body.extend(decisions::of_trace(answer)?);
    let missing = answer.missing_spans();
    body.insert("missing_spans".to_owned(), json!(missing));
    body.insert("exact".to_owned(), json!(missing == Some(0)));
    Ok(body)
}

pub(super) async fn span(
    State(server): State<Server>,
    Path((trace, span)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let span: SpanId = span.parse().map_err(|error| ApiError::bad_query(format!("{error}")))?;
    let answer = server.engine.span(trace_id(&trace)?, span).await?;
    Ok(Json(detail(&answer)))
}

pub(super) fn trace_id(text: &str) -> Result<TraceId, ApiError> {
    text.parse().map_err(|error| ApiError::bad_query(format!("{error}")))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

fn facts(facts: &TraceFacts, stats: Stats, sql: &str) -> Map<String, Value> {
    object(json!({
        "trace_id": facts.trace_id.to_string(),
        "start": facts.start.0.to_string(),
        "duration_ns": facts.duration_ns,
        "span_count": facts.span_count,
        "error_count": facts.error_count,
        "services": facts.services,
        "root_service": facts.root_service,
        "root_name": facts.root_name,
        "complete": facts.complete,
        "pending": facts.pending,
        "missing_parents": facts.missing_parents,
        "truncated": facts.truncated,
        "keep_reason": facts.keep_reason,
        "adjusted_count": facts.adjusted_count,
        "stats": stats,
        "sql": sql,
    }))
}

fn summary(span: &SpanSummary) -> Map<String, Value> {
    object(json!({
        "span_id": span.span_id,
        "parent_span_id": span.parent_span_id,
        "service_name": span.service_name,
        "span_name": span.span_name,
        "kind": span.kind,
        "status_code": span.status_code,
        "status_message": span.status_message,
        "exception_type": span.exception_type,
        "start": span.start.0.to_string(),
        "duration_ns": span.duration_ns,
        "depth": span.depth,
        "self_ns": span.self_ns,
        "is_root": span.is_root,
        "is_entry": span.is_entry,
        "has_events": span.event_count,
        "has_links": span.link_count,
    }))
}

fn detail(answer: &SpanAnswer) -> Value {
    // The engine made the objects itself.
    let attributes = |text: &str| serde_json::from_str::<Value>(text).unwrap_or(Value::Null);
    let events: Vec<Value> = answer
        .events
        .iter()
        .map(|event| {
            json!({
                "time": event.time.0.to_string(),
                "name": event.name,
                "attributes": attributes(&event.attributes),
            })
        })
        .collect();
    let links: Vec<Value> = answer
        .links
        .iter()
        .map(|link| {
            json!({
                "trace_id": link.trace_id,
                "span_id": link.span_id,
                "attributes": attributes(&link.attributes),
            })
        })
        .collect();
    json!({
        "span": summary(&answer.span),
        "attributes": attributes(&answer.attributes),
        "resource": attributes(&answer.resource),
        "scope": {"name": answer.scope_name, "version": answer.scope_version},
        "trace_state": answer.trace_state,
        "flags": answer.flags,
        "events": events,
        "links": links,
        "stats": answer.stats,
        "exact": true,
        "sql": answer.sql,
    })
}
