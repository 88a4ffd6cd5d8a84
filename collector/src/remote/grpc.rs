//! Polls over gRPC: `jaeger.api_v2.SamplingManager/GetSamplingStrategy`, unary, on HTTP/2 without TLS.

use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, Version};
use hyper::body::Incoming;

use super::metrics::Outcome;
use super::{MAX_REQUEST_BYTES, Remote, wire};
use crate::receiver::answer::AnswerBody;
use crate::receiver::body::BodyReader;
use crate::receiver::connection::Connection;
use crate::receiver::status::Refusal;
use crate::receiver::{grpc, head};
use crate::{Error, Result};

const PATH: &str = "/jaeger.api_v2.SamplingManager/GetSamplingStrategy";

pub async fn handle(
    remote: &Remote,
    connection: &Connection,
    request: Request<Incoming>,
) -> (Outcome, Response<AnswerBody>) {
    let (parts, body) = request.into_parts();
    let mut body = BodyReader::new(body, &remote.connections);
    if !head::is_grpc(&parts.headers) || parts.version != Version::HTTP_2 {
        connection.note_body(body.is_finished());
        return (Outcome::Refused, refuse_http(remote, &parts));
    }
    let served = match service(remote, connection, &parts, &mut body).await {
        Ok(service) => remote.serve(&service).await,
        Err(error) => Err(error),
    };
    match served {
        Ok(served) => (Outcome::Served, grpc::respond(&wire::response_protobuf(&served.strategy))),
        Err(error) => {
            let mut response = grpc::refused(&error, &Refusal::from(&error));
            if matches!(error, Error::UnsupportedEncoding(_)) {
                response.headers_mut().insert("grpc-accept-encoding", HeaderValue::from_static("identity"));
            }
            (Outcome::Refused, response)
        }
    }
}

async fn service(remote: &Remote, connection: &Connection, parts: &Parts, body: &mut BodyReader) -> Result<String> {
    head::check(&remote.connections, connection, parts)?;
    let path = parts.uri.path();
    if path != PATH {
        return Err(Error::NotServed(format!("{path} is not served; {PATH} is")));
    }
    let mut reserved = remote.in_flight.reserve(0)?;
    let (is_compressed, message) = grpc::read_message(body, MAX_REQUEST_BYTES, &mut reserved).await?;
    if is_compressed {
        // A service's name does not get smaller by it.
        let named = parts.headers.get("grpc-encoding").and_then(|name| name.to_str().ok());
        return Err(Error::UnsupportedEncoding(named.unwrap_or("unnamed").to_owned()));
    }
    wire::parameters_protobuf(&message)
}

fn refuse_http(remote: &Remote, parts: &Parts) -> Response<AnswerBody> {
    let right = remote.connections.http_address;
    let at = right.map_or_else(|| "the HTTP port".to_owned(), |address| format!("http://{address}"));
    let text = format!("this port is for sampling over gRPC; HTTP is at {at}");
    let text = if parts.method == Method::HEAD { Vec::new() } else { text.into_bytes() };
    let mut response = Response::new(AnswerBody::new(text));
    *response.status_mut() = http::StatusCode::NOT_FOUND;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
