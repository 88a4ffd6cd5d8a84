//! Arrow's streaming format, a chunk a batch.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::ipc::writer::StreamWriter;
use bytes::Bytes;

use crate::api::error::ApiError;
use crate::api::sql::Encode;

pub(crate) struct Encoder(StreamWriter<Vec<u8>>);

impl Encoder {
    pub(crate) fn new(schema: &Schema) -> Result<Self, ApiError> {
        Ok(Self(StreamWriter::try_new(Vec::new(), schema)?))
    }

    fn take(&mut self) -> Bytes {
        std::mem::take(self.0.get_mut()).into()
    }
}

impl Encode for Encoder {
    fn batch(&mut self, batch: &RecordBatch) -> Result<Bytes, ApiError> {
        self.0.write(batch)?;
        Ok(self.take())
    }

    fn end(&mut self) -> Result<Bytes, ApiError> {
        self.0.finish()?;
        Ok(self.take())
    }
}

/// One batch as a whole stream.
pub(crate) fn whole(batch: &RecordBatch) -> Result<Bytes, ApiError> {
    let mut encoder = Encoder::new(batch.schema_ref())?;
    encoder.0.write(batch)?;
    encoder.0.finish()?;
    Ok(encoder.take())
}
