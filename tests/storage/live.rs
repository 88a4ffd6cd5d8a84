//! Which files a Delta table has now, from its log.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use serde_json::Value;

#[derive(Debug)]
pub struct Live {
    pub segments: Vec<PathBuf>,
    /// Entries and checkpoints.
    pub log_bytes: u64,
}

impl Live {
    pub fn read(table: &Path) -> anyhow::Result<Self> {
        let folder = table.join("_delta_log");
        let (mut entries, mut log_bytes) = (Vec::new(), 0);
        for entry in std::fs::read_dir(&folder).with_context(|| format!("no log {}", folder.display()))? {
            let entry = entry?;
            log_bytes += entry.metadata()?.len();
            if entry.path().extension().is_some_and(|extension| extension == "json") {
                entries.push(entry.path());
            }
        }
        // Their names are numbers of one length.
        entries.sort();
        let first = entries.first().and_then(|path| path.file_stem()).context("an empty log")?;
        // A bench is over before entries expire.
        ensure!(first.to_string_lossy().bytes().all(|digit| digit == b'0'), "the log of {} is cut", table.display());
        let mut live = BTreeSet::new();
        for entry in entries {
            apply(&std::fs::read_to_string(&entry)?, &mut live).with_context(|| format!("{}", entry.display()))?;
        }
        Ok(Self { segments: live.iter().map(|path| table.join(path)).collect(), log_bytes })
    }
}

/// Of one entry: an action a line.
fn apply(entry: &str, live: &mut BTreeSet<String>) -> anyhow::Result<()> {
    for line in entry.lines() {
        let action: Value = serde_json::from_str(line).context("a line that is no JSON")?;
        let path = |kind: &str| Some(action.get(kind)?.get("path")?.as_str()?.to_owned());
        if let Some(path) = path("remove") {
            ensure!(live.remove(&path), "{path} is removed, but was not there");
        }
        if let Some(path) = path("add") {
            live.insert(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(entries: &[&str]) -> (tempfile::TempDir, anyhow::Result<Live>) {
        let table = tempfile::tempdir().unwrap();
        let log = table.path().join("_delta_log");
        std::fs::create_dir(&log).unwrap();
        for (number, entry) in entries.iter().enumerate() {
            std::fs::write(log.join(format!("{number:020}.json")), entry).unwrap();
        }
        let live = Live::read(table.path());
        (table, live)
    }

    #[test]
    fn what_was_removed_does_not_count() {
        let entries = [
            "{\"add\":{\"path\":\"a\"}}\n{\"txn\":{}}",
            "{\"add\":{\"path\":\"b\"}}",
            "{\"remove\":{\"path\":\"a\"}}\n{\"add\":{\"path\":\"c\"}}",
        ];
        let (table, live) = table(&entries);
        let live = live.unwrap();
        assert_eq!(live.segments, [table.path().join("b"), table.path().join("c")]);
        assert_eq!(live.log_bytes, entries.iter().map(|entry| entry.len() as u64).sum::<u64>());
    }

    #[test]
    fn a_log_that_does_not_add_up_is_refused() {
        let error = table(&["{\"remove\":{\"path\":\"a\"}}"]).1.unwrap_err();
        assert!(format!("{error:#}").contains("was not there"), "{error:#}");
        let (table, _) = table(&["{}", "{}"]);
        std::fs::remove_file(table.path().join("_delta_log/00000000000000000000.json")).unwrap();
        assert!(Live::read(table.path()).unwrap_err().to_string().contains("is cut"));
    }
}
