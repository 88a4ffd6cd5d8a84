//! Where strategies come from.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use storage::Clock;

use super::head::{self, HeadConfig};
use super::ledger::Ledger;
use super::rates::SharedRates;
use super::strategy::Strategy;

/// What a service is to be told that polls now. Called for every poll, so it neither waits nor reads disks.
pub trait Strategies: Send + Sync + Debug {
    fn of(&self, service: &str) -> Strategy;
}

/// Everything, always.
#[derive(Debug, Clone, Copy, Default)]
pub struct KeepAll;

impl Strategies for KeepAll {
    fn of(&self, _service: &str) -> Strategy {
        Strategy::keep_all()
    }
}

/// By the rates that the sampler's loop publishes, and by what was served before. Until it has published any, what was served
/// before stays.
#[derive(Debug)]
pub struct ByRates {
    pub rates: Arc<SharedRates>,
    pub ledger: Arc<Mutex<Ledger>>,
    pub clock: Arc<dyn Clock>,
    pub config: HeadConfig,
}

impl Strategies for ByRates {
    fn of(&self, service: &str) -> Strategy {
        let held = self.ledger.lock().unwrap_or_else(PoisonError::into_inner).held(service, self.clock.now());
        match (self.rates.current(), held.last()) {
            (Some(rates), _) => head::strategy(rates.service(service), &held, &self.config),
            (None, Some(last)) => Strategy::clone(last),
            (None, None) => Strategy::keep_all(),
        }
    }
}
