//! One POST of OTLP/HTTP.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderName, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, Method, Request};
use http_body_util::Full;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use serde::Deserialize;

use super::payload::{Format, Payload};
use super::status::{Answer, RpcStatus, http_is_passing};
use super::{Accepted, Client, Failure, collect, unbuildable};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";
/// Of an answer that is no `google.rpc.Status`, for instance a proxy's page.
const SHOWN_CHARS: usize = 200;

pub(super) async fn export(client: &Client, payload: &Payload) -> Result<Accepted, Failure> {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(client.endpoint().uri())
        .header(CONTENT_TYPE, if payload.format == Format::Json { JSON } else { PROTOBUF })
        .header(USER_AGENT, concat!("spanhouse/", env!("CARGO_PKG_VERSION")));
    if let Some(name) = payload.compression.name() {
        request = request.header(CONTENT_ENCODING, name);
    }
    let request = request.body(Full::new(payload.body.clone())).map_err(unbuildable)?;
    let (head, body) = client.call(request).await?.into_parts();
    let body = collect(body).await?.to_bytes();
    let is_json = head.headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(JSON.as_bytes()));
    if head.status.is_success() {
        return Ok(accepted(partial_success(&body, is_json)));
    }
    let status = rpc_status(&body, is_json);
    let answer = Answer::new(head.status.to_string(), status.message.clone());
    if !http_is_passing(head.status.as_u16()) {
        return Err(Failure::Refused(answer));
    }
    let wait = retry_after(&head.headers).or_else(|| status.retry_delay());
    Err(Failure::Busy { answer, wait })
}

pub(super) fn accepted(partial_success: Option<(i64, String)>) -> Accepted {
    let (rejected_spans, message) = partial_success.unwrap_or_default();
    Accepted { rejected_spans: u64::try_from(rejected_spans).unwrap_or(0), message, tries: 1 }
}

/// An answer that cannot be read says 200 all the same: the server has the spans.
fn partial_success(body: &[u8], is_json: bool) -> Option<(i64, String)> {
    if is_json {
        let response: JsonResponse = serde_json::from_slice(body).ok()?;
        let partial = response.partial_success?;
        let rejected = match partial.rejected_spans {
            Some(JsonInteger::Number(number)) => number,
            Some(JsonInteger::Text(text)) => text.parse().unwrap_or(0),
            None => 0,
        };
        return Some((rejected, partial.error_message));
    }
    let partial = ExportTraceServiceResponse::decode(body).ok()?.partial_success?;
    Some((partial.rejected_spans, partial.error_message))
}

fn rpc_status(body: &Bytes, is_json: bool) -> RpcStatus {
    let status = if is_json {
        serde_json::from_slice(body).ok().map(|JsonStatus { message }| RpcStatus { message, ..Default::default() })
    } else {
        RpcStatus::decode(body.clone()).ok()
    };
    status.unwrap_or_else(|| {
        let text = String::from_utf8_lossy(body);
        RpcStatus { message: text.trim().chars().take(SHOWN_CHARS).collect(), ..Default::default() }
    })
}

/// Seconds, or a date. A date is taken against the server's own clock, which needs no trust in ours.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let value = text(&RETRY_AFTER)?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at: SystemTime = httpdate::parse_http_date(value).ok()?;
    let now = httpdate::parse_http_date(text(&DATE)?).ok()?;
    Some(at.duration_since(now).unwrap_or_default())
}

#[derive(Deserialize)]
struct JsonStatus {
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsonResponse {
    partial_success: Option<JsonPartialSuccess>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsonPartialSuccess {
    rejected_spans: Option<JsonInteger>,
    #[serde(default)]
    error_message: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum JsonInteger {
    Number(i64),
    Text(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(retry_after_value: &str, date: Option<&str>, expected_seconds: Option<u64>) {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, retry_after_value.parse().unwrap());
        if let Some(date) = date {
            headers.insert(DATE, date.parse().unwrap());
        }
        assert_eq!(retry_after(&headers), expected_seconds.map(Duration::from_secs), "{retry_after_value}");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let noon = "Mon, 05 Jan 2026 12:00:00 GMT";
        check("7", None, Some(7));
        check(" 0 ", None, Some(0));
        check("Mon, 05 Jan 2026 12:00:09 GMT", Some(noon), Some(9));
        check("Mon, 05 Jan 2026 11:00:00 GMT", Some(noon), Some(0));
        check(noon, None, None);
        check("-1", None, None);
        check("soon", Some(noon), None);
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }

    #[test]
    fn rejected_spans_are_read_from_text_and_numbers() {
        for body in [
            r#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"why"}}"#,
            r#"{"partialSuccess":{"rejectedSpans":3,"errorMessage":"why"}}"#,
        ] {
            assert_eq!(partial_success(body.as_bytes(), true), Some((3, "why".to_owned())));
        }
        assert_eq!(partial_success(b"{}", true), None);
        assert_eq!(partial_success(b"", false), None);
        assert_eq!(partial_success(b"\xff\xff", false), None);
    }

    #[test]
    fn a_page_of_a_proxy_becomes_a_short_message() {
        let page = Bytes::from(format!("<html>{}", "x".repeat(1_000)));
        assert_eq!(rpc_status(&page, false).message.chars().count(), SHOWN_CHARS);
        assert_eq!(rpc_status(&Bytes::from_static(br#"{"code":3,"message":"no"}"#), true).message, "no");
    }
}
