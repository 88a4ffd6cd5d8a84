//! What servers answer: `google.rpc.Status`, its details, and the codes of gRPC and HTTP.

use std::fmt;
use std::time::Duration;

use prost::Message;

/// A server's own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// `429 Too Many Requests`, `RESOURCE_EXHAUSTED`.
    pub code: String,
    pub message: String,
}

impl Answer {
    pub(super) fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.message.as_str() {
            "" => f.write_str(&self.code),
            message => write!(f, "{}: {message}", self.code),
        }
    }
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RpcStatus {
    #[prost(int32, tag = "1")]
    pub code: i32,
    #[prost(string, tag = "2")]
    pub message: String,
    #[prost(message, repeated, tag = "3")]
    pub details: Vec<Detail>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Detail {
    #[prost(string, tag = "1")]
    pub type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    pub retry_delay: Option<Delay>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Delay {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

impl RpcStatus {
    /// `Some` when there is a RetryInfo at all, even without a delay in it.
    pub(super) fn retry_delay(&self) -> Option<Duration> {
        let detail = self.details.iter().find(|detail| detail.type_url.ends_with("/google.rpc.RetryInfo"))?;
        let info = RetryInfo::decode(detail.value.as_slice()).ok()?;
        let delay = info.retry_delay.unwrap_or_default();
        let seconds = u64::try_from(delay.seconds).unwrap_or(0);
        let nanos = u32::try_from(delay.nanos).unwrap_or(0).min(999_999_999);
        Some(Duration::new(seconds, nanos))
    }
}

const GRPC_CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

pub(super) fn grpc_code(code: i32) -> String {
    let name = usize::try_from(code).ok().and_then(|index| GRPC_CODES.get(index));
    name.map_or_else(|| format!("gRPC status {code}"), |name| (*name).to_owned())
}

/// The codes that OTLP calls retryable; RESOURCE_EXHAUSTED counts only with RetryInfo.
pub(super) const fn grpc_is_passing(code: i32, has_retry_info: bool) -> bool {
    match code {
        // CANCELLED, DEADLINE_EXCEEDED, ABORTED, OUT_OF_RANGE, UNAVAILABLE, DATA_LOSS
        1 | 4 | 10 | 11 | 14 | 15 => true,
        8 => has_retry_info,
        _ => false,
    }
}

pub(super) const fn http_is_passing(status: u16) -> bool {
    matches!(status, 429 | 502 | 503 | 504)
}

/// Undoes the percent-encoding of `grpc-message`.
pub(super) fn percent_decoded(text: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        let code = match (first, tail) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        rest = if code.is_some() { &tail[2..] } else { tail };
        bytes.push(code.unwrap_or(*first));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_decoded_or_left_alone() {
        for (encoded, expected) in
            [("plain", "plain"), ("a%20b%C3%A4", "a bä"), ("50%", "50%"), ("%zz%2", "%zz%2"), ("%25", "%"), ("", "")]
        {
            assert_eq!(percent_decoded(encoded.as_bytes()), expected);
        }
    }

    #[test]
    fn delays_cannot_be_negative() {
        let status = |seconds, nanos| RpcStatus {
            details: vec![Detail {
                type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
                value: RetryInfo { retry_delay: Some(Delay { seconds, nanos }) }.encode_to_vec(),
            }],
            ..RpcStatus::default()
        };
        assert_eq!(status(2, 500_000_000).retry_delay(), Some(Duration::from_millis(2_500)));
        assert_eq!(status(-1, -1).retry_delay(), Some(Duration::ZERO));
        assert_eq!(status(i64::MAX, i32::MAX).retry_delay(), Some(Duration::new(i64::MAX as u64, 999_999_999)));
        assert_eq!(RpcStatus::default().retry_delay(), None);
    }
}
