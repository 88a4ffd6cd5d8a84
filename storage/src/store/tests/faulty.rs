//! An object store and a disk that fail where a test says so, and a clock that a test sets.

use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::path::Path as Location;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result, UploadPart,
};

use crate::Clock;
use crate::model::UnixNanos;

use super::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Fault {
    None,
    Put,
    Part,
    Complete,
    /// Reads never end ...
    Hang,
    /// ... and one of them has begun.
    Hanging,
    /// Reads begin once there is another fault, or none ...
    Wait,
    /// ... and one of them would.
    Waiting,
    Delete,
}

#[derive(Debug)]
pub struct FaultyStore {
    inner: Arc<dyn ObjectStore>,
    fault: Arc<AtomicU8>,
}

#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<AtomicU8>);

impl Faults {
    pub fn set(&self, fault: Fault) {
        self.0.store(fault as u8, Ordering::Relaxed);
    }

    /// Until a read waits for another fault, or for ever.
    pub async fn waiting(&self) {
        let is_waiting = || [Fault::Waiting as u8, Fault::Hanging as u8].contains(&self.0.load(Ordering::Relaxed));
        let begun = async {
            while !is_waiting() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), begun).await.expect("something reads");
    }

    pub fn on(&self, inner: Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> {
        Arc::new(FaultyStore { inner, fault: Arc::clone(&self.0) })
    }
}

fn full() -> object_store::Error {
    object_store::Error::Generic {
        store: "FaultyStore",
        source: Box::new(std::io::Error::from(std::io::ErrorKind::StorageFull)),
    }
}

impl FaultyStore {
    fn check(&self, fault: Fault) -> Result<()> {
        if self.fault.load(Ordering::Relaxed) == fault as u8 { Err(full()) } else { Ok(()) }
    }
}

impl std::fmt::Display for FaultyStore {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "FaultyStore({})", self.inner)
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(&self, location: &Location, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.check(Fault::Put)?;
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Location,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let inner = self.inner.put_multipart_opts(location, options).await?;
        Ok(Box::new(FaultyUpload { inner, fault: Arc::clone(&self.fault) }))
    }

    async fn get_opts(&self, location: &Location, options: GetOptions) -> Result<GetResult> {
        let (hang, hanging) = (Fault::Hang as u8, Fault::Hanging as u8);
        if [hang, hanging].contains(&self.fault.load(Ordering::Relaxed)) {
            let _ = self.fault.compare_exchange(hang, hanging, Ordering::Relaxed, Ordering::Relaxed);
            std::future::pending::<()>().await;
        }
        let (wait, waiting) = (Fault::Wait as u8, Fault::Waiting as u8);
        while [wait, waiting].contains(&self.fault.load(Ordering::Relaxed)) {
            let _ = self.fault.compare_exchange(wait, waiting, Ordering::Relaxed, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Location>>) -> BoxStream<'static, Result<Location>> {
        if self.check(Fault::Delete).is_err() {
            return Box::pin(futures::stream::once(async { Err(full()) }));
        }
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Location>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Location>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Location, to: &Location, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[derive(Debug)]
struct FaultyUpload {
    inner: Box<dyn MultipartUpload>,
    fault: Arc<AtomicU8>,
}

#[async_trait]
impl MultipartUpload for FaultyUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        if self.fault.load(Ordering::Relaxed) == Fault::Part as u8 {
            return Box::pin(async { Err(full()) });
        }
        self.inner.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        if self.fault.load(Ordering::Relaxed) == Fault::Complete as u8 {
            return Err(full());
        }
        self.inner.complete().await
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}

/// A log's disk that has no room for files while its object store cannot be written.
#[derive(Debug)]
pub struct FaultyDisk {
    pub inner: LocalDisk,
    pub faults: Faults,
}

impl wal::Disk for FaultyDisk {
    fn place(&self) -> String {
        self.inner.place()
    }
    fn list(&self) -> std::io::Result<Vec<String>> {
        self.inner.list()
    }
    fn create(&self, name: &str, size_bytes: u64) -> std::io::Result<Box<dyn wal::LogFile>> {
        match self.faults.0.load(Ordering::Relaxed) {
            fault if fault == Fault::Put as u8 => Err(std::io::ErrorKind::StorageFull.into()),
            _ => self.inner.create(name, size_bytes),
        }
    }
    fn open(&self, name: &str) -> std::io::Result<Box<dyn wal::LogFile>> {
        self.inner.open(name)
    }
    fn rename(&self, from: &str, to: &str) -> std::io::Result<()> {
        self.inner.rename(from, to)
    }
    fn remove(&self, name: &str) -> std::io::Result<()> {
        self.inner.remove(name)
    }
    fn keep_aside(&self, name: &str, folder: &str) -> std::io::Result<()> {
        self.inner.keep_aside(name, folder)
    }
    fn sync(&self) -> std::io::Result<()> {
        self.inner.sync()
    }
}

#[derive(Debug)]
pub struct SetClock(AtomicI64);

impl SetClock {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(crate::SystemClock.now().0)))
    }

    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_nanos()).unwrap(), Ordering::Relaxed);
    }
}

impl Clock for SetClock {
    fn now(&self) -> UnixNanos {
        UnixNanos(self.0.load(Ordering::Relaxed))
    }
}
