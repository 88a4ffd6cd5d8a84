//! The sampling policy of a data directory, which outlives the process.
//!
//! A policy comes from the configuration or over the API; whichever changed last counts. `sampling.json` has what is in
//! force, its revision, and what the configuration said then.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use collector::sampler::Revised;
use sampling::Policy;
use serde::{Deserialize, Serialize};

const FILE: &str = "sampling.json";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Kept {
    revision: i64,
    policy: Policy,
    /// What the configuration said when the policy was put in force.
    configured: Policy,
}

/// Where a data directory keeps its policy.
#[derive(Debug)]
pub struct PolicyFile {
    path: PathBuf,
    configured: Policy,
}

impl PolicyFile {
    /// The policy to begin with: the configuration's if it changed, else the one that was in force.
    pub fn open(data: &Path, configured: Policy) -> anyhow::Result<(Self, Revised)> {
        let file = Self { path: data.join(FILE), configured };
        let revised = match file.read()? {
            Some(kept) if kept.configured == file.configured => {
                Revised { policy: kept.policy, revision: kept.revision }
            }
            Some(kept) => {
                let revision = kept.revision + i64::from(kept.policy != file.configured);
                Revised { policy: file.configured.clone(), revision }
            }
            None => Revised { policy: file.configured.clone(), revision: 0 },
        };
        file.write(&revised)?;
        Ok((file, revised))
    }

    fn read(&self) -> anyhow::Result<Option<Kept>> {
        let shown = self.path.display();
        let text = match std::fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {shown}")),
        };
        let kept = serde_json::from_str(&text);
        kept.map(Some)
            .with_context(|| format!("{shown} is damaged; remove it to begin with the configuration's policy"))
    }

    /// Durable on return, and whole whatever happens meanwhile.
    pub fn write(&self, revised: &Revised) -> anyhow::Result<()> {
        let kept =
            Kept { revision: revised.revision, policy: revised.policy.clone(), configured: self.configured.clone() };
        let text = serde_json::to_vec_pretty(&kept)?;
        let next = self.path.with_extension("json.next");
        let write = || {
            let mut file = std::fs::File::create(&next)?;
            file.write_all(&text)?;
            file.sync_all()?;
            std::fs::rename(&next, &self.path)?;
            let directory = self.path.parent().unwrap_or(Path::new("."));
            std::fs::File::open(directory)?.sync_all()
        };
        write().with_context(|| format!("cannot write {}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(text: &str) -> Policy {
        Policy { budget: Some(text.parse().unwrap()), ..Policy::default() }
    }

    #[test]
    fn what_changed_last_counts() {
        let data = tempfile::tempdir().unwrap();
        let open = |configured: &Policy| PolicyFile::open(data.path(), configured.clone()).unwrap();
        let (file, first) = open(&Policy::default());
        assert_eq!(first, Revised { policy: Policy::default(), revision: 0 });
        let set = Revised { policy: budget("10 spans/s"), revision: 1 };
        file.write(&set).unwrap();
        assert_eq!(open(&Policy::default()).1, set);
        let configured = budget("1 GiB/day");
        assert_eq!(open(&configured).1, Revised { policy: configured.clone(), revision: 2 });
        assert_eq!(open(&configured).1.revision, 2);
        std::fs::write(data.path().join(FILE), "{").unwrap();
        let error = PolicyFile::open(data.path(), configured).unwrap_err();
        assert!(format!("{error:#}").contains("remove it"), "{error:#}");
    }
}
