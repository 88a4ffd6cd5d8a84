//! The leaves of an attributes column: a key and a value for each type's map.

use parquet::errors::Result;
use parquet::file::writer::SerializedRowGroupWriter;
use parquet::schema::types::ColumnDescPtr;
use zstd::bulk::Compressor;

use super::layout;
use super::leaf::{LeafWriter, PageRows};
use crate::model::{Entry, SpanBatch, TextId, TypedKey, ValueId, ValueType};

/// Keys and values of each map; the leaves of one column.
pub(super) const LEAVES: usize = 2 * ValueType::ALL.len();

struct Map {
    key: LeafWriter,
    value: LeafWriter,
    key_rows: PageRows,
    value_rows: PageRows,
    /// Rows without any entry that are not among the levels yet: they come in long runs.
    missing: usize,
}

/// The keys of a list of attributes, by type, as numbers of the segment.
#[derive(Debug, Default)]
pub(super) struct NumberedKeys {
    of_types: [KeysOfType; ValueType::ALL.len()],
}

#[derive(Debug, Default)]
struct KeysOfType {
    numbers: Vec<u32>,
    /// Where the keys' values stand in the list.
    places: Vec<u32>,
}

/// Levels of an attributes column: of a map that is there and empty, and of its second entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct MapLevels {
    pub definition: u8,
    pub repetition: u8,
}

pub(super) struct MapsWriter {
    maps: Vec<Map>,
    levels: MapLevels,
}

impl MapsWriter {
    /// A writer for the next [`LEAVES`] of `columns`.
    pub fn new(columns: &mut impl Iterator<Item = ColumnDescPtr>, levels: MapLevels) -> Self {
        let mut maps = Vec::with_capacity(ValueType::ALL.len());
        while maps.len() < ValueType::ALL.len() {
            let (Some(key), Some(value)) = (columns.next(), columns.next()) else { break };
            maps.push(Map {
                key: LeafWriter::new(key, layout::DICTIONARY_BYTES, false),
                value: LeafWriter::new(value, layout::DICTIONARY_BYTES, false).aligned(),
                key_rows: PageRows::default(),
                value_rows: PageRows::default(),
                missing: 0,
            });
        }
        Self { maps, levels }
    }

    /// `keys` of the batch with number `number`, and where in their list they stand.
    pub fn number_keys(
        &mut self,
        number: u32,
        batch: &SpanBatch,
        keys: impl Iterator<Item = (usize, TypedKey)>,
    ) -> NumberedKeys {
        let texts = batch.texts();
        let mut numbered = NumberedKeys::default();
        for (place, key) in keys {
            let value_type = key.value_type() as usize;
            let dictionary = &mut self.maps[value_type].key.dictionary;
            let of_type = &mut numbered.of_types[value_type];
            of_type.numbers.push(dictionary.number(number, key.key().0, texts.len(), || texts.bytes(key.key())));
            of_type.places.push(place as u32);
        }
        numbered
    }

    /// Adds a list's attributes; `value` gives the value at a place of the list.
    #[inline]
    pub fn push(
        &mut self,
        number: u32,
        batch: &SpanBatch,
        first_repetition: u8,
        keys: &NumberedKeys,
        value: impl Fn(usize) -> ValueId,
    ) {
        let levels = self.levels;
        for ((map, of_type), value_type) in self.maps.iter_mut().zip(&keys.of_types).zip(ValueType::ALL) {
            if of_type.numbers.is_empty() {
                if (first_repetition, levels.definition) == (0, 0) {
                    map.missing += 1;
                } else {
                    map.end_missing();
                    map.empty(first_repetition, levels.definition);
                }
                continue;
            }
            map.end_missing();
            map.push(number, batch, first_repetition, levels, value_type, of_type, &value);
        }
    }

    /// The same for a list of a resource, an event or a link.
    pub fn push_entries(&mut self, number: u32, batch: &SpanBatch, first_repetition: u8, entries: &[Entry]) {
        let keys = self.number_keys(number, batch, entries.iter().map(|entry| entry.key).enumerate());
        self.push(number, batch, first_repetition, &keys, |place| entries[place].value);
    }

    /// Rows without any map.
    pub fn missing(&mut self, count: usize) {
        self.maps.iter_mut().for_each(|map| map.missing += count);
    }

    pub fn end_page(&mut self, rows: usize, compressor: &mut Compressor<'_>) -> Result<()> {
        for map in &mut self.maps {
            map.end_missing();
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
    fn end_missing(&mut self) {
        let count = std::mem::take(&mut self.missing);
        if count > 0 {
            self.key_rows.missing(count);
            self.value_rows.definitions.resize(self.value_rows.definitions.len() + count, 0);
        }
    }

    /// A map that is there and empty.
    fn empty(&mut self, repetition: u8, definition: u8) {
        self.key_rows.repetitions.push(repetition);
        self.key_rows.definitions.push(definition);
        self.value_rows.definitions.push(definition);
    }

    /// Entries of one type. Repetitions of values are those of keys, and are copied when the page ends.
    #[expect(clippy::too_many_arguments, reason = "one loop, taken apart so that it reads")]
    #[inline]
    fn push(
        &mut self,
        number: u32,
        batch: &SpanBatch,
        first_repetition: u8,
        levels: MapLevels,
        value_type: ValueType,
        keys: &KeysOfType,
        value: &impl Fn(usize) -> ValueId,
    ) {
        let count = keys.numbers.len();
        let entry = levels.definition + 1;
        self.key_rows.repetitions.push(first_repetition);
        extend(&mut self.key_rows.repetitions, count - 1, levels.repetition);
        extend(&mut self.key_rows.definitions, count, entry);
        self.key_rows.numbers.extend_from_slice(&keys.numbers);

        let values = keys.places.iter().map(|place| value(*place as usize));
        let dictionary = &mut self.value.dictionary;
        let rows = &mut self.value_rows;
        match value_type {
            ValueType::Text => {
                extend(&mut rows.definitions, count, entry + 1);
                let texts = batch.texts();
                rows.numbers.extend(
                    values.map(|id| dictionary.number(number, id.0, texts.len(), || texts.bytes(TextId(id.0)))),
                );
            }
            ValueType::Int | ValueType::Float => {
                extend(&mut rows.definitions, count, entry + 1);
                let count = batch.word_count();
                rows.numbers.extend(values.map(|id| dictionary.number(number, id.0, count, || batch.word_bytes(id))));
            }
            ValueType::Bool => {
                extend(&mut rows.definitions, count, entry + 1);
                rows.numbers.extend(values.map(|id| id.0));
            }
            ValueType::Json => {
                let texts = batch.texts();
                for id in values {
                    let is_set = id != ValueId::UNSET;
                    rows.definitions.push(entry + u8::from(is_set));
                    if is_set {
                        let number = dictionary.number(number, id.0, texts.len(), || texts.bytes(TextId(id.0)));
                        rows.numbers.push(number);
                    }
                }
            }
        }
    }
}

fn extend(levels: &mut Vec<u8>, count: usize, level: u8) {
    levels.resize(levels.len() + count, level);
}
