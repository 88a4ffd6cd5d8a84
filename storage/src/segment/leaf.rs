//! One leaf column of a row group, from numbered values to its pages.
//!
//! Parquet's own writer hashes every value of every row to find its place in the dictionary, and works out levels anew for
//! each leaf of a nested column. Here values are numbered before they come and levels are given, so that what is left a
//! row is to pack its bits.

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, Type};
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder};
use parquet::file::writer::{SerializedPageWriter, SerializedRowGroupWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;
use zstd::bulk::Compressor;

use super::dictionary::Dictionary;
use super::extremes::{Extremes, Range};
use super::hybrid;

/// What of a leaf goes into one page: a level for each value or missing value, a number for each value.
#[derive(Debug, Default)]
pub(super) struct PageRows {
    pub repetitions: Vec<u8>,
    pub definitions: Vec<u8>,
    pub numbers: Vec<u32>,
}

/// A page ends with the row that brings its values, as they are, to this.
pub(super) const PAGE_BYTES: usize = 1 << 20;

impl PageRows {
    /// Rows in which nothing is there.
    pub fn missing(&mut self, count: usize) {
        self.repetitions.resize(self.repetitions.len() + count, 0);
        self.definitions.resize(self.definitions.len() + count, 0);
    }

    pub fn whole(&self) -> Part<'_> {
        Part { repetitions: &self.repetitions, definitions: &self.definitions, numbers: &self.numbers }
    }

    pub fn clear(&mut self) {
        self.repetitions.clear();
        self.definitions.clear();
        self.numbers.clear();
    }
}

/// Some rows of a page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'p> {
    pub repetitions: &'p [u8],
    pub definitions: &'p [u8],
    pub numbers: &'p [u32],
}

/// A place between rows.
#[derive(Debug, Clone, Copy, Default)]
struct Cut {
    levels: usize,
    numbers: usize,
}

impl<'p> Part<'p> {
    fn between(self, from: Cut, to: Cut) -> Self {
        // A flat column has no levels of one kind or of both.
        let part = |levels: &'p [u8]| levels.get(from.levels..to.levels).unwrap_or_default();
        Self {
            repetitions: part(self.repetitions),
            definitions: part(self.definitions),
            numbers: &self.numbers[from.numbers..to.numbers],
        }
    }
}

/// Rows that all have the same, which go on beyond the page.
#[derive(Debug, Clone, Copy)]
struct Same {
    rows: usize,
    definition: Option<u8>,
    number: Option<u32>,
    /// Values in the dictionary, of which a page needs no more.
    known: usize,
}

/// Rows of a page that has nothing but the same in each: it takes some bytes, and as many in the file's index.
const SAME_ROWS: usize = 1 << 17;

pub(super) struct LeafWriter {
    column: ColumnDescPtr,
    pub dictionary: Dictionary,
    /// Where the dictionary ends: beyond, values are written as they are.
    limit_bytes: usize,
    /// Encoded and compressed, but for their headers' offsets.
    pages: Vec<EncodedPage>,
    same: Option<Same>,
    extremes: Option<Extremes>,
    scratch: Vec<u8>,
    is_plain: bool,
    /// Whether numbers take whole bytes.
    is_aligned: bool,
    /// Values that pages name by number: what the dictionary page needs.
    in_dictionary: u32,
}

struct EncodedPage {
    page: CompressedPage,
    rows: usize,
    nulls: usize,
    range: Option<Range>,
}

impl LeafWriter {
    /// A writer for `column`, whose values are byte arrays, 64-bit numbers or booleans. With `has_ranges` pages and chunk
    /// say their smallest and largest value.
    pub fn new(column: ColumnDescPtr, limit_bytes: usize, has_ranges: bool) -> Self {
        let is_plain = column.physical_type() == Type::BOOLEAN;
        let extremes = has_ranges.then(|| Extremes::new(column.physical_type()));
        let (dictionary, pages, scratch) = (Dictionary::default(), Vec::new(), Vec::new());
        let (same, is_aligned, in_dictionary) = (None, false, 0);
        Self { column, dictionary, limit_bytes, pages, same, extremes, scratch, is_plain, is_aligned, in_dictionary }
    }

    /// Lets numbers take whole bytes or halves of them, which a compressor finds again where the same come one after the other.
    pub fn aligned(self) -> Self {
        Self { is_aligned: true, ..self }
    }

    /// Whether the leaf itself may be NULL, besides what it lies in.
    pub fn is_optional(&self) -> bool {
        self.column.self_type().is_optional()
    }

    /// Ends a page of `rows` rows; several pages where their values are large and no longer in the dictionary.
    pub fn end_page(&mut self, rows: usize, page: &PageRows, compressor: &mut Compressor<'_>) -> Result<()> {
        if self.dictionary.overflowed {
            return Err(ParquetError::General(format!("{} has more than 4 GiB of texts", self.column.path())));
        }
        let same = self.same_of(rows, page);
        if let (Some(before), Some(same)) = (&mut self.same, same)
            && (before.definition, before.number) == (same.definition, same.number)
            && before.rows + rows <= SAME_ROWS
        {
            before.rows += rows;
            return Ok(());
        }
        self.end_same(compressor)?;
        self.is_plain |= self.dictionary.size_bytes() > self.limit_bytes;
        if same.is_some() && (!self.is_plain || same.is_some_and(|same| same.number.is_none())) {
            self.same = same;
            return Ok(());
        }
        let whole = page.whole();
        if !self.is_plain {
            return self.write_page(rows, whole, self.dictionary.len(), compressor);
        }
        let (max_repetition, max_definition) = (self.column.max_rep_level(), self.column.max_def_level());
        let (mut part, mut part_rows) = (Cut::default(), 0);
        let mut at = Cut::default();
        let mut bytes = 0;
        let levels = if max_definition > 0 { page.definitions.len() } else { page.numbers.len() };
        while at.levels < levels {
            if max_repetition == 0 || page.repetitions[at.levels] == 0 {
                if bytes >= PAGE_BYTES {
                    self.write_page(part_rows, whole.between(part, at), 0, compressor)?;
                    (part, part_rows, bytes) = (at, 0, 0);
                }
                part_rows += 1;
            }
            if max_definition == 0 || i16::from(page.definitions[at.levels]) == max_definition {
                bytes += self.dictionary.value(page.numbers[at.numbers]).len();
                at.numbers += 1;
            }
            at.levels += 1;
        }
        self.write_page(part_rows, whole.between(part, at), 0, compressor)
    }

    /// What each row of the page has, if that is the same and may wait for more.
    fn same_of(&self, rows: usize, page: &PageRows) -> Option<Same> {
        let all_are = |levels: &[u8]| levels.iter().all(|level| Some(level) == levels.first());
        let levels = if self.column.max_def_level() > 0 { page.definitions.len() } else { page.numbers.len() };
        // A value of a plain page is in no dictionary that will be there later.
        let may_wait = !self.is_plain || page.numbers.is_empty();
        let is_same = may_wait
            && levels == rows
            && all_are(&page.definitions)
            && page.numbers.iter().all(|number| Some(number) == page.numbers.first());
        let (definition, number) = (page.definitions.first().copied(), page.numbers.first().copied());
        is_same.then_some(Same { rows, definition, number, known: self.dictionary.len() })
    }

    /// Writes the rows that waited.
    fn end_same(&mut self, compressor: &mut Compressor<'_>) -> Result<()> {
        let Some(Same { rows, definition, number, known }) = self.same.take() else { return Ok(()) };
        let level = |max: i16, level: u8| vec![level; if max > 0 { rows } else { 0 }];
        let page = PageRows {
            repetitions: level(self.column.max_rep_level(), 0),
            definitions: level(self.column.max_def_level(), definition.unwrap_or_default()),
            numbers: number.map(|number| vec![number; rows]).unwrap_or_default(),
        };
        self.write_page(rows, page.whole(), known, compressor)
    }

    /// Whether further pages have values as they are.
    pub fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// Ends a page like [`Self::end_page`], with numbers of `values`: only where pages are plain, so that nothing of them is
    /// needed later.
    pub fn end_plain_page(
        &mut self,
        rows: usize,
        page: &PageRows,
        values: &mut Dictionary,
        compressor: &mut Compressor<'_>,
    ) -> Result<()> {
        debug_assert!(self.is_plain);
        if page.numbers.is_empty() {
            return self.end_page(rows, page, compressor);
        }
        self.end_same(compressor)?;
        std::mem::swap(&mut self.dictionary, values);
        let ended = self.end_page(rows, page, compressor);
        std::mem::swap(&mut self.dictionary, values);
        ended
    }

    /// `known` values are in the dictionary, if the page names them.
    fn write_page(&mut self, rows: usize, page: Part<'_>, known: usize, compressor: &mut Compressor<'_>) -> Result<()> {
        let out = &mut self.scratch;
        out.clear();
        let (max_repetition, max_definition) = (self.column.max_rep_level(), self.column.max_def_level());
        if max_repetition > 0 {
            levels(page.repetitions, max_repetition, out);
        }
        if max_definition > 0 {
            levels(page.definitions, max_definition, out);
        }
        let encoding = if self.is_plain {
            plain(self.column.physical_type(), &self.dictionary, page.numbers, out);
            Encoding::PLAIN
        } else {
            self.in_dictionary = known as u32;
            let width = hybrid::bit_width(self.in_dictionary.saturating_sub(1)).max(1);
            let width = match width {
                0..=2 => width,
                3..=4 if self.is_aligned => 4,
                _ if self.is_aligned => width.next_multiple_of(8),
                _ => width,
            };
            out.push(width);
            hybrid::encode(page.numbers, width, out);
            Encoding::RLE_DICTIONARY
        };
        let values = if max_definition > 0 { page.definitions.len() } else { page.numbers.len() };
        let range = match &mut self.extremes {
            Some(extremes) => extremes.of_page(self.pages.len() as u32 + 1, page.numbers, &self.dictionary),
            None => None,
        };
        let data = Page::DataPage {
            buf: Bytes::from(compressor.compress(out)?),
            num_values: values as u32,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let nulls = values - page.numbers.len();
        self.pages.push(EncodedPage { page: CompressedPage::new(data, out.len()), rows, nulls, range });
        Ok(())
    }

    /// Writes the column chunk.
    pub fn finish<W: std::io::Write + Send>(
        mut self,
        row_group: &mut SerializedRowGroupWriter<'_, W>,
        compressor: &mut Compressor<'_>,
        bloom_filter: Option<Sbbf>,
    ) -> Result<()> {
        self.end_same(compressor)?;
        let mut chunk = Vec::with_capacity(self.pages.iter().map(|page| page.page.compressed_size() + 64).sum());
        let mut sink = TrackedWrite::new(&mut chunk);
        let mut writer = SerializedPageWriter::new(&mut sink);
        let mut offsets = OffsetIndexBuilder::new();
        let mut index = ColumnIndexBuilder::new(self.column.physical_type());
        let (mut values, mut nulls, mut rows, mut uncompressed) = (0, 0, 0, 0);
        let mut encodings = vec![Encoding::RLE];

        let has_dictionary = self.pages.iter().any(|page| {
            matches!(page.page.compressed_page(), Page::DataPage { encoding: Encoding::RLE_DICTIONARY, .. })
        });
        let mut data_page_offset = 0;
        if has_dictionary {
            let mut plain_values = Vec::new();
            let numbers: Vec<u32> = (0..self.in_dictionary).collect();
            plain(self.column.physical_type(), &self.dictionary, &numbers, &mut plain_values);
            let page = Page::DictionaryPage {
                buf: Bytes::from(compressor.compress(&plain_values)?),
                num_values: self.in_dictionary,
                encoding: Encoding::PLAIN,
                is_sorted: false,
            };
            let spec = writer.write_page(CompressedPage::new(page, plain_values.len()))?;
            uncompressed += spec.uncompressed_size;
            data_page_offset = spec.bytes_written as i64;
            encodings.extend([Encoding::PLAIN, Encoding::RLE_DICTIONARY]);
        }
        for EncodedPage { page, rows: of_page, nulls: of_page_nulls, range } in self.pages {
            if !encodings.contains(&page.encoding()) {
                encodings.push(page.encoding());
            }
            values += page.num_values() as usize;
            let is_null_page = of_page_nulls == page.num_values() as usize;
            let spec = writer.write_page(page)?;
            uncompressed += spec.uncompressed_size;
            offsets.append_offset_and_size(spec.offset as i64, spec.compressed_size as i32);
            offsets.append_row_count(of_page as i64);
            match range {
                Some((smallest, largest)) => index.append(false, smallest, largest, of_page_nulls as i64),
                None => index.append(is_null_page, Vec::new(), Vec::new(), of_page_nulls as i64),
            }
            rows += of_page;
            nulls += of_page_nulls;
        }
        writer.close()?;
        drop(sink);

        let mut metadata = ColumnChunkMetaData::builder(self.column.clone())
            .set_compression(Compression::ZSTD(Default::default()))
            .set_encodings(encodings)
            .set_total_compressed_size(chunk.len() as i64)
            .set_total_uncompressed_size(uncompressed as i64)
            .set_num_values(values as i64)
            .set_data_page_offset(data_page_offset)
            .set_dictionary_page_offset(has_dictionary.then_some(0));
        let mut column_index = None;
        if let Some(statistics) = self.extremes.and_then(|extremes| extremes.statistics(nulls as u64)) {
            metadata = metadata.set_statistics(statistics);
            column_index = Some(index.build()?);
        }
        let close = ColumnCloseResult {
            bytes_written: chunk.len() as u64,
            rows_written: rows as u64,
            metadata: metadata.build()?,
            bloom_filter,
            column_index,
            offset_index: Some(offsets.build()),
        };
        row_group.append_column(&Bytes::from(chunk), close)
    }
}

/// Levels with the length that goes before them.
fn levels(levels: &[u8], max: i16, out: &mut Vec<u8>) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    hybrid::encode(levels, hybrid::bit_width(u32::from(max.unsigned_abs())), out);
    let length = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&length.to_le_bytes());
}

/// Values one behind the other, as their type has them.
fn plain(physical: Type, dictionary: &Dictionary, numbers: &[u32], out: &mut Vec<u8>) {
    match physical {
        Type::BYTE_ARRAY => {
            for &number in numbers {
                let value = dictionary.value(number);
                out.extend_from_slice(&(value.len() as u32).to_le_bytes());
                out.extend_from_slice(value);
            }
        }
        Type::BOOLEAN => {
            for eight in numbers.chunks(8) {
                out.push(eight.iter().rev().fold(0, |bits, value| bits << 1 | (*value & 1) as u8));
            }
        }
        _ => numbers.iter().for_each(|&number| out.extend_from_slice(dictionary.value(number))),
    }
}
