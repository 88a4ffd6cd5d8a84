use super::world::*;
use crate::error::Error;
use crate::sampler::Sampler;

#[test]
fn a_restored_sampler_decides_as_the_one_that_went_on() {
    for budget in ["400 spans/s", "40 MB/day"] {
        let mut random = Random(1);
        let mut sampler = sampler(budget);
        run(&mut sampler, &mut random, START, 30, 400, |_, _, _| {});
        let state = sampler.export();
        let mut restored = Sampler::restore(policy(budget), &state).unwrap();
        assert_eq!(restored.export(), state);
        let mut again = Random(random.0);
        let mut expected = Vec::new();
        run(&mut sampler, &mut random, START + 30 * SECOND, 10, 400, |_, _, verdicts| {
            expected.extend_from_slice(verdicts)
        });
        let mut found = Vec::new();
        run(&mut restored, &mut again, START + 30 * SECOND, 10, 400, |_, _, verdicts| {
            found.extend_from_slice(verdicts)
        });
        assert_eq!(found, expected);
    }
}

#[test]
fn a_state_that_is_not_ours_is_refused() {
    let mut sampler = sampler("400 spans/s");
    run(&mut sampler, &mut Random(1), START, 2, 400, |_, _, _| {});
    let state = sampler.export();
    let check = |bytes: &[u8]| Sampler::restore(policy("400 spans/s"), bytes).unwrap_err();
    for cut in 0..state.len().min(2_000) {
        assert!(matches!(check(&state[..cut]), Error::State(_)));
    }
    let mut other = state.clone();
    other[0] ^= 1;
    assert_eq!(check(&other), Error::State("is something else"));
    let mut other = state.clone();
    other[4] = 9;
    assert_eq!(check(&other), Error::State("is of another version"));
    let mut other = state;
    other[100] ^= 1;
    assert_eq!(check(&other), Error::State("is damaged"));
}

#[test]
fn a_state_of_wrong_numbers_does_not_panic() {
    let mut sampler = sampler("40 MB/day");
    run(&mut sampler, &mut Random(1), START, 5, 400, |_, _, _| {});
    let state = sampler.export();
    let body = &state[..state.len() - 8];
    let (mut refused, seed) = (0, 3);
    let mut random = Random(seed);
    for _ in 0..400 {
        let mut wrong = body.to_vec();
        for _ in 0..1 + random.bits() % 3 {
            let at = 5 + (random.bits() % (wrong.len() as u64 - 5)) as usize;
            wrong[at] = [0, 0xff, 0x7f, random.bits() as u8][(random.bits() % 4) as usize];
        }
        wrong.extend(xxhash_rust::xxh3::xxh3_64(&wrong).to_le_bytes());
        match Sampler::restore(policy("40 MB/day"), &wrong) {
            Ok(mut restored) => run(&mut restored, &mut Random(2), START + 5 * SECOND, 1, 40, |_, _, verdicts| {
                assert!(verdicts.iter().all(|verdict| verdict.p_tail > 0.0), "seed {seed}");
            }),
            Err(_) => refused += 1,
        }
    }
    assert!((1..400).contains(&refused), "{refused}");
}
