//! The traces of a segment from its file: one column, a batch at a time.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, TryFutureExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use super::rows::{Builder, TraceRows};
use crate::model::TraceId;
use crate::schema::spans;
use crate::snapshot::Segment;
use crate::{Error, Result};

const BATCH_ROWS: usize = 65_536;

/// Decodes a whole column, so call it off the async threads. `None` if a row has no proper trace id, or if there are too
/// many rows: such a segment is searched.
pub async fn read(segment: &Segment, store: Arc<dyn ObjectStore>) -> Result<Option<TraceRows>> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| Error::Read {
        what: format!("the trace ids of segment {}", segment.location),
        source,
    };
    let reader = SegmentFile { store, location: segment.location.clone(), size_bytes: segment.size_bytes };
    let builder = ParquetRecordBatchStreamBuilder::new(reader).await.map_err(|error| failed(error.into()))?;
    let column = ProjectionMask::columns(builder.parquet_schema(), [spans::TRACE_ID]);
    let mut batches =
        builder.with_projection(column).with_batch_size(BATCH_ROWS).build().map_err(|error| failed(error.into()))?;
    let mut rows = Builder::default();
    while let Some(batch) = batches.try_next().await.map_err(|error| failed(error.into()))? {
        let Some(ids) = batch.columns().first() else { return Ok(None) };
        let ids = cast(ids, &DataType::BinaryView)?;
        let ids = ids.as_binary_view();
        for row in 0..ids.len() {
            match TraceId::from_slice(ids.value(row)) {
                Ok(id) if ids.is_valid(row) => rows.add(id),
                _ => return Ok(None),
            }
        }
    }
    Ok(rows.finish())
}

struct SegmentFile {
    store: Arc<dyn ObjectStore>,
    location: Path,
    size_bytes: u64,
}

impl AsyncFileReader for SegmentFile {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        let bytes = async move { self.store.get_range(&self.location, range).await };
        bytes.map_err(|error| ParquetError::External(error.into())).boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        let size_bytes = self.size_bytes;
        async move { ParquetMetaDataReader::new().load_and_finish(self, size_bytes).await.map(Arc::new) }.boxed()
    }
}
