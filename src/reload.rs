//! The configuration file, followed while the server runs: `[sampling]` takes effect with the next tick, `[retention]` at once. What
//! else changes is named and waits for the next start.
//!
//! The file is looked at, not subscribed to: that needs nothing of the operating system, and works for files that are replaced,
//! linked or mounted. A change is read once the file has stayed the same for a look, since editors truncate before they write. A
//! file that is broken or refused changes nothing.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::config::Config;
use crate::control::Control;

const LOOK: Duration = Duration::from_millis(25);

/// Sections that take effect while the server runs.
const FOLLOWED: [&str; 2] = ["sampling", "retention"];

/// Reads file, environment and flags again.
pub type Load = Box<dyn Fn() -> anyhow::Result<Config> + Send + Sync>;

pub struct Source {
    pub path: PathBuf,
    pub load: Load,
}

/// What tells a file's content from an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: (i64, i64),
    bytes: u64,
    inode: (u64, u64),
}

impl Stamp {
    async fn of(path: &Path) -> Option<Self> {
        let file = tokio::fs::metadata(path).await.ok()?;
        let modified = (file.mtime(), file.mtime_nsec());
        Some(Self { modified, bytes: file.size(), inode: (file.dev(), file.ino()) })
    }
}

/// Follows the file of `source` until the process ends; SIGHUP reads it at once. `started` is what it said at the start.
pub async fn follow(source: Option<Source>, started: Config, control: Arc<Control>) {
    let Ok(mut hangups) = signal(SignalKind::hangup()) else {
        tracing::warn!("SIGHUP cannot be handled");
        return;
    };
    let Some(Source { path, load }) = source else {
        while hangups.recv().await.is_some() {
            tracing::info!("SIGHUP: there is no configuration file to read again");
        }
        return;
    };
    let load = Arc::new(load);
    // It is read once more at first: it may have changed since the start read it.
    let (mut read, mut last) = (None, None);
    let mut known = started.clone();
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let asked = tokio::select! {
            _ = looks.tick() => false,
            hangup = hangups.recv() => hangup.is_some(),
        };
        let stamp = Stamp::of(&path).await;
        let settled = stamp == last.replace(stamp).flatten();
        if !asked && (stamp == read || stamp.is_none() || !settled) {
            continue;
        }
        read = stamp;
        let load = Arc::clone(&load);
        let loaded = tokio::task::spawn_blocking(move || load()).await;
        match loaded.unwrap_or_else(|error| Err(error.into())) {
            Ok(config) => {
                for section in news(&started, &known, &config) {
                    tracing::warn!(section, "a changed setting takes effect with the next start");
                }
                follow_retention(&control, &known, &config).await;
                follow_sampling(&control, &config).await;
                known = config;
            }
            Err(error) => tracing::error!(
                file = %path.display(),
                error = format!("{error:#}"),
                "the changed configuration is not followed; what was in force stays"
            ),
        }
    }
}

async fn follow_retention(control: &Control, known: &Config, config: &Config) {
    if config.retention == known.retention {
        return;
    }
    match control.store.set_retention(config.retention()).await {
        Ok(()) => tracing::info!("the configuration's retention is in force"),
        Err(error) => {
            tracing::error!(error = format!("{:#}", anyhow::Error::new(error)), "the configuration's retention")
        }
    }
}

async fn follow_sampling(control: &Control, config: &Config) {
    match control.follow(config.sampling.clone()).await {
        Ok(Some(revision)) => tracing::info!(revision, "the configuration's sampling policy is in force"),
        Ok(None) => {}
        Err(error) => tracing::error!(error = format!("{error:#}"), "the configuration's sampling policy"),
    }
}

/// Sections that are not followed and say something else than when they were `known` last, and than what the process `started` with.
fn news(started: &Config, known: &Config, config: &Config) -> Vec<String> {
    let sections = |config: &Config| toml::Table::try_from(config).unwrap_or_default();
    let (started, known, now) = (sections(started), sections(known), sections(config));
    let differs = |from: &toml::Table, name: &String, values| from.get(name) != Some(values);
    now.iter()
        .filter(|(name, _)| !FOLLOWED.contains(&name.as_str()))
        .filter(|(name, values)| differs(&started, name, *values) && differs(&known, name, *values))
        .map(|(name, _)| format!("[{name}]"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_else_changed_is_named() {
        let started = Config::default();
        let mut config = Config::default();
        config.sampling.diversity = 0.5;
        config.retention.max_bytes = Some(7);
        assert!(news(&started, &started, &config).is_empty());
        config.limits.attributes = 7;
        config.server.http = crate::cli::Address::Off;
        assert_eq!(news(&started, &started, &config), ["[limits]", "[server]"]);
        // Once; and what goes back to what runs is nothing to wait for.
        let known = config.clone();
        assert!(news(&started, &known, &config).is_empty());
        config.limits = started.limits.clone();
        assert!(news(&started, &known, &config).is_empty());
    }

    #[tokio::test]
    async fn a_stamp_tells_contents_apart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("spanhouse.toml");
        assert_eq!(Stamp::of(&path).await, None);
        std::fs::write(&path, "a").unwrap();
        let first = Stamp::of(&path).await;
        assert!(first.is_some() && first == Stamp::of(&path).await);
        std::fs::write(&path, "ab").unwrap();
        let second = Stamp::of(&path).await;
        assert_ne!(first, second);
        // Replaced by one of the same size.
        let next = directory.path().join("next");
        std::fs::write(&next, "cd").unwrap();
        std::fs::rename(&next, &path).unwrap();
        assert_ne!(second, Stamp::of(&path).await);
    }
}
