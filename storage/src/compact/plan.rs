//! Which live segments are merged next. Pure: the same segments, time and settings give the same plan.
//!
//! Segments are merged within a date, in levels. What a flush wrote has level 0; as soon as a date has
//! [`CompactSettings::merge_segments`] of a level, the oldest of them become one of the next. So a row is rewritten once a
//! level: 16 at a time, three times of the 5,760 flushes of a day at 15 s. A segment of half
//! [`CompactSettings::max_segment_bytes`] is full and stays as it is; fewer segments than 16 make a merge if they make one
//! that is full.
//!
//! A date that is over, and to which nothing was flushed for [`QUIET`], is merged to the end, the smallest segments first, until all
//! but one of them are full. That rewrites its rows once or twice more; and again what is not full of it whenever something
//! late was flushed to it, but not more than once in that time.
//!
//! A segment that retention has rewritten without some rows keeps its level, and is no flush: its date is as quiet as before.
//!
//! Where that leaves a table with more than [`CROWDED`] segments that are not full, as a flush of many dates does, the dates with the
//! most of them are merged although nothing of it is due. Then rows are rewritten more often, as what is flushed is small and
//! many.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, NaiveDate};

use crate::catalog::{SegmentName, date_of};
use crate::config::CompactSettings;
use crate::model::UnixNanos;
use crate::snapshot::Segment;

/// How long nothing may have been flushed to a date that is over, for it to be merged to the end.
const QUIET: Duration = Duration::from_secs(3_600);
/// A commit costs as much as the table has live segments, so that they should be fewer than about 350.
const CROWDED: usize = 256;

/// Segments of one table and date that become one.
#[derive(Debug, Clone, PartialEq)]
pub struct Merge {
    pub segments: Vec<Arc<Segment>>,
    pub date: Option<String>,
    /// The level of what it makes.
    pub level: u32,
    /// The last flush epoch among them.
    pub epoch: u64,
}

impl Merge {
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.size_bytes).sum()
    }
}

/// What of a date can be merged.
#[derive(Debug, Clone)]
struct Part<'s> {
    segment: &'s Arc<Segment>,
    level: u32,
    epoch: u64,
}

/// The merges that are due, none of which has a segment of another; what is cheap for what it takes away comes first.
/// With `to_the_end` every date counts as over.
pub fn plan(segments: &[Arc<Segment>], now: UnixNanos, settings: &CompactSettings, to_the_end: bool) -> Vec<Merge> {
    let mut dates: BTreeMap<Option<&str>, Vec<Part<'_>>> = BTreeMap::new();
    for segment in segments.iter().filter(|segment| segment.size_bytes < settings.max_segment_bytes.div_ceil(2)) {
        // What others wrote into the table is theirs.
        let Some(name) = SegmentName::parse(&segment.location) else { continue };
        let part = Part { segment, level: name.level(), epoch: name.epoch };
        dates.entry(date_of(&segment.location)).or_default().push(part);
    }
    let mut merges = Vec::new();
    let mut left: Vec<(Option<&str>, Vec<Part<'_>>)> = Vec::new();
    for (date, mut parts) in dates {
        parts.sort_by(|a, b| (a.epoch, &a.segment.location).cmp(&(b.epoch, &b.segment.location)));
        if to_the_end || is_over(date, &parts, now) {
            merges.extend(smallest(date, &mut parts, settings, |level| level + 1));
        } else {
            by_level(date, &mut parts, settings, &mut merges);
        }
        left.push((date, parts));
    }
    relieve(&mut left, settings, &mut merges);
    merges.sort_by_cached_key(|merge| (merge.bytes() / (merge.segments.len() as u64 - 1), merge.date.clone()));
    merges
}

/// Whether nothing more is to be expected of the date.
fn is_over(date: Option<&str>, parts: &[Part<'_>], now: UnixNanos) -> bool {
    let quiet = i64::try_from(QUIET.as_nanos()).unwrap_or(i64::MAX);
    let end = date
        .and_then(|date| date.parse::<NaiveDate>().ok()?.succ_opt())
        .map(|next| DateTime::from_naive_utc_and_offset(next.and_time(chrono::NaiveTime::MIN), chrono::Utc))
        .map(|end: DateTime<chrono::Utc>| UnixNanos::from_micros(end.timestamp_micros()));
    // One that lost rows since is still of the time of its flush.
    let flushed = parts.iter().filter(|part| part.level == 0).map(|part| part.segment.written_at);
    end.is_some_and(|end| flushed.chain([end]).all(|time| now.since(time) >= quiet))
}

/// Takes from `parts` what makes a merge within its level, oldest first.
fn by_level<'s>(date: Option<&str>, parts: &mut Vec<Part<'s>>, settings: &CompactSettings, merges: &mut Vec<Merge>) {
    let mut levels: BTreeMap<u32, Vec<Part<'s>>> = BTreeMap::new();
    parts.drain(..).for_each(|part| levels.entry(part.level).or_default().push(part));
    for (level, of_level) in levels {
        let mut group: Vec<Part<'s>> = Vec::new();
        let mut bytes = 0;
        for part in of_level {
            let size = part.segment.size_bytes;
            if bytes + size > settings.max_segment_bytes {
                // Two that are not full have room for each other, so these are several.
                merges.push(merge(date, &group, level + 1));
                group.clear();
                bytes = 0;
            }
            bytes += size;
            group.push(part);
            if group.len() == settings.merge_segments {
                merges.push(merge(date, &group, level + 1));
                group.clear();
                bytes = 0;
            }
        }
        parts.append(&mut group);
    }
}

/// Takes the smallest from `parts`, as many as may be; `None` if that is not even two.
fn smallest(
    date: Option<&str>,
    parts: &mut Vec<Part<'_>>,
    settings: &CompactSettings,
    level: impl Fn(u32) -> u32,
) -> Option<Merge> {
    parts.sort_by_key(|part| (part.segment.size_bytes, part.epoch));
    let mut bytes = 0;
    let fits = |part: &&Part<'_>| {
        bytes += part.segment.size_bytes;
        bytes <= settings.max_segment_bytes
    };
    let count = parts.iter().take(settings.merge_segments).take_while(fits).count();
    let group: Vec<_> = if count >= 2 { parts.drain(..count).collect() } else { return None };
    Some(merge(date, &group, level(group.iter().map(|part| part.level).max().unwrap_or(0))))
}

/// Adds merges until few enough segments are left, where that is possible.
fn relieve(left: &mut [(Option<&str>, Vec<Part<'_>>)], settings: &CompactSettings, merges: &mut Vec<Merge>) {
    // What is planned makes one segment each.
    let mut count = merges.len() + left.iter().map(|(_, parts)| parts.len()).sum::<usize>();
    left.sort_by_key(|(date, parts)| (std::cmp::Reverse(parts.len()), *date));
    for (date, parts) in left {
        if count <= CROWDED {
            return;
        }
        // It stays in its level: else a few small segments would be in each of many levels, and none ever full.
        if let Some(merge) = smallest(*date, parts, settings, |level| level) {
            count -= merge.segments.len() - 1;
            merges.push(merge);
        }
    }
}

fn merge(date: Option<&str>, parts: &[Part<'_>], level: u32) -> Merge {
    Merge {
        segments: parts.iter().map(|part| Arc::clone(part.segment)).collect(),
        date: date.map(str::to_owned),
        // What was flushed or rewritten is told from what is merged by its level.
        level: level.max(1),
        epoch: parts.iter().map(|part| part.epoch).max().unwrap_or(0),
    }
}

#[cfg(test)]
mod tests;
