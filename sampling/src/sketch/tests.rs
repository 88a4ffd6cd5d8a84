use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::codec::{Reader, Writer};
use crate::policy::Policy;

const SECOND: u64 = 1_000_000_000;

fn of(values: &[u64], max_buckets: u32) -> Histogram {
    let mut histogram = Histogram::new(max_buckets);
    values.iter().for_each(|value| histogram.record(*value));
    histogram
}

/// Durations as they are: from a microsecond to minutes, evenly by their logarithm.
fn durations() -> impl Strategy<Value = u64> {
    prop_oneof![8 => (10.0..38.0f64).prop_map(|x| x.exp2() as u64), 1 => Just(0), 1 => any::<u64>()]
}

#[test]
fn a_power_of_two_belongs_to_the_bucket_below() {
    for (value, index) in [(1, -1), (2, 31), (3, 50), (4, 63), (5, 74), (1 << 63, 2015), (u64::MAX, 2047)] {
        assert_eq!(of(&[value], 640).buckets().collect::<Vec<_>>(), [(index, 1)], "{value}");
    }
    // 2^(50/32) = 2.954, 2^(51/32) = 3.018.
    assert_eq!(of(&[0, 0], 640).zero_count(), 2);
}

#[test]
fn a_range_that_is_too_wide_halves_the_scale() {
    let mut histogram = of(&[1_000, 2_000], 160);
    assert_eq!(histogram.scale(), 5);
    histogram.record(1_000 << 6);
    assert_eq!((histogram.scale(), histogram.count()), (4, 3));
    histogram.record(u64::MAX);
    histogram.record(1);
    assert_eq!((histogram.scale(), histogram.count()), (1, 5));
    assert_eq!(of(&[1, u64::MAX], 2).bucket_counts().collect::<Vec<_>>(), [1, 1]);
}

/// `base^index`, by the definition.
fn bound(scale: i32, index: i32) -> f64 {
    (f64::from(index) * (-f64::from(scale)).exp2()).exp2()
}

#[test]
fn bucket_counts_begin_at_the_offset_with_nothing_left_out() {
    let histogram = of(&[4, 5, 5, 9], 640);
    // Indices 63, 74, 74 and 101: 2^(101/32) = 8.92.
    let counts: Vec<u64> = histogram.bucket_counts().collect();
    assert_eq!((histogram.offset(), histogram.scale(), counts.len()), (63, 5, 39));
    assert_eq!((counts[0], counts[11], counts[38], counts.iter().sum::<u64>()), (1, 2, 1, 4));
}

#[test]
fn counters_widen_and_lose_nothing() {
    let mut histogram = of(&[7, 1_000], 640);
    let index = of(&[7], 640).offset();
    for n in [254, 1, 0xff00, 0xffff_0000, u64::MAX] {
        let before = histogram.buckets().next().unwrap().1;
        histogram.record_n(7, n);
        let found: Vec<(i32, u64)> = histogram.buckets().collect();
        assert_eq!((found.len(), found[0], found[1].1), (2, (index, before.saturating_add(n)), 1));
    }
}

#[test]
fn a_wide_sketch_of_an_hour_is_small() {
    let mut histogram = Histogram::new(640);
    for n in 0..100_000_u64 {
        histogram.record(1_000_000 + n * n % 99_000_000);
    }
    assert_eq!(histogram.scale(), 5);
    assert!(histogram.counter_bytes() <= 500, "{}", histogram.counter_bytes());
}

#[test]
fn the_older_half_is_forgotten() {
    let wanted = Quantile { q: 0.5, min_values: 1, half_nanos: 1_800 * SECOND };
    let mut recent = Recent::new(640, 0);
    recent.record(10 * SECOND, wanted.half_nanos, 1_000);
    recent.record(1_900 * SECOND, wanted.half_nanos, 1_000_000);
    assert_eq!(recent.count(), 2);
    recent.record(3_800 * SECOND, wanted.half_nanos, 1_000_000);
    assert_eq!(recent.count(), 2);
    let median = recent.quantile(3_900 * SECOND, wanted).unwrap();
    assert!(median.abs_diff(1_000_000) < 10_900, "{median}");
    assert_eq!(recent.quantile(9_000 * SECOND, wanted), None);
}

#[test]
fn one_span_in_a_thousand_is_slow_for_its_name() {
    let mut spans = SlowSpans::new(&Policy::default());
    let mut slow = 0;
    for n in 0..100_000_u64 {
        // Every 2000th takes ten times as long as any other.
        let duration = if n % 2_000 == 1_999 { 100_000_000 } else { 1_000_000 + n * 7_919 % 9_000_000 };
        let is_slow = spans.observe(n * SECOND / 100, 7, duration);
        assert!(!is_slow || n >= 1_000, "{n}");
        assert!(is_slow || duration < 100_000_000 || n < 2_000, "{n}");
        slow += u64::from(is_slow);
    }
    assert!((49..200).contains(&slow), "{slow}");
}

#[test]
fn slow_spans_are_restored() {
    let mut spans = SlowSpans::new(&Policy::default());
    for n in 0..20_000_u64 {
        spans.observe(n * SECOND / 100, n % 3, n * 7_919 % 9_000_000);
    }
    let state = spans.export();
    let mut restored = SlowSpans::restore(&Policy::default(), &state).unwrap();
    assert_eq!(restored.export(), state);
    for n in 20_000..40_000_u64 {
        let (now, name, duration) = (n * SECOND / 100, n % 3, n * 7_919 % 9_100_000);
        assert_eq!(restored.observe(now, name, duration), spans.observe(now, name, duration));
    }
    assert!((0..state.len()).step_by(97).all(|cut| SlowSpans::restore(&Policy::default(), &state[..cut]).is_err()));
}

#[test]
fn names_beyond_the_limit_are_never_slow() {
    let mut policy = Policy::default();
    policy.limits.max_span_names = 1;
    let mut spans = SlowSpans::new(&policy);
    for n in 0..2_000 {
        assert!(!spans.observe(n, 1, 5));
        assert!(!spans.observe(n, 2, 5));
    }
    assert!(spans.observe(2_000, 1, 50));
    assert!(!spans.observe(2_000, 2, 50));
}

proptest! {
    #[test]
    fn a_value_is_within_the_bounds_of_its_bucket(value in 1..1_u64 << 52, wide in any::<u64>(), max in 2..400_u32) {
        for histogram in [of(&[value], 640), of(&[value, wide.max(1)], max)] {
            let inside = |(index, _): (i32, u64)| {
                let (low, high) = (bound(histogram.scale(), index), bound(histogram.scale(), index + 1));
                value as f64 > low * (1.0 - 1e-12) && value as f64 <= high * (1.0 + 1e-12)
            };
            prop_assert!(histogram.buckets().any(inside), "{value}: {histogram:?}");
        }
    }

    #[test]
    fn quantiles_are_within_their_error(mut values in vec(durations(), 1..300), q in 0.0..=1.0f64) {
        let histogram = of(&values, 4096);
        values.sort_unstable();
        let rank = ((q * values.len() as f64).ceil() as usize).clamp(1, values.len());
        let (exact, found) = (values[rank - 1] as f64, histogram.quantile(q).unwrap());
        prop_assert!((found - exact).abs() <= 0.010_9 * exact, "{found} for {exact}");
    }

    #[test]
    fn merging_is_recording_together(a in vec(durations(), 0..100), b in vec(durations(), 0..100), max in 2..400_u32) {
        let all: Vec<u64> = a.iter().chain(&b).copied().collect();
        let (mut ab, mut ba) = (of(&a, max), of(&b, max));
        ab.merge(&of(&b, max));
        ba.merge(&of(&a, max));
        let whole = of(&all, max);
        for merged in [&ab, &ba] {
            prop_assert_eq!(merged.scale(), whole.scale());
            prop_assert!(merged.buckets().eq(whole.buckets()));
            prop_assert_eq!(
                (merged.count(), merged.sum(), merged.min(), merged.zero_count()),
                (whole.count(), whole.sum(), whole.min(), whole.zero_count())
            );
        }
        prop_assert!(whole.bucket_counts().count() <= max as usize);
        prop_assert_eq!(whole.buckets().map(|(_, n)| n).sum::<u64>() + whole.zero_count(), all.len() as u64);
    }

    #[test]
    fn what_is_written_is_read(values in vec(durations(), 0..100), max in 16..400_u32) {
        let histogram = of(&values, max);
        let mut out = Writer::default();
        histogram.write(&mut out);
        let bytes = out.into_bytes();
        let mut input = Reader::new(&bytes);
        let read = Histogram::read(&mut input, max).unwrap();
        input.finish().unwrap();
        prop_assert!(read.buckets().eq(histogram.buckets()));
        prop_assert_eq!((read.scale(), read.count(), read.min()), (histogram.scale(), histogram.count(), histogram.min()));
        for cut in 0..bytes.len() {
            prop_assert!(Histogram::read(&mut Reader::new(&bytes[..cut]), max).is_err());
        }
    }
}
