//! What would go, found out without writing anything.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use object_store::ObjectStore;

use super::examine::Going;
use super::look;
use super::plan::{Settled, Why, plan};
use crate::catalog::date_of;
use crate::config::RetentionSettings;
use crate::lock::DirectoryLock;
use crate::model::UnixNanos;
use crate::recovery::{self, DataDirectory};
use crate::schema::promoted::Promoted;
use crate::schema::{ByTable, Table};
use crate::snapshot::Segment;
use crate::{Error, Result};

/// What goes of a table and date for the same reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiring {
    pub table: Table,
    pub date: Option<String>,
    /// `max_age`, `max_bytes`, or a rule by its number and what it says.
    pub why: String,
    /// Segments that go, or lose rows. One that loses rows for several reasons is in each of them.
    pub segments: u64,
    pub rows: u64,
    /// Of a segment that loses rows, in proportion to these.
    pub bytes: u64,
}

/// What would go, and what cannot be looked at.
#[derive(Debug, Default)]
pub struct Preview {
    pub expiring: Vec<Expiring>,
    /// A segment each that is damaged or does not read, so that rules take no rows out of it.
    pub unread: Vec<Error>,
}

/// The live segments, and the columns of attributes that `spans` has.
#[derive(Debug, Clone)]
pub(crate) struct Tables {
    pub live: ByTable<Vec<Arc<Segment>>>,
    pub promoted: Arc<[Promoted]>,
}

/// What would go of a directory that no server has. Writes nothing.
pub async fn dry_run(directory: &Path, settings: &RetentionSettings, now: UnixNanos) -> Result<Preview> {
    let found = DataDirectory::new(directory);
    if !found.tables().is_dir() {
        return Err(Error::Read {
            what: format!("data directory {}", directory.display()),
            source: "no server has ever written to it".into(),
        });
    }
    let _lock = DirectoryLock::shared(directory)?;
    let tables = recovery::read_tables(&found).await?;
    let objects = recovery::segment_store(&found)?;
    let tables = Tables {
        live: ByTable::new(|table| tables.table(table).segments.clone()),
        promoted: Arc::clone(&tables.spans.promoted),
    };
    // Nobody changes it under the lock.
    preview(tables, &objects, settings, now, Settled::default(), |_| true).await
}

/// What would go once everything that is due has been looked at. As with a server, what does not read keeps its rows, and nothing else from
/// going. It says nothing of a segment that is live no longer once it is looked at: nobody needs it, and its file may be gone.
pub(crate) async fn preview(
    mut tables: Tables,
    objects: &Arc<dyn ObjectStore>,
    settings: &RetentionSettings,
    now: UnixNanos,
    mut settled: Settled,
    is_live: impl Fn(&Segment) -> bool,
) -> Result<Preview> {
    let mut unread = Vec::new();
    let mut found: Vec<(Table, Why, Expiring)> = Vec::new();
    settled.under(settings);
    for (segment, due) in plan(&tables.live, now, settings, &settled).examine {
        let promoted = Arc::clone(&tables.promoted);
        let going = match look(&segment, due, promoted, &tables.live.traces, settings, objects).await {
            Err(error @ (Error::Damaged { .. } | Error::Read { .. })) => {
                unread.extend(Some(error).filter(|_| is_live(&segment)));
                continue;
            }
            looked => looked?,
        };
        settled.insert(segment.location.clone(), due);
        if let Some(going) = going {
            found.extend(rows_expiring(&segment, &going, settings).map(|(why, of)| (Table::Spans, why, of)));
            shrink(&mut tables.live.spans, &segment, &going);
        }
    }
    // What is too old or too much is so of what rules leave.
    for expiry in plan(&tables.live, now, settings, &settled).whole {
        let of = Expiring {
            table: expiry.table,
            date: expiry.date.clone(),
            why: expiry.why.text(settings).into_owned(),
            segments: expiry.segments.len() as u64,
            rows: expiry.rows(),
            bytes: expiry.bytes(),
        };
        found.push((expiry.table, expiry.why, of));
    }
    Ok(Preview { expiring: summed(found), unread })
}

/// What rules take out of a segment, by reason.
pub(crate) fn rows_expiring<'s>(
    segment: &'s Segment,
    going: &'s Going,
    settings: &'s RetentionSettings,
) -> impl Iterator<Item = (Why, Expiring)> + 's {
    let of_limit = move |(limit, rows): (usize, &u64)| {
        let why = Why::of(limit, settings);
        let of = Expiring {
            table: Table::Spans,
            date: date_of(&segment.location).map(str::to_owned),
            why: why.text(settings).into_owned(),
            segments: 1,
            rows: *rows,
            bytes: in_proportion(segment, *rows),
        };
        (*rows > 0).then_some((why, of))
    };
    going.by_limit.iter().enumerate().filter_map(of_limit)
}

/// So many of the segment's bytes.
fn in_proportion(segment: &Segment, rows: u64) -> u64 {
    let bytes = u128::from(segment.size_bytes) * u128::from(rows) / u128::from(segment.row_count.max(1));
    u64::try_from(bytes).unwrap_or(segment.size_bytes)
}

/// As if the rows were gone.
fn shrink(live: &mut Vec<Arc<Segment>>, segment: &Arc<Segment>, going: &Going) {
    let rows = going.rows();
    live.retain(|other| other.location != segment.location);
    if rows < segment.row_count {
        live.push(Arc::new(Segment {
            size_bytes: segment.size_bytes.saturating_sub(in_proportion(segment, rows)),
            row_count: segment.row_count - rows,
            ..(**segment).clone()
        }));
    }
}

/// One a table, date and reason, in the order in which they came.
fn summed(found: Vec<(Table, Why, Expiring)>) -> Vec<Expiring> {
    let mut tables: Vec<Table> = Vec::new();
    let mut sums: BTreeMap<(usize, Option<String>, Why), Expiring> = BTreeMap::new();
    for (table, why, of) in found {
        let place = tables.iter().position(|known| *known == table).unwrap_or_else(|| {
            tables.push(table);
            tables.len() - 1
        });
        match sums.entry((place, of.date.clone(), why)) {
            std::collections::btree_map::Entry::Occupied(known) => {
                let known = known.into_mut();
                known.segments += of.segments;
                known.rows += of.rows;
                known.bytes += of.bytes;
            }
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(of);
            }
        }
    }
    sums.into_values().collect()
}
