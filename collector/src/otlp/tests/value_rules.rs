//! Chapters 8 and 13 of the cases: attributes, text, and what they may cost.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use prost::Message;
use serde_json::json;
use storage::{ContentType, Encoding};

use super::rows::{self, Attribute};
use super::{
    ARRIVAL, any, decode_both, decode_protobuf, key_value, only_reason, only_row, request, request_of, span, text,
};
use crate::otlp::{Cause, Decoded, decode};
use crate::{Error, Limits};

fn with(attributes: Vec<KeyValue>) -> Decoded {
    with_limits(&Limits::default(), attributes)
}

fn with_limits(limits: &Limits, attributes: Vec<KeyValue>) -> Decoded {
    decode_both(limits, &request(vec![Span { attributes, ..span() }]))
}

fn word(text: &str) -> Attribute {
    Attribute::Text(text.to_owned())
}

#[test]
fn otlp_1301_unset_values_keep_their_key() {
    let no_message = KeyValue { key: "a".to_owned(), ..KeyValue::default() };
    let unset = KeyValue { key: "b".to_owned(), value: Some(AnyValue::default()), ..KeyValue::default() };
    let row = only_row(&with(vec![no_message, unset]));
    assert_eq!(row.attributes, [("a".to_owned(), Attribute::Null), ("b".to_owned(), Attribute::Null)].into());
}

#[test]
fn otlp_1302_and_1207_each_type_is_kept() {
    let map = KeyValueList { values: vec![key_value("x", Value::BoolValue(true)), KeyValue::default()] };
    let list = vec![
        any(Value::StringValue(String::new())),
        any(Value::IntValue(i64::MIN)),
        any(Value::DoubleValue(f64::NAN)),
        any(Value::BytesValue(vec![0, 255])),
        any(Value::KvlistValue(map)),
        AnyValue::default(),
    ];
    let row = only_row(&with(vec![
        text("text", ""),
        key_value("int", Value::IntValue(i64::MAX)),
        key_value("zero", Value::DoubleValue(-0.0)),
        key_value("nan", Value::DoubleValue(f64::NAN)),
        key_value("tiny", Value::DoubleValue(5e-324)),
        key_value("bool", Value::BoolValue(false)),
        key_value("bytes", Value::BytesValue(vec![1, 2])),
        key_value("list", Value::ArrayValue(ArrayValue { values: list })),
        key_value("empty", Value::KvlistValue(KeyValueList::default())),
    ]));
    assert_eq!(row.attributes["text"], word(""));
    assert_eq!(row.attributes["int"], Attribute::Int(i64::MAX));
    assert_eq!(row.attributes["zero"], Attribute::Float((-0.0_f64).to_bits()));
    assert_eq!(row.attributes["nan"], Attribute::Float(f64::NAN.to_bits()));
    assert_eq!(row.attributes["tiny"], Attribute::Float(1));
    assert_eq!(row.attributes["bool"], Attribute::Bool(false));
    assert_eq!(row.attributes["bytes"], Attribute::Json(json!({ "bytes": "AQI=" })));
    let expected = json!(["", i64::MIN, "NaN", { "bytes": "AP8=" }, { "x": true, "": null }, null]);
    assert_eq!(row.attributes["list"], Attribute::Json(expected));
    assert_eq!(row.attributes["empty"], Attribute::Json(json!({})));
}

#[test]
fn otlp_1303_of_equal_keys_the_last_wins_everywhere() {
    let twice = || vec![text("a", "1"), text("b", "2"), key_value("a", Value::IntValue(3))];
    let map = key_value("map", Value::KvlistValue(KeyValueList { values: twice() }));
    let resource = Resource { attributes: twice(), ..Resource::default() };
    let mut attributes = twice();
    attributes.push(map);
    let decoded = decode_both(&Limits::default(), &request_of(resource, vec![Span { attributes, ..span() }]));
    let row = only_row(&decoded);
    assert_eq!(row.attributes["a"], Attribute::Int(3));
    assert_eq!(row.resource["a"], Attribute::Int(3));
    assert_eq!(row.attributes["map"], Attribute::Json(json!({ "b": "2", "a": 3 })));
    assert_eq!(decoded.warnings.count(Cause::DuplicateKey), 3);
}

#[test]
fn otlp_1304_empty_keys_are_dropped() {
    let decoded = with(vec![text("", "a"), text("b", "c")]);
    assert_eq!(only_row(&decoded).attributes, [("b".to_owned(), word("c"))].into());
    assert_eq!(decoded.warnings.count(Cause::EmptyKey), 1);
}

fn nested(depth: usize) -> Vec<u8> {
    // By hand, since prost's own encoding recurses.
    let mut value = any(Value::IntValue(1)).encode_to_vec();
    for _ in 0..depth {
        for number in [1_u8, 5] {
            let mut outer = vec![number << 3 | 2];
            prost::encoding::encode_varint(value.len() as u64, &mut outer);
            outer.extend(&value);
            value = outer;
        }
    }
    let mut wrap = |number: u8, before: &[u8]| {
        let mut content = before.to_vec();
        content.push(2 << 3 | 2);
        prost::encoding::encode_varint(value.len() as u64, &mut content);
        content.extend(&value);
        value = vec![number << 3 | 2];
        prost::encoding::encode_varint(content.len() as u64, &mut value);
        value.extend(content);
    };
    wrap(9, &key_value("k", Value::BoolValue(true)).encode_to_vec()[..3]);
    let span = [span().encode_to_vec(), value].concat();
    let mut bytes = span;
    for number in [2_u8, 2, 1] {
        let mut outer = vec![number << 3 | 2];
        prost::encoding::encode_varint(bytes.len() as u64, &mut outer);
        outer.extend(&bytes);
        bytes = outer;
    }
    bytes
}

#[test]
fn otlp_1306_values_nested_deeper_than_64_are_rejected_without_recursion() {
    let good = only_row(&decode_protobuf(&nested(64)).unwrap());
    let expected: serde_json::Value = serde_json::from_str(&format!("{}1{}", "[".repeat(64), "]".repeat(64))).unwrap();
    assert_eq!(good.attributes["k"], Attribute::Json(expected));
    // Each level of these takes bytes for its own length, hence not 100,000 of them.
    for depth in [65, 3_000, 10_000] {
        assert_eq!(only_reason(&decode_protobuf(&nested(depth)).unwrap()), "too_deep");
    }
    let json = |depth: usize| {
        let value =
            format!("{}{{\"intValue\":1}}{}", "{\"arrayValue\":{\"values\":[".repeat(depth), "]}}".repeat(depth));
        format!(
            r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"traceId":"{}","spanId":"{}","startTimeUnixNano":1,
            "attributes":[{{"key":"k","value":{value}}}]}}]}}]}}]}}"#,
            "1".repeat(32),
            "1".repeat(16)
        )
    };
    assert_eq!(only_row(&super::decode_json(json(64).as_bytes()).unwrap()).attributes.len(), 1);
    for depth in [65, 3_000, 100_000] {
        assert_eq!(only_reason(&super::decode_json(json(depth).as_bytes()).unwrap()), "too_deep");
    }
}

#[test]
fn a_resource_nested_too_deep_costs_all_its_spans() {
    let limits = Limits { value_depth: 0, ..Limits::default() };
    let list = key_value("k", Value::ArrayValue(ArrayValue::default()));
    let resource = Resource { attributes: vec![list], ..Resource::default() };
    let decoded = decode_both(&limits, &request_of(resource, vec![span(), span()]));
    assert_eq!(decoded.rejected.spans, 2);
}

#[test]
fn otlp_1307_and_1308_keys_and_text_are_unchanged() {
    let odd =
        ["\0", "\u{1}\u{7f}\u{85}", "\u{202e}abc", "__proto__", "'; DROP TABLE spans; --", "trace_id", "\u{1f600}"];
    let row = only_row(&with(odd.map(|odd| text(odd, odd)).to_vec()));
    for odd in odd {
        assert_eq!(row.attributes[odd], word(odd));
    }
    assert_eq!(row.trace_id, [1; 16]);
}

#[test]
fn otlp_1309_string_table_references_are_ignored() {
    let value = Some(any(Value::StringValueStrindex(3)));
    let decoded = with(vec![KeyValue { key: "a".to_owned(), value, key_strindex: 4 }]);
    assert_eq!(only_row(&decoded).attributes["a"], Attribute::Null);
    assert_eq!(decoded.warnings.count(Cause::StringIndex), 2);
}

#[test]
fn otlp_1312_text_that_is_no_utf_8_is_repaired() {
    let bytes = request(vec![Span { name: "GEX /".to_owned(), ..span() }]).encode_to_vec();
    let broken: Vec<u8> = bytes.iter().map(|byte| if *byte == b'X' { 0xff } else { *byte }).collect();
    let decoded = decode_protobuf(&broken).unwrap();
    assert_eq!(only_row(&decoded).span_name, "GE\u{fffd} /");
    assert_eq!(decoded.warnings.count(Cause::NotUtf8), 1);
    assert_eq!(decoded.warnings.iter().next().unwrap().first_service, "cart");
}

#[test]
fn otlp_810_surplus_attributes_events_and_links_are_cut_and_counted() {
    let limits = Limits { attributes: 3, events_per_span: 2, links_per_span: 1, ..Limits::default() };
    let many: Vec<KeyValue> = (0..10).map(|number| text(&format!("k{number}"), "v")).collect();
    let mut large = span();
    large.attributes = many.clone();
    large.dropped_attributes_count = 5;
    large.events = vec![Event { attributes: many, ..Event::default() }; 10];
    large.links = vec![Link { trace_id: vec![1; 16], span_id: vec![1; 8], ..Link::default() }; 10];
    let decoded = decode_both(&limits, &request(vec![large, span()]));
    let rows = rows::of(&decoded);
    let row = &rows[0];
    assert_eq!(row.attributes.len(), 3 + 3);
    assert_eq!(row.attributes["otel.dropped_attributes_count"], Attribute::Int(12));
    assert_eq!(row.attributes["otel.dropped_events_count"], Attribute::Int(8));
    assert_eq!(row.attributes["otel.dropped_links_count"], Attribute::Int(9));
    assert_eq!((row.events.len(), row.links.len()), (2, 1));
    assert_eq!(row.events[1].attributes["otel.dropped_attributes_count"], Attribute::Int(7));
    assert!(decoded.warnings.count(Cause::TooManyAttributes) >= 7);
    assert_eq!(decoded.warnings.count(Cause::TooManyEvents), 8);
    assert_eq!(decoded.warnings.count(Cause::TooManyLinks), 9);
    // Nothing of it reaches the next span.
    assert!(rows[1].attributes.is_empty() && rows[1].events.is_empty());
}

#[test]
fn otlp_810_and_811_with_the_default_limits() {
    let mut large = span();
    large.attributes = (0..100_000).map(|number| text(&format!("k{number}"), "v")).collect();
    large.attributes[0] = text("long", &"x".repeat(10 << 20));
    let decoded = decode_protobuf(&request(vec![large]).encode_to_vec()).unwrap();
    let row = only_row(&decoded);
    assert_eq!(row.attributes.len(), 4_096 + 1);
    assert_eq!(row.attributes["otel.dropped_attributes_count"], Attribute::Int(100_000 - 4_096));
    assert_eq!(row.attributes["long"], word(&"x".repeat(1 << 20)));
    assert_eq!(decoded.warnings.count(Cause::TooLong), 1);
}

#[test]
fn otlp_808_empty_spans_and_attributes_are_rejected_or_too_large() {
    // Two bytes for each span of a scope.
    let empty = |length: usize| [0x12, 0x00].repeat(length);
    let wrap = |number: u8, content: Vec<u8>| {
        let mut outer = vec![number << 3 | 2];
        prost::encoding::encode_varint(content.len() as u64, &mut outer);
        outer.extend(content);
        outer
    };
    let spans = wrap(1, wrap(2, empty(1 << 20)));
    assert_eq!(decode_protobuf(&spans).unwrap().rejected.spans, 1 << 20);

    // Two bytes for each item of a list in a span.
    let list = wrap(9, [vec![0x0a, 0x01, b'k'], wrap(2, wrap(5, [0x0a, 0x00].repeat(1 << 20)))].concat());
    let bytes = wrap(1, wrap(2, wrap(2, [span().encode_to_vec(), list].concat())));
    let limits = Limits { decoded_bytes: 16 << 20, ..Limits::default() };
    let outcome = decode(&limits, ContentType::OtlpProtobuf, Encoding::Identity, &bytes, ARRIVAL);
    assert!(matches!(outcome, Err(Error::TooLarge { .. })));
    let row = only_row(&decode_protobuf(&bytes).unwrap());
    assert!(matches!(&row.attributes["k"], Attribute::Json(_)));
}

#[test]
fn a_large_resource_repeated_by_many_spans_is_too_large() {
    let resource = Resource { attributes: vec![text("k", &"x".repeat(1 << 20))], ..Resource::default() };
    let bytes = request_of(resource, vec![span(); 1_000]).encode_to_vec();
    assert!(bytes.len() < 2 << 20);
    assert!(matches!(decode_protobuf(&bytes), Err(Error::TooLarge { .. })));
}

#[test]
fn equal_requests_have_equal_hashes_however_they_are_compressed() {
    let bytes = request(vec![span()]).encode_to_vec();
    let packed = zstd::encode_all(&bytes[..], 3).unwrap();
    let plain = decode_protobuf(&bytes).unwrap();
    let inflated = decode(&Limits::default(), ContentType::OtlpProtobuf, Encoding::Zstd, &packed, ARRIVAL).unwrap();
    assert_eq!(plain.content_hash, inflated.content_hash);
    assert_eq!(inflated.inflated_bytes, bytes.len());
    let other = decode_protobuf(&request(vec![span(), span()]).encode_to_vec()).unwrap();
    assert_ne!(plain.content_hash, other.content_hash);
}

#[test]
fn what_was_acknowledged_is_read_again_under_lower_limits() {
    let body = bytes::Bytes::from(request(vec![span()]).encode_to_vec());
    let limits = Limits { request_bytes: 10, decoded_bytes: 10, ..Limits::default() };
    let (content_type, encoding) = (ContentType::OtlpProtobuf, Encoding::Identity);
    assert!(decode(&limits, content_type, encoding, &body, ARRIVAL).is_err());
    let stored = storage::Request {
        arrival: ARRIVAL,
        content_type,
        encoding,
        body,
        content_hash: 0,
        judged_by: bytes::Bytes::new(),
    };
    let decoder = crate::OtlpDecoder { limits };
    assert_eq!(storage::Decoder::decode(&decoder, &stored).unwrap().span_count(), 1);
}
