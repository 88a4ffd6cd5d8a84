//! Lists, key-value lists and bytes from the JSON text that `otlp::value` writes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValueList};

use super::attributes::key_value;
use crate::otlp::json::number;
use crate::otlp::json::reader::{Kind, Reader};
use crate::{Limits, Result};

/// The value behind stored JSON. What decoding would not have written stays text, so that nothing is lost.
pub fn of_json(text: &str) -> Option<Value> {
    let mut reader = Reader::new(text.as_bytes());
    let value = read(&mut reader, 0).and_then(|value| reader.end().map(|()| value));
    value.unwrap_or_else(|_| Some(Value::StringValue(text.to_owned())))
}

fn read(reader: &mut Reader<'_>, depth: usize) -> Result<Option<Value>> {
    Ok(match reader.kind()? {
        Kind::Null => {
            reader.null()?;
            None
        }
        Kind::Bool => Some(Value::BoolValue(reader.bool()?)),
        Kind::String => Some(Value::StringValue(reader.whole_string()?.0.into_owned())),
        Kind::Number => Some(read_number(reader)?),
        // What is one deeper than lists may be are bytes.
        Kind::Array | Kind::Object if depth > Limits::MAX_VALUE_DEPTH => {
            return Err(reader.broken("is nested too deep"));
        }
        Kind::Array => {
            let mut values = Vec::new();
            reader.items(|reader| {
                values.push(AnyValue { value: read(reader, depth + 1)? });
                Ok(())
            })?;
            Some(Value::ArrayValue(ArrayValue { values }))
        }
        Kind::Object => {
            let mut values = Vec::new();
            reader.object(|reader, key| {
                let value = read(reader, depth + 1)?;
                values.push(key_value(key, value));
                Ok(())
            })?;
            let list = KeyValueList { values };
            Some(bytes(&list).map_or(Value::KvlistValue(list), Value::BytesValue))
        }
    })
}

/// Doubles are written with a point or an exponent, and integers without.
fn read_number(reader: &mut Reader<'_>) -> Result<Value> {
    let text = reader.number_text("a number")?;
    let is_double = text.iter().any(|letter| matches!(letter, b'.' | b'e' | b'E'));
    let value = match is_double {
        true => number::double(text).map(Value::DoubleValue),
        false => number::integer(text).and_then(|value| i64::try_from(value).ok()).map(Value::IntValue),
    };
    value.ok_or_else(|| reader.broken("is no number of 64 bits"))
}

/// `{"bytes":"<base64>"}`, where the text is just what these bytes would be written as.
fn bytes(list: &KeyValueList) -> Option<Vec<u8>> {
    let [only] = list.values.as_slice() else { return None };
    let Some(Value::StringValue(text)) = only.value.as_ref().and_then(|value| value.value.as_ref()) else {
        return None;
    };
    let bytes = STANDARD.decode(text).ok()?;
    (only.key == "bytes" && STANDARD.encode(&bytes) == *text).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any(value: Value) -> AnyValue {
        AnyValue { value: Some(value) }
    }

    #[track_caller]
    fn check(text: &str, expected: impl Into<Option<Value>>) {
        assert_eq!(of_json(text), expected.into(), "{text}");
    }

    #[test]
    fn every_kind_comes_back() {
        let values = vec![
            any(Value::IntValue(i64::MIN)),
            any(Value::DoubleValue(-0.0)),
            any(Value::DoubleValue(5e-324)),
            any(Value::BoolValue(true)),
            AnyValue { value: None },
            any(Value::StringValue("a\"\u{1}".to_owned())),
        ];
        let text = r#"[-9223372036854775808,-0.0,5e-324,true,null,"a\"\u0001"]"#;
        check(text, Value::ArrayValue(ArrayValue { values }));
        // Where serde_json's fast way of reading numbers is off by the last bit.
        let double = any(Value::DoubleValue(51.24817837550540_4));
        check("[51.248178375505404]", Value::ArrayValue(ArrayValue { values: vec![double] }));
        let list = |key: &str, text: &str| {
            Value::KvlistValue(KeyValueList { values: vec![key_value(key, Some(Value::StringValue(text.to_owned())))] })
        };
        check(r#"{"bytes":"AP8="}"#, Value::BytesValue(vec![0, 255]));
        check(r#"{"bytes":"AP8"}"#, list("bytes", "AP8"));
        check(r#"{"bytes":"AP9="}"#, list("bytes", "AP9="));
        check(r#"{"octets":"AP8="}"#, list("octets", "AP8="));
        check("{}", Value::KvlistValue(KeyValueList::default()));
    }

    #[test]
    fn what_decoding_does_not_write_stays_text() {
        for text in ["", "[", "[1] 2", "{\"a\":1e999}", "[9223372036854775808]"] {
            check(text, Value::StringValue(text.to_owned()));
        }
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(matches!(of_json(&deep(65)), Some(Value::ArrayValue(_))));
        check(&deep(100_000), Value::StringValue(deep(100_000)));
    }
}
