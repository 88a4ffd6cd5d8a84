//! Which files there are, and what kind each is by its name.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use demo::send::Compression;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub path: PathBuf,
    pub kind: Kind,
    pub compression: Compression,
    pub bytes: u64,
    /// Named by the user; what merely lies in a folder may be something else.
    pub is_named: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Protobuf,
    Json,
    JsonLines,
}

/// Folders are followed so far: nobody sorts traces deeper, and links may lead in circles.
const MAX_DEPTH: usize = 16;

pub(super) fn find(paths: &[PathBuf]) -> anyhow::Result<Vec<Source>> {
    let mut sources = Vec::new();
    for path in paths {
        let metadata = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
        if metadata.is_dir() {
            let before = sources.len();
            folder(path, MAX_DEPTH, &mut sources)?;
            if sources.len() == before {
                bail!("no .pb, .json or .jsonl file in the folder {}", path.display());
            }
        } else if let Some((kind, compression)) = kind(path) {
            let bytes = metadata.len();
            sources.push(Source { path: path.clone(), kind, compression, bytes, is_named: true });
        } else {
            bail!(
                "{} is of no known kind: its name must end in .pb, .json or .jsonl, and .gz or .zst may follow",
                path.display()
            );
        }
    }
    Ok(sources)
}

/// In order of names, as traces are numbered.
fn folder(path: &Path, depth: usize, sources: &mut Vec<Source>) -> anyhow::Result<()> {
    let unreadable = || format!("cannot read the folder {}", path.display());
    let mut entries = fs::read_dir(path)
        .with_context(unreadable)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .with_context(unreadable)?;
    entries.sort();
    for entry in entries {
        let hidden = entry.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if hidden {
            continue;
        }
        let metadata = fs::metadata(&entry).with_context(|| format!("cannot read {}", entry.display()))?;
        if metadata.is_dir() {
            if depth > 0 {
                folder(&entry, depth - 1, sources)?;
            }
        } else if let Some((kind, compression)) = kind(&entry) {
            sources.push(Source { path: entry, kind, compression, bytes: metadata.len(), is_named: false });
        }
    }
    Ok(())
}

fn kind(path: &Path) -> Option<(Kind, Compression)> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    let (stem, compression) = match name.rsplit_once('.')? {
        (stem, "gz") => (stem, Compression::Gzip),
        (stem, "zst") => (stem, Compression::Zstd),
        _ => (name.as_str(), Compression::None),
    };
    let kind = match stem.rsplit_once('.')?.1 {
        "pb" => Kind::Protobuf,
        "json" => Kind::Json,
        "jsonl" => Kind::JsonLines,
        _ => return None,
    };
    Some((kind, compression))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, expected: Option<(Kind, Compression)>) {
        assert_eq!(kind(Path::new(name)), expected, "{name}");
    }

    #[test]
    fn kinds_go_by_the_end_of_the_name() {
        check("a/00000.pb", Some((Kind::Protobuf, Compression::None)));
        check("00000.pb.gz", Some((Kind::Protobuf, Compression::Gzip)));
        check("x.y.PB.ZST", Some((Kind::Protobuf, Compression::Zstd)));
        check("x.json", Some((Kind::Json, Compression::None)));
        check("x.jsonl.gz", Some((Kind::JsonLines, Compression::Gzip)));
        for name in ["pb", "x.gz", "x.pb.br", "x.txt", "x.pb.gz.gz", ""] {
            check(name, None);
        }
    }
}
