use super::*;

fn at(seconds: i64) -> UnixNanos {
    UnixNanos((1_800_000_000 + seconds) * 1_000_000_000)
}

fn flat(probability: f64) -> Strategy {
    Strategy::new(probability, [])
}

/// Serves `cart` a probability at each of these seconds.
fn ledger(config: LedgerConfig, polls: &[(i64, f64)]) -> Ledger {
    let mut ledger = Ledger::new(config);
    for (second, probability) in polls {
        ledger.serve("cart", flat(*probability), at(*second));
    }
    ledger
}

#[track_caller]
fn check(polls: &[(i64, f64)], starts: &[(i64, Head)]) {
    let ledger = ledger(LedgerConfig::default(), polls);
    for (start, expected) in starts {
        assert_eq!(ledger.head("cart", "GET /", at(*start)), *expected, "{start} s");
    }
}

#[test]
fn a_span_was_sampled_as_its_service_was_told_last() {
    let unclear = Head::Between { lowest: 0.25, highest: 0.5 };
    check(
        &[(0, 0.5), (60, 0.5), (120, 0.5), (180, 0.25), (240, 0.25)],
        &[
            (150, Head::Known(0.5)),
            // Around the poll at 180 the clocks may disagree.
            (176, unclear),
            (184, unclear),
            (186, Head::Known(0.25)),
            (10_000, Head::Known(0.25)),
        ],
    );
}

#[test]
fn before_its_first_poll_a_service_keeps_everything() {
    let unclear = Head::Between { lowest: 0.5, highest: 1.0 };
    let starts = [(-6, Head::Unserved), (-5, unclear), (0, unclear), (65, unclear), (66, Head::Known(0.5))];
    check(&[(0, 0.5), (60, 0.5)], &starts);
    check(&[(0, 0.5), (60, 0.25)], &[(62, Head::Between { lowest: 0.25, highest: 1.0 }), (126, Head::Known(0.25))]);
    check(&[(0, 1.0), (60, 0.25)], &[(-6, Head::Unserved), (-5, Head::Known(1.0)), (50, Head::Known(1.0))]);
}

#[test]
fn instances_that_have_not_polled_yet_make_it_unclear() {
    let unclear = Head::Between { lowest: 0.25, highest: 0.5 };
    // One polls at each full minute, one half a minute later.
    check(
        &[(0, 0.5), (30, 0.5), (60, 0.5), (90, 0.5), (120, 0.25), (150, 0.25), (180, 0.25)],
        &[(110, Head::Known(0.5)), (130, unclear), (154, unclear), (156, Head::Known(0.25))],
    );
}

#[test]
fn services_that_stopped_polling_go_on_with_what_they_have() {
    check(&[(0, 0.5), (60, 0.25)], &[(3_000, Head::Known(0.25)), (100_000, Head::Known(0.25))]);
}

#[test]
fn operations_are_looked_up_by_name() {
    let mut ledger = Ledger::default();
    let with = |own| Strategy::new(1.0, [("GET /".into(), own)]);
    ledger.serve("cart", with(0.5), at(-60));
    ledger.serve("cart", with(0.5), at(0));
    ledger.serve("cart", with(0.25), at(60));
    assert_eq!(ledger.head("cart", "GET /", at(61)), Head::Between { lowest: 0.25, highest: 0.5 });
    assert_eq!(ledger.head("cart", "POST /", at(61)), Head::Known(1.0), "all agree on it");
    assert_eq!(ledger.head("other", "GET /", at(61)), Head::Unserved);
}

#[test]
fn revisions_count_changes_and_not_polls() {
    let mut ledger = Ledger::default();
    let polls = [(0, 0.5), (60, 0.5), (120, 0.25), (180, 0.5)];
    let revisions = polls.map(|(second, own)| ledger.serve("cart", flat(own), at(second)).revision);
    assert_eq!(revisions, [1, 1, 2, 3]);
    assert_eq!(ledger.serve("other", flat(0.5), at(200)).revision, 1);
}

#[test]
fn a_clock_that_is_set_back_keeps_the_order() {
    let ledger = ledger(LedgerConfig::default(), &[(100, 0.5), (0, 0.25)]);
    let times: Vec<_> = ledger.services["cart"].served.iter().map(|served| served.first).collect();
    assert_eq!(times, [at(100), at(100)]);
}

#[test]
fn what_an_instance_may_have_is_what_was_served_since_it_polled() {
    let ledger = ledger(LedgerConfig::default(), &[(40, 0.5), (60, 0.25), (80, 0.125)]);
    let held = |second| -> Vec<f64> {
        ledger.held("cart", at(second)).iter().map(|strategy| strategy.default_probability()).collect()
    };
    assert_eq!(held(85), [0.5, 0.25, 0.125]);
    assert_eq!(held(110), [0.25, 0.125]);
    assert_eq!(held(1_000), [0.125]);
    assert!(ledger.held("other", at(85)).is_empty());
}

#[test]
fn old_strategies_are_forgotten_and_that_is_said() {
    let config = LedgerConfig { max_strategies: 3, ..LedgerConfig::default() };
    let polls: Vec<_> = (0..10).map(|number| (number * 600, 1.0 / f64::from(number as i32 + 1))).collect();
    let few = ledger(config, &polls);
    assert_eq!(few.services["cart"].served.len(), 3);
    assert_eq!(few.probabilities(), 3);
    assert_eq!(few.head("cart", "GET /", at(600)), Head::Forgotten);
    assert_eq!(few.head("cart", "GET /", at(8 * 600 + 100)), Head::Known(1.0 / 9.0));
    let old = ledger(LedgerConfig::default(), &[(0, 0.5), (60, 0.25), (120, 0.125), (100_000, 0.0625)]);
    // The one in force at the horizon is needed still.
    assert_eq!(old.services["cart"].served.len(), 2);
    assert_eq!(old.head("cart", "GET /", at(99_000)), Head::Known(0.125));
}

#[test]
fn what_finds_no_place_is_not_served() {
    let config = LedgerConfig { max_services: 2, max_probabilities: 4, ..LedgerConfig::default() };
    let mut ledger = Ledger::new(config);
    let told = |ledger: &mut Ledger, service: &str, own| {
        let served = ledger.serve(service, flat(own), at(0));
        (served.revision, served.strategy.default_probability())
    };
    assert_eq!(told(&mut ledger, "one", 0.5), (1, 0.5));
    assert_eq!(told(&mut ledger, "two", 1.0), (1, 1.0));
    assert_eq!(told(&mut ledger, "three", 1.0), (0, 1.0), "names alone push nothing out");
    assert_eq!(told(&mut ledger, "three", 0.5), (1, 0.5), "what was never thinned need not be remembered");
    assert_eq!(told(&mut ledger, "four", 0.5), (0, 1.0));
    assert_eq!(told(&mut ledger, &"x".repeat(257), 0.5), (0, 1.0));
    assert_eq!((ledger.services(), ledger.probabilities(), ledger.refused()), (2, 2, 2));
    assert_eq!(ledger.head("four", "GET /", at(0)), Head::Unserved);
    // Too large for the room that is left: the service keeps what it had.
    let wide = Strategy::new(0.5, (0..4).map(|number| (format!("GET /{number}").into(), 0.25)));
    assert_eq!(ledger.serve("one", wide, at(60)).revision, 1);
    assert_eq!(ledger.head("one", "GET /0", at(70)), Head::Known(0.5));
    // A day later nobody waits for spans of the others.
    let later = ledger.serve("four", flat(0.5), at(86_400));
    assert_eq!((later.revision, ledger.services()), (1, 2));
}

#[test]
fn it_is_known_when_anybody_may_have_been_thinned() {
    let mut ledger = ledger(LedgerConfig::default(), &[(0, 1.0)]);
    assert_eq!(ledger.thinned(), None);
    ledger.serve("cart", flat(0.5), at(60));
    assert_eq!(ledger.thinned(), Some(at(55)..=UnixNanos(i64::MAX)));
    ledger.serve("other", flat(0.5), at(30));
    ledger.serve("cart", flat(1.0), at(120));
    assert_eq!(ledger.thinned(), Some(at(25)..=UnixNanos(i64::MAX)));
    ledger.serve("other", flat(1.0), at(90));
    assert_eq!(ledger.thinned(), Some(at(25)..=at(185)));
}
