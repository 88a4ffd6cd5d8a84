//! Which spans the spans table has.

use std::collections::HashSet;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use parquet::arrow::ProjectionMask;

use super::plan::Span;
use crate::catalog::DeltaCatalog;
use crate::model::{Head, SpanBatch, SpanId, TraceId, UnixNanos};
use crate::recovery::DataDirectory;
use crate::schema::{Table, spans};
use crate::segment::{damaged_if_it_panics, open_file};
use crate::snapshot::Segment;
use crate::{Error, Result};

/// The spans table as it is.
#[derive(Debug)]
pub struct Tables {
    folder: PathBuf,
    committed_epoch: u64,
    segments: Vec<Arc<Segment>>,
}

impl Tables {
    pub async fn open(directory: &DataDirectory) -> Result<Self> {
        let folder = directory.tables();
        let collector = directory.known_collector().unwrap_or_default();
        let catalog = DeltaCatalog::open_existing(Table::Spans, &folder, collector).await?;
        Ok(Self {
            folder,
            committed_epoch: catalog.as_ref().map_or(0, DeltaCatalog::committed_epoch),
            segments: catalog.map_or(Vec::new(), |catalog| catalog.segments().to_vec()),
        })
    }

    /// The last epoch that is in segments.
    pub fn committed_epoch(&self) -> u64 {
        self.committed_epoch
    }

    /// Those of `asked` that are in segments.
    pub fn which(&self, asked: HashSet<Span>) -> Result<HashSet<Span>> {
        let starts = || asked.iter().map(|span| span.start);
        let (Some(earliest), Some(latest)) = (starts().min(), starts().max()) else { return Ok(HashSet::new()) };
        let may_hold = |segment: &&Arc<Segment>| {
            segment.start_range.is_none_or(|(first, last)| first <= latest && earliest <= last)
        };
        let mut found = HashSet::new();
        for segment in self.segments.iter().filter(may_hold) {
            let what = || format!("segment {}", segment.location);
            damaged_if_it_panics(what, || self.add_spans(segment, &asked, &mut found))?;
        }
        Ok(found)
    }

    /// Adds those of `asked` that the segment has.
    fn add_spans(&self, segment: &Segment, asked: &HashSet<Span>, found: &mut HashSet<Span>) -> Result<()> {
        let failed = |source| Error::Read { what: format!("segment {}", segment.location), source };
        let file = File::open(self.folder.join(segment.location.as_ref())).map_err(|error| failed(error.into()))?;
        let reader = open_file(file).map_err(|error| failed(error.into()))?;
        let wanted = [spans::TRACE_ID, spans::SPAN_ID, spans::START_TIME, spans::START_NANOS];
        let mask = ProjectionMask::columns(reader.parquet_schema(), wanted);
        for batch in reader.with_projection(mask).build().map_err(|error| failed(error.into()))? {
            found.extend(spans_in(&batch?)?.into_iter().filter(|span| asked.contains(span)));
        }
        Ok(())
    }
}

fn spans_in(batch: &RecordBatch) -> Result<Vec<Span>> {
    let column = |name: &str, as_type: &DataType| {
        let missing = || arrow::error::ArrowError::SchemaError(format!("a segment has no column {name}"));
        cast(batch.column_by_name(name).ok_or_else(missing)?, as_type)
    };
    let ids = [column(spans::TRACE_ID, &DataType::BinaryView)?, column(spans::SPAN_ID, &DataType::BinaryView)?];
    let times = [column(spans::START_TIME, &DataType::Int64)?, column(spans::START_NANOS, &DataType::Int64)?];
    let [trace_ids, span_ids] = [ids[0].as_binary_view(), ids[1].as_binary_view()];
    let [micros, nanos] = [times[0].as_primitive::<Int64Type>(), times[1].as_primitive::<Int64Type>()];
    let span = |row| {
        Some(Span {
            trace_id: TraceId::from_slice(trace_ids.value(row)).ok()?,
            span_id: SpanId::from_slice(span_ids.value(row)).ok()?,
            start: UnixNanos::from_micros_and_remainder(micros.value(row), i32::try_from(nanos.value(row)).ok()?),
        })
    };
    Ok((0..trace_ids.len()).filter_map(span).collect())
}

/// The spans of a decoded request.
pub fn spans_of(batch: &SpanBatch) -> Vec<Span> {
    let span = |head: &Head| Span { trace_id: head.trace_id, span_id: head.span_id, start: head.start };
    batch.heads().iter().map(span).collect()
}
