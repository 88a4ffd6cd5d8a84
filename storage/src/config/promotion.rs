//! `[promotion]`.

use crate::{Error, Result};

/// Which attributes get a column of their own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PromotionSettings {
    /// The table of spans gets no more than so many. With 0 it gets none, and keeps those that it has.
    pub columns: usize,
    /// The share of the last hour's spans that must have a key.
    pub share: f64,
}

impl Default for PromotionSettings {
    fn default() -> Self {
        Self { columns: 200, share: 0.01 }
    }
}

impl PromotionSettings {
    /// Each column makes every footer longer, and every commit's schema.
    const MOST_COLUMNS: usize = 1_000;

    pub fn validate(&self) -> Result<()> {
        if self.columns > Self::MOST_COLUMNS {
            return Err(Error::Config(format!(
                "promotion.columns is {}, but must be at most {}",
                self.columns,
                Self::MOST_COLUMNS
            )));
        }
        if !(self.share > 0.0 && self.share <= 1.0) {
            return Err(Error::Config(format!("promotion.share is {}, but must be above 0 and at most 1", self.share)));
        }
        Ok(())
    }
}
