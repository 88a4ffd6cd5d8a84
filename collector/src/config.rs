//! Settings of the room, as data.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};

use crate::Error;
use crate::receiver::cors;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    pub limits: Limits,
    pub receiver: ReceiverConfig,
}

impl Config {
    pub fn validate(&self) -> Result<(), Error> {
        self.limits.validate()?;
        self.receiver.validate(&self.limits)
    }
}

/// What one request may cost. Nothing here can be switched off.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// A request's body, as it came and inflated; more is refused.
    pub request_bytes: usize,
    /// A request's columns. Each span repeats its resource, so that small requests can have large columns.
    pub decoded_bytes: usize,
    /// Attributes of one span, resource, scope, event or link; the surplus is cut and counted as dropped.
    pub attributes: usize,
    pub events_per_span: usize,
    pub links_per_span: usize,
    /// One key, name or attribute value; longer ones are cut.
    pub text_bytes: usize,
    /// Lists and key-value lists inside each other; a span with more is rejected. At most [`Limits::MAX_VALUE_DEPTH`].
    pub value_depth: usize,
    /// Spans that start or end further ahead of their arrival are rejected.
    pub future_seconds: u64,
    /// Spans that end longer before their arrival are rejected; `None` takes any age.
    pub max_age_seconds: Option<u64>,
    /// The answer to a request; its text is shortened to fit.
    pub response_bytes: usize,
    /// Bodies of all requests that are being received, decoded or made durable.
    pub in_flight_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_bytes: 64 * MIB,
            decoded_bytes: 256 * MIB,
            attributes: 4_096,
            events_per_span: 4_096,
            links_per_span: 4_096,
            text_bytes: MIB,
            value_depth: Self::MAX_VALUE_DEPTH,
            future_seconds: 24 * 60 * 60,
            max_age_seconds: None,
            response_bytes: 4 * MIB,
            in_flight_bytes: 128 * MIB,
        }
    }
}

impl Limits {
    /// Decoding recurses into values, so the stack bounds this.
    pub const MAX_VALUE_DEPTH: usize = 64;
    /// Offsets inside a column are 32 bits wide.
    pub const MAX_DECODED_BYTES: usize = 1_024 * MIB;
    const JUDGING_BYTES: usize = 7 * 8;

    /// The limits that decide which spans of a request count and what is cut off them, to be stored beside it.
    pub(crate) fn judging(&self) -> Bytes {
        let mut out = Vec::with_capacity(Self::JUDGING_BYTES);
        for limit in [self.attributes, self.events_per_span, self.links_per_span, self.text_bytes, self.value_depth] {
            out.put_u64_le(limit as u64);
        }
        out.put_u64_le(self.future_seconds);
        out.put_u64_le(self.max_age_seconds.unwrap_or(u64::MAX));
        out.into()
    }

    /// What [`judging`](Self::judging) gave, and that a sampler at the source may have taken spans away of which nothing tells.
    #[cfg(any(test, feature = "store"))]
    pub(crate) fn judging_thinned(judging: &Bytes) -> Bytes {
        [judging, &[1][..]].concat().into()
    }

    pub(crate) fn is_thinned(judging: &Bytes) -> bool {
        judging.len() == Self::JUDGING_BYTES + 1 && judging.ends_with(&[1])
    }

    /// These limits with what [`judging`](Self::judging) gave; as they are if that is of another version.
    pub(crate) fn judged_by(&self, judging: &Bytes) -> Self {
        let mut judging = judging.clone();
        if !(Self::JUDGING_BYTES..=Self::JUDGING_BYTES + 1).contains(&judging.len()) {
            return self.clone();
        }
        let mut next = || judging.get_u64_le();
        let mut size = || usize::try_from(next()).unwrap_or(usize::MAX);
        let (attributes, events_per_span, links_per_span, text_bytes, value_depth) =
            (size(), size(), size(), size(), size());
        Self {
            attributes,
            events_per_span,
            links_per_span,
            text_bytes,
            value_depth: value_depth.min(Self::MAX_VALUE_DEPTH),
            future_seconds: next(),
            max_age_seconds: Some(next()).filter(|seconds| *seconds != u64::MAX),
            ..self.clone()
        }
    }

    pub fn validate(&self) -> Result<(), Error> {
        let refuse = |message: String| Err(Error::Config(message));
        if self.request_bytes == 0 || self.request_bytes > Self::MAX_DECODED_BYTES {
            return refuse(format!("limits.request_bytes must be 1 to {}", Self::MAX_DECODED_BYTES));
        }
        if self.decoded_bytes == 0 || self.decoded_bytes > Self::MAX_DECODED_BYTES {
            return refuse(format!("limits.decoded_bytes must be 1 to {}", Self::MAX_DECODED_BYTES));
        }
        if self.value_depth > Self::MAX_VALUE_DEPTH {
            return refuse(format!("limits.value_depth must be at most {}", Self::MAX_VALUE_DEPTH));
        }
        if self.in_flight_bytes < self.request_bytes {
            return refuse("limits.in_flight_bytes must be at least limits.request_bytes".to_owned());
        }
        for (name, value) in [
            ("attributes", self.attributes),
            ("events_per_span", self.events_per_span),
            ("links_per_span", self.links_per_span),
            ("text_bytes", self.text_bytes),
        ] {
            if value == 0 {
                return refuse(format!("limits.{name} must be at least 1"));
            }
        }
        Ok(())
    }
}

/// How the servers treat connections.
#[derive(Debug, Clone, PartialEq)]
pub struct ReceiverConfig {
    /// Where the other port is, to name it to clients that mixed them up.
    pub grpc_address: Option<SocketAddr>,
    pub http_address: Option<SocketAddr>,
    /// Names that clients may use for a loopback listener, beside `localhost` and its own addresses.
    pub host_names: Vec<String>,
    /// Origins of web pages that may send over HTTP, as `https://shop.example`; `*` for any, since credentials are never
    /// allowed.
    pub cors_origins: Vec<String>,
    /// A path before `/v1/traces` that is taken too, as `/otlp`.
    pub path_prefix: String,
    /// Connections a listener keeps at once, if they are at most a quarter of the files that the process may open; more wait
    /// to be accepted.
    pub max_connections: usize,
    /// From a connection's or request head's first byte to the head's end, and the time that a stalled body, or a client that
    /// does not read its answer, gets.
    pub head_timeout: Duration,
    /// Over the last `head_timeout` a body must have come faster than this.
    pub body_min_bytes_per_second: usize,
    /// A connection without requests is closed after this, or after `head_timeout` while others wait to be accepted.
    pub idle_timeout: Duration,
    /// A connection is asked to end after this, so that clients spread anew.
    pub max_connection_age: Duration,
    /// How long a request may wait for its sync before it is answered "unavailable"; SDKs give up after 10 s.
    pub ack_timeout: Duration,
    /// How long requests in flight get after the shutdown.
    pub drain_timeout: Duration,
    /// Requests decoded at the same time; 0 is one a core.
    pub decoders: usize,
    /// The size of a request head.
    pub max_head_bytes: usize,
}

impl Default for ReceiverConfig {
    fn default() -> Self {
        Self {
            grpc_address: None,
            http_address: None,
            host_names: Vec::new(),
            cors_origins: Vec::new(),
            path_prefix: String::new(),
            max_connections: 4_096,
            head_timeout: Duration::from_secs(5),
            body_min_bytes_per_second: KIB,
            idle_timeout: Duration::from_secs(180),
            max_connection_age: Duration::from_secs(60 * 60),
            ack_timeout: Duration::from_secs(8),
            drain_timeout: Duration::from_secs(10),
            decoders: 0,
            max_head_bytes: 16 * KIB,
        }
    }
}

impl ReceiverConfig {
    fn validate(&self, _limits: &Limits) -> Result<(), Error> {
        if self.max_connections == 0 {
            return Err(Error::Config("max_connections must be at least 1".to_owned()));
        }
        if !self.path_prefix.is_empty() && (!self.path_prefix.starts_with('/') || self.path_prefix.ends_with('/')) {
            return Err(Error::Config(format!(
                "path prefix {:?} must begin with a slash and not end with one",
                self.path_prefix
            )));
        }
        if let Some(other) = self.cors_origins.iter().find(|origin| !cors::is_origin(origin)) {
            return Err(Error::Config(format!(
                "cors origin {other:?} is none; write it as browsers do, like \"https://shop.example\", or \"*\" for any"
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_judged_again_as_it_was_judged_first() {
        let then = Limits { future_seconds: 7, attributes: 3, max_age_seconds: Some(9), ..Limits::default() };
        let today = Limits { request_bytes: 5, text_bytes: 1, ..Limits::default() };
        assert_eq!(today.judged_by(&then.judging()), Limits { request_bytes: 5, ..then.clone() });
        assert!(!Limits::is_thinned(&then.judging()));
        let thinned = Limits::judging_thinned(&then.judging());
        assert!(Limits::is_thinned(&thinned));
        assert_eq!(today.judged_by(&thinned), today.judged_by(&then.judging()));
        let without_age = Limits { max_age_seconds: None, ..then };
        assert_eq!(today.judged_by(&without_age.judging()).max_age_seconds, None);
        assert_eq!(today.judged_by(&Bytes::from_static(b"?")), today);
    }

    #[test]
    fn defaults_are_valid_and_limits_cannot_be_switched_off() {
        assert!(Config::default().validate().is_ok());
        for limits in [
            Limits { request_bytes: 0, ..Limits::default() },
            Limits { decoded_bytes: usize::MAX, ..Limits::default() },
            Limits { value_depth: 65, ..Limits::default() },
            Limits { in_flight_bytes: 1, ..Limits::default() },
            Limits { attributes: 0, ..Limits::default() },
        ] {
            assert!(limits.validate().is_err(), "{limits:?}");
        }
    }

    #[test]
    fn otlp_1008_a_cors_origin_that_is_none_is_refused() {
        let with = |origin: &str| {
            let cors_origins = vec!["https://good.example".to_owned(), origin.to_owned()];
            let receiver = ReceiverConfig { cors_origins, ..ReceiverConfig::default() };
            Config { receiver, ..Config::default() }.validate()
        };
        assert!(with("*").is_ok());
        assert!(with("null").is_err_and(|error| error.to_string().contains("\"null\"")));
    }
}
