//! One batch of one pod as an OTLP request.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as OtlpSpan, Status as OtlpStatus, span};

use crate::shop::{Attribute, Event, InstanceId, Kind, Link, SCHEMA_URL, Scope, Span, Status, Value, World};

/// `SpanFlags`: sampled, and the parent's remoteness is known.
const FLAGS: u32 = 0x101;
const FLAG_PARENT_IS_REMOTE: u32 = 0x200;

pub(super) fn request(world: &World, instance: InstanceId, spans: Vec<Span>) -> ExportTraceServiceRequest {
    let mut scopes: Vec<(&'static Scope, ScopeSpans)> = Vec::new();
    for span in spans {
        let scope = span.scope;
        let span = otlp_span(span);
        match scopes.iter_mut().find(|(seen, _)| *seen == scope) {
            Some((_, scope_spans)) => scope_spans.spans.push(span),
            None => scopes.push((
                scope,
                ScopeSpans {
                    scope: Some(InstrumentationScope {
                        name: scope.name.to_owned(),
                        version: scope.version.to_owned(),
                        ..Default::default()
                    }),
                    spans: vec![span],
                    schema_url: SCHEMA_URL.to_owned(),
                },
            )),
        }
    }
    let attributes = world.instance(instance).map(|instance| instance.resource.clone()).unwrap_or_default();
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource { attributes: key_values(attributes), ..Default::default() }),
            scope_spans: scopes.into_iter().map(|(_, scope_spans)| scope_spans).collect(),
            schema_url: SCHEMA_URL.to_owned(),
        }],
    }
}

fn otlp_span(span: Span) -> OtlpSpan {
    let remote = if span.parent_is_remote { FLAG_PARENT_IS_REMOTE } else { 0 };
    OtlpSpan {
        trace_id: span.trace_id.to_vec(),
        span_id: span.span_id.to_vec(),
        parent_span_id: span.parent_span_id.map(|parent| parent.to_vec()).unwrap_or_default(),
        flags: FLAGS | remote,
        name: span.name.into_owned(),
        kind: match span.kind {
            Kind::Internal => span::SpanKind::Internal,
            Kind::Server => span::SpanKind::Server,
            Kind::Client => span::SpanKind::Client,
            Kind::Producer => span::SpanKind::Producer,
            Kind::Consumer => span::SpanKind::Consumer,
        } as i32,
        start_time_unix_nano: span.start_unix_nanos,
        end_time_unix_nano: span.end_unix_nanos,
        attributes: key_values(span.attributes),
        events: span.events.into_iter().map(event).collect(),
        links: span.links.into_iter().map(link).collect(),
        status: match span.status {
            Status::Unset => None,
            Status::Ok => Some(OtlpStatus { message: String::new(), code: 1 }),
            Status::Error(message) => Some(OtlpStatus { message: message.into_owned(), code: 2 }),
        },
        ..Default::default()
    }
}

fn event(event: Event) -> span::Event {
    span::Event {
        time_unix_nano: event.time_unix_nanos,
        name: event.name.to_owned(),
        attributes: key_values(event.attributes),
        ..Default::default()
    }
}

fn link(link: Link) -> span::Link {
    span::Link {
        trace_id: link.trace_id.to_vec(),
        span_id: link.span_id.to_vec(),
        attributes: key_values(link.attributes),
        flags: FLAGS | FLAG_PARENT_IS_REMOTE,
        ..Default::default()
    }
}

fn key_values(attributes: Vec<Attribute>) -> Vec<KeyValue> {
    attributes
        .into_iter()
        .map(|(key, value)| KeyValue {
            key: key.to_owned(),
            value: Some(AnyValue { value: Some(any_value(value)) }),
            ..Default::default()
        })
        .collect()
}

fn any_value(value: Value) -> any_value::Value {
    match value {
        Value::Text(text) => any_value::Value::StringValue(text.into_owned()),
        Value::Int(value) => any_value::Value::IntValue(value),
        Value::Float(value) => any_value::Value::DoubleValue(value),
        Value::Bool(value) => any_value::Value::BoolValue(value),
        Value::Texts(texts) => any_value::Value::ArrayValue(ArrayValue {
            values: texts
                .into_iter()
                .map(|text| AnyValue { value: Some(any_value::Value::StringValue(text)) })
                .collect(),
        }),
    }
}
