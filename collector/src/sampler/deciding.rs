//! A tick: which pending traces are due, what is known of them, and what becomes of them. Decides; the caller does.

use std::sync::Arc;
use std::time::Duration;

use sampling::budget::CostUnit;
use sampling::sketch::SlowSpans;
use sampling::{Facts, KeepReason, Ripe, Sampler, Verdict};
use storage::model::{TraceId, UnixNanos};
use storage::rows::SpanRef;
use storage::{Clock, Decision, Gathered, Store};

use super::assembly::left;
use super::counts::{Alarm, Counts, Late};
use super::due::{Due, due, time_of};
use super::facts::{Surveyor, operation};
use super::grace::{Grace, Graces};
use super::held::Held;
use super::late::late;
use super::load::Loads;
use super::past::{Past, Rehearsal, Tick};
use super::policy::{ActivePolicy, Revised};
use super::source::Source;
use super::{AssemblyConfig, Bounds, Ripeness, Shedding, state};
use crate::remote::HeadRates;

/// `keep_reason` where no budget is set.
const KEEP_ALL: &str = "all";
/// `keep_reason` of a trace that was dropped because memory ran short.
pub(super) const SHED: &str = "shed";

/// A budget's tick waits for so many traces, for this long at most: so slow traffic is not cut into ticks of one trace.
const ENOUGH_TRACES: usize = 200;
const LONGEST_TICK: Duration = Duration::from_secs(1);
/// Above this pressure nothing waits.
const PRESSED: f64 = 0.7;

/// A trace that is due, and what was found out about it.
struct Surveyed<'a> {
    due: &'a Due,
    facts: Facts,
    source: Source<'a>,
    span_count: usize,
}

/// Decisions in one record of the log: small, so that requests are acknowledged in between.
pub type Records = Vec<Vec<Decision>>;

/// What the sampler knows between ticks.
#[derive(Debug)]
pub struct Deciding {
    active: Arc<ActivePolicy>,
    policy: Arc<Revised>,
    sampler: Sampler,
    slow: SlowSpans,
    surveyor: Surveyor,
    heads: HeadRates,
    loads: Loads,
    shedding: Shedding,
    bounds: Option<Bounds>,
    graces: Option<Graces>,
    last_tick: Option<UnixNanos>,
    held: Held,
    counts: Arc<Counts>,
    past: Past,
    is_saved: bool,
}

impl Deciding {
    /// Traces are weighed by the ledger of `heads`, whose rates follow what is decided. `state` is that of an earlier process.
    pub fn new(
        active: Arc<ActivePolicy>,
        heads: HeadRates,
        shedding: Shedding,
        state: Option<&[u8]>,
    ) -> Result<Self, sampling::Error> {
        let policy = active.get();
        let known = state.and_then(|state| match state::read(&policy.policy, state) {
            Ok(known) => Some(known),
            Err(error) => {
                tracing::warn!(error = %error, "the sampler starts without what it knew of rates and durations");
                None
            }
        });
        let (sampler, slow) = match known {
            Some(known) => known,
            None => (Sampler::new(policy.policy.clone())?, SlowSpans::new(&policy.policy)),
        };
        Ok(Self {
            surveyor: Surveyor::new(policy.policy.limits.max_edges),
            active,
            sampler,
            slow,
            policy,
            heads,
            loads: Loads::default(),
            shedding,
            bounds: None,
            graces: None,
            last_tick: None,
            held: Held::default(),
            counts: Arc::default(),
            past: Past::default(),
            is_saved: true,
        })
    }

    /// What is known now, for the next process; `None` if nothing was learnt since it was asked for last.
    pub fn state(&mut self) -> Option<Vec<u8>> {
        let is_saved = std::mem::replace(&mut self.is_saved, true);
        (!is_saved).then(|| state::write(&self.sampler, &self.slow))
    }

    /// To be told where what [`Self::state`] gave could not be written.
    pub fn note_unsaved(&mut self) {
        self.is_saved = false;
    }

    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    /// The decisions that are due.
    pub fn due(&mut self, store: &Store, config: &AssemblyConfig, clock: &dyn Clock) -> Records {
        let pressure = store.memory_pressure();
        let waits = config.under_pressure(pressure);
        self.follow_bounds(config);
        let is_limited = self.policy.policy.budget.is_some();
        self.shedding.update(clock.now(), if is_limited { pressure } else { 0.0 });
        self.counts.set_shedding(self.shedding.probability());
        let Self { graces, shedding, .. } = &mut *self;
        // Under the lock, so that no trace came after it.
        let mut moment = None;
        let mut rooted = Vec::new();
        let due = due(store, |late, id, trace| {
            let now = *moment.get_or_insert_with(|| clock.now());
            if !late && shedding.is_shed(id, trace.first_arrival) {
                return true;
            }
            let mut grace = waits.root_grace;
            if let Some(graces) = graces.as_mut() {
                // Late spans come without their root, which is remembered.
                match (graces.see(id, trace.span_count(), now), trace.root_arrival) {
                    (Some(Grace::Known(known)), _) => grace = known.mul_f64(left(pressure)),
                    (None, Some(root_arrival)) if !late && graces.has_room() => {
                        rooted.push((*id, root_arrival, trace.span_count()));
                    }
                    _ => {}
                }
            }
            Ripeness::of(trace, late).is_ripe(&waits, grace, now)
        });
        let now = moment.unwrap_or_else(|| clock.now());
        self.begin(store, &rooted, now);
        let fresh = due.iter().filter(|due| due.late.is_none()).count();
        let longest = i64::try_from(LONGEST_TICK.as_nanos()).unwrap_or(i64::MAX);
        let since = self.last_tick.map_or(i64::MAX, |last| now.since(last));
        let waits_on = self.policy.policy.budget.is_some()
            && fresh < ENOUGH_TRACES
            && self.held.is_empty()
            && (0..longest).contains(&since)
            && pressure < PRESSED;
        if waits_on {
            return Records::new();
        }
        // What a start found in the log came in longer than a tick, too.
        let came_in = if self.last_tick.is_none() { time_of(&due, now) } else { 0 };
        let may_wait = came_in == 0 && pressure < PRESSED;
        self.decide(store, due, config.spans_per_record, now, came_in, may_wait)
    }

    /// Decisions for all that is pending, ripe or not. Ticks to come would have decided it, so it has their budget.
    pub fn all(&mut self, store: &Store, config: &AssemblyConfig, clock: &dyn Clock) -> Records {
        let due = due(store, |_, _, _| true);
        let now = clock.now();
        let came_in = time_of(&due, now);
        self.decide(store, due, config.spans_per_record, now, came_in, false)
    }

    /// What a dry run needs: a copy, since decisions do not wait for one.
    pub fn rehearsal(&self) -> Rehearsal {
        Rehearsal::new(self.sampler.clone(), self.active.get(), self.past.clone())
    }

    /// `came_in` is how long a time the traces came in, in nanoseconds: the tick is at least as long. What must be kept of a lump may
    /// be left to a later one if it `may_wait`.
    fn decide(
        &mut self,
        store: &Store,
        due: Vec<Due>,
        spans_per_record: usize,
        now: UnixNanos,
        came_in: u64,
        may_wait: bool,
    ) -> Records {
        let had = Arc::clone(&self.policy);
        self.follow_policy();
        let has_same_policy = Arc::ptr_eq(&had, &self.policy);
        let now_nanos = u64::try_from(now.0).unwrap_or_default();
        let since = self.last_tick.map_or(0, |last| u64::try_from(now.since(last)).unwrap_or_default());
        let tick_nanos = since.max(came_in);
        self.last_tick = Some(now);

        let ids: Vec<TraceId> = due.iter().map(|due| due.trace_id).collect();
        let Gathered { batches, traces, .. } = store.look(&ids);
        self.surveyor.begin(&batches, &self.policy.policy.force_keep);
        let budget = self.policy.policy.budget.as_ref();
        let cost_per_byte = budget.filter(|budget| budget.unit() == CostUnit::Bytes).map(|_| stored_share(store));
        let before = std::mem::take(&mut self.held);
        let Self { surveyor, slow, heads, shedding, .. } = self;
        let ledger = &*heads.ledger;
        let survey = |(index, spans): (usize, Vec<SpanRef>)| {
            let due = &due[index];
            let known = before.get(&due.trace_id, spans.len()).filter(|_| has_same_policy && due.late.is_none());
            let (facts, source) = known.unwrap_or_else(|| {
                let slow = (&mut *slow, now_nanos);
                let (mut facts, source) = surveyor.survey(&batches, &due.trace_id, &spans, cost_per_byte, slow, ledger);
                facts.shed = shedding.at(due.first_arrival);
                (facts, source)
            });
            Surveyed { due, facts, source, span_count: spans.len() }
        };
        let mut ripe: Vec<Surveyed<'_>> = traces.into_iter().map(survey).collect();
        self.is_saved &= ripe.is_empty();
        if may_wait {
            self.hold(&before, &mut ripe, now, tick_nanos);
        }
        if let Some(graces) = &mut self.graces {
            graces.decided(&ripe.iter().map(|ripe| ripe.due.trace_id).collect::<Vec<_>>());
        }
        let fresh = || ripe.iter().filter(|ripe| ripe.due.late.is_none());
        let of_fresh: Vec<Facts> = fresh().map(|ripe| ripe.facts).collect();
        // What follows a trace that is kept was not foreseen when it was decided.
        let followers = ripe.iter().filter(|ripe| ripe.due.late.as_ref().is_some_and(|first| first.keep));
        self.sampler.charge(followers.map(|ripe| ripe.facts.cost).sum());
        let verdicts = self.sampler.tick(now_nanos, tick_nanos, &of_fresh);
        self.counts.tick(&of_fresh, &verdicts, &self.sampler.report());
        for (ripe, verdict) in fresh().zip(&verdicts) {
            self.loads.count(now_nanos, &ripe.source, &ripe.facts, verdict);
        }
        if let Some(rates) = self.loads.due(now_nanos) {
            self.heads.rates.publish(rates);
        }
        self.show_alarms(now_nanos);

        let mut records = Records::new();
        let (mut record, mut spans_in_record) = (Vec::new(), 0);
        let mut verdicts = verdicts.iter();
        for Surveyed { due, facts, span_count, .. } in &ripe {
            let decision = match &due.late {
                Some(first) => {
                    let (operation, service) = (facts.operation, facts.service);
                    let is_slow = !first.keep
                        && facts.root_duration_nanos.is_some_and(|duration_nanos| {
                            self.sampler.slow_root(operation, service, duration_nanos, now_nanos)
                        });
                    let (decision, late) = late(due.trace_id, first, facts, is_slow);
                    self.counts.late(late);
                    if late == Late::Rescued {
                        self.sampler.charge(facts.cost);
                    }
                    decision
                }
                None => match verdicts.next() {
                    Some(verdict) => self.fresh(due.trace_id, verdict, facts),
                    None => continue,
                },
            };
            record.push(decision);
            spans_in_record += span_count;
            if spans_in_record >= spans_per_record {
                records.push(std::mem::take(&mut record));
                spans_in_record = 0;
            }
        }
        if !record.is_empty() {
            records.push(record);
        }
        self.past.remember(Tick { now_nanos, tick_nanos, facts: of_fresh }, LONGEST_TICK, ENOUGH_TRACES);
        records
    }

    /// Takes out of `ripe` what a later tick decides.
    fn hold(&mut self, before: &Held, ripe: &mut Vec<Surveyed<'_>>, now: UnixNanos, tick_nanos: u64) {
        let since = |ripe: &Surveyed<'_>| before.since(&ripe.due.trace_id).unwrap_or(now);
        // Where the clock was set back, nobody waits for it.
        let waited = |ripe: &Surveyed<'_>| u64::try_from(now.since(since(ripe))).unwrap_or(u64::MAX);
        // Late spans follow what was decided.
        let mut fresh: Vec<(usize, &Surveyed<'_>)> =
            ripe.iter().enumerate().filter(|(_, ripe)| ripe.due.late.is_none()).collect();
        fresh.sort_by_key(|(_, ripe)| since(ripe));
        let asked: Vec<Ripe<'_>> =
            fresh.iter().map(|(_, ripe)| Ripe { facts: &ripe.facts, waited_nanos: waited(ripe) }).collect();
        let now_nanos = u64::try_from(now.0).unwrap_or_default();
        let postponed = self.sampler.postponed(now_nanos, tick_nanos, &asked);
        let mut waits = vec![false; ripe.len()];
        fresh.iter().zip(postponed).for_each(|((at, _), postponed)| waits[*at] = postponed);
        let mut waits = waits.into_iter();
        ripe.retain(|ripe| {
            let waits = waits.next().unwrap_or(false);
            if waits {
                self.held.add(ripe.due.trace_id, ripe.facts, &ripe.source, ripe.span_count, since(ripe));
            }
            !waits
        });
    }

    fn follow_bounds(&mut self, config: &AssemblyConfig) {
        if config.adaptive != self.bounds {
            self.bounds = config.adaptive;
            self.graces = config.adaptive.map(Graces::between);
        }
    }

    /// Takes note of traces whose root has come since the last tick.
    fn begin(&mut self, store: &Store, rooted: &[(TraceId, UnixNanos, usize)], now: UnixNanos) {
        let Some(graces) = &mut self.graces else { return };
        graces.prune(now);
        let ids: Vec<TraceId> = rooted.iter().map(|(id, _, _)| *id).collect();
        let Gathered { batches, traces, .. } = store.look(&ids);
        for (index, spans) in traces {
            if let (Some((id, root_arrival, span_count)), Some(operation)) =
                (rooted.get(index), operation(&batches, &spans))
            {
                graces.begin(*id, operation, *root_arrival, *span_count);
            }
        }
    }

    fn show_alarms(&self, now_nanos: u64) {
        let alarmed = self.sampler.alarmed(now_nanos).into_iter();
        let mut alarms: Vec<Alarm> = alarmed
            .filter_map(|alarmed| {
                let (service, operation) = self.loads.names(alarmed.operation)?;
                let until = UnixNanos(i64::try_from(alarmed.until_nanos).unwrap_or(i64::MAX));
                Some(Alarm { service, operation, until })
            })
            .collect();
        alarms.sort_unstable_by(|one, other| (&one.service, &one.operation).cmp(&(&other.service, &other.operation)));
        self.counts.set_alarms(self.sampler.alarms_raised(), alarms);
    }

    fn follow_policy(&mut self) {
        let policy = self.active.get();
        if Arc::ptr_eq(&policy, &self.policy) {
            return;
        }
        // It was validated before it became active.
        if let Err(error) = self.sampler.set_policy(policy.policy.clone()) {
            tracing::error!(error = %error, "the new sampling policy is not followed");
            return;
        }
        self.slow.set_policy(&policy.policy);
        self.policy = policy;
    }

    fn fresh(&self, trace_id: TraceId, verdict: &Verdict, facts: &Facts) -> Decision {
        let unlimited = self.policy.policy.budget.is_none();
        let opted_out = verdict.keep_reason == KeepReason::OptedOut;
        let reason = match verdict.keep_reason.word() {
            _ if !verdict.keep && !facts.shed.keeps(facts.randomness) => SHED,
            _ if unlimited && !opted_out => KEEP_ALL,
            word => word,
        };
        Decision {
            trace_id,
            keep: verdict.keep,
            adjusted_count: verdict.adjusted_count,
            head_count: facts.head.probability().map(|p| 1.0 / p),
            keep_reason: reason.into(),
            class: verdict.class.word().into(),
            shape: facts.shape,
            policy_revision: self.policy.revision,
        }
    }
}

/// Bytes in segments for a byte in memory: what the tables have so far, else what the shop's and the benchmark's spans take.
fn stored_share(store: &Store) -> f64 {
    const AT_FIRST: f64 = 0.3;
    const MEMORY_BYTES_PER_SPAN: f64 = 160.0;
    const ENOUGH_ROWS: u64 = 10_000;
    let status = store.status();
    let spans = status.tables.iter().find(|table| table.table == storage::schema::Table::Spans);
    match spans.filter(|spans| spans.rows >= ENOUGH_ROWS) {
        Some(spans) => spans.bytes as f64 / spans.rows as f64 / MEMORY_BYTES_PER_SPAN,
        None => AT_FIRST,
    }
}

#[cfg(test)]
mod tests;
