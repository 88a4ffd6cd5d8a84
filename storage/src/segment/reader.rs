//! A segment's rows as memory has them.
//!
//! Files say texts and bytes, as the table's log does, and memory has views of those that are columns of their own. Files of
//! before format 6 keep memory's schema; it is passed over, so that all are read in one way.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::errors::Result;
use parquet::file::reader::ChunkReader;

pub fn open_file<R: ChunkReader + 'static>(file: R) -> Result<ParquetRecordBatchReaderBuilder<R>> {
    open_file_with(file, ArrowReaderOptions::new())
}

pub fn open_file_with<R: ChunkReader + 'static>(
    file: R,
    options: ArrowReaderOptions,
) -> Result<ParquetRecordBatchReaderBuilder<R>> {
    let stored = ArrowReaderMetadata::load(&file, options.with_skip_arrow_metadata(true))?;
    let options = ArrowReaderOptions::new().with_schema(in_memory(stored.schema()));
    let metadata = ArrowReaderMetadata::try_new(Arc::clone(stored.metadata()), options)?;
    Ok(ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata))
}

fn in_memory(stored: &Schema) -> SchemaRef {
    let field = |field: &FieldRef| match field.data_type() {
        DataType::Utf8 => Arc::new(Field::clone(field).with_data_type(DataType::Utf8View)),
        DataType::Binary => Arc::new(Field::clone(field).with_data_type(DataType::BinaryView)),
        _ => Arc::clone(field),
    };
    Arc::new(Schema::new(stored.fields().iter().map(field).collect::<Vec<_>>()))
}
