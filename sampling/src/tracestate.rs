//! `th` and `rv` in the `ot` member of a W3C `tracestate`.
//!
//! OpenTelemetry, "TraceState Handling"; W3C Trace Context, 3.3. What does not follow the grammar is malformed, and what
//! is malformed is unknown: nothing is guessed from half a value. Members of others are left as they are.

use std::fmt::Write;

use crate::class::Head;
use crate::threshold::{RANGE, Randomness, Threshold};

/// W3C: more list members than these are not valid.
const MAX_MEMBERS: usize = 32;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Field<T> {
    #[default]
    Absent,
    Valid(T),
    Malformed,
}

/// What the `ot` member says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sampled {
    pub th: Field<Threshold>,
    pub rv: Field<Randomness>,
}

pub(crate) const MALFORMED: Sampled = Sampled { th: Field::Malformed, rv: Field::Malformed };

/// Reads a `tracestate` as it came.
pub fn parse(tracestate: &str) -> Sampled {
    let mut ot = None;
    for (at, member) in tracestate.split(',').enumerate() {
        let member = member.trim_matches([' ', '\t']);
        if member.is_empty() {
            continue;
        }
        let Some((key, value)) = member.split_once('=') else { return MALFORMED };
        // A key that comes twice makes the list invalid; of others' keys nobody here depends.
        if at >= MAX_MEMBERS || (key == "ot" && ot.replace(value).is_some()) {
            return MALFORMED;
        }
    }
    ot.map_or(Sampled::default(), parse_ot)
}

fn parse_ot(value: &str) -> Sampled {
    let mut sampled = Sampled::default();
    // 256 is OpenTelemetry's limit of its member.
    if value.len() > 256 {
        return MALFORMED;
    }
    for field in value.split(';') {
        let Some((key, value)) = field.split_once(':') else { return MALFORMED };
        match key {
            "th" if sampled.th == Field::Absent => {
                sampled.th = threshold(value).map_or(Field::Malformed, Field::Valid);
            }
            "rv" if sampled.rv == Field::Absent => {
                sampled.rv = randomness(value).map_or(Field::Malformed, Field::Valid);
            }
            "th" => sampled.th = Field::Malformed,
            "rv" => sampled.rv = Field::Malformed,
            _ => {}
        }
    }
    sampled
}

fn lower_hex(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if digits { u64::from_str_radix(text, 16).ok() } else { None }
}

/// 1 to 14 digits; those that were cut are zeros.
pub fn threshold(text: &str) -> Option<Threshold> {
    let cut = 14_usize.checked_sub(text.len()).filter(|cut| *cut < 14)?;
    lower_hex(text).map(|digits| Threshold::new(digits << (4 * cut)))
}

/// Exactly 14 digits.
pub fn randomness(text: &str) -> Option<Randomness> {
    if text.len() == 14 { lower_hex(text).map(Randomness::new) } else { None }
}

/// The value of `th`: without trailing zeros, and `0` for all. `None` for [`Threshold::NEVER`], which has none.
pub fn th(threshold: Threshold) -> Option<String> {
    if threshold.bits() >= RANGE {
        return None;
    }
    let digits = format!("{:014x}", threshold.bits());
    let cut = digits.trim_end_matches('0');
    Some(if cut.is_empty() { "0" } else { cut }.to_owned())
}

/// The value of `rv`.
pub fn rv(randomness: Randomness) -> String {
    format!("{:014x}", randomness.bits())
}

/// `tracestate` with our `th`, and `rv` where it is not what the id itself says: first, as W3C wants of who changed it last.
/// Other fields of `ot` and other members stay, in their order. Without a threshold `th` is erased: the weight is unknown.
pub fn write(tracestate: &str, threshold: Option<Threshold>, explicit: Option<Randomness>) -> String {
    let mut ot = String::new();
    let mut field = |key: &str, value: &str| {
        let separator = if ot.is_empty() { "" } else { ";" };
        // Writing into a String cannot fail.
        let _ = write!(ot, "{separator}{key}:{value}");
    };
    if let Some(value) = threshold.and_then(th) {
        field("th", &value);
    }
    if let Some(randomness) = explicit {
        field("rv", &rv(randomness));
    }
    let members = || tracestate.split(',').map(|member| member.trim_matches([' ', '\t'])).filter(|m| !m.is_empty());
    for value in members().filter_map(|member| member.strip_prefix("ot=")) {
        for (key, value) in value.split(';').filter_map(|field| field.split_once(':')) {
            if key != "th" && key != "rv" {
                field(key, value);
            }
        }
    }
    let mut out = String::with_capacity(tracestate.len() + 40);
    if !ot.is_empty() {
        let _ = write!(out, "ot={ot}");
    }
    let room = MAX_MEMBERS - usize::from(!ot.is_empty());
    for member in members().filter(|member| !member.starts_with("ot=")).take(room) {
        let separator = if out.is_empty() { "" } else { "," };
        let _ = write!(out, "{separator}{member}");
    }
    out
}

/// The coin of a trace, and what the head sampler did to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Origin {
    pub randomness: Randomness,
    pub head: Head,
    /// Whether `rv` must go out beside `th`, because the id does not say it.
    pub explicit: bool,
}

impl Origin {
    /// `ledger` is the ratio of the strategy that the service was served, 1 if it never polled, `None` if unknown.
    ///
    /// - `th`: our coin is theirs, and the probabilities combine by their minimum. A `th` that would have rejected the trace
    ///   is not the one that kept it, so the weight is unknown.
    /// - no `th`: what kept the trace compared something else, so the probabilities multiply. `rv` is our coin if present.
    /// - malformed `th`: unknown. Malformed `rv`: nobody knows their coin, so ours is another.
    pub fn of(trace_id: &[u8; 16], tracestate: &str, ledger: Option<f64>) -> Self {
        let Sampled { th, rv } = parse(tracestate);
        let (randomness, explicit) = match (rv, th) {
            (Field::Valid(randomness), _) => (randomness, true),
            (Field::Absent, Field::Valid(_)) => (Randomness::of_random_id(trace_id), false),
            _ => (Randomness::hashed(trace_id), true),
        };
        let head = match (th, rv) {
            (Field::Valid(threshold), Field::Malformed) => Head::Ratio(threshold.probability()),
            (Field::Valid(threshold), _) if threshold.keeps(randomness) => Head::Threshold(threshold),
            (Field::Valid(_) | Field::Malformed, _) => Head::Unknown,
            (Field::Absent, _) => ledger.map_or(Head::Unknown, Head::Ratio),
        };
        Self { randomness, head, explicit }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: [u8; 16] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 0xf0, 1, 2, 3, 4, 5, 6];

    fn check(tracestate: &str, th: Option<&str>, rv: Option<&str>) {
        let sampled = parse(tracestate);
        let text = |field| match field {
            Field::Absent => None,
            Field::Valid(threshold) => super::th(threshold),
            Field::Malformed => Some("malformed".to_owned()),
        };
        assert_eq!(text(sampled.th).as_deref(), th, "th of {tracestate:?}");
        let text = match sampled.rv {
            Field::Absent => None,
            Field::Valid(randomness) => Some(super::rv(randomness)),
            Field::Malformed => Some("malformed".to_owned()),
        };
        assert_eq!(text.as_deref(), rv, "rv of {tracestate:?}");
    }

    #[test]
    fn reads_the_member_among_others() {
        let bad = Some("malformed");
        check("", None, None);
        check("ot=th:0", Some("0"), None);
        check("ot=th:c", Some("c"), None);
        check("ot=th:fd70a4", Some("fd70a4"), None);
        check("ot=th:c000", Some("c"), None);
        check("vendor=a:b;c=d , ot=p:8;rv:0123456789abcd;th:8,\tx@y=z", Some("8"), Some("0123456789abcd"));
        check("congo=th:8,rojo=rv:1", None, None);
        check("a=1,,b=2,ot=th:8", Some("8"), None);
        check("ot=th:", bad, None);
        check("ot=th:123456789abcdef", bad, None);
        check("ot=th:C", bad, None);
        check("ot=th:+8", bad, None);
        check("ot=th:8;th:8", bad, None);
        check("ot=rv:123", None, bad);
        check("ot=th:8;rv:0123456789abcdef", Some("8"), bad);
        check("ot=th:8;;", bad, bad);
        check("ot=th:8,ot=th:8", bad, bad);
        check("ot=th:8,broken", bad, bad);
        check(&format!("ot=th:8{}", ",a=1".repeat(32)), bad, bad);
        check(&format!("ot=th:8;x:{}", "y".repeat(300)), bad, bad);
    }

    #[test]
    fn writes_first_and_leaves_the_rest() {
        let c = Threshold::from_probability(0.25);
        assert_eq!(write("", Some(c), None), "ot=th:c");
        assert_eq!(write("a=1, ot=p:8;th:8;rv:0123456789abcd ,b=2", Some(c), None), "ot=th:c;p:8,a=1,b=2");
        assert_eq!(write("a=1", Some(Threshold::ALWAYS), Some(Randomness::new(0xab))), "ot=th:0;rv:000000000000ab,a=1");
        assert_eq!(write("ot=th:8,a=1", None, None), "a=1");
        assert_eq!(write("ot=th:8", Some(Threshold::NEVER), None), "");
    }

    #[test]
    fn every_origin() {
        let id = Randomness::of_random_id(&ID);
        assert_eq!(id, Randomness::new(0x00f0_0102_0304_0506));
        let hashed = Randomness::hashed(&ID);
        let rv = Randomness::new(0x00c0_0000_0000_0000);
        let half = Threshold::from_probability(0.5);
        for (tracestate, ledger, randomness, head, explicit) in [
            ("", Some(1.0), hashed, Head::Ratio(1.0), true),
            ("", Some(0.01), hashed, Head::Ratio(0.01), true),
            ("", None, hashed, Head::Unknown, true),
            ("ot=th:8", Some(0.01), id, Head::Threshold(half), false),
            ("ot=th:8;rv:c0000000000000", None, rv, Head::Threshold(half), true),
            ("ot=rv:c0000000000000", Some(0.5), rv, Head::Ratio(0.5), true),
            // Would not have been kept: the id says f0, the threshold f8.
            ("ot=th:f8", Some(1.0), id, Head::Unknown, false),
            ("ot=th:x", Some(1.0), hashed, Head::Unknown, true),
            ("ot=th:8;rv:x", Some(1.0), hashed, Head::Ratio(0.5), true),
        ] {
            assert_eq!(Origin::of(&ID, tracestate, ledger), Origin { randomness, head, explicit }, "{tracestate:?}");
        }
    }

    #[test]
    fn an_explicit_rv_is_another_coin_than_a_ratio_on_the_id() {
        // A head that keeps low ids at one half, and a tail at one quarter of the explicit randomness.
        let quarter = Threshold::from_probability(0.25);
        let (mut kept, ids) = (0.0, 20_000_u64);
        for n in 0..ids {
            let low = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut id = [1; 16];
            id[8..].copy_from_slice(&low.to_be_bytes());
            let rv = rv(Randomness::hashed(&(u128::from(n) << 7).to_be_bytes()));
            let origin = Origin::of(&id, &format!("ot=rv:{rv}"), Some(0.5));
            assert_eq!(origin.head, Head::Ratio(0.5));
            kept += f64::from(u8::from(low >> 63 == 0 && quarter.keeps(origin.randomness)));
        }
        // The product; by their minimum the kept would stand for half of what there was.
        assert!((kept / ids as f64 - 0.125).abs() < 0.01, "{kept}");
    }

    proptest! {
        #[test]
        fn a_threshold_survives_the_way(bits in 0..RANGE, cut in 0..14_u32) {
            let threshold = Threshold::new(bits >> (4 * cut) << (4 * cut));
            let text = th(threshold).unwrap();
            prop_assert!(text == "0" || !text.ends_with('0'));
            prop_assert_eq!(super::threshold(&text), Some(threshold));
            prop_assert_eq!(parse(&write("a=b", Some(threshold), Some(Randomness::new(bits)))),
                Sampled { th: Field::Valid(threshold), rv: Field::Valid(Randomness::new(bits)) });
        }

        #[test]
        fn any_text_is_read(text in "[ot=;:,thrv0-9a-f \\t]{0,60}|\\PC{0,40}") {
            let sampled = parse(&text);
            let written = write(&text, Some(Threshold::ALWAYS), None);
            prop_assert!(sampled == MALFORMED || matches!(parse(&written).th, Field::Valid(_)), "{written}");
        }
    }
}
