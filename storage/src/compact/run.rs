//! One merge: segments in the object store become a segment there. Nothing of it counts before its commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use object_store::{ObjectStore, ObjectStoreExt};
use tokio::runtime::Handle;

use super::plan::Merge;
use super::source::StoredFile;
use super::upload::{parts, upload};
use crate::aside::aside;
use crate::catalog::{Compacted, NewSegment, Replacing, SegmentName};
use crate::model::UnixNanos;
use crate::schema::Table;
use crate::segment::{MergeInput, MergeLimits, merge, merge_whole};
use crate::snapshot::Segment;
use crate::{Error, Result};

/// How much less of the processor a merge gets than flushes, which get less than what clients wait for.
const NICENESS: i32 = 10;

/// Ends the merge if whoever waits for it leaves.
struct Leaving(Arc<AtomicBool>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Writes what `planned` makes. The file is there and synced, and in no log. Also says what kind of replacement it is.
pub async fn write(
    table: Table,
    planned: &Merge,
    objects: &Arc<dyn ObjectStore>,
    collector: &str,
    now: UnixNanos,
) -> Result<(NewSegment, Replacing)> {
    let compacted = Compacted { level: planned.level, unique: rand::random() };
    let name = SegmentName { collector: collector.to_owned(), epoch: planned.epoch, compacted: Some(compacted) };
    let location = name.location(table, planned.date.as_deref());
    let runtime = Handle::current();
    let input = |segment: &Arc<Segment>| MergeInput {
        name: segment.location.to_string(),
        file: StoredFile::new(Arc::clone(objects), segment.location.clone(), segment.size_bytes, runtime.clone()),
    };
    let inputs: Vec<_> = planned.segments.iter().map(input).collect();
    let (mut out, parts) = parts();
    let limits = MergeLimits::default();
    let _leaving = Leaving(Arc::clone(&limits.cancelled));
    let making = aside("compact", NICENESS, move || {
        let report = match table {
            Table::Spans | Table::Traces => merge(table, inputs, &mut out, &limits)?,
            Table::SpanMetrics | Table::EdgeMetrics | Table::Paths => merge_whole(table, inputs, &mut out, &limits)?,
        };
        let unfinished = |source| Error::Write { what: "a merged segment".to_owned(), source };
        out.finish().map_err(unfinished)?;
        Ok(report)
    });
    let report = upload(Arc::clone(objects), &location, parts, making).await?;
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
            what: format!("a segment of {} and its date {:?}", table.name(), planned.date),
            detail: format!("the log lists {rows} rows of the merged segments, and there are {}", report.rows),
        });
    }
    let why = if report.rows == rows { Replacing::Merged } else { Replacing::Summed };
    let segment = NewSegment {
        segment: Segment {
            location,
            size_bytes: report.bytes,
            row_count: report.rows,
            start_range: report.start_range,
            written_at: now,
        },
        date: planned.date.clone(),
        ranges: report.ranges,
    };
    Ok((segment, why))
}
