//! Cuts damage out of a log, so that replay takes it again. Each damaged file is written anew and takes the place of the
//! old one at once, which keeps a second name: a repair that is cut short is repeated, and nothing is ever deleted.

use super::disk::Disk;
use super::frame::{FileHeader, HEADER_BYTES, Position, write_cut, write_frame};
use super::record::Record;
use super::salvage::{Hole, Piece, ScannedFile, scan};
use crate::{Error, Result};

const UNFINISHED: &str = "repaired-";

/// Writes the log without its holes and returns the names of the files that are new, whose old bytes are in `folder`.
///
/// Records keep their LSNs. `mend` is asked for every hole, in the order of `salvage`, what to put there: at most as many
/// records as are missing. `check` is that of `salvage`.
pub fn cut(
    disk: &dyn Disk,
    check: &dyn Fn(&Record) -> Result<(), String>,
    folder: &str,
    mut mend: impl FnMut(&Hole) -> Vec<Record>,
) -> Result<Vec<String>> {
    let failed = |source: std::io::Error| Error::Write { what: "the WAL".to_owned(), source };
    let mut renewed = Vec::new();
    // What stood before a file that has no header of its own.
    let mut group = 0;
    scan(disk, check, |file| {
        if file.pieces.iter().any(|piece| matches!(piece, Piece::Hole(_))) {
            let bytes = without_holes(&file, &mut mend, group + 1)?;
            replace(disk, &file.name, folder, bytes).map_err(failed)?;
            renewed.push(file.name.clone());
        }
        for piece in &file.pieces {
            if let Piece::Frame(frame) = piece {
                group = frame.position.group;
            }
        }
        Ok(())
    })?;
    Ok(renewed)
}

/// The file's bytes; `None` if nothing is left of it.
fn without_holes(
    file: &ScannedFile,
    mend: &mut impl FnMut(&Hole) -> Vec<Record>,
    next_group: u64,
) -> Result<Option<Vec<u8>>> {
    let first_lsn = match file.pieces.first() {
        Some(Piece::Frame(frame)) => frame.position.lsn,
        Some(Piece::Hole(Hole { first_lsn: Some(lsn), .. })) => *lsn,
        // The log began here, so it begins with the next file now. Nothing can be put in, but whoever counts holes counts
        // this one.
        Some(Piece::Hole(hole)) => {
            mend(hole);
            return Ok(None);
        }
        None => return Ok(None),
    };
    let header = match &file.header {
        Some(header) => FileHeader { first_lsn, ..*header },
        None => FileHeader {
            generation: file.generation,
            salt: rand::random(),
            first_lsn,
            first_group: next_group,
            synced: true,
        },
    };
    let mut out = header.write().to_vec();
    let mut group = header.first_group;
    for piece in &file.pieces {
        match piece {
            Piece::Frame(frame) => {
                out.extend_from_slice(file.bytes.get(frame.start..frame.end).unwrap_or_default());
                group = frame.position.group;
            }
            Piece::Hole(hole) => fill(&mut out, &header, hole, mend(hole), group)?,
        }
    }
    Ok(Some(out))
}

fn fill(out: &mut Vec<u8>, header: &FileHeader, hole: &Hole, records: Vec<Record>, group: u64) -> Result<()> {
    let Some(mut lsn) = hole.first_lsn else { return Ok(()) };
    if hole.records().is_some_and(|missing| missing < records.len() as u64) {
        return Err(Error::Damaged {
            what: format!("WAL file {}", hole.file),
            detail: format!("at offset {}, lsn {lsn}: more must be put there than is missing", hole.offset),
        });
    }
    for record in records {
        write_frame(out, header, Position { lsn, group, last_of_group: true }, &record);
        lsn += 1;
    }
    if let Some(end) = hole.end_lsn.filter(|end| lsn < *end) {
        write_cut(out, header, Position { lsn, group, last_of_group: true }, end);
    }
    Ok(())
}

fn replace(disk: &dyn Disk, name: &str, folder: &str, bytes: Option<Vec<u8>>) -> std::io::Result<()> {
    let unfinished = format!("{UNFINISHED}{name}");
    if disk.list()?.contains(&unfinished) {
        disk.remove(&unfinished)?;
    }
    if let Some(bytes) = &bytes {
        let file = disk.create(&unfinished, bytes.len().max(HEADER_BYTES) as u64)?;
        file.write_at(bytes, 0)?;
        file.sync()?;
    }
    disk.keep_aside(name, folder)?;
    match bytes {
        Some(_) => disk.rename(&unfinished, name)?,
        None => disk.remove(name)?,
    }
    disk.sync()
}
