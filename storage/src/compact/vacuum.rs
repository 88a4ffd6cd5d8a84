//! Which files nobody can need any more. It rests on the log and on the files' times alone, so a restart forgets nothing.
//!
//! | a file that is not live | goes |
//! |---|---|
//! | and that the log says was taken out | once that is [`CompactSettings::keep_replaced`](crate::CompactSettings) ago |
//! | and that this collector merged, but the log does not know | as soon as no merge runs in whose place it may be: with the start, else when it is that old |
//! | and that this collector flushed, of an epoch that the table has | once it is that old |
//! | and anything else | never: an epoch may be on its way into the table, and what others wrote is theirs |

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use crate::catalog::{LoggedFiles, SegmentName};
use crate::model::UnixNanos;
use crate::schema::Table;
use crate::{Error, Result};

/// A file that is in the object store.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredObject {
    pub location: Path,
    pub size_bytes: u64,
    pub written_at: UnixNanos,
}

/// What became of the files that are not live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Vacuumed {
    pub deleted: u64,
    pub deleted_bytes: u64,
    /// They are not old enough.
    pub waiting: u64,
    pub waiting_bytes: u64,
}

impl std::ops::AddAssign for Vacuumed {
    fn add_assign(&mut self, other: Self) {
        self.deleted += other.deleted;
        self.deleted_bytes += other.deleted_bytes;
        self.waiting += other.waiting;
        self.waiting_bytes += other.waiting_bytes;
    }
}

/// What decides over a file.
#[derive(Debug)]
pub struct Known<'l> {
    pub live: HashSet<&'l Path>,
    pub removed: &'l HashMap<Path, UnixNanos>,
    pub collector: &'l str,
    pub committed_epoch: u64,
    /// No merge has run since the process began, so what one left is an earlier process's.
    pub at_start: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Keep,
    /// It goes when it is old enough.
    Wait,
    Delete,
}

fn judge(file: &StoredObject, known: &Known<'_>, now: UnixNanos, keep: Duration) -> Verdict {
    let keep = i64::try_from(keep.as_nanos()).unwrap_or(i64::MAX);
    let aged = |since| if now.since(since) >= keep { Verdict::Delete } else { Verdict::Wait };
    if known.live.contains(&file.location) {
        return Verdict::Keep;
    }
    if let Some(at) = known.removed.get(&file.location) {
        return aged(*at);
    }
    match SegmentName::parse(&file.location) {
        Some(name) if name.collector != known.collector => Verdict::Keep,
        Some(SegmentName { compacted: Some(_), .. }) if known.at_start => Verdict::Delete,
        Some(name) if name.compacted.is_some() || name.epoch <= known.committed_epoch => aged(file.written_at),
        _ => Verdict::Keep,
    }
}

/// The files of a table, but for its log. To be listed before the log is read: what comes to be live between the two is live
/// in the log, and so it stays.
pub async fn list(objects: &dyn ObjectStore, table: Table) -> Result<Vec<StoredObject>> {
    let stored = |object: ObjectMeta| StoredObject {
        written_at: UnixNanos::from_micros(object.last_modified.timestamp_micros()),
        location: object.location,
        size_bytes: object.size,
    };
    let prefix = Path::from(table.name());
    let log = prefix.clone().join("_delta_log");
    let listed = objects.list(Some(&prefix)).map_ok(stored);
    let files = listed.try_filter(|file| std::future::ready(!file.location.prefix_matches(&log)));
    files
        .try_collect()
        .await
        .map_err(|error| Error::Read { what: format!("files of table {}", table.name()), source: Box::new(error) })
}

/// Deletes those of `listed` that nobody can need.
pub async fn vacuum(
    objects: &dyn ObjectStore,
    listed: &[StoredObject],
    logged: &LoggedFiles,
    now: UnixNanos,
    keep: Duration,
    at_start: bool,
) -> Result<Vacuumed> {
    let removed = logged.removed().await?;
    let known = Known {
        live: logged.live.iter().map(|segment| &segment.location).collect(),
        removed: &removed,
        collector: &logged.collector,
        committed_epoch: logged.committed_epoch,
        at_start,
    };
    let mut done = Vacuumed::default();
    let mut doomed = Vec::new();
    for file in listed {
        match judge(file, &known, now, keep) {
            Verdict::Keep => {}
            Verdict::Wait => {
                done.waiting += 1;
                done.waiting_bytes += file.size_bytes;
            }
            Verdict::Delete => doomed.push(file),
        }
    }
    for file in doomed {
        match objects.delete(&file.location).await {
            Ok(()) => {
                done.deleted += 1;
                done.deleted_bytes += file.size_bytes;
            }
            Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => {
                return Err(Error::Write {
                    what: format!("the end of file {}", file.location),
                    source: std::io::Error::other(error),
                });
            }
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000_000_000;
    const NOW: UnixNanos = UnixNanos(1_000 * MINUTE);

    #[track_caller]
    fn check(name: &str, minutes_old: i64, at_start: bool, expected: Verdict) {
        let location = |name: &str| Path::from(format!("spans/date=2026-11-22/{name}.parquet"));
        let live = location("aa-0000000005-compacted1-00000001");
        let removed = HashMap::from([
            (location("aa-0000000003"), NOW.plus(-9 * MINUTE)),
            (location("aa-0000000004"), NOW.plus(-10 * MINUTE)),
            (location("other"), NOW.plus(-10 * MINUTE)),
        ]);
        let known =
            Known { live: HashSet::from([&live]), removed: &removed, collector: "aa", committed_epoch: 7, at_start };
        let file =
            StoredObject { location: location(name), size_bytes: 1, written_at: NOW.plus(-minutes_old * MINUTE) };
        assert_eq!(judge(&file, &known, NOW, Duration::from_secs(600)), expected, "{name}");
    }

    #[test]
    fn live_files_stay_whatever_their_age() {
        check("aa-0000000005-compacted1-00000001", 999, true, Verdict::Keep);
    }

    #[test]
    fn removed_files_go_by_the_time_of_their_removal_not_their_own() {
        check("aa-0000000003", 999, true, Verdict::Wait);
        check("aa-0000000004", 0, false, Verdict::Delete);
        check("other", 0, false, Verdict::Delete);
    }

    #[test]
    fn leftovers_go_when_nobody_can_be_at_them() {
        check("aa-0000000005-compacted1-00000002", 0, true, Verdict::Delete);
        check("aa-0000000005-compacted1-00000002", 9, false, Verdict::Wait);
        check("aa-0000000005-compacted1-00000002", 10, false, Verdict::Delete);
        check("aa-0000000007", 9, true, Verdict::Wait);
        check("aa-0000000007", 10, false, Verdict::Delete);
    }

    #[test]
    fn epochs_on_their_way_and_files_of_others_stay() {
        check("aa-0000000008", 999, true, Verdict::Keep);
        check("bb-0000000001", 999, true, Verdict::Keep);
        check("bb-0000000001-compacted1-00000002", 999, true, Verdict::Keep);
        check("part-00000-1c6f.snappy", 999, true, Verdict::Keep);
    }
}
