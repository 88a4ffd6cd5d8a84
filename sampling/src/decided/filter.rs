//! A cuckoo filter of 24-bit fingerprints, four to a bucket (Fan et al., CoNEXT 2014).
//!
//! Never forgets what was added. It answers yes to what was not added with a chance of at most 8 in 2^24.
//!
//! A bucket is read as one word, and its slots are compared at once: a trace that is new asks the filters of a whole hour.

/// A word read at the last bucket goes beyond it.
const WORD_BYTES: usize = 16;
/// In a word, the lowest and the highest bit of each slot.
const LOWEST: u128 = 0x000001_000001_000001_000001;
const HIGHEST: u128 = LOWEST << 23;
const SLOTS: usize = 4;
const FINGERPRINT_BYTES: usize = 3;
const BUCKET_BYTES: usize = SLOTS * FINGERPRINT_BYTES;
const SLOT_BITS: usize = 8 * FINGERPRINT_BYTES;
const FINGERPRINT_MASK: u32 = (1 << SLOT_BITS) - 1;
/// Beyond about 95 % a place is hardly found.
const LOAD: f64 = 0.9;
const MAX_KICKS: usize = 256;

#[derive(Debug, Clone)]
pub(super) struct Filter {
    bytes: Vec<u8>,
    buckets: u64,
    len: usize,
    /// The last one that was driven out; with it the filter is full.
    homeless: Option<(u64, u32)>,
    turn: usize,
}

fn bytes_of(buckets: usize) -> usize {
    buckets.saturating_mul(BUCKET_BYTES).saturating_add(WORD_BYTES - BUCKET_BYTES)
}

/// The first slot of a bucket's word that holds `fingerprint`. What is behind the slots does not count.
fn first_slot(word: u128, fingerprint: u32) -> Option<usize> {
    let differences = word ^ (LOWEST * u128::from(fingerprint));
    // Subtracting borrows from the highest bit of a slot that is zero. Slots above it may be taken for zero, the first is.
    let zeros = differences.wrapping_sub(LOWEST) & !differences & HIGHEST;
    (zeros != 0).then(|| zeros.trailing_zeros() as usize / SLOT_BITS)
}

impl Filter {
    pub fn new(entries: usize) -> Self {
        let buckets = Self::buckets_for(entries);
        Self { bytes: vec![0; bytes_of(buckets)], buckets: buckets as u64, len: 0, homeless: None, turn: 0 }
    }

    fn buckets_for(entries: usize) -> usize {
        ((entries as f64 / (SLOTS as f64 * LOAD)).ceil() as usize).clamp(1, 1 << 32)
    }

    pub fn bytes_for(entries: usize) -> usize {
        bytes_of(Self::buckets_for(entries))
    }

    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_full(&self) -> bool {
        self.homeless.is_some()
    }

    /// The upper bits are the fingerprint, 0 being an empty slot; the lower ones say where.
    fn place(&self, hash: u64) -> (u64, u32) {
        let fingerprint = ((hash >> 40) as u32).max(1);
        let place = u128::from(hash & ((1 << 40) - 1)) * u128::from(self.buckets);
        ((place >> 40) as u64, fingerprint)
    }

    /// The other bucket; of the other it is this one.
    fn other(&self, bucket: u64, fingerprint: u32) -> u64 {
        let spread = u64::from(fingerprint).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
        let mirror = spread % self.buckets;
        if mirror >= bucket { mirror - bucket } else { mirror + self.buckets - bucket }
    }

    fn word(&self, bucket: u64) -> u128 {
        let start = bucket as usize * BUCKET_BYTES;
        let word = self.bytes.get(start..).and_then(<[u8]>::first_chunk::<WORD_BYTES>);
        word.map_or(0, |word| u128::from_le_bytes(*word))
    }

    fn write(&mut self, bucket: u64, slot: usize, fingerprint: u32) {
        let start = bucket as usize * BUCKET_BYTES + slot * FINGERPRINT_BYTES;
        if let Some(bytes) = self.bytes.get_mut(start..start + FINGERPRINT_BYTES) {
            bytes.copy_from_slice(&fingerprint.to_le_bytes()[..FINGERPRINT_BYTES]);
        }
    }

    fn put(&mut self, bucket: u64, fingerprint: u32) -> bool {
        let slot = first_slot(self.word(bucket), 0);
        if let Some(slot) = slot {
            self.write(bucket, slot, fingerprint);
        }
        slot.is_some()
    }

    pub fn contains(&self, hash: u64) -> bool {
        let (bucket, fingerprint) = self.place(hash);
        let other = self.other(bucket, fingerprint);
        let homeless = self.homeless.is_some_and(|(at, print)| print == fingerprint && (at == bucket || at == other));
        // Both are read before either is looked at, so that their memory comes at the same time.
        let (here, there) = (self.word(bucket), self.word(other));
        homeless || first_slot(here, fingerprint).is_some() || first_slot(there, fingerprint).is_some()
    }

    /// Whether there was room. What was added before is never lost.
    pub fn add(&mut self, hash: u64) -> bool {
        if self.is_full() {
            return false;
        }
        let (mut bucket, mut fingerprint) = self.place(hash);
        self.len += 1;
        for _ in 0..MAX_KICKS {
            let other = self.other(bucket, fingerprint);
            if self.put(bucket, fingerprint) || self.put(other, fingerprint) {
                return true;
            }
            // Whom it drives out goes by turns, so that it is the same on every machine.
            self.turn = (self.turn + 1) % SLOTS;
            let driven_out = (self.word(other) >> (SLOT_BITS * self.turn)) as u32 & FINGERPRINT_MASK;
            self.write(other, self.turn, fingerprint);
            (bucket, fingerprint) = (other, driven_out);
        }
        self.homeless = Some((bucket, fingerprint));
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_last_bucket_is_read_and_written() {
        let mut filter = Filter::new(1);
        assert_eq!((filter.buckets, filter.bytes(), Filter::bytes_for(1)), (1, 16, 16));
        for n in 1..=4 {
            assert!(filter.put(0, n) && filter.word(0) >> 96 == 0);
        }
        assert!(!filter.put(0, 5));
        assert_eq!(filter.word(0), 0x000004_000003_000002_000001);
    }

    proptest! {
        #[test]
        fn a_word_is_searched_as_its_slots_are(
            slots in prop::array::uniform4(prop_oneof![0..4_u32, any::<u32>().prop_map(|n| n & FINGERPRINT_MASK)]),
            behind in any::<u32>(),
            near in prop_oneof![0..4_u32, Just(0x80_0000), Just(0xff_ffff)],
        ) {
            let word = slots.iter().rev().fold(u128::from(behind), |word, slot| word << SLOT_BITS | u128::from(*slot));
            for wanted in slots.into_iter().chain([near, near ^ slots[0]]) {
                prop_assert_eq!(first_slot(word, wanted), slots.iter().position(|slot| *slot == wanted));
            }
        }
    }
}
