//! What the device itself takes to sync as much as the server syncs at once: the yardstick for acknowledgements.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// As large as a log file of the server, so that it is as spread out on the device.
const FILE_BYTES: u64 = 64 << 20;
const MAX_SYNCS: usize = 1_000;
/// Whichever comes first.
const MAX_TIME: Duration = Duration::from_secs(4);

/// Times of `fdatasync` after overwriting `group_bytes` of a preallocated file in `directory`.
pub fn syncs(directory: &Path, group_bytes: u64) -> anyhow::Result<Vec<Duration>> {
    let file = tempfile::tempfile_in(directory)?;
    let group = noise(usize::try_from(group_bytes.clamp(1, FILE_BYTES))?);
    fill(&file)?;
    let (mut offset, mut times, start) = (0, Vec::new(), Instant::now());
    while times.len() < MAX_SYNCS && start.elapsed() < MAX_TIME {
        if offset + group.len() as u64 > FILE_BYTES {
            offset = 0;
        }
        file.write_all_at(&group, offset)?;
        offset += group.len() as u64;
        let begun = Instant::now();
        file.sync_data()?;
        times.push(begun.elapsed());
    }
    Ok(times)
}

fn fill(file: &File) -> anyhow::Result<()> {
    let block = noise(1 << 20);
    for offset in (0..FILE_BYTES).step_by(block.len()) {
        file.write_all_at(&block, offset)?;
    }
    file.sync_all()?;
    Ok(())
}

/// Some devices write zeros faster than anything else.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..length.div_ceil(8)).flat_map(|_| next()).collect();
    bytes.truncate(length);
    bytes
}
