//! Damaged logs: what is whole is told from what is not, and cutting the rest out leaves a log that goes on.

use std::ops::Range;

use super::*;
use crate::wal::frame::{FileHeader, HEADER_BYTES, read_frame};

const KEPT: &str = "damaged-1";

/// Where each request lies: its number, its file, and its bytes there.
type Frames = Vec<(u64, String, Range<usize>)>;

fn frames(disk: &ForgetfulDisk) -> Frames {
    let mut found = Frames::new();
    for name in disk.names() {
        let bytes = Bytes::from(disk.cached.lock().unwrap()[&name].lock().unwrap().cached.clone());
        let Some(header) = FileHeader::read(&bytes) else { continue };
        let mut offset = HEADER_BYTES;
        while let Some(frame) = read_frame(&bytes, &header, offset) {
            found.push((frame.position.lsn, name.clone(), frame.start..frame.end));
            offset = frame.end;
        }
    }
    found
}

/// A log of requests whose numbers are their LSNs; those of one of `groups` are appended together.
fn log(groups: &[Vec<usize>]) -> Arc<ForgetfulDisk> {
    let disk = Arc::new(ForgetfulDisk::default());
    let wal = run(&disk, small_files());
    let mut number = 0;
    for group in groups {
        let mut waiting = group.len();
        for size in group {
            number += 1;
            wal.handle.append(request(number, *size), number).unwrap();
        }
        while waiting > 0 {
            waiting -= wal.acked.recv().unwrap().unwrap().len();
        }
    }
    drop(wal);
    disk
}

fn salvaged(disk: &Arc<ForgetfulDisk>) -> (Vec<u64>, Vec<Hole>) {
    let (mut numbers, mut holes) = (Vec::new(), Vec::new());
    salvage(&Shared(Arc::clone(disk)), &|_| Ok(()), |found| match found {
        Found::Record(lsn, _) => numbers.push(lsn.0),
        Found::Hole(hole) => holes.push(hole),
    })
    .unwrap();
    (numbers, holes)
}

fn cut_out(disk: &Arc<ForgetfulDisk>) -> Vec<String> {
    cut(&Shared(Arc::clone(disk)), &|_| Ok(()), KEPT, |_| Vec::new()).unwrap()
}

fn spoil(disk: &ForgetfulDisk, name: &str, at: Range<usize>) {
    disk.edit(name, |bytes| {
        let end = at.end.min(bytes.len());
        bytes[at.start.min(end)..end].iter_mut().for_each(|byte| *byte ^= 0x5A);
    });
}

/// Frames of one group as they would stand in a file with `header`.
fn group_of(header: &FileHeader, group: u64, lsns: Range<u64>) -> Vec<u8> {
    let mut out = Vec::new();
    for lsn in lsns.clone() {
        let position = frame::Position { lsn, group, last_of_group: lsn + 1 == lsns.end };
        frame::write_frame(&mut out, header, position, &request(lsn, 100));
    }
    out
}

#[track_caller]
fn check_cut(disk: &Arc<ForgetfulDisk>, expected: &[u64]) {
    assert!(matches!(read(disk), Err(Error::Damaged { .. })));
    assert_eq!(salvaged(disk).0, expected);
    let before = disk.cached.lock().unwrap().clone();
    let renewed = cut_out(disk);
    assert!(!renewed.is_empty());
    for name in renewed {
        let kept = disk.cached.lock().unwrap()[&format!("{KEPT}/{name}")].lock().unwrap().cached.clone();
        assert_eq!(kept, before[&name].lock().unwrap().cached, "the original of {name}");
    }
    let disk = &disk.after_power_cut();
    assert_eq!(read(disk).unwrap().0, expected);
    assert_eq!(salvaged(disk).1, []);
    let wal = run(disk, small_files());
    wal.append_and_wait(1_000, 100);
    assert_eq!(read(disk).unwrap().0, [expected, &[1_000]].concat());
}

#[test]
fn a_whole_log_has_no_holes_and_neither_has_a_torn_end() {
    let disk = log(&[vec![100], vec![100, 200], vec![300]]);
    assert_eq!(salvaged(&disk), (vec![1, 2, 3, 4], vec![]));
    let (_, name, last) = frames(&disk).pop().unwrap();
    spoil(&disk, &name, last);
    assert_eq!(salvaged(&disk), (vec![1, 2, 3], vec![]));
    assert_eq!(cut_out(&disk), Vec::<String>::new());
}

#[test]
fn a_torn_end_before_a_file_that_was_never_written_is_no_hole_either() {
    let disk = log(&[vec![100]]);
    let (_, name, first) = frames(&disk).remove(0);
    // A group of three, whose first frame never came to the disk.
    disk.edit(&name, |bytes| {
        let group = group_of(&FileHeader::read(bytes).unwrap(), 2, 2..5);
        bytes[first.end..first.end + group.len()].copy_from_slice(&group);
        bytes[first.end] ^= 1;
    });
    Shared(Arc::clone(&disk)).create("00000000000000000009.log", 4096).unwrap();
    assert_eq!(read(&disk).unwrap().0, [1]);
    assert_eq!(salvaged(&disk), (vec![1], vec![]));
}

#[test]
fn files_that_contradict_each_other_are_damage_and_the_later_one_holds() {
    let disk = log(&vec![vec![500]; 20]);
    let names = disk.names();
    let second = frames(&disk).iter().find(|(_, name, _)| *name == names[1]).unwrap().0;
    for (file, first_lsn) in [(1, second + 1), (1, second - 1), (1, second - 2), (0, 100), (1, 100)] {
        let disk = disk.after_power_cut();
        disk.edit(&names[file], |bytes| {
            let header = FileHeader::read(bytes).unwrap();
            bytes[..HEADER_BYTES].copy_from_slice(&FileHeader { first_lsn, ..header }.write());
        });
        let whole = salvaged(&disk).0;
        assert!(whole.len() > 3 && whole.windows(2).all(|pair| pair[0] < pair[1]), "{whole:?}");
        check_cut(&disk, &whole);
    }
}

#[test]
fn a_number_that_no_log_reaches_is_no_frame() {
    let disk = log(&[vec![100]]);
    let (_, name, first) = frames(&disk).remove(0);
    disk.edit(&name, |bytes| {
        let header = FileHeader::read(bytes).unwrap();
        let mut frame = Vec::new();
        let position = frame::Position { lsn: u64::MAX, group: u64::MAX, last_of_group: true };
        frame::write_frame(&mut frame, &header, position, &Record::Seal { epoch: 1 });
        bytes[first.end..first.end + frame.len()].copy_from_slice(&frame);
    });
    assert_eq!(read(&disk).unwrap().0, [1]);
    assert_eq!(salvaged(&disk), (vec![1], vec![]));
}

#[test]
fn a_lost_file_is_a_hole_behind_the_file_before_it() {
    let disk = log(&vec![vec![500]; 30]);
    let of_files: Vec<String> = disk.names();
    let frames = frames(&disk);
    Shared(Arc::clone(&disk)).remove(&of_files[1]).unwrap();
    let whole: Vec<u64> = frames.iter().filter(|(_, name, _)| *name != of_files[1]).map(|(lsn, ..)| *lsn).collect();
    let holes = salvaged(&disk).1;
    assert_eq!((holes.len(), holes[0].records()), (1, Some(30 - whole.len() as u64)));
    check_cut(&disk, &whole);
}

#[test]
fn behind_a_lost_header_everything_whole_is_found_and_the_newest_file_is_not_taken_for_new() {
    for index in 0..3 {
        // The header alone, or with frames behind it as when a block of a disk is lost.
        for length in [64, 700] {
            let disk = log(&vec![vec![500]; 20]);
            let name = disk.names()[index].clone();
            let is_whole = |(_, file, place): &&(u64, String, Range<usize>)| *file != name || place.start >= length;
            let whole: Vec<u64> = frames(&disk).iter().filter(is_whole).map(|(lsn, ..)| *lsn).collect();
            spoil(&disk, &name, 0..length);
            assert!(salvaged(&disk).1.iter().any(|hole| hole.why.contains("header")), "{:?}", salvaged(&disk).1);
            check_cut(&disk, &whole);
        }
    }
}

#[test]
fn behind_a_lost_header_the_last_group_counts_if_another_stood_before_it() {
    let disk = log(&[vec![100]]);
    let (_, name, first) = frames(&disk).remove(0);
    disk.edit(&name, |bytes| {
        let group = group_of(&FileHeader::read(bytes).unwrap(), 2, 2..5);
        bytes[first.end..first.end + group.len()].copy_from_slice(&group);
    });
    spoil(&disk, &name, 0..first.end + 10);
    check_cut(&disk, &[3, 4]);
}

#[test]
fn a_header_with_one_frame_behind_it_costs_the_file_and_is_told_once() {
    let disk = log(&vec![vec![3_900]; 4]);
    let name = disk.names()[1].clone();
    spoil(&disk, &name, 0..64);
    let holes = salvaged(&disk).1;
    assert!(holes.len() == 1 && holes[0].file == name, "{holes:?}");
    check_cut(&disk, &[1, 3, 4]);

    let disk = log(&[vec![100]]);
    spoil(&disk, &disk.names()[0].clone(), 0..64);
    check_cut(&disk, &[]);
}

#[test]
fn a_name_that_is_damaged_costs_nothing_also_where_it_says_a_later_format() {
    for bit in 0..8 {
        for index in 0..2 {
            // A single frame is enough: the header says the rest.
            let disk = log(&[vec![3_900], vec![100]]);
            let name = disk.names()[index].clone();
            disk.edit(&name, |bytes| bytes[7] ^= 1 << bit);
            let error = read(&disk).unwrap_err();
            assert!(matches!(&error, Error::Damaged { what, .. } if what.contains(&name)), "bit {bit}: {error}");
            let holes = salvaged(&disk).1;
            assert!(holes.len() == 1 && holes[0].file == name && holes[0].records() == Some(0), "{holes:?}");
            check_cut(&disk, &[1, 2]);
        }
        // Nothing was written behind it.
        let disk = log(&[vec![100]]);
        let newest = "00000000000000000009.log";
        Shared(Arc::clone(&disk)).create(newest, 4_096).unwrap();
        let header = FileHeader { generation: 9, salt: 5, first_lsn: 2, first_group: 2, synced: true };
        disk.edit(newest, |bytes| bytes[..HEADER_BYTES].copy_from_slice(&header.write()));
        disk.edit(newest, |bytes| bytes[7] ^= 1 << bit);
        assert_eq!(read(&disk).unwrap().0, [1]);
        assert_eq!(salvaged(&disk), (vec![1], vec![]));
    }
}

#[test]
fn a_recycled_file_that_never_got_its_header_holds_nothing() {
    let disk = log(&vec![vec![500]; 12]);
    let (names, whole) = (disk.names(), read(&disk).unwrap().0);
    let mut old = disk.cached.lock().unwrap()[&names[0]].lock().unwrap().cached.clone();
    // What a client sent looks like frames of the file to come.
    let posed = FileHeader { generation: 9, salt: 5, ..FileHeader::read(&old).unwrap() };
    let frames = group_of(&posed, 1, 13..20);
    old[HEADER_BYTES..HEADER_BYTES + frames.len()].copy_from_slice(&frames);
    let newest = "00000000000000000009.log";
    Shared(Arc::clone(&disk)).create(newest, old.len() as u64).unwrap();
    disk.edit(newest, |bytes| bytes.copy_from_slice(&old));
    assert_eq!(read(&disk).unwrap().0, whole);
    assert_eq!(salvaged(&disk), (whole, vec![]));
}

#[test]
fn what_is_put_in_a_hole_is_replayed_there() {
    let disk = log(&vec![vec![100]; 5]);
    let (_, name, place) = frames(&disk).remove(1);
    spoil(&disk, &name, place.start..place.start + 200);
    cut(&Shared(Arc::clone(&disk)), &|_| Ok(()), KEPT, |_| vec![Record::Seal { epoch: 7 }]).unwrap();
    let mut order = Vec::new();
    replay(&Shared(Arc::clone(&disk)), |lsn, record| {
        order.push((lsn.0, matches!(record, Record::Seal { epoch: 7 })));
        Ok(())
    })
    .unwrap();
    assert_eq!(order, [(1, false), (2, true), (4, false), (5, false)]);
    let error = {
        let (_, name, place) = frames(&disk).remove(0);
        spoil(&disk, &name, place);
        cut(&Shared(Arc::clone(&disk)), &|_| Ok(()), KEPT, |_| vec![Record::Seal { epoch: 7 }; 2]).unwrap_err()
    };
    assert!(error.to_string().contains("more must be put there"), "{error}");
}

#[test]
fn every_hole_is_asked_about_in_order_also_the_one_that_the_log_began_with() {
    let disk = log(&vec![vec![3_900]; 4]);
    let names = disk.names();
    spoil(&disk, &names[0], 0..64);
    let (_, name, place) = frames(&disk).remove(1);
    spoil(&disk, &name, place);
    let told = salvaged(&disk).1;
    assert_eq!((told.len(), told[0].first_lsn), (2, None));
    let mut asked = Vec::new();
    cut(&Shared(Arc::clone(&disk)), &|_| Ok(()), KEPT, |hole| {
        asked.push(hole.clone());
        Vec::new()
    })
    .unwrap();
    assert_eq!(asked, told);
}

#[test]
fn a_record_that_is_refused_is_a_hole_of_its_own() {
    let disk = log(&vec![vec![100]; 3]);
    let check = |record: &Record| match record {
        Record::Request(request) if request.arrival.0 == 2 => Err("it does not decode".to_owned()),
        _ => Ok(()),
    };
    let mut holes = Vec::new();
    salvage(&Shared(Arc::clone(&disk)), &check, |found| {
        if let Found::Hole(hole) = found {
            holes.push(hole.to_string());
        }
    })
    .unwrap();
    assert!(holes.len() == 1 && holes[0].contains("it does not decode; missing: lsn 2"), "{holes:?}");
    cut(&Shared(Arc::clone(&disk)), &check, KEPT, |_| Vec::new()).unwrap();
    assert_eq!(read(&disk).unwrap().0, [1, 3]);
}

#[test]
fn records_of_a_later_version_are_refused_and_not_cut() {
    let disk = log(&vec![vec![100]; 2]);
    let (_, name, place) = frames(&disk).remove(0);
    disk.edit(&name, |bytes| {
        let header = FileHeader::read(bytes).unwrap();
        let mut frame = Vec::new();
        let position = frame::Position { lsn: 1, group: 1, last_of_group: true };
        frame::write_frame_of(&mut frame, &header, position, 99, |out| out.resize(out.len() + 130, 0));
        bytes[place].copy_from_slice(&frame);
    });
    let error = cut(&Shared(Arc::clone(&disk)), &|_| Ok(()), KEPT, |_| Vec::new()).unwrap_err().to_string();
    assert!(error.contains("of a later version"), "{error}");
}

#[test]
fn a_file_of_a_later_format_is_refused_and_not_passed_over_or_cut() {
    let disk = log(&vec![vec![100]; 2]);
    let (_, name, _) = frames(&disk).remove(0);
    disk.edit(&name, |bytes| {
        bytes.truncate(HEADER_BYTES + 1000);
        bytes.iter_mut().skip(8).for_each(|byte| *byte ^= 0x5A);
        bytes[..8].copy_from_slice(b"SPANWAL2");
    });
    let refused = |error: Error| {
        let Error::Read { what, source } = &error else { panic!("{error}") };
        assert!(what.contains(&name) && source.to_string().contains("format 2"), "{what}: {source}");
    };
    refused(read(&disk).unwrap_err());
    refused(cut(&Shared(Arc::clone(&disk)), &|_| Ok(()), KEPT, |_| Vec::new()).unwrap_err());
}

#[test]
fn of_another_format_is_a_file_whose_checksum_covers_its_name_too() {
    for version in b'2'..=b'9' {
        let disk = log(&vec![vec![100]; 2]);
        let (_, name, _) = frames(&disk).remove(0);
        disk.edit(&name, |bytes| {
            bytes[7] = version;
            let checksum = crc32c::crc32c_append(crc32c::crc32c(&bytes[..8]), &bytes[16..HEADER_BYTES]);
            bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
        });
        let refused = |error: Error| {
            let Error::Read { what, source } = &error else { panic!("{error}") };
            let format = format!("format {}", char::from(version));
            assert!(what.contains(&name) && source.to_string().contains(&format), "{what}: {source}");
        };
        refused(read(&disk).unwrap_err());
        refused(salvage(&Shared(Arc::clone(&disk)), &|_| Ok(()), |_| {}).unwrap_err());
        // The same bytes with the checksum of today are today's.
        disk.edit(&name, |bytes| {
            let checksum = crc32c::crc32c(&bytes[16..HEADER_BYTES]);
            bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
        });
        assert!(matches!(read(&disk), Err(Error::Damaged { .. })));
        assert_eq!(salvaged(&disk).0, [1, 2]);
    }
}

proptest! {
    // No files beside the sources: a finding becomes a test of its own.
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any stretches of bytes are spoiled: replay takes the log or refuses it, and after cutting it reads exactly the
    /// records outside of the damage.
    #[test]
    fn cutting_leaves_exactly_the_records_outside_of_the_damage(
        groups in proptest::collection::vec(proptest::collection::vec(8usize..700, 1..4), 3..30),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), 0usize..4096, 1usize..900), 1..3),
    ) {
        let disk = log(&groups);
        let (names, frames) = (disk.names(), frames(&disk));
        let mut whole: Vec<u64> = (1..=frames.len() as u64).collect();
        let mut spoiled: std::collections::BTreeMap<(&String, usize), u8> = Default::default();
        for (file, at, length) in &damage {
            let name = file.get(&names);
            for byte in *at..at + length {
                *spoiled.entry((name, byte)).or_default() ^= 0x5A;
            }
        }
        spoiled.retain(|_, change| *change != 0);
        for ((name, at), change) in &spoiled {
            disk.edit(name, |bytes| if let Some(byte) = bytes.get_mut(*at) { *byte ^= change });
        }
        let is_hit = |name: &String, range: Range<usize>| spoiled.range((name, range.start)..(name, range.end)).next().is_some();
        whole.retain(|lsn| {
            let (_, name, place) = &frames[*lsn as usize - 1];
            !is_hit(name, place.clone())
        });
        // One frame does not tell a lost header, of which nobody needs the name and the zeros.
        let lost = |name: &String| is_hit(name, 8..12) || is_hit(name, 16..HEADER_BYTES);
        let file_of = |lsn: &u64| &frames[*lsn as usize - 1].1;
        let mut left: std::collections::BTreeMap<&String, usize> = Default::default();
        whole.iter().for_each(|lsn| *left.entry(file_of(lsn)).or_default() += 1);
        whole.retain(|lsn| left[file_of(lsn)] > 1 || !lost(file_of(lsn)));
        match read(&disk) {
            // Nothing is damaged, or the last group alone.
            Ok((numbers, _)) => {
                prop_assert_eq!(salvaged(&disk), (numbers.clone(), vec![]));
                prop_assert!(whole.starts_with(&numbers));
            }
            Err(Error::Damaged { .. }) => {
                // Behind the last whole group the log may end torn.
                let found = salvaged(&disk).0;
                prop_assert!(whole.starts_with(&found), "{:?} {:?}", whole, found);
                let last_group = groups.last().map_or(0, Vec::len);
                prop_assert!(whole.len() - found.len() <= last_group, "{:?} {:?}", whole, found);
                check_cut(&disk, &found);
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}
