use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;
const START: u64 = 1_000_000 * SECOND;

fn id(n: u64) -> [u8; 16] {
    (u128::from(n) << 64 | u128::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).to_be_bytes()
}

fn kept(revision: u64) -> Kept {
    Kept { threshold: Threshold::from_probability(0.01), reason: KeepReason::Slow, revision }
}

#[test]
fn decisions_stick_for_an_hour() {
    let mut cache = DecisionCache::new(Limits::default());
    for minute in 0..200 {
        let now = START + minute * 60 * SECOND;
        cache.keep(&id(2 * minute), now, kept(minute));
        cache.drop(&id(2 * minute + 1), now);
        for past in 0..=minute {
            let found = (cache.get(&id(2 * past), now), cache.get(&id(2 * past + 1), now));
            if minute - past <= 60 {
                assert_eq!(found, (Some(Decided::Kept(kept(past))), Some(Decided::Dropped)), "{past} at {minute}");
            }
            if minute - past > 71 {
                assert_eq!(found, (None, None), "{past} at {minute}");
            }
        }
    }
    assert_eq!(cache.forgotten(), 0);
    // Without a call that writes they are not seen any longer either.
    assert_eq!(cache.get(&id(398), START + 1_000 * 60 * SECOND), Some(Decided::Kept(kept(199))));
    cache.drop(&id(1), START + 1_000 * 60 * SECOND);
    assert_eq!(cache.get(&id(398), START + 1_060 * 60 * SECOND), None);
}

#[test]
fn kept_wins_over_dropped() {
    let mut cache = DecisionCache::new(Limits::default());
    cache.drop(&id(1), START);
    cache.keep(&id(1), START, kept(7));
    cache.drop(&id(1), START + 700 * SECOND);
    assert_eq!(cache.get(&id(1), START + 700 * SECOND), Some(Decided::Kept(kept(7))));
}

#[test]
fn bytes_are_bounded_and_what_goes_early_is_counted() {
    let mut cache = DecisionCache::new(Limits { max_bytes: 1 << 20 });
    for n in 0..500_000 {
        let now = START + n * SECOND / 1_000;
        if n % 20 == 0 {
            cache.keep(&id(n), now, kept(n))
        } else {
            cache.drop(&id(n), now)
        }
        assert!(cache.bytes() <= 1 << 20, "{n}: {}", cache.bytes());
    }
    assert!(cache.forgotten() > 0);
    // The latest are there.
    for n in 400_000..500_000 {
        assert!(cache.get(&id(n), START + 500 * SECOND).is_some(), "{n}");
    }
}

#[test]
fn a_filter_loses_nothing_until_it_is_full() {
    let mut filter = Filter::new(10_000);
    let mut added = 0;
    while !filter.is_full() {
        assert!(filter.add(place(&id(added))));
        added += 1;
    }
    assert!(!filter.add(1));
    assert!(added >= 10_000 && (0..added).all(|n| filter.contains(place(&id(n)))), "{added}");
    println!("full at {:.3} of slots", added as f64 / (filter.bytes() / 3) as f64);
}

#[test]
fn hardly_a_new_trace_is_taken_for_dropped() {
    // Seven generations of an hour and more, each nearly full.
    let mut cache = DecisionCache::new(Limits { max_bytes: 8 << 20 });
    for n in 0..700_000 {
        cache.drop(&id(n), START + n * 4_200 * SECOND / 700_000);
    }
    let now = START + 4_199 * SECOND;
    let asked = 3_000_000_u64;
    let wrong = (0..asked).filter(|n| cache.get(&id((1 << 40) + n), now).is_some()).count();
    let bytes = cache.bytes() as f64 / 700_000.0;
    println!(
        "ids n << 64 | n * golden: {wrong} false of {asked}, {bytes:.2} B a trace, {} generations",
        cache.generations.len()
    );
    // 3.3 in a million expected: ten, and at most 25 by chance.
    assert!(wrong <= 25, "{wrong}");
    assert!(cache.forgotten() == 0 && bytes < 6.0, "{bytes}");
}

proptest! {
    #[test]
    fn what_the_tail_decides_is_exact(exponent in -55.0..=0.0f64, reason in 0..8_usize, revision in 0..1_u64 << 40) {
        let kept = Kept {
            threshold: Threshold::from_probability(exponent.exp2()), reason: KeepReason::ALL[reason], revision,
        };
        prop_assert_eq!(unpack(pack(kept)), kept);
    }

    #[test]
    fn a_finer_threshold_is_rounded_up(bits in 0..=RANGE) {
        let kept = Kept { threshold: Threshold::new(bits), reason: KeepReason::Normal, revision: 0 };
        let found = unpack(pack(kept)).threshold;
        prop_assert!(found >= kept.threshold);
        prop_assert_eq!(found, kept.threshold.rounded_up());
    }
}
