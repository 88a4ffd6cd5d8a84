//! Randomness that gives the same numbers on every machine and in every version.
//!
//! Own code instead of `rand` and the C library's `exp` and `ln`: neither promises equal results across releases and
//! platforms, and a seed that no longer gives the same shop makes old test figures worthless.

/// SplitMix64: small, fast, and good enough for a model of a shop. Not for secrets.
#[derive(Debug, Clone)]
pub struct Rng {
    state: u64,
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Rng {
    /// Streams of one seed are independent of each other.
    pub const fn new(seed: u64, stream: u64) -> Self {
        Self { state: mix(seed.wrapping_add(GOLDEN)) ^ mix(stream.wrapping_mul(GOLDEN).wrapping_add(1)) }
    }

    pub const fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// For ids, where zero means "absent".
    pub const fn next_nonzero(&mut self) -> u64 {
        loop {
            let value = self.next();
            if value != 0 {
                return value;
            }
        }
    }

    /// Uniform in `0..bound`; 0 for a bound of 0.
    pub const fn below(&mut self, bound: u64) -> u64 {
        ((self.next() as u128 * bound as u128) >> 64) as u64
    }

    /// Uniform in `low..=high`.
    pub const fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// Uniform in `0.0..1.0`.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of a table that is never empty.
    pub fn pick<'t, T, const N: usize>(&mut self, table: &'t [T; N]) -> &'t T {
        const { assert!(N > 0) };
        &table[self.below(N as u64) as usize]
    }

    /// Small indices far more often than large ones, as with popular products.
    pub fn skewed(&mut self, bound: u64) -> u64 {
        let unit = self.unit();
        ((unit * unit * unit * bound as f64) as u64).min(bound.saturating_sub(1))
    }

    /// Log-normal around `median`. The sum of four uniforms stands for the normal distribution, so that a value never
    /// lies more than 3.5 sigmas out: tails stay long, but bounded.
    pub fn log_normal(&mut self, median: f64, sigma: f64) -> f64 {
        let bits = self.next();
        let sum: u64 = (0..4).map(|part| (bits >> (16 * part)) & 0xffff).sum();
        let normal = (sum as f64 - 131_070.0) / 37_837.2;
        median * exp(sigma * normal)
    }

    /// Time between arrivals that know nothing of each other.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * ln(1.0 - self.unit())
    }

    /// `len` lower-case letters and digits.
    pub fn word(&mut self, len: usize) -> String {
        const LETTERS: &[u8; 30] = b"bcdfghjklmnpqrstvwxz2456789bcd";
        (0..len).map(|_| char::from(*self.pick(LETTERS))).collect()
    }

    pub fn uuid(&mut self) -> String {
        let (high, low) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            0x8000 | (low >> 50),
            low & 0xffff_ffff_ffff
        )
    }
}

/// Only additions and multiplications, which IEEE 754 fixes to the last bit. Good to eight digits.
fn exp(x: f64) -> f64 {
    let scaled = x.clamp(-40.0, 40.0) * std::f64::consts::LOG2_E;
    let whole = scaled.floor();
    let rest = (scaled - whole) * std::f64::consts::LN_2;
    let mut sum = 1.0;
    let mut term = 1.0;
    for n in 1..11 {
        term *= rest / f64::from(n);
        sum += term;
    }
    sum * f64::from_bits(((whole as i64 + 1023) as u64) << 52)
}

/// For positive normal numbers only.
fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let exponent = (bits >> 52) as i64 - 1023;
    let mantissa = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    let mut power = s;
    let mut sum = 0.0;
    for n in 0..10 {
        sum += power / f64::from(2 * n + 1);
        power *= square;
    }
    2.0 * sum + exponent as f64 * std::f64::consts::LN_2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_functions_agree_with_the_library() {
        for step in -300..300 {
            let x = f64::from(step) / 40.0;
            assert!((exp(x) / x.exp() - 1.0).abs() < 1e-8, "exp({x})");
        }
        for step in 1..1000 {
            let x = f64::from(step) / 700.0;
            assert!((ln(x) - x.ln()).abs() < 1e-8, "ln({x})");
        }
    }

    #[test]
    fn numbers_of_a_seed_never_change() {
        let mut rng = Rng::new(7, 1);
        let numbers = [rng.next(), rng.below(1000), rng.log_normal(1e6, 0.5) as u64, rng.exponential(1e9) as u64];
        assert_eq!(numbers, NUMBERS);
        assert_eq!(rng.uuid().len(), 36);
    }

    const NUMBERS: [u64; 4] = [3_804_069_750_978_119_562, 956, 558_768, 451_908_027];

    #[test]
    fn median_is_the_median() {
        let mut rng = Rng::new(1, 2);
        let below = (0..10_000).filter(|_| rng.log_normal(100.0, 0.7) < 100.0).count();
        assert!((4_800..5_200).contains(&below), "{below}");
    }
}
