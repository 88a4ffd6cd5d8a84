//! Records in a file: headers, checksums, and where a file ends.

use std::io::IoSlice;
use std::ops::Range;

use bytes::{BufMut, Bytes};

use super::range_sums::RangeSums;
use super::record::{CUT, Record};
use crate::{Error, Result};

pub(super) const HEADER_BYTES: usize = 64;
/// The digit is the format's. It rises only together with a checksum that covers these bytes, too, see [`check_format`].
const MAGIC: &[u8; 8] = b"SPANWAL1";
/// Length and checksum.
const PREFIX_BYTES: usize = 8;
/// LSN, generation, group, type.
const FIXED_BYTES: usize = 25;
/// Where a frame holds its file's generation.
pub(super) const GENERATION_AT: usize = PREFIX_BYTES + 8;
const LAST_OF_GROUP: u8 = 0x80;
/// No log gets here, and whoever counts on from below does not overflow.
pub(super) const LARGEST_NUMBER: u64 = u64::MAX >> 1;

/// Refuses a file of a later format: to this version it would look as if nothing had ever been written to it. Where the header's
/// checksum holds as in this format, it is the version that is damaged. So a later format must not have the same checksum over the same
/// bytes: of its files this version would say that they are damaged, and a repair would write this digit over theirs.
pub(super) fn check_format(name: &str, file: &[u8]) -> Result<()> {
    match file.first_chunk::<{ MAGIC.len() }>() {
        Some([magic @ .., version @ b'2'..=b'9'])
            if MAGIC.starts_with(magic) && FileHeader::read_unnamed(file).is_none() =>
        {
            let version = char::from(*version);
            let source = format!(
                "it has format {version}, and this version of spanhouse knows format 1; \
                 use the version that wrote it, or another data directory"
            );
            Err(Error::Read { what: format!("WAL file {name}"), source: source.into() })
        }
        _ => Ok(()),
    }
}

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
        Self::read_unnamed(file).filter(|_| file.starts_with(MAGIC))
    }

    /// What is behind the name of the format, whatever that is.
    pub fn read_unnamed(file: &[u8]) -> Option<Self> {
        let header = file.get(..HEADER_BYTES)?;
        (read_u32(header, 8)? == crc32c::crc32c(&header[16..])).then_some(())?;
        let header = Self {
            generation: read_u64(header, 16)?,
            salt: read_u64(header, 24)?,
            first_lsn: read_u64(header, 32)?,
            first_group: read_u64(header, 40)?,
            synced: *header.get(48)? != 0,
        };
        let numbers = [header.generation, header.first_lsn, header.first_group];
        numbers.iter().all(|number| *number <= LARGEST_NUMBER).then_some(header)
    }

    fn checksum(&self, bytes: &[u8]) -> u32 {
        crc32c::crc32c_append(self.seed(), bytes)
    }

    fn seed(&self) -> u32 {
        crc32c::crc32c(&self.salt.to_le_bytes())
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
    write_frame_of(out, file, position, record.kind(), |out| record.write(out));
}

/// Says in the log itself that the records from `position` up to `next_lsn` were cut out.
pub(super) fn write_cut(out: &mut Vec<u8>, file: &FileHeader, position: Position, next_lsn: u64) {
    write_frame_of(out, file, position, CUT, |out| out.put_u64_le(next_lsn));
}

pub(super) fn write_frame_of(
    out: &mut Vec<u8>,
    file: &FileHeader,
    position: Position,
    kind: u8,
    write_record: impl FnOnce(&mut Vec<u8>),
) {
    write_frame_before(out, file, position, kind, write_record, &[]);
}

/// Writes all of a frame but `tail`, its last bytes, which are to come behind it.
fn write_frame_before(
    out: &mut Vec<u8>,
    file: &FileHeader,
    position: Position,
    kind: u8,
    write_record: impl FnOnce(&mut Vec<u8>),
    tail: &[u8],
) {
    let start = out.len();
    out.put_u64_le(0);
    out.put_u64_le(position.lsn);
    out.put_u64_le(file.generation);
    out.put_u64_le(position.group);
    out.put_u8(kind | if position.last_of_group { LAST_OF_GROUP } else { 0 });
    write_record(out);
    let body = &out[start + PREFIX_BYTES..];
    // Requests are bounded far below 4 GiB by the receiver.
    let length = u32::try_from(body.len().saturating_add(tail.len())).unwrap_or(u32::MAX);
    let checksum = crc32c::crc32c_append(file.checksum(body), tail);
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    out[start + 4..start + 8].copy_from_slice(&checksum.to_le_bytes());
}

/// Shorter tails are cheaper to copy than to write from where they lie.
const LONG_TAIL: usize = 4096;

/// The frames of a group as one write takes them: what clients sent stays where it is.
#[derive(Debug, Default)]
pub(super) struct Frames {
    heads: Vec<u8>,
    /// Bytes that follow the heads up to a position.
    tails: Vec<(usize, Bytes)>,
    bytes: usize,
}

impl Frames {
    pub fn clear(&mut self) {
        self.heads.clear();
        self.tails.clear();
        self.bytes = 0;
    }

    pub fn push(&mut self, file: &FileHeader, position: Position, record: &Record) {
        let before = self.heads.len();
        let tail = record.tail();
        write_frame_before(&mut self.heads, file, position, record.kind(), |out| record.write_head(out), &tail);
        self.bytes += self.heads.len() - before + tail.len();
        if tail.len() < LONG_TAIL {
            self.heads.extend_from_slice(&tail);
        } else {
            self.tails.push((self.heads.len(), tail));
        }
    }

    /// The bytes of all frames.
    pub fn len(&self) -> usize {
        self.bytes
    }

    pub fn slices(&self) -> Vec<IoSlice<'_>> {
        let mut slices = Vec::with_capacity(2 * self.tails.len() + 1);
        let mut at = 0;
        for (end, tail) in &self.tails {
            slices.push(IoSlice::new(&self.heads[at..*end]));
            slices.push(IoSlice::new(tail));
            at = *end;
        }
        slices.push(IoSlice::new(&self.heads[at..]));
        slices
    }
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
    /// Where it lies, and where the next one begins.
    pub start: usize,
    pub end: usize,
}

impl Frame {
    /// The LSN that the frame behind this one has; `None` if this is a cut that makes no sense.
    pub fn next_lsn(&self) -> Option<u64> {
        let following = self.position.lsn + 1;
        if self.kind != CUT {
            return Some(following);
        }
        let next = read_u64(&self.record, 0)?;
        (self.record.len() == 8 && (following..=LARGEST_NUMBER).contains(&next)).then_some(next)
    }
}

/// The frame at `offset`, or `None` if none is there.
pub(super) fn read_frame(file: &Bytes, header: &FileHeader, offset: usize) -> Option<Frame> {
    let body = body_at(file, header.generation, offset)?;
    let checksum = header.checksum(file.get(body.clone())?);
    whole_frame(file, offset, body, checksum)
}

/// What the frame at `offset` would cover, by its length and generation.
pub(super) fn body_at(file: &[u8], generation: u64, offset: usize) -> Option<Range<usize>> {
    let length = usize::try_from(read_u32(file, offset)?).ok()?;
    let start = offset.checked_add(PREFIX_BYTES)?;
    let end = start.checked_add(length)?;
    let is_frame = length >= FIXED_BYTES && end <= file.len() && read_u64(file, start + 8)? == generation;
    is_frame.then_some(start..end)
}

fn whole_frame(file: &Bytes, offset: usize, body: Range<usize>, checksum: u32) -> Option<Frame> {
    if checksum != read_u32(file, offset + 4)? {
        return None;
    }
    let end = body.end;
    let body = file.slice(body);
    let kind = *body.get(FIXED_BYTES - 1)?;
    let (lsn, group) = (read_u64(&body, 0)?, read_u64(&body, 16)?);
    if lsn > LARGEST_NUMBER || group > LARGEST_NUMBER {
        return None;
    }
    Some(Frame {
        position: Position { lsn, group, last_of_group: kind & LAST_OF_GROUP != 0 },
        kind: kind & !LAST_OF_GROUP,
        record: body.slice(FIXED_BYTES..),
        start: offset,
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
    for frame in frames_behind(file, header, offset) {
        if frame.position.group > group {
            behind.later_group = Some((frame.start, frame.position));
            break;
        }
        behind.same_group |= frame.position.group == group;
    }
    behind
}

/// Intact frames behind `offset`, wherever they begin.
pub(super) fn frames_behind(file: &Bytes, header: &FileHeader, offset: usize) -> impl Iterator<Item = Frame> {
    // Every frame holds the generation at the same place; searching for it passes over empty space quickly.
    let from = offset.saturating_add(1 + GENERATION_AT);
    let rest = file.get(from..).unwrap_or_default();
    let generation = header.generation.to_le_bytes();
    let places: Vec<usize> = memchr::memmem::find_iter(rest, &generation).map(|found| offset + 1 + found).collect();
    let sums = std::cell::OnceCell::new();
    places.into_iter().filter_map(move |at| {
        let body = body_at(file, header.generation, at)?;
        // A client may have sent millions of things that look like long frames.
        let sums = sums.get_or_init(|| RangeSums::new(file));
        let checksum = sums.of(header.seed(), body.clone())?;
        whole_frame(file, at, body, checksum)
    })
}

pub(super) fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn read_u64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}
