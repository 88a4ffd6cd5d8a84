//! Of intervals over seeded samples, 93 to 97 in 100 hold the truth, above that only where counts come in lumps or the
//! tail is empty (decision 0018 has the figures).

use super::super::interval::{Estimated, Sample, Trace, Value};

/// SplitMix64: a sample is the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to 1, without 1.
    fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.uniform()).ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

/// A trace of the real stream.
struct Real {
    weight: f64,
    durations: Vec<f64>,
}

/// Traces of a weight, and how much slower they are (in logarithms).
type Part = (usize, f64, f64);

/// Durations are log-normal, and those of a trace alike; spans of a trace are geometric, 4 in the mean.
fn population(random: &mut Random, parts: &[Part]) -> Vec<Real> {
    let mut population = Vec::new();
    for (traces, weight, slower) in parts {
        for _ in 0..*traces {
            let spans = 1 + ((1.0 - random.uniform()).ln() / 0.75_f64.ln()) as usize;
            let of_trace = slower + 0.5 * random.normal();
            let durations = (0..spans).map(|_| (of_trace + 0.85 * random.normal()).exp()).collect();
            population.push(Real { weight: *weight, durations });
        }
    }
    population
}

/// The sample's traces by what their spans are worth.
fn traces(sample: &[&Real], worth: impl Fn(f64) -> f64) -> Vec<Trace> {
    let trace = |real: &&Real| Trace {
        weight: real.weight,
        sum: real.weight * real.durations.iter().map(|duration| worth(*duration)).sum::<f64>(),
        count: real.weight * real.durations.len() as f64,
        stratum: None,
    };
    sample.iter().map(trace).collect()
}

fn values(sample: &[&Real]) -> Vec<Value> {
    let of = |(trace, real): (usize, &&Real)| {
        let weight = real.weight;
        real.durations.iter().map(move |value| Value { trace, value: *value, weight }).collect::<Vec<_>>()
    };
    sample.iter().enumerate().flat_map(of).collect()
}

const QUESTIONS: [&str; 8] = ["count", "sum", "mean", "share .5", "share .05", "p50", "p90", "p99"];

fn ask(sample: &[&Real]) -> Vec<Estimated> {
    let over = |limit: f64| move |duration: f64| f64::from(u8::from(duration > limit));
    let all = traces(sample, |duration| duration);
    let sampled = Sample::new(&all, &[], false);
    let ones = traces(sample, |_| 1.0);
    let (half, few) = (traces(sample, over(1.0)), traces(sample, over(5.0)));
    let mut answers = vec![
        Sample::new(&ones, &[], false).total(),
        sampled.total(),
        sampled.mean(),
        Sample::new(&half, &[], false).share(),
        Sample::new(&few, &[], false).share(),
    ];
    answers.extend([0.5, 0.9, 0.99].map(|wanted| sampled.quantile(&mut values(sample), wanted)));
    answers
}

fn truth(population: &[Real]) -> Vec<f64> {
    let certain: Vec<Real> =
        population.iter().map(|real| Real { weight: 1.0, durations: real.durations.clone() }).collect();
    let answers = ask(&certain.iter().collect::<Vec<_>>());
    assert!(answers.iter().all(|answer| answer.exact && answer.low == answer.estimate));
    answers.iter().map(|answer| answer.estimate.unwrap()).collect()
}

/// How many of 100 intervals hold the truth, by question, where there are 30 effective traces.
fn coverage(parts: &[Part], populations: u64, samples: u64) -> Vec<f64> {
    let mut held = vec![0.0; QUESTIONS.len()];
    let mut asked = 0.0;
    for seed in 0..populations {
        let mut random = Random(1_000 * seed + 7);
        let population = population(&mut random, parts);
        let truth = truth(&population);
        for _ in 0..samples {
            let sample: Vec<&Real> = population.iter().filter(|real| random.uniform() * real.weight < 1.0).collect();
            let answers = ask(&sample);
            if answers[0].effective < 30.0 {
                continue;
            }
            asked += 1.0;
            for (question, answer) in answers.iter().enumerate() {
                let low = answer.low.is_none_or(|low| low <= truth[question]);
                let high = answer.high.is_none_or(|high| truth[question] <= high);
                held[question] += f64::from(u8::from(low && high));
            }
        }
    }
    held.iter().map(|held| 100.0 * held / asked).collect()
}

#[test]
fn intervals_hold_the_truth_as_often_as_they_say() {
    for (name, parts) in [
        ("one weight", vec![(900, 20.0, 0.0)]),
        ("slow ones kept", vec![(40, 1.0, 2.0), (900, 20.0, 0.0)]),
        ("many weights", vec![(100, 1.0, 1.0), (150, 5.0, 0.5), (800, 20.0, 0.0), (1_000, 50.0, 0.0)]),
    ] {
        let covered = coverage(&parts, 60, 10);
        println!(
            "{name}: {}",
            QUESTIONS.iter().zip(&covered).map(|(q, c)| format!("{q} {c:.1}")).collect::<Vec<_>>().join(", ")
        );
        for (question, covered) in QUESTIONS.iter().zip(covered) {
            // 600 samples are off by 1 in 100 themselves; what p99 cannot know it leaves open.
            let most = if *question == "p99" { 100.0 } else { 98.0 };
            assert!((91.5..=most).contains(&covered), "{name}, {question}: {covered:.1}");
        }
    }
}
