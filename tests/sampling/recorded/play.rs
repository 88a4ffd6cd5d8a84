//! Recorded traces to a world.

use std::collections::HashMap;

use anyhow::{Context, ensure};
use sampling::Randomness;

use super::read::{Recorded, Recordings};
use crate::random::{Random, mix};
use crate::world::{
    ABSENT, NETWORK_MILLIS, Node, Operation, Plan, Settings, Span, TENANTS, Trace, Variant, World, exported,
};

const LONGEST_PAUSE_MILLIS: f64 = 10_000.0;
const JITTER_MILLIS: f64 = 5_000.0;
/// Of what is played once, the part that warms up.
const WARMUP: f64 = 1.0 / 3.0;
/// Whatever the length.
const RARE: u32 = 20;

#[derive(Debug, Clone, Copy)]
pub struct Play {
    pub name: &'static str,
    /// At once.
    pub sets: &'static [&'static str],
    /// Each of them takes as long.
    pub squeezed_seconds: Option<u32>,
    pub passes: u32,
}

struct Start<'a> {
    millis: f64,
    trace: &'a Recorded,
    variant: u16,
}

pub fn play(recordings: &Recordings, play: &Play, seed: u64) -> anyhow::Result<World> {
    let mut random = Random::stream(seed, 21);
    let services = recordings.names.iter().map(|name| usize::from(name.service) + 1).max().unwrap_or(0);
    let plan = Plan {
        operations: Vec::new(),
        variants: Vec::new(),
        names: recordings.names.clone(),
        clock_off_millis: vec![0.0; services],
    };
    let mut world = World { settings: Settings::full(seed), plan, traces: Vec::new(), spans: Vec::new() };
    let mut starts = Vec::new();
    let mut pass_millis = 0.0_f64;
    for set in play.sets {
        let recording = recordings.get(set).with_context(|| format!("{set} was not read"))?;
        let (begins, length) = begins(&recording.traces, play.squeezed_seconds);
        pass_millis = pass_millis.max(length);
        for (millis, trace) in begins.into_iter().zip(&recording.traces) {
            let variant = u16::try_from(world.plan.variants.len()).context("more traces than a world has variants")?;
            world.plan.variants.push(variant_of(trace));
            starts.push(Start { millis, trace, variant });
        }
    }
    ensure!(!starts.is_empty(), "{} has no traces", play.name);
    let mut passes: Vec<(f64, &Start)> = Vec::new();
    for pass in 0..play.passes {
        let begin = f64::from(pass) * pass_millis;
        passes.extend(starts.iter().map(|start| {
            let jitter = if pass == 0 { 0.0 } else { random.between(-JITTER_MILLIS, JITTER_MILLIS) };
            ((begin + start.millis + jitter).max(0.0), start)
        }));
    }
    passes.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut operations = HashMap::new();
    for (began, start) in passes {
        add(&mut world, &mut random, &mut operations, began, start)?;
    }
    let all_seconds = (f64::from(play.passes) * pass_millis / 1e3).ceil() as u32;
    let warmup_seconds = match play.passes {
        1 => (f64::from(all_seconds) * WARMUP) as u32,
        passes => all_seconds / passes,
    };
    // What jitter moved behind the end is judged too.
    let seconds = all_seconds - warmup_seconds + (JITTER_MILLIS / 1e3) as u32;
    world.settings = Settings {
        warmup_seconds,
        seconds,
        cooldown_seconds: 0,
        incident: (0, 0),
        rare_operations: 0,
        late: 0.0,
        rare_at_most: Some(RARE),
        ..world.settings
    };
    // So that the budget is a part of what is judged.
    let judged: u64 =
        world.traces.iter().filter(|trace| world.is_judged(trace)).map(|trace| u64::from(trace.spans)).sum();
    let mean = world.spans.len() as f64 / world.traces.len().max(1) as f64;
    world.settings.traces_per_second = judged as f64 / f64::from(seconds) / mean;
    Ok(world)
}

/// Of each trace, with pauses cut short, and how long all take.
fn begins(traces: &[Recorded], squeezed_seconds: Option<u32>) -> (Vec<f64>, f64) {
    let mut now = 0.0;
    let mut before = traces.first().map_or(0, |trace| trace.began_nanos);
    let begins = traces.iter().map(|trace| {
        now += (trace.began_nanos.saturating_sub(before) as f64 / 1e6).min(LONGEST_PAUSE_MILLIS);
        before = trace.began_nanos;
        now
    });
    let mut begins: Vec<f64> = begins.collect();
    let length = begins.last().copied().unwrap_or(0.0).max(1.0);
    let wanted = squeezed_seconds.map_or(length, |seconds| f64::from(seconds) * 1e3);
    begins.iter_mut().for_each(|begin| *begin *= wanted / length);
    (begins, wanted)
}

/// A world's trace has its root first, there or not.
fn shift(trace: &Recorded) -> u8 {
    u8::from(!trace.has_root)
}

fn variant_of(trace: &Recorded) -> Variant {
    let lasted = f64::from(trace.duration_micros.max(1));
    let began = trace.spans.first().filter(|_| trace.has_root).map_or(0.0, |root| root.start_micros);
    let nodes = trace.spans.iter().map(|span| Node {
        name: span.name,
        parent: if span.parent == ABSENT { ABSENT } else { span.parent + shift(trace) },
        kind: span.kind,
        entry: span.entry,
        start: ((span.start_micros - began) / lasted) as f32,
    });
    let lost = trace.spans.first().filter(|_| !trace.has_root);
    let lost = lost.map(|span| Node { name: span.name, parent: ABSENT, kind: 0, entry: true, start: 0.0 });
    Variant { nodes: lost.into_iter().chain(nodes).collect() }
}

fn add(
    world: &mut World,
    random: &mut Random,
    operations: &mut HashMap<(bool, u16, u8), u16>,
    began: f64,
    start: &Start,
) -> anyhow::Result<()> {
    let trace = start.trace;
    let Some(top) = trace.spans.first() else { return Ok(()) };
    let service = world.plan.names.get(usize::from(top.name)).map_or(0, |name| name.service);
    // Which spans are lost is chance: without a root, what a service's traces share is the service.
    let key = if trace.has_root { (true, top.name, top.kind) } else { (false, service, 0) };
    let next = u16::try_from(operations.len()).context("more operations than a world has")?;
    let operation = *operations.entry(key).or_insert_with(|| {
        // What a made stream is drawn from.
        let own = Operation { weight: 0.0, base_micros: 0.0, failed: 0.0, noisy: false, variants: Vec::new() };
        world.plan.operations.push(own);
        next
    });
    let (first_span, mut first_seen, mut root_at) = (world.spans.len() as u32, u32::MAX, None);
    for (at, span) in (shift(trace)..).zip(&trace.spans) {
        let ended = began + (span.start_micros + f64::from(span.duration_micros)) / 1e3;
        let exporter = mix(span.exporter ^ world.settings.seed);
        let arrival_millis = (exported(ended, exporter) + NETWORK_MILLIS) as u32;
        first_seen = first_seen.min(arrival_millis);
        if at == 0 {
            root_at = Some(arrival_millis);
        }
        world.spans.push(Span {
            arrival_millis,
            duration_micros: span.duration_micros,
            node: at,
            error: span.error,
            bytes: span.bytes,
        });
    }
    let (high, low) = (random.bits(), mix(random.bits()));
    let id = (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
    world.traces.push(Trace {
        id,
        randomness: Randomness::of_random_id(&id),
        began_millis: began as u32,
        first_seen_millis: first_seen,
        root_millis: root_at,
        duration_micros: trace.duration_micros,
        first_span,
        spans: u8::try_from(trace.spans.len()).context("a trace has more spans than a world's")?,
        operation,
        variant: start.variant,
        tenant: (TENANTS.powf(random.unit()) - 1.0) as u8,
        failed: trace.spans.iter().any(|span| span.entry && span.error),
        any_error: trace.spans.iter().any(|span| span.error),
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::read::{RecordedSpan, Recording};
    use super::*;
    use crate::world::Name;

    fn span(parent: u8, start_micros: f64, duration_micros: u32) -> RecordedSpan {
        let (name, kind, entry, error, bytes) = (0, 2, parent == ABSENT, parent != ABSENT, 300);
        RecordedSpan { name, exporter: 7, parent, kind, entry, error, start_micros, duration_micros, bytes }
    }

    fn recordings(began_seconds: &[u64], has_root: bool) -> Recordings {
        let spans = vec![span(ABSENT, 0.0, 8_000), span(0, 2_000.0, 4_000)];
        let trace = |seconds: &u64| Recorded {
            began_nanos: seconds * 1_000_000_000,
            duration_micros: 8_000,
            has_root,
            spans: spans.clone(),
        };
        let traces = began_seconds.iter().map(trace).collect();
        let mut recordings = Recordings::default();
        recordings.names.push(Name { service: 0, key: 5, base_micros: 0.0 });
        recordings.sets.insert("set", Recording { traces, left_out: 0 });
        recordings
    }

    fn world(has_root: bool, squeezed_seconds: Option<u32>, passes: u32) -> World {
        let own = Play { name: "own", sets: &["set"], squeezed_seconds, passes };
        play(&recordings(&[100, 104, 3_000, 3_006], has_root), &own, 1).unwrap()
    }

    #[test]
    fn a_recording_keeps_its_pace_but_for_its_pauses() {
        let own = world(true, None, 1);
        let begins: Vec<u32> = own.traces.iter().map(|trace| trace.began_millis).collect();
        assert_eq!(begins, [0, 4_000, 14_000, 20_000]);
        assert_eq!((own.settings.warmup_seconds, own.settings.seconds), (6, 19));
        // Two traces of two spans are judged.
        assert!((own.base_cost_per_second() * 19.0 - 4.0).abs() < 1e-9, "{}", own.base_cost_per_second());
        let trace = &own.traces[2];
        assert_eq!((trace.spans, trace.duration_micros, trace.failed, trace.any_error), (2, 8_000, false, true));
        assert!(trace.root_millis.is_some_and(|root| (14_008..19_014).contains(&root)), "{trace:?}");
        let nodes = own.nodes(trace);
        assert_eq!((nodes[1].parent, nodes[1].start), (0, 0.25));
        assert_eq!(own.spans(trace)[1].bytes, 300);
    }

    #[test]
    fn again_it_has_other_ids_and_begins_a_little_earlier_or_later() {
        let again = world(true, Some(40), 2);
        assert_eq!(again.traces.len(), 8);
        assert_eq!((again.settings.warmup_seconds, again.settings.seconds), (40, 45));
        let [first, second] = [0, 4].map(|at| again.traces[at].began_millis);
        assert!(first == 0 && second.abs_diff(40_000) <= 5_000, "{second}");
        let ids: std::collections::HashSet<_> = again.traces.iter().map(|trace| trace.id).collect();
        assert_eq!(ids.len(), 8);
    }

    #[test]
    fn a_root_that_was_not_recorded_is_lost() {
        let lost = world(false, None, 1);
        let trace = &lost.traces[0];
        assert_eq!((trace.root_millis, trace.spans, lost.nodes(trace).len()), (None, 2, 3));
        let spans: Vec<u8> = lost.spans(trace).iter().map(|span| span.node).collect();
        let parents: Vec<u8> = lost.nodes(trace)[1..].iter().map(|node| node.parent).collect();
        assert_eq!((spans, parents), (vec![1, 2], vec![ABSENT, 1]));
    }
}
