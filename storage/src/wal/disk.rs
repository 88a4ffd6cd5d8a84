//! Log files on a disk. A trait, so that a test can stand for a disk that forgets what was not synced.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::direct::DirectWriter;

/// A directory of log files.
pub trait Disk: Send + Sync + std::fmt::Debug {
    /// Where it is, for whoever has to make room on it.
    fn place(&self) -> String {
        "the write-ahead log".to_owned()
    }
    fn list(&self) -> io::Result<Vec<String>>;
    /// Creates the file with room for `size_bytes`. It is not durable until [`Disk::sync`].
    fn create(&self, name: &str, size_bytes: u64) -> io::Result<Box<dyn LogFile>>;
    fn open(&self, name: &str) -> io::Result<Box<dyn LogFile>>;
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Gives the file a second name, `folder/name`, under which it stays when the first is replaced or removed. Durable
    /// on return.
    fn keep_aside(&self, name: &str, folder: &str) -> io::Result<()>;
    /// Makes creations, renames and removals durable.
    fn sync(&self) -> io::Result<()>;
}

/// One log file.
pub trait LogFile: Send + std::fmt::Debug {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Writes `parts` one behind the other.
    fn write_parts_at(&self, parts: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        let mut offset = offset;
        for part in parts {
            self.write_at(part, offset)?;
            offset += part.len() as u64;
        }
        Ok(())
    }
    /// Makes what was written durable.
    fn sync(&self) -> io::Result<()>;
    fn read(&self) -> io::Result<Vec<u8>>;
    fn size_bytes(&self) -> io::Result<u64>;
}

/// More parts than this one call does not take (`IOV_MAX`).
const MOST_PARTS: usize = 1024;

/// A real directory.
#[derive(Debug)]
pub struct LocalDisk {
    directory: PathBuf,
    /// For syncs. Kept open: a handle of its own for each would not be told of failures before it was opened.
    handle: Option<File>,
}

impl LocalDisk {
    /// The directory, made if it does not exist.
    pub fn open(directory: PathBuf) -> io::Result<Self> {
        std::fs::create_dir_all(&directory)?;
        let handle = Some(File::open(&directory)?);
        Ok(Self { directory, handle })
    }

    /// The directory as it is, for reading alone.
    pub fn existing(directory: PathBuf) -> Self {
        Self { directory, handle: None }
    }
}

impl Disk for LocalDisk {
    fn place(&self) -> String {
        self.directory.canonicalize().unwrap_or_else(|_| self.directory.clone()).display().to_string()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let entries = match std::fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn create(&self, name: &str, size_bytes: u64) -> io::Result<Box<dyn LogFile>> {
        let file = options().create_new(true).open(self.directory.join(name))?;
        // Room is taken now: running out of disk must show here, not in the middle of a group.
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, size_bytes).or_else(|error| {
            // Some file systems cannot reserve; a sparse file serves there.
            if error == rustix::io::Errno::OPNOTSUPP { rustix::fs::ftruncate(&file, size_bytes) } else { Err(error) }
        })?;
        file.sync_all()?;
        Ok(Box::new(LocalFile::new(file, self.directory.join(name))))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
        let path = self.directory.join(name);
        Ok(Box::new(LocalFile::new(options().open(&path)?, path)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.directory.join(from), self.directory.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.directory.join(name))
    }

    fn keep_aside(&self, name: &str, folder: &str) -> io::Result<()> {
        let (original, folder) = (self.directory.join(name), self.directory.join(folder));
        std::fs::create_dir_all(&folder)?;
        let kept = folder.join(name);
        std::fs::hard_link(&original, &kept).or_else(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Err(error),
            // Some file systems have no second names.
            _ => std::fs::copy(&original, &kept).and_then(|_| File::open(&kept)?.sync_all()),
        })?;
        File::open(&folder)?.sync_all()?;
        self.sync()
    }

    fn sync(&self) -> io::Result<()> {
        match &self.handle {
            Some(directory) => directory.sync_all(),
            None => Err(io::Error::new(io::ErrorKind::Unsupported, "the directory was opened for reading alone")),
        }
    }
}

fn options() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    // The log holds what clients sent, so it is for the server's user alone.
    options.read(true).write(true).mode(0o600);
    options
}

/// A log file, and the way past the page cache once it is appended to.
#[derive(Debug)]
struct LocalFile {
    file: File,
    /// Where it was opened; nobody renames a file that is appended to.
    path: PathBuf,
    direct: RefCell<Direct>,
}

#[derive(Debug)]
enum Direct {
    Untried,
    Works(Box<DirectWriter>),
    /// The file system has none.
    Refused,
}

impl LocalFile {
    fn new(file: File, path: PathBuf) -> Self {
        Self { file, path, direct: RefCell::new(Direct::Untried) }
    }

    fn write_buffered(&self, mut parts: &mut [IoSlice<'_>], mut offset: u64) -> io::Result<()> {
        while !parts.is_empty() {
            let now = parts.len().min(MOST_PARTS);
            let written = match rustix::io::pwritev(&self.file, &parts[..now], offset) {
                Err(rustix::io::Errno::INTR) => continue,
                written => written?,
            };
            if written == 0 {
                // Empty parts alone, or a file that takes no more.
                if parts.iter().all(|part| part.is_empty()) {
                    return Ok(());
                }
                return Err(io::ErrorKind::WriteZero.into());
            }
            offset += written as u64;
            IoSlice::advance_slices(&mut parts, written);
        }
        Ok(())
    }
}

impl LogFile for LocalFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn write_parts_at(&self, parts: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        let mut direct = self.direct.borrow_mut();
        if matches!(*direct, Direct::Untried) {
            *direct = match open_direct(&self.path)? {
                Some(file) => Direct::Works(Box::new(DirectWriter::new(file))),
                None => Direct::Refused,
            };
        }
        if let Direct::Works(writer) = &mut *direct {
            match writer.write(parts, offset, |present, offset| self.file.read_exact_at(present, offset)) {
                // Some file systems refuse only now. Nothing was written.
                Err(error) if is_refusal(&error) => *direct = Direct::Refused,
                written => return written,
            }
        }
        self.write_buffered(parts, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn read(&self) -> io::Result<Vec<u8>> {
        let size = usize::try_from(self.size_bytes()?).map_err(io::Error::other)?;
        let mut bytes = vec![0; size];
        self.file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    fn size_bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}

/// `None` where the file system knows no direct writes.
fn open_direct(path: &Path) -> io::Result<Option<File>> {
    use std::os::unix::fs::OpenOptionsExt;
    let flags = i32::try_from(rustix::fs::OFlags::DIRECT.bits()).map_err(io::Error::other)?;
    match OpenOptions::new().write(true).custom_flags(flags).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if is_refusal(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_refusal(error: &io::Error) -> bool {
    let refusals = [rustix::io::Errno::INVAL, rustix::io::Errno::OPNOTSUPP];
    refusals.iter().any(|refusal| error.raw_os_error() == Some(refusal.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_parts_than_one_call_takes_lie_one_behind_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let disk = LocalDisk::open(folder.path().to_owned()).unwrap();
        let parts: Vec<Vec<u8>> = (0..2 * MOST_PARTS + 3).map(|number| vec![number as u8; number % 7]).collect();
        let expected = parts.concat();
        let file = disk.create("log", 5 + expected.len() as u64).unwrap();
        let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
        file.write_parts_at(&mut slices, 5).unwrap();
        file.write_parts_at(&mut [IoSlice::new(&[]), IoSlice::new(&[])], 0).unwrap();
        let written = file.read().unwrap();
        assert_eq!(&written[..5 + expected.len()], [vec![0; 5], expected].concat());
    }

    #[test]
    fn appends_are_read_back_whichever_way_they_went() {
        let folder = tempfile::tempdir().unwrap();
        let disk = LocalDisk::open(folder.path().to_owned()).unwrap();
        let sizes = [1, 4_095, 4_096, 4_097, 100, 3 << 20, 7, 1 << 20, 8_192, 0, 33];
        let mut expected = b"header".to_vec();
        let files = ["buffered", "direct"].map(|name| disk.create(name, 8 << 20).unwrap());
        files.iter().for_each(|file| file.write_at(&expected, 0).unwrap());
        let buffered = LocalFile::new(options().open(folder.path().join("buffered")).unwrap(), PathBuf::new());
        for (number, size) in sizes.into_iter().enumerate() {
            let bytes: Vec<u8> = (0..size).map(|at| (at * 7 + number) as u8 | 1).collect();
            let (head, tail) = bytes.split_at(size / 3);
            let offset = expected.len() as u64;
            buffered.write_buffered(&mut [IoSlice::new(head), IoSlice::new(tail)], offset).unwrap();
            files[1].write_parts_at(&mut [IoSlice::new(head), IoSlice::new(tail)], offset).unwrap();
            expected.extend(bytes);
            for file in &files {
                let written = file.read().unwrap();
                assert_eq!(&written[..expected.len()], expected, "after {number} writes");
                assert!(written[expected.len()..].iter().all(|byte| *byte == 0), "after {number} writes");
            }
            // A second writer begins where the first one stopped.
            if number == 4 {
                let again = disk.open("direct").unwrap();
                again.write_parts_at(&mut [IoSlice::new(b"again")], expected.len() as u64).unwrap();
                buffered.write_buffered(&mut [IoSlice::new(b"again")], expected.len() as u64).unwrap();
                expected.extend(b"again");
            }
        }
    }
}
