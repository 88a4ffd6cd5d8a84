//! Parquet's hybrid of run lengths and bit-packed groups, asked at ascending places.

/// Levels, or numbers of a dictionary. What lies between two places is passed run by run.
#[derive(Debug)]
pub(super) struct Hybrid<'b> {
    rest: &'b [u8],
    width: u8,
    run: Run<'b>,
    /// The places of the run.
    start: usize,
    end: usize,
    /// How many values before the run are 1, where they are bits.
    ones: usize,
}

/// Of a byte.
const BITS: usize = 8;

#[derive(Debug, Clone, Copy)]
enum Run<'b> {
    Same(u32),
    Packed(&'b [u8]),
}

impl<'b> Hybrid<'b> {
    /// Of values of so many bits, 32 at most.
    pub fn new(bytes: &'b [u8], width: u8) -> Self {
        Self { rest: bytes, width, run: Run::Same(0), start: 0, end: 0, ones: 0 }
    }

    /// `None` if the bytes have no such place. It is not before one that was asked for.
    pub fn at(&mut self, place: usize) -> Option<u32> {
        if self.width == 0 {
            return Some(0);
        }
        self.seek(place)?;
        match self.run {
            Run::Same(value) => Some(value),
            Run::Packed(packed) => {
                let bit = place.checked_sub(self.start)?.checked_mul(usize::from(self.width))?;
                u32::try_from(bits(packed, bit, self.width)?).ok()
            }
        }
    }

    /// How many of the values before this place are 1, and the value there, where values are bits.
    pub fn ones_before(&mut self, place: usize) -> Option<(usize, bool)> {
        self.seek(place)?;
        let within = place.checked_sub(self.start)?;
        match self.run {
            Run::Same(value) => Some((self.ones + if value == 1 { within } else { 0 }, value == 1)),
            Run::Packed(packed) => {
                let last = *packed.get(within / 8)?;
                let before = u32::from(last) & ((1 << (within % 8)) - 1);
                let ones = count_ones(&packed[..within / 8]) + before.count_ones() as usize;
                Some((self.ones + ones, last >> (within % 8) & 1 == 1))
            }
        }
    }

    /// The place of the 0 that has so many before it, where values are bits. It is not before one that was asked for.
    pub fn zero(&mut self, number: usize) -> Option<usize> {
        // Zeros before the run, and in it.
        while number >= self.end.checked_sub(self.ones_through_run())? {
            self.next()?;
        }
        let within = number.checked_sub(self.start.checked_sub(self.ones)?)?;
        let Run::Packed(packed) = self.run else { return self.start.checked_add(within) };
        let mut left = within;
        for (at, byte) in packed.iter().enumerate() {
            let zeros = byte.count_zeros() as usize;
            if left < zeros {
                let bit = (0..BITS).filter(|bit| byte >> bit & 1 == 0).nth(left)?;
                return self.start.checked_add(at * BITS + bit);
            }
            left -= zeros;
        }
        None
    }

    fn ones_through_run(&self) -> usize {
        self.ones
            + match self.run {
                Run::Same(1) => self.end - self.start,
                Run::Packed(packed) if self.width == 1 => count_ones(packed),
                _ => 0,
            }
    }

    fn seek(&mut self, place: usize) -> Option<()> {
        while place >= self.end {
            self.next()?;
        }
        Some(())
    }

    fn next(&mut self) -> Option<()> {
        self.ones = self.ones_through_run();
        let header = varint(&mut self.rest)?;
        let length = usize::try_from(header >> 1).ok().filter(|length| *length > 0)?;
        self.start = self.end;
        if header & 1 == 0 {
            let (value, rest) = self.rest.split_at_checked(usize::from(self.width.div_ceil(8)))?;
            self.rest = rest;
            self.run = Run::Same(value.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte)));
            self.end = self.end.checked_add(length)?;
        } else {
            // The last groups of a page may be cut off behind its values.
            let packed_bytes = length.saturating_mul(usize::from(self.width)).min(self.rest.len());
            let (packed, rest) = self.rest.split_at(packed_bytes);
            self.rest = rest;
            self.run = Run::Packed(packed);
            self.end = self.end.checked_add(length.checked_mul(8)?)?;
        }
        Some(())
    }
}

fn count_ones(bytes: &[u8]) -> usize {
    bytes.iter().map(|byte| byte.count_ones() as usize).sum()
}

/// The value of `width` bits, at most 64, from bit `at` on.
pub(super) fn bits(bytes: &[u8], at: usize, width: u8) -> Option<u64> {
    if width == 0 {
        return Some(0);
    }
    let (byte, shift) = (at / 8, (at % 8) as u32);
    let mask = u64::MAX >> (64 - u32::from(width.min(64)));
    if let Some(word) = bytes.get(byte..byte.checked_add(8)?)
        && u32::from(width) + shift <= 64
    {
        return Some(u64::from_le_bytes(word.try_into().ok()?) >> shift & mask);
    }
    let end = at.checked_add(usize::from(width))?.div_ceil(8);
    let bytes = bytes.get(byte..end)?;
    let mut word = [0; 16];
    word.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some((u128::from_le_bytes(word) >> shift) as u64 & mask)
}

pub(super) fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..u64::BITS).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
