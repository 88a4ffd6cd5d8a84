//! OTLP/JSON of the messages that prost knows, written on its own so that it can be an oracle.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use serde_json::{Value as Json, json};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn value(value: &AnyValue) -> Json {
    match &value.value {
        None => json!({}),
        Some(Value::StringValue(text)) => json!({ "stringValue": text }),
        Some(Value::BoolValue(value)) => json!({ "boolValue": value }),
        Some(Value::IntValue(value)) => json!({ "intValue": value.to_string() }),
        Some(Value::DoubleValue(value)) if value.is_nan() => json!({ "doubleValue": "NaN" }),
        Some(Value::DoubleValue(value)) if *value == f64::INFINITY => json!({ "doubleValue": "Infinity" }),
        Some(Value::DoubleValue(value)) if *value == f64::NEG_INFINITY => json!({ "doubleValue": "-Infinity" }),
        Some(Value::DoubleValue(value)) => json!({ "doubleValue": value }),
        Some(Value::ArrayValue(list)) => {
            json!({ "arrayValue": { "values": list.values.iter().map(self::value).collect::<Vec<_>>() } })
        }
        Some(Value::KvlistValue(list)) => json!({ "kvlistValue": { "values": key_values(&list.values) } }),
        Some(Value::BytesValue(bytes)) => json!({ "bytesValue": STANDARD.encode(bytes) }),
        Some(Value::StringValueStrindex(index)) => json!({ "stringValueStrindex": index }),
    }
}

fn key_values(items: &[KeyValue]) -> Json {
    let item = |item: &KeyValue| {
        let mut json = json!({ "key": item.key });
        if let Some(found) = &item.value {
            json["value"] = value(found);
        }
        if item.key_strindex != 0 {
            json["keyStrindex"] = json!(item.key_strindex);
        }
        json
    };
    items.iter().map(item).collect()
}

fn resource(resource: &Resource) -> Json {
    json!({
        "attributes": key_values(&resource.attributes),
        "droppedAttributesCount": resource.dropped_attributes_count,
    })
}

fn scope(scope: &InstrumentationScope) -> Json {
    json!({
        "name": scope.name,
        "version": scope.version,
        "attributes": key_values(&scope.attributes),
        "droppedAttributesCount": scope.dropped_attributes_count,
    })
}

fn span(span: &Span) -> Json {
    let events: Json = span
        .events
        .iter()
        .map(|event| {
            json!({
                "timeUnixNano": event.time_unix_nano.to_string(),
                "name": event.name,
                "attributes": key_values(&event.attributes),
                "droppedAttributesCount": event.dropped_attributes_count,
            })
        })
        .collect();
    let links: Json = span
        .links
        .iter()
        .map(|link| {
            json!({
                "traceId": hex(&link.trace_id),
                "spanId": hex(&link.span_id),
                "traceState": link.trace_state,
                "attributes": key_values(&link.attributes),
                "droppedAttributesCount": link.dropped_attributes_count,
                "flags": link.flags,
            })
        })
        .collect();
    let mut json = json!({
        "traceId": hex(&span.trace_id),
        "spanId": hex(&span.span_id),
        "parentSpanId": hex(&span.parent_span_id),
        "traceState": span.trace_state,
        "flags": span.flags,
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": span.start_time_unix_nano.to_string(),
        "endTimeUnixNano": span.end_time_unix_nano.to_string(),
        "attributes": key_values(&span.attributes),
        "droppedAttributesCount": span.dropped_attributes_count,
        "events": events,
        "droppedEventsCount": span.dropped_events_count,
        "links": links,
        "droppedLinksCount": span.dropped_links_count,
    });
    if let Some(status) = &span.status {
        json["status"] = json!({ "message": status.message, "code": status.code });
    }
    json
}

fn scope_spans(spans: &ScopeSpans) -> Json {
    let mut json = json!({ "schemaUrl": spans.schema_url, "spans": spans.spans.iter().map(span).collect::<Vec<_>>() });
    if let Some(found) = &spans.scope {
        json["scope"] = scope(found);
    }
    json
}

fn resource_spans(spans: &ResourceSpans) -> Json {
    let scopes: Vec<Json> = spans.scope_spans.iter().map(scope_spans).collect();
    let mut json = json!({ "schemaUrl": spans.schema_url, "scopeSpans": scopes });
    if let Some(found) = &spans.resource {
        json["resource"] = resource(found);
    }
    json
}

pub fn of(request: &ExportTraceServiceRequest) -> Vec<u8> {
    let spans: Vec<Json> = request.resource_spans.iter().map(resource_spans).collect();
    json!({ "resourceSpans": spans }).to_string().into_bytes()
}
