//! What is not waited for while memory runs short: traces whose coin is below a threshold are dropped as soon as they are seen,
//! the whole trace and consistently, and those above carry the weight for them.
//!
//! A trace keeps the threshold that counted when its first span came, also across a restart: hence each change is on disk
//! before it counts. Without a budget nothing is shed; memory that is full refuses requests then.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use sampling::shed::Shed;
use sampling::{Randomness, Threshold};
use storage::model::{TraceId, UnixNanos};

use crate::{Durable, Error};

/// The least change of the probability that is worth a write.
const LEAST_CHANGE: f64 = 1.1;
/// Pressure is a share; `Shed` wants a number of bytes and a limit.
const SCALE: u64 = 1 << 32;
/// Changes that are remembered, for so long: ten a second at most, so for longer than traces wait, also where the process or its
/// disk has stood still meanwhile.
const MOST_CHANGES: usize = 1_000;
const LONGEST: Duration = Duration::from_secs(3_600);

/// Thresholds, and since when each of them counts.
#[derive(Debug)]
pub struct Shedding {
    shed: Shed,
    changes: VecDeque<(UnixNanos, Threshold)>,
    file: Arc<dyn Durable>,
}

impl Shedding {
    /// `written` is what an earlier process has written to `file`.
    pub fn new(file: Arc<dyn Durable>, written: Option<&[u8]>) -> crate::Result<Self> {
        let changes: Vec<(i64, u64)> = match written {
            Some(bytes) => serde_json::from_slice(bytes).map_err(|error| {
                Error::Config(format!(
                    "the file of what was shed is damaged ({error}), and traces that wait for their decision would get wrong \
                     weights; remove it to start all the same"
                ))
            })?,
            None => Vec::new(),
        };
        let changes: VecDeque<_> =
            changes.into_iter().map(|(at, bits)| (UnixNanos(at), Threshold::new(bits))).collect();
        let last = changes.back().map_or(1.0, |(_, threshold)| threshold.probability());
        Ok(Self { shed: Shed::from_probability(last), changes, file })
    }

    /// Follows the used share of memory. Traces that come after `now` get what is decided here.
    pub fn update(&mut self, now: UnixNanos, pressure: f64) {
        let used = (pressure.clamp(0.0, 1e3) * SCALE as f64) as u64;
        let wanted = self.shed.update(u64::try_from(now.0).unwrap_or_default(), used, SCALE);
        let present = self.at(UnixNanos(i64::MAX));
        let change = present.probability() / wanted.probability();
        let is_worth_it = !(1.0 / LEAST_CHANGE..=LEAST_CHANGE).contains(&change)
            || wanted == Threshold::ALWAYS && present != Threshold::ALWAYS;
        if !is_worth_it {
            return;
        }
        let mut changes = self.changes.clone();
        changes.push_back((now, wanted));
        let longest = i64::try_from(LONGEST.as_nanos()).unwrap_or(i64::MAX);
        // The last one before it counts for what came at that time.
        while changes.len() > MOST_CHANGES || changes.get(1).is_some_and(|(at, _)| now.since(*at) > longest) {
            changes.pop_front();
        }
        let lines: Vec<(i64, u64)> = changes.iter().map(|(at, threshold)| (at.0, threshold.bits())).collect();
        let written = serde_json::to_vec(&lines).map_err(std::io::Error::other);
        match written.and_then(|bytes| self.file.replace(&bytes)) {
            Ok(()) => self.changes = changes,
            Err(error) => tracing::warn!(error = %error, "what is shed could not be written, so it stays as it is"),
        }
    }

    /// Of a trace whose first span came then.
    pub fn at(&self, first_arrival: UnixNanos) -> Threshold {
        let known = self.changes.iter().rev().find(|(at, _)| *at < first_arrival);
        known.map_or(Threshold::ALWAYS, |(_, threshold)| *threshold)
    }

    /// Whether a trace that waits since then is not worth it: its coin is below what counted for it. A coin of its client's
    /// own is looked at when it is decided.
    pub fn is_shed(&self, trace_id: &TraceId, first_arrival: UnixNanos) -> bool {
        let threshold = self.at(first_arrival);
        threshold != Threshold::ALWAYS && !threshold.keeps(Randomness::hashed(trace_id.as_bytes()))
    }

    /// The probability with which traces are waited for that come now.
    pub fn probability(&self) -> f64 {
        self.at(UnixNanos(i64::MAX)).probability()
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Mutex;

    use super::*;

    #[derive(Debug, Default)]
    struct Memory(Mutex<Option<Vec<u8>>>);

    impl Durable for Memory {
        fn replace(&self, bytes: &[u8]) -> io::Result<()> {
            *self.0.lock().unwrap() = Some(bytes.to_vec());
            Ok(())
        }
    }

    #[derive(Debug)]
    struct Full;

    impl Durable for Full {
        fn replace(&self, _: &[u8]) -> io::Result<()> {
            Err(io::Error::other("no room"))
        }
    }

    fn moment(tenths: i64) -> UnixNanos {
        UnixNanos(1_000_000_000_000 + tenths * 100_000_000)
    }

    #[test]
    fn traces_keep_what_counted_when_they_came_also_after_a_restart() {
        let file = Arc::new(Memory::default());
        let mut shedding = Shedding::new(Arc::clone(&file) as _, None).unwrap();
        shedding.update(moment(0), 0.5);
        assert!(file.0.lock().unwrap().is_none() && shedding.probability() == 1.0);
        shedding.update(moment(1), 0.99);
        let first = shedding.probability();
        shedding.update(moment(2), 1.2);
        let second = shedding.probability();
        assert!(second < first && first < 0.9, "{second} {first}");
        let again = Shedding::new(file.clone(), file.0.lock().unwrap().as_deref()).unwrap();
        for shedding in [&shedding, &again] {
            // What came in the moment of a change came before it.
            assert_eq!(shedding.at(moment(1)), Threshold::ALWAYS);
            assert_eq!(shedding.at(UnixNanos(moment(1).0 + 1)).probability(), first);
            assert_eq!(shedding.at(moment(2)).probability(), first);
            assert_eq!(shedding.at(moment(9)).probability(), second);
        }
        // A start after a minute knows them, and goes on from where the earlier process was.
        let mut later = again;
        later.update(moment(600), 0.5);
        assert!(later.probability() < 2.0 * second, "{}", later.probability());
        assert_eq!(later.at(moment(2)).probability(), first);
        // Calm again, it ends. What nobody waits for any more is forgotten with the next change.
        for tick in 3..60_000 {
            shedding.update(moment(tick), 0.2);
        }
        assert_eq!(shedding.probability(), 1.0);
        assert_eq!(shedding.at(moment(59_999)), Threshold::ALWAYS);
        shedding.update(moment(60_000), 1.0);
        assert_eq!(shedding.changes.len(), 2);
    }

    #[test]
    fn a_part_of_the_traces_is_shed_by_their_coin() {
        let mut shedding = Shedding::new(Arc::new(Memory::default()), None).unwrap();
        let trace = |n: u32| TraceId::from_bytes([n.to_be_bytes(); 4].concat().try_into().unwrap()).unwrap();
        let shed = |shedding: &Shedding| (1..=4_000).filter(|n| shedding.is_shed(&trace(*n), moment(5))).count();
        assert_eq!(shed(&shedding), 0);
        shedding.update(moment(1), 1.0);
        let expected = 4_000.0 * (1.0 - shedding.probability());
        let found = shed(&shedding) as f64;
        assert!((found / expected - 1.0).abs() < 0.1, "{found} of {expected}");
        assert!(!(1..100).any(|n| shedding.is_shed(&trace(n), moment(1))));
    }

    #[test]
    fn what_cannot_be_written_does_not_count_and_what_is_damaged_is_said() {
        let mut shedding = Shedding::new(Arc::new(Full), None).unwrap();
        shedding.update(moment(1), 1.0);
        assert_eq!(shedding.probability(), 1.0);
        let error = Shedding::new(Arc::new(Full), Some(b"[[1,")).unwrap_err().to_string();
        assert!(error.contains("what was shed is damaged"), "{error}");
    }
}
