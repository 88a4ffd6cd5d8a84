//! Chapter 2 of the cases: the protobuf encoding.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Status};
use prost::Message;

use super::rows::{self, Attribute};
use super::{decode_protobuf, key_value, only_row, oracle, request, request_of, span, text};
use crate::Error;

/// A field with a length.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    prost::encoding::encode_varint(content.len() as u64, &mut bytes);
    bytes.extend(content);
    bytes
}

fn in_span(content: &[u8]) -> Vec<u8> {
    let bytes = [&span().encode_to_vec()[..], content].concat();
    field(1, &field(2, &field(2, &bytes)))
}

#[track_caller]
fn check_broken(bytes: &[u8]) {
    let outcome = decode_protobuf(bytes);
    assert!(matches!(outcome, Err(Error::Malformed { .. })), "{outcome:?}");
    assert!(ExportTraceServiceRequest::decode(bytes).is_err());
}

#[test]
fn otlp_202_unknown_fields_and_groups_are_skipped_at_each_level() {
    // Field 30 as a varint, of 8 bytes, with a length, of 4 bytes, and as a group within a group.
    let unknown: Vec<u8> = [
        &[0xf0, 0x01, 0x96, 0x01][..],
        &[0xf1, 0x01, 1, 2, 3, 4, 5, 6, 7, 8],
        &[0xf2, 0x01, 0x02, 0xff, 0xff],
        &[0xf5, 0x01, 1, 2, 3, 4],
        &[0xf3, 0x01, 0xeb, 0x01, 0x08, 0x01, 0xec, 0x01, 0xf4, 0x01],
    ]
    .concat();
    let with = |mut bytes: Vec<u8>| {
        bytes.extend(&unknown);
        bytes
    };
    let value = with(field(1, b"text"));
    let attribute = with([field(1, b"key"), field(2, &value)].concat());
    let event = with(field(3, &attribute));
    let link = with([field(1, &[1; 16]), field(2, &[1; 8])].concat());
    let status = with(field(2, b"why"));
    let span = with(
        [span().encode_to_vec(), field(9, &attribute), field(11, &event), field(13, &link), field(15, &status)]
            .concat(),
    );
    let scope = with([field(1, &with(field(1, b"scope"))), field(2, &span)].concat());
    let resource = with([field(1, &with(field(1, &attribute))), field(2, &scope)].concat());
    let row = only_row(&decode_protobuf(&with(field(1, &resource))).unwrap());
    let expected = Attribute::Text("text".to_owned());
    assert_eq!(row.attributes["key"], expected);
    assert_eq!(row.resource["key"], expected);
    assert_eq!(row.events[0].attributes["key"], expected);
    assert_eq!(row.links.len(), 1);
    assert_eq!((row.scope_name.as_deref(), row.status_message.as_deref()), (Some("scope"), Some("why")));
}

#[test]
fn otlp_203_unknown_enum_numbers_are_kept_as_text() {
    for (kind, code, words) in [(99, 7, ("99", "7")), (-1, i32::MIN, ("-1", "-2147483648"))] {
        let mut odd = span();
        odd.kind = kind;
        odd.status = Some(Status { code, ..Status::default() });
        let row = only_row(&super::decode_both(&crate::Limits::default(), &request(vec![odd])));
        assert_eq!((row.kind.as_str(), row.status_code.as_str()), words);
    }
}

#[test]
fn otlp_204_scalars_have_their_last_value_and_messages_merge() {
    let names = [field(5, b"first"), field(5, b"last")].concat();
    assert_eq!(only_row(&decode_protobuf(&in_span(&names)).unwrap()).span_name, "last");

    let status = [field(15, &Status { code: 2, ..Status::default() }.encode_to_vec()), field(15, &field(2, b"why"))];
    let row = only_row(&decode_protobuf(&in_span(&status.concat())).unwrap());
    assert_eq!((row.status_code.as_str(), row.status_message.as_deref()), ("error", Some("why")));

    let resource = |key: &str| Resource { attributes: vec![text(key, key)], ..Resource::default() }.encode_to_vec();
    let spans = field(2, &field(2, &span().encode_to_vec()));
    // One resource before the spans, the other after them.
    let both = [field(1, &resource("a")), spans, field(1, &resource("service.name"))].concat();
    let row = only_row(&decode_protobuf(&field(1, &both)).unwrap());
    assert_eq!(row.service_name, "service.name");
    assert_eq!(row.resource.len(), 2);
}

#[test]
fn otlp_204_lists_inside_values_merge_and_other_kinds_replace() {
    let list = |number| {
        let values = vec![AnyValue { value: Some(Value::IntValue(number)) }];
        AnyValue { value: Some(Value::ArrayValue(ArrayValue { values })) }.encode_to_vec()
    };
    let plain = AnyValue { value: Some(Value::BoolValue(true)) }.encode_to_vec();
    for (parts, expected) in [
        (vec![list(1), list(2)], "[1,2]"),
        (vec![list(1), plain.clone(), list(2)], "[2]"),
        (vec![plain, list(1)], "[1]"),
    ] {
        // As one value in parts, and as parts of one message.
        let joined = field(2, &parts.concat());
        let apart: Vec<u8> = parts.iter().flat_map(|part| field(2, part)).collect();
        for value in [joined, apart] {
            let bytes = in_span(&field(9, &[field(1, b"key"), value].concat()));
            let row = only_row(&decode_protobuf(&bytes).unwrap());
            assert_eq!(row.attributes["key"], Attribute::Json(serde_json::from_str(expected).unwrap()));
        }
    }
}

#[test]
fn fields_in_any_order_give_the_same_rows() {
    let scope = InstrumentationScope { name: "scope".to_owned(), ..InstrumentationScope::default() };
    let whole = ResourceSpans {
        resource: Some(Resource { attributes: vec![text("service.name", "cart")], ..Resource::default() }),
        scope_spans: vec![ScopeSpans { scope: Some(scope.clone()), spans: vec![span()], schema_url: "s".to_owned() }],
        schema_url: "r".to_owned(),
    };
    let spans = [field(3, b"s"), field(2, &span().encode_to_vec()), field(1, &scope.encode_to_vec())].concat();
    let resource = whole.resource.clone().unwrap().encode_to_vec();
    let reversed = [field(3, b"r"), field(2, &spans), field(1, &resource)].concat();
    let expected = only_row(&decode_protobuf(&field(1, &whole.encode_to_vec())).unwrap());
    assert_eq!(only_row(&decode_protobuf(&field(1, &reversed)).unwrap()), expected);
    assert_eq!(expected.service_name, "cart");
}

#[test]
fn otlp_205_varints_of_10_bytes_are_taken_and_of_11_refused() {
    let minus_one = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    let row = only_row(&decode_protobuf(&in_span(&[&[0x30][..], &minus_one].concat())).unwrap());
    assert_eq!(row.kind, "-1");
    check_broken(&in_span(&[&[0x30][..], &[0x80; 10], &[0x01]].concat()));
}

#[test]
fn otlp_206_invalid_tags_are_refused() {
    for tag in [&[0x00, 0x00][..], &[0x06], &[0x07], &[0x0c], &[0x94, 0x01], &[0xff, 0xff, 0xff, 0xff, 0x7f, 0x00]] {
        check_broken(tag);
        check_broken(&in_span(tag));
    }
    // Known fields with another wire type.
    for content in [&[0x08, 0x01][..], &[0x28, 0x00], &[0x3a, 0x00], &[0x2d, 0, 0, 0, 0], &[0x2b, 0x2c]] {
        check_broken(&in_span(content));
    }
}

#[test]
fn otlp_207_lengths_that_lie_are_refused() {
    for length in [1_u64 << 31, 1 << 63, u64::MAX, 2] {
        let mut bytes = vec![0x0a];
        prost::encoding::encode_varint(length, &mut bytes);
        bytes.push(0);
        check_broken(&bytes);
        let mut name = vec![0x2a];
        prost::encoding::encode_varint(length, &mut name);
        check_broken(&in_span(&name));
    }
}

#[test]
fn otlp_208_a_request_cut_at_each_offset_is_taken_or_refused_as_by_prost() {
    let mut whole = span();
    whole.attributes = vec![text("a", "b"), key_value("f", Value::DoubleValue(1.5))];
    whole.events = vec![Event { time_unix_nano: 5, attributes: vec![text("a", "b")], ..Event::default() }];
    whole.links = vec![Link { trace_id: vec![1; 16], span_id: vec![1; 8], ..Link::default() }];
    whole.status = Some(Status { message: "why".to_owned(), code: 2 });
    let bytes = [request(vec![whole.clone()]).encode_to_vec(), request(vec![whole]).encode_to_vec()].concat();
    let mut whole_prefixes = 0;
    for cut in 0..=bytes.len() {
        let ours = decode_protobuf(&bytes[..cut]);
        match ExportTraceServiceRequest::decode(&bytes[..cut]) {
            Ok(message) => {
                whole_prefixes += 1;
                assert_eq!(rows::of(&ours.unwrap()), oracle::outcome(&message).0);
            }
            Err(_) => assert!(matches!(ours, Err(Error::Malformed { .. })), "cut at {cut}"),
        }
    }
    assert_eq!(whole_prefixes, 3);
}

#[test]
fn otlp_1310_entity_references_are_checked_and_ignored() {
    let entity = EntityRef { r#type: "service".to_owned(), id_keys: vec!["a".to_owned()], ..EntityRef::default() };
    let resource = Resource { entity_refs: vec![entity], ..Resource::default() };
    let decoded = decode_protobuf(&request_of(resource, vec![span()]).encode_to_vec()).unwrap();
    assert!(only_row(&decoded).resource.is_empty());
    assert!(decoded.warnings.is_empty());
    check_broken(&field(1, &field(1, &field(3, &[0x08, 0x01]))));
}

#[test]
fn errors_name_the_byte() {
    let bytes = in_span(&[0x0f]);
    let message = decode_protobuf(&bytes).unwrap_err().to_string();
    assert_eq!(message, format!("byte {}: a field has the wire type 7", bytes.len()));
}

#[test]
fn key_values_are_read_in_any_order_too() {
    let attribute = KeyValue { key: "k".to_owned(), ..KeyValue::default() };
    let value = field(2, &AnyValue { value: Some(Value::IntValue(1)) }.encode_to_vec());
    let bytes = in_span(&field(9, &[value, attribute.encode_to_vec()].concat()));
    assert_eq!(only_row(&decode_protobuf(&bytes).unwrap()).attributes["k"], Attribute::Int(1));
}

#[test]
fn otlp_208_a_number_followed_by_half_a_field_is_broken_in_an_attribute_too() {
    let attribute = |value: &[u8]| in_span(&field(9, &[field(1, b"k"), field(2, value)].concat()));
    check_broken(&attribute(&[0x18, 0x05, 0x10]));
    // The same bytes with the first one's continuation bit are one number.
    let bytes = attribute(&[0x18, 0x85, 0x10]);
    let row = decode_protobuf(&bytes).map(|decoded| only_row(&decoded)).expect("is whole");
    assert_eq!(row.attributes.get("k"), Some(&Attribute::Int(5 | 16 << 7)));
}
