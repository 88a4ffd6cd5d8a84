use super::world::*;
use crate::class::{Class, Facts};
use crate::policy::Policy;
use crate::sampler::{Batch, Sampler, Score};

#[test]
fn a_preview_changes_nothing() {
    let mut sampler = sampler("400 spans/s");
    let mut random = Random(7);
    let mut past = Vec::new();
    run(&mut sampler, &mut random, START, 20, 400, |now, ripe, _| past.push((now, ripe.to_vec())));
    let before = sampler.export();
    let batches = || past.iter().map(|(now, ripe)| Batch { now_nanos: *now, tick_nanos: SECOND / 4, ripe });
    let narrow = sampler.preview(policy("400 spans/s"), batches()).unwrap();
    let wide = sampler.preview(policy("800 spans/s"), batches()).unwrap();
    let all = sampler.preview(Policy::default(), batches()).unwrap();
    assert_eq!(sampler.export(), before);
    assert_eq!(narrow.seen.iter().sum::<u64>(), 8_000);
    assert_eq!((all.kept, all.kept_cost), (all.seen, all.offered_cost));
    assert!((narrow.kept_cost / 8_000.0 - 1.0).abs() < 0.05, "{narrow:?}");
    assert!((wide.kept_cost / 16_000.0 - 1.0).abs() < 0.05, "{wide:?}");
    let bad = Policy { diversity: -1.0, ..Policy::default() };
    assert!(sampler.preview(bad, batches()).is_err());
}

#[test]
fn a_preview_of_the_same_policy_keeps_as_much_as_was_kept() {
    let mut sampler = sampler("400 spans/s");
    let mut random = Random(9);
    let (mut past, mut kept) = (Vec::new(), 0.0);
    run(&mut sampler, &mut random, START, 40, 400, |now, ripe, verdicts| {
        kept += ripe.iter().zip(verdicts).filter(|(_, v)| v.keep).map(|(facts, _)| facts.cost).sum::<f64>();
        past.push((now, ripe.to_vec()));
    });
    let batches = || past.iter().map(|(now, ripe)| Batch { now_nanos: *now, tick_nanos: SECOND / 4, ripe });
    let same = sampler.preview(policy("400 spans/s"), batches()).unwrap();
    assert!((same.kept_cost / kept - 1.0).abs() < 0.03, "{} of {kept}", same.kept_cost);
    // To one that knows nothing yet, the past comes as it came then.
    let again = Sampler::new(Policy::default()).unwrap().preview(policy("400 spans/s"), batches()).unwrap();
    assert!((again.kept_cost / kept - 1.0).abs() < 1e-12, "{} of {kept}", again.kept_cost);
    // Of ticks of a quarter of a second.
    assert!((100.0..400.0).contains(&same.peak_cost_per_second), "{same:?}");
    // What the policy changes, the preview shows.
    let narrow = sampler.preview(policy("60 spans/s"), batches()).unwrap();
    let mut quiet = policy("60 spans/s");
    (quiet.diversity, quiet.rarity, quiet.strength.error) = (0.0, 0.0, 1.0);
    let quiet = sampler.preview(quiet, batches()).unwrap();
    assert!(quiet.rare_seen == 0 && narrow.rare_seen > 0, "{quiet:?} {narrow:?}");
    assert!(quiet.kept[Class::Error.index()] < narrow.kept[Class::Error.index()], "{quiet:?} {narrow:?}");
}

#[test]
fn a_preview_in_another_unit_has_that_units_budget() {
    let mut sampler = sampler("1000 spans/s");
    let ripe: Vec<Facts> = (0..400).map(|n| facts(1, (f64::from(n) + 0.5) / 400.0)).collect();
    (0..10).for_each(|second| drop(sampler.tick(START + second * SECOND, SECOND, &ripe)));
    let bytes: Vec<Facts> = ripe.iter().map(|facts| Facts { cost: 5_000.0, ..*facts }).collect();
    let past = (0..10).map(|second| Batch { now_nanos: START + second * SECOND, tick_nanos: SECOND, ripe: &bytes });
    let score = sampler.preview(policy("1 MB/s"), past).unwrap();
    assert!((score.kept_cost / 1e7 - 1.0).abs() < 0.02 && score.offered_cost == 2e7, "{score:?}");
    assert!(sampler.preview(policy("1 MB/s"), []).unwrap() == Score::default());
}
