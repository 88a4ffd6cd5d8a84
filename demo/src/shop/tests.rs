use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn generator(config: Config) -> Generator {
    Generator::new(config).unwrap()
}

fn check_trace(trace: &ShopTrace, start_unix_nanos: u64) {
    let mut seen: HashMap<[u8; 8], &Span> = HashMap::new();
    assert!(!trace.spans.is_empty());
    for span in &trace.spans {
        let name = &span.name;
        assert_ne!(span.trace_id, [0; 16]);
        assert_ne!(span.span_id, [0; 8]);
        assert_eq!(span.trace_id, trace.spans[0].trace_id, "two traces in one");
        assert!(!name.is_empty());
        assert!(span.start_unix_nanos >= start_unix_nanos);
        assert!(span.end_unix_nanos >= span.start_unix_nanos, "{name} ends before it starts");
        assert!(span.duration_nanos() < 600 * SECOND, "{name} takes {} ns", span.duration_nanos());
        let keys: HashSet<_> = span.attributes.iter().map(|(key, _)| key).collect();
        assert_eq!(keys.len(), span.attributes.len(), "{name} has a key twice: {:?}", span.attributes);
        for event in &span.events {
            assert!((span.start_unix_nanos..=span.end_unix_nanos).contains(&event.time_unix_nanos), "event of {name}");
        }
        match span.parent_span_id {
            None => assert!(seen.is_empty(), "{name} is a second root"),
            Some(parent) => check_child(span, seen.get(&parent).unwrap_or_else(|| panic!("no parent for {name}"))),
        }
        assert_eq!(span.is_error(), span.attribute("error.type").is_some(), "{name}: {:?}", span.attributes);
        assert!(seen.insert(span.span_id, span).is_none(), "a span id twice");
    }
}

fn check_child(span: &Span, parent: &Span) {
    let name = &span.name;
    // Timed-out servers begin before their client gives up, and detached work begins before its parent has ended.
    assert!(
        (parent.start_unix_nanos..=parent.end_unix_nanos).contains(&span.start_unix_nanos),
        "{name} begins outside of {}",
        parent.name
    );
    assert_eq!(span.parent_is_remote, span.kind == Kind::Server, "{name}");
    if span.kind == Kind::Server {
        assert_eq!(parent.kind, Kind::Client, "{name}");
        assert_ne!(parent.instance, span.instance);
        assert_eq!(parent.attribute("server.address"), span.attribute("server.address"), "{name}");
    } else {
        assert_eq!(parent.instance, span.instance, "{name} changes the pod without a call");
        assert_ne!(parent.kind, Kind::Producer);
    }
    if span.kind == Kind::Consumer {
        assert_eq!(span.links.len(), 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn traces_hang_together(
        seed in any::<u64>(),
        start_seconds in 1_000_000_000_u64..4_000_000_000,
        visits_per_second in 0.5_f64..500.0,
    ) {
        let start_unix_nanos = start_seconds * SECOND;
        let config = Config { seed, start_unix_nanos, visits_per_second, ..Config::default() };
        let mut last_start = 0;
        for trace in generator(config).take(150) {
            check_trace(&trace, start_unix_nanos);
            let start = trace.spans[0].start_unix_nanos;
            prop_assert!(start >= last_start, "traces out of order");
            last_start = start;
        }
    }

    #[test]
    fn the_number_of_spans_is_exact_and_what_is_cut_is_still_a_tree(seed in any::<u64>(), spans in 1_u64..800) {
        let traces: Vec<_> = generator(Config { seed, spans: Some(spans), ..Config::default() }).collect();
        prop_assert_eq!(traces.iter().map(|trace| trace.spans.len() as u64).sum::<u64>(), spans);
        for trace in &traces {
            check_trace(trace, 0);
        }
    }
}

/// Twelve minutes: each fault once.
fn cycle(seed: u64) -> Vec<ShopTrace> {
    let start = Config::default().start_unix_nanos;
    generator(Config { seed, end_unix_nanos: Some(start + 720 * SECOND), ..Config::default() }).collect()
}

/// Share of the matching spans that are bad, while a fault is there and while it is not.
fn check_fault(
    traces: &[ShopTrace],
    schedule: &Schedule,
    fault: Fault,
    is_it: fn(&Span) -> bool,
    bad: fn(&Span) -> bool,
) {
    let mut counts = [[0_u32; 2]; 2];
    for span in traces.iter().flat_map(|trace| &trace.spans).filter(|span| is_it(span)) {
        let active = schedule.is_active(fault, span.start_unix_nanos);
        counts[usize::from(active)][usize::from(bad(span))] += 1;
    }
    let share = |[good, bad]: [u32; 2]| f64::from(bad) / f64::from(good + bad);
    let (without, with) = (share(counts[0]), share(counts[1]));
    assert!(with > 0.1 && with > 10.0 * without, "{fault:?}: {with:.3} with, {without:.3} without, {counts:?}");
}

#[test]
fn each_fault_shows_in_the_spans_while_it_is_there() {
    let traces = cycle(1);
    let schedule = Schedule::new(1);
    let check = |fault, is_it, bad| check_fault(&traces, &schedule, fault, is_it, bad);
    check(Fault::SlowPricing, |span| span.name == "SELECT price_rules", |span| span.duration_nanos() > 100_000_000);
    check(
        Fault::PaymentErrors,
        |span| span.name == "gateway charge",
        |span| span.events.iter().any(|event| event.name == "exception"),
    );
    check(
        Fault::RetryStorm,
        |span| {
            span.kind == Kind::Client
                && span.attribute("url.full").and_then(Value::as_text).is_some_and(|url| url.ends_with("/reservations"))
        },
        |span| span.attribute("http.request.resend_count").is_some(),
    );
    let statements = |trace: &ShopTrace| trace.spans.iter().filter(|span| span.name == "SELECT product_images").count();
    assert!(traces.iter().any(|trace| statements(trace) > 20));
    assert!(traces.iter().filter(|trace| statements(trace) > 20).all(|trace| {
        schedule.is_active(Fault::NPlusOne, trace.spans[0].start_unix_nanos.saturating_sub(3 * SECOND))
            || schedule.is_active(Fault::NPlusOne, trace.spans[0].start_unix_nanos)
    }));
}

#[test]
fn the_shop_has_variety() {
    let traces = cycle(2);
    let spans: Vec<_> = traces.iter().flat_map(|trace| &trace.spans).collect();
    let services: HashSet<_> =
        spans.iter().filter_map(|span| World::new(2).instance(span.instance).map(|i| i.service)).collect();
    assert_eq!(services.len(), Service::ALL.len());
    let kinds: HashSet<_> = spans.iter().map(|span| format!("{:?}", span.kind)).collect();
    assert_eq!(kinds.len(), 5);
    let roots: HashSet<_> = traces.iter().map(|trace| &trace.spans[0].name).collect();
    assert!(roots.len() >= 9, "{roots:?}");
    assert!(traces.iter().any(|trace| trace.spans.len() > 150), "no long trace");
    assert!(spans.iter().any(|span| span.links.len() > 1), "no batch of messages");
    let outlives =
        |trace: &ShopTrace| trace.spans.iter().any(|span| span.end_unix_nanos > trace.spans[0].end_unix_nanos);
    assert!(traces.iter().any(outlives), "nothing detached");
    let per_trace = spans.len() as f64 / traces.len() as f64;
    assert!((10.0..30.0).contains(&per_trace), "{per_trace} spans a trace");
}

#[test]
fn settings_are_checked() {
    for config in [
        Config { start_unix_nanos: 0, ..Config::default() },
        Config { visits_per_second: 0.0, ..Config::default() },
        Config { visits_per_second: f64::NAN, ..Config::default() },
    ] {
        assert!(Generator::new(config).is_err());
    }
}
