//! Walks a protobuf `ExportTraceServiceRequest` in place: counts its spans, finds and moves its times.
//!
//! Nothing is decoded and encoded again, so fields that this version does not know survive. The depth is that of the
//! message types, five, whatever the bytes say.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Facts {
    pub spans: u64,
    pub newest_end_unix_nanos: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed(usize);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not an OTLP request: broken protobuf at byte {}", self.0)
    }
}

impl std::error::Error for Malformed {}

#[derive(Clone, Copy)]
enum Message {
    Request,
    ResourceSpans,
    ScopeSpans,
    Span,
    Event,
}

enum Found {
    Span,
    /// A time at this offset; `is_end` for the end of a span.
    Time {
        offset: usize,
        is_end: bool,
    },
}

pub(super) fn facts(bytes: &[u8]) -> Result<Facts, Malformed> {
    let mut facts = Facts::default();
    walk(bytes, 0, Message::Request, &mut |found| match found {
        Found::Span => facts.spans += 1,
        Found::Time { offset, is_end: true } => {
            facts.newest_end_unix_nanos = facts.newest_end_unix_nanos.max(read_time(bytes, offset));
        }
        Found::Time { .. } => {}
    })?;
    Ok(facts)
}

/// Moves starts, ends and event times. An absent time (zero) stays absent.
pub(super) fn shift(bytes: &mut [u8], by_nanos: i64) -> Result<(), Malformed> {
    let mut offsets = Vec::new();
    walk(bytes, 0, Message::Request, &mut |found| {
        if let Found::Time { offset, .. } = found {
            offsets.push(offset);
        }
    })?;
    for offset in offsets {
        if let Some(time) = read_time(bytes, offset) {
            bytes[offset..offset + 8].copy_from_slice(&shifted(time, by_nanos).to_le_bytes());
        }
    }
    Ok(())
}

pub(super) fn shifted(unix_nanos: u64, by_nanos: i64) -> u64 {
    if unix_nanos == 0 { 0 } else { unix_nanos.saturating_add_signed(by_nanos) }
}

fn read_time(bytes: &[u8], offset: usize) -> Option<u64> {
    let time = bytes.get(offset..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))?;
    (time != 0).then_some(time)
}

/// `base` is where `bytes` lie in the whole request.
fn walk(bytes: &[u8], base: usize, message: Message, found: &mut dyn FnMut(Found)) -> Result<(), Malformed> {
    let mut at = 0;
    while at < bytes.len() {
        let broken = Malformed(base + at);
        let (key, len) = varint(&bytes[at..]).ok_or(broken)?;
        at += len;
        let (field, wire_type) = (key >> 3, key & 7);
        let size = match wire_type {
            0 => varint(&bytes[at..]).ok_or(broken)?.1,
            1 => 8,
            2 => {
                let (size, len) = varint(&bytes[at..]).ok_or(broken)?;
                at += len;
                usize::try_from(size).map_err(|_| broken)?
            }
            5 => 4,
            // Groups are in no OTLP message.
            _ => return Err(broken),
        };
        let end = at.checked_add(size).filter(|end| *end <= bytes.len()).ok_or(broken)?;
        let inner = match (message, field, wire_type) {
            (Message::Request, 1, 2) => Some(Message::ResourceSpans),
            (Message::ResourceSpans, 2, 2) => Some(Message::ScopeSpans),
            (Message::ScopeSpans, 2, 2) => {
                found(Found::Span);
                Some(Message::Span)
            }
            (Message::Span, 11, 2) => Some(Message::Event),
            (Message::Span, 7 | 8, 1) => {
                found(Found::Time { offset: base + at, is_end: field == 8 });
                None
            }
            (Message::Event, 1, 1) => {
                found(Found::Time { offset: base + at, is_end: false });
                None
            }
            _ => None,
        };
        if let Some(inner) = inner {
            walk(&bytes[at..end], base + at, inner, found)?;
        }
        at = end;
    }
    Ok(())
}

fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f).checked_shl(7 * index as u32)?;
        if byte & 0x80 == 0 {
            return Some((value, index + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use demo::export::requests;
    use demo::shop::Config;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use prost::Message as _;

    use super::*;

    fn request(spans: u64) -> ExportTraceServiceRequest {
        let exports = requests(Config { spans: Some(spans), ..Config::default() }).unwrap();
        ExportTraceServiceRequest { resource_spans: exports.flat_map(|export| export.request.resource_spans).collect() }
    }

    #[test]
    fn facts_are_those_that_a_decoder_finds() {
        let request = request(3_000);
        let spans: Vec<_> = request.resource_spans.iter().flat_map(|r| &r.scope_spans).flat_map(|s| &s.spans).collect();
        let newest_end_unix_nanos = spans.iter().map(|span| span.end_time_unix_nano).max();
        let facts = facts(&request.encode_to_vec()).unwrap();
        assert_eq!(facts, Facts { spans: spans.len() as u64, newest_end_unix_nanos });
    }

    #[test]
    fn shifting_moves_every_time_and_nothing_else() {
        const BY: i64 = -86_400_000_000_123;
        let mut expected = request(3_000);
        let mut bytes = expected.encode_to_vec();
        for span in
            expected.resource_spans.iter_mut().flat_map(|r| &mut r.scope_spans).flat_map(|scope| &mut scope.spans)
        {
            span.start_time_unix_nano = shifted(span.start_time_unix_nano, BY);
            span.end_time_unix_nano = shifted(span.end_time_unix_nano, BY);
            for event in &mut span.events {
                event.time_unix_nano = shifted(event.time_unix_nano, BY);
            }
        }
        shift(&mut bytes, BY).unwrap();
        assert_eq!(ExportTraceServiceRequest::decode(&*bytes).unwrap(), expected);
    }

    #[test]
    fn an_absent_time_stays_absent_and_none_wraps_around() {
        assert_eq!(shifted(0, 5), 0);
        assert_eq!(shifted(3, -5), 0);
        assert_eq!(shifted(u64::MAX, 5), u64::MAX);
    }

    #[test]
    fn broken_bytes_are_named_and_never_panic() {
        let bytes = request(20).encode_to_vec();
        for cut in (0..bytes.len()).step_by(7) {
            let _ = facts(&bytes[..cut]);
        }
        for broken in
            [&[0x0a, 0x05][..], &[0x0b], &[0xff; 11], &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]]
        {
            assert_eq!(facts(broken), Err(Malformed(0)), "{broken:x?}");
        }
        assert_eq!(facts(&[]), Ok(Facts::default()));
    }
}
