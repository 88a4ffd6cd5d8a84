//! Lists files from a name on without a look at those before it. A commit lists its log from the last checkpoint on, and
//! `object_store` asks the file system for the size of each entry that the log still has.

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
    let (prefix, offset) = (prefix.cloned().unwrap_or_default(), offset.clone());
    let listed = async move {
        let folder = files.path_to_filesystem(&prefix)?;
        let read = tokio::task::spawn_blocking(move || entries(folder, &prefix)).await;
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

fn entries(folder: PathBuf, prefix: &Path) -> io::Result<Vec<Entry>> {
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
        entries.push(Entry { location: prefix.clone().join(name), is_folder: entry.file_type()?.is_dir() });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn behind(files: &Arc<LocalFileSystem>, prefix: &str, offset: &str) -> Vec<String> {
        let found = files_behind(Arc::clone(files), Some(&Path::from(prefix)), &Path::from(offset));
        let mut found: Vec<String> =
            found.map_ok(|file| format!("{} {}", file.location, file.size)).try_collect().await.unwrap();
        found.sort();
        found
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
        for offset in
            ["log", "log/01.json", "log/02", "log/02.json", "log/03.json", "log/_side", "log/_side/01.parquet", "log/z"]
        {
            let whole = files.list_with_offset(Some(&Path::from("log")), &Path::from(offset));
            let mut whole: Vec<String> =
                whole.map_ok(|file| format!("{} {}", file.location, file.size)).try_collect().await.unwrap();
            whole.sort();
            assert_eq!(behind(&files, "log", offset).await, whole, "{offset}");
        }
        assert_eq!(
            behind(&files, "log", "log/02.json").await,
            ["log/03.json 3", "log/_side/01.parquet 4", "log/_side/02.parquet 5"]
        );
        assert!(behind(&files, "none", "none/01").await.is_empty());
    }
}
