//! What can be wrong with what the caller hands in.

/// By what the caller does next: have a setting corrected, or go on without what was saved.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting that cannot be meant. `key` is its path in the policy.
    #[error("{key} is {found}; {remedy}")]
    Policy { key: String, found: String, remedy: &'static str },
    /// Text that is no budget.
    #[error("budget {text:?} {problem}; write a number, a unit and a time, such as \"2000 spans/s\" or \"50 GiB/day\"")]
    Budget { text: String, problem: String },
    /// Bytes that are no state of this version. Starting without them costs variance, never bias.
    #[error("saved sampler state {0}")]
    State(&'static str),
}
