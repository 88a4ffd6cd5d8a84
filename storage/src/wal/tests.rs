//! The log on a disk that forgets whatever was not synced.

mod damage;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, mpsc};

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::model::{TraceId, UnixNanos};
use crate::request::{ContentType, Encoding, Request};
use crate::{Error, Result};

/// What a file holds in the page cache, and what the device has.
#[derive(Debug, Default, Clone)]
struct Contents {
    cached: Vec<u8>,
    durable: Vec<u8>,
}

type Files = BTreeMap<String, Arc<Mutex<Contents>>>;

/// A directory whose names and bytes survive a power cut only once synced.
#[derive(Debug, Default)]
struct ForgetfulDisk {
    cached: Mutex<Files>,
    durable: Mutex<Files>,
    fail_syncs: std::sync::atomic::AtomicBool,
    /// Files can be begun and get no room.
    full: std::sync::atomic::AtomicBool,
}

#[derive(Debug)]
struct ForgetfulFile {
    contents: Arc<Mutex<Contents>>,
    disk: Arc<ForgetfulDisk>,
}

impl ForgetfulDisk {
    /// The disk as it is after a power cut: unsynced bytes are as before, unsynced names are gone.
    fn after_power_cut(&self) -> Arc<Self> {
        let files: Files = self
            .durable
            .lock()
            .unwrap()
            .iter()
            .map(|(name, contents)| {
                let durable = contents.lock().unwrap().durable.clone();
                (name.clone(), Arc::new(Mutex::new(Contents { cached: durable.clone(), durable })))
            })
            .collect();
        Arc::new(Self { cached: Mutex::new(files.clone()), durable: Mutex::new(files), ..Self::default() })
    }

    fn edit(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let file = Arc::clone(&self.cached.lock().unwrap()[name]);
        let mut contents = file.lock().unwrap();
        change(&mut contents.cached);
        contents.durable = contents.cached.clone();
    }

    fn names(&self) -> Vec<String> {
        self.cached.lock().unwrap().keys().cloned().collect()
    }
}

/// [`Disk`] needs files that know their disk.
#[derive(Debug, Clone)]
struct Shared(Arc<ForgetfulDisk>);

impl Disk for Shared {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.names())
    }
    fn create(&self, name: &str, size_bytes: u64) -> io::Result<Box<dyn LogFile>> {
        if self.0.names().iter().any(|known| known == name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let full = self.0.full.load(std::sync::atomic::Ordering::SeqCst);
        let zeros = vec![0; if full { 0 } else { size_bytes as usize }];
        let contents = Arc::new(Mutex::new(Contents { cached: zeros.clone(), durable: zeros }));
        self.0.cached.lock().unwrap().insert(name.to_owned(), Arc::clone(&contents));
        if full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(Box::new(ForgetfulFile { contents, disk: Arc::clone(&self.0) }))
    }
    fn open(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
        let contents = self.0.cached.lock().unwrap().get(name).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(ForgetfulFile { contents, disk: Arc::clone(&self.0) }))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.0.cached.lock().unwrap();
        let contents = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), contents);
        Ok(())
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.cached.lock().unwrap().remove(name);
        Ok(())
    }
    fn keep_aside(&self, name: &str, folder: &str) -> io::Result<()> {
        let mut files = self.0.cached.lock().unwrap();
        let contents = files.get(name).cloned().ok_or(io::ErrorKind::NotFound)?;
        files.insert(format!("{folder}/{name}"), contents);
        Ok(())
    }
    fn sync(&self) -> io::Result<()> {
        *self.0.durable.lock().unwrap() = self.0.cached.lock().unwrap().clone();
        Ok(())
    }
}

impl LogFile for ForgetfulFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut contents = self.contents.lock().unwrap();
        let offset = offset as usize;
        contents.cached[offset..offset + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
    fn sync(&self) -> io::Result<()> {
        if self.disk.fail_syncs.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(io::Error::other("no more"));
        }
        let mut contents = self.contents.lock().unwrap();
        contents.durable = contents.cached.clone();
        Ok(())
    }
    fn read(&self) -> io::Result<Vec<u8>> {
        Ok(self.contents.lock().unwrap().cached.clone())
    }
    fn size_bytes(&self) -> io::Result<u64> {
        Ok(self.contents.lock().unwrap().cached.len() as u64)
    }
}

fn request(number: u64, size: usize) -> Record {
    let mut body = number.to_le_bytes().to_vec();
    body.resize(size.max(8), 0xAB);
    Record::Request(Request {
        arrival: UnixNanos(number as i64),
        content_type: ContentType::OtlpProtobuf,
        encoding: Encoding::Gzip,
        body: Bytes::from(body),
        content_hash: u128::from(number),
        judged_by: Bytes::from_static(&[9; 3]),
    })
}

fn small_files() -> WalConfig {
    WalConfig { file_bytes: 4096, ..WalConfig::default() }
}

/// Opens the log, replays it, and returns the arrival numbers of its requests.
fn read(disk: &Arc<ForgetfulDisk>) -> Result<(Vec<u64>, ReplayReport)> {
    let mut numbers = Vec::new();
    let report = replay(&Shared(Arc::clone(disk)), |_, record| {
        if let Record::Request(request) = record {
            numbers.push(request.arrival.0 as u64);
        }
        Ok(())
    })?;
    Ok((numbers, report))
}

struct Running {
    handle: WalHandle<u64>,
    acked: mpsc::Receiver<Result<Vec<u64>>>,
}

fn run(disk: &Arc<ForgetfulDisk>, config: WalConfig) -> Running {
    let (_, report) = read(disk).unwrap();
    let (sender, acked) = mpsc::channel();
    let (handle, _) =
        start(Arc::new(Shared(Arc::clone(disk))), config, &report, move |group: Result<Vec<Durable<u64>>>| {
            let _ = sender.send(group.map(|group| group.into_iter().map(|durable| durable.payload).collect()));
        })
        .unwrap();
    Running { handle, acked }
}

impl Running {
    fn append_and_wait(&self, number: u64, size: usize) {
        self.handle.append(request(number, size), number).unwrap();
        assert_eq!(self.acked.recv().unwrap().unwrap(), [number]);
    }
}

#[test]
fn what_was_acknowledged_survives_a_power_cut() {
    let disk = Arc::new(ForgetfulDisk::default());
    let wal = run(&disk, small_files());
    let mut acked = Vec::new();
    // Files of 4 KiB: the numbers go over several of them.
    for number in 1..=40 {
        wal.append_and_wait(number, 500);
        acked.push(number);
        assert_eq!(read(&disk.after_power_cut()).unwrap().0, acked, "after the ack of {number}");
    }
}

#[test]
fn without_sync_a_power_cut_loses_what_was_acknowledged() {
    // The twin of the test above: it shows that the disk of these tests does forget.
    let disk = Arc::new(ForgetfulDisk::default());
    let wal = run(&disk, WalConfig { durability: Durability::Os, ..small_files() });
    wal.append_and_wait(1, 500);
    assert_eq!(read(&disk).unwrap().0, [1]);
    assert_eq!(read(&disk.after_power_cut()).unwrap().0, Vec::<u64>::new());
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged() {
    let disk = Arc::new(ForgetfulDisk::default());
    let wal = run(&disk, small_files());
    wal.append_and_wait(1, 100);
    disk.fail_syncs.store(true, std::sync::atomic::Ordering::SeqCst);
    wal.handle.append(request(2, 100), 2).unwrap();
    assert!(matches!(wal.acked.recv().unwrap(), Err(Error::Write { .. })));
    disk.fail_syncs.store(false, std::sync::atomic::Ordering::SeqCst);
    // The writer is gone for good, although the disk works again.
    while wal.handle.append(request(3, 100), 3).is_ok() {}
    assert!(wal.acked.recv().is_err());
}

#[test]
fn a_full_disk_refuses_requests_loses_nothing_and_goes_on_once_there_is_room() {
    let disk = Arc::new(ForgetfulDisk::default());
    let wal = run(&disk, small_files());
    wal.append_and_wait(1, 3_000);
    disk.full.store(true, std::sync::atomic::Ordering::SeqCst);
    wal.append_and_wait(2, 100);
    // There is no room for this one. It waits, and those behind it are refused, with what to do.
    wal.handle.append(request(3, 3_000), 3).unwrap();
    let refused = loop {
        match wal.handle.append(request(4, 10), 4) {
            Ok(()) => std::thread::yield_now(),
            Err(error) => break error,
        }
    };
    assert!(matches!(&refused, Error::Busy(why) if why.contains("no room") && why.contains("retention.max_bytes")));
    wal.handle.append(Record::Seal { epoch: 1 }, 5).unwrap();
    assert_eq!(read(&disk.after_power_cut()).unwrap().0, [1, 2]);
    disk.full.store(false, std::sync::atomic::Ordering::SeqCst);
    let mut acked = Vec::new();
    while acked.last() != Some(&5) {
        acked.extend(wal.acked.recv().unwrap().unwrap());
    }
    assert_eq!((acked[0], acked.last()), (3, Some(&5)));
    wal.append_and_wait(6, 10);
    let (numbers, _) = read(&disk.after_power_cut()).unwrap();
    assert_eq!((&numbers[..3], numbers.last()), (&[1, 2, 3][..], Some(&6)));
}

#[test]
fn a_full_disk_does_not_keep_a_log_from_closing() {
    let disk = Arc::new(ForgetfulDisk::default());
    let wal = run(&disk, small_files());
    wal.append_and_wait(1, 3_000);
    disk.full.store(true, std::sync::atomic::Ordering::SeqCst);
    wal.handle.append(request(2, 3_000), 2).unwrap();
    wal.handle.close();
    assert!(matches!(wal.acked.recv().unwrap(), Err(Error::Write { .. })));
    disk.full.store(false, std::sync::atomic::Ordering::SeqCst);
    run(&disk, small_files()).append_and_wait(3, 10);
}

#[test]
fn who_leaves_does_not_wait_for_a_full_disk_and_is_told_how_much_it_lacks() {
    let disk = Arc::new(ForgetfulDisk::default());
    let wal = run(&disk, small_files());
    wal.append_and_wait(1, 3_000);
    disk.full.store(true, std::sync::atomic::Ordering::SeqCst);
    wal.handle.append(request(2, 3_000), 2).unwrap();
    // What still has room is written.
    wal.handle.stop_waiting();
    match wal.acked.recv_timeout(std::time::Duration::from_secs(20)).unwrap() {
        Err(Error::Write { source, .. }) => {
            assert_eq!(source.kind(), io::ErrorKind::StorageFull);
            assert_eq!(source.to_string(), "the disk of the write-ahead log has no room for a log file of 4096 bytes");
        }
        other => panic!("{other:?}"),
    }
    while wal.handle.append(request(3, 10), 3).is_ok() {}
    disk.full.store(false, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(read(&disk.after_power_cut()).unwrap().0, [1]);
    let wal = run(&disk, small_files());
    wal.handle.stop_waiting();
    wal.append_and_wait(4, 3_000);
    assert_eq!(read(&disk.after_power_cut()).unwrap().0, [1, 4]);
}

#[test]
fn a_log_is_opened_on_a_full_disk_and_goes_on_once_there_is_room() {
    let disk = Arc::new(ForgetfulDisk::default());
    run(&disk, small_files()).append_and_wait(1, 3_000);
    disk.full.store(true, std::sync::atomic::Ordering::SeqCst);
    for _ in 0..2 {
        let wal = run(&disk, small_files());
        assert_eq!((wal.handle.status().files, read(&disk.after_power_cut()).unwrap().0), (1, vec![1]));
    }
    let wal = run(&disk, small_files());
    wal.handle.append(request(2, 100), 2).unwrap();
    let refused = loop {
        match wal.handle.append(request(3, 10), 3) {
            Ok(()) => std::thread::yield_now(),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, Error::Busy(_)), "{refused}");
    disk.full.store(false, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(wal.acked.recv().unwrap().unwrap()[0], 2);
    let (numbers, report) = read(&disk.after_power_cut()).unwrap();
    assert_eq!((&numbers[..2], report.torn_bytes), (&[1, 2][..], 0));
}

#[test]
fn files_are_recycled_once_released_and_old_frames_in_them_are_not_read() {
    let disk = Arc::new(ForgetfulDisk::default());
    let wal = run(&disk, small_files());
    for number in 1..=60 {
        wal.append_and_wait(number, 500);
        wal.handle.release(Lsn(number));
    }
    let names = disk.names();
    assert!(names.len() <= 4, "{names:?}");
    let (numbers, _) = read(&disk).unwrap();
    assert_eq!(*numbers.last().unwrap(), 60);
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
}

#[test]
fn the_log_goes_on_behind_a_torn_end() {
    let disk = Arc::new(ForgetfulDisk::default());
    let wal = run(&disk, small_files());
    wal.append_and_wait(1, 100);
    wal.append_and_wait(2, 100);
    drop(wal);
    let name = disk.names()[0].clone();
    // The second frame was half written.
    disk.edit(&name, |bytes| bytes[64 + 33 + 130 + 60] ^= 1);
    let (numbers, report) = read(&disk).unwrap();
    assert_eq!(numbers, [1]);
    assert_eq!(report.torn_bytes, 0, "a frame that no longer reads cannot be told from old bytes");
    let wal = run(&disk, small_files());
    wal.append_and_wait(3, 100);
    assert_eq!(read(&disk).unwrap().0, [1, 3]);
}

#[test]
fn damage_before_a_later_group_is_refused_with_its_place() {
    let disk = Arc::new(ForgetfulDisk::default());
    let wal = run(&disk, small_files());
    for number in 1..=3 {
        wal.append_and_wait(number, 100);
    }
    drop(wal);
    let name = disk.names()[0].clone();
    disk.edit(&name, |bytes| bytes[64 + 50] ^= 1);
    let error = read(&disk).unwrap_err().to_string();
    assert!(error.contains(&name) && error.contains("offset 64") && error.contains("lsn 1"), "{error}");
}

#[test]
fn a_lost_file_between_others_is_refused() {
    let disk = Arc::new(ForgetfulDisk::default());
    let wal = run(&disk, small_files());
    for number in 1..=30 {
        wal.append_and_wait(number, 500);
    }
    drop(wal);
    let middle = disk.names()[1].clone();
    Shared(Arc::clone(&disk)).remove(&middle).unwrap();
    assert!(matches!(read(&disk).unwrap_err(), Error::Damaged { .. }));
}

#[test]
fn a_full_queue_refuses_requests_but_never_decisions() {
    let disk = Arc::new(ForgetfulDisk::default());
    let config = WalConfig { queue_bytes: 1000, ..small_files() };
    let (_, report) = read(&disk).unwrap();
    let (hold, held) = mpsc::channel::<()>();
    let (handle, _) =
        start(Arc::new(Shared(Arc::clone(&disk))), config, &report, move |_: Result<Vec<Durable<()>>>| {
            let _ = held.recv();
        })
        .unwrap();
    handle.append(request(1, 100), ()).unwrap();
    let refused = (0..100).find_map(|number| handle.append(request(number, 500), ()).err());
    assert!(matches!(refused, Some(Error::Busy(_))));
    handle.append(Record::Seal { epoch: 1 }, ()).unwrap();
    drop(hold);
}

#[test]
fn long_and_short_requests_of_a_group_are_read_as_they_came() {
    let disk = Arc::new(ForgetfulDisk::default());
    let sizes = [8, 5_000, 100, 4_096, 4_095, 9_000];
    let wal = run(&disk, WalConfig { file_bytes: 64 << 10, ..small_files() });
    for (number, size) in sizes.into_iter().enumerate() {
        wal.handle.append(request(number as u64, size), number as u64).unwrap();
    }
    let mut acked = 0;
    while acked < sizes.len() {
        acked += wal.acked.recv().unwrap().unwrap().len();
    }
    let mut bodies = Vec::new();
    replay(&Shared(Arc::clone(&disk)), |_, record| {
        if let Record::Request(request) = record {
            bodies.push(request.body);
        }
        Ok(())
    })
    .unwrap();
    let expected = sizes.into_iter().enumerate().map(|(number, size)| match request(number as u64, size) {
        Record::Request(request) => request.body,
        other => panic!("{other:?}"),
    });
    assert_eq!(bodies, expected.collect::<Vec<_>>());
}

#[test]
fn records_round_trip() {
    let decisions = vec![
        Decision {
            adjusted_count: Some(2.5),
            head_count: Some(2.0),
            keep_reason: "slow".into(),
            class: "slow".into(),
            shape: u64::MAX - 7,
            policy_revision: 3,
            ..Decision::keep_all(TraceId::from_bytes([7; 16]).unwrap())
        },
        Decision {
            keep: false,
            adjusted_count: None,
            head_count: None,
            keep_reason: "".into(),
            policy_revision: -1,
            ..Decision::keep_all(TraceId::from_bytes([8; 16]).unwrap())
        },
    ];
    let mut bytes = Vec::new();
    Record::Decisions(decisions.clone()).write(&mut bytes);
    let Record::Decisions(read) = Record::read(record::DECISIONS, Bytes::from(bytes.clone())).unwrap() else {
        panic!()
    };
    assert_eq!(read, decisions);
    bytes.pop();
    assert!(Record::read(record::DECISIONS, Bytes::from(bytes)).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is cut off the end, a prefix of the log is read, never anything else.
    #[test]
    fn any_truncated_log_replays_a_prefix(count in 1u64..12, size in 8usize..400, keep in 0usize..4096) {
        let disk = Arc::new(ForgetfulDisk::default());
        let wal = run(&disk, WalConfig { file_bytes: 1 << 16, ..WalConfig::default() });
        for number in 1..=count {
            wal.append_and_wait(number, size);
        }
        drop(wal);
        let name = disk.names()[0].clone();
        disk.edit(&name, |bytes| { let keep = keep.min(bytes.len()); bytes[keep..].fill(0); });
        let (numbers, _) = read(&disk).unwrap();
        let expected: Vec<u64> = (1..=numbers.len() as u64).collect();
        prop_assert_eq!(numbers, expected);
    }

    /// A flipped byte is found: the log is refused, or only its last group is missing.
    #[test]
    fn a_flipped_byte_never_goes_unseen(at in 64usize..700, bit in 0u8..8) {
        let disk = Arc::new(ForgetfulDisk::default());
        let wal = run(&disk, small_files());
        for number in 1..=4 {
            wal.append_and_wait(number, 100);
        }
        drop(wal);
        let end = 64 + 4 * (33 + 130);
        let name = disk.names()[0].clone();
        disk.edit(&name, |bytes| bytes[at] ^= 1 << bit);
        match read(&disk) {
            Ok((numbers, _)) if at >= end => prop_assert_eq!(numbers, vec![1, 2, 3, 4]),
            Ok((numbers, _)) => prop_assert_eq!(numbers, vec![1, 2, 3]),
            Err(error) => prop_assert!(matches!(error, Error::Damaged { .. }), "{}", error),
        }
    }
}
