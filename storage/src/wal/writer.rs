//! The writer: one thread, one sync a group of appends, deliveries in LSN order.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::direct::BLOCK_BYTES;
use super::disk::{Disk, LogFile};
use super::frame::{FileHeader, Frames, HEADER_BYTES, LARGEST_NUMBER, Position, frame_size_hint};
use super::record::Record;
use super::replay::ReplayReport;
use super::room::{is_full, not_created};
use super::status::{Histogram, WalStatus};
use crate::{Error, Result};

/// Log sequence number: the place of a record in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

/// When an append counts as durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// After the device has it: survives a power cut.
    #[default]
    Fsync,
    /// After the operating system has it: survives the end of the process, not a power cut.
    Os,
}

#[derive(Debug, Clone)]
pub struct WalConfig {
    pub durability: Durability,
    /// Size of a log file. A group that is larger gets a file of its own size.
    pub file_bytes: u64,
    /// Appends that may wait for the disk; beyond, they are refused.
    pub queue_bytes: usize,
    /// How much one sync may cover.
    pub group_bytes: usize,
    /// Recycled files kept for later.
    pub spare_files: usize,
}

impl Default for WalConfig {
    fn default() -> Self {
        Self {
            durability: Durability::Fsync,
            file_bytes: 64 << 20,
            queue_bytes: 64 << 20,
            group_bytes: 8 << 20,
            spare_files: 2,
        }
    }
}

impl WalConfig {
    /// Below, a file would be spent on little more than its header.
    const MIN_FILE_BYTES: u64 = 1 << 16;

    pub fn validate(&self) -> Result<()> {
        if self.file_bytes < Self::MIN_FILE_BYTES {
            return Err(Error::Config(format!(
                "wal.file_bytes is {}, but a log file needs at least {}",
                self.file_bytes,
                Self::MIN_FILE_BYTES
            )));
        }
        for (name, bytes) in [("queue_bytes", self.queue_bytes), ("group_bytes", self.group_bytes)] {
            if bytes == 0 {
                return Err(Error::Config(format!("wal.{name} is 0, but must be at least 1")));
            }
        }
        Ok(())
    }
}

/// An append that is durable, delivered in LSN order.
#[derive(Debug)]
pub struct Durable<T> {
    pub lsn: Lsn,
    pub payload: T,
}

struct Queue<T> {
    entries: VecDeque<(Record, T)>,
    bytes: usize,
    closed: bool,
    /// The writer has files to look at.
    released: bool,
    /// Why nothing can be written until the disk has room again.
    full: Option<String>,
    /// A full disk ends the log instead of being waited for.
    leaving: bool,
}

struct Shared<T> {
    queue: Mutex<Queue<T>>,
    filled: Condvar,
    queue_bytes: usize,
    /// Everything below is in committed segments.
    released: AtomicU64,
    bytes: AtomicU64,
    files: AtomicU64,
    /// Nanoseconds a sync.
    syncs: Histogram,
    /// Records a group.
    groups: Histogram,
    group_bytes: AtomicU64,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, Queue<T>> {
        // The queue stays consistent at every step, so a panic elsewhere does not spoil it.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Appends to the log. Dropping the last handle ends the writer after what is queued.
pub struct WalHandle<T> {
    shared: Arc<Shared<T>>,
}

impl<T> std::fmt::Debug for WalHandle<T> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("WalHandle").finish_non_exhaustive()
    }
}

impl<T> WalHandle<T> {
    /// Queues a record. Its payload is delivered once it is durable, and dropped if it never will be.
    pub fn append(&self, record: Record, payload: T) -> Result<()> {
        let bytes = frame_size_hint(&record);
        let mut queue = self.shared.lock();
        if queue.closed {
            return Err(Error::Closed);
        }
        if let Some(why) = queue.full.as_ref().filter(|_| matches!(record, Record::Request(_))) {
            return Err(Error::Busy(why.clone()));
        }
        // Decisions and seals free memory, so they are never refused; they are small and few.
        if matches!(record, Record::Request(_)) && queue.bytes > 0 && queue.bytes + bytes > self.shared.queue_bytes {
            return Err(Error::Busy(format!("{} bytes wait for the WAL", queue.bytes)));
        }
        queue.bytes += bytes;
        queue.entries.push_back((record, payload));
        self.shared.filled.notify_one();
        Ok(())
    }

    /// Lets files be recycled that hold nothing at or above `lsn`.
    pub fn release(&self, lsn: Lsn) {
        self.shared.released.fetch_max(lsn.0, Ordering::Relaxed);
        // An idle writer recycles, too.
        self.shared.lock().released = true;
        self.shared.filled.notify_one();
    }

    /// From now on a full disk is not waited for: what has no room on it is dropped, unwritten, and the log ends.
    pub fn stop_waiting(&self) {
        self.shared.lock().leaving = true;
        self.shared.filled.notify_all();
    }

    /// Takes no more appends; the writer ends after what is queued.
    pub fn close(&self) {
        self.shared.lock().closed = true;
        self.shared.filled.notify_all();
    }

    pub fn status(&self) -> WalStatus {
        let shared = &self.shared;
        let (queued_records, queued_bytes) = {
            let queue = shared.lock();
            (queue.entries.len() as u64, queue.bytes as u64)
        };
        let (sync_buckets, syncs, sync_nanos) = shared.syncs.read();
        let (group_buckets, groups, group_records) = shared.groups.read();
        WalStatus {
            bytes: shared.bytes.load(Ordering::Relaxed),
            files: shared.files.load(Ordering::Relaxed),
            queued_records,
            queued_bytes,
            syncs,
            sync_nanos,
            sync_buckets,
            groups,
            group_records,
            group_bytes: shared.group_bytes.load(Ordering::Relaxed),
            group_buckets,
        }
    }
}

impl<T> Drop for WalHandle<T> {
    fn drop(&mut self) {
        self.close();
    }
}

/// Starts the writer behind what `replayed` found. `deliver` gets each durable group; after an error it gets the error,
/// once, and nothing more.
pub fn start<T: Send + 'static>(
    disk: Arc<dyn Disk>,
    config: WalConfig,
    replayed: &ReplayReport,
    mut deliver: impl FnMut(Result<Vec<Durable<T>>>) + Send + 'static,
) -> Result<(WalHandle<T>, std::thread::JoinHandle<()>)> {
    let shared = Arc::new(Shared {
        queue: Mutex::new(Queue {
            entries: VecDeque::new(),
            bytes: 0,
            closed: false,
            released: false,
            full: None,
            leaving: false,
        }),
        filled: Condvar::new(),
        queue_bytes: config.queue_bytes,
        released: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
        files: AtomicU64::new(0),
        syncs: Histogram::default(),
        groups: Histogram::default(),
        group_bytes: AtomicU64::new(0),
    });
    let mut writer = Writer::open(disk, config, replayed).map_err(write_error)?;
    writer.publish(&shared);
    let handle = WalHandle { shared: Arc::clone(&shared) };
    let thread = std::thread::Builder::new()
        .name("wal".to_owned())
        .spawn(move || {
            while let Some(group) = next_group(&shared, writer.config.group_bytes) {
                if group.is_empty() {
                    // A file that cannot be removed now is tried again with the next group.
                    let _ = writer.recycle(&shared);
                    continue;
                }
                let room = make_room(&mut writer, &group, &shared);
                let written = room.and_then(|()| writer.write_group(group, &shared)).map_err(write_error);
                let failed = written.is_err();
                deliver(written);
                if failed {
                    // The page cache cannot be trusted after a failed sync, so nothing is tried again.
                    let mut queue = shared.lock();
                    queue.closed = true;
                    queue.entries.clear();
                    break;
                }
            }
        })
        .map_err(write_error)?;
    Ok((handle, thread))
}

/// How long a full disk is left alone.
const ROOM_PAUSE: Duration = Duration::from_millis(500);

/// Gives the group a file that has room for it. While the disk has none it waits here, unwritten, and other requests are refused; so
/// nothing is damaged, and all goes on once there is room. Only who leaves gives up.
fn make_room<T>(writer: &mut Writer, group: &[(Record, T)], shared: &Shared<T>) -> io::Result<()> {
    loop {
        let made = writer.recycle(shared).and_then(|()| writer.room_for(group));
        let mut queue = shared.lock();
        match made {
            Err(error) if is_full(&error) && !(queue.closed || queue.leaving) => {
                if queue.full.is_none() {
                    tracing::error!(error = %error, "requests are refused until the disk has room");
                }
                queue.full = Some(format!("{error}: free some, or set retention.max_bytes; what is stored is safe"));
                // A release may have files to recycle, which is room as well.
                let waited = shared.filled.wait_timeout(queue, ROOM_PAUSE);
                drop(waited.unwrap_or_else(PoisonError::into_inner));
            }
            made => {
                if queue.full.take().is_some() && made.is_ok() {
                    tracing::info!("the disk has room again");
                }
                return made;
            }
        }
    }
}

fn write_error(source: io::Error) -> Error {
    Error::Write { what: "the WAL".to_owned(), source }
}

/// Waits for appends and takes a group of them: none if there are only files to recycle. `None` when closed and empty.
fn next_group<T>(shared: &Shared<T>, group_bytes: usize) -> Option<Vec<(Record, T)>> {
    let mut queue = shared.lock();
    while queue.entries.is_empty() {
        if queue.closed {
            return None;
        }
        if std::mem::take(&mut queue.released) {
            return Some(Vec::new());
        }
        queue = shared.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
    }
    let mut group = Vec::new();
    let mut bytes = 0;
    while let Some((record, _)) = queue.entries.front() {
        let size = frame_size_hint(record);
        if bytes > 0 && bytes + size > group_bytes {
            break;
        }
        bytes += size;
        group.extend(queue.entries.pop_front());
    }
    queue.bytes = queue.bytes.saturating_sub(bytes);
    Some(group)
}

/// A file of the log that is no longer written.
#[derive(Debug)]
struct FullFile {
    name: String,
    /// LSNs below this one are in it.
    end_lsn: u64,
    size_bytes: u64,
}

#[derive(Debug)]
struct CurrentFile {
    file: Box<dyn LogFile>,
    header: FileHeader,
    offset: u64,
    size_bytes: u64,
}

struct Writer {
    disk: Arc<dyn Disk>,
    config: WalConfig,
    full: VecDeque<FullFile>,
    spares: Vec<String>,
    /// `None` if there was no room for it at the start.
    current: Option<CurrentFile>,
    /// Of the newest file.
    generation: u64,
    next_lsn: u64,
    next_group: u64,
    frames: Frames,
}

impl Writer {
    fn open(disk: Arc<dyn Disk>, config: WalConfig, replayed: &ReplayReport) -> io::Result<Self> {
        // Whole blocks are written, and must not make a file longer than it was preallocated.
        let config = WalConfig { file_bytes: config.file_bytes.next_multiple_of(BLOCK_BYTES as u64), ..config };
        let mut spares = Vec::new();
        let mut generation = 0;
        for name in disk.list()? {
            match generation_of(&name) {
                Some(of_file) => {
                    generation = generation.max(of_file);
                    if !replayed.files.iter().any(|(known, _)| *known == of_file) {
                        // Its making was interrupted before anything was acknowledged.
                        disk.remove(&name)?;
                    }
                }
                None if name.starts_with(SPARE) => spares.push(name),
                None => {}
            }
        }
        let mut full = VecDeque::new();
        for (index, (of_file, _)) in replayed.files.iter().enumerate() {
            let name = file_name(*of_file);
            let file = disk.open(&name)?;
            // Replay may have read what the page cache alone had. It is acted upon from now on, so it must be durable.
            file.sync()?;
            let end_lsn = replayed.files.get(index + 1).map_or(replayed.next_lsn, |(_, first_lsn)| *first_lsn);
            full.push_back(FullFile { name, end_lsn, size_bytes: file.size_bytes()? });
        }
        let mut writer = Self {
            disk,
            config,
            full,
            spares,
            current: None,
            generation,
            next_lsn: replayed.next_lsn,
            next_group: replayed.next_group,
            frames: Frames::default(),
        };
        match writer.rotate(0) {
            Err(error) if is_full(&error) => {
                tracing::error!(error = %error, "what is stored can be queried; requests wait until the disk has room");
            }
            opened => opened?,
        }
        Ok(writer)
    }

    /// Goes on to another file if the group has no room in this one. Fails before anything of it is written.
    fn room_for<T>(&mut self, group: &[(Record, T)]) -> io::Result<()> {
        let needed: usize = group.iter().map(|(record, _)| frame_size_hint(record)).sum();
        match &self.current {
            Some(current) if current.offset + needed as u64 <= current.size_bytes => Ok(()),
            _ => self.rotate(needed as u64),
        }
    }

    /// Writes a group that has room.
    fn write_group<T>(&mut self, group: Vec<(Record, T)>, shared: &Shared<T>) -> io::Result<Vec<Durable<T>>> {
        // What a seal closes is committed, synced, to the tables, which must never be ahead of the log.
        let sync = self.config.durability == Durability::Fsync
            || group.iter().any(|(record, _)| matches!(record, Record::Seal { .. }));
        let count = group.len();
        let Some(current) = &mut self.current else { return Err(io::Error::other("there is no file to write to")) };
        let mut durable = Vec::with_capacity(count);
        for (index, (record, payload)) in group.into_iter().enumerate() {
            let position = Position { lsn: self.next_lsn, group: self.next_group, last_of_group: index + 1 == count };
            self.frames.push(&current.header, position, &record);
            durable.push(Durable { lsn: Lsn(self.next_lsn), payload });
            self.next_lsn += 1;
        }
        self.next_group += 1;
        let bytes = self.frames.len() as u64;
        current.file.write_parts_at(&mut self.frames.slices(), current.offset)?;
        // What clients sent must not stay in memory until the next group.
        self.frames.clear();
        current.offset += bytes;
        if sync {
            let start = std::time::Instant::now();
            current.file.sync()?;
            let nanos = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
            shared.syncs.add(nanos, &WalStatus::sync_bounds_nanos());
        }
        shared.groups.add(count as u64, &WalStatus::group_bounds_records());
        shared.group_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.publish(shared);
        Ok(durable)
    }

    /// Goes on to another file with room for `needed` bytes.
    fn rotate(&mut self, needed: u64) -> io::Result<()> {
        if let (Durability::Os, Some(full)) = (self.config.durability, &self.current) {
            // What follows must not become durable before it.
            full.file.sync()?;
        }
        let header = FileHeader {
            generation: self.generation + 1,
            salt: rand::random(),
            first_lsn: self.next_lsn,
            first_group: self.next_group,
            synced: self.config.durability == Durability::Fsync,
        };
        let size = self.config.file_bytes.max((needed + HEADER_BYTES as u64).next_multiple_of(BLOCK_BYTES as u64));
        let next = new_file(&*self.disk, &mut self.spares, header, size)?;
        self.generation += 1;
        if let Some(full) = self.current.replace(next) {
            self.full.push_back(FullFile {
                name: file_name(full.header.generation),
                end_lsn: self.next_lsn,
                size_bytes: full.size_bytes,
            });
        }
        Ok(())
    }

    /// Oldest first and never past a file still needed, each step durable before the next, so that the log has no
    /// holes.
    fn recycle<T>(&mut self, shared: &Shared<T>) -> io::Result<()> {
        let released = shared.released.load(Ordering::Relaxed);
        while let Some(file) = self.full.front().filter(|file| file.end_lsn <= released) {
            if self.spares.len() < self.config.spare_files && file.size_bytes == self.config.file_bytes {
                let spare = format!("{SPARE}{}", file.name);
                self.disk.rename(&file.name, &spare)?;
                self.spares.push(spare);
            } else {
                self.disk.remove(&file.name)?;
            }
            // Only now: a file that could not be removed is tried again, and none behind it goes first.
            self.full.pop_front();
            self.disk.sync()?;
        }
        self.publish(shared);
        Ok(())
    }

    fn publish<T>(&self, shared: &Shared<T>) {
        let full: u64 = self.full.iter().map(|file| file.size_bytes).sum();
        let current = self.current.as_ref().map_or(0, |current| current.offset);
        shared.bytes.store(full + current, Ordering::Relaxed);
        shared.files.store(self.full.len() as u64 + u64::from(self.current.is_some()), Ordering::Relaxed);
    }
}

/// A file for `header`, from a spare one where its size serves; durable under its name before any frame is in it.
fn new_file(disk: &dyn Disk, spares: &mut Vec<String>, header: FileHeader, size_bytes: u64) -> io::Result<CurrentFile> {
    let name = file_name(header.generation);
    let mut file = None;
    if let Some(spare) = spares.pop() {
        disk.rename(&spare, &name)?;
        let recycled = disk.open(&name)?;
        if recycled.size_bytes()? == size_bytes {
            file = Some(recycled);
        } else {
            disk.remove(&name)?;
        }
    }
    let file = match file {
        Some(file) => file,
        // What was made of it must not stand in the way of the next try.
        None => {
            let created = disk.create(&name, size_bytes).inspect_err(|_| drop(disk.remove(&name)));
            created.map_err(|error| not_created(error, disk.place(), size_bytes))?
        }
    };
    file.write_at(&header.write(), 0)?;
    file.sync()?;
    disk.sync()?;
    Ok(CurrentFile { file, header, offset: HEADER_BYTES as u64, size_bytes })
}

const SPARE: &str = "spare-";

pub(super) fn file_name(generation: u64) -> String {
    format!("{generation:020}.log")
}

pub(super) fn generation_of(name: &str) -> Option<u64> {
    let generation = name.strip_suffix(".log").filter(|digits| digits.len() == 20)?.parse().ok()?;
    (generation <= LARGEST_NUMBER).then_some(generation)
}
