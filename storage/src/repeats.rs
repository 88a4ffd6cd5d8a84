//! Requests seen lately. A client that lost our answer sends its request again; it is stored once.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::sync::watch;

use crate::model::UnixNanos;

/// Whether a request that is being stored was stored in the end; `None` while it is not known.
pub type Outcome = watch::Receiver<Option<bool>>;

/// What is known of a request.
#[derive(Debug)]
pub enum Seen {
    /// Nothing: the caller stores it, and must tell the outcome.
    New,
    /// It is durable and visible.
    Stored,
    /// Another call is storing it.
    InFlight(Outcome),
}

#[derive(Debug)]
enum State {
    Stored,
    InFlight(watch::Sender<Option<bool>>),
}

#[derive(Debug)]
pub struct Repeats {
    states: HashMap<u128, State>,
    stored: VecDeque<(UnixNanos, u128)>,
    window: Duration,
    limit: usize,
}

impl Repeats {
    pub fn new(window: Duration, limit: usize) -> Self {
        Self { states: HashMap::new(), stored: VecDeque::new(), window, limit }
    }

    /// Looks a request up, and marks a new one as being stored.
    pub fn begin(&mut self, hash: u128, now: UnixNanos) -> Seen {
        self.forget(now);
        match self.states.get(&hash) {
            Some(State::Stored) => Seen::Stored,
            Some(State::InFlight(outcome)) => Seen::InFlight(outcome.subscribe()),
            None => {
                self.states.insert(hash, State::InFlight(watch::channel(None).0));
                Seen::New
            }
        }
    }

    /// The request is durable and visible.
    pub fn stored(&mut self, hash: u128, arrival: UnixNanos) {
        if let Some(State::InFlight(outcome)) = self.states.insert(hash, State::Stored) {
            outcome.send_replace(Some(true));
        }
        self.stored.push_back((arrival, hash));
    }

    /// The request was not stored; it is new again.
    pub fn failed(&mut self, hash: u128) {
        if let Some(State::InFlight(outcome)) = self.states.remove(&hash) {
            outcome.send_replace(Some(false));
        }
    }

    fn forget(&mut self, now: UnixNanos) {
        let window = i64::try_from(self.window.as_nanos()).unwrap_or(i64::MAX);
        while let Some(&(arrival, hash)) = self.stored.front() {
            if now.since(arrival) <= window && self.stored.len() <= self.limit {
                break;
            }
            self.stored.pop_front();
            self.states.remove(&hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_new_until_stored_and_again_after_the_window() {
        let second = 1_000_000_000;
        let mut repeats = Repeats::new(Duration::from_secs(10), 100);
        assert!(matches!(repeats.begin(7, UnixNanos(0)), Seen::New));
        let Seen::InFlight(outcome) = repeats.begin(7, UnixNanos(0)) else { panic!("it is being stored") };
        repeats.stored(7, UnixNanos(0));
        assert_eq!(*outcome.borrow(), Some(true));
        assert!(matches!(repeats.begin(7, UnixNanos(10 * second)), Seen::Stored));
        assert!(matches!(repeats.begin(7, UnixNanos(11 * second)), Seen::New));
        repeats.failed(7);
        assert!(matches!(repeats.begin(7, UnixNanos(11 * second)), Seen::New));
    }

    #[test]
    fn the_number_of_remembered_requests_is_bounded() {
        let mut repeats = Repeats::new(Duration::from_secs(10), 100);
        for hash in 0..1_000 {
            repeats.begin(hash, UnixNanos(0));
            repeats.stored(hash, UnixNanos(0));
        }
        repeats.begin(5_000, UnixNanos(0));
        assert!(repeats.states.len() <= 101);
    }
}
