//! What is in a corpus: what a store cannot do without, and what can be asked of it.

use std::collections::HashMap;

use anyhow::Context;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message;

pub type TraceId = [u8; 16];
/// Service and span name.
pub type Operation = (String, String);
/// How many spans have a value.
pub type Values = HashMap<String, u64>;

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Times {
    pub starts: Vec<u64>,
    pub durations: Vec<u64>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Trace {
    pub spans: u64,
    pub roots: u64,
    /// Of its spans.
    pub first_start: u64,
    pub last_start: u64,
}

#[derive(Debug, Default)]
pub struct Facts {
    pub spans: u64,
    pub traces: HashMap<TraceId, Trace>,
    pub operations: HashMap<Operation, Times>,
    /// Text attributes of spans.
    pub attributes: HashMap<String, Values>,
    pub last_end: u64,
}

impl Facts {
    pub fn of<'a>(requests: impl IntoIterator<Item = &'a [u8]>) -> anyhow::Result<Self> {
        let mut facts = Self::default();
        for body in requests {
            facts.add(ExportTraceServiceRequest::decode(body).context("not a request")?)?;
        }
        Ok(facts)
    }

    fn add(&mut self, request: ExportTraceServiceRequest) -> anyhow::Result<()> {
        for resource_spans in request.resource_spans {
            let resource = resource_spans.resource.map(|resource| resource.attributes).unwrap_or_default();
            let service = service_name(&resource);
            for span in resource_spans.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                let id = TraceId::try_from(span.trace_id.as_slice()).context("a trace id that has not 16 bytes")?;
                let start = span.start_time_unix_nano;
                self.spans += 1;
                self.last_end = self.last_end.max(span.end_time_unix_nano);
                let trace = self.traces.entry(id).or_insert(Trace {
                    spans: 0,
                    roots: 0,
                    first_start: start,
                    last_start: start,
                });
                trace.spans += 1;
                trace.roots += u64::from(span.parent_span_id.is_empty());
                trace.first_start = trace.first_start.min(start);
                trace.last_start = trace.last_start.max(start);
                let times = self.operations.entry((service.to_owned(), span.name)).or_default();
                times.starts.push(start);
                times.durations.push(span.end_time_unix_nano.saturating_sub(start));
                for attribute in span.attributes {
                    if let Some(Value::StringValue(value)) = attribute.value.and_then(|value| value.value) {
                        *self.attributes.entry(attribute.key).or_default().entry(value).or_default() += 1;
                    }
                }
            }
        }
        Ok(())
    }

    /// From the first start to the last end.
    pub fn period_nanos(&self) -> u64 {
        let first = self.traces.values().map(|trace| trace.first_start).min().unwrap_or_default();
        self.last_end.saturating_sub(first)
    }
}

pub fn service_name(resource: &[KeyValue]) -> &str {
    let value = resource.iter().find(|attribute| attribute.key == "service.name").and_then(|it| it.value.as_ref());
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(name)) => name,
        _ => "unknown_service",
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use opentelemetry_proto::tonic::common::v1::AnyValue;
    use opentelemetry_proto::tonic::resource::v1::Resource;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};

    use super::*;

    pub fn text(key: &str, value: &str) -> KeyValue {
        let value = Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) });
        KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
    }

    pub fn span(trace: u8, id: u8, parent: Option<u8>, times: (u64, u64)) -> Span {
        Span {
            trace_id: vec![trace; 16],
            span_id: vec![id; 8],
            parent_span_id: parent.map(|parent| vec![parent; 8]).unwrap_or_default(),
            name: "GET /".to_owned(),
            start_time_unix_nano: times.0,
            end_time_unix_nano: times.1,
            attributes: vec![text("http.route", "/")],
            ..Span::default()
        }
    }

    pub fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
        ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(Resource { attributes: vec![text("service.name", "shop")], ..Resource::default() }),
                scope_spans: vec![ScopeSpans { spans, ..ScopeSpans::default() }],
                ..ResourceSpans::default()
            }],
        }
    }

    #[test]
    fn spans_are_counted_by_trace_operation_and_value() {
        let first = request(vec![span(1, 1, None, (100, 190)), span(1, 2, Some(1), (120, 150))]).encode_to_vec();
        let second = request(vec![span(2, 3, None, (70, 95))]).encode_to_vec();
        let facts = Facts::of([first.as_slice(), second.as_slice()]).unwrap();
        assert_eq!((facts.spans, facts.traces.len(), facts.period_nanos()), (3, 2, 120));
        assert_eq!(facts.traces[&[1; 16]], Trace { spans: 2, roots: 1, first_start: 100, last_start: 120 });
        let times = &facts.operations[&("shop".to_owned(), "GET /".to_owned())];
        assert_eq!(*times, Times { starts: vec![100, 120, 70], durations: vec![90, 30, 25] });
        assert_eq!(facts.attributes["http.route"]["/"], 3);
    }

    #[test]
    fn without_a_name_a_service_is_unknown() {
        assert_eq!(service_name(&[text("host.name", "a")]), "unknown_service");
        assert_eq!(service_name(&[text("host.name", "a"), text("service.name", "b")]), "b");
    }
}
