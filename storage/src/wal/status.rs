//! What the writer tells of itself: sizes, and how long syncs take.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of a [`WalStatus`] histogram; the last one counts what is beyond all bounds.
pub const BUCKETS: usize = 16;

/// The log's size and work now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WalStatus {
    pub bytes: u64,
    pub files: u64,
    /// Appends that wait for the disk.
    pub queued_records: u64,
    pub queued_bytes: u64,
    pub syncs: u64,
    pub sync_nanos: u64,
    /// Syncs by how long they took; bounds are [`WalStatus::sync_bounds_nanos`].
    pub sync_buckets: [u64; BUCKETS],
    pub groups: u64,
    pub group_records: u64,
    pub group_bytes: u64,
    /// Groups by their number of records; bounds are [`WalStatus::group_bounds_records`].
    pub group_buckets: [u64; BUCKETS],
}

const SYNC_FIRST_NANOS: u64 = 250_000;
const GROUP_FIRST_RECORDS: u64 = 1;

impl WalStatus {
    /// A bucket's syncs took at most this long, and longer than those of the bucket before: 0.25 ms to 4 s.
    pub const fn sync_bounds_nanos() -> [u64; BUCKETS - 1] {
        bounds(SYNC_FIRST_NANOS)
    }

    /// A bucket's groups have at most this many records.
    pub const fn group_bounds_records() -> [u64; BUCKETS - 1] {
        bounds(GROUP_FIRST_RECORDS)
    }
}

const fn bounds(first: u64) -> [u64; BUCKETS - 1] {
    let mut bounds = [0; BUCKETS - 1];
    let mut index = 0;
    while index < bounds.len() {
        bounds[index] = first << index;
        index += 1;
    }
    bounds
}

/// Values counted by size, each bound twice the one before; and their number and sum.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    count: AtomicU64,
    sum: AtomicU64,
}

impl Histogram {
    pub fn add(&self, value: u64, bounds: &[u64; BUCKETS - 1]) {
        let bucket = bounds.partition_point(|bound| *bound < value);
        if let Some(counter) = self.buckets.get(bucket) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Counts by bucket, the number of values, and their sum.
    pub fn read(&self) -> ([u64; BUCKETS], u64, u64) {
        let buckets = std::array::from_fn(|index| self.buckets[index].load(Ordering::Relaxed));
        (buckets, self.count.load(Ordering::Relaxed), self.sum.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_counted_below_the_first_bound_that_holds_it() {
        let bounds = WalStatus::sync_bounds_nanos();
        assert_eq!((bounds[0], bounds[4], bounds[14]), (250_000, 4_000_000, 4_096_000_000));
        let histogram = Histogram::default();
        for nanos in [0, 250_000, 250_001, 4_096_000_000, 4_096_000_001, u64::MAX / 2] {
            histogram.add(nanos, &bounds);
        }
        let (buckets, count, _) = histogram.read();
        assert_eq!((buckets[0], buckets[1], buckets[14], buckets[15], count), (2, 1, 1, 2, 6));
    }
}
