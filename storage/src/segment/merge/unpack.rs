//! Reads what [`super::super::hybrid`] writes, and what any other writer of the format does.

/// Appends `count` values of `width` bits, at most 32. `None` if the bytes have fewer.
pub(super) fn decode<T: Copy>(
    mut bytes: &[u8],
    width: u8,
    count: usize,
    narrow: impl Fn(u32) -> T + Copy,
    out: &mut Vec<T>,
) -> Option<()> {
    let end = out.len().checked_add(count)?;
    if width == 0 {
        out.resize(end, narrow(0));
        return Some(());
    }
    while out.len() < end {
        let left = end - out.len();
        let header = varint(&mut bytes)?;
        let length = usize::try_from(header >> 1).unwrap_or(usize::MAX);
        if length == 0 {
            return None;
        }
        if header & 1 == 0 {
            let (value, rest) = bytes.split_at_checked(usize::from(width.div_ceil(8)))?;
            bytes = rest;
            let value = value.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte));
            out.resize(out.len() + length.min(left), narrow(value));
        } else {
            let packed_bytes = length.saturating_mul(usize::from(width)).min(bytes.len());
            let (packed, rest) = bytes.split_at(packed_bytes);
            bytes = rest;
            unpack(packed, width, length.saturating_mul(8).min(left), narrow, out)?;
        }
    }
    Some(())
}

/// The value that all `count` have, if the bytes begin with a run of that length.
pub(super) fn single_run(mut bytes: &[u8], width: u8, count: usize) -> Option<u32> {
    let header = varint(&mut bytes)?;
    let value = bytes.get(..usize::from(width.div_ceil(8)))?;
    let is_run = header & 1 == 0 && header >> 1 >= count as u64;
    is_run.then(|| value.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte)))
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
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

/// Appends `count` values packed without gaps.
pub(super) fn unpack<T: Copy>(
    packed: &[u8],
    width: u8,
    count: usize,
    narrow: impl Fn(u32) -> T + Copy,
    out: &mut Vec<T>,
) -> Option<()> {
    let bits = usize::from(width);
    if packed.len() < count.checked_mul(bits)?.div_ceil(8) {
        return None;
    }
    let mask = u64::from(u32::MAX >> (32 - u32::from(width).clamp(1, 32)));
    let word_at = |at: usize| packed.get(at..at + 8).and_then(|word| word.try_into().ok()).map(u64::from_le_bytes);
    if bits <= 8 {
        // Eight values are within a word.
        let groups = count / 8;
        let groups = packed.len().checked_sub(8).map_or(0, |last| groups.min(last / bits + 1));
        for group in 0..groups {
            let word = word_at(group * bits).unwrap_or_default();
            out.extend((0..8).map(|index| narrow((word >> (index * bits) & mask) as u32)));
        }
        return unpack_each(packed, bits, groups * 8, count, narrow, out);
    }
    unpack_each(packed, bits, 0, count, narrow, out)
}

/// The values from number `first` on.
fn unpack_each<T: Copy>(
    packed: &[u8],
    bits: usize,
    first: usize,
    count: usize,
    narrow: impl Fn(u32) -> T + Copy,
    out: &mut Vec<T>,
) -> Option<()> {
    let mask = u64::from(u32::MAX >> (32 - bits.clamp(1, 32)));
    let value = |word: u64, bit: usize| narrow((word >> (bit % 8) & mask) as u32);
    let word_at = |at: usize| packed.get(at..at + 8).and_then(|word| word.try_into().ok()).map(u64::from_le_bytes);
    // A value and the bits before it in its first byte are less than eight bytes.
    let whole_words = match packed.len().checked_sub(8) {
        Some(last) => count.min(last * 8 / bits + 1),
        None => 0,
    }
    .max(first);
    out.extend((first..whole_words).map(|index| value(word_at(index * bits / 8).unwrap_or_default(), index * bits)));
    let mut tail = [0; 24];
    let tail_start = whole_words * bits / 8;
    let rest = packed.get(tail_start..).unwrap_or_default();
    let rest = &rest[..rest.len().min(16)];
    tail[..rest.len()].copy_from_slice(rest);
    for index in whole_words..count {
        let at = index * bits / 8 - tail_start;
        let word = tail.get(at..at + 8)?.try_into().map(u64::from_le_bytes).ok()?;
        out.push(value(word, index * bits));
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::hybrid;
    use super::*;

    fn decoded(bytes: &[u8], width: u8, count: usize) -> Option<Vec<u32>> {
        let mut values = Vec::new();
        decode(bytes, width, count, |value| value, &mut values).map(|()| values)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            runs in proptest::collection::vec((any::<u32>(), 1usize..20, 0usize..90), 0..20), width in 1u8..=32,
        ) {
            let mask = u32::MAX >> (32 - width);
            let mut values: Vec<u32> = Vec::new();
            for (value, run, single) in runs {
                values.extend(std::iter::repeat_n(value & mask, run));
                values.extend((0..single as u32).map(|step| value.wrapping_mul(step + 3) & mask));
            }
            let mut out = Vec::new();
            hybrid::encode(&values, width, &mut out);
            prop_assert_eq!(decoded(&out, width, values.len()), Some(values.clone()));
            prop_assert!(out.is_empty() || decoded(&out[..out.len() - 1], width, values.len()).is_none_or(|cut| cut == values));
            let one = (!values.is_empty() && values.iter().all(|value| *value == values[0])).then(|| values[0]);
            prop_assert_eq!(single_run(&out, width, values.len()).filter(|_| !values.is_empty()), one);
        }

        #[test]
        fn any_bytes_are_values_or_too_few(bytes: Vec<u8>, width in 0u8..=32, count in 0usize..1_000) {
            if let Some(values) = decoded(&bytes, width, count) {
                prop_assert_eq!(values.len(), count);
            }
        }
    }

    #[test]
    fn a_run_may_be_longer_than_what_is_asked_for() {
        assert_eq!(decoded(&[120, 1], 1, 3), Some(vec![1; 3]));
        assert_eq!(single_run(&[120, 1], 1, 61), None);
        // A run of nothing would be read without end.
        assert_eq!(decoded(&[0, 1, 0, 1], 1, 3), None);
    }
}
