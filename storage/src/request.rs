//! A client's request as the WAL keeps it: the bytes as they came, and what is needed to read them again.

use bytes::Bytes;

use crate::model::{SpanBatch, UnixNanos};

/// How a request's body is written. Storage passes it on to the [`Decoder`] and knows no more of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentType {
    OtlpProtobuf,
    OtlpJson,
}

/// How a request's body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

/// One accepted request.
#[derive(Debug, Clone)]
pub struct Request {
    pub arrival: UnixNanos,
    pub content_type: ContentType,
    pub encoding: Encoding,
    /// The client's bytes, still compressed.
    pub body: Bytes,
    /// Hash of the inflated body: tells a repeated request from a new one.
    pub content_hash: u128,
    /// What its spans were judged by, in the [`Decoder`]'s own form, so that settings of a later day change nothing.
    /// At most 255 bytes.
    pub judged_by: Bytes,
}

/// Turns a stored request into spans again.
///
/// It must be a pure function of the request: replay relies on the spans being those of the first time, in the same
/// order.
pub trait Decoder: Send + Sync + std::fmt::Debug {
    fn decode(&self, request: &Request) -> Result<SpanBatch, Box<dyn std::error::Error + Send + Sync>>;
}

/// What became of an appended request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// Durable and visible to queries.
    Stored,
    /// An equal request is durable already; this one left nothing.
    Duplicate,
}
