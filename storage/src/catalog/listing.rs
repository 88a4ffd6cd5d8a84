//! Lists files from a name on without a look at those before it. A commit lists its log from the last checkpoint on, and
//! `object_store` asks the file system for the size of each entry that the log still has.

use std::fs::{DirEntry, FileType};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{Error, ObjectMeta, ObjectStore, ObjectStoreExt, Result};

use super::synced_store::is_temporary;

/// Heads asked for at the same time.
const HEADS_AHEAD: usize = 8;

struct Entry {
    location: Path,
    is_folder: bool,
}

/// The files below `prefix` whose locations are behind `offset`.
pub(super) fn files_behind(
    files: Arc<LocalFileSystem>,
    prefix: Option<&Path>,
    offset: &Path,
) -> BoxStream<'static, Result<ObjectMeta>> {
    let folder_of = |prefix: &Path| Some((prefix.clone(), files.path_to_filesystem(prefix).ok()?));
    // Where no file could have the name, as the root's, nobody says what it is called on the disk.
    let Some((prefix, folder)) = prefix.and_then(folder_of) else { return files.list_with_offset(prefix, offset) };
    let offset = offset.clone();
    let listed = async move {
        let behind = offset.clone();
        let read = tokio::task::spawn_blocking(move || entries(folder, &prefix, &behind)).await;
        let entries = read.map_err(|source| Error::JoinError { source })?;
        let entries = entries.map_err(|error| Error::Generic { store: "SyncedStore", source: Box::new(error) })?;
        let (folders, entries): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| entry.is_folder);
        let behind = entries.into_iter().filter(|entry| entry.location > offset).collect::<Vec<_>>();
        let of_file = Arc::clone(&files);
        let heads = stream::iter(behind).map(move |entry| {
            let files = Arc::clone(&of_file);
            async move { files.head(&entry.location).await }
        });
        // A file may go while its folder is listed.
        let heads =
            heads.buffered(HEADS_AHEAD).filter(|head| std::future::ready(!matches!(head, Err(Error::NotFound { .. }))));
        let below = stream::iter(folders)
            .map(move |folder| files.list(Some(&folder.location)))
            .flatten()
            .try_filter(move |file| std::future::ready(file.location > offset));
        Ok::<_, Error>(heads.chain(below))
    };
    stream::once(listed).try_flatten().boxed()
}

/// Folders, and files behind `offset`, and maybe some others.
fn entries(folder: PathBuf, prefix: &Path, offset: &Path) -> io::Result<Vec<Entry>> {
    // Locations are compared as texts. Most names of a log lie before the offset, and making a location of each would be most of the
    // work.
    let offset = match prefix.as_ref() {
        "" => Some(offset.as_ref()),
        prefix => offset.as_ref().strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/')),
    };
    let is_before = |name: &str| offset.is_some_and(|offset| name <= offset) && is_plain(name);
    let read = match std::fs::read_dir(folder) {
        Ok(read) => read,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut entries = Vec::new();
    for entry in read {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| !is_temporary(name)) else { continue };
        if is_before(name) && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let kind = match kind(&entry) {
            Ok(kind) => kind,
            // It went meanwhile, or is a link to what is not there.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if kind.is_dir() || kind.is_file() {
            entries.push(Entry { location: prefix.clone().join(name), is_folder: kind.is_dir() });
        }
    }
    Ok(entries)
}

/// Whether a name is in a location as it is.
fn is_plain(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

/// Of a link, what it leads to, as `object_store` has it.
fn kind(entry: &DirEntry) -> io::Result<FileType> {
    let kind = entry.file_type()?;
    if kind.is_symlink() { std::fs::metadata(entry.path()).map(|target| target.file_type()) } else { Ok(kind) }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sorted(found: BoxStream<'static, Result<ObjectMeta>>) -> Vec<String> {
        let mut found: Vec<String> =
            found.map_ok(|file| format!("{} {}", file.location, file.size)).try_collect().await.unwrap();
        found.sort();
        found
    }

    async fn behind(files: &Arc<LocalFileSystem>, prefix: Option<&str>, offset: &str) -> Vec<String> {
        sorted(files_behind(Arc::clone(files), prefix.map(Path::from).as_ref(), &Path::from(offset))).await
    }

    #[tokio::test]
    async fn what_lies_behind_a_name_is_listed_as_the_whole_folder_is() {
        let folder = tempfile::tempdir().unwrap();
        let files = Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap());
        for (at, name) in
            ["01.json", "02.json", "02.json#17", "03.json", "_side/01.parquet", "_side/02.parquet"].iter().enumerate()
        {
            let path = folder.path().join("log").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, vec![0_u8; at]).unwrap();
        }
        let elsewhere = tempfile::tempdir().unwrap();
        std::fs::write(elsewhere.path().join("01.parquet"), [0; 7]).unwrap();
        for (target, link) in [(".", "_linked"), ("01.parquet", "04.json"), ("none", "05.json")] {
            std::os::unix::fs::symlink(elsewhere.path().join(target), folder.path().join("log").join(link)).unwrap();
        }
        for prefix in [Some("log"), Some("log/_side"), Some(""), None] {
            for offset in
                ["", "log/01.json", "log/02", "log/02.json", "log/_linked", "log/_side", "log/_side/01.parquet", "m"]
            {
                let whole = files.list_with_offset(prefix.map(Path::from).as_ref(), &Path::from(offset));
                assert_eq!(behind(&files, prefix, offset).await, sorted(whole).await, "{prefix:?}, {offset}");
            }
        }
        let found = ["log/03.json 3", "log/04.json 7", "log/_linked/01.parquet 7", "log/_side/01.parquet 4"];
        assert_eq!(behind(&files, Some("log"), "log/02.json").await[..4], found);
        assert_eq!(behind(&files, None, "log/02.json").await[..4], found);
        assert!(behind(&files, Some("none"), "none/01").await.is_empty());
    }
}
