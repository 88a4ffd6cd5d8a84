//! Integers as differences (`DELTA_BINARY_PACKED`), asked at ascending places.

use super::hybrid::{bits, varint};

/// More values than a block of any writer has.
const BLOCK_VALUES: u64 = 1 << 20;

/// Each value is the one before it and a difference, so that all before a place are added up.
#[derive(Debug, Clone)]
pub(super) struct Deltas<'b> {
    rest: &'b [u8],
    /// Values of a miniblock.
    length: usize,
    /// Miniblocks of a block.
    count: usize,
    total: usize,
    /// The place of `value`.
    at: usize,
    value: i64,
    least: i64,
    /// Of the block's miniblocks that are still to come.
    widths: &'b [u8],
    packed: &'b [u8],
    width: u8,
    /// How many values of the miniblock were taken.
    taken: usize,
}

impl<'b> Deltas<'b> {
    pub fn new(mut rest: &'b [u8]) -> Option<Self> {
        let block = varint(&mut rest)?;
        let count = varint(&mut rest)?;
        let total = usize::try_from(varint(&mut rest)?).ok()?;
        let value = zigzag(varint(&mut rest)?);
        let length = block.checked_div(count).filter(|length| block <= BLOCK_VALUES && length % 8 == 0)?;
        let length = usize::try_from(length).ok().filter(|length| *length > 0)?;
        let count = usize::try_from(count).ok()?;
        let (least, widths, packed, width) = (0, &[][..], &[][..], 0);
        Some(Self { rest, length, count, total, at: 0, value, least, widths, packed, width, taken: length })
    }

    pub fn has(&self, place: usize) -> bool {
        place < self.total
    }

    /// What lies behind the values, and whether all of them are the first one. `None` if the bytes have fewer values.
    pub fn behind(&self) -> Option<(&'b [u8], bool)> {
        let mut passed = self.clone();
        let mut are_same = true;
        // The first is in the header.
        let mut left = self.total.saturating_sub(1);
        while left > 0 {
            passed.next_miniblock()?;
            let packed_bytes = passed.length / 8 * usize::from(passed.width);
            if passed.packed.len() < packed_bytes {
                return None;
            }
            are_same &= passed.least == 0 && passed.width == 0;
            left = left.saturating_sub(passed.length);
        }
        Some((passed.rest, are_same))
    }

    /// `None` if there is no such place. It is not before one that was asked for.
    pub fn at(&mut self, place: usize) -> Option<i64> {
        if place >= self.total || place < self.at {
            return None;
        }
        while self.at < place {
            if self.taken == self.length {
                self.next_miniblock()?;
            }
            let until = self.length.min(self.taken + (place - self.at));
            for index in self.taken..until {
                let delta = bits(self.packed, index * usize::from(self.width), self.width)?;
                self.value = self.value.wrapping_add(self.least).wrapping_add(delta as i64);
            }
            self.at += until - self.taken;
            self.taken = until;
        }
        Some(self.value)
    }

    fn next_miniblock(&mut self) -> Option<()> {
        if self.widths.is_empty() {
            self.least = zigzag(varint(&mut self.rest)?);
            (self.widths, self.rest) = self.rest.split_at_checked(self.count)?;
        }
        let (width, widths) = self.widths.split_first()?;
        self.widths = widths;
        self.width = Some(*width).filter(|width| *width <= 64)?;
        let packed_bytes = self.length / 8 * usize::from(self.width);
        (self.packed, self.rest) = self.rest.split_at(packed_bytes.min(self.rest.len()));
        self.taken = 0;
        Some(())
    }
}

fn zigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}
