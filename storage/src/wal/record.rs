//! What the log holds, and its bytes.

use std::borrow::Cow;

use bytes::{Buf, BufMut, Bytes};

use crate::model::{TraceId, UnixNanos};
use crate::request::{ContentType, Encoding, Request};

/// What was decided of one pending trace.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    pub trace_id: TraceId,
    /// Whether its spans are stored. Its digest is, either way.
    pub keep: bool,
    /// How many traces of the real stream its stored spans stand for; `None` if unknown.
    pub adjusted_count: Option<f64>,
    /// How many traces of the real stream arrived as this one; `None` if unknown.
    pub head_count: Option<f64>,
    /// What gave it its weight.
    pub keep_reason: Cow<'static, str>,
    pub class: Cow<'static, str>,
    /// Equal for traces with the same distinct edges.
    pub shape: u64,
    pub policy_revision: i64,
}

impl Decision {
    /// A trace that stands for itself.
    pub fn keep_all(trace_id: TraceId) -> Self {
        Self {
            trace_id,
            keep: true,
            adjusted_count: Some(1.0),
            head_count: Some(1.0),
            keep_reason: Cow::Borrowed("all"),
            class: Cow::Borrowed("normal"),
            shape: 0,
            policy_revision: 0,
        }
    }
}

/// One entry of the log. Memory is a fold over these in order, live and at replay alike.
#[derive(Debug, Clone)]
pub enum Record {
    /// An accepted request; its spans are pending from here on.
    Request(Request),
    /// The named traces' pending spans belong to the open flush epoch from here on.
    Decisions(Vec<Decision>),
    /// The flush epoch ends here, and the next one opens.
    Seal { epoch: u64 },
}

pub(super) const REQUEST: u8 = 1;
/// Decisions as they were before there were classes: read, no longer written.
pub(super) const PLAIN_DECISIONS: u8 = 2;
pub(super) const SEAL: u8 = 3;
/// A frame that stands for records that were cut out. Replay alone reads it, so it is no [`Record`].
pub(super) const CUT: u8 = 4;
pub(super) const DECISIONS: u8 = 5;

/// The bytes are whole, by their checksum, yet they are no record that this version knows.
#[derive(Debug, thiserror::Error)]
#[error("a record of type {kind} cannot be read: {why}")]
pub struct UnknownRecord {
    pub kind: u8,
    pub why: &'static str,
}

impl Record {
    pub(super) fn kind(&self) -> u8 {
        match self {
            Record::Request(_) => REQUEST,
            Record::Decisions(_) => DECISIONS,
            Record::Seal { .. } => SEAL,
        }
    }

    /// An upper bound, near the true size.
    pub(super) fn size_hint(&self) -> usize {
        match self {
            Record::Request(request) => request.body.len() + request.judged_by.len() + 32,
            Record::Decisions(decisions) => {
                8 + decisions
                    .iter()
                    .map(|decision| 64 + decision.keep_reason.len() + decision.class.len())
                    .sum::<usize>()
            }
            Record::Seal { .. } => 8,
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.write_head(out);
        out.extend_from_slice(&self.tail());
    }

    /// The record's last bytes, where they lie somewhere as they are.
    pub(super) fn tail(&self) -> Bytes {
        match self {
            Record::Request(request) => request.body.clone(),
            Record::Decisions(_) | Record::Seal { .. } => Bytes::new(),
        }
    }

    /// All but [`tail`](Self::tail).
    pub(super) fn write_head(&self, out: &mut Vec<u8>) {
        match self {
            Record::Request(request) => {
                out.put_i64_le(request.arrival.0);
                out.put_u8(match request.content_type {
                    ContentType::OtlpProtobuf => 0,
                    ContentType::OtlpJson => 1,
                });
                out.put_u8(match request.encoding {
                    Encoding::Identity => 0,
                    Encoding::Gzip => 1,
                    Encoding::Zstd => 2,
                });
                out.put_u128_le(request.content_hash);
                let length = u8::try_from(request.judged_by.len()).unwrap_or(u8::MAX);
                out.put_u8(length);
                out.extend_from_slice(&request.judged_by[..usize::from(length)]);
            }
            Record::Decisions(decisions) => {
                for decision in decisions {
                    out.extend_from_slice(decision.trace_id.as_bytes());
                    out.put_u8(u8::from(decision.keep));
                    out.put_f64_le(decision.adjusted_count.unwrap_or(f64::NAN));
                    out.put_f64_le(decision.head_count.unwrap_or(f64::NAN));
                    out.put_u64_le(decision.shape);
                    out.put_i64_le(decision.policy_revision);
                    for word in [&decision.keep_reason, &decision.class] {
                        let length = u8::try_from(word.len()).unwrap_or(u8::MAX);
                        out.put_u8(length);
                        out.extend_from_slice(&word.as_bytes()[..usize::from(length)]);
                    }
                }
            }
            Record::Seal { epoch } => out.put_u64_le(*epoch),
        }
    }

    pub(super) fn read(kind: u8, mut bytes: Bytes) -> Result<Self, UnknownRecord> {
        let unknown = |why| UnknownRecord { kind, why };
        match kind {
            REQUEST => {
                if bytes.len() < 27 {
                    return Err(unknown("it is too short"));
                }
                let arrival = UnixNanos(bytes.get_i64_le());
                let content_type = match bytes.get_u8() {
                    0 => ContentType::OtlpProtobuf,
                    1 => ContentType::OtlpJson,
                    _ => return Err(unknown("its content type is of a later version")),
                };
                let encoding = match bytes.get_u8() {
                    0 => Encoding::Identity,
                    1 => Encoding::Gzip,
                    2 => Encoding::Zstd,
                    _ => return Err(unknown("its encoding is of a later version")),
                };
                let content_hash = bytes.get_u128_le();
                let length = usize::from(bytes.get_u8());
                if bytes.len() < length {
                    return Err(unknown("what judged it is cut short"));
                }
                let judged_by = bytes.split_to(length);
                Ok(Record::Request(Request { arrival, content_type, encoding, body: bytes, content_hash, judged_by }))
            }
            DECISIONS | PLAIN_DECISIONS => {
                let read = if kind == DECISIONS { read_decision } else { read_plain_decision };
                let mut decisions = Vec::new();
                while bytes.has_remaining() {
                    decisions.push(read(&mut bytes).ok_or_else(|| unknown("a decision is cut short"))?);
                }
                Ok(Record::Decisions(decisions))
            }
            SEAL if bytes.len() == 8 => Ok(Record::Seal { epoch: bytes.get_u64_le() }),
            SEAL => Err(unknown("its length is not 8")),
            _ => Err(unknown("it is of a later version")),
        }
    }
}

fn read_decision(bytes: &mut Bytes) -> Option<Decision> {
    if bytes.len() < 49 {
        return None;
    }
    let trace_id = TraceId::from_slice(&bytes.split_to(TraceId::LENGTH)).ok()?;
    let keep = bytes.get_u8() != 0;
    let adjusted_count = Some(bytes.get_f64_le()).filter(|count| !count.is_nan());
    let head_count = Some(bytes.get_f64_le()).filter(|count| !count.is_nan());
    let shape = bytes.get_u64_le();
    let policy_revision = bytes.get_i64_le();
    let keep_reason = read_word(bytes)?;
    let class = read_word(bytes)?;
    Some(Decision { trace_id, keep, adjusted_count, head_count, keep_reason, class, shape, policy_revision })
}

fn read_plain_decision(bytes: &mut Bytes) -> Option<Decision> {
    if bytes.len() < 34 {
        return None;
    }
    let trace_id = TraceId::from_slice(&bytes.split_to(TraceId::LENGTH)).ok()?;
    let keep = bytes.get_u8() != 0;
    let adjusted_count = Some(bytes.get_f64_le()).filter(|count| !count.is_nan());
    let policy_revision = bytes.get_i64_le();
    let keep_reason = read_word(bytes)?;
    Some(Decision { keep, adjusted_count, keep_reason, policy_revision, ..Decision::keep_all(trace_id) })
}

/// A length of one byte, and text.
fn read_word(bytes: &mut Bytes) -> Option<Cow<'static, str>> {
    let length = usize::from(bytes.try_get_u8().ok()?);
    if bytes.len() < length {
        return None;
    }
    String::from_utf8(bytes.split_to(length).to_vec()).ok().map(Cow::Owned)
}
