//! Reads whatever is whole in a damaged log, and says what is missing between.
//!
//! It agrees with `replay`: whatever that refuses has a hole here, and whatever that passes over is passed over here. So
//! the torn end of a file is no hole as long as the file behind it goes on where it ended.

use bytes::Bytes;

use super::disk::Disk;
use super::frame::{FileHeader, Frame, HEADER_BYTES, check_format, frames_behind, look_behind, read_frame};
use super::lost_header::{recover, was_written};
use super::record::{CUT, Record};
use super::replay::log_files;
use super::writer::Lsn;
use crate::{Error, Result};

/// A place in the log where acknowledged records may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hole {
    pub file: String,
    /// Where the first missing record ought to stand.
    pub offset: u64,
    /// `None` if the log begins with the hole.
    pub first_lsn: Option<u64>,
    /// The first that is there again; `None` if the log ends with the hole.
    pub end_lsn: Option<u64>,
    pub why: String,
}

impl Hole {
    /// How many records are missing; `None` if that cannot be known.
    pub fn records(&self) -> Option<u64> {
        Some(self.end_lsn?.saturating_sub(self.first_lsn?))
    }
}

impl std::fmt::Display for Hole {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "WAL file {}, offset {}: {}; missing: ", self.file, self.offset, self.why)?;
        match (self.first_lsn, self.end_lsn) {
            (Some(first), Some(end)) if first >= end => write!(out, "nothing"),
            (Some(first), Some(end)) if first + 1 == end => write!(out, "lsn {first}"),
            (Some(first), Some(end)) => write!(out, "lsn {first} to {}", end - 1),
            (Some(first), None) => write!(out, "lsn {first} and all behind it"),
            (None, Some(end)) => write!(out, "everything before lsn {end}"),
            (None, None) => write!(out, "everything"),
        }
    }
}

/// What stands in the log, in order.
#[derive(Debug)]
pub enum Found {
    Record(Lsn, Record),
    Hole(Hole),
}

/// What stands in one file.
pub(super) enum Piece {
    /// A record, or the mark of an earlier cut.
    Frame(Frame),
    Hole(Hole),
}

/// A file, its place in the log, and what it holds.
pub(super) struct ScannedFile {
    pub name: String,
    pub generation: u64,
    pub bytes: Bytes,
    /// `None` if it does not read and cannot be worked out.
    pub header: Option<FileHeader>,
    pub pieces: Vec<Piece>,
}

/// Hands out what the log holds. A record that `check` refuses, as one that no longer decodes, counts as missing.
///
/// A record that is whole but of a later version is an error, and so is such a file: it is not damage, and must not be cut.
pub fn salvage(
    disk: &dyn Disk,
    check: &dyn Fn(&Record) -> Result<(), String>,
    mut visit: impl FnMut(Found),
) -> Result<()> {
    scan(disk, check, |file| {
        for piece in file.pieces {
            match piece {
                Piece::Hole(hole) => visit(Found::Hole(hole)),
                Piece::Frame(frame) if frame.kind == CUT => {}
                Piece::Frame(frame) => visit(Found::Record(Lsn(frame.position.lsn), read(&file.name, &frame)?)),
            }
        }
        Ok(())
    })
}

/// Reads file after file.
pub(super) fn scan(
    disk: &dyn Disk,
    check: &dyn Fn(&Record) -> Result<(), String>,
    mut visit: impl FnMut(ScannedFile) -> Result<()>,
) -> Result<()> {
    let read_error = |source: std::io::Error| Error::Read { what: "the WAL".to_owned(), source: Box::new(source) };
    let mut names = log_files(disk)?;
    let load = |name: &str| disk.open(name).and_then(|file| file.read()).map(Bytes::from).map_err(read_error);
    let mut headers = Vec::with_capacity(names.len());
    let mut recovered = Vec::new();
    for (generation, name) in &names {
        let bytes = load(name)?;
        check_format(name, &bytes)?;
        let header = FileHeader::read(&bytes).filter(|header| header.generation == *generation);
        recovered.push(header.is_none());
        headers.push(header.or_else(|| recover(&bytes, *generation)));
    }
    // As replay has it: the newest file may have been lost in the making, and the one before it is the log's end then.
    if let (Some((generation, name)), Some(None)) = (names.last(), headers.last())
        && !was_written(&load(name)?, *generation)
    {
        names.pop();
        headers.pop();
    }
    let mut expected: Option<u64> = None;
    for (index, (generation, name)) in names.into_iter().enumerate() {
        let bytes = load(&name)?;
        let header = headers[index];
        let limit = headers[index + 1..].iter().flatten().map(|header| header.first_lsn).min();
        let scan = FileScan {
            has_header: !recovered[index],
            name: &name,
            bytes: &bytes,
            check,
            limit,
            is_last: index + 1 == headers.len(),
            // A hole that reaches into a file without a header is told of there.
            is_joined: headers.get(index + 1).is_none_or(Option::is_some),
        };
        let pieces = match &header {
            Some(header) => scan.pieces(header, &mut expected)?,
            None => {
                let hole = scan.hole(0, expected, limit, "its header does not read");
                expected = limit.or(expected);
                vec![Piece::Hole(hole)]
            }
        };
        visit(ScannedFile { name, generation, bytes, header, pieces })?;
    }
    Ok(())
}

fn read(file: &str, frame: &Frame) -> Result<Record> {
    Record::read(frame.kind, frame.record.clone()).map_err(|error| Error::Damaged {
        what: format!("WAL file {file}"),
        detail: format!("at offset {}, lsn {}: {error}", frame.start, frame.position.lsn),
    })
}

struct FileScan<'a> {
    has_header: bool,
    name: &'a str,
    bytes: &'a Bytes,
    check: &'a dyn Fn(&Record) -> Result<(), String>,
    /// Where the next file that reads begins.
    limit: Option<u64>,
    is_last: bool,
    is_joined: bool,
}

impl FileScan<'_> {
    fn hole(&self, offset: usize, first_lsn: Option<u64>, end_lsn: Option<u64>, why: &str) -> Hole {
        Hole { file: self.name.to_owned(), offset: offset as u64, first_lsn, end_lsn, why: why.to_owned() }
    }

    fn pieces(&self, header: &FileHeader, expected: &mut Option<u64>) -> Result<Vec<Piece>> {
        let mut pieces = Vec::new();
        let mut next = header.first_lsn;
        if !self.has_header {
            let at = self.limit.map_or(next, |limit| limit.min(next));
            pieces.push(Piece::Hole(self.hole(
                0,
                Some(at),
                Some(at),
                "its header does not read, but what follows does",
            )));
        }
        if let Some(limit) = self.limit.filter(|limit| *limit < next) {
            pieces.push(Piece::Hole(self.hole(0, Some(limit), Some(limit), "a later file holds earlier records")));
            next = limit;
        }
        let mut offset = HEADER_BYTES;
        // The group that a frame at `offset` has at least.
        let mut group = header.first_group;
        loop {
            let here = read_frame(self.bytes, header, offset);
            let is_foreign = here.is_some();
            if let Some(frame) = here.filter(|frame| self.fits(frame, next)) {
                let lsn = frame.position.lsn;
                next = frame.next_lsn().ok_or_else(|| Error::Damaged {
                    what: format!("WAL file {}", self.name),
                    detail: format!("at offset {offset}, lsn {lsn}: a cut without sense"),
                })?;
                group = frame.position.group + u64::from(frame.position.last_of_group);
                offset = frame.end;
                let refused = if frame.kind == CUT { Ok(()) } else { (self.check)(&read(self.name, &frame)?) };
                pieces.push(match refused {
                    Ok(()) => Piece::Frame(frame),
                    Err(why) => Piece::Hole(self.hole(frame.start, Some(lsn), Some(next), &why)),
                });
                continue;
            }
            let behind = self.behind(header, offset, next, group);
            if let Some(frame) = behind {
                pieces.push(Piece::Hole(self.hole(offset, Some(next), Some(frame.position.lsn), "it does not read")));
                next = frame.position.lsn;
                offset = frame.start;
            } else {
                let missing = self.is_joined && self.limit.is_some_and(|limit| next < limit);
                if missing {
                    pieces.push(Piece::Hole(self.hole(offset, Some(next), self.limit, "it does not read on")));
                } else if is_foreign || header.synced && self.has_later_group(header, offset, group) {
                    pieces.push(Piece::Hole(self.hole(offset, Some(next), Some(next), "records of elsewhere follow")));
                }
                *expected = Some(if self.is_joined { self.limit.unwrap_or(next) } else { next });
                return Ok(pieces);
            }
        }
    }

    fn has_later_group(&self, header: &FileHeader, offset: usize, group: u64) -> bool {
        look_behind(self.bytes, header, offset, group).later_group.is_some()
    }

    /// Whether the frame is the log's next one: it has that LSN, and neither it nor a cut that it marks reaches into the
    /// next file.
    fn fits(&self, frame: &Frame, next: u64) -> bool {
        let reaches_beyond = self.limit.is_some_and(|limit| frame.next_lsn().is_some_and(|after| after > limit));
        frame.position.lsn == next && !reaches_beyond
    }

    fn is_within(&self, lsn: u64) -> bool {
        self.limit.is_none_or(|limit| lsn < limit)
    }

    /// The next whole frame of the log, if what stands at `offset` is a hole and not the log's torn end.
    fn behind(&self, header: &FileHeader, offset: usize, next: u64, group: u64) -> Option<Frame> {
        if self.is_last && !(header.synced && self.has_later_group(header, offset, group)) {
            return None;
        }
        frames_behind(self.bytes, header, offset)
            .find(|frame| frame.position.lsn >= next && self.is_within(frame.position.lsn))
    }
}
