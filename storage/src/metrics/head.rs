//! How many spans of the source one stands for that a sampler there let through: `th` in the `ot` member of its W3C
//! `tracestate`. What does not follow the grammar says nothing, and nothing is guessed from it.

use crate::model::SpanBatch;

/// The threshold is a fraction of so many, and as many hexadecimal digits.
const RANGE: u64 = 1 << 56;
const DIGITS: usize = 14;
/// Longer lists and members are not valid.
const MAX_MEMBERS: usize = 32;
const MAX_OT_BYTES: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Head {
    /// 1 where it is not known.
    pub weight: f64,
    /// Whether the span stands for itself alone, for certain.
    pub is_exact: bool,
}

impl Head {
    pub const ALL: Self = Self { weight: 1.0, is_exact: true };
    const UNKNOWN: Self = Self { weight: 1.0, is_exact: false };

    /// Of a span without a `tracestate`.
    pub fn without(batch: &SpanBatch) -> Self {
        if batch.may_be_thinned() { Self::UNKNOWN } else { Self::ALL }
    }

    /// Of a span with this `tracestate`; `without` is that of spans that have none.
    pub fn of(trace_state: &str, without: Self) -> Self {
        match threshold(trace_state) {
            Some(None) => without,
            Some(Some(threshold)) if threshold < RANGE => {
                Self { weight: RANGE as f64 / (RANGE - threshold) as f64, is_exact: threshold == 0 }
            }
            _ => Self::UNKNOWN,
        }
    }
}

/// `None` if it is malformed; `Some(None)` if there is none.
fn threshold(trace_state: &str) -> Option<Option<u64>> {
    let mut ot = None;
    for (at, member) in trace_state.split(',').enumerate() {
        let member = member.trim_matches([' ', '\t']);
        if member.is_empty() {
            continue;
        }
        let (key, value) = member.split_once('=')?;
        let is_second = key == "ot" && ot.replace(value).is_some();
        if is_second || at >= MAX_MEMBERS {
            return None;
        }
    }
    let Some(ot) = ot else { return Some(None) };
    if ot.len() > MAX_OT_BYTES {
        return None;
    }
    let mut found = None;
    for field in ot.split(';') {
        let (key, value) = field.split_once(':')?;
        if key == "th" && found.replace(bits(value)?).is_some() {
            return None;
        }
    }
    Some(found)
}

/// The digits that are left out are zeros.
fn bits(digits: &str) -> Option<u64> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if digits.is_empty() || digits.len() > DIGITS || !digits.bytes().all(is_digit) {
        return None;
    }
    let bits = u64::from_str_radix(digits, 16).ok()?;
    Some(bits << (4 * (DIGITS - digits.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(trace_state: &str, weight: f64, is_exact: bool) {
        assert_eq!(Head::of(trace_state, Head::ALL), Head { weight, is_exact }, "{trace_state}");
        // Only what says itself that it was not sampled is exact where somebody may have been told to.
        let is_said = is_exact && trace_state.contains("th:");
        assert_eq!(Head::of(trace_state, Head::UNKNOWN), Head { weight, is_exact: is_said }, "{trace_state}");
    }

    #[test]
    fn a_threshold_is_a_weight_and_what_is_malformed_is_unknown() {
        for (state, weight, is_exact) in [
            ("", 1.0, true),
            ("vendor=1", 1.0, true),
            ("ot=rv:0123456789abcd", 1.0, true),
            ("ot=th:0", 1.0, true),
            ("ot=th:8", 2.0, false),
            ("vendor=1 , ot=rv:0123456789abcd;th:c", 4.0, false),
            ("ot=th:fffffffffffff8", (1_u64 << 53) as f64, false),
            ("ot=th:ffffffffffffff", (1_u64 << 56) as f64, false),
            ("ot=th:fffffffffffffff", 1.0, false),
            ("ot=th:", 1.0, false),
            ("ot=th:C", 1.0, false),
            ("ot=th:+8", 1.0, false),
            ("ot=th:8;th:8", 1.0, false),
            ("ot=th:8,ot=th:8", 1.0, false),
            ("ot=th:8;nonsense", 1.0, false),
            ("ot=th:8,nonsense", 1.0, false),
        ] {
            check(state, weight, is_exact);
        }
        check(&format!("{}ot=th:8", "a=1,".repeat(31)), 2.0, false);
        check(&format!("{}ot=th:8", "a=1,".repeat(32)), 1.0, false);
        check(&format!("ot=th:8;p:{}", "x".repeat(256)), 1.0, false);
    }
}
