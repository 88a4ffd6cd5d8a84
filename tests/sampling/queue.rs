//! Ripe traces between ticks: those whose decision the sampler postponed.

use sampling::{Facts, Ripe, Sampler};

use crate::timeline::{Late, NEVER, Tick, Timeline, nanos};

#[derive(Debug, Clone, Copy)]
struct Waiting {
    trace: u32,
    ripe_millis: u32,
    beyond_grace_millis: u32,
}

/// What a tick decides.
#[derive(Debug, Default)]
pub struct Queue {
    facts: Vec<Facts>,
    waiting: Vec<Waiting>,
    /// From the root's arrival to the decision, beyond the grace, of what was decided.
    pub beyond_grace_millis: Vec<u32>,
}

impl Queue {
    /// Of the tick's ripe traces and those that waited, the ones to decide now: their facts, and their numbers in the world.
    pub fn take(&mut self, sampler: &mut Sampler, timeline: &Timeline, tick: &Tick) -> (Vec<Facts>, Vec<u32>) {
        let now = tick.now_millis;
        for at in tick.first..tick.first + tick.len {
            let known = (timeline.facts.get(at), timeline.traces.get(at), timeline.beyond_grace_millis.get(at));
            let (Some(facts), Some(trace), Some(beyond)) = known else { continue };
            self.facts.push(*facts);
            self.waiting.push(Waiting { trace: *trace, ripe_millis: now, beyond_grace_millis: *beyond });
        }
        let is_last = timeline.ticks.last().is_some_and(|last| last.now_millis == now);
        let waited = |waiting: &Waiting| u64::from(now - waiting.ripe_millis) * 1_000_000;
        let ripe: Vec<Ripe> =
            self.facts.iter().zip(&self.waiting).map(|(facts, at)| Ripe { facts, waited_nanos: waited(at) }).collect();
        let postponed = sampler.postponed(nanos(now), u64::from(tick.length_millis) * 1_000_000, &ripe);
        let (mut facts, mut traces) = (Vec::with_capacity(ripe.len()), Vec::with_capacity(ripe.len()));
        let (mut facts_left, mut waiting_left) = (Vec::new(), Vec::new());
        for ((of, at), postponed) in self.facts.drain(..).zip(self.waiting.drain(..)).zip(postponed) {
            if postponed && !is_last {
                facts_left.push(of);
                waiting_left.push(at);
                continue;
            }
            facts.push(of);
            traces.push(at.trace);
            if at.beyond_grace_millis != NEVER {
                self.beyond_grace_millis.push(at.beyond_grace_millis + (now - at.ripe_millis));
            }
        }
        (self.facts, self.waiting) = (facts_left, waiting_left);
        (facts, traces)
    }

    /// Whether the span's trace waits, so that the span is decided with it.
    pub fn joins(&mut self, span: &Late) -> bool {
        let Some(at) = self.waiting.iter().position(|waiting| waiting.trace == span.trace) else { return false };
        if let Some(facts) = self.facts.get_mut(at) {
            facts.cost += f64::from(span.cost);
        }
        true
    }
}
