//! Seeded traces: operations as frequent as Zipf says, with sizes, failures and shapes. The same on every machine.

use std::f64::consts::LOG2_E;

use crate::class::Facts;
use crate::math::{exp2, pow};
use crate::policy::Policy;
use crate::sampler::{Sampler, Verdict};
use crate::threshold::Randomness;

pub const SECOND: u64 = 1_000_000_000;
/// Some day's noon.
pub const START: u64 = 20_000 * 86_400 * SECOND + 43_200 * SECOND;

/// SplitMix64 (Steele et al. 2014).
pub struct Random(pub u64);

impl Random {
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }
}

pub fn policy(budget: &str) -> Policy {
    Policy { budget: Some(budget.parse().unwrap()), ..Policy::default() }
}

pub fn sampler(budget: &str) -> Sampler {
    Sampler::new(policy(budget)).unwrap()
}

pub fn facts(operation: u64, randomness: f64) -> Facts {
    Facts {
        operation,
        service: operation % 7,
        shape: operation << 8,
        coarse_shape: operation << 8 | 0xff,
        cost: 10.0,
        randomness: Randomness::new((randomness * (1u64 << 56) as f64) as u64),
        ..Facts::default()
    }
}

/// A trace of one of 40 operations.
pub fn trace(random: &mut Random) -> Facts {
    let operation = pow(40.0, random.unit()) as u64;
    let shape = (random.unit() * random.unit() * 6.0) as u64;
    let failed = random.unit() < 0.01;
    let spread = 1.5 * (random.unit() + random.unit() + random.unit());
    let duration = (1e6 * operation as f64 * exp2(LOG2_E * spread)) as u64;
    Facts {
        shape: operation << 8 | shape,
        root_duration_nanos: Some(duration),
        root_failed: failed,
        inner_error: failed || random.unit() < 0.1,
        cost: 2.0 + exp2(random.unit() * 5.0) + shape as f64,
        randomness: Randomness::new(random.bits()),
        ..facts(operation, 0.0)
    }
}

/// One whose cost is spread evenly by its logarithm, from 1 to 1024.
pub fn uneven(random: &mut Random) -> Facts {
    Facts { cost: exp2(random.unit() * 10.0).round(), ..trace(random) }
}

/// How many came in a time in which `mean` are expected.
pub fn arrivals(random: &mut Random, mean: f64) -> usize {
    // Knuth's product, in pieces that do not underflow.
    let (mut left, mut number) = (mean, 0);
    while left > 0.0 {
        let end = exp2(-LOG2_E * left.min(50.0));
        let mut product = random.unit();
        while product > end {
            number += 1;
            product *= random.unit();
        }
        left -= 50.0;
    }
    number
}

/// A few seconds in ticks of 250 ms, `rate` traces a second; calls `each` with what was decided.
pub fn run(
    sampler: &mut Sampler,
    random: &mut Random,
    from: u64,
    seconds: u64,
    rate: u64,
    mut each: impl FnMut(u64, &[Facts], &[Verdict]),
) {
    for tick in 1..=seconds * 4 {
        let now = from + tick * SECOND / 4;
        let ripe: Vec<Facts> = (0..rate / 4).map(|_| trace(random)).collect();
        let verdicts = sampler.tick(now, SECOND / 4, &ripe);
        assert_eq!(verdicts.len(), ripe.len());
        each(now, &ripe, &verdicts);
    }
}
