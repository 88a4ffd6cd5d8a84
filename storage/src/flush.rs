//! Makes sealed flush epochs into live segments, oldest first.

use std::sync::Arc;

use object_store::{ObjectStore, ObjectStoreExt, PutPayload};

use crate::aside::aside;
use crate::catalog::{DeltaCatalog, NewSegment, SegmentName};
use crate::memory::{Committed, Epoch};
use crate::model::UnixNanos;
use crate::promotion::Promotion;
use crate::rows::SpanRows;
use crate::schema::promoted::Promoted;
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
    promotion: &mut Promotion,
    objects: &dyn ObjectStore,
    collector: &str,
    now: UnixNanos,
) -> Result<usize> {
    let to = Target { epoch, objects, collector, now };
    let mut written = 0;
    for table in Table::ALL {
        if table == Table::Spans {
            written += flush_spans(&to, &mut catalogs.spans, promotion).await?;
            continue;
        }
        let segments = to.write(table).await?;
        // A replay finds no rows there either, so that nothing need say that there are none.
        if !segments.is_empty() || table == Table::Traces {
            written += segments.len();
            catalogs.table_mut(table).commit(epoch.number, &segments, &[]).await?;
        }
    }
    Ok(written)
}

/// Spans, and the columns that their attributes get.
async fn flush_spans(to: &Target<'_>, catalog: &mut DeltaCatalog, promotion: &mut Promotion) -> Result<usize> {
    let rows = Arc::clone(to.epoch);
    let sorted = Arc::new(aside("flush", NICENESS, move || Ok(SortedSpans::new(SpanRows::concat(&rows.spans)))).await?);
    // What is written for columns that the table has not, or has in other places, could not be committed.
    catalog.catch_up().await?;
    let mut added = Vec::new();
    if sorted.segment_count() > 0 {
        if promotion.misses(to.epoch.number) {
            let sorted = Arc::clone(&sorted);
            let of_epoch = aside("flush", NICENESS, move || Ok(sorted.key_counts())).await?;
            promotion.count(to.epoch.number, to.now, of_epoch);
        }
        added = promotion.choose(catalog.promoted());
    }
    let promoted: Arc<[Promoted]> = catalog.promoted().iter().chain(&added).cloned().collect();
    let mut segments = Vec::new();
    for number in 0..sorted.segment_count() {
        let (sorted, promoted) = (Arc::clone(&sorted), Arc::clone(&promoted));
        let file = aside("flush", NICENESS, move || sorted.encode(number, &promoted)).await?;
        segments.push(to.put(file, Table::Spans).await?);
    }
    catalog.commit(to.epoch.number, &segments, &added).await?;
    if !added.is_empty() {
        let columns: Vec<String> = added.iter().map(Promoted::to_string).collect();
        tracing::info!(?columns, of = promoted.len(), "frequent attributes have columns of their own");
    }
    Ok(segments.len())
}

/// Where an epoch's segments go, and what they are called after.
struct Target<'e> {
    epoch: &'e Arc<Epoch>,
    objects: &'e dyn ObjectStore,
    collector: &'e str,
    now: UnixNanos,
}

impl Target<'_> {
    /// Segments of a table that is not `spans`.
    async fn write(&self, table: Table) -> Result<Vec<NewSegment>> {
        let mut segments = Vec::new();
        if self.epoch.row_count(table) > 0 {
            let rows = Arc::clone(self.epoch);
            for file in aside("flush", NICENESS, move || segment::encode(table, &rows.columns(table)?)).await? {
                segments.push(self.put(file, table).await?);
            }
        }
        Ok(segments)
    }

    async fn put(&self, file: EncodedSegment, table: Table) -> Result<NewSegment> {
        // The same epoch always gets the same names, so a repeated flush overwrites what an interrupted one left.
        let name = SegmentName { collector: self.collector.to_owned(), epoch: self.epoch.number, compacted: None };
        let location = name.location(table, file.date.as_deref());
        let size_bytes = file.bytes.len() as u64;
        self.objects.put(&location, PutPayload::from(file.bytes)).await.map_err(|source| Error::Write {
            what: format!("segment {location}"),
            source: std::io::Error::other(source),
        })?;
        Ok(NewSegment {
            segment: Segment {
                location,
                size_bytes,
                row_count: file.row_count,
                start_range: file.start_range,
                written_at: self.now,
                keys: file.keys,
                expired_rows: 0,
            },
            date: file.date,
            ranges: file.ranges,
        })
    }
}

/// How much less of the processor a flush gets than what clients wait for, where both want it.
const NICENESS: i32 = 5;
