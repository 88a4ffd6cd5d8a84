//! The room's error: kinds by what the client does next. `receiver::status` turns them into answers.

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request's encoding is broken; nothing of it was taken. `place` is a byte offset, or a path into the JSON.
    #[error("{place}: {detail}")]
    Malformed { place: String, detail: String },

    #[error("{what} exceeds the limit of {limit_bytes} bytes")]
    TooLarge { what: &'static str, limit_bytes: u64 },

    #[error("compression {0:?} is not supported; use gzip, zstd or identity")]
    UnsupportedEncoding(String),

    #[error("{0}")]
    UnsupportedContentType(String),

    /// Nothing is served under this path or method name.
    #[error("{0}")]
    NotServed(String),

    #[error("method {method} is not allowed; use {allowed}")]
    MethodNotAllowed { method: String, allowed: &'static str },

    /// A poll for a sampling strategy names no service, or several. The words are Jaeger's.
    #[error("'service' parameter must be provided once")]
    ServiceParameter,

    /// The gRPC call breaks the framing that gRPC defines.
    #[error("{0}")]
    Framing(String),

    /// A unary call had no message, or more than one.
    #[error("a unary call has exactly one message, this one had {0}")]
    MessageCount(&'static str),

    /// Sent to a loopback listener under a name that was not allowed, as a web page that rebinds its name would.
    #[error("host {0:?} is not allowed here")]
    ForeignHost(String),

    #[error("the request head exceeds {0} bytes")]
    HeadTooLarge(usize),

    /// The client sent its request too slowly.
    #[error("the request body did not arrive in time")]
    BodyTimeout,

    /// The client went away or broke off its body.
    #[error("the request body ended early")]
    BodyBroken(#[source] hyper::Error),

    /// A budget is used up. The same request may succeed soon.
    #[error("{0}")]
    Busy(String),

    /// The server as a whole cannot take requests at the moment.
    #[error("{0}")]
    Unavailable(String),

    /// The deadline that the client gave has passed.
    #[error("the deadline passed before the request was durable")]
    DeadlineExceeded,

    /// The answer would exceed the limit of responses, even without its text.
    #[error("the response exceeds the limit of {0} bytes")]
    ResponseTooLarge(usize),

    /// A bug in Spanhouse.
    #[error("internal error: {0}")]
    Internal(String),

    #[error("invalid setting: {0}")]
    Config(String),
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl From<storage::Error> for Error {
    fn from(error: storage::Error) -> Self {
        match error {
            storage::Error::Busy(what) => Self::Busy(what),
            storage::Error::Columns(_) => Self::Internal(error.to_string()),
            // Whatever else keeps a request from being stored may pass, and the client still has the data.
            other => Self::Unavailable(other.to_string()),
        }
    }
}
