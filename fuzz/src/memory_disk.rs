//! A directory of log files in memory.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use storage::wal::{Disk, LogFile};

type Contents = Arc<Mutex<Vec<u8>>>;

#[derive(Debug, Default)]
pub struct MemoryDisk {
    files: Mutex<BTreeMap<String, Contents>>,
}

#[derive(Debug)]
struct MemoryFile(Contents);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryDisk {
    pub fn with(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let files = files.into_iter().map(|(name, bytes)| (name, Arc::new(Mutex::new(bytes)))).collect();
        Self { files: Mutex::new(files) }
    }

    /// Names and bytes, in order of the names.
    pub fn contents(&self) -> Vec<(String, Vec<u8>)> {
        lock(&self.files).iter().map(|(name, bytes)| (name.clone(), lock(bytes).clone())).collect()
    }
}

impl Disk for MemoryDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(lock(&self.files).keys().cloned().collect())
    }

    fn create(&self, name: &str, size_bytes: u64) -> io::Result<Box<dyn LogFile>> {
        let size = usize::try_from(size_bytes).map_err(io::Error::other)?;
        let contents = Arc::new(Mutex::new(vec![0; size]));
        lock(&self.files).insert(name.to_owned(), Arc::clone(&contents));
        Ok(Box::new(MemoryFile(contents)))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
        let contents = lock(&self.files).get(name).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(MemoryFile(contents)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = lock(&self.files);
        let contents = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), contents);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        lock(&self.files).remove(name).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn keep_aside(&self, name: &str, folder: &str) -> io::Result<()> {
        let mut files = lock(&self.files);
        let contents = files.get(name).cloned().ok_or(io::ErrorKind::NotFound)?;
        files.insert(format!("{folder}/{name}"), contents);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

impl LogFile for MemoryFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut contents = lock(&self.0);
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let end = start.checked_add(bytes.len()).ok_or(io::ErrorKind::InvalidInput)?;
        if contents.len() < end {
            contents.resize(end, 0);
        }
        contents[start..end].copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn read(&self) -> io::Result<Vec<u8>> {
        Ok(lock(&self.0).clone())
    }

    fn size_bytes(&self) -> io::Result<u64> {
        Ok(lock(&self.0).len() as u64)
    }
}
