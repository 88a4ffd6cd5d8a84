//! Records in a file: headers, checksums, and where a file ends.

use bytes::{BufMut, Bytes};

use super::record::Record;

pub(super) const HEADER_BYTES: usize = 64;
const MAGIC: &[u8; 8] = b"SPANWAL1";
/// Length and checksum.
const PREFIX_BYTES: usize = 8;
/// LSN, generation, group, type.
const FIXED_BYTES: usize = 25;
/// Where a frame holds its file's generation.
const GENERATION_AT: usize = PREFIX_BYTES + 8;
const LAST_OF_GROUP: u8 = 0x80;

/// What a file says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileHeader {
    pub generation: u64,
    /// Random, so that a client's bytes cannot pose as a frame.
    pub salt: u64,
    pub first_lsn: u64,
    pub first_group: u64,
    /// Whether each group was synced before the next was written.
    pub synced: bool,
}

impl FileHeader {
    pub fn write(&self) -> [u8; HEADER_BYTES] {
        let mut out = Vec::with_capacity(HEADER_BYTES);
        out.extend_from_slice(MAGIC);
        out.put_u64_le(0);
        out.put_u64_le(self.generation);
        out.put_u64_le(self.salt);
        out.put_u64_le(self.first_lsn);
        out.put_u64_le(self.first_group);
        out.put_u8(u8::from(self.synced));
        let mut header = [0; HEADER_BYTES];
        header[..out.len()].copy_from_slice(&out);
        let checksum = crc32c::crc32c(&header[16..]);
        header[8..12].copy_from_slice(&checksum.to_le_bytes());
        header
    }

    /// `None` where no header was ever completed.
    pub fn read(file: &[u8]) -> Option<Self> {
        let header = file.get(..HEADER_BYTES)?;
        let valid = header.starts_with(MAGIC) && read_u32(header, 8)? == crc32c::crc32c(&header[16..]);
        valid.then_some(())?;
        Some(Self {
            generation: read_u64(header, 16)?,
            salt: read_u64(header, 24)?,
            first_lsn: read_u64(header, 32)?,
            first_group: read_u64(header, 40)?,
            synced: *header.get(48)? != 0,
        })
    }

    fn checksum(&self, bytes: &[u8]) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c(&self.salt.to_le_bytes()), bytes)
    }
}

/// Where a frame stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub lsn: u64,
    pub group: u64,
    pub last_of_group: bool,
}

pub(super) fn write_frame(out: &mut Vec<u8>, file: &FileHeader, position: Position, record: &Record) {
    let start = out.len();
    out.put_u64_le(0);
    out.put_u64_le(position.lsn);
    out.put_u64_le(file.generation);
    out.put_u64_le(position.group);
    out.put_u8(record.kind() | if position.last_of_group { LAST_OF_GROUP } else { 0 });
    record.write(out);
    let body = &out[start + PREFIX_BYTES..];
    // Requests are bounded far below 4 GiB by the receiver.
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let checksum = file.checksum(body);
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    out[start + 4..start + 8].copy_from_slice(&checksum.to_le_bytes());
}

pub(super) fn frame_size_hint(record: &Record) -> usize {
    PREFIX_BYTES + FIXED_BYTES + record.size_hint()
}

/// A frame whose checksum holds.
#[derive(Debug)]
pub(super) struct Frame {
    pub position: Position,
    pub kind: u8,
    pub record: Bytes,
    /// Where the next frame begins.
    pub end: usize,
}

/// The frame at `offset`, or `None` if none is there.
pub(super) fn read_frame(file: &Bytes, header: &FileHeader, offset: usize) -> Option<Frame> {
    let length = usize::try_from(read_u32(file, offset)?).ok()?;
    let start = offset.checked_add(PREFIX_BYTES)?;
    let end = start.checked_add(length)?;
    if length < FIXED_BYTES || end > file.len() || read_u64(file, start + 8)? != header.generation {
        return None;
    }
    let body = file.slice(start..end);
    if header.checksum(&body) != read_u32(file, offset + 4)? {
        return None;
    }
    let kind = body[24];
    Some(Frame {
        position: Position {
            lsn: read_u64(&body, 0)?,
            group: read_u64(&body, 16)?,
            last_of_group: kind & LAST_OF_GROUP != 0,
        },
        kind: kind & !LAST_OF_GROUP,
        record: body.slice(FIXED_BYTES..),
        end,
    })
}

/// What lies behind the place where reading ended.
#[derive(Debug, Default)]
pub(super) struct Behind {
    /// An intact frame of a later group: what lies before it was durable once.
    pub later_group: Option<(usize, Position)>,
    /// Whether there is an intact frame of the same group: it was torn.
    pub same_group: bool,
}

/// Looks for intact frames behind `offset`, where a frame of `group` ought to stand.
pub(super) fn look_behind(file: &Bytes, header: &FileHeader, offset: usize, group: u64) -> Behind {
    let mut behind = Behind::default();
    let generation = header.generation.to_le_bytes();
    // Every frame holds the generation at the same place; searching for it passes over empty space quickly.
    let from = offset.saturating_add(1 + GENERATION_AT);
    let Some(rest) = file.get(from..) else { return behind };
    for found in memchr::memmem::find_iter(rest, &generation) {
        let at = offset + 1 + found;
        let Some(frame) = read_frame(file, header, at) else { continue };
        if frame.position.group > group {
            behind.later_group = Some((at, frame.position));
            break;
        }
        behind.same_group |= frame.position.group == group;
    }
    behind
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn read_u64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}
