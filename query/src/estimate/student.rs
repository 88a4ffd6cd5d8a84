//! Quantiles of Student's t.

/// The 97.5 % quantile of the normal distribution.
pub(super) const NORMAL: f64 = 1.959_963_984_540_054;

/// Below this the expansion is off by more than one part in a hundred.
const FEWEST: f64 = 2.0;

/// The 97.5 % quantile of Student's t, by the expansion of Cornish and Fisher (Abramowitz and Stegun 26.7.5).
pub(super) fn t_quantile(degrees: f64) -> f64 {
    if !degrees.is_finite() {
        return NORMAL;
    }
    let degrees = degrees.max(FEWEST);
    let z = NORMAL;
    let terms = [
        (z.powi(3) + z) / 4.0,
        (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0,
        (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0,
        (79.0 * z.powi(9) + 776.0 * z.powi(7) + 1482.0 * z.powi(5) - 1920.0 * z.powi(3) - 945.0 * z) / 92_160.0,
    ];
    terms.iter().rev().fold(0.0, |sum, term| (sum + term) / degrees) + z
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (degrees, table) in
            [(2.0, 4.303), (3.0, 3.182), (5.0, 2.571), (10.0, 2.228), (30.0, 2.042), (f64::INFINITY, 1.960)]
        {
            let off = (t_quantile(degrees) / table - 1.0_f64).abs();
            assert!(off < 0.01 && (degrees < 5.0 || off < 0.000_5), "{degrees}: {}", t_quantile(degrees));
        }
        assert_eq!(t_quantile(0.0), t_quantile(2.0));
        assert_eq!(t_quantile(f64::NAN), NORMAL);
    }
}
