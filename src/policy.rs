//! The sampling policy of a data directory, which outlives the process.
//!
//! A policy comes from the configuration or over the API; whichever changed last counts, at a start or while the server runs
//! (`reload`). `sampling.json` has what is in force, its revision, and what the configuration said then.

use std::path::Path;

use anyhow::Context;
use collector::Durable;
use collector::sampler::Revised;
use sampling::Policy;
use serde::{Deserialize, Serialize};

use crate::data_file::DataFile;

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
    file: DataFile,
    configured: Policy,
}

impl PolicyFile {
    /// The policy to begin with: the configuration's if it changed, else the one that was in force.
    pub fn open(data: &Path, configured: Policy) -> anyhow::Result<(Self, Revised)> {
        let file = Self { file: DataFile::new(data, FILE), configured };
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
        if let Err(error) = file.write(&revised) {
            // A full disk keeps nobody from queries while what it has already says the same.
            if file.file.read()?.as_deref() != Some(&*file.text(&revised)?) {
                return Err(error);
            }
            tracing::warn!(error = format!("{error:#}"), "the policy stays as it is on disk");
        }
        Ok((file, revised))
    }

    /// Whether the configuration says something else now.
    pub fn is_news(&self, configured: &Policy) -> bool {
        self.configured != *configured
    }

    /// Writes what the configuration says now, and the policy that follows. What could not be written is news still.
    pub fn configure(&mut self, configured: Policy, revised: &Revised) -> anyhow::Result<()> {
        let before = std::mem::replace(&mut self.configured, configured);
        self.write(revised).inspect_err(|_| self.configured = before)
    }

    fn read(&self) -> anyhow::Result<Option<Kept>> {
        let Some(text) = self.file.read()? else { return Ok(None) };
        let shown = self.file.path().display();
        let read = || {
            let (kept, unknown) = lenient(&text)?;
            kept.policy.validate()?;
            anyhow::Ok((kept, unknown))
        };
        let (kept, unknown) = read().with_context(|| {
            format!("{shown} is damaged or of another version; remove it to begin with the configuration's policy")
        })?;
        for key in unknown {
            tracing::warn!(file = %shown, key, "this version does not know a key of the saved policy; it goes on without");
        }
        Ok(Some(kept))
    }

    /// Durable on return, and whole whatever happens meanwhile.
    pub fn write(&self, revised: &Revised) -> anyhow::Result<()> {
        let text = self.text(revised)?;
        self.file.replace(&text).with_context(|| format!("cannot write {}", self.file.path().display()))
    }

    fn text(&self, revised: &Revised) -> anyhow::Result<Vec<u8>> {
        let kept =
            Kept { revision: revised.revision, policy: revised.policy.clone(), configured: self.configured.clone() };
        Ok(serde_json::to_vec_pretty(&kept)?)
    }
}

/// A policy that another version saved, without the keys that this one does not know: a server that starts with the rest of it is
/// better than one that does not start. Names those keys.
fn lenient(text: &[u8]) -> anyhow::Result<(Kept, Vec<String>)> {
    let mut value: serde_json::Value = serde_json::from_slice(text)?;
    let mut known = serde_json::to_value(Policy::default())?;
    // It is left out where there is none.
    known["budget"] = serde_json::Value::Null;
    let mut unknown = Vec::new();
    for part in ["policy", "configured"] {
        if let Some(found) = value.get_mut(part) {
            drop_unknown(found, &known, part, &mut unknown);
        }
    }
    Ok((serde_json::from_value(value)?, unknown))
}

fn drop_unknown(found: &mut serde_json::Value, known: &serde_json::Value, path: &str, unknown: &mut Vec<String>) {
    let (Some(found), Some(known)) = (found.as_object_mut(), known.as_object()) else { return };
    found.retain(|key, value| {
        let (path, inner) = (format!("{path}.{key}"), known.get(key));
        match inner {
            Some(inner) => drop_unknown(value, inner, &path, unknown),
            None => unknown.push(path),
        }
        inner.is_some()
    });
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
        let (mut file, first) = open(&Policy::default());
        assert_eq!(first, Revised { policy: Policy::default(), revision: 0 });
        let set = Revised { policy: budget("10 spans/s"), revision: 1 };
        file.write(&set).unwrap();
        assert_eq!(open(&Policy::default()).1, set);
        let configured = budget("1 GiB/day");
        assert_eq!(open(&configured).1, Revised { policy: configured.clone(), revision: 2 });
        assert_eq!(open(&configured).1.revision, 2);
        // The same while it runs.
        let seven = Revised { policy: budget("7 spans/s"), revision: 3 };
        assert!(!file.is_news(&Policy::default()) && file.is_news(&seven.policy));
        // What the new file is written to first.
        let next = data.path().join("sampling.json.next");
        std::fs::create_dir(&next).unwrap();
        let error = format!("{:#}", file.configure(seven.policy.clone(), &seven).unwrap_err());
        assert!(error.contains("cannot write") && error.contains("sampling.json"), "{error}");
        assert!(file.is_news(&seven.policy));
        std::fs::remove_dir(next).unwrap();
        file.configure(seven.policy.clone(), &seven).unwrap();
        assert!(!file.is_news(&seven.policy));
        assert_eq!(open(&budget("7 spans/s")).1.revision, 3);
        std::fs::write(data.path().join(FILE), "{").unwrap();
        let error = PolicyFile::open(data.path(), configured.clone()).unwrap_err();
        assert!(format!("{error:#}").contains("remove it"), "{error:#}");
        let text = r#"{"revision": 4, "policy": {"diversity": -1.0}, "configured": {}}"#;
        std::fs::write(data.path().join(FILE), text).unwrap();
        let error = format!("{:#}", PolicyFile::open(data.path(), configured).unwrap_err());
        assert!(error.contains("remove it") && error.contains("diversity"), "{error}");
    }

    #[test]
    fn a_start_that_changes_nothing_needs_no_room() {
        let data = tempfile::tempdir().unwrap();
        let open = |configured: Policy| PolicyFile::open(data.path(), configured);
        let (_, first) = open(Policy::default()).unwrap();
        std::fs::create_dir(data.path().join("sampling.json.next")).unwrap();
        assert_eq!(open(Policy::default()).unwrap().1, first);
        let error = format!("{:#}", open(budget("7 spans/s")).unwrap_err());
        assert!(error.contains("cannot write") && error.contains("sampling.json"), "{error}");
    }

    #[test]
    fn what_another_version_saved_counts_without_the_keys_that_are_gone() {
        let data = tempfile::tempdir().unwrap();
        let text = r#"{"revision": 4, "new": 1, "configured": {"cap": {"refill_seconds": 10.0}}, "policy":
            {"budget": "10 spans/s", "cap": {"refill_seconds": 10.0, "seconds": 0.5}, "colour": {"a": 1}}}"#;
        let (_, unknown) = lenient(text.as_bytes()).unwrap();
        assert_eq!(unknown, ["policy.cap.refill_seconds", "policy.colour", "configured.cap.refill_seconds"]);
        std::fs::write(data.path().join(FILE), text).unwrap();
        let (_, revised) = PolicyFile::open(data.path(), Policy::default()).unwrap();
        let mut expected = budget("10 spans/s");
        expected.cap.seconds = 0.5;
        assert_eq!(revised, Revised { policy: expected, revision: 4 });
    }
}
