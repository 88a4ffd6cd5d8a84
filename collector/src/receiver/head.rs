//! What every server asks of a request's head.

use http::HeaderMap;
use http::header::{CONTENT_TYPE, HOST};
use http::request::Parts;
use storage::Encoding;

use super::connection::Connection;
use super::host;
use crate::config::ReceiverConfig;
use crate::{Error, Result};

/// Size, host name, and whether requests are taken at all.
pub fn check(config: &ReceiverConfig, connection: &Connection, head: &Parts) -> Result<()> {
    let max_head_bytes = config.max_head_bytes;
    let fields = head.headers.iter().map(|(name, value)| name.as_str().len().saturating_add(value.len()));
    let head_bytes = fields.fold(head.uri.path().len(), usize::saturating_add);
    if head_bytes > max_head_bytes {
        return Err(Error::HeadTooLarge(max_head_bytes));
    }
    let name = match head.uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => head.headers.get(HOST).map(|value| value.to_str().unwrap_or_default()),
    };
    // HTTP/1.0 knows no Host, and no browser speaks it.
    if let Some(name) = name
        && !host::is_allowed(name, connection.local_address(), &config.host_names)
    {
        return Err(Error::ForeignHost(name.to_owned()));
    }
    if connection.is_draining() {
        return Err(Error::Unavailable("the server is shutting down".to_owned()));
    }
    Ok(())
}

/// The media type, without parameters, in lower case.
pub fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let media_type = value.split(';').next().unwrap_or_default().trim();
    Some(media_type.to_ascii_lowercase())
}

pub fn is_grpc(headers: &HeaderMap) -> bool {
    let media_type = media_type(headers).unwrap_or_default();
    media_type == "application/grpc" || media_type.starts_with("application/grpc+")
}

pub fn encoding(name: &str) -> Result<Encoding> {
    let name = name.trim();
    for (known, encoding) in [("gzip", Encoding::Gzip), ("zstd", Encoding::Zstd), ("identity", Encoding::Identity)] {
        if name.eq_ignore_ascii_case(known) {
            return Ok(encoding);
        }
    }
    Err(Error::UnsupportedEncoding(name.to_owned()))
}
