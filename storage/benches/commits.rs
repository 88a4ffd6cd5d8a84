//! What a flush's commits cost as the tables grow old: `make bench-commits`.
//!
//! All tables, one segment a flush each, through the syncing store, with checkpoints and clean-up as they come. Sixteen segments of
//! a level become one of the next, as compaction has it; with `MERGED=no` all of them stay. Prints wall and CPU time of a
//! flush's commits at the ages and numbers of live files that `docs/benchmarks.md` quotes. With `COLUMNS`, so many attributes
//! have columns of their own.
//!
//! Days of a table pass in minutes, so files of the log are made as old as they would be with a flush every [`FLUSH_EVERY`]: what
//! is older than the log is kept for goes, as it does in a store. With `AGED=no` nothing goes.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::path::Path as FilePath;
use std::time::{Duration, Instant};

use object_store::path::Path;
use storage::Segment;
use storage::catalog::{ColumnRanges, Compacted, DeltaCatalog, NewSegment, Replacing, SegmentName};
use storage::model::UnixNanos;
use storage::schema::Table;
use storage::schema::promoted::{Keys, Promoted};

const COLLECTOR: &str = "0badcafe";
/// Commits measured at each age.
const WINDOW: u64 = 50;
const NOW: UnixNanos = UnixNanos(1_767_225_600_000_000_000);

const FLUSH_EVERY: Duration = Duration::from_secs(15);
/// Longer than a log is kept.
const EXPIRED: Duration = Duration::from_secs(7 * 3_600);
/// Files of the log are made older now and then.
const AGED_EVERY: u64 = 10;

/// Segments of a level that become one of the next.
const MERGED: u64 = 16;
const LEVELS: u32 = 4;

fn location(table: Table, epoch: u64, level: u32) -> Path {
    let compacted = (level > 0).then_some(Compacted { level, unique: level });
    let name = SegmentName { collector: COLLECTOR.to_owned(), epoch, compacted };
    name.location(table, table.time_column().map(|_| "2026-01-01"))
}

/// The levels of which a flush is the last, and the segments that a merge takes then.
fn merges(epoch: u64) -> impl Iterator<Item = (u32, Vec<u64>)> {
    let due = (1..=LEVELS).take_while(move |level| epoch.is_multiple_of(MERGED.pow(*level)));
    due.map(move |level| {
        let apart = MERGED.pow(level - 1);
        (level, (0..MERGED).rev().map(|back| epoch - back * apart).collect())
    })
}

async fn merge(table: Table, catalog: &mut DeltaCatalog, epoch: u64, promoted: usize) -> storage::Result<()> {
    for (level, epochs) in merges(epoch) {
        let removed: Vec<Path> = epochs.into_iter().map(|epoch| location(table, epoch, level - 1)).collect();
        let added = new_segment(table, epoch, level, promoted);
        catalog.replace(&removed, &[added], &[], Replacing::Merged, NOW).await?;
    }
    Ok(())
}

fn new_segment(table: Table, epoch: u64, level: u32, promoted: usize) -> NewSegment {
    NewSegment {
        segment: Segment {
            location: location(table, epoch, level),
            size_bytes: 1 << 20,
            row_count: 30_000,
            start_range: None,
            written_at: NOW,
            keys: Keys { promoted, mixed: Vec::new() },
            expired_rows: 0,
        },
        date: table.time_column().map(|_| "2026-01-01".to_owned()),
        ranges: ColumnRanges::default(),
    }
}

/// Makes a table's log as old as its flushes are said to be.
#[derive(Default)]
struct Ageing {
    /// The newest versions at some flushes that are not expired yet, the oldest first.
    newest: VecDeque<(u64, u64)>,
}

impl Ageing {
    fn age(&mut self, log: &FilePath, epoch: u64) -> std::io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(log)? {
            let entry = entry?;
            let version = entry.file_name().to_str().and_then(|name| name.split('.').next()?.parse::<u64>().ok());
            files.extend(version.map(|version| (version, entry.path())));
        }
        self.newest.extend(files.iter().map(|(version, _)| *version).max().map(|newest| (epoch, newest)));
        let young = EXPIRED.as_secs() / FLUSH_EVERY.as_secs();
        let mut expired = None;
        while let Some((_, version)) = self.newest.pop_front_if(|(at, _)| *at + young < epoch) {
            expired = Some(version);
        }
        for (_, path) in files.iter().filter(|(version, _)| Some(*version) <= expired) {
            let file = File::options().append(true).open(path)?;
            if let Some(then) = file.metadata()?.modified()?.checked_sub(EXPIRED) {
                file.set_modified(then)?;
            }
        }
        Ok(())
    }
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn median(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let flushes: u64 = std::env::var("FLUSHES").ok().map_or(Ok(1_000), |text| text.parse())?;
    let is_merged = std::env::var("MERGED").as_deref() != Ok("no");
    let is_aged = std::env::var("AGED").as_deref() != Ok("no");
    let columns: usize = std::env::var("COLUMNS").ok().map_or(Ok(0), |text| text.parse())?;
    let columns: Vec<Promoted> =
        (0..columns).filter_map(|number| Promoted::parse(&format!("attributes__text__key__{number}"))).collect();
    let directory = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut catalogs = Vec::new();
        for table in Table::ALL {
            let catalog = DeltaCatalog::open_or_create(table, directory.path(), COLLECTOR.to_owned()).await?;
            catalogs.push((table, catalog, Ageing::default()));
        }
        println!("flushes  live files  log files  wall p50  wall p99  cpu mean  merges' commits and maintenance (all so far)");
        let (mut wall, mut maintained) = (Vec::new(), Duration::ZERO);
        let mut cpu = Duration::ZERO;
        for epoch in 1..=flushes {
            let (start, cpu_before) = (Instant::now(), cpu_time());
            for (table, catalog, _) in &mut catalogs {
                let columns = if *table == Table::Spans { columns.as_slice() } else { &[] };
                let added = if epoch == 1 { columns } else { &[] };
                catalog.commit(epoch, &[new_segment(*table, epoch, 0, columns.len())], added).await?;
            }
            wall.push(start.elapsed());
            cpu += cpu_time() - cpu_before;
            if is_aged && epoch.is_multiple_of(AGED_EVERY) {
                for (table, _, ageing) in &mut catalogs {
                    ageing.age(&directory.path().join(table.name()).join("_delta_log"), epoch)?;
                }
            }
            let start = Instant::now();
            for (table, catalog, _) in &mut catalogs {
                if is_merged {
                    let promoted = if *table == Table::Spans { columns.len() } else { 0 };
                    merge(*table, catalog, epoch, promoted).await?;
                }
                catalog.maintain().await?;
            }
            maintained += start.elapsed();
            if epoch % WINDOW == 0 {
                let (p50, p99) = median(std::mem::take(&mut wall));
                let cpu_mean = std::mem::take(&mut cpu) / WINDOW as u32;
                if [50, 100, 350, 1_000, 2_000, 5_000, 10_000].contains(&epoch) || epoch == flushes {
                    let live = catalogs[0].1.segments().len();
                    let logged = fs::read_dir(directory.path().join(Table::Spans.name()).join("_delta_log"))?.count();
                    println!(
                        "{epoch:>7}  {live:>10}  {logged:>9}  {p50:>8.1?}  {p99:>8.1?}  {cpu_mean:>8.1?}  {maintained:.1?}"
                    );
                }
            }
        }
        Ok(())
    })
}
