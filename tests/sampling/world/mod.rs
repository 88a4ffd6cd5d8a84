//! The traffic that everybody is measured on: a seeded stream of whole traces, and when each of their spans arrives.
//!
//! - `plan`: what there is to call: operations, their variants, names.
//! - `stream`: who calls what when, and what goes wrong.
//!
//! 120 operations (Zipf 1.25), 1,000 traces/s of 12 to 22 spans, 0.5 to 0.9 % failed; in one of ten operations 29 % of what
//! succeeds has an error inside; for a part of the time one operation fails and is slow; operations that occur 20 times or
//! less; three deployments that add variants. 1 % of exports are late, 0.5 % of roots never come, 0.1 % of traces take 5 s to
//! 10 min, clocks of services are off by up to 500 ms, exporters send every 5 s.
//!
//! # Invariants
//!
//! - The same settings and seed give the same stream.
//! - The truth is the whole stream, whatever arrives too late for a decision.

mod plan;
mod stream;

use sampling::Randomness;
use sampling::budget::CostUnit;

pub use plan::{Name, Node, Operation, Plan, Variant};
pub use stream::{INCIDENT_OPERATION, NETWORK_MILLIS, TENANTS, exported, generate};

/// Times of the stream count from here, in milliseconds.
pub const START_NANOS: u64 = 20_000 * 86_400 * 1_000_000_000;
pub const NANOS_PER_MILLI: u64 = 1_000_000;
pub const EXPORT_MILLIS: u32 = 5_000;
/// At most so many traces make an operation or a shape rare, in a stream of [`FULL_SECONDS`].
pub const RARE: f64 = 20.0;
pub const FULL_SECONDS: f64 = 300.0;
/// Of a trace.
pub const MAX_SPANS: usize = 254;
/// The node that no variant has.
pub const ABSENT: u8 = 255;

#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub seed: u64,
    /// Played to everybody, and not judged: nobody starts with an empty memory twice an hour.
    pub warmup_seconds: u32,
    pub seconds: u32,
    /// Traffic goes on, so that the last of what is judged is not decided among nothing.
    pub cooldown_seconds: u32,
    pub traces_per_second: f64,
    /// Begin and length in seconds of the judged part.
    pub incident: (u32, u32),
    /// Begin, length and factor.
    pub burst: Option<(u32, u32, f64)>,
    pub rare_operations: u32,
    /// Of exports, one for each service of a trace.
    pub late: f64,
    /// What is budgeted.
    pub unit: CostUnit,
    /// Whatever the length of the stream.
    pub rare_at_most: Option<u32>,
}

impl Settings {
    pub fn full(seed: u64) -> Self {
        Self {
            seed,
            warmup_seconds: 300,
            seconds: 300,
            cooldown_seconds: 40,
            traces_per_second: 1_000.0,
            incident: (120, 60),
            burst: None,
            rare_operations: 40,
            late: 0.01,
            unit: CostUnit::Spans,
            rare_at_most: None,
        }
    }

    /// Half as long, with the incident as long a part of it.
    pub fn short(seed: u64) -> Self {
        Self { warmup_seconds: 120, seconds: 180, incident: (72, 36), cooldown_seconds: 20, ..Self::full(seed) }
    }

    /// Ten times the traffic from second 10 on.
    pub fn burst(seed: u64, seconds: u32) -> Self {
        Self {
            warmup_seconds: 60,
            seconds: seconds + 20,
            cooldown_seconds: 40,
            incident: (0, 0),
            burst: Some((10, seconds, 10.0)),
            ..Self::full(seed)
        }
    }

    pub fn begin_millis(&self) -> u32 {
        self.warmup_seconds * 1_000
    }

    pub fn cooled_millis(&self) -> u32 {
        self.end_millis() + self.cooldown_seconds * 1_000
    }

    pub fn end_millis(&self) -> u32 {
        (self.warmup_seconds + self.seconds) * 1_000
    }

    /// How many occurrences in the judged part are rare: the same rate in a shorter stream.
    pub fn rare_at_most(&self) -> u32 {
        let in_proportion = || (RARE * f64::from(self.seconds) / FULL_SECONDS).round().max(1.0) as u32;
        self.rare_at_most.unwrap_or_else(in_proportion)
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Span {
    pub arrival_millis: u32,
    pub duration_micros: u32,
    /// Of the variant.
    pub node: u8,
    pub error: bool,
    /// As protobuf.
    pub bytes: u16,
}

/// Which nodes of a variant are there.
#[derive(Debug, Clone, Copy, Default)]
pub struct Present([u64; 4]);

impl Present {
    pub fn of<'a>(spans: impl Iterator<Item = &'a Span>) -> Self {
        spans.fold(Self::default(), |Self(mut bits), span| {
            bits[usize::from(span.node >> 6)] |= 1 << (span.node & 63);
            Self(bits)
        })
    }

    pub fn has(self, node: u8) -> bool {
        self.0[usize::from(node >> 6)] >> (node & 63) & 1 == 1
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Trace {
    pub id: [u8; 16],
    pub randomness: Randomness,
    pub began_millis: u32,
    /// Of the first span.
    pub first_seen_millis: u32,
    /// `None` if it never comes.
    pub root_millis: Option<u32>,
    pub duration_micros: u32,
    pub first_span: u32,
    pub spans: u8,
    pub operation: u16,
    pub variant: u16,
    /// An attribute that no sampler looks at.
    pub tenant: u8,
    /// The root or an entry span.
    pub failed: bool,
    pub any_error: bool,
}

#[derive(Debug)]
pub struct World {
    pub settings: Settings,
    pub plan: Plan,
    /// In order of their begin.
    pub traces: Vec<Trace>,
    pub spans: Vec<Span>,
}

impl World {
    pub fn spans(&self, trace: &Trace) -> &[Span] {
        let first = trace.first_span as usize;
        self.spans.get(first..first + usize::from(trace.spans)).unwrap_or_default()
    }

    pub fn nodes(&self, trace: &Trace) -> &[Node] {
        self.plan.variants.get(usize::from(trace.variant)).map_or(&[], |variant| &variant.nodes)
    }

    pub fn span_count(&self) -> usize {
        self.spans.len()
    }

    pub fn is_judged(&self, trace: &Trace) -> bool {
        (self.settings.begin_millis()..self.settings.end_millis()).contains(&trace.began_millis)
    }

    /// What arrives without a burst, in the unit of the budget: what budgets are a part of.
    pub fn base_cost_per_second(&self) -> f64 {
        let cost: f64 = self.spans.iter().map(|span| self.cost_of_span(span)).sum();
        self.settings.traces_per_second * cost / self.traces.len().max(1) as f64
    }

    pub fn cost_of_span(&self, span: &Span) -> f64 {
        match self.settings.unit {
            CostUnit::Spans => 1.0,
            CostUnit::Bytes => f64::from(span.bytes),
        }
    }

    pub fn cost(&self, trace: &Trace) -> f64 {
        match self.settings.unit {
            CostUnit::Spans => f64::from(trace.spans),
            CostUnit::Bytes => self.spans(trace).iter().map(|span| self.cost_of_span(span)).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_what_it_says() {
        let world = generate(&Settings { warmup_seconds: 60, seconds: 60, cooldown_seconds: 0, ..Settings::full(1) });
        let n = world.traces.len() as f64;
        let part = |of: &dyn Fn(&Trace) -> bool| world.traces.iter().filter(|trace| of(trace)).count() as f64 / n;
        assert!((n / 120_000.0 - 1.0).abs() < 0.02, "{n}");
        let failed = part(&|trace| trace.failed);
        assert!((0.005..0.009).contains(&failed), "{failed}");
        let inner = part(&|trace| trace.any_error && !trace.failed);
        assert!((0.005..0.03).contains(&inner), "{inner}");
        let rootless = part(&|trace| trace.root_millis.is_none());
        assert!((0.004..0.006).contains(&rootless), "{rootless}");
        let long = part(&|trace| trace.duration_micros >= 5_000_000);
        assert!((0.0005..0.003).contains(&long), "{long}");
        assert!(world.traces.iter().all(|trace| (11..=22).contains(&trace.spans)));
        let most = part(&|trace| trace.operation == 0);
        assert!((0.2..0.35).contains(&most), "{most}");
    }

    #[test]
    fn a_seed_is_a_stream() {
        let settings = Settings { seconds: 2, warmup_seconds: 1, ..Settings::short(7) };
        let (one, same) = (generate(&settings), generate(&settings));
        assert!(one.traces.iter().zip(&same.traces).all(|(a, b)| a.id == b.id && a.spans == b.spans));
        let other = generate(&Settings { seed: 8, ..settings });
        assert!(one.traces.iter().zip(&other.traces).any(|(a, b)| a.id != b.id));
    }

    #[test]
    fn a_burst_is_ten_times_as_much() {
        let world = generate(&Settings { warmup_seconds: 1, ..Settings::burst(3, 2) });
        let in_second =
            |second: u32| world.traces.iter().filter(|trace| trace.began_millis / 1_000 == second).count() as f64;
        assert!((in_second(12) / in_second(5) / 10.0 - 1.0).abs() < 0.2, "{}", in_second(12) / in_second(5));
        assert!(in_second(14) < 1_500.0);
    }

    #[test]
    fn bytes_are_no_other_stream() {
        let spans = generate(&Settings { seconds: 5, warmup_seconds: 1, ..Settings::short(7) });
        let bytes = World {
            settings: Settings { unit: CostUnit::Bytes, ..spans.settings.clone() },
            ..generate(&spans.settings)
        };
        assert!(spans.traces.iter().zip(&bytes.traces).all(|(a, b)| a.id == b.id));
        let trace = &bytes.traces[3];
        let sum: f64 = bytes.spans(trace).iter().map(|span| f64::from(span.bytes)).sum();
        assert_eq!((spans.cost(trace), bytes.cost(trace)), (f64::from(trace.spans), sum));
        let mean = bytes.base_cost_per_second() / spans.base_cost_per_second();
        assert!((300.0..600.0).contains(&mean), "{mean}");
        let largest = bytes.spans.iter().map(|span| span.bytes).max();
        assert!(largest.is_some_and(|largest| (1_600..2_600).contains(&largest)), "{largest:?}");
    }

    #[test]
    fn nodes_beyond_a_word_are_told_apart() {
        let span = |node| Span { arrival_millis: 0, duration_micros: 0, node, error: false, bytes: 0 };
        let present = Present::of([span(0), span(64), span(253)].iter());
        let here: Vec<u8> = (0..=ABSENT).filter(|node| present.has(*node)).collect();
        assert_eq!(here, [0, 64, 253]);
    }
}
