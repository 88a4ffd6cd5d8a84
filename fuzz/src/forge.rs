//! Log files whose checksums hold, from any bytes: without them a fuzzer would never get past the first one.
//!
//! The layout is written down in `storage::wal`, and here a second time.

const HEADER_BYTES: usize = 64;
const PREFIX_BYTES: usize = 8;
const FIXED_BYTES: usize = 25;

/// Completes header and frames of a file of `generation`, as far as its lengths make sense.
pub fn forge(file: &mut [u8], generation: u64) {
    if file.len() < HEADER_BYTES {
        return;
    }
    file[..8].copy_from_slice(b"SPANWAL1");
    file[16..24].copy_from_slice(&generation.to_le_bytes());
    let checksum = crc32c::crc32c(&file[16..HEADER_BYTES]);
    file[8..12].copy_from_slice(&checksum.to_le_bytes());
    let seed = crc32c::crc32c(&file[24..32]);
    let mut at = HEADER_BYTES;
    while file.len() >= at + PREFIX_BYTES + FIXED_BYTES {
        let length = u32::from_le_bytes([file[at], file[at + 1], file[at + 2], file[at + 3]]) as usize;
        let end = at.saturating_add(PREFIX_BYTES).saturating_add(length);
        // A length that makes no sense stays: what lies behind is old bytes to the reader, or damage.
        if length < FIXED_BYTES || end > file.len() {
            at += 1;
            continue;
        }
        // One frame in four keeps its checksum, and is mostly broken by it.
        if file[at + 4] & 3 != 3 {
            file[at + 16..at + 24].copy_from_slice(&generation.to_le_bytes());
            let checksum = crc32c::crc32c_append(seed, &file[at + PREFIX_BYTES..end]);
            file[at + 4..at + 8].copy_from_slice(&checksum.to_le_bytes());
        }
        at = end;
    }
}

/// One or two log files: a byte that says what to forge, a length, and the files' bytes.
pub fn files(input: &[u8]) -> Vec<(String, Vec<u8>)> {
    let [mode, low, high, rest @ ..] = input else { return Vec::new() };
    let split = usize::from(u16::from_le_bytes([*low, *high]));
    let parts = if split < rest.len() { vec![&rest[..split], &rest[split..]] } else { vec![rest] };
    parts
        .into_iter()
        .enumerate()
        .map(|(index, part)| {
            let generation = 1 + index as u64;
            let mut bytes = part.to_vec();
            if mode >> index & 1 == 0 {
                forge(&mut bytes, generation);
            }
            if mode >> (2 + index) & 1 == 1 {
                // The header is lost, the frames are not.
                bytes.iter_mut().take(8).for_each(|byte| *byte = 0xEE);
            }
            (format!("{generation:020}.log"), bytes)
        })
        .collect()
}
