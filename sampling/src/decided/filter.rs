//! A cuckoo filter of 24-bit fingerprints, four to a bucket (Fan et al., CoNEXT 2014).
//!
//! Never forgets what was added. It answers yes to what was not added with a chance of at most 8 in 2^24.

const SLOTS: usize = 4;
const FINGERPRINT_BYTES: usize = 3;
const BUCKET_BYTES: usize = SLOTS * FINGERPRINT_BYTES;
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

impl Filter {
    pub fn new(entries: usize) -> Self {
        let buckets = ((entries as f64 / (SLOTS as f64 * LOAD)).ceil() as usize).clamp(1, 1 << 32);
        Self { bytes: vec![0; buckets * BUCKET_BYTES], buckets: buckets as u64, len: 0, homeless: None, turn: 0 }
    }

    pub fn bytes_for(entries: usize) -> usize {
        ((entries as f64 / (SLOTS as f64 * LOAD)).ceil() as usize).max(1).saturating_mul(BUCKET_BYTES)
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

    fn slots(&mut self, bucket: u64) -> &mut [u8] {
        let start = bucket as usize * BUCKET_BYTES;
        &mut self.bytes[start..start + BUCKET_BYTES]
    }

    fn has(&self, bucket: u64, fingerprint: u32) -> bool {
        let start = bucket as usize * BUCKET_BYTES;
        let wanted = fingerprint.to_le_bytes();
        self.bytes[start..start + BUCKET_BYTES].chunks_exact(FINGERPRINT_BYTES).any(|slot| slot == &wanted[..3])
    }

    fn put(&mut self, bucket: u64, fingerprint: u32) -> bool {
        let slot = self.slots(bucket).chunks_exact_mut(FINGERPRINT_BYTES).find(|slot| *slot == [0; 3]);
        slot.map(|slot| slot.copy_from_slice(&fingerprint.to_le_bytes()[..3])).is_some()
    }

    pub fn contains(&self, hash: u64) -> bool {
        let (bucket, fingerprint) = self.place(hash);
        let other = self.other(bucket, fingerprint);
        let homeless = self.homeless.is_some_and(|(at, print)| print == fingerprint && (at == bucket || at == other));
        homeless || self.has(bucket, fingerprint) || self.has(other, fingerprint)
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
            let start = self.turn * FINGERPRINT_BYTES;
            let slot = &mut self.slots(other)[start..start + FINGERPRINT_BYTES];
            let driven_out = u32::from_le_bytes([slot[0], slot[1], slot[2], 0]);
            slot.copy_from_slice(&fingerprint.to_le_bytes()[..3]);
            (bucket, fingerprint) = (other, driven_out);
        }
        self.homeless = Some((bucket, fingerprint));
        true
    }
}
