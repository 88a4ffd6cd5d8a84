//! Makes sealed flush epochs into live segments, oldest first.

use std::sync::Arc;

use object_store::{ObjectStore, ObjectStoreExt, PutPayload};

use crate::aside::aside;
use crate::catalog::{DeltaCatalog, NewSegment, SegmentName};
use crate::memory::{Committed, Epoch};
use crate::model::UnixNanos;
use crate::rows::SpanRows;
use crate::schema::{ByTable, Table};
use crate::segment::{self, EncodedSegment, SortedSpans};
use crate::snapshot::Segment;
use crate::{Error, Result};

/// The tables' logs.
pub type Catalogs = ByTable<DeltaCatalog>;

/// The tables' committed states.
pub fn committed(catalogs: &Catalogs) -> ByTable<Committed> {
    ByTable::new(|table| Committed::of(catalogs.table(table)))
}

/// Writes the epoch's segments and commits them: spans last, so that spans without a digest are never to be seen, and so
/// that the spans' epoch tells that all is done. Safe to repeat after any failure.
pub async fn flush(
    epoch: &Arc<Epoch>,
    catalogs: &mut Catalogs,
    objects: &dyn ObjectStore,
    collector: &str,
    now: UnixNanos,
) -> Result<usize> {
    let mut written = 0;
    for table in Table::ALL {
        let segments = write_segments(epoch, table, objects, collector, now).await?;
        // A replay finds no rows there either, so that nothing need say that there are none.
        if segments.is_empty() && !matches!(table, Table::Traces | Table::Spans) {
            continue;
        }
        written += segments.len();
        catalogs.table_mut(table).commit(epoch.number, &segments, &[]).await?;
    }
    Ok(written)
}

async fn write_segments(
    epoch: &Arc<Epoch>,
    table: Table,
    objects: &dyn ObjectStore,
    collector: &str,
    now: UnixNanos,
) -> Result<Vec<NewSegment>> {
    let mut segments = Vec::new();
    let rows = Arc::clone(epoch);
    if table == Table::Spans {
        let sorted =
            Arc::new(aside("flush", NICENESS, move || Ok(SortedSpans::new(SpanRows::concat(&rows.spans)))).await?);
        for number in 0..sorted.segment_count() {
            let sorted = Arc::clone(&sorted);
            let file = aside("flush", NICENESS, move || sorted.encode(number)).await?;
            segments.push(put(file, epoch, table, objects, collector, now).await?);
        }
    } else if rows.row_count(table) > 0 {
        for file in aside("flush", NICENESS, move || segment::encode(table, &rows.columns(table)?)).await? {
            segments.push(put(file, epoch, table, objects, collector, now).await?);
        }
    }
    Ok(segments)
}

async fn put(
    file: EncodedSegment,
    epoch: &Epoch,
    table: Table,
    objects: &dyn ObjectStore,
    collector: &str,
    now: UnixNanos,
) -> Result<NewSegment> {
    // The same epoch always gets the same names, so a repeated flush overwrites what an interrupted one left.
    let name = SegmentName { collector: collector.to_owned(), epoch: epoch.number, compacted: None };
    let location = name.location(table, file.date.as_deref());
    let size_bytes = file.bytes.len() as u64;
    objects.put(&location, PutPayload::from(file.bytes)).await.map_err(|source| Error::Write {
        what: format!("segment {location}"),
        source: std::io::Error::other(source),
    })?;
    Ok(NewSegment {
        segment: Segment {
            location,
            size_bytes,
            row_count: file.row_count,
            start_range: file.start_range,
            written_at: now,
            keys: crate::schema::promoted::Keys::default(),
        },
        date: file.date,
        ranges: file.ranges,
    })
}

/// How much less of the processor a flush gets than what clients wait for, where both want it.
const NICENESS: i32 = 5;
