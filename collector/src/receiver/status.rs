//! Errors as OTLP answers, for both transports.

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
