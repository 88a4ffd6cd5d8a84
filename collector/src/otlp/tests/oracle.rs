//! What prost's reading of a request ought to become, by rules written a second time and without regard to speed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use serde_json::{Value as Json, json};

use super::NOW;
use super::rows::{Attribute, Attributes, Event, Link, Row};

const DAY_NANOS: u64 = 86_400_000_000_000;

fn json_of(value: &AnyValue) -> Json {
    match &value.value {
        None | Some(Value::StringValueStrindex(_)) => Json::Null,
        Some(Value::StringValue(text)) => json!(text),
        Some(Value::BoolValue(value)) => json!(value),
        Some(Value::IntValue(value)) => json!(value),
        Some(Value::DoubleValue(value)) if value.is_nan() => json!("NaN"),
        Some(Value::DoubleValue(value)) if value.is_infinite() => {
            json!(if *value > 0.0 { "Infinity" } else { "-Infinity" })
        }
        // Through text, because the rows come from text.
        Some(Value::DoubleValue(value)) => serde_json::from_str(&format!("{value:?}")).unwrap(),
        Some(Value::ArrayValue(list)) => list.values.iter().map(json_of).collect(),
        Some(Value::KvlistValue(list)) => {
            let pairs = list.values.iter().map(|item| {
                let value = item.value.as_ref().map_or(Json::Null, json_of);
                (item.key.clone(), value)
            });
            // A later key replaces an earlier one.
            Json::Object(pairs.collect())
        }
        Some(Value::BytesValue(bytes)) => json!({ "bytes": STANDARD.encode(bytes) }),
    }
}

fn attribute(value: Option<&AnyValue>) -> Attribute {
    let Some(value) = value else { return Attribute::Null };
    match &value.value {
        None | Some(Value::StringValueStrindex(_)) => Attribute::Null,
        Some(Value::StringValue(text)) => Attribute::Text(text.clone()),
        Some(Value::BoolValue(value)) => Attribute::Bool(*value),
        Some(Value::IntValue(value)) => Attribute::Int(*value),
        Some(Value::DoubleValue(value)) => Attribute::Float(value.to_bits()),
        Some(_) => Attribute::Json(json_of(value)),
    }
}

fn attributes(items: &[KeyValue], dropped: u32) -> Attributes {
    let mut all: Attributes = items
        .iter()
        .filter(|item| !item.key.is_empty())
        .map(|item| (item.key.clone(), attribute(item.value.as_ref())))
        .collect();
    if dropped > 0 {
        all.insert("otel.dropped_attributes_count".to_owned(), Attribute::Int(dropped.into()));
    }
    all
}

fn resource(spans: &ResourceSpans) -> Attributes {
    let (items, dropped) = match &spans.resource {
        Some(resource) => (&resource.attributes[..], resource.dropped_attributes_count),
        None => (&[][..], 0),
    };
    let mut all = attributes(items, dropped);
    if !spans.schema_url.is_empty() {
        all.insert("otel.schema_url".to_owned(), Attribute::Text(spans.schema_url.clone()));
    }
    all
}

fn scope(spans: &ScopeSpans, scope: &InstrumentationScope) -> Attributes {
    let prefixed = |(key, value)| (format!("otel.scope.{key}"), value);
    let mut all: Attributes = attributes(&scope.attributes, 0).into_iter().map(prefixed).collect();
    if scope.dropped_attributes_count > 0 {
        let count = Attribute::Int(scope.dropped_attributes_count.into());
        all.insert("otel.scope.dropped_attributes_count".to_owned(), count);
    }
    if !spans.schema_url.is_empty() {
        all.insert("otel.schema_url".to_owned(), Attribute::Text(spans.schema_url.clone()));
    }
    all
}

fn is_id(bytes: &[u8], length: usize) -> bool {
    bytes.len() == length && bytes.iter().any(|byte| *byte != 0)
}

fn non_empty(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

fn word(number: i32, words: &[&str]) -> String {
    let known = usize::try_from(number).ok().and_then(|number| words.get(number));
    known.map_or_else(|| number.to_string(), |word| (*word).to_owned())
}

fn row(span: &Span, resource: &Attributes, scope: &InstrumentationScope, scope_attributes: &Attributes) -> Option<Row> {
    if !is_id(&span.trace_id, 16) || !is_id(&span.span_id, 8) {
        return None;
    }
    let (start, end) = match (span.start_time_unix_nano, span.end_time_unix_nano) {
        (0, 0) => return None,
        (0, end) => (end, end),
        (start, 0) => (start, start),
        (start, end) => (start, end),
    };
    if start.max(end) > NOW + DAY_NANOS {
        return None;
    }
    let is_good_link = |trace_id: &[u8], span_id: &[u8]| is_id(trace_id, 16) && is_id(span_id, 8);
    let links: Vec<Link> = span
        .links
        .iter()
        .filter(|link| is_good_link(&link.trace_id, &link.span_id))
        .map(|link| Link {
            trace_id: link.trace_id.clone(),
            span_id: link.span_id.clone(),
            trace_state: non_empty(&link.trace_state),
            flags: link.flags.into(),
            attributes: attributes(&link.attributes, link.dropped_attributes_count),
        })
        .collect();
    let bad_links = (span.links.len() - links.len()) as u32;
    let events = span.events.iter().map(|event| Event {
        time_unix_nanos: i64::try_from(event.time_unix_nano).unwrap_or(i64::MAX),
        name: event.name.clone(),
        attributes: attributes(&event.attributes, event.dropped_attributes_count),
    });
    let mut own = attributes(&span.attributes, 0);
    own.extend(scope_attributes.clone());
    for (key, count) in [
        ("otel.dropped_attributes_count", span.dropped_attributes_count),
        ("otel.dropped_events_count", span.dropped_events_count),
        ("otel.dropped_links_count", span.dropped_links_count.saturating_add(bad_links)),
    ] {
        if count > 0 {
            own.insert(key.to_owned(), Attribute::Int(count.into()));
        }
    }
    let service_name = match resource.get("service.name") {
        Some(Attribute::Text(name)) if !name.is_empty() => name.clone(),
        Some(Attribute::Int(number)) => number.to_string(),
        Some(Attribute::Float(bits)) => f64::from_bits(*bits).to_string(),
        Some(Attribute::Bool(value)) => value.to_string(),
        _ => "unknown_service".to_owned(),
    };
    let status = span.status.clone().unwrap_or_default();
    Some(Row {
        trace_id: span.trace_id.clone(),
        span_id: span.span_id.clone(),
        parent_span_id: is_id(&span.parent_span_id, 8).then(|| span.parent_span_id.clone()),
        service_name,
        span_name: span.name.clone(),
        kind: word(span.kind, &["unspecified", "internal", "server", "client", "producer", "consumer"]),
        status_code: word(status.code, &["unset", "ok", "error"]),
        status_message: non_empty(&status.message),
        start_unix_nanos: start as i64,
        duration_nanos: end.saturating_sub(start) as i64,
        attributes: own,
        resource: resource.clone(),
        events: events.collect(),
        links,
        scope_name: non_empty(&scope.name),
        scope_version: non_empty(&scope.version),
        trace_state: non_empty(&span.trace_state),
        flags: span.flags.into(),
    })
}

/// The rows to store, and how many spans are to be rejected.
pub fn outcome(request: &ExportTraceServiceRequest) -> (Vec<Row>, u64) {
    let (mut rows, mut rejected) = (Vec::new(), 0);
    for resource_spans in &request.resource_spans {
        let resource = resource(resource_spans);
        for scope_spans in &resource_spans.scope_spans {
            let found = scope_spans.scope.clone().unwrap_or_default();
            let scope_attributes = scope(scope_spans, &found);
            for span in &scope_spans.spans {
                match row(span, &resource, &found, &scope_attributes) {
                    Some(row) => rows.push(row),
                    None => rejected += 1,
                }
            }
        }
    }
    (rows, rejected)
}
