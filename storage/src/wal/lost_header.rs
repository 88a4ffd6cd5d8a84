//! Headers worked out again from the frames behind them: without its salt no frame of a file can be told from other bytes.
//!
//! A frame's checksum depends on the salt through 32 bits alone, its seed, and linearly. So each thing that looks like a
//! frame tells the seed that it would need, and all true frames of a file tell the same one. A client's bytes may agree on
//! another one, but they lie inside of true frames, so these cover more of the file.

use std::collections::HashMap;

use bytes::Bytes;

use super::frame::{FileHeader, GENERATION_AT, HEADER_BYTES, body_at, frames_behind, read_frame, read_u32};
use super::range_sums::RangeSums;

/// Moving a checksum on by so many bytes leaves it as it is, and so one can move back.
const PERIOD: usize = (1 << 31) - 1;

/// What speaks for a seed.
#[derive(Debug)]
struct Votes {
    first_offset: usize,
    frames: usize,
    bytes: usize,
    end: usize,
}

/// The header but for its name where that alone is damaged and frames follow. Else one that the file's frames agree with: `None` if
/// fewer than two of them do.
pub(super) fn recover(file: &Bytes, generation: u64) -> Option<FileHeader> {
    if let Some(header) = FileHeader::read_unnamed(file) {
        // A recycled file whose new header was never written still has the old one.
        let is_its_own = header.generation == generation;
        return frames_behind(file, &header, HEADER_BYTES - 1).next().filter(|_| is_its_own).map(|_| header);
    }
    let sums = RangeSums::new(file);
    let mut seeds: HashMap<u32, Votes> = HashMap::new();
    for found in memchr::memmem::find_iter(file, &generation.to_le_bytes()) {
        let Some(offset) = found.checked_sub(GENERATION_AT).filter(|offset| *offset >= HEADER_BYTES) else { continue };
        let Some(body) = body_at(file, generation, offset) else { continue };
        let (Some(checksum), Some(unseeded)) = (read_u32(file, offset + 4), sums.of(0, body.clone())) else { continue };
        let seed = moved(checksum ^ unseeded, PERIOD - body.len() % PERIOD);
        let votes = seeds.entry(seed).or_insert(Votes { first_offset: offset, frames: 0, bytes: 0, end: 0 });
        if offset >= votes.end {
            votes.frames += 1;
            votes.bytes += body.len();
            votes.end = body.end;
        }
    }
    // One frame alone agrees with itself whatever it is.
    let agreed = seeds.into_iter().filter(|(_, votes)| votes.frames > 1);
    let (seed, votes) = agreed.max_by_key(|(seed, votes)| (votes.bytes, *seed))?;
    let mut header = FileHeader { generation, salt: salt_with(seed), first_lsn: 0, first_group: 0, synced: true };
    let first = read_frame(file, &header, votes.first_offset)?;
    header.first_lsn = first.position.lsn;
    // Frames that stood before it were of its group or of an earlier one.
    header.first_group = first.position.group.saturating_sub(u64::from(votes.first_offset > HEADER_BYTES));
    Some(header)
}

/// Whether a file whose header does not read held frames of `generation`. The header is durable before the first frame
/// is written, so then it was whole once.
pub(super) fn was_written(file: &Bytes, generation: u64) -> bool {
    FileHeader::read(file).is_none()
        && (body_at(file, generation, HEADER_BYTES).is_some() || recover(file, generation).is_some())
}

/// The checksum's bits after `bytes` zeros.
fn moved(bits: u32, bytes: usize) -> u32 {
    crc32c::crc32c_combine(bits, 0, bytes)
}

/// One of the salts with that seed.
fn salt_with(seed: u32) -> u64 {
    let half = crc32c::crc32c(&[0; 4]);
    let other_half = !half ^ moved(!seed, PERIOD - 4);
    u64::from(other_half) << 32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_salt_has_the_seed_that_it_was_made_for(seed in any::<u32>(), bytes in 0usize..100_000) {
            prop_assert_eq!(crc32c::crc32c(&salt_with(seed).to_le_bytes()), seed);
            prop_assert_eq!(moved(moved(seed, bytes), PERIOD - bytes), seed);
        }
    }
}
