//! One merge: segments in the object store become a segment there. Nothing of it counts before its commit.

use std::sync::Arc;

use arrow::array::RecordBatch;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::runtime::Handle;

use super::plan::Merge;
use super::source::StoredFile;
use super::upload::{PartWriter, parts, upload};
use crate::aside::{Leaving, UPKEEP, aside};
use crate::catalog::{Compacted, NewSegment, Replacing, SegmentName};
use crate::model::UnixNanos;
use crate::schema::Table;
use crate::schema::promoted::{Keys, Promoted};
use crate::segment::{MergeInput, MergeLimits, MergeReport, damaged_if_it_panics, encode, merge};
use crate::snapshot::Segment;
use crate::{Error, Result};

/// What a merge has made.
#[derive(Debug)]
pub struct Written {
    pub segment: NewSegment,
    pub why: Replacing,
    /// Rows of `paths` that its spans refer to; the table may have them.
    pub paths: Option<RecordBatch>,
}

/// Puts rows of `paths` into the object store, as a segment beside `planned`'s.
pub async fn write_paths(
    rows: RecordBatch,
    epoch: u64,
    objects: &Arc<dyn ObjectStore>,
    collector: &str,
    now: UnixNanos,
) -> Result<Vec<NewSegment>> {
    let mut written = Vec::new();
    for file in aside("compact", UPKEEP, move || encode(Table::Paths, &[rows])).await? {
        let compacted = Compacted { level: 1, unique: rand::random() };
        let name = SegmentName { collector: collector.to_owned(), epoch, compacted: Some(compacted) };
        let location = name.location(Table::Paths, None);
        let size_bytes = file.bytes.len() as u64;
        objects.put(&location, file.bytes.into()).await.map_err(|source| Error::Write {
            what: format!("segment {location}"),
            source: std::io::Error::other(source),
        })?;
        let (row_count, start_range) = (file.row_count, file.start_range);
        let keys = Keys::default();
        let segment = Segment { location, size_bytes, row_count, start_range, written_at: now, keys, expired_rows: 0 };
        written.push(NewSegment { segment, date: file.date, ranges: file.ranges });
    }
    Ok(written)
}

/// Writes what `planned` makes. The file is there and synced, and in no log. `promoted` are the table's promoted columns.
pub async fn write(
    table: Table,
    promoted: Arc<[Promoted]>,
    planned: &Merge,
    objects: &Arc<dyn ObjectStore>,
    collector: &str,
    now: UnixNanos,
) -> Result<Written> {
    let compacted = Compacted { level: planned.level, unique: rand::random() };
    let name = SegmentName { collector: collector.to_owned(), epoch: planned.epoch, compacted: Some(compacted) };
    let location = name.location(table, planned.date.as_deref());
    let runtime = Handle::current();
    let inputs: Vec<_> = planned.segments.iter().map(|segment| input(segment, objects, &runtime)).collect();
    let of_date = format!("a segment of {} and its date {:?}", table.name(), planned.date);
    let report =
        make(objects, &location, of_date.clone(), move |out, limits| merge(table, &promoted, inputs, out, limits))
            .await?;
    let rows: u64 = planned.segments.iter().map(|segment| segment.row_count).sum();
    // Rows of spans and traces stay as they are; sums of others may be added up.
    let is_right = match table {
        Table::Spans | Table::Traces => report.rows == rows,
        Table::SpanMetrics | Table::EdgeMetrics | Table::Paths => (1..=rows).contains(&report.rows),
    };
    if !is_right {
        // What the log says of the inputs and what is in them differ: better many segments than lost rows.
        let _ = objects.delete(&location).await;
        return Err(Error::Damaged {
            what: of_date,
            detail: format!("the log lists {rows} rows of the merged segments, and there are {}", report.rows),
        });
    }
    let is_same = report.rows == rows && report.rederived_traces == 0;
    let why = if is_same { Replacing::Merged } else { Replacing::Changed };
    let segment = NewSegment {
        segment: Segment {
            location,
            size_bytes: report.bytes,
            row_count: report.rows,
            start_range: report.start_range,
            written_at: now,
            keys: report.keys,
            expired_rows: planned.segments.iter().map(|segment| segment.expired_rows).sum(),
        },
        date: planned.date.clone(),
        ranges: report.ranges,
    };
    Ok(Written { segment, why, paths: report.paths })
}

pub(super) fn input(segment: &Segment, objects: &Arc<dyn ObjectStore>, runtime: &Handle) -> MergeInput<StoredFile> {
    let (location, size_bytes) = (segment.location.clone(), segment.size_bytes);
    MergeInput {
        name: location.to_string(),
        file: StoredFile::new(Arc::clone(objects), location, size_bytes, runtime.clone()),
        keys: segment.keys.clone(),
        lost_rows: segment.expired_rows > 0,
    }
}

/// Uploads what `work` writes, on a thread that gives way. It ends if nobody waits for it any more. If it panics, `what` is damaged.
pub(super) async fn make(
    objects: &Arc<dyn ObjectStore>,
    location: &Path,
    what: String,
    work: impl FnOnce(&mut PartWriter, &MergeLimits) -> Result<MergeReport> + Send + 'static,
) -> Result<MergeReport> {
    let (mut out, parts) = parts();
    let leaving = Leaving::default();
    let limits = MergeLimits { cancelled: leaving.flag(), ..MergeLimits::default() };
    let making = aside("compact", UPKEEP, move || {
        let report = damaged_if_it_panics(|| what, || work(&mut out, &limits))?;
        let unfinished = |source| Error::Write { what: "a merged segment".to_owned(), source };
        out.finish().map_err(unfinished)?;
        Ok(report)
    });
    upload(Arc::clone(objects), location, parts, making).await
}
