//! One unary gRPC call over HTTP/2, without a gRPC library: a five-byte frame around the message, status in trailers.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use bytes::{BufMut, BytesMut};
use http::header::{CONTENT_TYPE, TE, USER_AGENT};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::Full;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;

use super::http::accepted;
use super::payload::{Format, Payload};
use super::status::{Answer, RpcStatus, grpc_code, grpc_is_passing, http_is_passing, percent_decoded};
use super::{Accepted, Client, Failure, collect, unbuildable};

const FRAME_HEADER_BYTES: usize = 5;

pub(super) async fn export(client: &Client, payload: &Payload) -> Result<Accepted, Failure> {
    let response = client.call(request(client, payload)?).await?;
    let (head, body) = response.into_parts();
    if head.status != StatusCode::OK {
        let answer = Answer::new(head.status.to_string(), "not an answer of gRPC, is this the gRPC port?");
        return Err(match http_is_passing(head.status.as_u16()) {
            true => Failure::Busy { answer, wait: None },
            false => Failure::Refused(answer),
        });
    }
    let collected = collect(body).await?;
    // Without a message the status may stand in the headers.
    let trailers = collected.trailers().cloned().unwrap_or_default();
    let status = [&trailers, &head.headers].into_iter().find(|headers| headers.contains_key("grpc-status"));
    let Some(status) = status else {
        let answer = Answer::new(head.status.to_string(), "no grpc-status in the answer, is this the gRPC port?");
        return Err(Failure::Refused(answer));
    };
    outcome(status)?;
    let bytes = collected.to_bytes();
    let message = bytes.get(FRAME_HEADER_BYTES..).unwrap_or_default();
    let response = ExportTraceServiceResponse::decode(message).unwrap_or_default();
    Ok(accepted(response.partial_success.map(|partial| (partial.rejected_spans, partial.error_message))))
}

fn request(client: &Client, payload: &Payload) -> Result<Request<Full<bytes::Bytes>>, Failure> {
    let refused = |message: &str| Failure::Refused(Answer::new("invalid request", message));
    if payload.format != Format::Protobuf {
        return Err(refused("gRPC takes protobuf only"));
    }
    let len = u32::try_from(payload.body.len()).map_err(|_| refused("more than 4 GiB in one request"))?;
    let mut frame = BytesMut::with_capacity(FRAME_HEADER_BYTES + payload.body.len());
    frame.put_u8(u8::from(payload.compression.name().is_some()));
    frame.put_u32(len);
    frame.extend_from_slice(&payload.body);
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(client.endpoint().uri())
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .header(USER_AGENT, concat!("spanhouse/", env!("CARGO_PKG_VERSION")))
        .header("grpc-timeout", format!("{}m", client.timeout().as_millis().clamp(1, 99_999_999)));
    if let Some(name) = payload.compression.name() {
        request = request.header("grpc-encoding", name);
    }
    request.body(Full::new(frame.freeze())).map_err(unbuildable)
}

fn outcome(headers: &HeaderMap) -> Result<(), Failure> {
    let text = |name: &str| headers.get(name).map(|value| value.as_bytes()).unwrap_or_default();
    let code = std::str::from_utf8(text("grpc-status")).ok().and_then(|code| code.parse().ok()).unwrap_or(2);
    if code == 0 {
        return Ok(());
    }
    let details = text("grpc-status-details-bin");
    let details = STANDARD_NO_PAD.decode(details).or_else(|_| STANDARD.decode(details)).unwrap_or_default();
    let details = RpcStatus::decode(details.as_slice()).unwrap_or_default();
    let mut message = percent_decoded(text("grpc-message"));
    if message.is_empty() {
        message.clone_from(&details.message);
    }
    let answer = Answer::new(grpc_code(code), message);
    let wait = details.retry_delay();
    Err(match grpc_is_passing(code, wait.is_some()) {
        true => Failure::Busy { answer, wait },
        false => Failure::Refused(answer),
    })
}
