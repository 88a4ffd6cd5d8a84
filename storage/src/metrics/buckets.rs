//! Durations as a sparse histogram of exponential buckets, as OTLP has them at scale 5: the base is 2^(1/32), and bucket `i`
//! covers (base^i, base^(i+1)] nanoseconds. A quantile read from it is off by at most 1.09 %.
//!
//! The index of a duration is exact: it is compared with the integer parts of bounds that are no integers.

/// The integer parts of 2^(63 + k/32). Irrational but for the first, so no integer lies between one and its bound.
const BOUNDS: [u64; 32] = [
    0x8000_0000_0000_0000,
    0x82cd_8698_ac2b_a1d7,
    0x85aa_c367_cc48_7b14,
    0x8898_0e80_92da_8527,
    0x8b95_c1e3_ea8b_d6e6,
    0x8ea4_398b_45cd_53c0,
    0x91c3_d373_ab11_c336,
    0x94f4_efa8_fef7_0961,
    0x9837_f051_8db8_a96f,
    0x9b8d_39b9_d54e_5538,
    0x9ef5_3260_91a1_11ad,
    0xa270_4303_0c49_6818,
    0xa5fe_d6a9_b151_38ea,
    0xa9a1_5ab4_ea7c_0ef8,
    0xad58_3eea_42a1_4ac6,
    0xb123_f581_d2ac_258f,
    0xb504_f333_f9de_6484,
    0xb8fb_af47_62fb_9ee9,
    0xbd08_a39f_580c_36be,
    0xc12c_4cca_6670_9456,
    0xc567_2a11_5506_dadd,
    0xc9b9_bd86_6e2f_27a2,
    0xce24_8c15_1f84_80e3,
    0xd2a8_1d91_f12a_e45a,
    0xd744_fcca_d69d_6af4,
    0xdbfb_b797_daf2_3755,
    0xe0cc_deec_2a94_e111,
    0xe5b9_06e7_7c83_48a8,
    0xeac0_c6e7_dd24_392e,
    0xefe4_b99b_dcda_f5cb,
    0xf525_7d15_2486_cc2c,
    0xfa83_b2db_722a_033a,
];

/// By the seven bits behind the leading one: how many bounds lie below all values with those bits. The narrowest bucket is
/// wider than the range of such values, so at most one bound lies within it.
const BELOW: [u8; 128] = {
    let mut below = [0; 128];
    let mut cell = 0;
    while cell < 128 {
        let first = 1 << 63 | (cell as u64) << 56;
        let mut passed = 0;
        while passed < 32 && BOUNDS[passed] < first {
            passed += 1;
        }
        below[cell] = passed as u8;
        cell += 1;
    }
    below
};

/// The place of a duration's bucket: its index and one more, so that it is not negative. 0 for 1 ns, up to 2,016.
pub(super) fn place_of(nanos: u64) -> u16 {
    let zeros = nanos.leading_zeros().min(63);
    let normal = nanos << zeros;
    let below = BELOW[(normal >> 56 & 127) as usize];
    let passed = u16::from(below) + u16::from(BOUNDS.get(usize::from(below)).is_some_and(|bound| *bound < normal));
    32 * (63 - zeros as u16) + passed
}

/// More than there are places of durations.
pub(super) const PLACES: usize = 2_048;
const PLACE_SHIFT: u32 = 53;
const COUNT: u64 = (1 << PLACE_SHIFT) - 1;

/// A bucket's place and its count in one word: eight bytes, and in order of places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket(u64);

impl Bucket {
    /// More spans than 53 bits count take longer than anyone waits.
    pub(super) fn new(place: u16, count: u64) -> Self {
        Self(u64::from(place) << PLACE_SHIFT | count.min(COUNT))
    }

    pub(super) fn place(self) -> u16 {
        (self.0 >> PLACE_SHIFT) as u16
    }

    /// As OTLP numbers it.
    pub fn index(self) -> i32 {
        i32::from(self.place()) - 1
    }

    pub fn count(self) -> u64 {
        self.0 & COUNT
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `base` to the 32nd power as digits of 32 bits, the lowest first.
    fn power_32(base: u64) -> Vec<u32> {
        let times = |one: &[u32], other: &[u32]| {
            let mut product = vec![0_u32; one.len() + other.len()];
            for (at, a) in one.iter().enumerate() {
                let mut carry = 0_u64;
                for (offset, digit) in product[at..].iter_mut().enumerate() {
                    let b = other.get(offset).copied().unwrap_or_default();
                    let sum = u64::from(*a) * u64::from(b) + u64::from(*digit) + carry;
                    (*digit, carry) = (sum as u32, sum >> 32);
                }
            }
            product
        };
        (0..5).fold(vec![base as u32, (base >> 32) as u32], |power, _| times(&power, &power))
    }

    /// Whether `base^32 <= 2^exponent`.
    fn is_within(base: u64, exponent: usize) -> bool {
        let power = power_32(base);
        let bits = |digits: &[u32]| {
            digits
                .iter()
                .rposition(|digit| *digit != 0)
                .map_or(0, |at| at * 32 + 32 - digits[at].leading_zeros() as usize)
        };
        let ones: u32 = power.iter().map(|digit| digit.count_ones()).sum();
        bits(&power) <= exponent || (bits(&power) == exponent + 1 && ones == 1)
    }

    #[test]
    fn bounds_are_the_integer_parts_of_powers_of_the_base() {
        for (k, bound) in BOUNDS.into_iter().enumerate() {
            assert!(is_within(bound, 63 * 32 + k), "bound {k} is too large");
            assert!(!is_within(bound + 1, 63 * 32 + k), "bound {k} is too small");
        }
    }

    /// `base^i < nanos <= base^(i+1)`, in integers: `2^i < nanos^32 <= 2^(i+1)`.
    #[track_caller]
    fn check(nanos: u64) {
        let index = i32::from(place_of(nanos)) - 1;
        assert!(is_within(nanos, (index + 1) as usize), "{nanos} is above bucket {index}");
        assert!(index < 0 || !is_within(nanos, index as usize), "{nanos} is below bucket {index}");
    }

    #[test]
    fn a_bucket_has_its_upper_bound_and_not_its_lower_one() {
        assert_eq!([1, 2, 4].map(|nanos| i32::from(place_of(nanos)) - 1), [-1, 31, 63]);
        for shift in 0..64 {
            for bound in BOUNDS {
                let bound = bound >> shift;
                [bound.saturating_sub(1), bound, bound.saturating_add(1)]
                    .into_iter()
                    .filter(|n| *n > 0)
                    .for_each(check);
            }
        }
        check(i64::MAX as u64);
        assert!(usize::from(place_of(i64::MAX as u64)) < PLACES);
    }

    proptest! {
        #[test]
        fn every_duration_lies_within_its_bucket(bits in 0u32..63, nanos: u64) {
            check((nanos >> bits).max(1));
        }
    }
}
