//! Writing past the page cache.
//!
//! The log is written once and read after a crash, so pages that the kernel would keep of it are wasted; taking, filling
//! and writing back a page costs several times what copying its bytes does. Direct writes want whole blocks at whole blocks'
//! offsets, from memory that is aligned like them. So the last block that is not full is written again with what follows:
//! the bytes that were durable in it are the same, as they are when the kernel writes a page again.

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;

/// Serves devices with sectors of 512 and of 4,096 bytes.
pub(super) const BLOCK_BYTES: usize = 4096;

/// One write; longer ones go in several, so that a burst pins no more memory than this.
const MOST_BYTES: usize = 1 << 20;

/// Appends to a file that was opened with `O_DIRECT`.
#[derive(Debug)]
pub(super) struct DirectWriter {
    file: File,
    /// From `start` on aligned: whole blocks to write, and room for more.
    buffer: Vec<u8>,
    start: usize,
    /// How much of it is filled, and where that begins in the file.
    filled: usize,
    offset: u64,
}

impl DirectWriter {
    pub fn new(file: File) -> Self {
        // One block more than is used, so that an aligned place is in it wherever it lies.
        let buffer = vec![0; MOST_BYTES + BLOCK_BYTES];
        let start = buffer.as_ptr().align_offset(BLOCK_BYTES).min(BLOCK_BYTES);
        Self { file, buffer, start, filled: 0, offset: 0 }
    }

    /// Writes `parts` one behind the other from `offset` on. `present` reads what the file has before it.
    pub fn write(
        &mut self,
        parts: &[IoSlice<'_>],
        offset: u64,
        present: impl FnOnce(&mut [u8], u64) -> io::Result<()>,
    ) -> io::Result<()> {
        if offset != self.offset + self.filled as u64 {
            let within = offset % BLOCK_BYTES as u64;
            (self.offset, self.filled) = (offset - within, within as usize);
            let end = self.start + self.filled;
            present(&mut self.buffer[self.start..end], self.offset)?;
        }
        for part in parts {
            let mut rest: &[u8] = part;
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(MOST_BYTES - self.filled));
                let at = self.start + self.filled;
                self.buffer[at..at + now.len()].copy_from_slice(now);
                self.filled += now.len();
                rest = later;
                if self.filled == MOST_BYTES {
                    self.put()?;
                }
            }
        }
        self.put()
    }

    /// Writes what is filled, and keeps the block that is not full for what comes.
    fn put(&mut self) -> io::Result<()> {
        let padded = self.filled.next_multiple_of(BLOCK_BYTES);
        self.buffer[self.start + self.filled..self.start + padded].fill(0);
        self.file.write_all_at(&self.buffer[self.start..self.start + padded], self.offset)?;
        let whole = self.filled - self.filled % BLOCK_BYTES;
        self.buffer.copy_within(self.start + whole..self.start + self.filled, self.start);
        self.offset += whole as u64;
        self.filled -= whole;
        Ok(())
    }
}
