//! A row as a span, under its resource and scope.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

use super::columns::{Columns, bytes_at, text_at};
use super::grouped::Grouped;
use crate::otlp::folded::{DROPPED_ATTRIBUTES, DROPPED_EVENTS, DROPPED_LINKS, SCHEMA_URL, SCOPE_DROPPED, SCOPE_PREFIX};
use crate::otlp::words::{kind_number, status_number};

pub fn add(columns: &Columns, row: usize, trace_state: String, to: &mut Grouped) {
    let mut attributes = columns.attributes.of(row);
    let resource = resource(columns.resource.of(row));
    let scope = scope(columns, row, &mut attributes);
    let start = columns.start.at(row);
    let mut dropped = |key| dropped(&mut attributes, key);
    let (dropped_attributes_count, dropped_events_count, dropped_links_count) =
        (dropped(DROPPED_ATTRIBUTES), dropped(DROPPED_EVENTS), dropped(DROPPED_LINKS));
    let status = Status {
        message: text_at(&columns.status_message, row).to_owned(),
        code: status_number(text_at(&columns.status_code, row)),
    };
    to.spans(resource, scope).push(Span {
        trace_id: bytes_at(&columns.trace_id, row).to_vec(),
        span_id: bytes_at(&columns.span_id, row).to_vec(),
        trace_state,
        parent_span_id: bytes_at(&columns.parent_span_id, row).to_vec(),
        flags: flags(columns.flags.value(row)),
        name: text_at(&columns.span_name, row).to_owned(),
        kind: kind_number(text_at(&columns.kind, row)),
        start_time_unix_nano: unsigned(start.0),
        end_time_unix_nano: unsigned(start.plus(columns.duration_ns.value(row)).0),
        attributes,
        dropped_attributes_count,
        events: columns.events.of(row).map(|at| event(columns, at)).collect(),
        dropped_events_count,
        links: columns.links.of(row).map(|at| link(columns, at)).collect(),
        dropped_links_count,
        status: (status != Status::default()).then_some(status),
    });
}

fn resource(mut attributes: Vec<KeyValue>) -> ResourceSpans {
    let schema_url = schema_url(&mut attributes);
    let dropped_attributes_count = dropped(&mut attributes, DROPPED_ATTRIBUTES);
    let resource = Resource { attributes, dropped_attributes_count, ..Resource::default() };
    ResourceSpans { resource: Some(resource), scope_spans: Vec::new(), schema_url }
}

/// Takes what is the scope's from the span's attributes.
fn scope(columns: &Columns, row: usize, of_span: &mut Vec<KeyValue>) -> ScopeSpans {
    let schema_url = schema_url(of_span);
    let is_scopes = |item: &mut KeyValue| item.key.strip_prefix(SCOPE_PREFIX).is_some_and(|key| !key.is_empty());
    let mut attributes: Vec<KeyValue> = of_span.extract_if(.., is_scopes).collect();
    for item in &mut attributes {
        item.key.drain(..SCOPE_PREFIX.len());
    }
    let dropped_attributes_count = dropped(&mut attributes, SCOPE_DROPPED);
    let scope = InstrumentationScope {
        name: text_at(&columns.scope_name, row).to_owned(),
        version: text_at(&columns.scope_version, row).to_owned(),
        attributes,
        dropped_attributes_count,
    };
    let scope = (scope != InstrumentationScope::default()).then_some(scope);
    ScopeSpans { scope, spans: Vec::new(), schema_url }
}

fn event(columns: &Columns, at: usize) -> Event {
    let events = &columns.events;
    let mut attributes = events.attributes.of(at);
    let dropped_attributes_count = dropped(&mut attributes, DROPPED_ATTRIBUTES);
    Event {
        time_unix_nano: unsigned(events.time.at(at).0),
        name: text_at(&events.name, at).to_owned(),
        attributes,
        dropped_attributes_count,
    }
}

fn link(columns: &Columns, at: usize) -> Link {
    let links = &columns.links;
    let mut attributes = links.attributes.of(at);
    let dropped_attributes_count = dropped(&mut attributes, DROPPED_ATTRIBUTES);
    Link {
        trace_id: bytes_at(&links.trace_id, at).to_vec(),
        span_id: bytes_at(&links.span_id, at).to_vec(),
        trace_state: text_at(&links.trace_state, at).to_owned(),
        attributes,
        dropped_attributes_count,
        flags: flags(links.flags.value(at)),
    }
}

/// Takes the attribute out, if its value is what the field would have become.
fn take<T>(from: &mut Vec<KeyValue>, key: &str, as_field: impl Fn(&Value) -> Option<T>) -> Option<T> {
    let at = from.iter().position(|item| item.key == key)?;
    let value = from.get(at)?.value.as_ref()?.value.as_ref();
    let field = value.and_then(as_field)?;
    from.remove(at);
    Some(field)
}

fn schema_url(from: &mut Vec<KeyValue>) -> String {
    let text = |value: &Value| match value {
        Value::StringValue(text) if !text.is_empty() => Some(text.clone()),
        _ => None,
    };
    take(from, SCHEMA_URL, text).unwrap_or_default()
}

fn dropped(from: &mut Vec<KeyValue>, key: &str) -> u32 {
    let count = |value: &Value| match value {
        Value::IntValue(count) => u32::try_from(*count).ok().filter(|count| *count > 0),
        _ => None,
    };
    take(from, key, count).unwrap_or_default()
}

fn flags(stored: i64) -> u32 {
    // Stored from 32 bits.
    u32::try_from(stored).unwrap_or_default()
}

fn unsigned(nanos: i64) -> u64 {
    u64::try_from(nanos).unwrap_or_default()
}
