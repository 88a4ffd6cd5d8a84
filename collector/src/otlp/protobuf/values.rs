//! `AnyValue`, `KeyValue`, and the attribute lists.

use storage::model::Value as Raw;

use super::wire::{FIXED64, LENGTH, Reader, VARINT};
use crate::Result;
use crate::otlp::assemble::Assembler;
use crate::otlp::attributes::{Attributes, SpanAttributes};
use crate::otlp::findings::Findings;
use crate::otlp::rejected::Cause;
use crate::otlp::span::Text;
use crate::otlp::value::Value;

/// A `KeyValue` among the attributes of a resource, scope, event or link.
pub fn attribute<'a>(reader: Reader<'a>, to: &mut Attributes<'a>, findings: &mut Findings<'_>) -> Result<()> {
    let (key, value) = key_value(reader, 0, findings)?;
    to.push(key, value, findings)
}

/// A `KeyValue` among the attributes of a span.
#[inline]
pub fn span_attribute(
    reader: Reader<'_>,
    to: &mut SpanAttributes,
    assembler: &mut Assembler<'_>,
    findings: &mut Findings<'_>,
) -> Result<()> {
    if let Some((key, value)) = plain(reader.rest()) {
        return assembler.plain_attribute(key, value, to, findings);
    }
    let (key, value) = key_value(reader, 0, findings)?;
    assembler.attribute(&key, &value, to, findings)
}

/// Reads a `KeyValue` that is written as every exporter writes it: a key, then a value of one plain field, lengths below
/// 128. `None` for all others, broken ones among them, which [`key_value`] reads or refuses.
#[inline(always)]
fn plain(message: &[u8]) -> Option<(&[u8], Raw<'_>)> {
    const KEY: u8 = 1 << 3 | LENGTH;
    const VALUE: u8 = 2 << 3 | LENGTH;
    const TEXT: u8 = 1 << 3 | LENGTH;
    const BOOL: u8 = 2 << 3 | VARINT;
    const INT: u8 = 3 << 3 | VARINT;
    const FLOAT: u8 = 4 << 3 | FIXED64;
    let &[KEY, key_length @ 0..0x80, ref rest @ ..] = message else { return None };
    let (key, rest) = rest.split_at_checked(usize::from(key_length))?;
    let &[VALUE, value_length @ 0..0x80, ref value @ ..] = rest else { return None };
    if value.len() != usize::from(value_length) {
        return None;
    }
    let value = match *value {
        [TEXT, length @ 0..0x80, ref text @ ..] if text.len() == usize::from(length) => Raw::Text(text),
        [INT, ref varint @ ..] => Raw::Int(plain_int(varint)?),
        [BOOL, bit @ 0..=1] => Raw::Bool(bit == 1),
        [FLOAT, ref bytes @ ..] => Raw::Float(f64::from_le_bytes(bytes.try_into().ok()?)),
        _ => return None,
    };
    Some((key, value))
}

/// A varint of at most 63 bits, and nothing behind it.
#[inline(always)]
fn plain_int(varint: &[u8]) -> Option<i64> {
    let (last, rest) = varint.split_last()?;
    if *last >= 0x80 || rest.len() > 8 {
        return None;
    }
    let mut value = i64::from(*last);
    for byte in rest.iter().rev() {
        if *byte < 0x80 {
            return None;
        }
        value = value << 7 | i64::from(byte & 0x7f);
    }
    Some(value)
}

fn key_value<'a>(mut reader: Reader<'a>, depth: usize, findings: &mut Findings<'_>) -> Result<(Text<'a>, Value<'a>)> {
    let mut key = Text::default();
    let mut value = Value::Unset;
    while let Some((number, wire_type)) = reader.field()? {
        match number {
            1 => {
                reader.expect(wire_type, LENGTH, "KeyValue.key")?;
                key = findings.text(reader.bytes()?)?;
            }
            2 => {
                reader.expect(wire_type, LENGTH, "KeyValue.value")?;
                merge_value(reader.message()?, &mut value, depth, findings)?;
            }
            3 => {
                reader.expect(wire_type, VARINT, "KeyValue.key_strindex")?;
                if reader.varint()? != 0 {
                    findings.note(Cause::StringIndex);
                }
            }
            _ => reader.skip(number, wire_type)?,
        }
    }
    Ok((key, value))
}

/// Reads an `AnyValue` over what `value` has: another kind replaces it, more of a list adds to it.
fn merge_value<'a>(
    mut reader: Reader<'a>,
    value: &mut Value<'a>,
    depth: usize,
    findings: &mut Findings<'_>,
) -> Result<()> {
    while let Some((number, wire_type)) = reader.field()? {
        match number {
            1 => {
                reader.expect(wire_type, LENGTH, "AnyValue.string_value")?;
                *value = Value::Text(findings.text(reader.bytes()?)?);
            }
            2 => {
                reader.expect(wire_type, VARINT, "AnyValue.bool_value")?;
                *value = Value::Bool(reader.varint()? != 0);
            }
            3 => {
                reader.expect(wire_type, VARINT, "AnyValue.int_value")?;
                *value = Value::Int(reader.varint()?.cast_signed());
            }
            4 => {
                reader.expect(wire_type, FIXED64, "AnyValue.double_value")?;
                *value = Value::Float(f64::from_bits(reader.fixed64()?));
            }
            5 => {
                reader.expect(wire_type, LENGTH, "AnyValue.array_value")?;
                merge_list(reader.message()?, value, depth, findings)?;
            }
            6 => {
                reader.expect(wire_type, LENGTH, "AnyValue.kvlist_value")?;
                merge_map(reader.message()?, value, depth, findings)?;
            }
            7 => {
                reader.expect(wire_type, LENGTH, "AnyValue.bytes_value")?;
                *value = Value::bytes(reader.bytes()?.into(), findings);
            }
            8 => {
                reader.expect(wire_type, VARINT, "AnyValue.string_value_strindex")?;
                reader.varint()?;
                findings.note(Cause::StringIndex);
                *value = Value::Unset;
            }
            _ => reader.skip(number, wire_type)?,
        }
    }
    Ok(())
}

fn merge_list<'a>(
    mut reader: Reader<'a>,
    value: &mut Value<'a>,
    depth: usize,
    findings: &mut Findings<'_>,
) -> Result<()> {
    if depth >= findings.limits.value_depth {
        findings.too_deep = true;
        return Ok(());
    }
    let mut items = value.take_list();
    while let Some((number, wire_type)) = reader.field()? {
        if number != 1 {
            reader.skip(number, wire_type)?;
            continue;
        }
        reader.expect(wire_type, LENGTH, "ArrayValue.values")?;
        findings.charge(size_of::<Value<'_>>())?;
        let mut item = Value::Unset;
        merge_value(reader.message()?, &mut item, depth + 1, findings)?;
        items.push(item);
    }
    *value = Value::List(items);
    Ok(())
}

fn merge_map<'a>(
    mut reader: Reader<'a>,
    value: &mut Value<'a>,
    depth: usize,
    findings: &mut Findings<'_>,
) -> Result<()> {
    if depth >= findings.limits.value_depth {
        findings.too_deep = true;
        return Ok(());
    }
    let mut entries = value.take_map();
    while let Some((number, wire_type)) = reader.field()? {
        if number != 1 {
            reader.skip(number, wire_type)?;
            continue;
        }
        reader.expect(wire_type, LENGTH, "KeyValueList.values")?;
        findings.charge(size_of::<(Text<'_>, Value<'_>)>())?;
        entries.push(key_value(reader.message()?, depth + 1, findings)?);
    }
    *value = Value::Map(entries);
    Ok(())
}
