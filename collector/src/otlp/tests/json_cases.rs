//! Chapter 3 of the cases: the JSON encoding.

use storage::model::UnixNanos;
use storage::{ContentType, Encoding};

use super::rows::Attribute;
use super::{decode_json, only_reason, only_row};
use crate::otlp::{Cause, Decoded, decode};
use crate::{Error, Limits};

const IDS: &str = r#""traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"eee19b7ec3c1b174""#;
const TIMES: &str = r#""startTimeUnixNano":"1600000000000000000","endTimeUnixNano":"1600000001000000000""#;

/// A request with one span of these members.
fn one_span(members: &str) -> String {
    format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{members}}}]}}]}}]}}"#)
}

fn with(members: &str) -> String {
    one_span(&format!("{IDS},{TIMES},{members}"))
}

fn with_value(value: &str) -> String {
    with(&format!(r#""attributes":[{{"key":"k","value":{value}}}]"#))
}

#[track_caller]
fn decoded(json: &str) -> Decoded {
    match decode_json(json.as_bytes()) {
        Ok(decoded) => decoded,
        Err(error) => panic!("{error}: {json}"),
    }
}

#[track_caller]
fn value_of(value: &str) -> Attribute {
    only_row(&decoded(&with_value(value))).attributes["k"].clone()
}

#[track_caller]
fn check_bad(json: &[u8], message: &str) {
    match decode_json(json) {
        Err(error @ Error::Malformed { .. }) => {
            let found = error.to_string();
            assert!(found.contains(message), "{found}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn otlp_301_ids_are_hex_of_either_case() {
    let link = r#""links":[{"traceId":"5b8EFFF798038103d269b633813fc60C","spanId":"EEE19B7EC3C1B174"}]"#;
    let row = only_row(&decoded(&with(&format!(r#""parentSpanId":"AAe19B7EC3C1B174",{link}"#))));
    assert_eq!(row.trace_id[..3], [0x5b, 0x8e, 0xff]);
    assert_eq!(row.parent_span_id.unwrap()[..2], [0xaa, 0xe1]);
    assert_eq!(row.links[0].trace_id, row.trace_id);
    assert_eq!(row.links[0].span_id, row.span_id);
}

#[test]
fn otlp_302_ids_in_base64_are_rejected() {
    let base64 = "W47/95gDgQPSabYzgT/GDA==";
    let trace = decoded(&one_span(&format!(r#""traceId":"{base64}","spanId":"eee19b7ec3c1b174",{TIMES}"#)));
    assert_eq!(only_reason(&trace), "invalid_trace_id");
    let parent = decoded(&with(r#""parentSpanId":"7uGbfsPBsXQ=""#));
    assert_eq!(only_reason(&parent), "invalid_span_id");
    let link = decoded(&with(&format!(r#""links":[{{"traceId":"{base64}","spanId":"7uGbfsPBsXQ="}}]"#)));
    assert_eq!(link.warnings.count(Cause::LinkIds), 1);
}

#[test]
fn otlp_303_enums_are_integers() {
    let row = only_row(&decoded(&with(r#""kind":2,"status":{"code":2}"#)));
    assert_eq!((row.kind.as_str(), row.status_code.as_str()), ("server", "error"));
}

#[test]
fn otlp_304_enum_names_are_rejected() {
    for members in [r#""kind":"SPAN_KIND_SERVER""#, r#""status":{"code":"STATUS_CODE_ERROR"}"#, r#""kind":"2""#] {
        let decoded = decoded(&with(members));
        assert_eq!(only_reason(&decoded), "enum_name", "{members}");
        assert!(decoded.batch.is_none());
    }
}

#[test]
fn otlp_305_unknown_names_are_ignored_at_each_level() {
    let odd = r#""odd":[{"a":[1,-2.5e-3,null,true,"\"]}"]},{}],"odd2":{}"#;
    let span = format!(
        r#"{odd},{IDS},{TIMES},"attributes":[{{{odd},"key":"k","value":{{{odd},"intValue":1}}}}],
        "events":[{{{odd}}}],"status":{{{odd}}}"#
    );
    let json = format!(
        r#"{{{odd},"resourceSpans":[{{{odd},"resource":{{{odd}}},"scopeSpans":[{{{odd},"scope":{{{odd}}},"spans":[{{{span}}}]}}]}}]}}"#
    );
    let row = only_row(&decoded(&json));
    assert_eq!(row.attributes["k"], Attribute::Int(1));
    assert_eq!(row.events.len(), 1);
}

#[test]
fn otlp_306_snake_case_names_are_unknown_and_the_message_names_the_key() {
    let decoded = decoded(&one_span(&format!(r#""trace_id":"5b8efff798038103d269b633813fc60c",{TIMES}"#)));
    assert_eq!(only_reason(&decoded), "invalid_trace_id");
    assert!(decoded.rejected.to_string().contains("\"traceId\""), "{}", decoded.rejected);
}

#[test]
fn otlp_307_integers_of_64_bits_are_exact_as_strings_and_numbers() {
    for number in ["9007199254740993", "-9223372036854775808", "9223372036854775807"] {
        for form in [number.to_owned(), format!("\"{number}\"")] {
            assert_eq!(value_of(&format!(r#"{{"intValue":{form}}}"#)), Attribute::Int(number.parse().unwrap()));
        }
    }
    let event = only_row(&decoded(&with(r#""events":[{"timeUnixNano":9007199254740993}]"#))).events.remove(0);
    assert_eq!(event.time_unix_nanos, 9_007_199_254_740_993);
    let late = decoded(&with(r#""events":[{"timeUnixNano":18446744073709551615}]"#));
    assert_eq!(late.warnings.count(Cause::EventTime), 1);
    check_bad(with(r#""events":[{"timeUnixNano":18446744073709551616}]"#).as_bytes(), "events[0].timeUnixNano");
    check_bad(with_value(r#"{"intValue":"9223372036854775808"}"#).as_bytes(), "64 bits");
}

#[test]
fn otlp_308_integers_with_exponent_or_point_are_taken_if_whole() {
    assert_eq!(value_of(r#"{"intValue":1e9}"#), Attribute::Int(1_000_000_000));
    assert_eq!(value_of(r#"{"intValue":"1.0"}"#), Attribute::Int(1));
    for refused in ["1.5", "+1", "0x1", "\"+1\"", "\"0x1\"", "01", "1.", "-", "1e", "tru", "\"\""] {
        check_bad(with_value(&format!(r#"{{"intValue":{refused}}}"#)).as_bytes(), "");
    }
}

#[test]
fn otlp_309_doubles_are_numbers_or_strings() {
    let cases = [
        ("1.5", 1.5),
        ("\"1.5\"", 1.5),
        ("2", 2.0),
        ("-0.0", -0.0),
        ("\"Infinity\"", f64::INFINITY),
        ("\"-Infinity\"", f64::NEG_INFINITY),
        ("\"NaN\"", f64::NAN),
        ("5e-324", 5e-324),
    ];
    for (form, expected) in cases {
        assert_eq!(value_of(&format!(r#"{{"doubleValue":{form}}}"#)), Attribute::Float(expected.to_bits()));
    }
    for refused in ["NaN", "\"inf\"", "1e999", "\"\"", "true"] {
        check_bad(with_value(&format!(r#"{{"doubleValue":{refused}}}"#)).as_bytes(), "");
    }
}

#[test]
fn otlp_310_bytes_are_base64_of_either_alphabet_padded_or_not() {
    for form in ["+/8=", "+/8", "-_8=", "-_8"] {
        let expected = serde_json::json!({ "bytes": "+/8=" });
        assert_eq!(value_of(&format!(r#"{{"bytesValue":"{form}"}}"#)), Attribute::Json(expected));
    }
    check_bad(with_value(r#"{"bytesValue":"*"}"#).as_bytes(), "bytesValue");
}

#[test]
fn otlp_311_null_is_an_absent_field_and_no_item_of_a_list() {
    let nulls =
        r#""name":null,"kind":null,"attributes":null,"events":null,"status":null,"parentSpanId":null,"flags":null"#;
    let row = only_row(&decoded(&with(nulls)));
    assert_eq!((row.span_name.as_str(), row.kind.as_str()), ("", "unspecified"));
    assert_eq!(value_of("null"), Attribute::Null);
    assert_eq!(value_of(r#"{"stringValue":"a","intValue":null}"#), Attribute::Text("a".to_owned()));
    assert!(decoded(r#"{"resourceSpans":null}"#).batch.is_none());
    for list in [r#""attributes":[null]"#, r#""events":[null]"#, r#""links":[null]"#] {
        check_bad(with(list).as_bytes(), "null");
    }
    check_bad(br#"{"resourceSpans":[null]}"#, "resourceSpans[0]");
}

#[test]
fn otlp_312_the_last_of_duplicate_keys_wins() {
    let row = only_row(&decoded(&with(r#""name":"first","name":"last","kind":2,"kind":3"#)));
    assert_eq!((row.span_name.as_str(), row.kind.as_str()), ("last", "client"));
    assert_eq!(value_of(r#"{"intValue":1,"stringValue":"a"}"#), Attribute::Text("a".to_owned()));
    let lists = r#""attributes":[{"key":"a","value":{"intValue":1}}],"attributes":[{"key":"b"}]"#;
    let row = only_row(&decoded(&with(lists)));
    assert_eq!(row.attributes.keys().collect::<Vec<_>>(), ["b"]);
    let twice = format!(r#"{{"resourceSpans":[1],{}"#, &one_span(&format!("{IDS},{TIMES}"))[1..]);
    assert_eq!(only_row(&decoded(&twice)).span_name, "");
}

#[test]
fn otlp_313_a_byte_order_mark_is_skipped_and_utf_16_refused() {
    let json = with(r#""name":"n""#);
    let marked = [b"\xef\xbb\xbf", json.as_bytes()].concat();
    assert_eq!(only_row(&decode_json(&marked).unwrap()).span_name, "n");
    for utf_16 in [b"{\0}\0".to_vec(), b"\xff\xfe{\0}\0".to_vec(), b"\0{\0}".to_vec()] {
        check_bad(&utf_16, "");
    }
}

#[test]
fn otlp_314_lone_surrogates_and_other_bytes_become_replacement_characters() {
    for (text, expected) in [
        (&br"\ud800"[..], "\u{fffd}"),
        (br"a\udc00b", "a\u{fffd}b"),
        (br"\ud800\u0041", "\u{fffd}A"),
        (br"\ud800\ud83d\ude00", "\u{fffd}\u{1f600}"),
        (b"a\xffb", "a\u{fffd}b"),
        (b"\\n\xff", "\n\u{fffd}"),
    ] {
        let (before, after) = with(r#""name":"@""#).split_once('@').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        let decoded = decode_json(&[before.as_bytes(), text, after.as_bytes()].concat()).unwrap();
        assert_eq!(only_row(&decoded).span_name, expected);
        assert_eq!(decoded.warnings.count(Cause::NotUtf8), 1);
    }
    let row = only_row(&decoded(&with(r#""name":"\ud83d\ude00\"\\\/\b\f\n\r\t\u0000""#)));
    assert_eq!(row.span_name, "\u{1f600}\"\\/\u{8}\u{c}\n\r\t\0");
}

#[test]
fn otlp_315_wrong_types_are_refused_with_their_path() {
    check_bad(br#"{"resourceSpans":[{"scopeSpans":[{"spans":{}}]}]}"#, "resourceSpans[0].scopeSpans[0].spans, byte");
    check_bad(with(r#""name":1"#).as_bytes(), "resourceSpans[0].scopeSpans[0].spans[0].name");
    check_bad(with(r#""attributes":[{"key":"a"},{"key":[]}]"#).as_bytes(), "spans[0].attributes[1].key");
    check_bad(with_value(r#"{"arrayValue":{"values":[{},{"boolValue":"true"}]}}"#).as_bytes(), "values[1].boolValue");
    check_bad(with(r#""flags":4294967296"#).as_bytes(), "flags");
    check_bad(with(r#""kind":2147483648"#).as_bytes(), "kind");
    check_bad(with(r#""status":[]"#).as_bytes(), "status");
    check_bad(br#"{"resourceSpans":[{"resource":7}]}"#, "resourceSpans[0].resource");
}

#[test]
fn otlp_316_truncated_trailing_and_other_documents_are_refused() {
    let json =
        with(r#""name":"a\u00e9","events":[{"name":"e"}],"attributes":[{"key":"k","value":{"doubleValue":-1.5e3}}]"#);
    for cut in 1..json.len() {
        check_bad(&json.as_bytes()[..cut], "");
    }
    for other in [
        "{}{}",
        "{} x",
        "[]",
        "[{}]",
        "\"\"",
        "1",
        "null",
        " ",
        "{,}",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{'a':1}",
        "{\"a\":[1,]}",
    ] {
        check_bad(other.as_bytes(), "");
    }
    assert!(decoded(" {} \n").batch.is_none());
}

#[test]
fn otlp_317_unknown_fields_may_be_nested_100_000_deep() {
    let depth = 100_000;
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
        let odd = format!("{}1{}", open.repeat(depth), close.repeat(depth));
        assert_eq!(only_row(&decoded(&with(&format!(r#""odd":{odd},"name":"n""#)))).span_name, "n");
        check_bad(with(&format!(r#""odd":{}"#, open.repeat(depth))).as_bytes(), "");
    }
}

/// `examples/trace.json` of opentelemetry-proto 1.11.
const EXAMPLE: &str = r#"{
  "resourceSpans": [{
    "resource": { "attributes": [{ "key": "service.name", "value": { "stringValue": "my.service" } }] },
    "scopeSpans": [{
      "scope": {
        "name": "my.library", "version": "1.0.0",
        "attributes": [{ "key": "my.scope.attribute", "value": { "stringValue": "some scope attribute" } }]
      },
      "spans": [{
        "traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "EEE19B7EC3C1B174",
        "parentSpanId": "EEE19B7EC3C1B173", "name": "I'm a server span",
        "startTimeUnixNano": "1544712660000000000", "endTimeUnixNano": "1544712661000000000", "kind": 2,
        "attributes": [{ "key": "my.span.attr", "value": { "stringValue": "some value" } }]
      }]
    }]
  }]
}"#;

#[test]
fn otlp_318_the_example_of_the_specification_is_read_whole() {
    let row = only_row(&decoded(EXAMPLE));
    assert_eq!(row.service_name, "my.service");
    assert_eq!((row.scope_name.as_deref(), row.scope_version.as_deref()), (Some("my.library"), Some("1.0.0")));
    assert_eq!(row.span_name, "I'm a server span");
    assert_eq!(row.kind, "server");
    assert_eq!((row.start_unix_nanos, row.duration_nanos), (1_544_712_660_000_000_000, 1_000_000_000));
    assert_eq!(row.parent_span_id.unwrap(), [0xee, 0xe1, 0x9b, 0x7e, 0xc3, 0xc1, 0xb1, 0x73]);
    assert_eq!(row.attributes["my.span.attr"], Attribute::Text("some value".to_owned()));
    let scope = Attribute::Text("some scope attribute".to_owned());
    assert_eq!(row.attributes["otel.scope.my.scope.attribute"], scope);
}

#[test]
fn the_resource_may_come_after_its_spans() {
    let json = format!(
        r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{IDS},{TIMES}}}],"scope":{{"name":"s"}}}}],
        "resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"cart"}}}}]}}}}]}}"#
    );
    let row = only_row(&decoded(&json));
    assert_eq!((row.service_name.as_str(), row.scope_name.as_deref()), ("cart", Some("s")));
}

#[test]
fn escaped_keys_are_known() {
    assert_eq!(only_row(&decoded(&with(r#""\u006eame":"n""#))).span_name, "n");
}

#[test]
fn long_base64_is_cut_as_bytes_are() {
    let limits = Limits { text_bytes: 10, ..Limits::default() };
    let json = with_value(&format!(r#"{{"bytesValue":"{}"}}"#, "QUFB".repeat(100)));
    let decoded =
        decode(&limits, ContentType::OtlpJson, Encoding::Identity, json.as_bytes(), UnixNanos(i64::MAX)).unwrap();
    let expected = serde_json::json!({ "bytes": "QUFBQUFBQUFBQQ==" });
    assert_eq!(only_row(&decoded).attributes["k"], Attribute::Json(expected));
    assert_eq!(decoded.warnings.count(Cause::TooLong), 1);
}
