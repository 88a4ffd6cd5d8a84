//! Where an OTLP server listens.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use http::Uri;

use crate::Error;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Grpc,
    Http,
}

/// Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    inner: Arc<Inner>,
}

#[derive(Debug, PartialEq, Eq)]
struct Inner {
    transport: Transport,
    /// With the path that requests go to.
    uri: Uri,
    shown: String,
}

const TRACES_PATH: &str = "/v1/traces";
const GRPC_PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

impl Endpoint {
    /// `http://host:port`, or just `host:port`. For HTTP a path before `/v1/traces` may follow.
    pub fn parse(text: &str, transport: Transport) -> Result<Self, Error> {
        let wrong = |reason: &str| Error::Config(format!("the address {text:?} {reason}, write http://HOST:PORT"));
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        if scheme == "https" {
            return Err(wrong("asks for TLS, which is not supported"));
        }
        if scheme != "http" {
            return Err(wrong("has an unknown scheme"));
        }
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, ""),
        };
        if rest.contains(['?', '#']) {
            return Err(wrong("has a query"));
        }
        let path = path.trim_end_matches('/');
        let path = match transport {
            Transport::Grpc if path.is_empty() => GRPC_PATH.to_owned(),
            Transport::Grpc => return Err(wrong("has a path, which gRPC does not take")),
            Transport::Http if path.ends_with(TRACES_PATH) => path.to_owned(),
            Transport::Http => format!("{path}{TRACES_PATH}"),
        };
        let uri = Uri::from_str(&format!("http://{authority}{path}")).map_err(|_| wrong("is no address"))?;
        let port = authority.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.ends_with(']'));
        if port.is_some() && uri.port_u16().is_none() {
            return Err(wrong("has no valid port"));
        }
        if uri.host().is_none_or(str::is_empty) {
            return Err(wrong("names no host"));
        }
        let shown = match transport {
            Transport::Grpc => format!("http://{authority}"),
            Transport::Http => uri.to_string(),
        };
        Ok(Self { inner: Arc::new(Inner { transport, uri, shown }) })
    }

    pub fn transport(&self) -> Transport {
        self.inner.transport
    }

    /// Host and port to connect to.
    pub fn authority(&self) -> (&str, u16) {
        let host = self.inner.uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        (host, self.inner.uri.port_u16().unwrap_or(80))
    }

    pub(super) fn uri(&self) -> &Uri {
        &self.inner.uri
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, transport: Transport, expected: &str) {
        let found = match Endpoint::parse(text, transport) {
            Ok(endpoint) => endpoint.uri().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(found.contains(expected), "{text}: {found}");
    }

    #[test]
    fn addresses_are_read_as_exporters_read_them() {
        for base in ["http://127.0.0.1:4318", "127.0.0.1:4318", "http://127.0.0.1:4318/", "127.0.0.1:4318/v1/traces"] {
            check(base, Transport::Http, "http://127.0.0.1:4318/v1/traces");
        }
        check("http://host/otlp/", Transport::Http, "http://host/otlp/v1/traces");
        check("[::1]:4318", Transport::Http, "http://[::1]:4318/v1/traces");
        check("localhost:4317", Transport::Grpc, "http://localhost:4317/opentelemetry.proto.collector.trace.v1.Trace");
        check("localhost:4317/x", Transport::Grpc, "has a path");
        check("https://host", Transport::Http, "TLS, which is not supported");
        check("ftp://host", Transport::Http, "unknown scheme");
        check("", Transport::Http, "is no address");
        check("host:99999", Transport::Http, "has no valid port");
        check("host:", Transport::Http, "has no valid port");
        check("[::1]", Transport::Http, "http://[::1]/v1/traces");
        check("host?x", Transport::Http, "has a query");
    }

    #[test]
    fn what_is_shown_can_be_copied() -> Result<(), Error> {
        let endpoint = Endpoint::parse("[::1]:4318", Transport::Http)?;
        assert_eq!(endpoint.to_string(), "http://[::1]:4318/v1/traces");
        assert_eq!(endpoint.authority(), ("::1", 4318));
        assert_eq!(Endpoint::parse(&endpoint.to_string(), Transport::Http)?, endpoint);
        Ok(())
    }
}
