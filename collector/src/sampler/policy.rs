//! The policy in force: an immutable value that is exchanged whole, and its revision.

use std::sync::{Arc, Mutex, PoisonError};

use sampling::Policy;

/// A policy, and how many there were before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Revised {
    pub policy: Policy,
    /// Stored with each decision. 0 is the policy of a server that never had another.
    pub revision: i64,
}

/// What every tick asks for. Exchanging it takes effect with the next tick.
#[derive(Debug)]
pub struct ActivePolicy(Mutex<Arc<Revised>>);

impl ActivePolicy {
    pub fn new(policy: Policy, revision: i64) -> Result<Self, sampling::Error> {
        policy.validate()?;
        Ok(Self(Mutex::new(Arc::new(Revised { policy, revision }))))
    }

    pub fn get(&self) -> Arc<Revised> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another policy in its place; the same one changes nothing.
    pub fn set(&self, policy: Policy) -> Result<Arc<Revised>, sampling::Error> {
        policy.validate()?;
        let mut active = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if active.policy != policy {
            *active = Arc::new(Revised { policy, revision: active.revision + 1 });
        }
        Ok(Arc::clone(&active))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_has_a_revision_and_nonsense_changes_nothing() {
        let active = ActivePolicy::new(Policy::default(), 4).unwrap();
        assert_eq!(active.set(Policy::default()).unwrap().revision, 4);
        let changed = Policy { diversity: 0.5, ..Policy::default() };
        assert_eq!(active.set(changed.clone()).unwrap().revision, 5);
        assert!(active.set(Policy { diversity: f64::NAN, ..Policy::default() }).is_err());
        assert_eq!(*active.get(), Revised { policy: changed, revision: 5 });
    }
}
