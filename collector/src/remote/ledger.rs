//! Which strategies were served to whom and when, so that spans sampled at their source can be weighed; pure.
//!
//! A poll does not say which instance it comes from. So what an instance had when it began a span is known up to the poll
//! interval: it is one of the strategies that its service was served within it. Where those agree on the operation the
//! probability is known; where they do not, the ledger says between what it lies, and guesses nothing. Before its first poll a service
//! keeps everything.
//!
//! Bounded in services, strategies and probabilities. A strategy that finds no place is not served: the service keeps the
//! one it had, or keeps everything, which is what a service without an entry counts as.
//!
//! What a restart must know of it is `saved`: whoever serves a strategy that [`Ledger::is_news`] does so on a copy, writes that to
//! disk, and then puts it in the ledger's place.

use std::collections::{HashMap, VecDeque};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use storage::model::UnixNanos;

use super::strategy::Strategy;

mod saved;
#[cfg(test)]
mod tests;

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
            // All of them are written anew with every change: 4 MB at most.
            max_probabilities: 100_000,
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

#[derive(Debug, Clone, Default)]
struct History {
    /// By time; at least one.
    served: VecDeque<Served>,
    /// Something older is gone.
    is_cut: bool,
}

#[derive(Debug, Clone, Default)]
pub struct Ledger {
    config: LedgerConfig,
    services: HashMap<Arc<str>, History>,
    probabilities: usize,
    refused: u64,
    unsaved: bool,
    thinned: Option<RangeInclusive<UnixNanos>>,
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

    /// Whether a restart that reads what was exported last would know all that was served.
    pub fn is_saved(&self) -> bool {
        !self.unsaved
    }

    /// To be told once an export is durable that nothing was served since.
    pub fn note_saved(&mut self) {
        self.unsaved = false;
    }

    /// Whether telling a service `wanted` changes what a restart must know.
    pub fn is_news(&self, service: &str, wanted: &Strategy) -> bool {
        let history = self.services.get(service);
        let differs = self.last(service).is_none_or(|last| last.strategy.as_ref() != wanted);
        differs && (!wanted.keeps_all() || history.is_some_and(History::matters))
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
        if history.matters() {
            self.unsaved = true;
            self.thinned = self.find_thinned();
        }
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

    /// When traces may have begun that were sampled with less than 1, of any service: all that such traces can be between.
    pub fn thinned(&self) -> Option<RangeInclusive<UnixNanos>> {
        self.thinned.clone()
    }

    fn find_thinned(&self) -> Option<RangeInclusive<UnixNanos>> {
        let (slack, interval) = (nanos(self.config.clock_slack), nanos(self.config.poll_interval));
        let of_service = |history: &History| {
            let first = history.served.iter().find(|served| !served.strategy.keeps_all());
            let from = if history.is_cut { UnixNanos(i64::MIN) } else { first?.first.plus(-slack) };
            let newest = history.served.back().filter(|newest| newest.strategy.keeps_all());
            Some(from..=newest.map_or(UnixNanos(i64::MAX), |newest| newest.first.plus(slack).plus(interval)))
        };
        self.services
            .values()
            .filter_map(of_service)
            .reduce(|one, other| *one.start().min(other.start())..=*one.end().max(other.end()))
    }

    /// Whether traces that began in `service` at `start` may have been sampled there at all.
    pub fn may_thin(&self, service: &str, start: UnixNanos) -> bool {
        let Some(history) = self.services.get(service).filter(|history| history.matters()) else { return false };
        let (slack, interval) = (nanos(self.config.clock_slack), nanos(self.config.poll_interval));
        let begun =
            history.served.iter().any(|served| !served.strategy.keeps_all() && served.first <= start.plus(slack));
        let kept_since = history
            .served
            .back()
            .is_some_and(|newest| newest.strategy.keeps_all() && newest.first <= start.plus(-slack).plus(-interval));
        (begun || history.is_cut) && !kept_since
    }

    /// With which probability traces that began in `service` with `operation` at `start` were sampled there.
    ///
    /// An SDK goes by its own setting until its first poll. That is not known here and taken for keeping everything, of the service's
    /// first poll as of any other: for a poll and the slack behind it some instances have polled and others have not.
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
        let is_first_unclear = !history.is_cut && history.served.front().is_some_and(|first| first.first >= earliest);
        let possible =
            history.served.iter().enumerate().filter(|(index, served)| {
                Some(*index) == in_force || (served.first <= latest && served.last >= earliest)
            });
        let found = possible.map(|(_, served)| served.strategy.probability(operation));
        let range = found.fold(None, |range, own| match range {
            None => Some((own, own)),
            Some((lowest, highest)) => Some((own.min(lowest), own.max(highest))),
        });
        match range.map(|(lowest, highest)| (lowest, if is_first_unclear { 1.0 } else { highest })) {
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
