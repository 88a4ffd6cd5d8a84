//! Requests of all shapes, for proptest.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::NOW;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[a-z.]{1,20}",
        any::<String>(),
        Just("\u{0}\"\\\u{202e}\n\t\u{8}\u{1f600}__proto__'; DROP TABLE spans".to_owned()),
    ]
}

fn key() -> impl Strategy<Value = String> {
    // Few keys, so that they meet; and those that the tables give to other things.
    const KNOWN: &[&str] = &["a", "b", "c", "d", "service.name", "trace_id", "otel.schema_url", "otel.scope.a"];
    prop_oneof![8 => prop::sample::select(KNOWN).prop_map(str::to_owned), 1 => text()]
}

fn double() -> impl Strategy<Value = f64> {
    const SPECIAL: &[f64] = &[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, f64::MIN_POSITIVE / 2.0, f64::MAX, 1.0];
    // NaNs other than the usual one have no form in JSON.
    let any = any::<f64>().prop_map(|value| if value.is_nan() { f64::NAN } else { value });
    prop_oneof![any, prop::sample::select(SPECIAL)]
}

fn value() -> impl Strategy<Value = AnyValue> {
    let int = prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX), Just((1 << 53) + 1)];
    let leaf = prop_oneof![
        4 => text().prop_map(Value::StringValue),
        2 => int.prop_map(Value::IntValue),
        1 => double().prop_map(Value::DoubleValue),
        1 => any::<bool>().prop_map(Value::BoolValue),
        1 => vec(any::<u8>(), 0..20).prop_map(Value::BytesValue),
        1 => any::<i32>().prop_map(Value::StringValueStrindex),
    ];
    let leaf = option::weighted(0.9, leaf).prop_map(|value| AnyValue { value });
    leaf.prop_recursive(4, 20, 4, |inner| {
        let item = (key(), option::weighted(0.9, inner.clone()));
        let item = item.prop_map(|(key, value)| KeyValue { key, value, ..KeyValue::default() });
        prop_oneof![
            vec(inner, 0..4).prop_map(|values| Value::ArrayValue(ArrayValue { values })),
            vec(item, 0..4).prop_map(|values| Value::KvlistValue(KeyValueList { values })),
        ]
        .prop_map(|value| AnyValue { value: Some(value) })
    })
}

fn attribute() -> impl Strategy<Value = KeyValue> {
    let index = prop_oneof![9 => Just(0), 1 => any::<i32>()];
    (key(), option::weighted(0.95, value()), index).prop_map(|(key, value, key_strindex)| KeyValue {
        key,
        value,
        key_strindex,
    })
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    prop_oneof![9 => vec(attribute(), 0..6), 1 => vec(attribute(), 30..50)]
}

fn count() -> impl Strategy<Value = u32> {
    prop_oneof![3 => Just(0), 1 => any::<u32>()]
}

fn id(length: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        20 => vec(any::<u8>(), length),
        1 => vec(any::<u8>(), 0..20),
        1 => Just(vec![0; length]),
    ]
}

fn time() -> impl Strategy<Value = u64> {
    prop_oneof![10 => NOW - 10_000_000..NOW, 1 => any::<u64>(), 1 => Just(0)]
}

fn event() -> impl Strategy<Value = Event> {
    let time = prop_oneof![any::<u64>(), NOW - 1_000..NOW];
    (time, text(), attributes(), count()).prop_map(|(time_unix_nano, name, attributes, dropped_attributes_count)| {
        Event { time_unix_nano, name, attributes, dropped_attributes_count }
    })
}

fn link() -> impl Strategy<Value = Link> {
    (id(16), id(8), text(), attributes(), count(), any::<u32>()).prop_map(
        |(trace_id, span_id, trace_state, attributes, dropped_attributes_count, flags)| Link {
            trace_id,
            span_id,
            trace_state,
            attributes,
            dropped_attributes_count,
            flags,
        },
    )
}

fn span() -> impl Strategy<Value = Span> {
    let parent = prop_oneof![id(8), Just(Vec::new())];
    let kind = prop_oneof![4 => 0..6, 1 => any::<i32>()];
    let code = prop_oneof![4 => 0..3, 1 => any::<i32>()];
    let status = option::of((text(), code).prop_map(|(message, code)| Status { message, code }));
    let identity = (id(16), id(8), text(), parent, text(), kind, any::<u32>());
    let lists = (attributes(), vec(event(), 0..3), vec(link(), 0..3));
    let counts = (count(), count(), count());
    (identity, time(), time(), lists, counts, status).prop_map(|(identity, start, end, lists, counts, status)| {
        let (trace_id, span_id, trace_state, parent_span_id, name, kind, flags) = identity;
        let (attributes, events, links) = lists;
        Span {
            trace_id,
            span_id,
            trace_state,
            parent_span_id,
            flags,
            name,
            kind,
            start_time_unix_nano: start,
            end_time_unix_nano: end,
            attributes,
            dropped_attributes_count: counts.0,
            events,
            dropped_events_count: counts.1,
            links,
            dropped_links_count: counts.2,
            status,
        }
    })
}

fn scope_spans() -> impl Strategy<Value = ScopeSpans> {
    let scope =
        (text(), text(), attributes(), count()).prop_map(|(name, version, attributes, dropped_attributes_count)| {
            InstrumentationScope { name, version, attributes, dropped_attributes_count }
        });
    (option::of(scope), vec(span(), 0..3), text()).prop_map(|(scope, spans, schema_url)| ScopeSpans {
        scope,
        spans,
        schema_url,
    })
}

fn resource_spans() -> impl Strategy<Value = ResourceSpans> {
    let resource = (attributes(), count()).prop_map(|(attributes, dropped_attributes_count)| Resource {
        attributes,
        dropped_attributes_count,
        ..Resource::default()
    });
    (option::of(resource), vec(scope_spans(), 0..3), text())
        .prop_map(|(resource, scope_spans, schema_url)| ResourceSpans { resource, scope_spans, schema_url })
}

pub fn request() -> impl Strategy<Value = ExportTraceServiceRequest> {
    vec(resource_spans(), 0..3).prop_map(|resource_spans| ExportTraceServiceRequest { resource_spans })
}

/// A change to some bytes.
#[derive(Debug, Clone)]
pub enum Mutation {
    Set(usize, u8),
    Insert(usize, u8),
    Remove(usize, usize),
    /// Copies a part to the end of itself.
    Repeat(usize, usize),
}

pub fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let place = any::<usize>();
    let mutation = prop_oneof![
        4 => (place, any::<u8>()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        1 => (place, any::<u8>()).prop_map(|(at, byte)| Mutation::Insert(at, byte)),
        1 => (place, 0..20_usize).prop_map(|(at, length)| Mutation::Remove(at, length)),
        1 => (place, 0..60_usize).prop_map(|(at, length)| Mutation::Repeat(at, length)),
    ];
    vec(mutation, 1..4)
}

pub fn mutate(bytes: &mut Vec<u8>, mutations: &[Mutation]) {
    for mutation in mutations {
        let at = |place: usize| place % (bytes.len() + 1);
        let part = |place, length: usize| at(place)..(at(place) + length).min(bytes.len());
        match *mutation {
            Mutation::Set(place, byte) if at(place) < bytes.len() => {
                let at = at(place);
                bytes[at] = byte;
            }
            Mutation::Set(..) => {}
            Mutation::Insert(place, byte) => bytes.insert(at(place), byte),
            Mutation::Remove(place, length) => drop(bytes.drain(part(place, length))),
            Mutation::Repeat(place, length) => {
                let part = part(place, length);
                let copy = bytes[part.clone()].to_vec();
                bytes.splice(part.end..part.end, copy);
            }
        }
    }
}
