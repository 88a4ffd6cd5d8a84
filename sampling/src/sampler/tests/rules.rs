use super::world::*;
use crate::class::{Class, Facts, Head, KeepReason, Priority};
use crate::policy::Policy;
use crate::sampler::Alarmed;
use crate::sampler::Sampler;
use crate::threshold::{Randomness, Threshold};

#[test]
fn without_a_budget_all_is_kept_with_the_heads_weight() {
    let mut sampler = Sampler::new(Policy::default()).unwrap();
    let quarter = Threshold::from_probability(0.25);
    let ripe = [
        facts(1, 0.0),
        Facts { head: Head::Ratio(0.1), ..facts(1, 0.0) },
        Facts { head: Head::Threshold(quarter), ..facts(1, 0.9) },
        Facts { head: Head::Unknown, ..facts(1, 0.0) },
        Facts { head: Head::Ratio(f64::NAN), ..facts(1, 0.0) },
        Facts { priority: Priority::Keep, ..facts(1, 0.0) },
    ];
    let verdicts = sampler.tick(START, SECOND, &ripe);
    assert!(verdicts.iter().all(|verdict| verdict.keep && verdict.p_tail == 1.0));
    let weights: Vec<_> = verdicts.iter().map(|verdict| verdict.adjusted_count).collect();
    assert_eq!(weights, [Some(1.0), Some(10.0), Some(4.0), None, None, Some(1.0)]);
    assert_eq!(verdicts[2].threshold, quarter);
    assert_eq!(verdicts[5].keep_reason, KeepReason::Priority);
}

#[test]
fn equal_traces_share_the_budget_equally() {
    // 100 traces of 10 spans, 250 spans in a second: p = 0.25, rounded to four digits.
    let ripe: Vec<Facts> = (0..100).map(|n| facts(1, (f64::from(n) + 0.5) / 100.0)).collect();
    let mut sampler = sampler("250 spans/s");
    let verdicts = sampler.tick(START, SECOND, &ripe);
    for verdict in &verdicts {
        assert!((verdict.p_tail - 0.25).abs() < 1e-4, "{verdict:?}");
        assert_eq!(verdict.adjusted_count, Some(1.0 / verdict.p_tail));
    }
    // The upper quarter.
    assert!(verdicts.iter().zip(0..).all(|(verdict, n)| verdict.keep == (n >= 75)));
    assert_eq!(sampler.report().used, 250.0);
    assert_eq!(sampler.report().cap_factor, 1.0);
}

/// Ten operations of thirty traces, a tenth of them failed, that cost tenths: sums that differ with their order.
fn in_tenths() -> Vec<Facts> {
    let cost = |n: u64| f64::from(1 + n as u32 % 7) * 1.1 + 0.1;
    (0..300).map(|n| Facts { cost: cost(n), root_failed: n % 10 == 3, ..facts(1 + n % 10, n as f64 / 300.0) }).collect()
}

#[test]
fn what_fits_exactly_is_kept_whatever_the_last_bit_says() {
    // The order of sums changes with that of the traces, and so do their last bits.
    for turn in 0..300 {
        let mut ripe = in_tenths();
        ripe.rotate_left(turn);
        let all: f64 = in_tenths().iter().map(|facts| facts.cost).sum();
        let mut sampler = sampler(&format!("{all} spans/s"));
        let verdicts = sampler.tick(START, SECOND, &ripe);
        let report = sampler.report();
        assert_eq!((report.tau_must, report.tau_rest), (f64::INFINITY, f64::INFINITY), "{turn}: {report:?}");
        assert!(verdicts.iter().all(|verdict| verdict.threshold == Threshold::ALWAYS), "{turn}");
    }
}

#[test]
fn the_last_bit_of_a_budget_takes_no_digit() {
    let ripe: Vec<Facts> = (0..100).map(|n| facts(1, (f64::from(n) + 0.5) / 100.0)).collect();
    for budget in [125.0f64, 250.0, 500.0] {
        for bits in 0..4 {
            let lacking = f64::from_bits(budget.to_bits() - bits);
            let verdict = sampler(&format!("{lacking} spans/s")).tick(START, SECOND, &ripe)[0];
            assert_eq!(verdict.adjusted_count, Some(1_000.0 / budget), "{lacking}: {:x}", verdict.threshold.bits());
        }
    }
}

#[test]
fn a_failed_operation_has_at_most_its_tier_when_all_fails() {
    let mut ripe: Vec<Facts> = (0..1_000).map(|n| facts(1, (f64::from(n) + 0.5) / 1_000.0)).collect();
    ripe.iter_mut().take(500).for_each(|facts| facts.root_failed = true);
    let mut sampler = sampler("2000 spans/s");
    let verdicts = sampler.tick(START, SECOND, &ripe);
    // 85 % of 2000 spans over 500 failed traces of 10, 15 % over 500 others.
    assert!((verdicts[0].p_tail - 0.34).abs() < 1e-4 && (verdicts[999].p_tail - 0.06).abs() < 1e-4);
    assert_eq!((verdicts[0].class, verdicts[999].class), (Class::Error, Class::Normal));
}

#[test]
fn weights_by_hand() {
    // One second, one shape each: (operation, traces) with 10 spans each; rates are the counts.
    let mut ripe = Vec::new();
    for (operation, traces) in [(1, 1_000), (2, 100)] {
        ripe.extend((0..traces).map(|n| facts(operation, (f64::from(n) + 0.5) / f64::from(traces))));
    }
    let mut policy = policy("1000 spans/s");
    (policy.diversity, policy.rarity) = (0.0, 0.0);
    let mut sampler = Sampler::new(policy).unwrap();
    let verdicts = sampler.tick(START, SECOND, &ripe);
    // p is in proportion to L^-0.3.
    let ratio = verdicts[1_050].p_tail / verdicts[0].p_tail;
    assert!((ratio / 10.0f64.powf(0.3) - 1.0).abs() < 1e-3, "{ratio}");
    let expected: f64 = verdicts.iter().map(|verdict| verdict.p_tail * 10.0).sum();
    assert!((expected / 1_000.0 - 1.0).abs() < 1e-3, "{expected}");
}

#[test]
fn a_large_trace_is_less_likely_by_the_root_of_its_cost() {
    let mut ripe: Vec<Facts> = (0..400).map(|n| facts(1 + n % 2, n as f64 / 400.0)).collect();
    ripe.iter_mut().filter(|facts| facts.operation == 2).for_each(|facts| facts.cost = 40.0);
    let verdicts = sampler("1000 spans/s").tick(START, SECOND, &ripe);
    assert!((verdicts[0].p_tail / verdicts[1].p_tail - 2.0).abs() < 1e-3);
}

#[test]
fn a_rare_shape_is_kept_among_frequent_ones_and_says_so() {
    let mut sampler = sampler("500 spans/s");
    for second in 1..=60 {
        let mut ripe: Vec<Facts> = (0..500).map(|n| facts(1, f64::from(n) / 500.0)).collect();
        // The worst randomness there is.
        let rare = Facts { shape: second, ..facts(1, 0.0) };
        ripe.push(rare);
        let verdicts = sampler.tick(START + second * SECOND, SECOND, &ripe);
        if second > 10 {
            assert_eq!(verdicts[0].keep_reason, KeepReason::Normal);
            assert!(
                verdicts[500].keep && verdicts[500].keep_reason == KeepReason::Rare,
                "{second}: {:?}",
                verdicts[500]
            );
        }
    }
}

#[test]
fn too_many_new_shapes_are_told_apart_by_services() {
    let mut sampler = sampler("500 spans/s");
    let mut last = 0.0;
    for second in 1..=180 {
        let ripe: Vec<Facts> =
            (0..200).map(|n| Facts { shape: second * 1_000 + n, ..facts(1, n as f64 / 200.0) }).collect();
        let verdicts = sampler.tick(START + second * SECOND, SECOND, &ripe);
        last = verdicts.iter().filter(|verdict| verdict.keep_reason == KeepReason::Rare).count() as f64;
    }
    assert_eq!(last, 0.0);
    assert!(sampler.seen.shapes.len() <= 1_100, "{}", sampler.seen.shapes.len());
}

#[test]
fn slow_is_above_its_operation_and_before_200_above_its_service() {
    let mut sampler = sampler("1000000 spans/s");
    let timed = |operation, millis: u64| Facts {
        service: 1,
        root_duration_nanos: Some(millis * 1_000_000),
        ..facts(operation, 0.5)
    };
    let mut now = START;
    let mut class = |facts: Facts| {
        now += SECOND;
        sampler.tick(now, SECOND, &[facts])[0].class
    };
    assert_eq!(class(timed(1, 10_000)), Class::Normal);
    for n in 0..300 {
        class(timed(1, 100 + n % 100));
    }
    assert_eq!(class(timed(1, 190)), Class::Normal);
    assert_eq!(class(timed(1, 210)), Class::Slow);
    // An operation that was never seen is judged by its service, which has been only this fast.
    assert_eq!(class(timed(2, 210)), Class::Slow);
    for n in 0..300 {
        class(timed(2, 1_000 + n % 100));
    }
    assert_eq!(class(timed(2, 1_050)), Class::Normal);
    assert_eq!(class(Facts { slow_span: true, ..timed(2, 1) }), Class::Slow);
    assert_eq!(class(Facts { inner_error: true, ..timed(2, 1) }), Class::InnerError);
    assert_eq!(class(Facts { entry_failed: true, inner_error: true, ..timed(2, 5_000) }), Class::Error);
    assert_eq!(class(Facts { root_duration_nanos: None, ..timed(2, 1) }), Class::Normal);
    // Roots that come late are judged alike, and not counted.
    for (operation, millis, slow) in [(1, 190, false), (1, 210, true), (2, 1_050, false), (2, 1_200, true)] {
        for _ in 0..500 {
            assert_eq!(sampler.slow_root(operation, 1, millis * 1_000_000, now), slow, "{operation}: {millis}");
        }
    }
    assert!(sampler.slow_root(77, 1, u64::MAX, now), "by its service");
    assert!(!sampler.slow_root(77, 78, u64::MAX, now));
    assert!(sampler.operations(now).iter().all(|rate| rate.operation != 77));
}

#[test]
fn a_slow_span_counts_less_than_a_slow_root() {
    let mut sampler = sampler("600 spans/s");
    let timed =
        |n: u64, millis: u64| Facts { root_duration_nanos: Some(millis * 1_000_000), ..facts(1, n as f64 / 300.0) };
    sampler.tick(START, SECOND, &(0..300).map(|n| timed(n, 10)).collect::<Vec<_>>());
    let mut ripe: Vec<Facts> = (0..300).map(|n| timed(n, 100)).collect();
    ripe.extend((0..300).map(|n| Facts { slow_span: true, ..timed(n, 5) }));
    let verdicts = sampler.tick(START + SECOND, SECOND, &ripe);
    assert!(verdicts.iter().all(|verdict| verdict.class == Class::Slow));
    assert!((verdicts[0].p_tail / verdicts[300].p_tail - 3.0).abs() < 1e-3);
}

#[test]
fn wishes_have_a_bucket_of_their_own_and_then_count_as_failed() {
    let mut sampler = sampler("1000 spans/s");
    let wish = |n: u32| Facts { priority: Priority::Keep, ..facts(1, f64::from(n) / 1_000.0) };
    let verdicts = sampler.tick(START, SECOND, &(0..1_000).map(wish).collect::<Vec<_>>());
    // 5 % of 1000 spans are five traces of 10.
    let granted = verdicts.iter().filter(|verdict| verdict.class == Class::Priority).count();
    assert_eq!(granted, 5);
    assert!(verdicts[..5].iter().all(|verdict| verdict.keep && verdict.adjusted_count == Some(1.0)));
    assert!(verdicts[5..].iter().all(|verdict| verdict.class == Class::Error && verdict.p_tail < 0.1));
    assert!(verdicts.iter().all(|verdict| verdict.keep_reason == KeepReason::Priority));
    assert!(sampler.report().used <= 1_300.0, "{:?}", sampler.report());
}

#[test]
fn who_opted_out_is_never_kept_and_stands_for_nothing() {
    for mut sampler in [sampler("1000000 spans/s"), Sampler::new(Policy::default()).unwrap()] {
        let drop = Facts { priority: Priority::Drop, root_failed: true, ..facts(1, 0.999) };
        let verdict = sampler.tick(START, SECOND, &[drop])[0];
        assert!(!verdict.keep);
        assert_eq!((verdict.keep_reason, verdict.adjusted_count), (KeepReason::OptedOut, Some(0.0)));
        assert_eq!(sampler.operations(START)[0].traces_per_second, [0.0; 5]);
    }
}

#[test]
fn both_heads_give_the_smaller_probability_in_all() {
    let with = |head| {
        let ripe: Vec<Facts> = (0..400).map(|n| Facts { head, ..facts(1, (f64::from(n) + 0.5) / 400.0) }).collect();
        sampler("1000 spans/s").tick(START, SECOND, &ripe)
    };
    // What arrived costs 4000, so a quarter of it is kept: half of the head's half, in all an eighth.
    let half = Threshold::from_probability(0.5);
    let shared = with(Head::Threshold(half));
    assert!((shared[0].p_tail - 0.125).abs() < 1e-4, "{:?}", shared[0]);
    assert_eq!(shared[0].p_total, Some(shared[0].p_tail));
    let independent = with(Head::Ratio(0.5));
    assert!((independent[0].p_tail - 0.25).abs() < 1e-4, "{:?}", independent[0]);
    assert_eq!(independent[0].p_total, Some(0.5 * independent[0].p_tail));
    let unknown = with(Head::Unknown);
    assert_eq!((unknown[0].p_tail, unknown[0].adjusted_count), (independent[0].p_tail, None));
}

#[test]
fn a_head_that_kept_less_is_not_thinned_again() {
    let thinned = Threshold::from_probability(0.01);
    let mut ripe: Vec<Facts> = (0..400).map(|n| facts(1, f64::from(n) / 400.0)).collect();
    ripe.push(Facts { head: Head::Threshold(thinned), ..facts(1, 0.995) });
    ripe.push(Facts { head: Head::Ratio(0.01), ..facts(1, 0.0) });
    let verdicts = sampler("1000 spans/s").tick(START, SECOND, &ripe);
    assert!(verdicts[400].keep && verdicts[400].threshold == thinned);
    assert_eq!(verdicts[400].adjusted_count, Some(thinned.adjusted_count()));
    assert!(verdicts[401].keep && verdicts[401].adjusted_count == Some(1.0 / 0.01));
}

#[test]
fn what_was_shed_before_combines_by_the_minimum() {
    let shed = Threshold::from_probability(0.125);
    let mut sampler = Sampler::new(Policy::default()).unwrap();
    let ripe = [Facts { shed, ..facts(1, 0.9) }, Facts { shed, head: Head::Ratio(0.5), ..facts(1, 0.9) }];
    let verdicts = sampler.tick(START, SECOND, &ripe);
    assert_eq!((verdicts[0].threshold, verdicts[0].adjusted_count), (shed, Some(8.0)));
    assert_eq!(verdicts[1].adjusted_count, Some(16.0));
}

#[test]
fn an_alarm_makes_its_operation_stronger_for_five_minutes() {
    let ripe: Vec<Facts> = (0..1_000).map(|n| facts(1 + n % 2, n as f64 / 1_000.0)).collect();
    let mut policy = policy("1000 spans/s");
    policy.diversity = 0.0;
    let mut sampler = Sampler::new(policy).unwrap();
    sampler.tick(START, SECOND, &ripe);
    let row = sampler.seen.operations.find(2).unwrap();
    sampler.raise_alarm(row, START);
    assert_eq!(sampler.alarmed(START), [Alarmed { operation: 2, until_nanos: START + 300 * SECOND }]);
    assert!(sampler.alarmed(START + 300 * SECOND).is_empty());
    let ratio = |sampler: &mut Sampler, second: u64| {
        let verdicts = sampler.tick(START + second * SECOND, SECOND, &ripe);
        verdicts[1].p_tail / verdicts[0].p_tail
    };
    assert!((ratio(&mut sampler, 1) - 10.0).abs() < 0.01);
    assert!((ratio(&mut sampler, 301) - 1.0).abs() < 0.01);
}

#[test]
fn an_operation_that_begins_to_fail_has_an_alarm() {
    for (detect, expected) in [(true, vec![2]), (false, vec![])] {
        let mut policy = policy("100 spans/s");
        policy.alarm.detect = detect;
        let mut sampler = Sampler::new(policy).unwrap();
        for second in 0..200 {
            let fails = |n: u64| n.is_multiple_of(50) || (second >= 150 && n % 4 == 1);
            let ripe: Vec<Facts> = (0..100)
                .map(|n| Facts {
                    root_failed: fails(n),
                    root_duration_nanos: Some(1_000_000),
                    ..facts(1 + n % 2, n as f64 / 100.0)
                })
                .collect();
            let now = START + second * SECOND;
            sampler.tick(now, SECOND, &ripe);
            let alarmed: Vec<u64> = sampler.alarmed(now).iter().map(|alarmed| alarmed.operation).collect();
            if second < 150 {
                assert!(alarmed.is_empty(), "{alarmed:?} at {second} s");
            } else if second >= 170 {
                assert_eq!(alarmed, expected, "at {second} s");
            }
        }
        assert_eq!(sampler.alarms_raised(), expected.len() as u64);
    }
}

#[test]
fn costs_that_cannot_be_are_harmless() {
    let costs = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1.0, f64::MIN_POSITIVE, f64::MAX];
    let ripe: Vec<Facts> =
        (0..700).map(|n| Facts { cost: costs[n % 7], ..facts(1 + n as u64 % 7, n as f64 / 700.0) }).collect();
    let mut sampler = sampler("100 spans/s");
    for second in 1..=5 {
        for verdict in sampler.tick(START + second * SECOND, SECOND, &ripe) {
            assert!(verdict.p_tail > 0.0 && verdict.p_tail <= 1.0, "{verdict:?}");
            assert!(verdict.adjusted_count.unwrap().is_finite());
        }
        assert!(sampler.report().credit.is_finite() && sampler.report().used.is_finite());
    }
    sampler.tick(0, 0, &ripe);
    sampler.tick(u64::MAX, u64::MAX, &ripe);
    assert!(sampler.report().credit.is_finite());
}

#[test]
fn tables_are_bounded_and_forget() {
    let mut policy = policy("100000 spans/s");
    policy.limits.max_operations = 10;
    policy.limits.max_services = 3;
    policy.limits.max_shapes = 50;
    let mut sampler = Sampler::new(policy).unwrap();
    let ripe: Vec<Facts> =
        (0..1_000).map(|n| Facts { shape: n, root_duration_nanos: Some(1), ..facts(n, 0.5) }).collect();
    sampler.tick(START, SECOND, &ripe);
    assert_eq!((sampler.seen.operations.len(), sampler.seen.services.len(), sampler.seen.shapes.len()), (11, 4, 50));
    sampler.tick(START + 2 * 3_600 * SECOND, SECOND, &[]);
    // Only what is shared stays.
    assert_eq!((sampler.seen.operations.len(), sampler.seen.services.len(), sampler.seen.shapes.len()), (1, 1, 0));
}

#[test]
fn rates_are_those_that_arrived() {
    let mut sampler = sampler("400 spans/s");
    for tick in 1..=40 {
        let mut ripe: Vec<Facts> = (0..10).map(|_| facts(5, 0.5)).collect();
        ripe.push(Facts { root_failed: true, cost: 30.0, ..facts(3, 0.5) });
        sampler.tick(START + tick * SECOND / 4, SECOND / 4, &ripe);
    }
    let rates = sampler.operations(START + 10 * SECOND);
    assert_eq!(rates.iter().map(|rate| rate.operation).collect::<Vec<_>>(), [3, 5, u64::MAX]);
    assert!((rates[1].traces_per_second[Class::Normal.index()] / 40.0 - 1.0).abs() < 0.01, "{rates:?}");
    assert!((rates[0].traces_per_second[Class::Error.index()] / 4.0 - 1.0).abs() < 0.01, "{rates:?}");
    assert!((rates[0].mean_cost[Class::Error.index()] - 30.0).abs() < 1e-9);
    assert_eq!(Randomness::default().height(), 1.0);
}

#[test]
fn another_unit_of_cost_starts_anew() {
    let in_unit = |factor: f64| -> Vec<Facts> {
        (0..400).map(|n| Facts { cost: 10.0 * factor, ..facts(1, (f64::from(n) + 0.5) / 400.0) }).collect()
    };
    let mut changed = sampler("1000000 B/s");
    for second in 0..10 {
        changed.tick(START + second * SECOND, SECOND, &in_unit(1_000.0));
    }
    let state = changed.export();
    changed.set_policy(policy("1000 spans/s")).unwrap();
    for mut sampler in [changed, Sampler::restore(policy("1000 spans/s"), &state).unwrap()] {
        sampler.tick(START + 10 * SECOND, SECOND, &in_unit(1.0));
        assert_eq!((sampler.report().used, sampler.report().budget), (1_000.0, 1_000.0));
        assert_eq!(sampler.operations(START + 10 * SECOND)[0].mean_cost[Class::Normal.index()], 10.0);
    }
}

#[test]
fn a_clock_that_is_set_back_stops_nothing() {
    let mut sampler = sampler("1000 spans/s");
    let ripe: Vec<Facts> = (0..400).map(|n| facts(1, (f64::from(n) + 0.5) / 400.0)).collect();
    let mut used = 0.0;
    for second in (0..20).chain(0..200) {
        sampler.tick(START + second * SECOND - if second < 20 { 0 } else { 10 * 3_600 * SECOND }, SECOND, &ripe);
        used += sampler.report().used;
        // While counters do not fade, rates grow and weights fall; prices are some seconds behind.
        assert!((400.0..=1_250.0).contains(&sampler.report().used), "{:?}", sampler.report());
    }
    assert!((used / 220_000.0 - 1.0).abs() < 0.02, "{used}");
}
