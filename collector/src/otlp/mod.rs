//! A request's bytes to a batch of spans, and rows of spans back to a request's bytes.
//!
//! - `inflate`: gzip and zstd, bounded by what really comes out.
//! - `protobuf`, `json`: the two encodings, each read in one pass into a [`span::Span`] at a time.
//! - `findings`: what reading met besides data.
//! - `span`: one span as the readers fill it, borrowed from the request wherever possible.
//! - `attributes`, `value`: attribute lists, and values as tables hold them.
//! - `assemble`: the rules for spans, the same for both encodings, and the batch.
//! - `rejected`: what was refused or changed, and why.
//! - `encode`: the way back, for traces that leave.
//! - `folded`: the keys of what has a field in OTLP and no column; `words`: kinds and status codes.
//!
//! Everything here is pure: the outcome depends on the bytes, the limits and the request's arrival time alone, so that
//! a replay of the WAL gives the spans of the first time. Broken encoding costs the request; an invalid value costs
//! its span. Memory is bounded by the limits, recursion by `Limits::value_depth`, and nothing panics.

mod assemble;
mod attributes;
#[cfg(feature = "store")]
pub mod encode;
mod findings;
mod folded;
mod inflate;
mod json;
mod protobuf;
mod rejected;
mod span;
mod value;
mod words;

#[cfg(test)]
pub(crate) mod tests;

use storage::model::{SpanBatch, SpanBatchBuilder, UnixNanos};
use storage::{ContentType, Encoding, Request};

use crate::{Error, Limits, Result};
use assemble::Assembler;
pub use rejected::{Cause, Reason, Rejected, Tally, Warning, Warnings};

/// A decoded request.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// `None` if there is nothing to store.
    pub batch: Option<SpanBatch>,
    pub rejected: Rejected,
    pub warnings: Warnings,
    pub inflated_bytes: usize,
    /// Of the inflated body: what [`Request::content_hash`] wants.
    pub content_hash: u128,
}

/// Decodes a request's body as it came.
pub fn decode(
    limits: &Limits,
    content_type: ContentType,
    encoding: Encoding,
    body: &[u8],
    arrival: UnixNanos,
) -> Result<Decoded> {
    let body = inflate::inflate(encoding, body, limits.request_bytes)?;
    // Before it is decoded: hashing reads straight on, which brings the body into the cache for the decoder, who jumps.
    let content_hash = xxhash_rust::xxh3::xxh3_128(&body);
    let mut assembler = Assembler::new(limits, arrival);
    match content_type {
        ContentType::OtlpProtobuf => protobuf::decode(&body, &mut assembler)?,
        ContentType::OtlpJson => json::decode(&body, &mut assembler)?,
    }
    let (batch, rejected, warnings) = assembler.finish()?;
    Ok(Decoded { batch, rejected, warnings, inflated_bytes: body.len(), content_hash })
}

/// Decodes stored requests for the store's replay.
///
/// They were judged by the limits of their time, which they carry, so that today's lose nothing and bring nothing back. Of
/// `limits`, the sizes of requests do not count here.
#[derive(Debug, Clone, Default)]
pub struct OtlpDecoder {
    pub limits: Limits,
}

impl storage::Decoder for OtlpDecoder {
    fn decode(&self, request: &Request) -> Result<SpanBatch, Box<dyn std::error::Error + Send + Sync>> {
        let Request { arrival, content_type, encoding, body, judged_by, .. } = request;
        let limits = Limits {
            request_bytes: Limits::MAX_DECODED_BYTES,
            decoded_bytes: Limits::MAX_DECODED_BYTES,
            ..self.limits.judged_by(judged_by)
        };
        let mut batch = match decode(&limits, *content_type, *encoding, body, *arrival)?.batch {
            Some(batch) => batch,
            None => SpanBatchBuilder::default().finish().map_err(|error| Error::Internal(error.to_string()))?,
        };
        if Limits::is_thinned(judged_by) {
            batch.note_thinned();
        }
        Ok(batch)
    }
}
