//! A segment in the object store as Parquet's reader wants it, read by ranges.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};
use tokio::runtime::Handle;

/// How much a reader without an end fetches at once.
const READ_BYTES: u64 = 256 << 10;

/// Waits for the object store on the thread that reads, so use it on none of the runtime's.
#[derive(Debug, Clone)]
pub struct StoredFile {
    objects: Arc<dyn ObjectStore>,
    location: Path,
    size_bytes: u64,
    runtime: Handle,
}

impl StoredFile {
    pub fn new(objects: Arc<dyn ObjectStore>, location: Path, size_bytes: u64, runtime: Handle) -> Self {
        Self { objects, location, size_bytes, runtime }
    }

    fn fetch(&self, start: u64, length: u64) -> Result<Bytes> {
        let end = start.saturating_add(length);
        if end > self.size_bytes {
            return Err(ParquetError::EOF(format!("{} ends at {} and not at {end}", self.location, self.size_bytes)));
        }
        if length == 0 {
            return Ok(Bytes::new());
        }
        let fetched = self.runtime.block_on(self.objects.get_range(&self.location, start..end));
        fetched.map_err(|error| ParquetError::External(Box::new(error)))
    }
}

impl Length for StoredFile {
    fn len(&self) -> u64 {
        self.size_bytes
    }
}

impl ChunkReader for StoredFile {
    type T = StoredRead;

    fn get_read(&self, start: u64) -> Result<StoredRead> {
        Ok(StoredRead { file: self.clone(), at: start, fetched: Bytes::new() })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        self.fetch(start, length as u64)
    }
}

/// From some place on to the file's end.
#[derive(Debug)]
pub struct StoredRead {
    file: StoredFile,
    at: u64,
    fetched: Bytes,
}

impl Read for StoredRead {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.fetched.is_empty() {
            let length = READ_BYTES.min(self.file.size_bytes.saturating_sub(self.at));
            self.fetched = self.file.fetch(self.at, length).map_err(io::Error::other)?;
            self.at += length;
        }
        let count = out.len().min(self.fetched.len());
        self.fetched.copy_to_slice(&mut out[..count]);
        Ok(count)
    }
}
