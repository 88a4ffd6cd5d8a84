//! A leaf of lists, maps or structs, as one small page of the rows that are wanted.

use bytes::Bytes;
use datafusion::parquet::basic::{Encoding, Type};
use datafusion::parquet::column::page::Page;
use datafusion::parquet::errors::Result;
use datafusion::parquet::file::metadata::ColumnChunkMetaData;
use datafusion::parquet::schema::types::ColumnDescPtr;

use super::page::bit_width;
use super::values::{Value, Values};
use super::{Dictionary, Filled, ended, parts};

/// Levels and values as pages have them, the values without a dictionary.
pub(in super::super) struct Nested {
    column: ColumnDescPtr,
    repetitions: Vec<u32>,
    definitions: Vec<u32>,
    values: Vec<u8>,
    bools: Vec<u32>,
}

impl Nested {
    /// `None` if an encoding of the leaf is not read here.
    pub fn new(chunk: &ColumnChunkMetaData) -> Option<Self> {
        let column = chunk.column_descr_ptr();
        let is_read = matches!(
            column.physical_type(),
            Type::BOOLEAN | Type::INT32 | Type::INT64 | Type::DOUBLE | Type::BYTE_ARRAY
        );
        let (repetitions, definitions, values, bools) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        (is_read && Values::read(chunk)).then_some(Self { column, repetitions, definitions, values, bools })
    }

    fn push(&mut self, value: Value<'_>) -> Result<()> {
        match (value, self.column.physical_type()) {
            (Value::Bytes(bytes), Type::BYTE_ARRAY) => {
                self.values.extend_from_slice(&u32::try_from(bytes.len())?.to_le_bytes());
                self.values.extend_from_slice(bytes);
            }
            (Value::Bytes(bytes), _) => self.values.extend_from_slice(bytes),
            // Differences of 32 bits are added up in 64.
            (Value::Int(value), Type::INT32) => self.values.extend_from_slice(&(value as i32).to_le_bytes()),
            (Value::Int(value), _) => self.values.extend_from_slice(&value.to_le_bytes()),
            (Value::Bool(value), _) => self.bools.push(u32::from(value)),
        }
        Ok(())
    }

    pub fn finish(mut self) -> Result<Page> {
        let mut bytes = Vec::new();
        let levels =
            [(self.column.max_rep_level(), &self.repetitions), (self.column.max_def_level(), &self.definitions)];
        for (max, levels) in levels.into_iter().filter(|(max, _)| *max > 0) {
            let packed = packed(levels, bit_width(max));
            bytes.extend_from_slice(&u32::try_from(packed.len())?.to_le_bytes());
            bytes.extend_from_slice(&packed);
        }
        bytes.append(&mut self.values);
        pack(&self.bools, 1, &mut bytes);
        Ok(Page::DataPage {
            buf: Bytes::from(bytes),
            num_values: u32::try_from(self.definitions.len())?,
            encoding: Encoding::PLAIN,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        })
    }
}

impl Filled for Nested {
    fn add(
        &mut self,
        page: &Page,
        row_count: usize,
        rows: impl Iterator<Item = usize>,
        dictionary: Option<&Dictionary>,
    ) -> Result<()> {
        let (mut levels, mut values) = parts(page, row_count, &self.column, dictionary)?;
        for row in rows {
            for place in levels.of_row(row).ok_or_else(ended)? {
                let level = levels.at(place).ok_or_else(ended)?;
                self.repetitions.push(level.repetition);
                self.definitions.push(level.definition);
                if let Some(place) = level.value {
                    self.push(values.at(place).ok_or_else(ended)?)?;
                }
            }
        }
        Ok(())
    }
}

/// Levels as one run of packed groups.
fn packed(levels: &[u32], width: u8) -> Vec<u8> {
    let mut out = Vec::new();
    let groups = levels.len().div_ceil(8);
    let mut header = (groups as u64) << 1 | 1;
    while header >= 0x80 {
        out.push(header as u8 | 0x80);
        header >>= 7;
    }
    out.push(header as u8);
    let end = out.len() + groups * usize::from(width);
    pack(levels, width, &mut out);
    // Groups are whole.
    out.resize(end, 0);
    out
}

fn pack(values: &[u32], width: u8, out: &mut Vec<u8>) {
    let (mut bits, mut filled) = (0_u64, 0_u32);
    for value in values {
        bits |= u64::from(*value) << filled;
        filled += u32::from(width);
        while filled >= 8 {
            out.push(bits as u8);
            bits >>= 8;
            filled -= 8;
        }
    }
    if filled > 0 {
        out.push(bits as u8);
    }
}
