//! The decoder's cases, by number, and its comparison with prost.
//!
//! - `rows`: a batch as plain values, to compare and to print.
//! - `oracle`: what prost's reading of a request ought to become, by rules written a second time.
//! - `generate`: requests of all shapes, for proptest; `json_text`: the same in OTLP/JSON.
//! - `differential`: both against each other; the others: the cases by chapter.
#![allow(clippy::unwrap_used)]

mod differential;
pub(crate) mod generate;
mod json_cases;
pub(crate) mod json_text;
mod oracle;
mod protobuf_cases;
pub(crate) mod rows;
mod span_rules;
mod value_rules;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use storage::model::UnixNanos;
use storage::{ContentType, Encoding};

use self::rows::Row;
use super::{Decoded, decode};
use crate::{Limits, Result};

/// When every request of these tests arrives.
const ARRIVAL: UnixNanos = UnixNanos(1_700_000_000_000_000_000);
const NOW: u64 = ARRIVAL.0 as u64;

pub(crate) fn span() -> Span {
    Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        name: "GET /".to_owned(),
        start_time_unix_nano: NOW - 2_000_123,
        end_time_unix_nano: NOW - 1_000_000,
        ..Span::default()
    }
}

fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn key_value(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(any(value)), ..KeyValue::default() }
}

fn text(key: &str, value: &str) -> KeyValue {
    key_value(key, Value::StringValue(value.to_owned()))
}

fn request_of(resource: Resource, spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }
}

pub(crate) fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
    request_of(Resource { attributes: vec![text("service.name", "cart")], ..Resource::default() }, spans)
}

fn decode_protobuf(bytes: &[u8]) -> Result<Decoded> {
    decode(&Limits::default(), ContentType::OtlpProtobuf, Encoding::Identity, bytes, ARRIVAL)
}

fn decode_json(bytes: &[u8]) -> Result<Decoded> {
    decode(&Limits::default(), ContentType::OtlpJson, Encoding::Identity, bytes, ARRIVAL)
}

/// Decodes both forms of a request and insists that they agree.
#[track_caller]
fn decode_both(limits: &Limits, request: &ExportTraceServiceRequest) -> Decoded {
    let protobuf =
        decode(limits, ContentType::OtlpProtobuf, Encoding::Identity, &request.encode_to_vec(), ARRIVAL).unwrap();
    let json = decode(limits, ContentType::OtlpJson, Encoding::Identity, &json_text::of(request), ARRIVAL).unwrap();
    assert_eq!(rows::of(&protobuf), rows::of(&json));
    let reasons = |decoded: &Decoded| {
        let tallies = decoded.rejected.tallies.iter();
        tallies.map(|tally| (tally.reason, tally.spans, tally.first_index)).collect::<Vec<_>>()
    };
    assert_eq!(reasons(&protobuf), reasons(&json));
    assert_eq!(protobuf.warnings, json.warnings);
    protobuf
}

#[track_caller]
fn only_row(decoded: &Decoded) -> Row {
    let mut rows = rows::of(decoded);
    assert_eq!(rows.len(), 1, "{}", decoded.rejected);
    rows.remove(0)
}

/// Why the only span was rejected.
#[track_caller]
fn only_reason(decoded: &Decoded) -> &'static str {
    assert_eq!(decoded.rejected.spans, 1);
    decoded.rejected.tallies[0].reason.name()
}
