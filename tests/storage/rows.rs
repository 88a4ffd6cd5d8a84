//! The corpus as rows of ClickHouse's `otel_traces`, a JSON object a line, as the OpenTelemetry exporter would insert
//! them.

use std::io::Write;

use anyhow::Context;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::{Map, Value, json};

use crate::facts::service_name;
use crate::questions::hex;

const KINDS: [&str; 6] = ["Unspecified", "Internal", "Server", "Client", "Producer", "Consumer"];
const STATUSES: [&str; 3] = ["Unset", "Ok", "Error"];
const SECOND_NANOS: u64 = 1_000_000_000;

pub fn write(request: &[u8], out: &mut impl Write) -> anyhow::Result<()> {
    let request = ExportTraceServiceRequest::decode(request).context("not a request")?;
    for resource_spans in request.resource_spans {
        let resource = resource_spans.resource.map(|resource| resource.attributes).unwrap_or_default();
        let (service, attributes) = (service_name(&resource), texts(&resource).to_string());
        for scope_spans in &resource_spans.scope_spans {
            let scope = scope_spans.scope.clone().unwrap_or_default();
            for span in &scope_spans.spans {
                // The trace id first, and the resource, which all rows of a request share, not built anew for each.
                let rest = row(span, service, &scope).to_string();
                let rest = rest.strip_prefix('{').context("a row that is no object")?;
                let id = hex(&span.trace_id);
                writeln!(out, "{{\"TraceId\":\"{id}\",\"ResourceAttributes\":{attributes},{rest}")?;
            }
        }
    }
    Ok(())
}

fn row(span: &Span, service: &str, scope: &InstrumentationScope) -> Value {
    let status = span.status.clone().unwrap_or_default();
    let (events, links) = (&span.events, &span.links);
    json!({
        "Timestamp": time(span.start_time_unix_nano),
        "SpanId": hex(&span.span_id),
        "ParentSpanId": hex(&span.parent_span_id),
        "TraceState": span.trace_state,
        "SpanName": span.name,
        "SpanKind": word(&KINDS, span.kind),
        "ServiceName": service,
        "ScopeName": scope.name,
        "ScopeVersion": scope.version,
        "SpanAttributes": texts(&span.attributes),
        "Duration": span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano),
        "StatusCode": word(&STATUSES, status.code),
        "StatusMessage": status.message,
        "Events.Timestamp": events.iter().map(|event| time(event.time_unix_nano)).collect::<Vec<_>>(),
        "Events.Name": events.iter().map(|event| event.name.as_str()).collect::<Vec<_>>(),
        "Events.Attributes": events.iter().map(|event| texts(&event.attributes)).collect::<Vec<_>>(),
        "Links.TraceId": links.iter().map(|link| hex(&link.trace_id)).collect::<Vec<_>>(),
        "Links.SpanId": links.iter().map(|link| hex(&link.span_id)).collect::<Vec<_>>(),
        "Links.TraceState": links.iter().map(|link| link.trace_state.as_str()).collect::<Vec<_>>(),
        "Links.Attributes": links.iter().map(|link| texts(&link.attributes)).collect::<Vec<_>>(),
    })
}

/// Seconds with nine digits, which sort as text and which ClickHouse takes as `DateTime64(9)`.
fn time(nanos: u64) -> String {
    format!("{}.{:09}", nanos / SECOND_NANOS, nanos % SECOND_NANOS)
}

fn word(words: &[&'static str], number: i32) -> &'static str {
    usize::try_from(number).ok().and_then(|number| words.get(number)).or(words.first()).copied().unwrap_or_default()
}

/// The exporter makes text of every value.
fn texts(attributes: &[KeyValue]) -> Value {
    let text = |attribute: &KeyValue| {
        let value = attribute.value.as_ref().and_then(|value| value.value.as_ref());
        let text = match plain(value) {
            Value::String(text) => text,
            Value::Null => String::new(),
            other => other.to_string(),
        };
        (attribute.key.clone(), Value::String(text))
    };
    Value::Object(attributes.iter().map(text).collect())
}

fn plain(value: Option<&AnyValue>) -> Value {
    match value {
        Some(AnyValue::StringValue(text)) => json!(text),
        Some(AnyValue::BoolValue(bool)) => json!(bool),
        Some(AnyValue::IntValue(number)) => json!(number),
        Some(AnyValue::DoubleValue(number)) => json!(number),
        Some(AnyValue::BytesValue(bytes)) => json!(hex(bytes)),
        Some(AnyValue::ArrayValue(array)) => array.values.iter().map(|value| plain(value.value.as_ref())).collect(),
        Some(AnyValue::KvlistValue(list)) => {
            let values = list
                .values
                .iter()
                .map(|pair| (pair.key.clone(), plain(pair.value.as_ref().and_then(|value| value.value.as_ref()))));
            Value::Object(values.collect::<Map<_, _>>())
        }
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::AnyValue as Any;

    use super::*;
    use crate::facts::tests::{request, span};

    #[test]
    fn a_span_is_a_row() {
        let mut child = span(1, 2, Some(1), (1_700_000_000_000_000_007, 1_700_000_000_000_000_107));
        child.kind = 2;
        let number = Some(Any { value: Some(AnyValue::IntValue(200)) });
        child.attributes.push(KeyValue { key: "code".to_owned(), value: number, ..KeyValue::default() });
        let mut lines = Vec::new();
        write(&request(vec![span(1, 1, None, (1, 2)), child]).encode_to_vec(), &mut lines).unwrap();
        let lines = String::from_utf8(lines).unwrap();
        let row: Value = serde_json::from_str(lines.lines().nth(1).unwrap()).unwrap();
        assert!(lines.starts_with(&format!("{{\"TraceId\":\"{}\"", "01".repeat(16))), "{lines}");
        assert_eq!(row["Timestamp"], "1700000000.000000007");
        assert_eq!(
            (&row["Duration"], &row["SpanKind"], &row["StatusCode"]),
            (&json!(100), &json!("Server"), &json!("Unset"))
        );
        assert_eq!(row["SpanAttributes"], json!({"http.route": "/", "code": "200"}));
        assert_eq!(row["ResourceAttributes"]["service.name"], "shop");
        assert_eq!((&row["ParentSpanId"], &row["Events.Name"]), (&json!("01".repeat(8)), &json!([])));
    }
}
