//! Requests of web pages from other origins: taken from the configured ones, and never with credentials.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri};

use super::answer::AnswerBody;

/// Any origin; to be had only because credentials are never allowed.
const ANY: &str = "*";
const METHODS: HeaderValue = HeaderValue::from_static("POST");
const HEADERS: HeaderValue =
    HeaderValue::from_static("content-type, content-encoding, authorization, traceparent, tracestate");
/// What browsers cap it at, or more.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

/// Whether a setting is an origin as browsers write it, or any.
pub fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else { return text == ANY };
    // What a browser never sends would never match.
    let is_plain = !host.contains(['/', '?', '#', '@', '*']) && !text.bytes().any(|byte| byte.is_ascii_uppercase());
    !scheme.is_empty()
        && is_plain
        && text.parse::<Uri>().is_ok_and(|uri| uri.host().is_some_and(|name| !name.is_empty()))
}

/// What to answer as the allowed origin; `None` if the request names none, or one that is not allowed.
pub fn allowed(origins: &[String], headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(ORIGIN)?;
    if origins.iter().any(|allowed| allowed == ANY) {
        return Some(HeaderValue::from_static(ANY));
    }
    origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()).then(|| origin.clone())
}

pub fn is_preflight(parts: &Parts) -> bool {
    parts.method == Method::OPTIONS && parts.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

pub fn preflight() -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
    headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    response
}

/// Lets the page of `origin` read the answer.
pub fn allow(response: &mut Response<AnswerBody>, origin: HeaderValue) {
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(VARY, HeaderValue::from_static("Origin"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn otlp_1008_settings_that_no_browser_sends_are_no_origins() {
        for origin in ["*", "https://good.example", "http://localhost:5173", "http://[::1]:80", "moz-extension://a-b"] {
            assert!(is_origin(origin), "{origin}");
        }
        for other in [
            "",
            "null",
            "good.example",
            "https://",
            "https://good.example/",
            "https://good.example/path",
            "https://*.good.example",
            "https://Good.example",
            "https://user@good.example",
            "https://good.example?x",
            "https:// good.example",
            "://good.example",
        ] {
            assert!(!is_origin(other), "{other}");
        }
    }
}
