//! The leaves of an attributes column: a key and a value for each type's map.

use parquet::errors::Result;
use parquet::file::writer::SerializedRowGroupWriter;
use parquet::schema::types::ColumnDescPtr;
use zstd::bulk::Compressor;

use super::leaf::{DictionaryLimit, LeafWriter, PageRows};
use crate::model::{Entry, SpanBatch, TextId, TypedKey, ValueId, ValueType};

/// Values and keys of each map; the leaves of one column.
pub(super) const LEAVES: usize = 2 * ValueType::ALL.len();

struct Map {
    key: LeafWriter,
    value: LeafWriter,
    key_rows: PageRows,
    value_rows: PageRows,
    /// Entries of the row so far.
    count: usize,
}

/// An attribute by its numbers in the segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbered {
    value_type: ValueType,
    key: u32,
    /// `None` where the client left the value unset.
    value: Option<u32>,
}

pub(super) struct MapsWriter {
    maps: Vec<Map>,
    /// Levels of a map that is there and empty, and of its second entry.
    definition: u8,
    repetition: u8,
    /// Repetition of the row's first entry.
    first_repetition: u8,
}

impl MapsWriter {
    /// A writer for the next [`LEAVES`] of `columns`, whose maps are there from `definition` on, and whose entries repeat at
    /// `repetition`.
    pub fn new(
        columns: &mut impl Iterator<Item = ColumnDescPtr>,
        definition: u8,
        repetition: u8,
        limit: DictionaryLimit,
    ) -> Self {
        let mut maps = Vec::with_capacity(ValueType::ALL.len());
        while maps.len() < ValueType::ALL.len() {
            let (Some(key), Some(value)) = (columns.next(), columns.next()) else { break };
            maps.push(Map {
                key: LeafWriter::new(key, limit, false),
                value: LeafWriter::new(value, limit, false),
                key_rows: PageRows::default(),
                value_rows: PageRows::default(),
                count: 0,
            });
        }
        Self { maps, definition, repetition, first_repetition: 0 }
    }

    /// The key's number among those of its type.
    pub fn key_number(&mut self, number: u32, batch: &SpanBatch, key: TypedKey) -> u32 {
        let texts = batch.texts();
        let dictionary = &mut self.maps[key.value_type() as usize].key.dictionary;
        dictionary.number(number, key.key().0, texts.len(), || texts.bytes(key.key()))
    }

    /// The value's number among those of its type.
    #[inline]
    pub fn value_number(
        &mut self,
        number: u32,
        batch: &SpanBatch,
        value_type: ValueType,
        value: ValueId,
    ) -> Option<u32> {
        let dictionary = &mut self.maps[value_type as usize].value.dictionary;
        match value_type {
            ValueType::Bool => Some(value.0),
            _ if value == ValueId::UNSET => None,
            ValueType::Text | ValueType::Json => {
                let texts = batch.texts();
                Some(dictionary.number(number, value.0, texts.len(), || texts.bytes(TextId(value.0))))
            }
            ValueType::Int | ValueType::Float => {
                Some(dictionary.number(number, value.0, batch.word_count(), || batch.word_bytes(value)))
            }
        }
    }

    pub fn numbered(&mut self, number: u32, batch: &SpanBatch, entry: &Entry) -> Numbered {
        let value_type = entry.key.value_type();
        Numbered {
            value_type,
            key: self.key_number(number, batch, entry.key),
            value: self.value_number(number, batch, value_type, entry.value),
        }
    }

    /// Begins the maps of a row, or of one item of a row's list.
    pub fn begin(&mut self, first_repetition: u8) {
        self.first_repetition = first_repetition;
    }

    #[inline]
    pub fn push_numbers(&mut self, value_type: ValueType, key: u32, value: Option<u32>) {
        let (definition, repetition, first) = (self.definition + 1, self.repetition, self.first_repetition);
        let map = &mut self.maps[value_type as usize];
        map.key_rows.repetitions.push(if map.count == 0 { first } else { repetition });
        map.count += 1;
        map.key_rows.definitions.push(definition);
        map.key_rows.numbers.push(key);
        map.value_rows.definitions.push(definition + u8::from(value.is_some()));
        map.value_rows.numbers.extend(value);
    }

    pub fn push(&mut self, attribute: Numbered) {
        self.push_numbers(attribute.value_type, attribute.key, attribute.value);
    }

    pub fn end(&mut self) {
        let (definition, first) = (self.definition, self.first_repetition);
        for map in &mut self.maps {
            if std::mem::take(&mut map.count) == 0 {
                map.missing(first, definition);
            }
        }
    }

    /// Rows without any map.
    pub fn missing(&mut self, count: usize) {
        for map in &mut self.maps {
            map.key_rows.missing(count);
            map.value_rows.definitions.resize(map.value_rows.definitions.len() + count, 0);
        }
    }

    pub fn end_page(&mut self, rows: usize, compressor: &mut Compressor<'_>) -> Result<()> {
        for map in &mut self.maps {
            map.key.end_page(rows, &map.key_rows, compressor)?;
            map.value_rows.repetitions.clone_from(&map.key_rows.repetitions);
            map.value.end_page(rows, &map.value_rows, compressor)?;
            map.key_rows.clear();
            map.value_rows.clear();
        }
        Ok(())
    }

    pub fn finish<W: std::io::Write + Send>(
        self,
        row_group: &mut SerializedRowGroupWriter<'_, W>,
        compressor: &mut Compressor<'_>,
    ) -> Result<()> {
        for map in self.maps {
            map.key.finish(row_group, compressor, None)?;
            map.value.finish(row_group, compressor, None)?;
        }
        Ok(())
    }
}

impl Map {
    fn missing(&mut self, repetition: u8, definition: u8) {
        self.key_rows.repetitions.push(repetition);
        self.key_rows.definitions.push(definition);
        self.value_rows.definitions.push(definition);
    }
}
