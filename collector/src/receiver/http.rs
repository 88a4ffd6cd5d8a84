//! OTLP/HTTP: `POST /v1/traces`.

use std::sync::Arc;

use http::header::{ACCEPT, ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use storage::{ContentType, Encoding};

use super::answer::AnswerBody;
use super::body::BodyReader;
use super::connection::Connection;
use super::intake::{Intake, fit};
use super::metrics::Hint;
use super::status::Refusal;
use super::{Receiver, cors, grpc, head, rpc};
use crate::{Error, Result};

const PATH: &str = "/v1/traces";
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const ENCODINGS: HeaderValue = HeaderValue::from_static("gzip, zstd, identity");

pub async fn handle(
    receiver: Arc<Receiver>,
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Response<AnswerBody> {
    let (parts, body) = request.into_parts();
    if head::is_grpc(&parts.headers) {
        receiver.hint(Hint::GrpcOnHttpPort);
        let right = receiver.config.receiver.grpc_address;
        let at = right.map_or_else(|| "the gRPC port".to_owned(), |address| address.to_string());
        return grpc::refuse(&receiver, &Error::NotServed(format!("this port is for OTLP/HTTP; OTLP/gRPC is at {at}")));
    }
    let origin = cors::allowed(&receiver.config.receiver.cors_origins, &parts.headers);
    let mut body = BodyReader::new(body, &receiver.config.receiver);
    let outcome = match &origin {
        Some(_) if cors::is_preflight(&parts) => check(&receiver, &connection, &parts).map(|()| cors::preflight()),
        _ => serve(&receiver, &connection, &parts, &mut body).await,
    };
    connection.note_body(body.is_finished());
    let mut response = outcome.unwrap_or_else(|error| {
        refuse(&receiver, &error, answer_encoding(&parts.headers), parts.method == Method::HEAD)
    });
    if let Some(origin) = origin {
        cors::allow(&mut response, origin);
    }
    response
}

/// What is asked of every request here, whatever its method.
fn check(receiver: &Receiver, connection: &Connection, parts: &http::request::Parts) -> Result<()> {
    head::check(&receiver.config.receiver, connection, parts)?;
    check_path(receiver, parts.uri.path())
}

async fn serve(
    receiver: &Arc<Receiver>,
    connection: &Connection,
    parts: &http::request::Parts,
    body: &mut BodyReader,
) -> Result<Response<AnswerBody>> {
    check(receiver, connection, parts)?;
    if parts.method != Method::POST {
        return Err(Error::MethodNotAllowed { method: parts.method.to_string(), allowed: "POST" });
    }
    let formats = content_type(&parts.headers).and_then(|found| Ok((found, content_encoding(&parts.headers)?)));
    let (content_type, encoding) = formats.inspect_err(|_| receiver.hint(Hint::BadEncoding))?;

    let limits = &receiver.config.limits;
    let announced = usize::try_from(body.announced_bytes().unwrap_or(0)).unwrap_or(usize::MAX);
    if announced > limits.request_bytes {
        return Err(Error::TooLarge { what: "the request body", limit_bytes: limits.request_bytes as u64 });
    }
    let mut reserved = receiver.in_flight.reserve(announced)?;
    let body = body.read_all(limits.request_bytes, &mut reserved).await?;
    // Nothing was sent, so nothing was compressed either.
    let encoding = if body.is_empty() { Encoding::Identity } else { encoding };
    let accepted = receiver.take(Intake { content_type, encoding, body, reserved, deadline: None }).await?;
    let encode: fn(u64, &str) -> Vec<u8> = match content_type {
        ContentType::OtlpJson => rpc::response_json,
        ContentType::OtlpProtobuf => rpc::response_protobuf,
    };
    Ok(respond(content_type, fit(&accepted, limits.response_bytes, encode)?))
}

fn respond(content_type: ContentType, message: Vec<u8>) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::new(message));
    let media_type = match content_type {
        ContentType::OtlpJson => JSON,
        ContentType::OtlpProtobuf => PROTOBUF,
    };
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response
}

fn check_path(receiver: &Receiver, path: &str) -> Result<()> {
    let trimmed = path.strip_suffix('/').unwrap_or(path);
    let prefix = receiver.config.receiver.path_prefix.as_str();
    if trimmed == PATH || (!prefix.is_empty() && trimmed.strip_prefix(prefix) == Some(PATH)) {
        return Ok(());
    }
    receiver.hint(Hint::WrongPath);
    let other_signals = ["/v1/metrics", "/v1/logs", "/v1development/profiles", "/v1/profiles"];
    if other_signals.iter().any(|signal| trimmed.ends_with(signal)) {
        return Err(Error::NotServed(format!("traces only: {PATH}, not {trimmed}")));
    }
    Err(Error::NotServed(format!("traces are posted to {PATH}, not to {path}")))
}

fn content_type(headers: &HeaderMap) -> Result<ContentType> {
    match head::media_type(headers).as_deref() {
        Some("application/x-protobuf" | "application/protobuf") => Ok(ContentType::OtlpProtobuf),
        Some("application/json") => Ok(ContentType::OtlpJson),
        Some(other) => Err(Error::UnsupportedContentType(format!(
            "content type {other:?} is not supported; use application/x-protobuf or application/json"
        ))),
        None => Err(Error::UnsupportedContentType(
            "the content type is missing; use application/x-protobuf or application/json".to_owned(),
        )),
    }
}

fn content_encoding(headers: &HeaderMap) -> Result<Encoding> {
    let mut values = headers.get_all(CONTENT_ENCODING).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(Encoding::Identity),
        (Some(value), None) => head::encoding(value.to_str().unwrap_or("?")),
        (Some(_), Some(_)) => Err(Error::UnsupportedEncoding("more than one".to_owned())),
    }
}

/// Errors are answered as the request was written, and in JSON where that is unknown and nothing better is asked for.
fn answer_encoding(headers: &HeaderMap) -> ContentType {
    if let Ok(content_type) = content_type(headers) {
        return content_type;
    }
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.contains("protobuf") && !accept.contains("json") {
        ContentType::OtlpProtobuf
    } else {
        ContentType::OtlpJson
    }
}

pub fn refuse(receiver: &Receiver, error: &Error, answers_in: ContentType, is_head: bool) -> Response<AnswerBody> {
    let refusal = Refusal::from(error);
    receiver.count_refusal(error, &refusal);
    let status = match answers_in {
        _ if is_head => Vec::new(),
        ContentType::OtlpJson => rpc::status_json(&refusal),
        ContentType::OtlpProtobuf => rpc::status_protobuf(&refusal),
    };
    let mut response = respond(answers_in, status);
    *response.status_mut() = refusal.http_status;
    let headers = response.headers_mut();
    if let Some(seconds) = refusal.retry_seconds {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    match refusal.http_status {
        StatusCode::METHOD_NOT_ALLOWED => drop(headers.insert(ALLOW, HeaderValue::from_static("POST"))),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => drop(headers.insert(ACCEPT_ENCODING, ENCODINGS)),
        _ => {}
    }
    response
}
