//! The bytes of live files, by table and column, from the footers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;

use anyhow::Context;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::reader::{FileReader, SerializedFileReader};

use crate::live::Live;

/// Of `spans`; worked out from the others or by the sampler.
const DERIVED: [&str; 14] = [
    "is_root",
    "is_entry",
    "depth",
    "parent_service",
    "root_service",
    "root_name",
    "self_ns",
    "critical_ns",
    "path_id",
    "exception_type",
    "adjusted_count",
    "keep_reason",
    "policy_revision",
    "trace_complete",
];

/// A leaf: what Parquet stores by itself.
#[derive(Debug, Default)]
pub struct Column {
    pub bytes: u64,
    pub inflated_bytes: u64,
    pub encodings: BTreeSet<String>,
    pub compressions: BTreeSet<String>,
}

#[derive(Debug, Default)]
pub struct Table {
    pub rows: u64,
    pub segments: u64,
    /// In the order of the schema.
    pub columns: Vec<(String, Column)>,
    pub bloom_bytes: u64,
    pub index_bytes: u64,
    /// And the marks around files.
    pub footer_bytes: u64,
    pub log_bytes: u64,
}

#[derive(Debug)]
pub struct Footprint {
    pub spans: u64,
    pub tables: BTreeMap<String, Table>,
}

impl Footprint {
    pub fn read(tables: &Path, spans: u64) -> anyhow::Result<Self> {
        let mut footprint = Self { spans, tables: BTreeMap::new() };
        for entry in std::fs::read_dir(tables).with_context(|| format!("no tables in {}", tables.display()))? {
            let entry = entry?;
            let live = Live::read(&entry.path())?;
            let mut table = Table { log_bytes: live.log_bytes, ..Table::default() };
            for segment in &live.segments {
                table.add(segment).with_context(|| format!("segment {}", segment.display()))?;
            }
            footprint.tables.insert(entry.file_name().to_string_lossy().into_owned(), table);
        }
        Ok(footprint)
    }

    pub fn per_span(&self, bytes: u64) -> f64 {
        bytes as f64 / self.spans as f64
    }

    pub fn bytes(&self) -> u64 {
        self.tables.values().map(Table::bytes).sum()
    }

    /// `spans` with its log, as if it had only what clients sent.
    pub fn received_bytes(&self) -> u64 {
        self.tables.get("spans").map_or(0, |spans| spans.bytes() - spans.derived_bytes())
    }
}

impl Table {
    pub fn bytes(&self) -> u64 {
        let columns: u64 = self.columns.iter().map(|(_, column)| column.bytes).sum();
        columns + self.bloom_bytes + self.index_bytes + self.footer_bytes + self.log_bytes
    }

    fn derived_bytes(&self) -> u64 {
        self.columns.iter().filter(|(name, _)| DERIVED.contains(&name.as_str())).map(|(_, column)| column.bytes).sum()
    }

    fn add(&mut self, segment: &Path) -> anyhow::Result<()> {
        let file = File::open(segment)?;
        let bytes = file.metadata()?.len();
        let reader = SerializedFileReader::new(file)?;
        let before = self.bytes();
        self.add_footer(reader.metadata())?;
        // All that no chunk and no index has.
        self.footer_bytes += bytes.checked_sub(self.bytes() - before).context("columns larger than their file")?;
        self.segments += 1;
        Ok(())
    }

    fn add_footer(&mut self, footer: &ParquetMetaData) -> anyhow::Result<()> {
        for group in footer.row_groups() {
            self.rows += u64::try_from(group.num_rows())?;
            for chunk in group.columns() {
                self.index_bytes += length(chunk.column_index_length())? + length(chunk.offset_index_length())?;
                self.bloom_bytes += length(chunk.bloom_filter_length())?;
                self.column(&chunk.column_path().string()).add(chunk)?;
            }
        }
        Ok(())
    }

    fn column(&mut self, name: &str) -> &mut Column {
        // Segments of one table have the same few columns in the same order.
        let index = self.columns.iter().position(|(known, _)| known == name).unwrap_or(self.columns.len());
        if index == self.columns.len() {
            self.columns.push((name.to_owned(), Column::default()));
        }
        &mut self.columns[index].1
    }
}

impl Column {
    fn add(&mut self, chunk: &ColumnChunkMetaData) -> anyhow::Result<()> {
        self.bytes += u64::try_from(chunk.compressed_size())?;
        self.inflated_bytes += u64::try_from(chunk.uncompressed_size())?;
        self.encodings.extend(chunk.encodings().map(|encoding| encoding.to_string()));
        let compression = chunk.compression().to_string();
        let name = compression.split('(').next().unwrap_or_default();
        self.compressions.insert(name.to_owned());
        Ok(())
    }
}

fn length(part: Option<i32>) -> anyhow::Result<u64> {
    Ok(u64::try_from(part.unwrap_or_default())?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parquet::basic::{Compression, Type, ZstdLevel};
    use parquet::data_type::Int64Type;
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::types;

    use super::*;

    /// `spans` in two segments, of which one is no longer live.
    fn tables() -> (tempfile::TempDir, u64) {
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("spans");
        std::fs::create_dir_all(table.join("_delta_log")).unwrap();
        let column = |name| Arc::new(types::Type::primitive_type_builder(name, Type::INT64).build().unwrap());
        let schema =
            types::Type::group_type_builder("s").with_fields(vec![column("duration_ns"), column("self_ns")]).build();
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_bloom_filter_enabled(true)
            .build();
        let mut file = Vec::new();
        let mut writer = SerializedFileWriter::new(&mut file, Arc::new(schema.unwrap()), Arc::new(properties)).unwrap();
        let mut group = writer.next_row_group().unwrap();
        while let Some(mut column) = group.next_column().unwrap() {
            column.typed::<Int64Type>().write_batch(&(0..1_000).collect::<Vec<_>>(), Some(&[1; 1_000]), None).unwrap();
            column.close().unwrap();
        }
        group.close().unwrap();
        writer.close().unwrap();
        for name in ["a", "b"] {
            std::fs::write(table.join(name), &file).unwrap();
        }
        let log = "{\"add\":{\"path\":\"a\"}}\n{\"add\":{\"path\":\"b\"}}\n{\"remove\":{\"path\":\"a\"}}";
        std::fs::write(table.join("_delta_log/00000000000000000000.json"), log).unwrap();
        (folder, (file.len() + log.len()) as u64)
    }

    #[test]
    fn every_live_byte_is_in_one_place() {
        let (folder, bytes) = tables();
        let footprint = Footprint::read(folder.path(), 100).unwrap();
        let table = &footprint.tables["spans"];
        assert_eq!((table.rows, table.segments, footprint.bytes()), (1_000, 1, bytes));
        let parts = [table.bloom_bytes, table.index_bytes, table.footer_bytes, table.log_bytes];
        assert!(parts.iter().all(|part| *part > 8), "{table:?}");
        // A segment begins and ends with a mark of 4 bytes, and says before the last how long its footer is.
        let file = std::fs::read(folder.path().join("spans/b")).unwrap();
        let length: [u8; 4] = file[file.len() - 8..file.len() - 4].try_into().unwrap();
        assert_eq!(table.footer_bytes, u64::from(u32::from_le_bytes(length)) + 12);
        let (name, column) = &table.columns[0];
        assert_eq!((name.as_str(), column.compressions.first().map(String::as_str)), ("duration_ns", Some("ZSTD")));
        assert!(column.inflated_bytes > column.bytes && column.encodings.contains("RLE_DICTIONARY"), "{column:?}");
    }

    #[test]
    fn derived_columns_are_not_received() {
        let (folder, bytes) = tables();
        let footprint = Footprint::read(folder.path(), 100).unwrap();
        let (_, own_time) = &footprint.tables["spans"].columns[1];
        assert_eq!(footprint.received_bytes(), bytes - own_time.bytes);
        assert_eq!(footprint.per_span(250), 2.5);
    }
}
