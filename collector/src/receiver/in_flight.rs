//! The budget for bodies in flight.
//!
//! A request reserves what its head announces before anything of its body is read, and more when it turns out larger.
//! Nobody waits for the budget: a client that is told to slow down holds no memory here.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{Error, Result};

/// Permits count these, so that large budgets fit their type.
const UNIT_BYTES: usize = 1_024;

#[derive(Debug, Clone)]
pub struct Budget {
    units: Arc<Semaphore>,
    all_units: usize,
}

/// A part of the budget; given back when dropped.
#[derive(Debug)]
pub struct Reserved {
    permit: OwnedSemaphorePermit,
    budget: Budget,
}

impl Budget {
    pub fn new(bytes: usize) -> Self {
        let all_units = bytes.div_ceil(UNIT_BYTES).min(Semaphore::MAX_PERMITS);
        Self { units: Arc::new(Semaphore::new(all_units)), all_units }
    }

    pub fn used_bytes(&self) -> usize {
        self.all_units.saturating_sub(self.units.available_permits()).saturating_mul(UNIT_BYTES)
    }

    pub fn reserve(&self, bytes: usize) -> Result<Reserved> {
        let permit = self.acquire(bytes.div_ceil(UNIT_BYTES))?;
        Ok(Reserved { permit, budget: self.clone() })
    }

    fn acquire(&self, units: usize) -> Result<OwnedSemaphorePermit> {
        let permit =
            u32::try_from(units).ok().and_then(|units| Arc::clone(&self.units).try_acquire_many_owned(units).ok());
        permit.ok_or_else(|| Error::Busy("too many bytes of other requests are in flight".to_owned()))
    }
}

impl Reserved {
    /// Reserves more, if `bytes` are more than it has.
    pub fn grow_to(&mut self, bytes: usize) -> Result<()> {
        let missing = bytes.div_ceil(UNIT_BYTES).saturating_sub(self.permit.num_permits());
        if missing > 0 {
            self.permit.merge(self.budget.acquire(missing)?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reserved_comes_back() -> Result<()> {
        let budget = Budget::new(10 * UNIT_BYTES);
        let mut first = budget.reserve(1)?;
        first.grow_to(4 * UNIT_BYTES)?;
        first.grow_to(UNIT_BYTES)?;
        assert_eq!(budget.used_bytes(), 4 * UNIT_BYTES);
        let second = budget.reserve(6 * UNIT_BYTES)?;
        assert!(matches!(first.grow_to(5 * UNIT_BYTES), Err(Error::Busy(_))));
        assert!(matches!(budget.reserve(usize::MAX), Err(Error::Busy(_))));
        drop(second);
        first.grow_to(10 * UNIT_BYTES)?;
        drop(first);
        assert_eq!(budget.used_bytes(), 0);
        Ok(())
    }
}
