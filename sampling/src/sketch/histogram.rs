//! A histogram of exponential buckets, as OpenTelemetry's: bucket `i` covers `(base^i, base^(i+1)]`, base `2^(2^-scale)`.
//!
//! It starts at scale 5, base 2^(1/32), where a quantile is off by at most 1.09 %: the middle of a bucket is 2^(1/64) from
//! its ends. Values that need more than the maximum of buckets at once halve the scale, by merging neighbours in pairs,
//! until they fit; each halving doubles the error.
//!
//! # Invariants
//!
//! - The index of a value is exact: it is compared with the integer parts of irrational bounds.
//! - Merging is adding. The scale is the largest that both parts had and that fits all buckets, so the order of merges and
//!   records does not matter.

use super::counts::Counts;
use crate::codec::{Reader, Writer};
use crate::error::Error;
use crate::math::exp2;

/// Scale that a histogram starts with.
pub const MAX_SCALE: i32 = 5;
/// At this scale all of `u64` is in two buckets.
const MIN_SCALE: i32 = -6;

/// The integer parts of 2^(63 + k/32).
const BOUNDS: [u64; 32] = [
    9223372036854775808,
    9425337585438007767,
    9631725603661576980,
    9842632931000616231,
    10058158527438640870,
    10278403519900636096,
    10503471249702896438,
    10733467321041881441,
    10968499650544839023,
    11208678517905446200,
    11454116617628225965,
    11704929111906019352,
    11961233684655323370,
    12223150596734848760,
    12490802742373206726,
    12764315706832201103,
    13043817825332782212,
    13329440243271311081,
    13621316977754388158,
    13919584980481119318,
    14224384202002324189,
    14535857657386837922,
    14854151493325717731,
    15179415056705840218,
    15511800964685064948,
    15851465176301844309,
    16198567065652879633,
    16553269496673159336,
    16915738899553466670,
    17286145348831213003,
    17664662643191237676,
    18051468387014017850,
];

/// The bucket of a positive value at [`MAX_SCALE`]: -1 for 1, up to 2047.
fn index_at_max_scale(value: u64) -> i32 {
    let zeros = value.leading_zeros().min(63);
    let normal = value << zeros;
    let passed = BOUNDS.partition_point(|bound| *bound < normal) as i32;
    32 * (63 - zeros as i32) + passed - 1
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    max_buckets: u32,
    scale: i32,
    /// Index of the first counter.
    first: i32,
    counts: Counts,
    zeros: u64,
    count: u64,
    sum: u64,
    min: u64,
    max: u64,
}

impl Histogram {
    /// At most `max_buckets` buckets, and at least 2.
    pub fn new(max_buckets: u32) -> Self {
        Self {
            max_buckets: max_buckets.clamp(2, 4096),
            scale: MAX_SCALE,
            first: 0,
            counts: Counts::new(),
            zeros: 0,
            count: 0,
            sum: 0,
            min: u64::MAX,
            max: 0,
        }
    }

    pub fn record(&mut self, value: u64) {
        self.record_n(value, 1);
    }

    pub fn record_n(&mut self, value: u64, n: u64) {
        if n == 0 {
            return;
        }
        self.count = self.count.saturating_add(n);
        self.sum = self.sum.saturating_add(value.saturating_mul(n));
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        if value == 0 {
            self.zeros = self.zeros.saturating_add(n);
        } else {
            self.add(MAX_SCALE, index_at_max_scale(value), n);
        }
    }

    pub fn merge(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.sum = self.sum.saturating_add(other.sum);
        self.zeros = self.zeros.saturating_add(other.zeros);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        if self.scale > other.scale {
            self.coarsen((self.scale - other.scale) as u32);
        }
        for (index, n) in other.buckets() {
            self.add(other.scale, index, n);
        }
    }

    /// Adds to bucket `index` of `scale`, which is at least ours.
    fn add(&mut self, scale: i32, index: i32, n: u64) {
        let mut index = index >> (scale - self.scale).clamp(0, 31);
        let len = self.counts.len() as i32;
        let (mut low, mut high) =
            if len == 0 { (index, index) } else { (self.first.min(index), (self.first + len - 1).max(index)) };
        if low < self.first || high >= self.first + len {
            let mut steps = 0;
            while high - low >= self.max_buckets as i32 && self.scale - steps > MIN_SCALE {
                (low, high, steps) = (low >> 1, high >> 1, steps + 1);
            }
            self.coarsen(steps as u32);
            index >>= steps;
            let len = self.counts.len() as i32;
            if len == 0 {
                self.first = low;
            }
            let before = (self.first - low).max(0);
            self.counts.grow(before as usize, (high + 1 - low - len - before).max(0) as usize);
            self.first = low;
        }
        self.counts.add((index - self.first) as usize, n);
    }

    /// Merges neighbours in pairs, `steps` times.
    fn coarsen(&mut self, steps: u32) {
        if steps == 0 {
            return;
        }
        let (first, last) = (self.first >> steps, (self.first + self.counts.len() as i32 - 1) >> steps);
        let old = std::mem::replace(&mut self.counts, Counts::new());
        if old.len() > 0 {
            self.counts.grow(0, (last - first + 1) as usize);
        }
        for (index, n) in (self.first..).zip(old.iter()) {
            if n > 0 {
                self.counts.add(((index >> steps) - first) as usize, n);
            }
        }
        self.first = first;
        self.scale -= steps as i32;
    }

    /// The value below or at which a share `q` of all values are; `None` without values.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        let rank = ((q.clamp(0.0, 1.0) * self.count as f64).ceil() as u64).clamp(1, self.count);
        let mut passed = self.zeros;
        if rank <= passed {
            return Some(0.0);
        }
        for (index, n) in self.buckets() {
            passed = passed.saturating_add(n);
            if rank <= passed {
                let middle = exp2((f64::from(index) + 0.5) * exp2(-f64::from(self.scale)));
                return Some(middle.clamp(self.min as f64, self.max as f64));
            }
        }
        Some(self.max as f64)
    }

    /// Buckets that are not empty, in order: index and count.
    pub fn buckets(&self) -> impl Iterator<Item = (i32, u64)> {
        (self.first..).zip(self.counts.iter()).filter(|(_, n)| *n > 0)
    }

    /// All buckets from [`Self::offset`] on, as OTLP's `bucket_counts`.
    pub fn bucket_counts(&self) -> impl Iterator<Item = u64> {
        self.counts.iter()
    }

    pub fn offset(&self) -> i32 {
        self.first
    }

    pub fn scale(&self) -> i32 {
        self.scale
    }

    pub fn zero_count(&self) -> u64 {
        self.zeros
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// `None` without values.
    pub fn min(&self) -> Option<u64> {
        (self.count > 0).then_some(self.min)
    }

    pub fn max(&self) -> Option<u64> {
        (self.count > 0).then_some(self.max)
    }

    /// Memory of the counters.
    pub fn counter_bytes(&self) -> usize {
        self.counts.bytes()
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.u8((MAX_SCALE - self.scale) as u8);
        for value in [self.zeros, self.sum, self.min, self.max] {
            out.u64(value);
        }
        out.u32(self.first as u32);
        out.u32(self.counts.len() as u32);
        self.counts.iter().for_each(|n| out.varint(n));
    }

    pub(crate) fn read(input: &mut Reader, max_buckets: u32) -> Result<Self, Error> {
        let mut read = Self::new(max_buckets);
        let steps = i32::from(input.u8()?);
        if steps > MAX_SCALE - MIN_SCALE {
            return Err(Error::State("has a sketch of unknown scale"));
        }
        read.scale = MAX_SCALE - steps;
        read.zeros = input.u64()?;
        (read.sum, read.min, read.max) = (input.u64()?, input.u64()?, input.u64()?);
        read.count = read.zeros;
        let first = input.u32()? as i32;
        let len = input.rows(1)?;
        if len > 4096 || !(-64..4096).contains(&first) {
            return Err(Error::State("has a sketch that is too wide"));
        }
        let scale = read.scale;
        for index in first..first + len as i32 {
            let n = input.varint()?;
            if n > 0 {
                read.count = read.count.saturating_add(n);
                read.add(scale, index, n);
            }
        }
        if read.count > 0 && read.min > read.max {
            return Err(Error::State("has a sketch whose least is above its largest"));
        }
        Ok(read)
    }
}
