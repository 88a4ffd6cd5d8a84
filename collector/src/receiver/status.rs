//! Errors as OTLP answers, for both transports.
//!
//! INTERNAL, UNKNOWN and 500 make every SDK drop its data, so they are for bugs and never for a state that passes.

use http::StatusCode;
use rand::Rng;

use crate::Error;

/// The answers of the specification, plus what HTTP and gRPC have for requests that are none of OTLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Bad,
    TooLarge,
    SlowDown,
    Unavailable,
    /// Compression or content type.
    Unsupported,
    /// Path, method name or number of messages.
    NotServed,
    Forbidden,
    /// The client was too slow, or its deadline has passed.
    Timeout,
    Internal,
}

impl Answer {
    pub const ALL: [Answer; 9] = [
        Answer::Bad,
        Answer::TooLarge,
        Answer::SlowDown,
        Answer::Unavailable,
        Answer::Unsupported,
        Answer::NotServed,
        Answer::Forbidden,
        Answer::Timeout,
        Answer::Internal,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Answer::Bad => "bad",
            Answer::TooLarge => "too_large",
            Answer::SlowDown => "slow_down",
            Answer::Unavailable => "unavailable",
            Answer::Unsupported => "unsupported",
            Answer::NotServed => "not_served",
            Answer::Forbidden => "forbidden",
            Answer::Timeout => "timeout",
            Answer::Internal => "internal",
        }
    }
}

/// gRPC's status codes, as far as they are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    Cancelled = 1,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
}

/// What a client is told of an error.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    pub answer: Answer,
    pub code: Code,
    pub http_status: StatusCode,
    pub message: String,
    /// Where the request is broken, and how.
    pub violation: Option<(String, String)>,
    /// Set exactly when the same request may succeed later.
    pub retry_seconds: Option<u64>,
}

/// Longer messages are cut, so that with its encodings a message stays below the 8 KiB that clients take in headers.
const MESSAGE_BYTES: usize = 1_024;

impl From<&Error> for Refusal {
    fn from(error: &Error) -> Self {
        use Answer::*;
        let (answer, code, http_status) = match error {
            Error::Malformed { .. } => (Bad, Code::InvalidArgument, StatusCode::BAD_REQUEST),
            Error::ServiceParameter => (Bad, Code::InvalidArgument, StatusCode::BAD_REQUEST),
            Error::BodyBroken(_) => (Bad, Code::Cancelled, StatusCode::BAD_REQUEST),
            Error::TooLarge { .. } => (TooLarge, Code::ResourceExhausted, StatusCode::PAYLOAD_TOO_LARGE),
            Error::HeadTooLarge(_) => (TooLarge, Code::ResourceExhausted, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
            Error::ResponseTooLarge(_) => (TooLarge, Code::ResourceExhausted, StatusCode::INTERNAL_SERVER_ERROR),
            Error::UnsupportedEncoding(_) | Error::UnsupportedContentType(_) => {
                (Unsupported, Code::Unimplemented, StatusCode::UNSUPPORTED_MEDIA_TYPE)
            }
            Error::NotServed(_) | Error::MessageCount(_) => (NotServed, Code::Unimplemented, StatusCode::NOT_FOUND),
            Error::MethodNotAllowed { .. } => (NotServed, Code::Unimplemented, StatusCode::METHOD_NOT_ALLOWED),
            Error::Framing(_) => (Bad, Code::Internal, StatusCode::BAD_REQUEST),
            Error::ForeignHost(_) => (Forbidden, Code::PermissionDenied, StatusCode::FORBIDDEN),
            Error::BodyTimeout => (Timeout, Code::DeadlineExceeded, StatusCode::REQUEST_TIMEOUT),
            Error::DeadlineExceeded => (Timeout, Code::DeadlineExceeded, StatusCode::SERVICE_UNAVAILABLE),
            Error::Busy(_) => (SlowDown, Code::ResourceExhausted, StatusCode::TOO_MANY_REQUESTS),
            Error::Unavailable(_) => (Unavailable, Code::Unavailable, StatusCode::SERVICE_UNAVAILABLE),
            Error::Internal(_) | Error::Config(_) => (Internal, Code::Internal, StatusCode::INTERNAL_SERVER_ERROR),
        };
        // Spread over a range, so that clients refused together do not come back together.
        let retry_seconds = match error {
            Error::Busy(_) => Some(rand::rng().random_range(1..=5)),
            Error::Unavailable(_) | Error::DeadlineExceeded => Some(rand::rng().random_range(2..=10)),
            _ => None,
        };
        let violation = match error {
            Error::Malformed { place, detail } => Some((shortened(place), shortened(detail))),
            _ => None,
        };
        Self { answer, code, http_status, message: shortened(&error.to_string()), violation, retry_seconds }
    }
}

pub fn shortened(text: &str) -> String {
    text.get(..text.floor_char_boundary(MESSAGE_BYTES)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn otlp_910_passing_states_are_retryable_and_permanent_ones_never() {
        let passing = [
            Error::from(storage::Error::Busy("the buffer is full".to_owned())),
            Error::from(storage::Error::Closed),
            Error::from(storage::Error::Write { what: "the WAL".to_owned(), source: std::io::Error::other("full") }),
            Error::Unavailable(String::new()),
        ];
        for error in passing {
            let refusal = Refusal::from(&error);
            assert!(refusal.retry_seconds.is_some_and(|seconds| (1..=30).contains(&seconds)), "{error}");
            assert!(matches!(refusal.code, Code::ResourceExhausted | Code::Unavailable), "{error}");
            assert!(matches!(refusal.http_status.as_u16(), 429 | 503), "{error}");
        }
        let permanent = [
            Error::Malformed { place: String::new(), detail: String::new() },
            Error::TooLarge { what: "it", limit_bytes: 1 },
            Error::UnsupportedEncoding("br".to_owned()),
            Error::NotServed(String::new()),
            Error::ForeignHost(String::new()),
            Error::ResponseTooLarge(1),
            Error::Internal(String::new()),
        ];
        for error in permanent {
            let refusal = Refusal::from(&error);
            assert_eq!(refusal.retry_seconds, None, "{error}");
            assert!(!matches!(refusal.http_status.as_u16(), 429 | 502..=504), "{error}");
        }
    }
}
