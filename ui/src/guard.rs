//! Which requests are answered at all, and the headers that every answer has.
//!
//! A page from elsewhere can make a browser send requests here, by its own name for this address (DNS rebinding) or by
//! a form. So the Host must be one that was named, and what changes state must come from this server's own page.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Method, header};

use crate::api::Server;
use crate::api::error::ApiError;
use crate::config::Config;

/// The content security policy without the part that names the nonce.
pub(crate) const POLICY: &str = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

pub(crate) async fn check(State(server): State<Server>, request: Request, next: Next) -> Result<Response, ApiError> {
    let host = host(&request).unwrap_or_default().to_ascii_lowercase();
    if !is_named(&host, &server.config) {
        return Err(ApiError::forbidden(format!(
            "host {host:?} is not one of this server's names; start it with --host-name to add it"
        )));
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        changes_state(request.headers(), &host)?;
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(POLICY));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    Ok(response)
}

/// HTTP/2 has the host in the address.
fn host(request: &Request) -> Option<&str> {
    let header = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    header.or_else(|| request.uri().authority().map(http::uri::Authority::as_str))
}

fn is_named(host: &str, config: &Config) -> bool {
    let name = without_port(host);
    LOOPBACK.contains(&name)
        || config.host_names.iter().any(|known| {
            let known = known.to_ascii_lowercase();
            name == known || name.trim_start_matches('[').trim_end_matches(']') == known
        })
}

fn without_port(host: &str) -> &str {
    if host.starts_with('[') {
        return host.find(']').map_or(host, |end| &host[..=end]);
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

fn changes_state(headers: &HeaderMap, host: &str) -> Result<(), ApiError> {
    if let Some(origin) = headers.get(header::ORIGIN) {
        let origin = origin.to_str().unwrap_or_default().to_ascii_lowercase();
        let from = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        if from != Some(host) {
            return Err(ApiError::forbidden(format!("origin {origin:?} may not change anything here")));
        }
    }
    if let Some(content_type) = headers.get(header::CONTENT_TYPE) {
        let content_type = content_type.to_str().unwrap_or_default().to_ascii_lowercase();
        if content_type.split(';').next().map(str::trim) != Some("application/json") {
            return Err(ApiError::forbidden(format!(
                "content type {content_type:?} is not taken; send application/json"
            )));
        }
    }
    Ok(())
}
