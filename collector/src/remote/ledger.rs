//! Which strategies were served to whom and when, so that spans sampled at their source can be weighed; pure.
//!
//! A poll does not say which instance it comes from. So what an instance had when it began a span is known up to the poll
//! interval: it is one of the strategies that its service was served within it. Where those agree on the operation the
//! probability is known; where they do not, the ledger says between what it lies, and guesses nothing.
//!
//! Bounded in services, strategies and probabilities. A strategy that finds no place is not served: the service keeps the
//! one it had, or keeps everything, which is what a service without an entry counts as.
//!
//! The ledger is memory alone so far. A restart forgets it, and spans that were begun under a lowered probability and come
//! after the restart count as unsampled, until their service has polled again. It is to become a record of the write-ahead
//! log, durable before the answer that serves the strategy.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use storage::model::UnixNanos;

use super::strategy::Strategy;

#[derive(Debug, Clone, PartialEq)]
pub struct LedgerConfig {
    pub max_services: usize,
    /// Services with longer names keep everything.
    pub max_service_bytes: usize,
    /// Strategies of one service; the oldest is forgotten.
    pub max_strategies: usize,
    /// Probabilities of all strategies of all services.
    pub max_probabilities: usize,
    /// Strategies last served longer ago are forgotten, but for the one in force at that time. Spans that are still to be
    /// weighed began later.
    pub horizon: Duration,
    /// How often SDKs poll: for so long after a change some have polled and others have not.
    pub poll_interval: Duration,
    /// How far clocks of clients and ours may be apart, and an answer be under way.
    pub clock_slack: Duration,
}

impl Default for LedgerConfig {
    fn default() -> Self {
        Self {
            max_services: 4_096,
            max_service_bytes: 256,
            max_strategies: 128,
            max_probabilities: 2_000_000,
            horizon: Duration::from_secs(2 * 60 * 60),
            poll_interval: Duration::from_secs(60),
            clock_slack: Duration::from_secs(5),
        }
    }
}

/// A strategy and when it was in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Served {
    /// Counts the strategies of its service, from 1; 0 is none that is remembered.
    pub revision: u64,
    pub strategy: Arc<Strategy>,
    pub first: UnixNanos,
    pub last: UnixNanos,
}

/// What is known of the probability with which a span was sampled at its source.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Head {
    /// The service had not polled by then.
    Unserved,
    Known(f64),
    /// Instances had different strategies.
    Between {
        lowest: f64,
        highest: f64,
    },
    /// The service had polled, but what it was told is forgotten.
    Forgotten,
}

#[derive(Debug, Default)]
struct History {
    /// By time; at least one.
    served: VecDeque<Served>,
    /// Something older is gone.
    is_cut: bool,
}

#[derive(Debug, Default)]
pub struct Ledger {
    config: LedgerConfig,
    services: HashMap<Arc<str>, History>,
    probabilities: usize,
    refused: u64,
}

impl Ledger {
    pub fn new(config: LedgerConfig) -> Self {
        Self { config, ..Self::default() }
    }

    pub fn services(&self) -> usize {
        self.services.len()
    }

    pub fn probabilities(&self) -> usize {
        self.probabilities
    }

    /// Strategies that found no place, so that others were served in their stead.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Remembers that a service is told `wanted` now, and returns what it is to be told.
    pub fn serve(&mut self, service: &str, wanted: Strategy, now: UnixNanos) -> Served {
        if self.last(service).is_none_or(|last| *last.strategy != wanted) {
            if self.make_room(service, &wanted, now) {
                return self.remember(service, wanted, now);
            }
            self.refused = self.refused.saturating_add(u64::from(!wanted.keeps_all()));
        }
        let Some(last) = self.services.get_mut(service).and_then(|history| history.served.back_mut()) else {
            return Served { revision: 0, strategy: Arc::new(Strategy::keep_all()), first: now, last: now };
        };
        // The clock may have been set back; times in a history never go back.
        last.last = last.last.max(now);
        last.clone()
    }

    fn last(&self, service: &str) -> Option<&Served> {
        self.services.get(service)?.served.back()
    }

    fn remember(&mut self, service: &str, wanted: Strategy, now: UnixNanos) -> Served {
        self.probabilities = self.probabilities.saturating_add(weight(&wanted));
        let history = self.services.entry(Arc::from(service)).or_default();
        let (revision, now) = match history.served.back() {
            Some(last) => (last.revision.saturating_add(1), now.max(last.last)),
            None => (1, now),
        };
        let served = Served { revision, strategy: Arc::new(wanted), first: now, last: now };
        history.served.push_back(served.clone());
        served
    }

    /// Whether there is a place for a strategy, after what is old has made one.
    fn make_room(&mut self, service: &str, wanted: &Strategy, now: UnixNanos) -> bool {
        let needed = weight(wanted);
        if let Some(history) = self.services.get_mut(service) {
            let oldest_needed = now.plus(-nanos(self.config.horizon));
            while let Some(second) = history.served.get(1) {
                let is_old = second.first < oldest_needed;
                let is_full = history.served.len() >= self.config.max_strategies.max(1)
                    || self.probabilities.saturating_add(needed) > self.config.max_probabilities;
                if !is_old && !is_full {
                    break;
                }
                let gone = history.served.pop_front();
                let freed = gone.map_or(0, |gone| weight(&gone.strategy));
                self.probabilities = self.probabilities.saturating_sub(freed);
                history.is_cut = true;
            }
        } else if service.len() > self.config.max_service_bytes || !self.make_room_for_service(wanted, now) {
            return false;
        }
        self.probabilities.saturating_add(needed) <= self.config.max_probabilities
    }

    fn make_room_for_service(&mut self, wanted: &Strategy, now: UnixNanos) -> bool {
        if self.services.len() < self.config.max_services {
            return true;
        }
        // Whoever invents names does not push others out.
        if wanted.keeps_all() {
            return false;
        }
        let oldest_needed = now.plus(-nanos(self.config.horizon));
        let can_go = |history: &History| {
            let is_over = history.served.back().is_none_or(|last| last.last < oldest_needed);
            is_over || (!history.is_cut && history.served.iter().all(|served| served.strategy.keeps_all()))
        };
        let Some(name) = self.services.iter().find(|(_, history)| can_go(history)).map(|(name, _)| Arc::clone(name))
        else {
            return false;
        };
        let gone = self.services.remove(&name).unwrap_or_default();
        let freed = gone.served.iter().map(|served| weight(&served.strategy)).sum();
        self.probabilities = self.probabilities.saturating_sub(freed);
        true
    }

    /// The strategies that an instance which polls now may have, the last served last.
    pub fn held(&self, service: &str, now: UnixNanos) -> Vec<Arc<Strategy>> {
        let Some(history) = self.services.get(service) else { return Vec::new() };
        let since = now.plus(-nanos(self.config.poll_interval)).plus(-nanos(self.config.clock_slack));
        let newest = history.served.len().saturating_sub(1);
        let held = history.served.iter().enumerate().filter(|(index, served)| *index == newest || served.last >= since);
        held.map(|(_, served)| Arc::clone(&served.strategy)).collect()
    }

    /// With which probability traces that began in `service` with `operation` at `start` were sampled there.
    ///
    /// An SDK goes by its own setting until its first poll, and that is not known here.
    pub fn head(&self, service: &str, operation: &str, start: UnixNanos) -> Head {
        let Some(history) = self.services.get(service) else { return Head::Unserved };
        let (slack, interval) = (nanos(self.config.clock_slack), nanos(self.config.poll_interval));
        let latest = start.plus(slack);
        let earliest = start.plus(-slack).plus(-interval);
        // SDKs that can no longer poll go on with what they have.
        let in_force = history.served.iter().rposition(|served| served.first <= start.plus(-slack));
        if in_force.is_none() && history.is_cut {
            return Head::Forgotten;
        }
        let possible =
            history.served.iter().enumerate().filter(|(index, served)| {
                Some(*index) == in_force || (served.first <= latest && served.last >= earliest)
            });
        let found = possible.map(|(_, served)| served.strategy.probability(operation));
        match found.fold(None, |range, own| match range {
            None => Some((own, own)),
            Some((lowest, highest)) => Some((own.min(lowest), own.max(highest))),
        }) {
            None => Head::Unserved,
            Some((lowest, highest)) if lowest == highest => Head::Known(lowest),
            Some((lowest, highest)) => Head::Between { lowest, highest },
        }
    }
}

/// Probabilities in a strategy, its default among them.
fn weight(strategy: &Strategy) -> usize {
    strategy.operations().len().saturating_add(1)
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> UnixNanos {
        UnixNanos((1_800_000_000 + seconds) * 1_000_000_000)
    }

    fn flat(probability: f64) -> Strategy {
        Strategy::new(probability, [])
    }

    /// Serves `cart` a probability at each of these seconds.
    fn ledger(config: LedgerConfig, polls: &[(i64, f64)]) -> Ledger {
        let mut ledger = Ledger::new(config);
        for (second, probability) in polls {
            ledger.serve("cart", flat(*probability), at(*second));
        }
        ledger
    }

    #[track_caller]
    fn check(polls: &[(i64, f64)], starts: &[(i64, Head)]) {
        let ledger = ledger(LedgerConfig::default(), polls);
        for (start, expected) in starts {
            assert_eq!(ledger.head("cart", "GET /", at(*start)), *expected, "{start} s");
        }
    }

    #[test]
    fn a_span_was_sampled_as_its_service_was_told_last() {
        let unclear = Head::Between { lowest: 0.25, highest: 0.5 };
        check(
            &[(0, 0.5), (60, 0.5), (120, 0.5), (180, 0.25), (240, 0.25)],
            &[
                (-10, Head::Unserved),
                (0, Head::Known(0.5)),
                (150, Head::Known(0.5)),
                // Around the poll at 180 the clocks may disagree.
                (176, unclear),
                (184, unclear),
                (186, Head::Known(0.25)),
                (10_000, Head::Known(0.25)),
            ],
        );
    }

    #[test]
    fn instances_that_have_not_polled_yet_make_it_unclear() {
        let unclear = Head::Between { lowest: 0.25, highest: 0.5 };
        // One polls at each full minute, one half a minute later.
        check(
            &[(0, 0.5), (30, 0.5), (60, 0.5), (90, 0.5), (120, 0.25), (150, 0.25), (180, 0.25)],
            &[(110, Head::Known(0.5)), (130, unclear), (154, unclear), (156, Head::Known(0.25))],
        );
    }

    #[test]
    fn services_that_stopped_polling_go_on_with_what_they_have() {
        check(&[(0, 0.5), (60, 0.25)], &[(3_000, Head::Known(0.25)), (100_000, Head::Known(0.25))]);
    }

    #[test]
    fn operations_are_looked_up_by_name() {
        let mut ledger = Ledger::default();
        let with = |own| Strategy::new(1.0, [("GET /".into(), own)]);
        ledger.serve("cart", with(0.5), at(0));
        ledger.serve("cart", with(0.25), at(60));
        assert_eq!(ledger.head("cart", "GET /", at(61)), Head::Between { lowest: 0.25, highest: 0.5 });
        assert_eq!(ledger.head("cart", "POST /", at(61)), Head::Known(1.0), "all agree on it");
        assert_eq!(ledger.head("other", "GET /", at(61)), Head::Unserved);
    }

    #[test]
    fn revisions_count_changes_and_not_polls() {
        let mut ledger = Ledger::default();
        let polls = [(0, 0.5), (60, 0.5), (120, 0.25), (180, 0.5)];
        let revisions = polls.map(|(second, own)| ledger.serve("cart", flat(own), at(second)).revision);
        assert_eq!(revisions, [1, 1, 2, 3]);
        assert_eq!(ledger.serve("other", flat(0.5), at(200)).revision, 1);
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_the_order() {
        let ledger = ledger(LedgerConfig::default(), &[(100, 0.5), (0, 0.25)]);
        let times: Vec<_> = ledger.services["cart"].served.iter().map(|served| served.first).collect();
        assert_eq!(times, [at(100), at(100)]);
    }

    #[test]
    fn what_an_instance_may_have_is_what_was_served_since_it_polled() {
        let ledger = ledger(LedgerConfig::default(), &[(40, 0.5), (60, 0.25), (80, 0.125)]);
        let held = |second| -> Vec<f64> {
            ledger.held("cart", at(second)).iter().map(|strategy| strategy.default_probability()).collect()
        };
        assert_eq!(held(85), [0.5, 0.25, 0.125]);
        assert_eq!(held(110), [0.25, 0.125]);
        assert_eq!(held(1_000), [0.125]);
        assert!(ledger.held("other", at(85)).is_empty());
    }

    #[test]
    fn old_strategies_are_forgotten_and_that_is_said() {
        let config = LedgerConfig { max_strategies: 3, ..LedgerConfig::default() };
        let polls: Vec<_> = (0..10).map(|number| (number * 600, 1.0 / f64::from(number as i32 + 1))).collect();
        let few = ledger(config, &polls);
        assert_eq!(few.services["cart"].served.len(), 3);
        assert_eq!(few.probabilities(), 3);
        assert_eq!(few.head("cart", "GET /", at(600)), Head::Forgotten);
        assert_eq!(few.head("cart", "GET /", at(8 * 600 + 100)), Head::Known(1.0 / 9.0));
        let old = ledger(LedgerConfig::default(), &[(0, 0.5), (60, 0.25), (120, 0.125), (100_000, 0.0625)]);
        // The one in force at the horizon is needed still.
        assert_eq!(old.services["cart"].served.len(), 2);
        assert_eq!(old.head("cart", "GET /", at(99_000)), Head::Known(0.125));
    }

    #[test]
    fn what_finds_no_place_is_not_served() {
        let config = LedgerConfig { max_services: 2, max_probabilities: 4, ..LedgerConfig::default() };
        let mut ledger = Ledger::new(config);
        let told = |ledger: &mut Ledger, service: &str, own| {
            let served = ledger.serve(service, flat(own), at(0));
            (served.revision, served.strategy.default_probability())
        };
        assert_eq!(told(&mut ledger, "one", 0.5), (1, 0.5));
        assert_eq!(told(&mut ledger, "two", 1.0), (1, 1.0));
        assert_eq!(told(&mut ledger, "three", 1.0), (0, 1.0), "names alone push nothing out");
        assert_eq!(told(&mut ledger, "three", 0.5), (1, 0.5), "what was never thinned need not be remembered");
        assert_eq!(told(&mut ledger, "four", 0.5), (0, 1.0));
        assert_eq!(told(&mut ledger, &"x".repeat(257), 0.5), (0, 1.0));
        assert_eq!((ledger.services(), ledger.probabilities(), ledger.refused()), (2, 2, 2));
        assert_eq!(ledger.head("four", "GET /", at(0)), Head::Unserved);
        // Too large for the room that is left: the service keeps what it had.
        let wide = Strategy::new(0.5, (0..4).map(|number| (format!("GET /{number}").into(), 0.25)));
        assert_eq!(ledger.serve("one", wide, at(60)).revision, 1);
        assert_eq!(ledger.head("one", "GET /0", at(60)), Head::Known(0.5));
        // A day later nobody waits for spans of the others.
        let later = ledger.serve("four", flat(0.5), at(86_400));
        assert_eq!((later.revision, ledger.services()), (1, 2));
    }
}
