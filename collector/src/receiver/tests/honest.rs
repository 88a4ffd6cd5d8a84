//! A client that we did not write: tonic, with each compression that it has.

use bytes::Buf;
use bytes::BufMut;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::client::{EXPORT, request, span};
use super::server::{Mood, Server};

/// prost as tonic's codec, of which tonic itself has none since 0.14.
#[derive(Debug, Clone, Copy, Default)]
struct Prost;

impl Codec for Prost {
    type Encode = ExportTraceServiceRequest;
    type Decode = ExportTraceServiceResponse;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Prost {
    type Item = ExportTraceServiceRequest;
    type Error = Status;

    fn encode(&mut self, item: Self::Item, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&item.encode_to_vec());
        Ok(())
    }
}

impl Decoder for Prost {
    type Item = ExportTraceServiceResponse;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        let bytes = from.copy_to_bytes(from.remaining());
        Message::decode(bytes).map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}

async fn export(
    server: &Server,
    encoding: Option<CompressionEncoding>,
    message: ExportTraceServiceRequest,
) -> Result<ExportTraceServiceResponse, Status> {
    let channel = Channel::from_shared(format!("http://{}", server.grpc)).unwrap().connect().await.unwrap();
    let mut client = tonic::client::Grpc::new(channel);
    if let Some(encoding) = encoding {
        client = client.send_compressed(encoding).accept_compressed(encoding);
    }
    client.ready().await.unwrap();
    let answer = client.unary(tonic::Request::new(message), EXPORT.parse().unwrap(), Prost).await?;
    Ok(answer.into_inner())
}

#[tokio::test]
async fn tonic_exports_plain_and_compressed() {
    let server = Server::start().await;
    for (number, encoding) in (0..).zip([None, Some(CompressionEncoding::Gzip), Some(CompressionEncoding::Zstd)]) {
        let answer = export(&server, encoding, request(vec![span(number)])).await.unwrap();
        assert_eq!(answer.partial_success, None);
    }
    assert_eq!(server.sink.span_count(), 3);
}

#[tokio::test]
async fn tonic_reads_partial_success_and_errors() {
    let server = Server::start().await;
    let answer = export(&server, None, request(vec![Span::default()])).await.unwrap();
    assert_eq!(answer.partial_success.unwrap().rejected_spans, 1);
    server.set_mood(Mood::Busy);
    let status = export(&server, None, request(vec![span(1)])).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, "pending traces use all their memory"));
    assert!(!status.details().is_empty());
    server.set_mood(Mood::Closed);
    assert_eq!(export(&server, None, request(vec![span(1)])).await.unwrap_err().code(), Code::Unavailable);
}
