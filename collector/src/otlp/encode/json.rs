//! The messages in OTLP/JSON: ids in hex, 64-bit integers as text, enums as numbers. Fields that are not set are left out.

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{self as common, AnyValue, InstrumentationScope};
use opentelemetry_proto::tonic::resource::v1 as resource;
use opentelemetry_proto::tonic::trace::v1::{self as trace, span};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

pub struct Request<'a>(pub &'a ExportTraceServiceRequest);

impl Serialize for Request<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        // Present also when it is empty, so that it is seen to be a request.
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("resourceSpans", &Each(&self.0.resource_spans, ResourceSpans))?;
        map.end()
    }
}

/// Items of a list, each as `W`.
struct Each<'a, T, W>(&'a [T], fn(&'a T) -> W);

impl<T, W: Serialize> Serialize for Each<'_, T, W> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.0.iter().map(self.1))
    }
}

/// An object under way; what is not set is left out.
struct Object<M>(M);

impl<M: SerializeMap> Object<M> {
    fn text(&mut self, key: &'static str, text: &str) -> Result<(), M::Error> {
        if text.is_empty() { Ok(()) } else { self.0.serialize_entry(key, text) }
    }

    fn number<N: Serialize + Default + PartialEq>(&mut self, key: &'static str, number: N) -> Result<(), M::Error> {
        if number == N::default() { Ok(()) } else { self.0.serialize_entry(key, &number) }
    }

    fn nanos(&mut self, key: &'static str, nanos: u64) -> Result<(), M::Error> {
        if nanos == 0 { Ok(()) } else { self.0.serialize_entry(key, &AsText(nanos)) }
    }

    fn id(&mut self, key: &'static str, id: &[u8]) -> Result<(), M::Error> {
        if id.is_empty() { Ok(()) } else { self.0.serialize_entry(key, &AsText(Hex(id))) }
    }

    fn list<'a, T, W: Serialize>(
        &mut self,
        key: &'static str,
        items: &'a [T],
        each: fn(&'a T) -> W,
    ) -> Result<(), M::Error> {
        if items.is_empty() { Ok(()) } else { self.0.serialize_entry(key, &Each(items, each)) }
    }
}

struct AsText<T>(T);

impl<T: std::fmt::Display> Serialize for AsText<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

struct Hex<'a>(&'a [u8]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(to, "{byte:02x}"))
    }
}

/// A message's wrapper, and what its object has.
macro_rules! message {
    ($name:ident, $of:ty, |$it:ident, $object:ident| $fields:block) => {
        struct $name<'a>(&'a $of);

        impl Serialize for $name<'_> {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                let $it = self.0;
                let mut $object = Object(to.serialize_map(None)?);
                $fields
                $object.0.end()
            }
        }
    };
}

message!(ResourceSpans, trace::ResourceSpans, |it, object| {
    if let Some(resource) = &it.resource {
        object.0.serialize_entry("resource", &Resource(resource))?;
    }
    object.list("scopeSpans", &it.scope_spans, ScopeSpans)?;
    object.text("schemaUrl", &it.schema_url)?;
});

message!(Resource, resource::Resource, |it, object| {
    object.list("attributes", &it.attributes, KeyValue)?;
    object.number("droppedAttributesCount", it.dropped_attributes_count)?;
});

message!(ScopeSpans, trace::ScopeSpans, |it, object| {
    if let Some(scope) = &it.scope {
        object.0.serialize_entry("scope", &Scope(scope))?;
    }
    object.list("spans", &it.spans, Span)?;
    object.text("schemaUrl", &it.schema_url)?;
});

message!(Scope, InstrumentationScope, |it, object| {
    object.text("name", &it.name)?;
    object.text("version", &it.version)?;
    object.list("attributes", &it.attributes, KeyValue)?;
    object.number("droppedAttributesCount", it.dropped_attributes_count)?;
});

message!(Span, trace::Span, |it, object| {
    object.id("traceId", &it.trace_id)?;
    object.id("spanId", &it.span_id)?;
    object.text("traceState", &it.trace_state)?;
    object.id("parentSpanId", &it.parent_span_id)?;
    object.number("flags", it.flags)?;
    object.text("name", &it.name)?;
    object.number("kind", it.kind)?;
    object.nanos("startTimeUnixNano", it.start_time_unix_nano)?;
    object.nanos("endTimeUnixNano", it.end_time_unix_nano)?;
    object.list("attributes", &it.attributes, KeyValue)?;
    object.number("droppedAttributesCount", it.dropped_attributes_count)?;
    object.list("events", &it.events, Event)?;
    object.number("droppedEventsCount", it.dropped_events_count)?;
    object.list("links", &it.links, Link)?;
    object.number("droppedLinksCount", it.dropped_links_count)?;
    if let Some(status) = &it.status {
        object.0.serialize_entry("status", &Status(status))?;
    }
});

message!(Event, span::Event, |it, object| {
    object.nanos("timeUnixNano", it.time_unix_nano)?;
    object.text("name", &it.name)?;
    object.list("attributes", &it.attributes, KeyValue)?;
    object.number("droppedAttributesCount", it.dropped_attributes_count)?;
});

message!(Link, span::Link, |it, object| {
    object.id("traceId", &it.trace_id)?;
    object.id("spanId", &it.span_id)?;
    object.text("traceState", &it.trace_state)?;
    object.list("attributes", &it.attributes, KeyValue)?;
    object.number("droppedAttributesCount", it.dropped_attributes_count)?;
    object.number("flags", it.flags)?;
});

message!(Status, trace::Status, |it, object| {
    object.text("message", &it.message)?;
    object.number("code", it.code)?;
});

message!(KeyValue, common::KeyValue, |it, object| {
    object.0.serialize_entry("key", &it.key)?;
    if let Some(value) = &it.value {
        object.0.serialize_entry("value", &Any(value))?;
    }
});

message!(Any, AnyValue, |it, object| {
    let map = &mut object.0;
    match &it.value {
        // Columns have no indexes into texts of a request.
        None | Some(Value::StringValueStrindex(_)) => {}
        Some(Value::StringValue(text)) => map.serialize_entry("stringValue", text)?,
        Some(Value::BoolValue(value)) => map.serialize_entry("boolValue", value)?,
        Some(Value::IntValue(value)) => map.serialize_entry("intValue", &AsText(value))?,
        Some(Value::DoubleValue(value)) => map.serialize_entry("doubleValue", &Double(*value))?,
        Some(Value::ArrayValue(list)) => map.serialize_entry("arrayValue", &Values(Each(&list.values, Any)))?,
        Some(Value::KvlistValue(list)) => map.serialize_entry("kvlistValue", &Values(Each(&list.values, KeyValue)))?,
        Some(Value::BytesValue(bytes)) => {
            map.serialize_entry("bytesValue", &AsText(Base64Display::new(bytes, &STANDARD)))?;
        }
    }
});

/// A list inside a value.
struct Values<T>(T);

impl<T: Serialize> Serialize for Values<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(1))?;
        map.serialize_entry("values", &self.0)?;
        map.end()
    }
}

struct Double(f64);

impl Serialize for Double {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            value if value.is_nan() => to.serialize_str("NaN"),
            f64::INFINITY => to.serialize_str("Infinity"),
            f64::NEG_INFINITY => to.serialize_str("-Infinity"),
            value => to.serialize_f64(value),
        }
    }
}
