//! `[retention]`.

use std::time::Duration;

use crate::{Error, Result};

/// What is stored for how long. Without a limit everything is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RetentionSettings {
    /// Segments whose latest row began longer ago go.
    pub max_age: Option<Duration>,
    /// Where the live segments of all tables are larger, the oldest go.
    pub max_bytes: Option<u64>,
}

impl RetentionSettings {
    pub fn validate(&self) -> Result<()> {
        if self.max_age.is_some_and(|age| age.is_zero()) {
            return Err(Error::Config(
                "retention.max_age is 0, which keeps nothing; leave it out to keep all".to_owned(),
            ));
        }
        if self.max_bytes == Some(0) {
            return Err(Error::Config(
                "retention.max_bytes is 0, which keeps nothing; leave it out to keep all".to_owned(),
            ));
        }
        Ok(())
    }
}
