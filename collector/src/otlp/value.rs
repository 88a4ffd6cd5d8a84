//! Attribute values: as a reader builds them, and as the columns hold them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use storage::model::{AttributesBuilder, Pushed, Value as Raw};

use super::findings::{Findings, cut_to};
use super::rejected::Cause;
use super::span::Text;

/// Lists and key-value lists are built as a tree, because protobuf may send one in several parts.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Value<'a> {
    #[default]
    Unset,
    Text(Text<'a>),
    Int(i64),
    Float(f64),
    Bool(bool),
    Bytes(Cow<'a, [u8]>),
    List(Vec<Value<'a>>),
    Map(Vec<(Text<'a>, Value<'a>)>),
    /// One of the three above, written already.
    Json(String),
}

impl<'a> Value<'a> {
    pub fn bytes(bytes: Cow<'a, [u8]>, findings: &mut Findings<'_>) -> Self {
        let limit = findings.limits.text_bytes;
        if bytes.len() <= limit {
            return Value::Bytes(bytes);
        }
        findings.note(Cause::TooLong);
        Value::Bytes(match bytes {
            Cow::Borrowed(bytes) => Cow::Borrowed(bytes.get(..limit).unwrap_or_default()),
            Cow::Owned(bytes) => Cow::Owned(bytes.get(..limit).unwrap_or_default().to_vec()),
        })
    }

    /// The items to add to: those it has if it is a list, else none. The caller puts the list back.
    pub fn take_list(&mut self) -> Vec<Value<'a>> {
        match std::mem::take(self) {
            Value::List(items) => items,
            _ => Vec::new(),
        }
    }

    /// The same for key-value lists.
    pub fn take_map(&mut self) -> Vec<(Text<'a>, Value<'a>)> {
        match std::mem::take(self) {
            Value::Map(entries) => entries,
            _ => Vec::new(),
        }
    }

    /// Adds the value to the row that `columns` is at; returns the bytes it takes there, too. `scratch` is for JSON text.
    pub fn push(
        &self,
        key: &str,
        columns: &mut AttributesBuilder<'_>,
        findings: &mut Findings<'_>,
        scratch: &mut String,
    ) -> (Pushed, usize) {
        let (value, bytes) = match self {
            Value::Unset => (Raw::Unset, size_of::<u64>()),
            Value::Text(text) => (Raw::Text(text.as_bytes()), text.len()),
            Value::Int(value) => (Raw::Int(*value), size_of::<u64>()),
            Value::Float(value) => (Raw::Float(*value), size_of::<u64>()),
            Value::Bool(value) => (Raw::Bool(*value), size_of::<u64>()),
            Value::Json(text) => (Raw::Json(text), text.len()),
            Value::Bytes(_) | Value::List(_) | Value::Map(_) => {
                scratch.clear();
                self.write_json(scratch, findings);
                (Raw::Json(scratch), scratch.len())
            }
        };
        (columns.push(key.as_bytes(), value), bytes)
    }

    /// Writes a list and the like as JSON text for good.
    pub fn render(&mut self, findings: &mut Findings<'_>) {
        if matches!(self, Value::Bytes(_) | Value::List(_) | Value::Map(_)) {
            let mut text = String::new();
            self.write_json(&mut text, findings);
            *self = Value::Json(text);
        }
    }

    /// Appends the value as JSON text. Items that begin beyond the limit are left out. Recursion ends where readers
    /// stopped building.
    fn write_json(&self, out: &mut String, findings: &mut Findings<'_>) {
        // Writing to a string cannot fail, so results of `write!` are of no use here.
        match self {
            Value::Unset => out.push_str("null"),
            Value::Text(text) => write_json_text(text, out),
            Value::Int(value) => drop(write!(out, "{value}")),
            Value::Float(value) if value.is_nan() => out.push_str("\"NaN\""),
            Value::Float(value) if value.is_infinite() && *value > 0.0 => out.push_str("\"Infinity\""),
            Value::Float(value) if value.is_infinite() => out.push_str("\"-Infinity\""),
            // The debug form is the shortest one that reads back as the same number, and always that of a double.
            Value::Float(value) => drop(write!(out, "{value:?}")),
            Value::Bool(value) => drop(write!(out, "{value}")),
            Value::Json(text) => out.push_str(text),
            Value::Bytes(bytes) => {
                out.push_str("{\"bytes\":\"");
                STANDARD.encode_string(bytes, out);
                out.push_str("\"}");
            }
            Value::List(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    if out.len() > findings.limits.text_bytes {
                        findings.note(Cause::TooLong);
                        break;
                    }
                    if at > 0 {
                        out.push(',');
                    }
                    item.write_json(out, findings);
                }
                out.push(']');
            }
            Value::Map(entries) => {
                out.push('{');
                let mut is_first = true;
                let is_last_of_key = last_of_keys(entries);
                for (at, (key, value)) in entries.iter().enumerate() {
                    if !is_last_of_key(at, key) {
                        findings.note(Cause::DuplicateKey);
                        continue;
                    }
                    if out.len() > findings.limits.text_bytes {
                        findings.note(Cause::TooLong);
                        break;
                    }
                    if !std::mem::take(&mut is_first) {
                        out.push(',');
                    }
                    write_json_text(cut_to(key, findings.limits.text_bytes), out);
                    out.push(':');
                    value.write_json(out, findings);
                }
                out.push('}');
            }
        }
    }
}

/// Tells whether the entry at a position is the last with its key.
fn last_of_keys<'e>(entries: &'e [(Text<'_>, Value<'_>)]) -> impl Fn(usize, &str) -> bool + 'e {
    let last: HashMap<&str, usize> = if entries.len() > 1 {
        entries.iter().enumerate().map(|(at, (key, _))| (key.as_ref(), at)).collect()
    } else {
        HashMap::new()
    };
    move |at, key| last.get(key).is_none_or(|last| *last == at)
}

fn write_json_text(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.find(|letter: char| letter < ' ' || letter == '"' || letter == '\\') {
        let (plain, special) = rest.split_at(at);
        out.push_str(plain);
        let mut letters = special.chars();
        match letters.next() {
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\n') => out.push_str("\\n"),
            Some(control) => drop(write!(out, "\\u{:04x}", u32::from(control))),
            None => {}
        }
        rest = letters.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    #[track_caller]
    fn check(value: &Value<'_>, expected: &str) {
        let limits = Limits { text_bytes: 40, ..Limits::default() };
        let mut out = String::new();
        value.write_json(&mut out, &mut Findings::new(&limits));
        assert_eq!(out, expected);
        assert!(serde_json::from_str::<serde_json::Value>(&out).is_ok(), "{out}");
    }

    fn text(text: &str) -> Value<'_> {
        Value::Text(Cow::Borrowed(text))
    }

    #[test]
    fn every_kind_of_value_has_its_json() {
        let numbers = [Value::Int(i64::MIN), Value::Float(1.0), Value::Float(-0.0), Value::Float(1e300)];
        check(&Value::List(numbers.to_vec()), "[-9223372036854775808,1.0,-0.0,1e300]");
        let odd = [Value::Float(f64::NAN), Value::Float(f64::NEG_INFINITY), Value::Unset, Value::Bool(true)];
        check(&Value::List(odd.to_vec()), r#"["NaN","-Infinity",null,true]"#);
        check(&Value::Bytes(Cow::Borrowed(&[0, 255])), r#"{"bytes":"AP8="}"#);
        check(&text("a\"\\\n\u{1}é\u{7f}"), "\"a\\\"\\\\\\n\\u0001é\u{7f}\"");
        check(&Value::Map(vec![]), "{}");
    }

    #[test]
    fn of_equal_keys_the_last_wins() {
        let entries = vec![("a".into(), Value::Int(1)), ("b".into(), Value::Int(2)), ("a".into(), Value::Int(3))];
        check(&Value::Map(entries), r#"{"b":2,"a":3}"#);
    }

    #[test]
    fn long_lists_lose_what_begins_beyond_the_limit() {
        check(&Value::List(vec![text("0123456789"); 10]), r#"["0123456789","0123456789","0123456789","0123456789"]"#);
    }
}
