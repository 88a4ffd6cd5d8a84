//! A segment without some of its rows, in place of the one that has them. Nothing of it counts before its commit.

use std::sync::Arc;

use arrow::buffer::BooleanBuffer;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::runtime::Handle;

use super::run::{input, make};
use crate::catalog::{Compacted, NewSegment, SegmentName, date_of};
use crate::schema::Table;
use crate::schema::promoted::Promoted;
use crate::segment;
use crate::snapshot::Segment;
use crate::{Error, Result};

/// Writes the rows of `segment` that are `kept`, of which there is at least one. The file is there and synced, and in no log.
/// `promoted` are the table's promoted columns.
pub async fn rewrite(
    table: Table,
    promoted: Arc<[Promoted]>,
    segment: &Segment,
    kept: BooleanBuffer,
    objects: &Arc<dyn ObjectStore>,
) -> Result<NewSegment> {
    let name = SegmentName::parse(&segment.location).ok_or_else(|| {
        Error::Busy(format!("{} was written by someone else, and goes only as a whole", segment.location))
    })?;
    let date = date_of(&segment.location);
    // Its rows were merged no more often than before, so that merges take it for what it was.
    let compacted = Compacted { level: name.level(), unique: rand::random() };
    let location = SegmentName { compacted: Some(compacted), ..name }.location(table, date);
    let old = input(segment, objects, &Handle::current());
    let what = format!("segment {}", segment.location);
    let report = make(objects, &location, what.clone(), move |out, limits| {
        segment::rewrite(table, &promoted, old, &kept, out, limits)
    })
    .await?;
    if report.rows + report.gone_rows != segment.row_count {
        // What the log says of the segment and what is in it differ: better too many rows than lost ones.
        let _ = objects.delete(&location).await;
        return Err(Error::Damaged {
            what,
            detail: format!(
                "the log lists {} rows, and there are {}",
                segment.row_count,
                report.rows + report.gone_rows
            ),
        });
    }
    Ok(NewSegment {
        segment: Segment {
            location,
            size_bytes: report.bytes,
            row_count: report.rows,
            start_range: report.start_range,
            // Nothing is new in it: a date that is over does not wait for it, nor is it merged again for it.
            written_at: segment.written_at,
            keys: report.keys,
            expired_rows: segment.expired_rows + report.gone_rows,
        },
        date: date.map(str::to_owned),
        ranges: report.ranges,
    })
}
