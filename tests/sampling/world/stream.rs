//! Who calls what when, what goes wrong, and when spans arrive.

use sampling::Randomness;

use super::plan::{DEPLOYMENTS, FAILING_NODES, INNER_NODE, OPERATIONS};
use super::{EXPORT_MILLIS, Node, Operation, Plan, Settings, Span, Trace, World};
use crate::random::{Random, mix};

/// Fails and is slow during the incident; a fiftieth of the traffic.
pub const INCIDENT_OPERATION: u16 = 9;
const INCIDENT_FAILED: f64 = 0.6;
const INCIDENT_SLOWER: f64 = 5.0;
const NOISY: f64 = 0.29;
/// Of the failed: the root says all is well.
const ENTRY_ONLY: f64 = 0.05;
const LATE_MILLIS: f64 = 15_000.0;
const ROOTLESS: f64 = 0.005;
const LONG: f64 = 0.001;
const LONG_SECONDS: (f64, f64) = (5.0, 600.0);
const TAIL: f64 = 0.01;
pub const TENANTS: f64 = 50.0;
const INSTANCES: u64 = 8;
pub const NETWORK_MILLIS: f64 = 5.0;
const STACK_TRACE_BYTES: f64 = 1_500.0;

struct Stream {
    world: World,
    random: Random,
    /// Sums of weights.
    cumulated: Vec<f64>,
}

pub fn generate(settings: &Settings) -> World {
    let plan = Plan::new(settings.seed, settings.rare_operations as usize);
    let mut sum = 0.0;
    let cumulated = plan.operations.iter().map(|operation| {
        sum += operation.weight;
        sum
    });
    let cumulated = cumulated.collect();
    let mut stream = Stream {
        world: World { settings: settings.clone(), plan, traces: Vec::new(), spans: Vec::new() },
        random: Random::stream(settings.seed, 2),
        cumulated,
    };
    let mut rare = rare_calls(settings, &mut stream.random);
    let end = f64::from(settings.cooled_millis());
    let mut now = 0.0;
    loop {
        let rate = settings.traces_per_second * factor(settings, now);
        now += stream.random.exponential(1_000.0 / rate);
        if now >= end {
            break;
        }
        while let Some((at, operation)) = rare.pop_if(|(at, _)| *at <= now) {
            stream.trace(at, operation);
        }
        let pick = stream.random.unit() * sum;
        let operation = stream.cumulated.partition_point(|sum| *sum <= pick).min(OPERATIONS - 1);
        stream.trace(now, operation as u16);
    }
    stream.world
}

fn factor(settings: &Settings, now_millis: f64) -> f64 {
    let second = now_millis / 1_000.0 - f64::from(settings.warmup_seconds);
    match settings.burst {
        Some((begin, length, factor)) if second >= f64::from(begin) && second < f64::from(begin + length) => factor,
        _ => 1.0,
    }
}

/// The last first.
fn rare_calls(settings: &Settings, random: &mut Random) -> Vec<(f64, u16)> {
    let (begin, end) = (f64::from(settings.begin_millis()), f64::from(settings.end_millis()));
    let mut calls = Vec::new();
    for number in 0..settings.rare_operations as usize {
        let operation = (OPERATIONS + number) as u16;
        let count = 1 + random.below(settings.rare_at_most() as usize);
        calls.extend((0..count).map(|_| (random.between(begin, end), operation)));
    }
    calls.sort_by(|a, b| b.0.total_cmp(&a.0));
    calls
}

impl Stream {
    fn in_incident(&self, now_millis: f64, operation: u16) -> bool {
        let (begin, length) = self.world.settings.incident;
        let second = now_millis / 1_000.0 - f64::from(self.world.settings.warmup_seconds);
        operation == INCIDENT_OPERATION && second >= f64::from(begin) && second < f64::from(begin + length)
    }

    /// One in force at `now`: deployments come at a quarter, a half and three quarters of the judged part.
    fn variant(&mut self, now_millis: f64, operation: &Operation) -> u16 {
        let begin = f64::from(self.world.settings.begin_millis());
        let part = (now_millis - begin).max(0.0) / (f64::from(self.world.settings.end_millis()) - begin);
        let deployed = (part * (DEPLOYMENTS + 1) as f64) as usize;
        let in_force = || operation.variants.iter().filter(|(_, _, deployment)| *deployment <= deployed);
        let mut pick = self.random.unit() * in_force().map(|(_, weight, _)| weight).sum::<f64>();
        for (variant, weight, _) in in_force() {
            pick -= weight;
            if pick < 0.0 {
                return *variant;
            }
        }
        operation.variants.first().map_or(0, |(variant, _, _)| *variant)
    }

    fn trace(&mut self, began: f64, number: u16) {
        let Some(operation) = self.world.plan.operations.get(usize::from(number)).cloned() else { return };
        let variant = self.variant(began, &operation);
        let nodes = self.world.plan.variants.get(usize::from(variant)).map(|variant| variant.nodes.clone());
        let nodes = nodes.unwrap_or_default();
        let incident = self.in_incident(began, number);
        let random = &mut self.random;
        let mut slower = if random.chance(TAIL) { random.between(3.0, 10.0) } else { 1.0 };
        if incident {
            slower *= INCIDENT_SLOWER;
        }
        let mut micros = operation.base_micros * slower * (0.5 * random.normal()).exp();
        if random.chance(LONG) {
            let (low, high) = LONG_SECONDS;
            micros = 1e6 * random.between(low.ln(), high.ln()).exp();
        }
        let failed = random.chance(if incident { INCIDENT_FAILED } else { operation.failed });
        let errors = if failed {
            let top = random.chance(ENTRY_ONLY);
            failing(&nodes, FAILING_NODES[random.below(FAILING_NODES.len())], top)
        } else if operation.noisy && random.chance(NOISY) {
            1 << INNER_NODE
        } else {
            0
        };
        let rootless = random.chance(ROOTLESS);
        let (instance, salt) = (mix(random.bits()) % INSTANCES, random.bits());
        let first_span = self.world.spans.len() as u32;
        let (mut first_seen, mut root_at) = (u32::MAX, None);
        for (at, node) in nodes.iter().enumerate() {
            let is_root = at == 0;
            // What is long waits in its root; the spans below are as ever, and spread over its time. How long they take is
            // their own, whoever calls.
            let name = self.world.plan.names[usize::from(node.name)];
            let own = if is_root { micros } else { name.base_micros * slower * (0.5 * random.normal()).exp() };
            let own = own.min(micros).max(50.0);
            let end = began + (f64::from(node.start) * micros + own) / 1_000.0;
            if is_root && rootless {
                continue;
            }
            // What is late is a service's export, with all that it holds of the trace.
            let mut export = Random::new(salt ^ u64::from(name.service));
            let late = if export.chance(self.world.settings.late) { export.exponential(LATE_MILLIS) } else { 0.0 };
            let arrival = exported(end, u64::from(name.service) * INSTANCES + instance) + late + NETWORK_MILLIS;
            let arrival_millis = arrival as u32;
            first_seen = first_seen.min(arrival_millis);
            if is_root {
                root_at = Some(arrival_millis);
            }
            let error = errors >> at & 1 == 1;
            self.world.spans.push(Span {
                arrival_millis,
                duration_micros: own as u32,
                node: at as u8,
                error,
                bytes: bytes(name.key, salt, error),
            });
        }
        let (high, low) = (random.bits(), random.bits());
        let id = (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
        let visible = |at: usize| errors >> at & 1 == 1 && !(rootless && at == 0);
        let trace = Trace {
            id,
            randomness: Randomness::of_random_id(&id),
            began_millis: began as u32,
            first_seen_millis: first_seen,
            root_millis: root_at,
            duration_micros: micros as u32,
            first_span,
            spans: (self.world.spans.len() - first_span as usize) as u8,
            operation: number,
            variant,
            // From 18 % of the traffic down to half a percent.
            tenant: (TENANTS.powf(random.unit()) - 1.0) as u8,
            failed: nodes.iter().enumerate().any(|(at, node)| node.entry && visible(at)),
            any_error: (0..nodes.len()).any(visible),
        };
        self.world.traces.push(trace);
    }
}

/// Bits of the spans with an error: `from`, and all above it; without the root if that hides it.
fn failing(nodes: &[Node], from: usize, hidden: bool) -> u32 {
    let (mut errors, mut at) = (0, from);
    while at != 0 {
        errors |= 1 << at;
        at = nodes.get(at).map_or(0, |node| usize::from(node.parent));
    }
    let entry_inside = nodes.iter().enumerate().any(|(at, node)| at > 0 && node.entry && errors >> at & 1 == 1);
    if hidden && entry_inside { errors } else { errors | 1 }
}

/// What a span takes as protobuf: 150 to 900 bytes by its name, a sixth more or less by its values, and a stack trace with an
/// error.
fn bytes(name: u64, values: u64, error: bool) -> u16 {
    let part = |bits: u64| (mix(bits) >> 11) as f64 / (1_u64 << 53) as f64;
    let usual = 150.0 * 6.0_f64.powf(part(name ^ 0xb17e5));
    let own = usual * (5.0 + 2.0 * part(name ^ values)) / 6.0;
    (own + if error { STACK_TRACE_BYTES } else { 0.0 }) as u16
}

/// An exporter sends what has ended every [`EXPORT_MILLIS`], at its own moment.
pub fn exported(end_millis: f64, exporter: u64) -> f64 {
    let interval = f64::from(EXPORT_MILLIS);
    let phase = (mix(exporter + 1) % u64::from(EXPORT_MILLIS)) as f64;
    ((end_millis - phase) / interval).ceil() * interval + phase
}
