use crate::send::{Answer, Endpoint};

/// Kinds by what the caller does next.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Fix the input: a setting or an address is wrong.
    #[error("{0}")]
    Config(String),

    /// Start a server, or wait for one: nobody answers there.
    #[error("{endpoint} cannot be reached: {reason} (tried {tries} times)")]
    Unreachable { endpoint: Endpoint, reason: String, tries: u32 },

    /// Try again later: the server is there and says so itself, or is too slow.
    #[error("{endpoint} is overloaded, given up after {tries} tries: {answer}")]
    Overloaded { endpoint: Endpoint, answer: Answer, tries: u32 },

    /// Drop the data: the server will never take it.
    #[error("{endpoint} refused it: {answer}")]
    Refused { endpoint: Endpoint, answer: Answer },
}

impl Error {
    /// Whether the same request may succeed later.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Overloaded { .. })
    }
}
