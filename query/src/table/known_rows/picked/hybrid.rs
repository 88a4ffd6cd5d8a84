//! Parquet's hybrid of run lengths and bit-packed groups, asked at ascending places.

/// Levels, or numbers of a dictionary. What lies between two places is passed run by run.
#[derive(Debug, Clone)]
pub(super) struct Hybrid<'b> {
    rest: &'b [u8],
    width: u8,
    /// The value whose places are counted, if any are.
    counted: Option<u32>,
    run: Run<'b>,
    /// The places of the run.
    start: usize,
    end: usize,
    /// How many values before the run are counted, and before its end.
    before: usize,
    through: usize,
}

#[derive(Debug, Clone, Copy)]
enum Run<'b> {
    Same(u32),
    Packed(&'b [u8]),
}

impl<'b> Hybrid<'b> {
    /// Of values of so many bits, 32 at most.
    pub fn new(bytes: &'b [u8], width: u8) -> Self {
        Self { rest: bytes, width, counted: None, run: Run::Same(0), start: 0, end: 0, before: 0, through: 0 }
    }

    /// The same; `counted` can be counted.
    pub fn counting(bytes: &'b [u8], width: u8, counted: u32) -> Self {
        Self { counted: Some(counted), ..Self::new(bytes, width) }
    }

    /// `None` if the bytes have no such place. It is not before one that was asked for.
    pub fn at(&mut self, place: usize) -> Option<u32> {
        if self.width == 0 {
            return Some(0);
        }
        self.seek(place)?;
        match self.run {
            Run::Same(value) => Some(value),
            Run::Packed(packed) => value_at(packed, place.checked_sub(self.start)?, self.width),
        }
    }

    /// How many of the values before this place are the counted one, and whether that is there.
    pub fn rank(&mut self, place: usize) -> Option<(usize, bool)> {
        self.seek(place)?;
        let within = place.checked_sub(self.start)?;
        let (of_run, value) = match self.run {
            Run::Same(value) if Some(value) == self.counted => (within, value),
            Run::Same(value) => (0, value),
            Run::Packed(packed) => (self.count(packed, within)?, value_at(packed, within, self.width)?),
        };
        Some((self.before + of_run, Some(value) == self.counted))
    }

    /// The place of the counted value that has so many before it. It is not before one that was asked for.
    pub fn nth(&mut self, number: usize) -> Option<usize> {
        while number >= self.through {
            self.next()?;
        }
        let mut left = number.checked_sub(self.before)?;
        let Run::Packed(packed) = self.run else { return self.start.checked_add(left) };
        // Eight values are as many bytes as they have bits.
        for (at, eight) in packed.chunks(usize::from(self.width)).enumerate() {
            let values = eight.len() * 8 / usize::from(self.width);
            let counted = self.count(eight, values)?;
            if left < counted {
                let is_counted = |within: &usize| value_at(eight, *within, self.width) == self.counted;
                return self.start.checked_add(at * 8 + (0..values).filter(is_counted).nth(left)?);
            }
            left -= counted;
        }
        None
    }

    /// How many of the first values are the counted one.
    fn count(&self, packed: &[u8], values: usize) -> Option<usize> {
        if self.width != 1 {
            let mut count = 0;
            for within in 0..values {
                count += usize::from(Some(value_at(packed, within, self.width)?) == self.counted);
            }
            return Some(count);
        }
        let (whole, rest) = (values / 8, values % 8);
        let last = if rest > 0 { *packed.get(whole)? & ((1 << rest) - 1) } else { 0 };
        let ones = count_ones(packed.get(..whole)?) + last.count_ones() as usize;
        Some(if self.counted == Some(1) { ones } else { values - ones })
    }

    /// How many of the run are counted.
    fn of_run(&self) -> Option<usize> {
        match self.run {
            _ if self.counted.is_none() => Some(0),
            Run::Same(value) if Some(value) == self.counted => Some(self.end - self.start),
            Run::Same(_) => Some(0),
            // A run that is cut off has fewer values than it says.
            Run::Packed(packed) => {
                let values = packed.len() * 8 / usize::from(self.width);
                self.count(packed, values.min(self.end - self.start))
            }
        }
    }

    fn seek(&mut self, place: usize) -> Option<()> {
        while place >= self.end {
            self.next()?;
        }
        Some(())
    }

    fn next(&mut self) -> Option<()> {
        self.before = self.through;
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
        self.through = self.before.checked_add(self.of_run()?)?;
        Some(())
    }
}

fn value_at(packed: &[u8], place: usize, width: u8) -> Option<u32> {
    u32::try_from(bits(packed, place.checked_mul(usize::from(width))?, width)?).ok()
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
