//! Log files on a disk. A trait, so that a test can stand for a disk that forgets what was not synced.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// A directory of log files.
pub trait Disk: Send + Sync + std::fmt::Debug {
    fn list(&self) -> io::Result<Vec<String>>;
    /// Creates the file with room for `size_bytes`. It is not durable until [`Disk::sync`].
    fn create(&self, name: &str, size_bytes: u64) -> io::Result<Box<dyn LogFile>>;
    fn open(&self, name: &str) -> io::Result<Box<dyn LogFile>>;
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes creations, renames and removals durable.
    fn sync(&self) -> io::Result<()>;
}

/// One log file.
pub trait LogFile: Send + std::fmt::Debug {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes what was written durable.
    fn sync(&self) -> io::Result<()>;
    fn read(&self) -> io::Result<Vec<u8>>;
    fn size_bytes(&self) -> io::Result<u64>;
}

/// A real directory.
#[derive(Debug)]
pub struct LocalDisk {
    directory: PathBuf,
}

impl LocalDisk {
    /// The directory, made if it does not exist.
    pub fn open(directory: PathBuf) -> io::Result<Self> {
        std::fs::create_dir_all(&directory)?;
        Ok(Self { directory })
    }

    /// The directory as it is, for reading alone.
    pub fn existing(directory: PathBuf) -> Self {
        Self { directory }
    }
}

impl Disk for LocalDisk {
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
        Ok(Box::new(file))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
        Ok(Box::new(options().open(self.directory.join(name))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.directory.join(from), self.directory.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.directory.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }
}

fn options() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    // The log holds what clients sent, so it is for the server's user alone.
    options.read(true).write(true).mode(0o600);
    options
}

impl LogFile for File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn read(&self) -> io::Result<Vec<u8>> {
        let size = usize::try_from(self.size_bytes()?).map_err(io::Error::other)?;
        let mut bytes = vec![0; size];
        self.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    fn size_bytes(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}
