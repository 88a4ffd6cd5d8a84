//! What has been seen: rates of strata and shapes, and how long operations take. All of it bounded.
//!
//! A trace is counted before its weight is asked for, so the tick's own traces are in the rates. What does not fit its table
//! shares one entry, which is frequent and therefore weighs little.

use crate::alarm::Watch;
use crate::budget::TraceCosts;
use crate::class::{Class, Facts};
use crate::codec::{Reader, Writer};
use crate::error::Error;
use crate::math::pow;
use crate::policy::Policy;
use crate::rate::{Decayed, HalfLife};
use crate::shape::Novelty;
use crate::sketch::{Quantile, Recent};
use crate::table::Table;

/// Key of what does not fit.
pub(super) const SHARED: u64 = u64::MAX;
/// Row of a shape that does not fit.
const NO_ROW: u32 = u32::MAX;
const PRUNE_NANOS: u64 = 10_000_000_000;
/// An operation that was silent so long starts anew; a twelfth of it when there is little room.
const IDLE_NANOS: u64 = 3_600_000_000_000;
/// A shape that has faded to less than this gets the same rate, the floor, whether it is remembered or not.
const FADED: f64 = 1.0 / std::f64::consts::LN_2 - 1.0;
/// A sampler that has just started knows no shapes. Assuming a minute, the most frequent soon weigh less than new ones.
const SHAPES_AGE_NANOS: u64 = 60_000_000_000;
/// The policy's 0.999 of cost: what a large trace is.
const LARGE: Quantile = Quantile { q: 0.999, min_values: 1, half_nanos: 1_800_000_000_000 };

/// A trace a second and fewer: an operation's weight for being rare grows from here on with the second power.
const RARE_PER_SECOND: f64 = 0.3;
/// A shape that was not kept for so many times its due time weighs no more for it.
const MOST_DUE: f64 = 3.0;

/// What is known of a shape.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ShapeSeen {
    traces: Decayed,
    /// When a trace of it was last kept; 0 for never.
    kept_nanos: u64,
    /// How many came in a tick.
    tick: u64,
    in_tick: u32,
}

impl ShapeSeen {
    fn add(&mut self, now_nanos: u64, half_life: HalfLife, cost: f64, tick: u64) {
        self.traces.add(now_nanos, half_life, cost);
        self.in_tick = if self.tick == tick { self.in_tick.saturating_add(1) } else { 1 };
        self.tick = tick;
    }

    /// How long none of it was kept, in parts of `due_seconds`.
    fn due(&self, now_nanos: u64, due_seconds: f64) -> f64 {
        match self.kept_nanos {
            0 => MOST_DUE,
            kept => (now_nanos.saturating_sub(kept) as f64 / (1e9 * due_seconds)).min(MOST_DUE),
        }
    }

    pub fn write(&self, out: &mut Writer) {
        self.traces.write(out);
        out.u64(self.kept_nanos);
    }

    pub fn read(input: &mut Reader) -> Result<Self, Error> {
        Ok(Self { traces: Decayed::read(input)?, kept_nanos: input.u64()?, ..Self::default() })
    }
}

#[derive(Debug, Clone)]
pub(super) struct Operation {
    pub service: u64,
    pub strata: [Decayed; 5],
    pub durations: Recent,
    /// For as long as shapes count.
    pub traces: Decayed,
    /// Of the shapes that do not fit.
    pub other_shapes: ShapeSeen,
    pub novelty: Novelty,
    pub watch: Watch,
    pub alarm_until_nanos: u64,
    pub seen_nanos: u64,
    pub p_normal: f64,
    /// `L^(q-1)` and `1/sqrt(cbar)` of each class, once per tick.
    levers: [Option<(f64, f64)>; 5],
    levers_tick: u64,
}

impl Operation {
    pub fn new(service: u64, max_buckets: u32, now_nanos: u64) -> Self {
        Self {
            service,
            strata: [Decayed::default(); 5],
            durations: Recent::new(max_buckets, now_nanos),
            traces: Decayed::default(),
            other_shapes: ShapeSeen::default(),
            novelty: Novelty::default(),
            watch: Watch::default(),
            alarm_until_nanos: 0,
            seen_nanos: now_nanos,
            p_normal: 1.0,
            levers: [None; 5],
            levers_tick: 0,
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub operations: Table<Operation>,
    pub services: Table<(u64, Recent)>,
    pub shapes: Table<ShapeSeen>,
    pub costs: Recent,
    /// Of all operations, for as long as shapes count.
    pub traces: Decayed,
    /// Of all roots: what lasts longer without one is slow.
    pub durations: Recent,
    pub started_nanos: Option<u64>,
    pub tick: u64,
    pruned_nanos: u64,
    strata_half_life: HalfLife,
    shapes_half_life: HalfLife,
    strata_rate_per_count: f64,
    shapes_rate_per_count: f64,
    pub max_buckets: u32,
    slow: Quantile,
}

/// Where a trace was counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub operation: u32,
    shape: u32,
}

impl Place {
    /// Of a trace that is not counted.
    pub fn outside(operation: u32) -> Self {
        Self { operation, shape: NO_ROW }
    }
}

impl Seen {
    pub fn new(policy: &Policy) -> Self {
        let mut new = Self {
            operations: Table::new(0),
            services: Table::new(0),
            shapes: Table::new(0),
            costs: Recent::new(policy.limits.max_buckets, 0),
            traces: Decayed::default(),
            durations: Recent::new(policy.limits.max_buckets, 0),
            started_nanos: None,
            tick: 0,
            pruned_nanos: 0,
            strata_half_life: HalfLife::seconds(1.0),
            shapes_half_life: HalfLife::seconds(1.0),
            strata_rate_per_count: 0.0,
            shapes_rate_per_count: 0.0,
            max_buckets: policy.limits.max_buckets,
            slow: LARGE,
        };
        new.set_policy(policy);
        new
    }

    pub fn set_policy(&mut self, policy: &Policy) {
        // One more for what does not fit.
        self.operations.set_max(policy.limits.max_operations.saturating_add(1));
        self.services.set_max(policy.limits.max_services.saturating_add(1));
        self.shapes.set_max(policy.limits.max_shapes);
        self.strata_half_life = HalfLife::seconds(policy.rates.operation_half_life_seconds);
        self.shapes_half_life = HalfLife::seconds(policy.rates.shape_half_life_seconds);
        self.max_buckets = policy.limits.max_buckets;
        self.slow = Quantile {
            q: policy.slow.root_quantile,
            min_values: policy.slow.min_values,
            half_nanos: policy.slow.half_nanos(),
        };
    }

    /// Costs are in another unit from now on.
    pub fn forget_costs(&mut self) {
        self.costs = Recent::new(self.max_buckets, 0);
        self.traces = Decayed::default();
        for (_, operation) in self.operations.iter_mut() {
            operation.strata = [Decayed::default(); 5];
        }
    }

    /// The first tick's traces came in the time since the one before it.
    pub fn begin(&mut self, now_nanos: u64, tick_nanos: u64) {
        self.tick = self.tick.wrapping_add(1);
        let started = *self.started_nanos.get_or_insert(now_nanos.saturating_sub(tick_nanos));
        let age = now_nanos.saturating_sub(started).max(tick_nanos);
        self.strata_rate_per_count = self.strata_half_life.rate_per_count(age);
        self.shapes_rate_per_count = self.shapes_half_life.rate_per_count(age.max(SHAPES_AGE_NANOS));
        let (max_buckets, slow) = (self.max_buckets, self.slow);
        self.operations.find_or_add(SHARED, || Operation::new(SHARED, max_buckets, now_nanos));
        self.services.find_or_add(SHARED, || (now_nanos, Recent::new(max_buckets, now_nanos)));
        if now_nanos.abs_diff(self.pruned_nanos) >= PRUNE_NANOS {
            self.pruned_nanos = now_nanos;
            self.prune(now_nanos, slow.half_nanos);
        }
    }

    fn prune(&mut self, now_nanos: u64, half_nanos: u64) {
        let half_life = self.shapes_half_life;
        self.shapes.retain(|_, shape| shape.traces.count_at(now_nanos, half_life) > FADED);
        let idle = IDLE_NANOS.max(half_nanos.saturating_mul(2));
        let stays = |key: u64, seen_nanos: u64, crowded: bool| {
            key == SHARED || now_nanos.saturating_sub(seen_nanos) < if crowded { idle / 12 } else { idle }
        };
        let crowded = self.operations.is_crowded();
        self.operations.retain(|key, operation| {
            stays(key, operation.seen_nanos, crowded) || operation.alarm_until_nanos > now_nanos
        });
        for (_, operation) in self.operations.iter_mut() {
            operation.novelty.rest(now_nanos);
        }
        let crowded = self.services.is_crowded();
        self.services.retain(|key, (seen_nanos, _)| stays(key, *seen_nanos, crowded));
    }

    /// The row of an operation, or of what does not fit.
    pub fn operation(&mut self, now_nanos: u64, key: u64, service: u64) -> u32 {
        let max_buckets = self.max_buckets;
        self.operations
            .find_or_add(key, || Operation::new(service, max_buckets, now_nanos))
            .or_else(|| self.operations.find(SHARED))
            .unwrap_or(0)
    }

    /// Judges the root by what came before it, then counts it. Without a root, what has come of the trace is judged by all
    /// roots: who lasts so long without one is slow, or has lost it.
    pub fn slow_root(&mut self, now_nanos: u64, row: u32, facts: &Facts) -> bool {
        let (slow, max_buckets) = (self.slow, self.max_buckets);
        let Some(operation) = self.operations.get_mut(row) else { return false };
        operation.seen_nanos = now_nanos;
        let Some(duration) = facts.root_duration_nanos else {
            return self.durations.quantile(now_nanos, slow).is_some_and(|threshold| facts.lasted_nanos > threshold);
        };
        self.durations.record(now_nanos, slow.half_nanos, duration);
        let own = operation.durations.quantile(now_nanos, slow);
        operation.durations.record(now_nanos, slow.half_nanos, duration);
        let service = self
            .services
            .find_or_add(facts.service, || (now_nanos, Recent::new(max_buckets, now_nanos)))
            .or_else(|| self.services.find(SHARED))
            .and_then(|row| self.services.get_mut(row));
        let mut threshold = own;
        if let Some((seen_nanos, durations)) = service {
            *seen_nanos = now_nanos;
            threshold = own.or_else(|| durations.quantile(now_nanos, slow));
            durations.record(now_nanos, slow.half_nanos, duration);
        }
        threshold.is_some_and(|threshold| duration > threshold)
    }

    /// The same of a root that came too late for its tick; nothing is counted.
    pub fn is_slow_root(&mut self, now_nanos: u64, operation: u64, service: u64, duration_nanos: u64) -> bool {
        let slow = self.slow;
        let own = self.operations.find(operation).and_then(|row| self.operations.get_mut(row));
        let threshold = own.and_then(|operation| operation.durations.quantile(now_nanos, slow)).or_else(|| {
            let row = self.services.find(service)?;
            self.services.get_mut(row).and_then(|(_, durations)| durations.quantile(now_nanos, slow))
        });
        threshold.is_some_and(|threshold| duration_nanos > threshold)
    }

    pub fn count(
        &mut self,
        now_nanos: u64,
        row: u32,
        class: Class,
        cost: f64,
        facts: &Facts,
        per_minute: u32,
    ) -> Place {
        self.costs.record(now_nanos, LARGE.half_nanos, cost as u64);
        let half_life = self.shapes_half_life;
        self.traces.add(now_nanos, half_life, cost);
        let place = Place::outside(row);
        let Some(operation) = self.operations.get_mut(row) else { return place };
        operation.strata[class.index()].add(now_nanos, self.strata_half_life, cost);
        operation.traces.add(now_nanos, half_life, cost);
        let shape = self.shapes.find(facts.shape).or_else(|| {
            let flood = operation.novelty.is_flood(now_nanos, facts.shape, per_minute);
            self.shapes.find_or_add(if flood { facts.coarse_shape } else { facts.shape }, ShapeSeen::default)
        });
        let shape = shape.unwrap_or(NO_ROW);
        let known = self.shapes.get_mut(shape).unwrap_or(&mut operation.other_shapes);
        known.add(now_nanos, half_life, cost, self.tick);
        Place { operation: row, shape }
    }

    /// The weight of a trace that was counted in this tick, and whether its shape or the rareness of its operation set it.
    ///
    /// A shape's weight follows the time since one was last kept. The reciprocal of its rate would keep the same number of
    /// each on average, and of one in e^n none where that number is n; this keeps one in time for much less. It depends on
    /// coins of the past, never on the trace's own.
    pub fn weight(
        &mut self,
        now_nanos: u64,
        place: Place,
        class: Class,
        strength: f64,
        policy: &Policy,
    ) -> (f64, bool) {
        let Some(operation) = self.operations.get_mut(place.operation) else { return (1.0, false) };
        if operation.levers_tick != self.tick {
            (operation.levers, operation.levers_tick) = ([None; 5], self.tick);
        }
        let (by_rate, by_cost) = match operation.levers[class.index()] {
            Some(levers) => levers,
            None => {
                let stratum = &mut operation.strata[class.index()];
                stratum.advance(now_nanos, self.strata_half_life);
                let rate = (stratum.count() * self.strata_rate_per_count).max(1e-9);
                let alarm = if operation.alarm_until_nanos > now_nanos { policy.alarm.factor } else { 1.0 };
                let by_rate = alarm * pow(rate, policy.evenness - 1.0);
                *operation.levers[class.index()].insert((by_rate, 1.0 / stratum.mean_cost().max(1.0).sqrt()))
            }
        };
        let shape = self.shapes.get_mut(place.shape).unwrap_or(&mut operation.other_shapes);
        let due = shape.due(now_nanos, policy.rates.shape_seconds);
        let by_shape = policy.diversity * due * due * due / f64::from(shape.in_tick.max(1));
        operation.traces.advance(now_nanos, self.shapes_half_life);
        let floor = 1.0 / policy.rates.shape_half_life_seconds;
        let rate = (operation.traces.count() * self.shapes_rate_per_count).max(floor);
        let by_rareness = by_shape.max(policy.rarity / rate * (RARE_PER_SECOND / rate).max(1.0));
        let by_class = strength * by_rate;
        ((by_class.max(by_rareness) * by_cost).clamp(1e-30, 1e30), by_rareness > by_class)
    }

    /// A trace of this shape was kept.
    pub fn kept(&mut self, now_nanos: u64, place: Place) {
        if let Some(operation) = self.operations.get_mut(place.operation) {
            self.shapes.get_mut(place.shape).unwrap_or(&mut operation.other_shapes).kept_nanos = now_nanos;
        }
    }

    pub fn costs(&mut self, now_nanos: u64) -> TraceCosts {
        let large = self.costs.quantile(now_nanos, LARGE).unwrap_or(1) as f64;
        TraceCosts { mean: self.traces.mean_cost(), large }
    }

    pub fn strata_half_life(&self) -> HalfLife {
        self.strata_half_life
    }
}
