//! Logarithm and power with the same bits on every machine.
//!
//! Those of the standard library are the platform's and may differ in the last place, which would be enough for two
//! collectors to decide one trace differently. These use only operations that IEEE 754 defines exactly. Relative error
//! below 1e-14.

use std::f64::consts::{LN_2, LOG2_E, SQRT_2};

/// 2^x; beyond the range of normal numbers it stays at its ends. Not a number gives 1.
pub(crate) fn exp2(x: f64) -> f64 {
    if x.is_nan() {
        return 1.0;
    }
    let x = x.clamp(-1022.0, 1023.0);
    let whole = (x + 0.5).floor();
    let y = (x - whole) * LN_2;
    // Taylor's series of e^y, |y| <= 0.35: the next term would be 2e-17.
    let mut sum = 1.0;
    for n in (1..=13).rev() {
        sum = 1.0 + sum * y / f64::from(n);
    }
    let exponent = (whole as i64).clamp(-1022, 1023) + 1023;
    sum * f64::from_bits((exponent as u64) << 52)
}

/// The logarithm to base 2 of a positive, normal number; anything else counts as the smallest.
pub(crate) fn log2(x: f64) -> f64 {
    let x = if x >= f64::MIN_POSITIVE { x.min(f64::MAX) } else { f64::MIN_POSITIVE };
    let bits = x.to_bits();
    let mut exponent = ((bits >> 52) as i64).saturating_sub(1023);
    let mut mantissa = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
    if mantissa > SQRT_2 {
        mantissa /= 2.0;
        exponent = exponent.saturating_add(1);
    }
    // ln m = 2 artanh((m-1)/(m+1)), |s| <= 0.172: the next term would be 4e-18.
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    let mut sum = 0.0;
    for n in (0..=10).rev() {
        sum = sum * square + 1.0 / f64::from(2 * n + 1);
    }
    exponent as f64 + 2.0 * s * sum * LOG2_E
}

/// `x` to the power `y`, for positive `x`.
pub(crate) fn pow(x: f64, y: f64) -> f64 {
    exp2(y * log2(x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_platform() {
        let mut x = 1e-12;
        while x < 1e12 {
            assert!((log2(x) - f64::log2(x)).abs() <= 1e-14 * f64::log2(x).abs().max(1.0), "log2 {x}");
            assert!((pow(x, -0.6) / f64::powf(x, -0.6) - 1.0).abs() < 1e-13, "pow {x}");
            let y = f64::log2(x) * 3.7;
            assert!((exp2(y) / f64::exp2(y) - 1.0).abs() < 1e-14, "exp2 {y}");
            x *= 1.01;
        }
    }

    #[test]
    fn powers_of_two_are_exact_and_the_ends_hold() {
        for n in -1022..=1023 {
            let x = f64::from_bits(((n + 1023) as u64) << 52);
            assert_eq!(exp2(f64::from(n)), x);
            assert_eq!(log2(x), f64::from(n));
        }
        assert_eq!(exp2(f64::NEG_INFINITY), f64::MIN_POSITIVE);
        assert!(exp2(f64::INFINITY).is_finite() && log2(f64::INFINITY).is_finite() && log2(f64::NAN).is_finite());
    }
}
