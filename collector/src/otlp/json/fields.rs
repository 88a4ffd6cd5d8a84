//! The scalars of protobuf's JSON mapping.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::number;
use super::reader::{Kind, Reader, Step};
use crate::Result;
use crate::otlp::findings::{Findings, cut_to};
use crate::otlp::rejected::Cause;
use crate::otlp::span::RawId;

/// Padding is optional in both alphabets; bits beyond the last byte are ignored, as protobuf's own parsers do.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Reads a field's value: its default if it is `null`, and its key is part of the path.
pub fn field<'a, T: Default>(
    reader: &mut Reader<'a>,
    key: &'static str,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T>,
) -> Result<T> {
    reader.within(Step::Key(key), |reader| if reader.null()? { Ok(T::default()) } else { read(reader) })
}

fn integer<T: TryFrom<i128>>(reader: &mut Reader<'_>, expected: &str) -> Result<T> {
    let text = reader.number_text(expected)?;
    match number::integer(text).map(T::try_from) {
        Some(Ok(value)) => Ok(value),
        _ => {
            let text = String::from_utf8_lossy(text.get(..64).unwrap_or(text)).into_owned();
            Err(reader.broken(format!("{text:?} is not {expected}")))
        }
    }
}

pub fn u64(reader: &mut Reader<'_>) -> Result<u64> {
    integer(reader, "an unsigned integer of 64 bits")
}

pub fn i64(reader: &mut Reader<'_>) -> Result<i64> {
    integer(reader, "an integer of 64 bits")
}

pub fn u32(reader: &mut Reader<'_>) -> Result<u32> {
    integer(reader, "an unsigned integer of 32 bits")
}

pub fn i32(reader: &mut Reader<'_>) -> Result<i32> {
    integer(reader, "an integer of 32 bits")
}

pub fn double(reader: &mut Reader<'_>) -> Result<f64> {
    let expected = "a number";
    let is_string = reader.kind()? == Kind::String;
    let text = reader.number_text(expected)?;
    match text {
        b"NaN" if is_string => return Ok(f64::NAN),
        b"Infinity" if is_string => return Ok(f64::INFINITY),
        b"-Infinity" if is_string => return Ok(f64::NEG_INFINITY),
        _ => {}
    }
    number::double(text).ok_or_else(|| reader.broken("is not a number that a double can hold"))
}

/// Base64 in either alphabet; no more of it is decoded than is kept.
pub fn bytes<'a>(reader: &mut Reader<'a>, findings: &mut Findings<'_>) -> Result<Cow<'a, [u8]>> {
    let (text, _) = reader.whole_string()?;
    // One group of four more than is needed, so that the value is seen to be too long.
    let most = (findings.limits.text_bytes / 3).saturating_add(1).saturating_mul(4);
    let text = text.as_bytes().get(..most).unwrap_or(text.as_bytes());
    let is_url_safe = text.iter().any(|letter| matches!(letter, b'-' | b'_'));
    let decoded = if is_url_safe { URL_SAFE.decode(text) } else { STANDARD.decode(text) };
    let Ok(bytes) = decoded else {
        return Err(reader.broken("is not base64"));
    };
    findings.charge(bytes.len())?;
    Ok(Cow::Owned(bytes))
}

/// An id; judged with all others later.
pub fn id<'a>(reader: &mut Reader<'a>, findings: &mut Findings<'_>) -> Result<RawId<'a>> {
    let (text, is_whole) = reader.whole_string()?;
    if !is_whole {
        findings.note(Cause::NotUtf8);
    }
    Ok(if text.is_empty() { RawId::Absent } else { RawId::Hex(text) })
}

/// An enum's number, or the name that a sender must not use.
pub fn enum_number(
    reader: &mut Reader<'_>,
    field: &str,
    name: &mut Option<String>,
    findings: &mut Findings<'_>,
) -> Result<i32> {
    if reader.kind()? != Kind::String {
        return i32(reader);
    }
    let text = reader.string(findings)?;
    *name = Some(format!("{field} {:?}", cut_to(&text, 64)));
    Ok(0)
}
