//! Polls over HTTP: `GET` on any path with `?service=`, and `POST /api/v2/samplingStrategy`.

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use xxhash_rust::xxh3::xxh3_128;

use super::metrics::Outcome;
use super::{MAX_REQUEST_BYTES, Remote, wire};
use crate::receiver::answer::AnswerBody;
use crate::receiver::body::BodyReader;
use crate::receiver::connection::Connection;
use crate::receiver::status::Refusal;
use crate::receiver::{grpc as rpc_answers, head};
use crate::{Error, Result};

/// As the gRPC method is annotated.
const POST_PATH: &str = "/api/v2/samplingStrategy";
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

pub async fn handle(
    remote: &Remote,
    connection: &Connection,
    request: Request<Incoming>,
) -> (Outcome, Response<AnswerBody>) {
    let (parts, body) = request.into_parts();
    let mut body = BodyReader::new(body, &remote.connections);
    if head::is_grpc(&parts.headers) {
        let right = remote.connections.grpc_address;
        let at = right.map_or_else(|| "the gRPC port".to_owned(), |address| address.to_string());
        let error = Error::NotServed(format!("this port is for sampling over HTTP; gRPC is at {at}"));
        return (Outcome::Refused, rpc_answers::refused(&error, &Refusal::from(&error)));
    }
    let asked = service(remote, connection, &parts, &mut body).await;
    connection.note_body(body.is_finished());
    let answered = match asked {
        Ok(service) => answer(remote, &service, &parts).await,
        Err(error) => Err(error),
    };
    answered.unwrap_or_else(|error| (Outcome::Refused, refuse(&error, &parts)))
}

/// Which service a request asks for.
async fn service(remote: &Remote, connection: &Connection, parts: &Parts, body: &mut BodyReader) -> Result<String> {
    head::check(&remote.connections, connection, parts)?;
    match parts.method {
        Method::GET | Method::HEAD => {
            only_service(parts.uri.query().unwrap_or_default()).ok_or(Error::ServiceParameter)
        }
        Method::POST if parts.uri.path() == POST_PATH => {
            let mut reserved = remote.in_flight.reserve(0)?;
            wire::parameters_json(&body.read_all(MAX_REQUEST_BYTES, &mut reserved).await?)
        }
        Method::POST => Err(Error::NotServed(format!("{POST_PATH} is posted to, not {}", parts.uri.path()))),
        _ => Err(Error::MethodNotAllowed { method: parts.method.to_string(), allowed: "GET" }),
    }
}

async fn answer(remote: &Remote, service: &str, parts: &Parts) -> Result<(Outcome, Response<AnswerBody>)> {
    let body = wire::response_json(&remote.serve(service).await?.strategy);
    let tag = format!("\"{:032x}\"", xxh3_128(&body));
    let is_known = parts.method != Method::POST && is_known(&parts.headers, &tag);
    let shown = if is_known || parts.method == Method::HEAD { Vec::new() } else { body };
    let mut response = Response::new(AnswerBody::new(shown));
    let headers = response.headers_mut();
    // It is the same only until the next poll.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(ETAG, tag);
    }
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok((Outcome::Unchanged, response));
    }
    headers.insert(CONTENT_TYPE, JSON);
    Ok((Outcome::Served, response))
}

/// Whether the client has this already.
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    known.flat_map(|tags| tags.split(',')).map(str::trim).any(|known| {
        // Proxies that compress make a tag weak.
        known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag
    })
}

fn refuse(error: &Error, parts: &Parts) -> Response<AnswerBody> {
    let refusal = Refusal::from(error);
    let text = if parts.method == Method::HEAD { Vec::new() } else { refusal.message.into_bytes() };
    let mut response = Response::new(AnswerBody::new(text));
    *response.status_mut() = refusal.http_status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, TEXT);
    if let Some(seconds) = refusal.retry_seconds {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    if refusal.http_status == StatusCode::METHOD_NOT_ALLOWED {
        let allowed = if parts.uri.path() == POST_PATH { "GET, HEAD, POST" } else { "GET, HEAD" };
        headers.insert(ALLOW, HeaderValue::from_static(allowed));
    }
    response
}

/// The value of `service` in a query, if it is there once. What is not encoded properly is no parameter.
fn only_service(query: &str) -> Option<String> {
    let parameters = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let mut values = parameters.filter(|(name, _)| decoded(name).as_deref() == Some("service")).map(|(_, value)| value);
    match (values.next(), values.next()) {
        (Some(value), None) => decoded(value),
        _ => None,
    }
}

/// Form encoding, undone.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [char::from(bytes.next()?).to_digit(16)?, char::from(bytes.next()?).to_digit(16)?];
                u8::try_from(digits[0] << 4 | digits[1]).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_names_one_service() {
        for (query, expected) in [
            ("service=cart", Some("cart")),
            ("service=", Some("")),
            ("service", Some("")),
            ("a=b&service=cart&c=d", Some("cart")),
            ("service=gr%C3%BC%c3%9fe+an%20alle%2B%26", Some("grüße an alle+&")),
            ("%73ervice=cart", Some("cart")),
            ("services=cart", None),
            ("", None),
            ("service=cart&service=cart", None),
            ("service=cart&service=", None),
            ("service=%", None),
            ("service=%4", None),
            ("service=%zz", None),
            ("service=%+1", None),
            ("service=%ff", None),
            ("Service=cart", None),
        ] {
            assert_eq!(only_service(query).as_deref(), expected, "{query}");
        }
    }

    #[test]
    fn a_tag_is_known_by_itself_in_a_list_and_weakened() {
        for (known, expected) in
            [("\"a\"", true), ("\"b\", \"a\"", true), ("W/\"a\"", true), ("*", true), ("\"b\"", false), ("a", false)]
        {
            let headers = [(IF_NONE_MATCH, HeaderValue::from_static(known))].into_iter().collect();
            assert_eq!(is_known(&headers, "\"a\""), expected, "{known}");
        }
        assert!(!is_known(&HeaderMap::new(), "\"a\""));
    }
}
