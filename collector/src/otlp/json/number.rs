//! Integers and doubles from JSON's number syntax, which strings may hold as well.

/// The parts of a JSON number.
struct Parts<'t> {
    is_negative: bool,
    whole: &'t [u8],
    fraction: &'t [u8],
    exponent: i64,
}

fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    text.split_at_checked(length).unwrap_or((text, &[]))
}

/// Strictly JSON's grammar: no plus sign, no leading zero, digits on both sides of the point.
fn parts(text: &[u8]) -> Option<Parts<'_>> {
    let (is_negative, rest) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, rest) = digits(rest);
    if whole.is_empty() || (whole.len() > 1 && whole.starts_with(b"0")) {
        return None;
    }
    let (fraction, rest) = match rest.strip_prefix(b".") {
        Some(rest) => match digits(rest) {
            ([], _) => return None,
            found => found,
        },
        None => (&rest[..0], rest),
    };
    let exponent = match rest {
        [] => 0,
        [b'e' | b'E', rest @ ..] => {
            let (sign, rest) = match rest {
                [b'-', rest @ ..] => (-1, rest),
                [b'+', rest @ ..] => (1, rest),
                _ => (1, rest),
            };
            let (found, rest) = digits(rest);
            if found.is_empty() || !rest.is_empty() {
                return None;
            }
            let size = found
                .iter()
                .fold(0_i64, |size, digit| size.saturating_mul(10).saturating_add(i64::from(digit.wrapping_sub(b'0'))));
            size.saturating_mul(sign)
        }
        _ => return None,
    };
    Some(Parts { is_negative, whole, fraction, exponent })
}

pub fn is_number(text: &[u8]) -> bool {
    parts(text).is_some()
}

/// The exact integer that `text` stands for, if it is one that 64 bits could hold with either sign.
pub fn integer(text: &[u8]) -> Option<i128> {
    let Parts { is_negative, whole, fraction, exponent } = parts(text)?;
    let mut value: i128 = 0;
    // Beyond this no further digit could bring it back into 64 bits.
    const MOST: i128 = 1 << 65;
    let push = |value: &mut i128, digit: u8| {
        *value = value.checked_mul(10)?.checked_add(i128::from(digit.wrapping_sub(b'0')))?;
        (*value <= MOST).then_some(())
    };
    // How many digits stand before the point once the exponent has moved it.
    let before_point = i64::try_from(whole.len()).ok()?.saturating_add(exponent);
    let mut position: i64 = 0;
    for digit in whole.iter().chain(fraction) {
        if position < before_point {
            push(&mut value, *digit)?;
        } else if *digit != b'0' {
            return None;
        }
        position = position.saturating_add(1);
    }
    while position < before_point && value != 0 {
        push(&mut value, b'0')?;
        position = position.saturating_add(1);
    }
    Some(if is_negative { -value } else { value })
}

/// The double nearest to `text`; `None` if it is no number, or beyond all doubles.
pub fn double(text: &[u8]) -> Option<f64> {
    if !is_number(text) {
        return None;
    }
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<i128>) {
        assert_eq!(integer(text.as_bytes()), expected, "{text}");
    }

    #[test]
    fn otlp_307_and_308_integers_are_exact_in_every_form() {
        check("0", Some(0));
        check("-0", Some(0));
        check("18446744073709551615", Some(u64::MAX.into()));
        check("-9223372036854775808", Some(i64::MIN.into()));
        check("9007199254740993", Some(9_007_199_254_740_993));
        check("1e9", Some(1_000_000_000));
        check("1.0", Some(1));
        check("1.50e1", Some(15));
        check("1200E-2", Some(12));
        check("0e99999999999999999999", Some(0));
        check("0.000e5", Some(0));
        for refused in [
            "1.5",
            "+1",
            "0x1",
            "01",
            "1.",
            ".5",
            "",
            "-",
            "1e",
            "1e5x",
            "1 ",
            "1e400",
            "1e-1",
            "99999999999999999999999",
        ] {
            check(refused, None);
        }
    }

    #[test]
    fn doubles_are_numbers_within_range() {
        assert_eq!(double(b"-1.5e300"), Some(-1.5e300));
        assert_eq!(double(b"-0"), Some(-0.0));
        for refused in [&b"1e999"[..], b"inf", b"nan", b"+1", b"1_0"] {
            assert_eq!(double(refused), None);
        }
    }
}
