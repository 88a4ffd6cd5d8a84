//! Ticks of few traces: nothing is lost to chance, and traces larger than a tick are kept as often as they should be.

use super::world::*;
use crate::class::{Facts, Priority};

/// The used share of the budget, over `seconds` of `ticks` a second in which `rate` traces a second arrive.
fn used(seed: u64, per_second: u64, ticks: u64, rate: f64, seconds: u64, trace: fn(&mut Random) -> Facts) -> f64 {
    let mut sampler = sampler(&format!("{per_second} spans/s"));
    let mut random = Random(seed);
    let (mut used, mut offered) = (0.0, 0.0);
    for tick in 1..=seconds * ticks {
        let number = arrivals(&mut random, rate / ticks as f64);
        let ripe: Vec<Facts> = (0..number).map(|_| trace(&mut random)).collect();
        sampler.tick(START + tick * SECOND / ticks, SECOND / ticks, &ripe);
        used += sampler.report().used;
        offered += sampler.report().offered;
    }
    let share = used / (per_second * seconds) as f64;
    let times = offered / (per_second * seconds) as f64;
    println!("seed {seed}: {ticks} ticks/s, {rate} traces/s, offered {times:.2} of the budget, used {share:.4}");
    share
}

/// Of each seed.
fn check(all: impl Iterator<Item = f64>, low: f64, high: f64) {
    let all: Vec<f64> = all.collect();
    assert!(all.iter().all(|used| (low..=high).contains(used)), "used of the budget, not {low} to {high}: {all:.4?}");
}

#[test]
fn chance_leaves_nothing_unused() {
    let seeds = || [1, 4, 10, 20].into_iter().flat_map(|ticks| (0..3).map(move |seed| (ticks, seed)));
    check(seeds().map(|(ticks, seed)| used(seed, 1_000, ticks, 800.0, 120, trace)), 0.985, 1.005);
}

#[test]
fn sparse_traffic_uses_its_budget() {
    let budgets = [(10, 2.0), (20, 3.0), (30, 5.0), (50, 8.0)].into_iter();
    let seeds = budgets.flat_map(|(budget, rate)| (0..3).map(move |seed| (budget, rate, seed)));
    check(seeds.map(|(budget, rate, seed)| used(seed, budget, 10, rate, 1_200, trace)), 0.965, 1.01);
}

#[test]
fn sparse_traffic_of_uneven_costs_uses_its_budget() {
    let budgets = [(100, 2.0), (200, 4.0)].into_iter();
    let seeds = budgets.flat_map(|(budget, rate)| (0..3).map(move |seed| (budget, rate, seed)));
    check(seeds.map(|(budget, rate, seed)| used(seed, budget, 10, rate, 6_000, uneven)), 0.92, 1.01);
}

#[test]
fn a_tick_of_those_who_opted_out_is_empty() {
    let credit = |ripe: &[Facts]| {
        let mut sampler = sampler("20 spans/s");
        sampler.tick(START, SECOND, &[facts(1, 0.5)]);
        (1..60).for_each(|tick| drop(sampler.tick(START + tick * SECOND, SECOND / 10, ripe)));
        sampler.report().credit
    };
    assert_eq!(credit(&[Facts { priority: Priority::Drop, ..facts(1, 0.5) }]), credit(&[]));
    // Two fifths of eight traces, and what the last tick left.
    assert!((34.0..34.5).contains(&credit(&[])), "{}", credit(&[]));
}

/// The mean probability of class normal in ticks of this length, over a minute of 200 traces a second.
fn mean_probability(ticks: u64) -> f64 {
    let mut sampler = sampler("400 spans/s");
    let (mut sum, mut number) = (0.0, 0);
    for tick in 1..=60 * ticks {
        let mut random = Random(tick);
        let ripe: Vec<Facts> = (0..200 / ticks).map(|_| facts(1 + random.bits() % 5, random.unit())).collect();
        let verdicts = sampler.tick(START + tick * SECOND / ticks, SECOND / ticks, &ripe);
        sum += verdicts.iter().map(|verdict| verdict.p_tail).sum::<f64>();
        number += verdicts.len();
    }
    sum / number as f64
}

#[test]
fn the_length_of_ticks_changes_no_probability() {
    // 400 of 2000 spans.
    for ticks in [1, 4, 20, 50] {
        let p = mean_probability(ticks);
        println!("{ticks} ticks a second: p {p:.4}");
        // A quarter of a second is ten traces here: chance often keeps more, and the hard cap takes it back.
        assert!((p / 0.2 - 1.0).abs() < 0.08, "{ticks} ticks a second: {p}");
    }
}

#[test]
fn a_late_tick_has_the_budget_of_its_length_up_to_ten_seconds() {
    let ripe: Vec<Facts> = (0..10_000).map(|n| facts(1, f64::from(n) / 10_000.0)).collect();
    for (seconds, budget) in [(1, 100.0), (5, 500.0), (10, 1_000.0), (60, 1_000.0)] {
        let mut sampler = sampler("100 spans/s");
        sampler.tick(START, seconds * SECOND, &ripe);
        assert_eq!(sampler.report().budget, budget, "{seconds} s");
    }
    // A clock that stands still has the shortest of ticks.
    let mut sampler = sampler("100000 spans/s");
    sampler.tick(START, 0, &ripe);
    assert_eq!(sampler.report().budget, 100.0);
}
