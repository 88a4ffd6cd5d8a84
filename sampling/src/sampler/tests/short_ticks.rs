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
    check(seeds().map(|(ticks, seed)| used(seed, 1_000, ticks, 800.0, 120, trace)), 0.99, 1.005);
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
    let budget = |ripe: &[Facts]| {
        let mut sampler = sampler("20 spans/s");
        sampler.tick(START, SECOND, &[facts(1, 0.5)]);
        (1..20).for_each(|tick| drop(sampler.tick(START + tick * SECOND, SECOND / 10, ripe)));
        sampler.report().budget
    };
    assert_eq!(budget(&[Facts { priority: Priority::Drop, ..facts(1, 0.5) }]), budget(&[]));
    assert!(budget(&[]) > 30.0, "{}", budget(&[]));
}
