//! What the sampler's parts cost, in one thread: `cargo bench -p sampling`. Seeds are fixed.

use std::hint::black_box;
use std::time::Instant;

use sampling::decided::Limits;
use sampling::shape::{Edge, ShapeBuilder};
use sampling::sketch::{Histogram, SlowSpans};
use sampling::{Class, DecisionCache, Facts, KeepReason, Kept, Policy, Randomness, Sampler, Threshold};

const SECOND: u64 = 1_000_000_000;
const START: u64 = 20_000 * 86_400 * SECOND;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn trace(random: &mut Random, operations: f64) -> Facts {
    let operation = operations.powf(random.unit()) as u64;
    let shape = (random.unit() * random.unit() * 20.0) as u64;
    Facts {
        operation: operation.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        service: operation % 40,
        shape: operation << 8 | shape,
        coarse_shape: operation << 8 | 0xff,
        root_duration_nanos: Some((1e6 * (4.0 * random.unit() + random.unit()).exp()) as u64),
        root_failed: random.unit() < 0.01,
        inner_error: random.unit() < 0.1,
        cost: 2.0 + (random.unit() * 5.0).exp2(),
        randomness: Randomness::new(random.bits()),
        ..Facts::default()
    }
}

fn say(what: &str, began: Instant, n: usize) {
    println!("{what:<52} {:>7.1} ns", began.elapsed().as_secs_f64() * 1e9 / n as f64);
}

fn ticks(operations: f64, per_tick: usize) -> Result<(), sampling::Error> {
    let policy = Policy { budget: Some("2000 spans/s".parse()?), ..Policy::default() };
    let mut sampler = Sampler::new(policy)?;
    let mut random = Random(1);
    let warm = 20;
    let ticks: Vec<Vec<Facts>> = (0..warm + 400_000 / per_tick)
        .map(|_| (0..per_tick).map(|_| trace(&mut random, operations)).collect())
        .collect();
    let mut began = Instant::now();
    let mut kept = 0;
    for (n, ripe) in ticks.iter().enumerate() {
        if n == warm {
            began = Instant::now();
        }
        let verdicts = sampler.tick(START + n as u64 * SECOND / 10, SECOND / 10, ripe);
        kept += verdicts.iter().filter(|verdict| verdict.keep && verdict.class != Class::Priority).count();
    }
    say(&format!("tick, {operations} operations, {per_tick} traces ({kept} kept), a trace"), began, 400_000);
    let began = Instant::now();
    let state = sampler.export();
    println!("  its state: {} kB in {:.1} ms", state.len() / 1000, began.elapsed().as_secs_f64() * 1e3);
    Ok(())
}

fn main() -> Result<(), sampling::Error> {
    for (operations, per_tick) in [(120.0, 10), (120.0, 100), (120.0, 1_000), (10_000.0, 1_000), (10_000.0, 10_000)] {
        ticks(operations, per_tick)?;
    }
    let mut random = Random(2);
    let durations: Vec<u64> = (0..1_000_000).map(|_| (1e6 * (9.0 * random.unit()).exp()) as u64).collect();

    let mut histogram = Histogram::new(640);
    let began = Instant::now();
    durations.iter().for_each(|duration| histogram.record(*duration));
    say("histogram, a value", began, durations.len());
    black_box(histogram.quantile(0.99));

    let mut slow = SlowSpans::new(&Policy::default());
    let began = Instant::now();
    let number = (0..).zip(&durations).filter(|(n, d)| slow.observe(START + n * 10_000, n % 500, **d)).count();
    say(&format!("slow span ({number} of a million), a span"), began, durations.len());

    let mut builder = ShapeBuilder::default();
    let mut sum = 0_u64;
    let began = Instant::now();
    for trace in 0..50_000 {
        for span in 0..20 {
            builder.edge(Edge { parent_name: span / 3, service: trace % 7, name: span % 13, ..Edge::default() });
        }
        sum = sum.wrapping_add(builder.finish().fine);
    }
    say("shape, a span of 20", began, 1_000_000);
    black_box(sum);

    let mut cache = DecisionCache::new(Limits::default());
    let id = |random: &mut Random| (u128::from(random.bits()) << 64 | u128::from(random.bits())).to_be_bytes();
    let hour = 3_600_000;
    let began = Instant::now();
    for n in 0..hour {
        let now = START + n * SECOND / 1_000;
        if n % 20 == 0 {
            let kept = Kept { threshold: Threshold::from_probability(0.05), reason: KeepReason::Normal, revision: 1 };
            cache.keep(&id(&mut random), now, kept);
        } else {
            cache.drop(&id(&mut random), now);
        }
    }
    say("decision cache, an hour of 1000 traces/s, add", began, hour as usize);
    let asked = 20_000_000;
    let began = Instant::now();
    let wrong = (0..asked).filter(|_| cache.get(&id(&mut random), START + 3_600 * SECOND).is_some()).count();
    say("decision cache, an unknown trace", began, asked);
    println!(
        "  {wrong} of {asked} taken for decided (seed 2), {:.1} MB, {} forgotten",
        cache.bytes() as f64 / 1e6,
        cache.forgotten()
    );
    Ok(())
}
