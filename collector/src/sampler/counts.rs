//! What was decided since the start, for `/metrics`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sampling::{Class, Facts, TickReport, Verdict};
use storage::model::UnixNanos;

/// What became of late spans, by trace and tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Late {
    /// Their trace is kept.
    Kept,
    /// Their trace was dropped.
    Dropped,
    /// Their trace was dropped, and they show that it failed.
    Rescued,
}

impl Late {
    pub const ALL: [Self; 3] = [Self::Kept, Self::Dropped, Self::Rescued];

    pub fn word(self) -> &'static str {
        ["kept", "dropped", "rescued"][self as usize]
    }
}

/// An operation that fails or is slow more often than it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    pub service: Arc<str>,
    pub operation: Arc<str>,
    /// When it ends unless it goes on.
    pub until: UnixNanos,
}

/// Counters of the sampler. Costs are in the unit of the budget, rounded.
#[derive(Debug, Default)]
pub struct Counts {
    kept: [AtomicU64; Class::ALL.len()],
    dropped: [AtomicU64; Class::ALL.len()],
    late: [AtomicU64; Late::ALL.len()],
    unweighed: AtomicU64,
    shed: AtomicU64,
    /// The bits of a probability; those of 0 are none, so that the default is 1.
    shedding_bits: AtomicU64,
    offered_cost: AtomicU64,
    kept_cost: AtomicU64,
    alarms_raised: AtomicU64,
    alarms: Mutex<Vec<Alarm>>,
}

fn add(counter: &AtomicU64, value: u64) {
    counter.fetch_add(value, Ordering::Relaxed);
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Counts {
    pub(super) fn tick(&self, facts: &[Facts], verdicts: &[Verdict], report: &TickReport) {
        let shed = facts.iter().filter(|facts| !facts.shed.keeps(facts.randomness));
        add(&self.shed, shed.count() as u64);
        for verdict in verdicts {
            let counters = if verdict.keep { &self.kept } else { &self.dropped };
            add(&counters[verdict.class.index()], 1);
            add(&self.unweighed, u64::from(verdict.adjusted_count.is_none()));
        }
        // A cast of what is no number gives 0.
        add(&self.offered_cost, report.offered.round() as u64);
        add(&self.kept_cost, report.used.round() as u64);
    }

    pub(super) fn set_shedding(&self, probability: f64) {
        self.shedding_bits.store(probability.to_bits(), Ordering::Relaxed);
    }

    pub(super) fn late(&self, late: Late) {
        add(&self.late[late as usize], 1);
    }

    pub(super) fn set_alarms(&self, raised: u64, alarms: Vec<Alarm>) {
        self.alarms_raised.store(raised, Ordering::Relaxed);
        *self.alarms.lock().unwrap_or_else(PoisonError::into_inner) = alarms;
    }

    /// Operations that have an alarm, by service and name.
    pub fn alarms(&self) -> Vec<Alarm> {
        self.alarms.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Alarms that began.
    pub fn alarms_raised(&self) -> u64 {
        read(&self.alarms_raised)
    }

    /// Traces by class: kept, and dropped.
    pub fn by_class(&self) -> impl Iterator<Item = (Class, u64, u64)> {
        let counters = self.kept.iter().zip(&self.dropped);
        Class::ALL.into_iter().zip(counters).map(|(class, (kept, dropped))| (class, read(kept), read(dropped)))
    }

    pub fn late_traces(&self) -> impl Iterator<Item = (Late, u64)> {
        Late::ALL.into_iter().zip(self.late.iter().map(read))
    }

    /// Traces of which nobody knows with which probability they were sampled at their source.
    pub fn unweighed(&self) -> u64 {
        read(&self.unweighed)
    }

    /// Traces that were dropped unseen because memory ran short.
    pub fn shed(&self) -> u64 {
        read(&self.shed)
    }

    /// The probability with which traces are waited for that come now: 1 unless memory runs short.
    pub fn shedding(&self) -> f64 {
        match read(&self.shedding_bits) {
            0 => 1.0,
            bits => f64::from_bits(bits),
        }
    }

    /// Of all that was decided, and of what is kept of it.
    pub fn costs(&self) -> (u64, u64) {
        (read(&self.offered_cost), read(&self.kept_cost))
    }
}
