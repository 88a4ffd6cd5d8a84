//! `[compaction]`.

use std::time::Duration;

use crate::{Error, Result};

/// When segments are merged, and how long their files stay.
#[derive(Debug, Clone, PartialEq)]
pub struct CompactSettings {
    /// Without it nothing is merged but on demand.
    pub enabled: bool,
    /// How many small segments make a larger one.
    pub merge_segments: usize,
    /// A merge makes none that is larger.
    pub max_segment_bytes: u64,
    /// How long files stay that a merge or an expiry has taken out of a table. No query may run longer.
    pub keep_replaced: Duration,
}

impl Default for CompactSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            merge_segments: 16,
            max_segment_bytes: 512 << 20,
            keep_replaced: Duration::from_secs(600),
        }
    }
}

impl CompactSettings {
    /// As many files are open at once.
    const MOST_SEGMENTS: usize = 128;
    /// Below, a segment has hardly more than its footer.
    const LEAST_BYTES: u64 = 1 << 20;

    pub fn validate(&self) -> Result<()> {
        let refuse = |message: String| Err(Error::Config(message));
        if !(2..=Self::MOST_SEGMENTS).contains(&self.merge_segments) {
            return refuse(format!(
                "compaction.merge_segments is {}, but must be from 2 to {}",
                self.merge_segments,
                Self::MOST_SEGMENTS
            ));
        }
        if self.max_segment_bytes < Self::LEAST_BYTES {
            return refuse(format!(
                "compaction.max_segment_bytes is {}, but must be at least {}",
                self.max_segment_bytes,
                Self::LEAST_BYTES
            ));
        }
        if self.keep_replaced.is_zero() {
            return refuse("compaction.keep_replaced is 0, but queries that run need the files".to_owned());
        }
        Ok(())
    }
}
