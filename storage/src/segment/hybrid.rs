//! Parquet's hybrid of run lengths and bit-packed groups: how levels and dictionary indexes lie in a page.

/// Equal values from here on are worth a run.
const RUN: usize = 8;
/// As many groups as fit a header of one byte.
const MAX_GROUPS: usize = 63;

/// The bits that `max` needs.
pub(super) fn bit_width(max: u32) -> u8 {
    (u32::BITS - max.leading_zeros()) as u8
}

/// Appends `values`, each below `2^width`.
pub(super) fn encode<T: Copy + PartialEq + Into<u32>>(values: &[T], width: u8, out: &mut Vec<u8>) {
    let mut rest = values;
    while let Some(first) = rest.first() {
        let run = run(rest, *first);
        if run >= RUN || run == rest.len() {
            varint((run as u64) << 1, out);
            let bytes = (*first).into().to_le_bytes();
            out.extend_from_slice(&bytes[..usize::from(width.div_ceil(8))]);
            rest = &rest[run..];
            continue;
        }
        let groups = groups_before_run(rest);
        let (packed, behind) = rest.split_at(rest.len().min(groups * 8));
        out.push((groups as u8) << 1 | 1);
        pack(packed, groups * 8, width, out);
        rest = behind;
    }
}

/// How many values from the first on equal it.
fn run<T: Copy + PartialEq>(values: &[T], first: T) -> usize {
    const STRIDE: usize = 32;
    let strides = values.chunks_exact(STRIDE);
    // Without an early exit inside a stride, the compiler compares many at once.
    let whole = strides.take_while(|stride| stride.iter().fold(true, |same, value| same & (*value == first))).count();
    let rest = values.get(whole * STRIDE..).unwrap_or_default();
    whole * STRIDE + rest.iter().take_while(|value| **value == first).count()
}

/// How many groups of eight to pack until a run begins, the values end, or the header is full.
fn groups_before_run<T: PartialEq>(values: &[T]) -> usize {
    let mut groups = 1;
    while groups < MAX_GROUPS {
        let rest = values.get(groups * 8..).unwrap_or_default();
        let Some(group) = rest.get(..8) else {
            // What is left may be shorter than a group; it is padded.
            return groups + usize::from(!rest.is_empty());
        };
        if group.iter().all(|value| *value == group[0]) {
            break;
        }
        groups += 1;
    }
    groups
}

/// Appends `count` values of `width` bits, zeros behind the given ones.
fn pack<T: Copy + Into<u32>>(values: &[T], count: usize, width: u8, out: &mut Vec<u8>) {
    let end = out.len() + count * usize::from(width) / 8;
    let (mut bits, mut filled) = (0_u64, 0);
    for value in values {
        bits |= u64::from((*value).into()) << filled;
        filled += u32::from(width);
        while filled >= 32 {
            out.extend_from_slice(&(bits as u32).to_le_bytes());
            bits >>= 32;
            filled -= 32;
        }
    }
    out.extend_from_slice(&bits.to_le_bytes()[..filled.div_ceil(8) as usize]);
    out.resize(end, 0);
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads what the format says, without regard to how this file writes it.
    fn decode(mut bytes: &[u8], width: u8, count: usize) -> Vec<u32> {
        let mut values = Vec::new();
        while values.len() < count {
            let (mut header, mut shift) = (0_u64, 0);
            loop {
                let (byte, rest) = bytes.split_first().unwrap();
                bytes = rest;
                header |= u64::from(byte & 0x7f) << shift;
                shift += 7;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            if header & 1 == 0 {
                let (value, rest) = bytes.split_at(usize::from(width.div_ceil(8)));
                bytes = rest;
                let value = value.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte));
                values.extend(std::iter::repeat_n(value, (header >> 1) as usize));
            } else {
                let count = (header >> 1) as usize * 8;
                let (packed, rest) = bytes.split_at(count * usize::from(width) / 8);
                bytes = rest;
                values.extend((0..count).map(|index| {
                    (0..usize::from(width)).fold(0, |value, bit| {
                        let at = index * usize::from(width) + bit;
                        value | u32::from(packed[at / 8] >> (at % 8) & 1) << bit
                    })
                }));
            }
        }
        assert!(bytes.is_empty());
        values.truncate(count);
        values
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            runs in proptest::collection::vec((any::<u32>(), 1usize..20, 0usize..12), 0..60), width in 1u8..=32,
        ) {
            let mask = u32::MAX >> (32 - width);
            let mut values: Vec<u32> = Vec::new();
            for (value, run, single) in runs {
                values.extend(std::iter::repeat_n(value & mask, run));
                values.extend((0..single as u32).map(|step| value.wrapping_mul(step + 3) & mask));
            }
            let mut out = Vec::new();
            encode(&values, width, &mut out);
            prop_assert_eq!(decode(&out, width, values.len()), values);
        }
    }

    /// Zero and one in turn: no run anywhere.
    fn in_turn(count: usize) -> impl Iterator<Item = u32> {
        (0..count as u32).map(|index| index % 2)
    }

    #[test]
    fn runs_and_groups_of_any_length_are_decoded() {
        for count in 0..1_100 {
            for values in [vec![1; count], in_turn(count).collect(), in_turn(9).chain(vec![1; count]).collect()] {
                let mut out = Vec::new();
                encode::<u32>(&values, 1, &mut out);
                assert_eq!(decode(&out, 1, values.len()), values, "{count}");
            }
        }
    }

    #[test]
    fn the_shorter_form_is_taken() {
        let check = |values: Vec<u32>, width: u8, bytes: usize| {
            let mut out = Vec::new();
            encode(&values, width, &mut out);
            assert_eq!(out.len(), bytes, "{values:?}");
        };
        // What ends with a run needs no padding, however short that is.
        check(vec![7; 3], 3, 2);
        check(vec![1; 8], 1, 2);
        // Seven equal ones are a group with what follows, eight a run before it.
        check([5; 7].into_iter().chain(in_turn(9)).collect(), 3, 1 + 2 * 3);
        check([5; 8].into_iter().chain(in_turn(8)).collect(), 3, 2 + 1 + 3);
        // Groups end where a run begins, and else have one header as long as that is a byte.
        check(in_turn(16).chain([0; 80]).chain(in_turn(8)).collect(), 1, (1 + 2) + 3 + (1 + 1));
        check(in_turn(63 * 8).collect(), 1, 1 + 63);
        check(in_turn(64 * 8).collect(), 1, (1 + 63) + (1 + 1));
        // A last group is padded rather than begun anew.
        check(in_turn(8).chain([1; 3]).collect(), 1, 1 + 2);
    }

    #[test]
    fn a_run_takes_two_bytes_and_widths_are_the_least() {
        let mut out = Vec::new();
        encode(&[1_u8; 60], 1, &mut out);
        assert_eq!(out, [120, 1]);
        assert_eq!([0, 1, 2, 255, 256, u32::MAX].map(bit_width), [0, 1, 2, 8, 9, 32]);
    }
}
