//! `AnyValue`, `KeyValue`, and the attribute lists.

use super::fields::{bytes, double, field, i32, i64};
use super::reader::{Reader, Step};
use crate::Result;
use crate::otlp::assemble::Assembler;
use crate::otlp::attributes::{Attributes, SpanAttributes};
use crate::otlp::findings::Findings;
use crate::otlp::rejected::Cause;
use crate::otlp::span::Text;
use crate::otlp::value::Value;

/// The list of `KeyValue`s under `key`, in place of what `to` has.
pub fn attributes<'a>(
    reader: &mut Reader<'a>,
    key: &'static str,
    to: &mut Attributes<'a>,
    findings: &mut Findings<'_>,
) -> Result<()> {
    let dropped = to.dropped;
    to.clear();
    to.dropped = dropped;
    field(reader, key, |reader| {
        reader.array(|reader| {
            let (key, value) = key_value(reader, 0, findings)?;
            to.push(key, value, findings)
        })
    })
}

/// The same for a span.
pub fn span_attributes(
    reader: &mut Reader<'_>,
    to: &mut SpanAttributes,
    assembler: &mut Assembler<'_>,
    findings: &mut Findings<'_>,
) -> Result<()> {
    assembler.clear_attributes(to);
    field(reader, "attributes", |reader| {
        reader.array(|reader| {
            let (key, value) = key_value(reader, 0, findings)?;
            assembler.attribute(&key, &value, to, findings)
        })
    })
}

fn key_value<'a>(reader: &mut Reader<'a>, depth: usize, findings: &mut Findings<'_>) -> Result<(Text<'a>, Value<'a>)> {
    let mut key = Text::default();
    let mut value = Value::Unset;
    reader.object(|reader, name| {
        match name {
            "key" => key = field(reader, "key", |reader| reader.string(findings))?,
            "value" => value = field(reader, "value", |reader| any_value(reader, depth, findings))?,
            "keyStrindex" => {
                if field(reader, "keyStrindex", i32)? != 0 {
                    findings.note(Cause::StringIndex);
                }
            }
            _ => reader.skip()?,
        }
        Ok(())
    })?;
    Ok((key, value))
}

/// The last member that is set wins.
fn any_value<'a>(reader: &mut Reader<'a>, depth: usize, findings: &mut Findings<'_>) -> Result<Value<'a>> {
    let mut value = Value::Unset;
    reader.object(|reader, name| {
        let read = match name {
            "stringValue" => {
                field(reader, "stringValue", |reader| reader.string(findings).map(|text| Some(Value::Text(text))))
            }
            "boolValue" => field(reader, "boolValue", |reader| reader.bool().map(|value| Some(Value::Bool(value)))),
            "intValue" => field(reader, "intValue", |reader| i64(reader).map(|value| Some(Value::Int(value)))),
            "doubleValue" => {
                field(reader, "doubleValue", |reader| double(reader).map(|value| Some(Value::Float(value))))
            }
            "bytesValue" => field(reader, "bytesValue", |reader| {
                let bytes = bytes(reader, findings)?;
                Ok(Some(Value::bytes(bytes, findings)))
            }),
            "arrayValue" => field(reader, "arrayValue", |reader| list(reader, depth, findings).map(Some)),
            "kvlistValue" => field(reader, "kvlistValue", |reader| map(reader, depth, findings).map(Some)),
            "stringValueStrindex" => field(reader, "stringValueStrindex", |reader| {
                i32(reader)?;
                findings.note(Cause::StringIndex);
                Ok(Some(Value::Unset))
            }),
            _ => reader.skip().map(|()| None),
        };
        if let Some(read) = read? {
            value = read;
        }
        Ok(())
    })?;
    Ok(value)
}

fn list<'a>(reader: &mut Reader<'a>, depth: usize, findings: &mut Findings<'_>) -> Result<Value<'a>> {
    if depth >= findings.limits.value_depth {
        findings.too_deep = true;
        reader.skip()?;
        return Ok(Value::Unset);
    }
    let mut items = Vec::new();
    reader.object(|reader, name| match name {
        "values" => {
            items.clear();
            field(reader, "values", |reader| {
                reader.array(|reader| {
                    findings.charge(size_of::<Value<'_>>())?;
                    items.push(any_value(reader, depth + 1, findings)?);
                    Ok(())
                })
            })
        }
        _ => reader.skip(),
    })?;
    Ok(Value::List(items))
}

fn map<'a>(reader: &mut Reader<'a>, depth: usize, findings: &mut Findings<'_>) -> Result<Value<'a>> {
    if depth >= findings.limits.value_depth {
        findings.too_deep = true;
        reader.skip()?;
        return Ok(Value::Unset);
    }
    let mut entries = Vec::new();
    reader.object(|reader, name| match name {
        "values" => {
            entries.clear();
            field(reader, "values", |reader| {
                reader.array(|reader| {
                    findings.charge(size_of::<(Text<'_>, Value<'_>)>())?;
                    entries.push(key_value(reader, depth + 1, findings)?);
                    Ok(())
                })
            })
        }
        _ => reader.skip(),
    })?;
    Ok(Value::Map(entries))
}

/// Where a key's value begins, if the key is there and its value is not `null`.
pub type Place = Option<usize>;

/// Passes over an object and tells where the values of `keys` begin: the last of each.
pub fn places<const N: usize>(reader: &mut Reader<'_>, keys: [&'static str; N]) -> Result<[Place; N]> {
    let mut places = [None; N];
    reader.object(|reader, name| {
        let position = reader.position();
        let Some((key, place)) = keys.iter().zip(&mut places).find(|(key, _)| **key == name) else {
            return reader.skip();
        };
        reader.within(Step::Key(key), |reader| {
            *place = if reader.null()? { None } else { Some(position) };
            if place.is_some() { reader.skip() } else { Ok(()) }
        })
    })?;
    Ok(places)
}
