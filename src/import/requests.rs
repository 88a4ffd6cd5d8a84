//! The requests in a file, ready to send.
//!
//! What need not be touched is not: a protobuf file goes out as it lies on the disk. It is unpacked aside only to count
//! its spans. Files of many requests, and times that move, are packed anew.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};

use anyhow::{Context, bail};
use bytes::Bytes;
use demo::send::{Compression, Format, Payload};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::sources::{Kind, Source};
use super::wire;

pub(super) struct Prepared {
    /// The file, and the line or number of the request in it.
    pub name: String,
    pub payload: Payload,
    pub spans: Option<u64>,
    /// How much of the file this is.
    pub file_bytes: u64,
}

pub(super) struct Broken {
    pub name: String,
    pub error: anyhow::Error,
}

/// Takes the next request; `false` to stop.
pub(super) type Sink<'s> = &'s mut dyn FnMut(Result<Prepared, Broken>) -> bool;

/// A server takes 64 MiB in one request; what is far beyond is no request, and would only fill the memory.
const MAX_REQUEST_BYTES: u64 = 256 << 20;

/// Hands each request of a file to `sink`; `false` when that wants no more.
pub(super) fn prepare(source: &Source, shift_nanos: Option<i64>, sink: Sink) -> bool {
    let mut go_on = true;
    let outcome = each(source, &mut |name, raw, file_bytes| {
        let prepared = raw.and_then(|raw| payload(source, raw, shift_nanos));
        let request = match prepared {
            Ok(Some((payload, spans))) => Ok(Prepared { name, payload, spans, file_bytes }),
            Ok(None) => return true,
            Err(error) => Err(Broken { name, error }),
        };
        go_on = sink(request);
        go_on
    });
    match outcome {
        Ok(()) => go_on,
        Err(error) => go_on && sink(Err(Broken { name: source.path.display().to_string(), error })),
    }
}

/// `None` without a single span that ended.
pub(super) fn newest_end_unix_nanos(sources: &[Source]) -> anyhow::Result<Option<u64>> {
    let mut newest = None;
    for source in sources {
        // Broken files are named when their turn comes to be sent.
        let _ = each(source, &mut |_, raw, _| {
            let end = raw.ok().and_then(|raw| match raw.format {
                Format::Protobuf => wire::facts(&raw.unpacked().ok()?).ok()?.newest_end_unix_nanos,
                Format::Json => json_newest_end(&raw.unpacked().ok()?),
            });
            newest = newest.max(end);
            true
        });
    }
    Ok(newest)
}

/// One request as it lies in the file.
struct Raw {
    bytes: Vec<u8>,
    format: Format,
    compression: Compression,
}

impl Raw {
    fn unpacked(&self) -> anyhow::Result<Vec<u8>> {
        read_bounded(reader(&*self.bytes, self.compression)?)
    }
}

type EachRaw<'s> = &'s mut dyn FnMut(String, anyhow::Result<Raw>, u64) -> bool;

/// Reads the requests of a file one after the other. An error concerns the whole rest of the file.
fn each(source: &Source, with: EachRaw) -> anyhow::Result<()> {
    let name = source.path.display().to_string();
    let compression = source.compression;
    match source.kind {
        Kind::Protobuf => {
            let bytes = read_bounded(File::open(&source.path)?);
            let raw = bytes.map(|bytes| Raw { bytes, format: Format::Protobuf, compression });
            with(name, raw, source.bytes);
        }
        Kind::Json => each_json(source, name, with)?,
        Kind::JsonLines => {
            let mut lines = BufReader::new(reader(File::open(&source.path)?, compression)?);
            for number in 1.. {
                let mut line = Vec::new();
                let read = lines.by_ref().take(MAX_REQUEST_BYTES).read_until(b'\n', &mut line)?;
                if read == 0 {
                    break;
                }
                if read as u64 == MAX_REQUEST_BYTES {
                    bail!("line {number} is longer than {} MiB", MAX_REQUEST_BYTES >> 20);
                }
                if line.trim_ascii().is_empty() {
                    continue;
                }
                let raw = Raw { bytes: line, format: Format::Json, compression: Compression::None };
                if !with(format!("{name}:{number}"), Ok(raw), read as u64) {
                    break;
                }
            }
        }
    }
    Ok(())
}

/// Files named `.json` hold one request, or, from the Collector's file exporter, one a line.
fn each_json(source: &Source, name: String, with: EachRaw) -> anyhow::Result<()> {
    let compression = source.compression;
    let packed = Raw { bytes: fs::read(&source.path)?, format: Format::Json, compression };
    let text = packed.unpacked()?;
    let mut values = serde_json::Deserializer::from_slice(&text).into_iter::<IgnoredAny>();
    let mut ends = Vec::new();
    while let Some(Ok(_)) = values.next() {
        ends.push(values.byte_offset());
    }
    let is_whole = ends.last().is_some_and(|end| text[*end..].trim_ascii().is_empty());
    if ends.len() < 2 || !is_whole {
        // One request, or none that can be told apart: the server says what is wrong with it.
        with(name, Ok(packed), source.bytes);
        return Ok(());
    }
    let mut start = 0;
    for (index, end) in ends.into_iter().enumerate() {
        let bytes = text[start..end].to_vec();
        let raw = Raw { bytes, format: Format::Json, compression: Compression::None };
        if !with(format!("{name}, request {}", index + 1), Ok(raw), (end - start) as u64) {
            break;
        }
        start = end;
    }
    Ok(())
}

/// `None` for what lies in a folder and is no OTLP.
fn payload(source: &Source, raw: Raw, shift_nanos: Option<i64>) -> anyhow::Result<Option<(Payload, Option<u64>)>> {
    let unpacked = raw.unpacked();
    let (spans, shifted) = match raw.format {
        Format::Protobuf => {
            let spans = unpacked.as_ref().ok().and_then(|bytes| wire::facts(bytes).ok()).map(|facts| facts.spans);
            let shifted = shift_nanos.map(|by_nanos| {
                let mut bytes = unpacked?;
                wire::shift(&mut bytes, by_nanos)?;
                anyhow::Ok(bytes)
            });
            (spans, shifted)
        }
        Format::Json => {
            if !source.is_named && unpacked.as_ref().is_ok_and(|text| is_other_json(text)) {
                return Ok(None);
            }
            let spans = unpacked.as_ref().ok().and_then(|text| json_spans(text));
            (spans, shift_nanos.map(|by_nanos| json_shifted(&unpacked?, by_nanos)))
        }
    };
    let payload = match shifted {
        None if source.kind == Kind::JsonLines => {
            Payload::encoded(Compression::Gzip.compress(raw.bytes)?, raw.format, Compression::Gzip)
        }
        None => Payload::encoded(Bytes::from(raw.bytes), raw.format, raw.compression),
        Some(bytes) => Payload::encoded(Compression::Gzip.compress(bytes?)?, raw.format, Compression::Gzip),
    };
    Ok(Some((payload, spans)))
}

fn reader<'r>(bytes: impl Read + 'r, compression: Compression) -> anyhow::Result<Box<dyn Read + 'r>> {
    Ok(match compression {
        Compression::None => Box::new(bytes),
        Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(bytes)),
        Compression::Zstd => Box::new(zstd::Decoder::new(bytes)?),
    })
}

fn read_bounded(reader: impl Read) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(MAX_REQUEST_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_REQUEST_BYTES {
        bail!("more than {} MiB in one request", MAX_REQUEST_BYTES >> 20);
    }
    Ok(bytes)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsonRequest<T> {
    resource_spans: Option<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsonResourceSpans {
    #[serde(default)]
    scope_spans: Vec<JsonScopeSpans>,
}

#[derive(Deserialize)]
struct JsonScopeSpans {
    #[serde(default)]
    spans: Vec<IgnoredAny>,
}

/// Valid JSON, but of something else: indexes and statistics often lie beside traces.
fn is_other_json(text: &[u8]) -> bool {
    match serde_json::from_slice::<JsonRequest<IgnoredAny>>(text) {
        Ok(request) => request.resource_spans.is_none(),
        Err(_) => serde_json::from_slice::<IgnoredAny>(text).is_ok(),
    }
}

fn json_spans(text: &[u8]) -> Option<u64> {
    let request: JsonRequest<Vec<JsonResourceSpans>> = serde_json::from_slice(text).ok()?;
    let scopes = request.resource_spans?.into_iter().flat_map(|resource| resource.scope_spans);
    Some(scopes.map(|scope| scope.spans.len() as u64).sum())
}

fn json_newest_end(text: &[u8]) -> Option<u64> {
    let mut request: Value = serde_json::from_slice(text).ok()?;
    let mut newest = None;
    each_json_span(&mut request, &mut |span| {
        newest = newest.max(span.get("endTimeUnixNano").and_then(json_time));
    });
    newest
}

fn json_shifted(text: &[u8], by_nanos: i64) -> anyhow::Result<Vec<u8>> {
    let mut request: Value = serde_json::from_slice(text).context("not an OTLP request")?;
    let move_time = |holder: &mut Value, key: &str| {
        if let Some(value) = holder.get_mut(key)
            && let Some(time) = json_time(value)
        {
            *value = Value::String(wire::shifted(time, by_nanos).to_string());
        }
    };
    each_json_span(&mut request, &mut |span| {
        move_time(span, "startTimeUnixNano");
        move_time(span, "endTimeUnixNano");
        for event in span.get_mut("events").and_then(Value::as_array_mut).into_iter().flatten() {
            move_time(event, "timeUnixNano");
        }
    });
    Ok(serde_json::to_vec(&request)?)
}

fn each_json_span(request: &mut Value, with: &mut dyn FnMut(&mut Value)) {
    for resource in request.get_mut("resourceSpans").and_then(Value::as_array_mut).into_iter().flatten() {
        for scope in resource.get_mut("scopeSpans").and_then(Value::as_array_mut).into_iter().flatten() {
            for span in scope.get_mut("spans").and_then(Value::as_array_mut).into_iter().flatten() {
                with(span);
            }
        }
    }
}

/// 64-bit numbers are text in OTLP JSON, but plain numbers are taken too.
fn json_time(value: &Value) -> Option<u64> {
    let time = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
    (time != 0).then_some(time)
}
