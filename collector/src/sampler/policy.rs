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

/// What every tick asks for. Exchanging it takes effect with the next tick. Whoever changes it writes it down between [`Self::revise`]
/// and [`Self::set`], alone.
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

    /// What another policy would be here; the same one is no change. Nothing happens yet.
    pub fn revise(&self, policy: Policy) -> Result<Arc<Revised>, sampling::Error> {
        policy.validate()?;
        let active = self.get();
        let is_change = active.policy != policy;
        Ok(if is_change { Arc::new(Revised { policy, revision: active.revision + 1 }) } else { active })
    }

    /// Puts it in force.
    pub fn set(&self, revised: Arc<Revised>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = revised;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_has_a_revision_and_nonsense_changes_nothing() {
        let active = ActivePolicy::new(Policy::default(), 4).unwrap();
        assert_eq!(active.revise(Policy::default()).unwrap().revision, 4);
        let changed = Policy { diversity: 0.5, ..Policy::default() };
        let revised = active.revise(changed.clone()).unwrap();
        assert_eq!((revised.revision, active.get().revision), (5, 4));
        active.set(revised);
        assert!(active.revise(Policy { diversity: f64::NAN, ..Policy::default() }).is_err());
        assert_eq!(*active.get(), Revised { policy: changed, revision: 5 });
    }
}
