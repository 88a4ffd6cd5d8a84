//! A request's bytes, as they go over the wire.

use std::io::Write;

use bytes::Bytes;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

use crate::Error;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Protobuf,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Payload {
    pub(super) body: Bytes,
    pub(super) format: Format,
    pub(super) compression: Compression,
}

impl Compression {
    /// The name in `Content-Encoding` and `grpc-encoding`.
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }

    pub fn compress(self, bytes: Vec<u8>) -> Result<Bytes, Error> {
        let compressed = match self {
            Self::None => Ok(bytes),
            Self::Gzip => {
                let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), flate2::Compression::fast());
                encoder.write_all(&bytes).and_then(|()| encoder.finish())
            }
            Self::Zstd => zstd::bulk::compress(&bytes, 1),
        };
        compressed.map(Bytes::from).map_err(|error| Error::Config(format!("compressing a request failed: {error}")))
    }
}

impl Payload {
    pub fn protobuf(request: &ExportTraceServiceRequest, compression: Compression) -> Result<Self, Error> {
        Ok(Self { body: compression.compress(request.encode_to_vec())?, format: Format::Protobuf, compression })
    }

    /// `body` is in that format and compressed in that way already.
    pub const fn encoded(body: Bytes, format: Format, compression: Compression) -> Self {
        Self { body, format, compression }
    }

    pub const fn len_bytes(&self) -> usize {
        self.body.len()
    }
}
