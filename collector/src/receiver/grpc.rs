//! OTLP/gRPC: `TraceService/Export`, unary, on HTTP/2 without TLS.
//!
//! The frame header is read here and not by a gRPC library, because the message stays compressed as the client sent it.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Response};
use hyper::body::Incoming;
use storage::{ContentType, Encoding};

use super::answer::AnswerBody;
use super::body::{BodyReader, Pieces};
use super::connection::Connection;
use super::in_flight::Reserved;
use super::intake::{Intake, fit};
use super::metrics::Hint;
use super::status::{Code, Refusal};
use super::{Receiver, head, http as otlp_http, rpc};
use crate::{Error, Result};

const PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const SERVICES: &str = "/opentelemetry.proto.collector.";
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const ENCODINGS: HeaderValue = HeaderValue::from_static("identity,gzip,zstd");
const HEADER_BYTES: usize = 5;

pub async fn handle(
    receiver: Arc<Receiver>,
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Response<AnswerBody> {
    let (parts, body) = request.into_parts();
    let mut body = BodyReader::new(body, &receiver.config.receiver);
    if !head::is_grpc(&parts.headers) || parts.version != http::Version::HTTP_2 {
        receiver.hint(Hint::HttpOnGrpcPort);
        connection.note_body(body.is_finished());
        let right = receiver.config.receiver.http_address;
        let at = right.map_or_else(|| "the HTTP port".to_owned(), |address| format!("http://{address}"));
        let error = Error::NotServed(format!("this port is for OTLP/gRPC; OTLP/HTTP is at {at}"));
        return otlp_http::refuse(&receiver, &error, ContentType::OtlpJson, parts.method == http::Method::HEAD);
    }
    match serve(&receiver, &connection, &parts, &mut body).await {
        Ok(answer) => respond(&answer),
        Err(error) => refuse(&receiver, &error),
    }
}

async fn serve(
    receiver: &Arc<Receiver>,
    connection: &Connection,
    parts: &http::request::Parts,
    body: &mut BodyReader,
) -> Result<Vec<u8>> {
    head::check(&receiver.config.receiver, connection, parts)?;
    let path = parts.uri.path();
    if path != PATH {
        receiver.hint(Hint::WrongPath);
        let detail = if path.starts_with(SERVICES) { "traces only: " } else { "" };
        return Err(Error::NotServed(format!("{detail}{path} is not served; {PATH} is")));
    }
    let named = match parts.headers.get("grpc-encoding") {
        Some(name) => {
            Some(head::encoding(name.to_str().unwrap_or("?")).inspect_err(|_| receiver.hint(Hint::BadEncoding))?)
        }
        None => None,
    };
    let mut reserved = receiver.in_flight.reserve(0)?;
    let (is_compressed, body) = read_message(body, receiver.config.limits.request_bytes, &mut reserved).await?;
    let encoding = match (is_compressed, named) {
        (false, _) => Encoding::Identity,
        (true, Some(encoding)) if encoding != Encoding::Identity => encoding,
        (true, _) => return Err(Error::Framing("the message is compressed, but grpc-encoding is not set".to_owned())),
    };
    let deadline = parts.headers.get("grpc-timeout").and_then(|value| timeout(value.to_str().ok()?));
    let intake = Intake { content_type: ContentType::OtlpProtobuf, encoding, body, reserved, deadline };
    let accepted = receiver.take(intake).await?;
    fit(&accepted, receiver.config.limits.response_bytes, rpc::response_protobuf)
}

/// The only message of a unary call, still compressed if its flag says so.
pub async fn read_message(body: &mut BodyReader, limit_bytes: usize, reserved: &mut Reserved) -> Result<(bool, Bytes)> {
    let mut pieces = Pieces::default();
    let mut header = None;
    while let Some(piece) = body.next().await? {
        pieces.push(piece);
        if header.is_none() && pieces.len() >= HEADER_BYTES {
            let joined = std::mem::take(&mut pieces).join();
            let (found, rest) = split_header(&joined, limit_bytes)?;
            reserved.grow_to(found.1)?;
            header = Some(found);
            pieces = Pieces::expecting(found.1);
            pieces.push(rest);
        }
        if header.is_some_and(|(_, length)| pieces.len() > length) {
            return Err(Error::MessageCount("more"));
        }
    }
    match header {
        None if pieces.len() == 0 => Err(Error::MessageCount("none")),
        Some((is_compressed, length)) if pieces.len() == length => Ok((is_compressed, pieces.join())),
        _ => Err(Error::Framing("the call ends inside its message".to_owned())),
    }
}

/// The compressed flag and the length; and what follows.
fn split_header(bytes: &Bytes, limit_bytes: usize) -> Result<((bool, usize), Bytes)> {
    let Some(([flag, length @ ..], _)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Err(Error::Framing("the call ends inside the header of its message".to_owned()));
    };
    let is_compressed = match flag {
        0 => false,
        1 => true,
        other => return Err(Error::Framing(format!("the compressed flag of the message is {other}"))),
    };
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    if length > limit_bytes {
        return Err(Error::TooLarge { what: "the message", limit_bytes: limit_bytes as u64 });
    }
    Ok(((is_compressed, length), bytes.slice(HEADER_BYTES..)))
}

/// gRPC's notation: at most eight digits and a unit.
fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count.saturating_mul(3_600)),
        "M" => Duration::from_secs(count.saturating_mul(60)),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

pub fn respond(message: &[u8]) -> Response<AnswerBody> {
    let mut data = vec![0];
    // The response limit keeps messages far below 4 GiB.
    data.extend((message.len() as u32).to_be_bytes());
    data.extend(message);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let mut response = Response::new(AnswerBody::with_trailers(data, trailers));
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    response
}

pub fn refuse(receiver: &Receiver, error: &Error) -> Response<AnswerBody> {
    let refusal = Refusal::from(error);
    receiver.count_refusal(error, &refusal);
    refused(error, &refusal)
}

/// Headers and trailers in one, as gRPC has it for errors.
pub fn refused(error: &Error, refusal: &Refusal) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::default());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, GRPC);
    headers.insert("grpc-status", (refusal.code as u32).into());
    let details = STANDARD_NO_PAD.encode(rpc::status_protobuf(refusal));
    for (name, value) in [("grpc-message", percent_encoded(&refusal.message)), ("grpc-status-details-bin", details)] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    if matches!(error, Error::UnsupportedEncoding(_)) && refusal.code == Code::Unimplemented {
        headers.insert("grpc-accept-encoding", ENCODINGS);
    }
    response
}

fn percent_encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_have_a_unit_and_at_most_eight_digits() {
        assert_eq!(timeout("10S"), Some(Duration::from_secs(10)));
        assert_eq!(timeout("99999999n"), Some(Duration::from_nanos(99_999_999)));
        for odd in ["", "S", "10", "-1S", "100000000S", "1é", "1x"] {
            assert_eq!(timeout(odd), None, "{odd}");
        }
    }

    #[test]
    fn messages_in_headers_are_printable_ascii() {
        assert_eq!(percent_encoded("100% \u{e9}\n"), "100%25 %C3%A9%0A");
    }
}
