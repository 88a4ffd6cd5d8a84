//! A small file of the data directory that is replaced as a whole.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use collector::Durable;

#[derive(Debug, Clone)]
pub struct DataFile {
    path: PathBuf,
    /// One writer at a time: whoever waits for a write may be gone before it ends.
    writing: Arc<Mutex<()>>,
}

impl DataFile {
    pub fn new(data: &Path, name: &str) -> Self {
        Self { path: data.join(name), writing: Arc::default() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `None` if it was never written.
    pub fn read(&self) -> anyhow::Result<Option<Vec<u8>>> {
        match std::fs::read(&self.path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", self.path.display())),
        }
    }
}

impl Durable for DataFile {
    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = self.path.clone().into_os_string();
        next.push(".next");
        let mut file = std::fs::File::create(&next)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&next, &self.path)?;
        let directory = self.path.parent().unwrap_or(Path::new("."));
        std::fs::File::open(directory)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_what_was_written_last() {
        let data = tempfile::tempdir().unwrap();
        let file = DataFile::new(data.path(), "state");
        assert_eq!(file.read().unwrap(), None);
        file.replace(b"longer than the next").unwrap();
        file.replace(b"short").unwrap();
        assert_eq!(file.read().unwrap().as_deref(), Some(&b"short"[..]));
        // Half a file of a write that was cut short is passed over.
        std::fs::write(data.path().join("state.next"), b"ha").unwrap();
        assert_eq!(file.read().unwrap().as_deref(), Some(&b"short"[..]));
        assert!(DataFile::new(&data.path().join("gone"), "state").replace(b"").is_err());
    }
}
