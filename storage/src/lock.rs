//! A data directory has one server. The lock is the operating system's, so a killed server leaves none behind.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::{Error, Result};

/// Held as long as the value lives.
#[derive(Debug)]
pub struct DirectoryLock {
    _file: Option<File>,
}

const NAME: &str = "lock";

impl DirectoryLock {
    /// For the one process that may write.
    pub fn exclusive(directory: &Path) -> Result<Self> {
        let failed = |source| Error::Write { what: format!("lock of {}", directory.display()), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(directory.join(NAME))
            .map_err(failed)?;
        take(directory, &mut file, FlockOperation::NonBlockingLockExclusive)?;
        file.set_len(0).and_then(|()| file.rewind()).map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Self { _file: Some(file) })
    }

    /// For reading while no server runs. Writes nothing, so a directory that never had a server needs no lock.
    pub fn shared(directory: &Path) -> Result<Self> {
        match File::open(directory.join(NAME)) {
            Ok(mut file) => {
                take(directory, &mut file, FlockOperation::NonBlockingLockShared)?;
                Ok(Self { _file: Some(file) })
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self { _file: None }),
            Err(source) => {
                Err(Error::Read { what: format!("lock of {}", directory.display()), source: Box::new(source) })
            }
        }
    }
}

fn take(directory: &Path, file: &mut File, operation: FlockOperation) -> Result<()> {
    flock(&*file, operation).map_err(|_| {
        let mut holder = String::new();
        // Without the number the message is still true.
        let _ = file.read_to_string(&mut holder);
        let holder = holder.trim();
        Error::Locked {
            path: directory.to_owned(),
            holder: if holder.is_empty() { "unknown" } else { holder }.to_owned(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_writer_or_many_readers() {
        let directory = tempfile::tempdir().unwrap();
        let readers =
            (DirectoryLock::shared(directory.path()).unwrap(), DirectoryLock::shared(directory.path()).unwrap());
        drop(readers);
        let writer = DirectoryLock::exclusive(directory.path()).unwrap();
        let own = std::process::id().to_string();
        for refused in [DirectoryLock::exclusive(directory.path()), DirectoryLock::shared(directory.path())] {
            assert!(matches!(refused, Err(Error::Locked { holder, .. }) if holder == own));
        }
        drop(writer);
        let _readers =
            (DirectoryLock::shared(directory.path()).unwrap(), DirectoryLock::shared(directory.path()).unwrap());
        assert!(DirectoryLock::exclusive(directory.path()).is_err());
    }
}
