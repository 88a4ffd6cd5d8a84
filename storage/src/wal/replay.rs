//! Reads the log back, in order, and tells a torn end from damage.

use bytes::Bytes;

use super::disk::Disk;
use super::frame::{FileHeader, HEADER_BYTES, check_format, look_behind, read_frame};
use super::lost_header::was_written;
use super::record::{CUT, Record};
use super::writer::{Lsn, generation_of};
use crate::{Error, Result};

/// What a replay found, and where the writer goes on.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ReplayReport {
    pub records: u64,
    /// Bytes of an unfinished last group that were passed over. None of it was ever acknowledged.
    pub torn_bytes: u64,
    pub(super) next_lsn: u64,
    pub(super) next_group: u64,
    /// Generation and first LSN of each file read, oldest first.
    pub(super) files: Vec<(u64, u64)>,
}

/// Hands every record to `apply`, oldest first. Changes nothing on the disk.
///
/// The last group may be torn in any order, since it was never acknowledged: it is passed over from its first bad
/// frame on. A bad frame before a later group, a missing file, or a gap between LSNs is [`Error::Damaged`].
pub fn replay(disk: &dyn Disk, mut apply: impl FnMut(Lsn, Record) -> Result<()>) -> Result<ReplayReport> {
    let read_error = |what: String| move |source: std::io::Error| Error::Read { what, source: Box::new(source) };
    let names = log_files(disk)?;
    let mut report = ReplayReport { next_lsn: 1, next_group: 1, ..ReplayReport::default() };
    let mut cut: Option<String> = None;
    for (index, (generation, name)) in names.iter().enumerate() {
        let file = disk.open(name).map_err(read_error(format!("WAL file {name}")))?;
        let file = Bytes::from(file.read().map_err(read_error(format!("WAL file {name}")))?);
        check_format(name, &file)?;
        let damaged = |detail: String| Error::Damaged { what: format!("WAL file {name}"), detail };
        let Some(header) = FileHeader::read(&file).filter(|header| header.generation == *generation) else {
            // The newest file may have been lost in the making; nothing in it was ever acknowledged.
            if index + 1 == names.len() && !was_written(&file, *generation) {
                report.torn_bytes += file.len() as u64;
                continue;
            }
            return Err(damaged("its header is not whole, and records follow".to_owned()));
        };
        if index == 0 {
            report.next_lsn = header.first_lsn;
        } else if header.first_lsn != report.next_lsn {
            let place = cut.unwrap_or_else(|| "the files before it".to_owned());
            return Err(damaged(format!(
                "it begins at lsn {}, but {place} ends before lsn {}",
                header.first_lsn, report.next_lsn
            )));
        }
        report.files.push((*generation, header.first_lsn));

        let mut offset = HEADER_BYTES;
        let mut next_group = header.first_group;
        let mut last_of_group = true;
        while let Some(frame) = read_frame(&file, &header, offset) {
            let position = frame.position;
            if position.lsn != report.next_lsn {
                return Err(damaged(format!(
                    "at offset {offset} stands lsn {} where {} belongs",
                    position.lsn, report.next_lsn
                )));
            }
            report.next_lsn = frame
                .next_lsn()
                .ok_or_else(|| damaged(format!("at offset {offset}, lsn {}: a cut without sense", position.lsn)))?;
            if frame.kind != CUT {
                let record = Record::read(frame.kind, frame.record)
                    .map_err(|error| damaged(format!("at offset {offset}, lsn {}: {error}", position.lsn)))?;
                apply(Lsn(position.lsn), record)?;
                report.records += 1;
            }
            next_group = position.group + 1;
            last_of_group = position.last_of_group;
            offset = frame.end;
        }
        report.next_group = next_group;
        // What stands at `offset` belongs to this group, if it was a frame once.
        let bad_group = if last_of_group { next_group } else { next_group - 1 };
        let behind = look_behind(&file, &header, offset, bad_group);
        // Groups that were not synced may reach the device in any order, so a hole among them is no damage.
        if let Some((at, position)) = behind.later_group.filter(|_| header.synced) {
            return Err(damaged(format!(
                "the frame at offset {offset}, lsn {}, is broken, but at offset {at} follows lsn {} of a later group",
                report.next_lsn, position.lsn
            )));
        }
        if !last_of_group || behind.same_group || behind.later_group.is_some() {
            report.torn_bytes += (file.len() - offset) as u64;
        }
        cut = Some(format!("WAL file {name} at offset {offset}"));
    }
    Ok(report)
}

/// The log's files with their generations, oldest first.
pub(super) fn log_files(disk: &dyn Disk) -> Result<Vec<(u64, String)>> {
    let listed =
        disk.list().map_err(|source| Error::Read { what: "the WAL directory".to_owned(), source: Box::new(source) })?;
    let mut names: Vec<(u64, String)> =
        listed.into_iter().filter_map(|name| Some((generation_of(&name)?, name))).collect();
    names.sort_unstable();
    Ok(names)
}
