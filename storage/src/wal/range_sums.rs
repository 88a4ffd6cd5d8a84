//! Checksums of any stretch of a file, each in about the same short time.
//!
//! A checksum is linear: that of a stretch follows from those of the file up to its two ends.

use std::ops::Range;

const BLOCK_BYTES: usize = 4096;

#[derive(Debug)]
pub(super) struct RangeSums<'a> {
    file: &'a [u8],
    /// The checksum of everything before each block.
    before: Vec<u32>,
}

impl<'a> RangeSums<'a> {
    pub fn new(file: &'a [u8]) -> Self {
        let mut before = vec![0];
        let mut sum = 0;
        for block in file.chunks(BLOCK_BYTES) {
            sum = crc32c::crc32c_append(sum, block);
            before.push(sum);
        }
        Self { file, before }
    }

    /// What `crc32c_append(seed, ..)` says of the stretch; `None` if it is not in the file.
    pub fn of(&self, seed: u32, stretch: Range<usize>) -> Option<u32> {
        let length = stretch.end.checked_sub(stretch.start)?;
        let (start, end) = (self.up_to(stretch.start)?, self.up_to(stretch.end)?);
        if length == 0 {
            return Some(seed);
        }
        // `crc32c_combine(a, b, length)` is `a` moved on by `length`, xor `b`, but not so for no length.
        Some(crc32c::crc32c_combine(seed ^ start, end, length))
    }

    fn up_to(&self, end: usize) -> Option<u32> {
        let block = end / BLOCK_BYTES;
        let rest = self.file.get(block * BLOCK_BYTES..end)?;
        Some(crc32c::crc32c_append(*self.before.get(block)?, rest))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_stretch_has_the_checksum_that_reading_it_gives(
            length in 0usize..20_000, seed in any::<u32>(), ends in any::<[prop::sample::Index; 2]>(),
        ) {
            let file: Vec<u8> = (0..length as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
            let [one, other] = ends.map(|end| end.index(length + 1));
            let stretch = one.min(other)..one.max(other);
            let sums = RangeSums::new(&file);
            prop_assert_eq!(sums.of(seed, stretch.clone()), Some(crc32c::crc32c_append(seed, &file[stretch])));
            prop_assert_eq!(sums.of(seed, 0..length + 1), None);
        }
    }
}
