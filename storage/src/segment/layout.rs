//! How a segment's rows and columns lie in its file.
//!
//! Rows are sorted by what searches name: service, operation, then time. Figures for these choices stand in
//! `docs/decisions/`.

use std::io::Write;

use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{BloomFilterPosition, EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use crate::schema::{FORMAT_VERSION, Table, edge_metrics, paths, span_metrics, spans, traces};

/// A row group is filled before the next begins. Each has a dictionary of trace ids, and in a large segment nearly every trace has a
/// span in each of them: of a million rows, the ids of such a segment take twice as many bytes (decision 0030).
pub const ROW_GROUP_ROWS: usize = 1 << 22;
/// Rows of a page of a column that each row has one value of. A trace's spans lie in as many pages as it has operations, and of
/// each a page is decoded for one row.
pub(super) const PAGE_ROWS: usize = 2_048;
/// The same of attributes, events and links: they are many columns, so that short pages would be a byte of page index a row.
pub(super) const ATTRIBUTE_PAGE_ROWS: usize = 8_192;
pub(super) const DICTIONARY_BYTES: usize = 1 << 20;
/// The usual 1 MB makes trace ids fall back to plain pages, at three times the bytes.
pub(super) const TRACE_ID_DICTIONARY_BYTES: usize = 64 << 20;
pub(super) const BLOOM_FALSE_POSITIVES: f64 = 0.01;
pub(super) const ZSTD_LEVEL: i32 = 3;
/// Where segments are merged: what is merged stays, and nobody waits for it. Texts of a span's attributes take 4.8 bytes instead
/// of 6.1 for 0.7 us more, those of its resource 0.8 instead of 2.
pub(super) const MERGED_ZSTD_LEVEL: i32 = 9;

/// Key of the metadata that says which version of the tables' layout a file has.
pub(super) const VERSION_KEY: &str = "spanhouse.format_version";

/// Nanoseconds of whatever length.
const SCATTERED: [&str; 6] = [
    spans::DURATION_NS,
    spans::SELF_NS,
    spans::CRITICAL_NS,
    span_metrics::DURATION_SUM_NS,
    span_metrics::DURATION_MIN_NS,
    span_metrics::DURATION_MAX_NS,
];

/// Columns in sort order, ascending.
pub fn sort_columns(table: Table) -> &'static [&'static str] {
    match table {
        Table::Spans => &[spans::SERVICE_NAME, spans::SPAN_NAME, spans::START_TIME, spans::START_NANOS],
        Table::Traces => &[traces::START_TIME, traces::START_NANOS],
        Table::SpanMetrics => &[span_metrics::SERVICE_NAME, span_metrics::SPAN_NAME, span_metrics::WINDOW_START],
        Table::EdgeMetrics => &[
            edge_metrics::CLIENT_SERVICE,
            edge_metrics::SERVER_SERVICE,
            edge_metrics::SPAN_NAME,
            edge_metrics::WINDOW_START,
        ],
        Table::Paths => &[paths::SERVICE_NAME, paths::SPAN_NAME],
    }
}

/// A writer that does not keep the Arrow schema in the file. Ours says that texts are views; pyarrow would believe it, and then refuse
/// to compare them with the text that Delta's schema says they are.
pub(super) fn writer<W: Write + Send>(
    out: W,
    schema: SchemaRef,
    properties: WriterProperties,
) -> parquet::errors::Result<ArrowWriter<W>> {
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    ArrowWriter::try_new_with_options(out, schema, options)
}

/// Writer properties for `rows` rows of `table`.
pub(super) fn properties(table: Table, rows: usize, zstd_level: i32) -> WriterProperties {
    let schema = table.schema();
    let sorting = sort_columns(table)
        .iter()
        // The sorted columns come before any nested one, so a column's index is its leaf's.
        .filter_map(|name| Some(schema.index_of(name).ok()? as i32))
        .map(|column_idx| SortingColumn { column_idx, descending: false, nulls_first: false })
        .collect();
    let compression = ZstdLevel::try_new(zstd_level).map_or(Compression::SNAPPY, Compression::ZSTD);
    let id = |name: &str| ColumnPath::from(name);
    let mut properties = WriterProperties::builder()
        .set_created_by(format!("spanhouse {}", env!("CARGO_PKG_VERSION")))
        .set_key_value_metadata(Some(vec![KeyValue::new(VERSION_KEY.to_owned(), FORMAT_VERSION.to_string())]))
        .set_compression(compression)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_sorting_columns(Some(sorting))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_bloom_filter_position(BloomFilterPosition::End)
        .set_column_bloom_filter_enabled(id(spans::TRACE_ID), true)
        .set_column_bloom_filter_fpp(id(spans::TRACE_ID), BLOOM_FALSE_POSITIVES)
        .set_column_bloom_filter_max_ndv(id(spans::TRACE_ID), rows as u64)
        .set_column_dictionary_page_size_limit(id(spans::TRACE_ID), TRACE_ID_DICTIONARY_BYTES);
    // Times of a sorted table lie close to each other.
    for near in [spans::START_TIME, span_metrics::WINDOW_START] {
        if schema.index_of(near).is_ok() {
            properties = properties
                .set_column_dictionary_enabled(id(near), false)
                .set_column_encoding(id(near), Encoding::DELTA_BINARY_PACKED);
        }
    }
    // Durations do not, and a compressor takes them better whole than as differences: 3.5 bytes a span instead of 3.7. Split
    // by bytes they would take 3.1, but DuckDB does not read integers that are. Remainders of microseconds are left to a
    // dictionary, whose ten bits are all that they need.
    for scattered in SCATTERED {
        if schema.index_of(scattered).is_ok() {
            properties = properties
                .set_column_dictionary_enabled(id(scattered), false)
                .set_column_encoding(id(scattered), Encoding::PLAIN);
        }
    }
    let indexes = ColumnPath::from([span_metrics::BUCKET_INDEXES, "list", "element"].map(str::to_owned).to_vec());
    properties =
        properties.set_column_dictionary_enabled(indexes.clone(), false).set_column_encoding(indexes, Encoding::PLAIN);
    if table == Table::Spans {
        // Random bytes: a dictionary and a compressor only add to them.
        for random in [spans::SPAN_ID, spans::PARENT_SPAN_ID] {
            properties = properties
                .set_column_dictionary_enabled(id(random), false)
                .set_column_encoding(id(random), Encoding::DELTA_LENGTH_BYTE_ARRAY)
                .set_column_compression(id(random), Compression::UNCOMPRESSED)
                .set_column_statistics_enabled(id(random), EnabledStatistics::None);
        }
    }
    properties.build()
}
