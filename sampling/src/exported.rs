//! What the spans of a stored trace say of its weight when they leave: `th`, and `rv` where a reader could not know the coin.
//!
//! # Invariants
//!
//! - What is said holds: a reader finds `R >= T`, and in `T` the weight, exactly where a threshold can give it.
//! - Given that the trace was kept, `rv` is uniform above `T`, so that a later stage may raise the threshold.
//! - What the client said of a weight that still holds is left as it is. Said again, nothing changes.

use std::borrow::Cow;

use crate::class::Head;
use crate::threshold::{RANGE, Randomness, Threshold};
use crate::tracestate::{Field, MALFORMED, Origin, Sampled, parse, write};

/// A decided trace, as tables have it.
#[derive(Debug, Clone, Copy)]
pub struct Stored<'a> {
    pub trace_id: &'a [u8; 16],
    /// Of the span that its decision looked at: the root, or what stood for it.
    pub tracestate: &'a str,
    /// `None` where it is unknown.
    pub adjusted_count: Option<f64>,
    /// `None` in tables from before there were budgets, when nothing was sampled at its source.
    pub head_count: Option<f64>,
    /// Whether it was decided on a budget, which could have dropped it.
    pub on_budget: bool,
}

/// What to say of it, the same on each of its spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exported {
    AsReceived,
    /// It stands for nothing, which no threshold can say.
    Unsaid,
    /// `explicit` where the trace's id does not say the randomness.
    Said {
        threshold: Threshold,
        explicit: Option<Randomness>,
    },
}

impl Exported {
    pub fn of(stored: &Stored<'_>) -> Self {
        let Stored { trace_id, tracestate, adjusted_count, head_count, on_budget } = *stored;
        let threshold = match adjusted_count {
            Some(0.0) => return Self::Unsaid,
            // Nothing was thrown for it.
            Some(1.0) if !on_budget => return Self::AsReceived,
            Some(count) => Threshold::from_adjusted_count(count),
            None => None,
        };
        let Some(threshold) = threshold else { return Self::AsReceived };
        let head_count = head_count.filter(|count| (1.0..f64::INFINITY).contains(count)).unwrap_or(1.0);
        let Origin { randomness, head, explicit } = Origin::of(trace_id, tracestate, Some(1.0 / head_count));
        match head {
            Head::Threshold(said) if said == threshold || Some(said.adjusted_count()) == adjusted_count => {
                Self::AsReceived
            }
            Head::Threshold(_) if threshold.keeps(randomness) => {
                Self::Said { threshold, explicit: explicit.then_some(randomness) }
            }
            Head::Ratio(_) => {
                let tail = Threshold::near_probability(head_count * threshold.probability());
                let randomness = match tail.keeps(randomness) {
                    true => stretched(randomness, tail, threshold),
                    false => another_coin(trace_id, threshold),
                };
                Self::Said { threshold, explicit: Some(randomness) }
            }
            Head::Threshold(_) | Head::Unknown => {
                Self::Said { threshold, explicit: Some(another_coin(trace_id, threshold)) }
            }
        }
    }

    /// The `tracestate` to send in place of the one received.
    pub fn write<'a>(&self, received: &'a str) -> Cow<'a, str> {
        let sampled = parse(received);
        // Nobody could read what was added to it.
        if sampled == MALFORMED {
            return Cow::Borrowed(received);
        }
        match *self {
            Self::AsReceived => Cow::Borrowed(received),
            Self::Unsaid if sampled.th == Field::Absent => Cow::Borrowed(received),
            Self::Unsaid => {
                let randomness = if let Field::Valid(randomness) = sampled.rv { Some(randomness) } else { None };
                Cow::Owned(write(received, None, randomness))
            }
            Self::Said { threshold, explicit } => {
                let wanted = Sampled { th: Field::Valid(threshold), rv: explicit.map_or(Field::Absent, Field::Valid) };
                if sampled == wanted {
                    return Cow::Borrowed(received);
                }
                let written = write(received, Some(threshold), explicit);
                // The member may have no room for more; then the client's weight, which is another, must not stay either.
                Cow::Owned(if parse(&written) == wanted { written } else { write(received, None, None) })
            }
        }
    }
}

/// Brings what is uniform above `from` to what is uniform above `to`, keeping its order.
fn stretched(randomness: Randomness, from: Threshold, to: Threshold) -> Randomness {
    let above = |threshold: Threshold| u128::from(RANGE - threshold.bits());
    let within = u128::from(randomness.bits().saturating_sub(from.bits()));
    // Below the height of `to`, since `within` is below that of `from`; which is not 0, because something was kept.
    let moved = within * above(to) / above(from).max(1);
    Randomness::new(to.bits() + u64::try_from(moved).unwrap_or(0))
}

/// Where the coin that is known cannot be the one that kept the trace, as when its root came after the decision: whatever
/// kept it was another, of which the hash of the id knows nothing.
fn another_coin(trace_id: &[u8; 16], threshold: Threshold) -> Randomness {
    stretched(Randomness::hashed(trace_id), Threshold::ALWAYS, threshold)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: [u8; 16] = [8, 2, 3, 4, 5, 6, 7, 8, 9, 0xf0, 1, 2, 3, 4, 5, 6];

    fn out(tracestate: &str, adjusted_count: Option<f64>, head_count: f64, on_budget: bool) -> String {
        let stored = Stored { trace_id: &ID, tracestate, adjusted_count, head_count: Some(head_count), on_budget };
        Exported::of(&stored).write(tracestate).into_owned()
    }

    #[track_caller]
    fn check(tracestate: &str, adjusted_count: impl Into<Option<f64>>, head_count: f64, expected: &str) {
        assert_eq!(out(tracestate, adjusted_count.into(), head_count, true), expected, "{tracestate:?}");
    }

    #[test]
    fn what_is_known_of_a_weight_is_said() {
        // R is hashed where nobody says another: high enough for the half, and not for the quarter.
        let hashed = Randomness::hashed(&ID).bits();
        assert_eq!(format!("{hashed:014x}"), "9209fbbad7ecc5");
        check("", 2.0, 1.0, "ot=th:8;rv:9209fbbad7ecc5");
        check("a=1, ot=p:8 ,b=2", 2.0, 1.0, "ot=th:8;rv:9209fbbad7ecc5;p:8,a=1,b=2");
        // The client's coin: its id, or its rv.
        check("a=1,ot=x:y;th:8", 4.0, 2.0, "ot=th:c;x:y,a=1");
        check("ot=th:8;rv:d0000000000000", 4.0, 2.0, "ot=th:c;rv:d0000000000000");
        check("ot=rv:d0000000000000", 4.0, 1.0, "ot=th:c;rv:d0000000000000");
        // What the client said still holds.
        check("b=1, ot=x:y;th:8", 2.0, 2.0, "b=1, ot=x:y;th:8");
        check("ot=th:0", 1.0, 1.0, "ot=th:0");
        // A budget that kept it for certain.
        check("", 1.0, 1.0, "ot=th:0;rv:9209fbbad7ecc5");
    }

    #[test]
    fn what_cannot_be_said_is_not() {
        for received in ["", "a=1", "ot=th:8", "ot=p:8", "ot=th:8;rv:x", "broken"] {
            check(received, None, 1.0, received);
            assert_eq!(out(received, Some(1.0), 1.0, false), received, "nothing was sampled");
        }
        check("a=1,ot=th:8;p:8;rv:d0000000000000", 0.0, 2.0, "ot=rv:d0000000000000;p:8,a=1");
        check("ot=th:8", 0.0, 2.0, "");
        check("a= 1", 0.0, 2.0, "a= 1");
        check("broken", 2.0, 1.0, "broken");
        // 256 bytes are the most that the member may have.
        let full = format!("ot=th:8;x:{}", "y".repeat(240));
        check(&full, 3.0, 2.0, &full.replace("th:8;", ""));
    }

    #[test]
    fn another_coin_of_the_head_is_stretched_over_both() {
        // The head kept a tenth, and the tail the upper half of the hash: 5 %, and R' as high above T' as R was above T.
        let (tail, total) = (Threshold::from_probability(0.5), Threshold::from_adjusted_count(20.0).unwrap());
        let Exported::Said { threshold, explicit: Some(randomness) } = Exported::of(&Stored {
            trace_id: &ID,
            tracestate: "",
            adjusted_count: Some(1.0 / (0.1 * 0.5)),
            head_count: Some(1.0 / 0.1),
            on_budget: true,
        }) else {
            panic!("nothing is said")
        };
        assert_eq!(threshold, total);
        let share = |randomness: Randomness, threshold: Threshold| {
            (randomness.bits() - threshold.bits()) as f64 / (RANGE - threshold.bits()) as f64
        };
        let (before, after) = (share(Randomness::hashed(&ID), tail), share(randomness, total));
        assert!((before - after).abs() < 1e-12, "{before} {after}");
        // An explicit coin that the head did not throw, too.
        check("ot=rv:c0000000000000", 4.0, 2.0, "ot=th:c;rv:e0000000000000");
    }

    #[test]
    fn rv_is_uniform_above_th() {
        // Heads at 0.3 of another coin, tails at 0.6 of the hash.
        let tail = Threshold::from_probability(0.6);
        let mut shares = Vec::new();
        for n in 0..20_000_u64 {
            let id = u128::from(n + 1).to_be_bytes();
            if !tail.keeps(Randomness::hashed(&id)) {
                continue;
            }
            let (head_count, count) = (1.0 / 0.3, 1.0 / (0.3 * tail.probability()));
            let exported = Exported::of(&Stored {
                trace_id: &id,
                tracestate: "",
                adjusted_count: Some(count),
                head_count: Some(head_count),
                on_budget: true,
            });
            if let Exported::Said { threshold, explicit: Some(randomness) } = exported {
                let height = (RANGE - threshold.bits()) as f64;
                shares.push((randomness.bits() - threshold.bits()) as f64 / height);
            }
        }
        shares.sort_unstable_by(f64::total_cmp);
        let count = shares.len() as f64;
        // Kolmogorov's distance; 1.95 / sqrt(n) is one in a thousand.
        let distance = shares.iter().enumerate().map(|(at, share)| (share - (at as f64 + 0.5) / count).abs());
        let distance = distance.fold(0.0, f64::max);
        assert!(shares.len() > 11_000 && distance < 1.95 / count.sqrt(), "{distance} of {count}");
    }

    fn tracestate() -> impl Strategy<Value = String> {
        let digits = "[0-9a-f]{14}";
        prop_oneof![
            Just(String::new()),
            Just("a=1,b=2".to_owned()),
            "[0-9a-f]{1,14}".prop_map(|th| format!("a=1,ot=x:y;th:{th},b=2")),
            digits.prop_map(|rv| format!("ot=rv:{rv};x:y")),
            ("[0-9a-f]{1,4}", digits).prop_map(|(th, rv)| format!("ot=th:{th};rv:{rv},a=1")),
            Just("ot=th:8;rv:x".to_owned()),
        ]
    }

    proptest! {
        #[test]
        fn what_the_sampler_keeps_is_read_back_with_its_weight(
            received in tracestate(),
            id in any::<[u8; 16]>(),
            ratio in 0.001..1.0f64,
            own in -20.0..0.0f64,
        ) {
            // As `sampler::work` decides.
            let own = Threshold::from_probability(own.exp2());
            let origin = Origin::of(&id, &received, Some(ratio));
            let (kept_by, p_total) = match origin.head {
                Head::Threshold(head) => (own.max(head), own.max(head).probability()),
                Head::Ratio(p) => (own, p * own.probability()),
                Head::Unknown => return Ok(()),
            };
            prop_assume!(kept_by.keeps(origin.randomness));
            let count = 1.0 / p_total;
            let stored = Stored {
                trace_id: &id,
                tracestate: &received,
                adjusted_count: Some(count),
                head_count: origin.head.probability().map(|p| 1.0 / p),
                on_budget: true,
            };
            let written = Exported::of(&stored).write(&received).into_owned();
            let back = Origin::of(&id, &written, None);
            let Head::Threshold(threshold) = back.head else {
                return Err(TestCaseError::fail(format!("{written} says nothing")));
            };
            prop_assert!(threshold.keeps(back.randomness));
            if matches!(origin.head, Head::Threshold(_)) {
                prop_assert_eq!(threshold.adjusted_count(), count);
                prop_assert_eq!(back.randomness, origin.randomness);
            } else {
                prop_assert!((threshold.adjusted_count() / count - 1.0).abs() < count * 1e-14, "{}", written);
                let shift = back.randomness.bits() - threshold.bits();
                prop_assert!(shift <= origin.randomness.bits() - own.bits());
            }
            let again = Stored { tracestate: &written, ..stored };
            prop_assert_eq!(Exported::of(&again).write(&written), &written[..]);
            // Where it was read in, all of its weight is the head's.
            let there = Stored { adjusted_count: Some(threshold.adjusted_count()),
                head_count: Some(threshold.adjusted_count()), on_budget: false, ..again };
            prop_assert_eq!(Exported::of(&there).write(&written), &written[..]);
        }

        #[test]
        fn anything_is_answered_and_what_is_said_holds(
            received in "[ot=;:,thrv0-9a-f \\t]{0,60}|\\PC{0,40}",
            others in tracestate(),
            id in any::<[u8; 16]>(),
            count in prop::option::of(prop_oneof![0.0..1e9f64, any::<f64>()]),
            head in prop::option::of(any::<f64>()),
            on_budget in any::<bool>(),
        ) {
            for tracestate in [&received, &others] {
                let stored =
                    Stored { trace_id: &id, tracestate, adjusted_count: count, head_count: head, on_budget };
                let exported = Exported::of(&stored);
                if let Exported::Said { threshold, explicit } = exported {
                    prop_assert!(threshold.keeps(explicit.unwrap_or(Origin::of(&id, tracestate, None).randomness)));
                }
                let written = exported.write(&others);
                prop_assert_eq!(exported.write(&written), &written[..]);
            }
        }
    }
}
