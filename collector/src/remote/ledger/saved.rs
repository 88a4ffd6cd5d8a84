//! The ledger as bytes: JSON, a list of strategies for each service.
//!
//! Services that were never told anything but to keep everything are left out: what is not there counts as that.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use storage::model::UnixNanos;

use super::{History, Ledger, LedgerConfig, Served, weight};
use crate::remote::Strategy;
use crate::{Error, Result};

const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
struct File {
    version: u32,
    services: Vec<Service>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Service {
    service: String,
    /// Something older is gone.
    is_cut: bool,
    served: Vec<Told>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Told {
    revision: u64,
    first_unix_nanos: i64,
    last_unix_nanos: i64,
    default: f64,
    operations: Vec<(String, f64)>,
}

impl History {
    pub(super) fn matters(&self) -> bool {
        self.is_cut || self.served.iter().any(|served| !served.strategy.keeps_all())
    }
}

impl Ledger {
    /// All that matters of it.
    pub fn export(&self) -> Vec<u8> {
        let told = |served: &Served| Told {
            revision: served.revision,
            first_unix_nanos: served.first.0,
            last_unix_nanos: served.last.0,
            default: served.strategy.default_probability(),
            operations: served.strategy.operations().iter().map(|(name, own)| (name.to_string(), *own)).collect(),
        };
        let mut services: Vec<Service> = self
            .services
            .iter()
            .filter(|(_, history)| history.matters())
            .map(|(service, history)| Service {
                service: service.to_string(),
                is_cut: history.is_cut,
                served: history.served.iter().map(told).collect(),
            })
            .collect();
        services.sort_unstable_by(|one, other| one.service.cmp(&other.service));
        // Text and finite numbers serialize.
        serde_json::to_vec(&File { version: VERSION, services }).unwrap_or_default()
    }

    /// A ledger with what [`Self::export`] wrote, as far as `config` has room. Polls between the export and `now` are not in it,
    /// so what was in force then counts as served until `now`.
    pub fn restore(config: LedgerConfig, bytes: &[u8], now: UnixNanos) -> Result<Self> {
        let refuse = |why: String| Error::Config(format!("the ledger of head sampling {why}"));
        let file: File = serde_json::from_slice(bytes).map_err(|error| refuse(format!("cannot be read: {error}")))?;
        if file.version != VERSION {
            return Err(refuse(format!("is of version {}, which this one does not know", file.version)));
        }
        let mut ledger = Self::new(config);
        for Service { service, is_cut, served } in file.services {
            let mut history = History { served: VecDeque::new(), is_cut };
            let mut latest = UnixNanos(i64::MIN);
            for told in served {
                let first = UnixNanos(told.first_unix_nanos).max(latest);
                latest = UnixNanos(told.last_unix_nanos).max(first);
                let operations = told.operations.into_iter().map(|(name, own)| (name.into(), own));
                let strategy = Arc::new(Strategy::new(told.default, operations));
                history.served.push_back(Served { revision: told.revision, strategy, first, last: latest });
            }
            while history.served.len() > ledger.config.max_strategies.max(1) {
                history.served.pop_front();
                history.is_cut = true;
            }
            let Some(newest) = history.served.back_mut() else { continue };
            newest.last = newest.last.max(now);
            let needed: usize = history.served.iter().map(|served| weight(&served.strategy)).sum();
            let probabilities = ledger.probabilities.saturating_add(needed);
            if ledger.services.len() < ledger.config.max_services && probabilities <= ledger.config.max_probabilities {
                ledger.probabilities = probabilities;
                ledger.services.insert(service.into(), history);
            }
        }
        ledger.thinned = ledger.find_thinned();
        Ok(ledger)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Head;
    use super::*;

    fn at(seconds: i64) -> UnixNanos {
        UnixNanos((1_800_000_000 + seconds) * 1_000_000_000)
    }

    fn told() -> Ledger {
        let mut ledger = Ledger::default();
        for (second, probability) in [(0, 1.0), (60, 0.3), (120, 0.1)] {
            ledger.serve("cart", Strategy::new(1.0, [("GET /cart".into(), probability)]), at(second));
        }
        ledger.serve("other", Strategy::keep_all(), at(0));
        ledger
    }

    #[test]
    fn what_was_told_is_known_after_a_restart() {
        let before = told();
        let ledger = Ledger::restore(LedgerConfig::default(), &before.export(), at(150)).unwrap();
        for second in (-10..300).step_by(5) {
            let of = |ledger: &Ledger| ledger.head("cart", "GET /cart", at(second));
            assert_eq!(of(&ledger), of(&before), "{second} s");
        }
        assert_eq!(ledger.head("other", "GET /", at(10)), Head::Unserved);
        assert_eq!((ledger.services(), ledger.probabilities()), (1, 5));
        assert_eq!(ledger.thinned(), Some(at(55)..=UnixNanos(i64::MAX)));
        assert_eq!(
            ledger.export(),
            Ledger::restore(LedgerConfig::default(), &ledger.export(), at(0)).unwrap().export()
        );
    }

    #[test]
    fn polls_that_a_restart_forgot_may_have_happened() {
        let mut ledger = Ledger::restore(LedgerConfig::default(), &told().export(), at(500)).unwrap();
        ledger.serve("cart", Strategy::keep_all(), at(510));
        assert_eq!(ledger.head("cart", "GET /cart", at(520)), Head::Between { lowest: 0.1, highest: 1.0 });
    }

    #[test]
    fn what_is_no_ledger_is_refused_and_one_too_large_is_cut() {
        for bytes in [&b""[..], b"{", b"[]", br#"{"version":2,"services":[]}"#] {
            assert!(Ledger::restore(LedgerConfig::default(), bytes, at(0)).is_err());
        }
        let config = LedgerConfig { max_strategies: 1, ..LedgerConfig::default() };
        let ledger = Ledger::restore(config, &told().export(), at(200)).unwrap();
        assert_eq!(ledger.head("cart", "GET /cart", at(60)), Head::Forgotten);
        assert_eq!(ledger.head("cart", "GET /cart", at(500)), Head::Known(0.1));
        let none = LedgerConfig { max_probabilities: 1, ..LedgerConfig::default() };
        assert_eq!(Ledger::restore(none, &told().export(), at(200)).unwrap().services(), 0);
    }
}
