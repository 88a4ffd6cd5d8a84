use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::catalog::{Compacted, partition_of};
use crate::schema::Table;

const SECOND: i64 = 1_000_000_000;
const DAY: i64 = 86_400 * SECOND;
const MIB: u64 = 1 << 20;
/// A midnight.
const START: i64 = 1_700_006_400 * SECOND;

fn settings() -> CompactSettings {
    CompactSettings::default()
}

fn segment(date: i64, epoch: u64, level: u32, size_bytes: u64, written_at: i64) -> Arc<Segment> {
    let compacted = (level > 0).then_some(Compacted { level, unique: u32::try_from(epoch).unwrap() });
    let name = SegmentName { collector: "c0ffee".to_owned(), epoch, compacted };
    Arc::new(Segment {
        location: name.location(Table::Spans, Some(&partition_of(date / 1_000))),
        size_bytes,
        row_count: size_bytes,
        start_range: None,
        written_at: UnixNanos(written_at),
        keys: crate::schema::promoted::Keys::default(),
        expired_rows: 0,
    })
}

/// A table that is flushed to and merged as planned.
#[derive(Default)]
struct Simulated {
    segments: Vec<Arc<Segment>>,
    epoch: u64,
    made: u64,
    flushed_bytes: u64,
    merged_bytes: u64,
}

impl Simulated {
    fn flush(&mut self, dates: &[i64], size_bytes: u64, now: i64) {
        self.epoch += 1;
        for date in dates {
            self.segments.push(segment(*date, self.epoch, 0, size_bytes, now));
            self.flushed_bytes += size_bytes;
        }
    }

    /// Does what is planned until nothing is, and returns how many merges that were.
    fn compact(&mut self, now: i64, to_the_end: bool) -> usize {
        let mut count = 0;
        while let Some(merge) = plan(&self.segments, UnixNanos(now), &settings(), to_the_end).into_iter().next() {
            let inputs: HashSet<&Path> = merge.segments.iter().map(|segment| &segment.location).collect();
            let before = self.segments.len();
            self.segments.retain(|segment| !inputs.contains(&segment.location));
            assert_eq!(before - self.segments.len(), merge.segments.len());
            self.made += 1;
            let compacted = Some(Compacted { level: merge.level, unique: u32::try_from(self.made).unwrap() });
            let name = SegmentName { collector: "c0ffee".to_owned(), epoch: merge.epoch, compacted };
            // What is merged compresses a little better.
            let size_bytes = merge.bytes() - merge.bytes() / 16;
            self.merged_bytes += size_bytes;
            self.segments.push(Arc::new(Segment {
                location: name.location(Table::Spans, merge.date.as_deref()),
                size_bytes,
                row_count: 1,
                start_range: None,
                written_at: UnixNanos(now),
                keys: crate::schema::promoted::Keys::default(),
                expired_rows: 0,
            }));
            count += 1;
            assert!(count < 10_000, "it does not end");
        }
        count
    }
}

use object_store::path::Path;

#[test]
fn sixteen_of_a_level_become_one_of_the_next_and_fifteen_wait() {
    let segments: Vec<_> = (0..15).map(|epoch| segment(START, epoch, 0, MIB, START)).collect();
    assert_eq!(plan(&segments, UnixNanos(START), &settings(), false), []);
    let segments: Vec<_> = (0..17).rev().map(|epoch| segment(START, epoch, 0, MIB, START)).collect();
    let planned = plan(&segments, UnixNanos(START), &settings(), false);
    let [merge] = &planned[..] else { panic!("{planned:?}") };
    assert_eq!((merge.level, merge.epoch, merge.segments.len()), (1, 15, 16), "the oldest");
    let mixed: Vec<_> = (0..17).map(|epoch| segment(START, epoch, u32::from(epoch > 8), MIB, START)).collect();
    assert_eq!(plan(&mixed, UnixNanos(START), &settings(), false), [], "levels are merged by themselves");
}

#[test]
fn fewer_are_merged_if_that_makes_a_full_segment_and_full_ones_stay() {
    let of = |sizes: &[u64]| -> Vec<_> {
        sizes.iter().zip(0..).map(|(size, epoch)| segment(START, epoch, 1, *size * MIB, START)).collect()
    };
    let planned = plan(&of(&[200, 200, 100, 100]), UnixNanos(START), &settings(), false);
    assert_eq!(planned.iter().map(|merge| merge.segments.len()).collect::<Vec<_>>(), [3]);
    assert_eq!(plan(&of(&[300; 40]), UnixNanos(START), &settings(), true), []);
}

#[test]
fn a_date_is_merged_to_the_end_once_it_is_over_and_nothing_was_flushed_to_it_for_an_hour() {
    let flushed = [segment(START, 1, 0, MIB, START), segment(START, 2, 0, 9 * MIB, START + DAY + 60 * SECOND)];
    let planned = |at| plan(&flushed, UnixNanos(at), &settings(), false).len();
    assert_eq!(planned(START + DAY + 3_600 * SECOND), 0);
    assert_eq!(planned(START + DAY + 3_660 * SECOND), 1);
    // Times ahead of the clock are no past.
    assert_eq!(planned(START - DAY), 0);
    let mut table = Simulated { segments: flushed.to_vec(), epoch: 2, ..Simulated::default() };
    assert_eq!(table.compact(START + 2 * DAY, false), 1);
    assert_eq!(table.compact(START + 2 * DAY, false), 0);
}

#[test]
fn a_segment_that_lost_rows_is_of_its_level_and_no_flush() {
    let rewritten = |epoch: u64, written_at: i64| {
        let compacted = Some(Compacted { level: 0, unique: 7 });
        let name = SegmentName { collector: "c0ffee".to_owned(), epoch, compacted };
        let location = name.location(Table::Spans, Some(&partition_of(START / 1_000)));
        assert_eq!(SegmentName::parse(&location).unwrap().level(), 0);
        Arc::new(Segment { location, ..(*segment(START, epoch, 0, MIB, written_at)).clone() })
    };
    // Of fifteen flushed ones and one that lost rows the next level is made, as of sixteen flushed ones.
    let mut segments: Vec<_> = (0..15).map(|epoch| segment(START, epoch, 0, MIB, START)).collect();
    segments.push(rewritten(15, START));
    let merges = plan(&segments, UnixNanos(START), &settings(), false);
    assert_eq!((merges.len(), merges[0].segments.len(), merges[0].level), (1, 16, 1));
    // Rules go through a date long after it is over: that is no reason to wait with its merge, nor to merge what was flushed
    // just now sooner.
    let now = START + 9 * DAY;
    let late = [rewritten(1, START), segment(START, 2, 0, MIB, START)];
    let merges = plan(&late, UnixNanos(now), &settings(), false);
    assert_eq!((merges.len(), merges[0].segments.len(), merges[0].level), (1, 2, 1));
    for flushed in [segment(START, 1, 0, MIB, now), rewritten(1, now)] {
        assert_eq!(plan(&[flushed, segment(START, 2, 0, MIB, START)], UnixNanos(now), &settings(), false), []);
    }
}

#[test]
fn files_of_others_are_left_alone() {
    let foreign = |number: u32| {
        let location = Path::from(format!("spans/date=2023-11-15/part-{number}-1.snappy.parquet"));
        Arc::new(Segment { location, ..(*segment(START, 1, 0, MIB, START)).clone() })
    };
    let segments: Vec<_> = (0..400).map(foreign).collect();
    assert_eq!(plan(&segments, UnixNanos(START + 9 * DAY), &settings(), true), []);
}

#[test]
fn a_month_of_flushes_every_15_s_stays_below_350_segments_and_rewrites_a_row_five_times_at_most() {
    let mut table = Simulated::default();
    let mut most = 0;
    for flush in 0..30 * 5_760_i64 {
        let now = START + flush * 15 * SECOND;
        // At midnight and for an hour a flush has spans of both days.
        let today = now - now.rem_euclid(DAY);
        let dates = if now - today < 3_600 * SECOND { vec![today - DAY, today] } else { vec![today] };
        table.flush(&dates, MIB + (flush as u64 * 7_919) % (5 * MIB), now);
        // Sixteen flushes are the least that anything is due for.
        if flush % 16 == 0 {
            table.compact(now, false);
        }
        most = most.max(table.segments.len());
    }
    let rewritten = table.merged_bytes as f64 / table.flushed_bytes as f64;
    // 20 GB a day are 39 full segments a day; those are never touched again.
    let full = table.segments.iter().filter(|segment| segment.size_bytes >= 256 * MIB).count();
    println!("most {most}, at the end {} ({full} full), rewritten {rewritten:.2} times", table.segments.len());
    assert!(most - full < 350, "{most} segments, {full} full");
    assert!(rewritten < 5.0, "every byte was rewritten {rewritten} times");
}

#[test]
fn a_month_of_small_flushes_ends_as_one_segment_a_day() {
    let mut table = Simulated::default();
    let mut most = 0;
    for flush in 0..30 * 5_760_i64 {
        let now = START + flush * 15 * SECOND;
        table.flush(&[now - now.rem_euclid(DAY)], 20_000, now);
        if flush % 16 == 0 {
            table.compact(now, false);
        }
        most = most.max(table.segments.len());
    }
    table.compact(START + 31 * DAY, false);
    let rewritten = table.merged_bytes as f64 / table.flushed_bytes as f64;
    println!("most {most}, rewritten {rewritten:.2} times");
    assert_eq!(table.segments.len(), 30);
    assert!(most < 100 && rewritten < 5.0, "{most} segments, rewritten {rewritten} times");
}

#[test]
fn flushes_of_a_hundred_dates_at_once_stay_below_350_segments() {
    let mut table = Simulated::default();
    for flush in 0..300_i64 {
        let now = START + flush * 15 * SECOND;
        let dates: Vec<i64> = (0..100).map(|day| START - day * DAY).collect();
        table.flush(&dates, 50_000, now);
        table.compact(now, false);
        assert!(table.segments.len() <= 350, "{} segments after flush {flush}", table.segments.len());
    }
    println!("rewritten {:.2} times", table.merged_bytes as f64 / table.flushed_bytes as f64);
    table.compact(START + 3 * DAY, false);
    assert_eq!(table.segments.len(), 100);
}

fn segments() -> impl Strategy<Value = Vec<Arc<Segment>>> {
    let one = (0..6_i64, 0..4_u32, 1..400 * MIB, 0..48_i64);
    proptest::collection::vec(one, 0..400).prop_map(|all| {
        let of = |((day, level, size, hours), epoch)| {
            segment(START + day * DAY, epoch, level, size, START + hours * 3_600 * SECOND)
        };
        all.into_iter().zip(0..).map(of).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_segment_is_planned_twice_and_no_merge_is_too_large(
        segments in segments(), hours in 0..200_i64, to_the_end: bool
    ) {
        let now = UnixNanos(START + hours * 3_600 * SECOND);
        let planned = plan(&segments, now, &settings(), to_the_end);
        let mut seen = HashSet::new();
        for merge in &planned {
            prop_assert!((2..=16).contains(&merge.segments.len()));
            prop_assert!(merge.bytes() <= settings().max_segment_bytes);
            for segment in &merge.segments {
                prop_assert!(seen.insert(&segment.location), "{} is planned twice", segment.location);
                prop_assert_eq!(date_of(&segment.location), merge.date.as_deref());
                prop_assert!(segment.size_bytes < settings().max_segment_bytes / 2);
            }
        }
        let mut shuffled = segments.clone();
        shuffled.reverse();
        prop_assert_eq!(plan(&shuffled, now, &settings(), to_the_end), planned, "the order of the list means nothing");
    }

    #[test]
    fn it_ends_and_at_the_end_no_two_of_a_date_have_room_for_each_other(segments in segments(), to_the_end: bool) {
        let mut table = Simulated { segments, epoch: 400, made: 1_000, ..Simulated::default() };
        let now = START + 30 * DAY;
        table.compact(now, to_the_end);
        let mut open: BTreeMap<_, usize> = BTreeMap::new();
        for segment in table.segments.iter().filter(|segment| segment.size_bytes < 256 * MIB) {
            *open.entry(date_of(&segment.location).map(str::to_owned)).or_default() += 1;
        }
        prop_assert!(open.values().all(|count| *count <= 1), "{open:?}");
    }
}
