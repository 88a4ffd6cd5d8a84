//! A data directory without a server, for reading: the WAL is replayed into memory and nothing is written.

use std::path::Path;
use std::sync::{Arc, Mutex};

use object_store::ObjectStore;

use crate::clock::Clock;
use crate::config::Config;
use crate::lock::DirectoryLock;
use crate::memory::Memory;
use crate::recovery::{self, DataDirectory};
use crate::request::Decoder;
use crate::snapshot::{Snapshot, SnapshotSource};
use crate::view::View;
use crate::wal::LocalDisk;
use crate::{Error, Result};

#[derive(Debug)]
pub struct ReadOnlyStore {
    memory: Mutex<Memory>,
    view: View,
    objects: Arc<dyn ObjectStore>,
    _lock: DirectoryLock,
}

impl ReadOnlyStore {
    /// Opens `directory`, which must exist and have no server.
    pub async fn open(directory: &Path, config: &Config, clock: &dyn Clock, decoder: Arc<dyn Decoder>) -> Result<Self> {
        let found = DataDirectory::new(directory);
        if !found.tables().is_dir() {
            return Err(Error::Read {
                what: format!("data directory {}", directory.display()),
                source: "no server has ever written to it".into(),
            });
        }
        let lock = DirectoryLock::shared(directory)?;
        let tables = recovery::read_tables(&found).await?;
        let objects = recovery::segment_store(&found)?;
        let disk = Arc::new(LocalDisk::existing(found.wal()));
        let (memory, _) = recovery::rebuild(tables, &objects, disk, decoder, config, clock.now(), |_| {}).await?;
        Ok(Self { memory: Mutex::new(memory), view: View::default(), objects, _lock: lock })
    }
}

impl SnapshotSource for ReadOnlyStore {
    fn snapshot(&self) -> Result<Snapshot> {
        self.view.snapshot(&self.memory)
    }

    fn object_store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.objects)
    }
}
