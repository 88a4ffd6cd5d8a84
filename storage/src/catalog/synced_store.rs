//! A local object store that syncs. `object_store`'s own never does, so a power cut could leave an empty log entry, and
//! with it a table that nobody can read.

use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};

use super::listing;

/// Reads through `LocalFileSystem`; writes a temporary file, syncs it, gives it its name, and syncs the directory.
#[derive(Debug, Clone)]
pub struct SyncedStore {
    files: Arc<LocalFileSystem>,
}

impl std::fmt::Display for SyncedStore {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "SyncedStore({})", self.files)
    }
}

impl SyncedStore {
    /// The whole file system, as `deltalake` wants it.
    pub fn at_root() -> Self {
        Self { files: Arc::new(LocalFileSystem::new()) }
    }

    /// Paths below `directory`, which must exist.
    pub fn below(directory: &FilePath) -> Result<Self> {
        Ok(Self { files: Arc::new(LocalFileSystem::new_with_prefix(directory)?) })
    }

    async fn write(&self, location: &Path, payload: PutPayload, create: bool) -> Result<PutResult> {
        let path = self.files.path_to_filesystem(location)?;
        let shown = location.to_string();
        let written = tokio::task::spawn_blocking(move || write_synced(&path, &payload, create))
            .await
            .map_err(|source| object_store::Error::JoinError { source })?;
        match written {
            Ok(()) => Ok(PutResult { e_tag: None, version: None }),
            Err(error) if create && error.kind() == io::ErrorKind::AlreadyExists => {
                Err(object_store::Error::AlreadyExists { path: shown, source: Box::new(error) })
            }
            Err(error) => Err(object_store::Error::Generic { store: "SyncedStore", source: Box::new(error) }),
        }
    }
}

fn write_synced(path: &FilePath, payload: &PutPayload, create: bool) -> io::Result<()> {
    let directory = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    create_synced(directory)?;
    let temporary = temporary_beside(path);
    let written = (|| {
        let mut file = File::create_new(&temporary)?;
        for part in payload.iter() {
            file.write_all(part)?;
        }
        file.sync_all()?;
        if create { std::fs::hard_link(&temporary, path) } else { std::fs::rename(&temporary, path) }
    })();
    if create || written.is_err() {
        // A leftover is harmless: it is never listed, and goes with the next start.
        let _ = std::fs::remove_file(&temporary);
    }
    written?;
    File::open(directory)?.sync_all()
}

/// Creates a directory and makes each new name on the way durable.
fn create_synced(directory: &FilePath) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    if let Some(parent) = directory.parent() {
        create_synced(parent)?;
    }
    match std::fs::create_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    match directory.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

#[async_trait]
impl ObjectStore for SyncedStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        match options.mode {
            PutMode::Create => self.write(location, payload, true).await,
            PutMode::Overwrite => self.write(location, payload, false).await,
            PutMode::Update(_) => Err(object_store::Error::NotImplemented {
                operation: "put with an expected version".to_owned(),
                implementer: self.to_string(),
            }),
        }
    }

    async fn put_multipart_opts(&self, location: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let path = self.files.path_to_filesystem(location)?;
        let upload = tokio::task::spawn_blocking(move || Upload::start(path))
            .await
            .map_err(|source| object_store::Error::JoinError { source })?;
        let failed = |error| object_store::Error::Generic { store: "SyncedStore", source: Box::new(error) };
        Ok(Box::new(upload.map_err(failed)?))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.files.get_opts(location, options).await
    }

    /// The trait's own way reads what lies between ranges as well, up to a megabyte each: of a trace's pages, whole columns.
    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.files.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.files.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.files.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        listing::files_behind(Arc::clone(&self.files), prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.files.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let payload = self.files.get_opts(from, GetOptions::default()).await?.bytes().await?;
        let create = options.mode == object_store::CopyMode::Create;
        self.write(to, payload.into(), create).await.map(|_| ())
    }
}

/// Parts go to a temporary file as they come, each synced, so that the end has little left to sync at once.
#[derive(Debug)]
struct Upload {
    temporary: PathBuf,
    path: PathBuf,
    file: Arc<File>,
    offset: u64,
}

impl Upload {
    fn start(path: PathBuf) -> io::Result<Self> {
        create_synced(path.parent().ok_or(io::ErrorKind::InvalidInput)?)?;
        let temporary = temporary_beside(&path);
        let file = Arc::new(File::create_new(&temporary)?);
        Ok(Self { temporary, path, file, offset: 0 })
    }
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (file, offset) = (Arc::clone(&self.file), self.offset);
        self.offset += data.content_length() as u64;
        Box::pin(blocking(move || {
            let mut offset = offset;
            for part in &data {
                file.write_all_at(part, offset)?;
                offset += part.len() as u64;
            }
            file.sync_data()
        }))
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let (file, temporary, path) = (Arc::clone(&self.file), self.temporary.clone(), self.path.clone());
        blocking(move || {
            file.sync_all()?;
            std::fs::rename(&temporary, &path)?;
            File::open(path.parent().ok_or(io::ErrorKind::InvalidInput)?)?.sync_all()
        })
        .await?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn abort(&mut self) -> Result<()> {
        let temporary = self.temporary.clone();
        blocking(move || std::fs::remove_file(temporary)).await
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // Complete or aborted, it has no such name any more.
        let _ = std::fs::remove_file(&self.temporary);
    }
}

async fn blocking(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> Result<()> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|source| object_store::Error::JoinError { source })?;
    done.map_err(|error| object_store::Error::Generic { store: "SyncedStore", source: Box::new(error) })
}

/// `LocalFileSystem` does not list names that end in a number sign and digits.
fn temporary_beside(path: &FilePath) -> PathBuf {
    PathBuf::from(format!("{}#{}", path.display(), rand::random::<u64>()))
}

pub(super) fn is_temporary(name: &str) -> bool {
    let digits = name.rsplit_once('#').map(|(_, digits)| digits);
    digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Removes the temporary files that a kill has left below `directory`, and returns how many. Nothing may be written meanwhile.
pub fn remove_temporary(directory: &FilePath) -> io::Result<usize> {
    let mut removed = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            removed += remove_temporary(&entry.path())?;
            continue;
        }
        if entry.file_name().to_str().is_some_and(is_temporary) {
            match std::fs::remove_file(entry.path()) {
                Ok(()) => removed += 1,
                // An upload that was given up removes its own.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;

    use super::*;

    #[tokio::test]
    async fn the_first_creator_of_a_name_wins_and_no_temporary_file_stays() {
        let directory = tempfile::tempdir().unwrap();
        let store = SyncedStore::below(directory.path()).unwrap();
        let path = Path::from("a/b/0001.json");
        let create = || PutOptions::from(PutMode::Create);
        let racers = (0..8).map(|racer: u8| store.put_opts(&path, PutPayload::from(vec![racer; 4]), create()));
        let results = futures::future::join_all(racers).await;
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        assert!(
            results
                .iter()
                .flat_map(|result| result.as_ref().err())
                .all(|error| matches!(error, object_store::Error::AlreadyExists { .. }))
        );
        assert_eq!(std::fs::read_dir(directory.path().join("a/b")).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn overwriting_and_parts_leave_the_last_whole_content() {
        let directory = tempfile::tempdir().unwrap();
        let store = SyncedStore::below(directory.path()).unwrap();
        let path = Path::from("checkpoint");
        store.put(&path, PutPayload::from_static(b"old")).await.unwrap();
        let mut upload = store.put_multipart(&path).await.unwrap();
        upload.put_part(PutPayload::from_static(b"new ")).await.unwrap();
        upload.put_part(PutPayload::from_static(b"content")).await.unwrap();
        upload.complete().await.unwrap();
        assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "new content");
    }

    #[tokio::test]
    async fn ranges_are_read_without_what_lies_between() {
        let directory = tempfile::tempdir().unwrap();
        let store = SyncedStore::below(directory.path()).unwrap();
        let path = Path::from("a/segment");
        let content: Vec<u8> = (0..800_000_u32).map(|at| (at / 1_000) as u8).collect();
        store.put(&path, content.clone().into()).await.unwrap();
        let read = store.get_ranges(&path, &[10..20, 700_000..700_010]).await.unwrap();
        assert_eq!([&read[0][..], &read[1][..]], [&content[10..20], &content[700_000..700_010]]);
        // Read with what lies between, both would be parts of one buffer.
        let between = (read[1].as_ptr() as usize).wrapping_sub(read[0].as_ptr() as usize);
        assert_ne!(between, 700_000 - 10);
    }

    #[tokio::test]
    async fn parts_are_on_disk_as_they_come_and_an_upload_that_does_not_end_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let store = SyncedStore::below(directory.path()).unwrap();
        let path = Path::from("a/segment");
        let files = || std::fs::read_dir(directory.path().join("a")).unwrap().map(|file| file.unwrap());
        for aborted in [true, false] {
            let mut upload = store.put_multipart(&path).await.unwrap();
            upload.put_part(PutPayload::from_static(b"part")).await.unwrap();
            assert_eq!(files().map(|file| file.metadata().unwrap().len()).collect::<Vec<_>>(), [4]);
            assert!(store.get(&path).await.is_err(), "it has no name before its end");
            if aborted {
                upload.abort().await.unwrap();
            }
            drop(upload);
            assert_eq!(files().count(), 0);
        }
        store.put(&path, PutPayload::from_static(b"whole")).await.unwrap();
        std::fs::write(directory.path().join("a/segment#123"), "killed").unwrap();
        assert_eq!(remove_temporary(directory.path()).unwrap(), 1);
        assert_eq!(files().map(|file| file.file_name()).collect::<Vec<_>>(), ["segment"]);
    }
}
