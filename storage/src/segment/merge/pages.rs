//! A leaf's pages, taken apart into levels and numbered values.
//!
//! Numbers of a dictionary stay numbers, whatever their values; pages of any other encoding have values of their own.

use bytes::Bytes;
use parquet::basic::{Encoding, Type};
use parquet::column::page::{Page, PageReader};
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{AsBytes, BoolType, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::schema::types::ColumnDescPtr;

use super::super::hybrid::bit_width;
use super::super::leaf::Part;
use super::input::Input;
use super::unpack::{decode, single_run, unpack};
use super::values::Values;
use crate::Result;

/// More levels than a page of any writer has. One that claims more would be given memory before it is found to be wrong.
const PAGE_LEVELS: usize = 1 << 26;

/// Where the numbers of a page point.
#[derive(Debug, Default)]
pub(super) enum PageValues {
    #[default]
    Dictionary,
    /// Values of this page alone, numbered in order.
    Own(Values),
    /// Numbers are the values.
    Booleans,
}

/// Levels and numbers as [`super::super::leaf::PageRows`] has them.
#[derive(Debug, Default)]
pub(super) struct LeafPage {
    pub rows: usize,
    /// Nothing is there in any row; then there are no levels.
    pub is_missing: bool,
    pub repetitions: Vec<u8>,
    pub definitions: Vec<u8>,
    pub numbers: Vec<u32>,
    pub values: PageValues,
    /// By row and one more: its first level. None where each row has one.
    level_starts: Vec<u32>,
    /// By row and one more: its first number. None where each row has one.
    number_starts: Vec<u32>,
}

impl LeafPage {
    /// Some rows, if anything is there.
    pub fn part(&self, from: usize, to: usize) -> Part<'_> {
        let (start, end) = self.levels(from, to);
        let (first, last) = self.numbers_of(from, to);
        Part {
            repetitions: self.repetitions.get(start..end).unwrap_or_default(),
            definitions: self.definitions.get(start..end).unwrap_or_default(),
            numbers: self.numbers.get(first..last).unwrap_or_default(),
        }
    }

    /// The levels of some rows.
    pub fn levels(&self, from: usize, to: usize) -> (usize, usize) {
        part(&self.level_starts, from, to)
    }

    /// The numbers of some rows.
    pub fn numbers_of(&self, from: usize, to: usize) -> (usize, usize) {
        part(&self.number_starts, from, to)
    }

    fn clear(&mut self) {
        let Self { rows, is_missing, repetitions, definitions, numbers, values, level_starts, number_starts } = self;
        (*rows, *is_missing, *values) = (0, false, PageValues::Dictionary);
        repetitions.clear();
        definitions.clear();
        numbers.clear();
        level_starts.clear();
        number_starts.clear();
    }

    /// Finds where rows begin. `None` if the first level continues a row.
    fn find_rows(&mut self, max_repetition: i16, max_definition: i16, levels: usize) -> Option<()> {
        if max_repetition == 0 {
            self.rows = levels;
            if max_definition > 0 && self.numbers.len() < levels {
                let mut number = 0;
                self.number_starts.push(0);
                for definition in &self.definitions {
                    number += u32::from(i16::from(*definition) == max_definition);
                    self.number_starts.push(number);
                }
            }
            return Some(());
        }
        if self.repetitions.first().is_some_and(|first| *first != 0) {
            return None;
        }
        let rows = count_equal(&self.repetitions, 0);
        self.level_starts.reserve_exact(rows + 1);
        self.number_starts.reserve_exact(rows + 1);
        let mut number = 0;
        for (at, (repetition, definition)) in self.repetitions.iter().zip(&self.definitions).enumerate() {
            if *repetition == 0 {
                self.level_starts.push(at as u32);
                self.number_starts.push(number);
            }
            number += u32::from(i16::from(*definition) == max_definition);
        }
        self.rows = self.level_starts.len();
        self.level_starts.push(levels as u32);
        self.number_starts.push(number);
        Some(())
    }
}

fn part(starts: &[u32], from: usize, to: usize) -> (usize, usize) {
    match (starts.get(from), starts.get(to)) {
        (Some(start), Some(end)) => (*start as usize, *end as usize),
        _ => (from, to),
    }
}

/// Reads a leaf of an input from one of its rows on.
pub(super) struct LeafPages<'i> {
    input: &'i Input,
    column: ColumnDescPtr,
    leaf: usize,
    /// Of the table, which may have NULL where the file has none, and the reverse.
    max_definition: i16,
    next_group: usize,
    pages: Option<Box<dyn PageReader>>,
    skip_rows: u64,
    pub dictionary: Values,
    /// Counts the dictionaries: numbers of another one mean something else.
    pub generation: u32,
}

impl<'i> LeafPages<'i> {
    /// `leaf` is the file's.
    pub fn open(input: &'i Input, leaf: usize, max_definition: i16, first_row: u64) -> Self {
        let (next_group, skip_rows) = (0, first_row);
        let column = input.column(leaf);
        let dictionary = Values::default();
        Self { input, column, leaf, max_definition, next_group, pages: None, skip_rows, dictionary, generation: 0 }
    }

    pub fn max_definition(&self) -> i16 {
        self.max_definition
    }

    /// Passes rows behind the page that was taken last.
    pub fn skip(&mut self, rows: u64) {
        self.skip_rows += rows;
    }

    /// Passes `count` rows from row `at` of the page taken last on. The row of that page with which it goes on.
    pub fn pass(&mut self, page: &LeafPage, at: usize, count: usize) -> usize {
        let within = count.min(page.rows - at);
        self.skip((count - within) as u64);
        at + within
    }

    /// Takes the next page that has a wanted row into `page`, and returns the first such row. `None` at the end.
    pub fn next(&mut self, page: &mut LeafPage) -> Result<Option<usize>> {
        loop {
            self.input.check_cancelled()?;
            let Some(pages) = &mut self.pages else {
                while self.next_group < self.input.metadata().num_row_groups()
                    && self.skip_rows >= self.input.group_rows(self.next_group)
                {
                    self.skip_rows -= self.input.group_rows(self.next_group);
                    self.next_group += 1;
                }
                if self.next_group == self.input.metadata().num_row_groups() {
                    return Ok(None);
                }
                self.open_group()?;
                continue;
            };
            if self.skip_rows > 0 {
                let next = pages.peek_next_page().map_err(|error| self.input.failed(error))?;
                let rows = next.filter(|next| !next.is_dict).and_then(|next| next.num_rows).map(|rows| rows as u64);
                if let Some(rows) = rows.filter(|rows| *rows <= self.skip_rows) {
                    pages.skip_next_page().map_err(|error| self.input.failed(error))?;
                    self.skip_rows -= rows;
                    continue;
                }
            }
            match pages.get_next_page().map_err(|error| self.input.failed(error))? {
                None => self.pages = None,
                Some(Page::DictionaryPage { buf, num_values, .. }) => {
                    let values = Values::plain(buf, self.column.physical_type(), num_values as usize);
                    self.dictionary = values.ok_or_else(|| self.damaged("a dictionary ends too early"))?;
                }
                Some(data) => {
                    self.take_apart(data, page)?;
                    if self.skip_rows >= page.rows as u64 {
                        self.skip_rows -= page.rows as u64;
                        continue;
                    }
                    return Ok(Some(std::mem::take(&mut self.skip_rows) as usize));
                }
            }
        }
    }

    fn open_group(&mut self) -> Result<()> {
        let group = self.input.file().get_row_group(self.next_group).map_err(|error| self.input.failed(error))?;
        let pages = group.get_column_page_reader(self.leaf).map_err(|error| self.input.failed(error))?;
        (self.pages, self.dictionary) = (Some(pages), Values::default());
        self.next_group += 1;
        self.generation += 1;
        Ok(())
    }

    pub fn damaged(&self, detail: &str) -> crate::Error {
        self.input.damaged(&format!("{}: {detail}", self.column.path().string()))
    }

    fn take_apart(&mut self, data: Page, page: &mut LeafPage) -> Result<()> {
        page.clear();
        if data.num_values() as usize > PAGE_LEVELS {
            return Err(self.damaged("a page has too many values"));
        }
        let is_read = match data.encoding() {
            Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY | Encoding::PLAIN => self.read_levels(&data, page),
            _ => self.read_decoded(data, page).map_err(|error| self.input.failed(error))?,
        };
        is_read.ok_or_else(|| self.damaged("a page ends too early"))?;
        // Folds compare many at once, which `max` of references does not.
        let is_beyond =
            |levels: &[u8], max: i16| i16::from(levels.iter().fold(0, |most, level| most.max(*level))) > max;
        if is_beyond(&page.repetitions, self.column.max_rep_level())
            || is_beyond(&page.definitions, self.column.max_def_level())
        {
            return Err(self.damaged("it has levels that there are not"));
        }
        let known = match &page.values {
            PageValues::Dictionary => self.dictionary.len(),
            PageValues::Own(values) => values.len(),
            PageValues::Booleans => 2,
        };
        let largest = page.numbers.iter().fold(0, |most, number| most.max(*number));
        if !page.numbers.is_empty() && largest as usize >= known {
            return Err(self.damaged("a page names a value that its dictionary has not"));
        }
        self.adapt(page)
    }

    /// Levels and values of an encoding that is read here. `None` if there are fewer than the page's header says.
    fn read_levels(&self, data: &Page, page: &mut LeafPage) -> Option<()> {
        let levels = data.num_values() as usize;
        let (max_repetition, max_definition) = (self.column.max_rep_level(), self.column.max_def_level());
        let mut rest = data.buffer().clone();
        let (repetitions, definitions) = match data {
            Page::DataPageV2 { def_levels_byte_len, rep_levels_byte_len, .. } => {
                (cut(&mut rest, *rep_levels_byte_len as usize)?, cut(&mut rest, *def_levels_byte_len as usize)?)
            }
            _ => {
                let mut next = |max| if max > 0 { cut_with_length(&mut rest) } else { Some(Bytes::new()) };
                (next(max_repetition)?, next(max_definition)?)
            }
        };
        let width = |max: i16| bit_width(u32::from(max.unsigned_abs()));
        if max_definition > 0 && single_run(&definitions, width(max_definition), levels) == Some(0) {
            (page.is_missing, page.rows) = (true, levels);
            return Some(());
        }
        let narrow = |level: u32| level as u8;
        if max_repetition > 0 {
            decode(&repetitions, width(max_repetition), levels, narrow, &mut page.repetitions)?;
        }
        let mut count = levels;
        if max_definition > 0 {
            decode(&definitions, width(max_definition), levels, narrow, &mut page.definitions)?;
            count = count_equal(&page.definitions, max_definition as u8);
        }
        let physical = self.column.physical_type();
        match data.encoding() {
            Encoding::PLAIN if physical == Type::BOOLEAN => {
                unpack(&rest, 1, count, |bit| bit, &mut page.numbers)?;
                page.values = PageValues::Booleans;
            }
            Encoding::PLAIN => {
                page.values = PageValues::Own(Values::plain(rest, physical, count)?);
                page.numbers.extend(0..count as u32);
            }
            _ if count > 0 => {
                let width = cut(&mut rest, 1)?.first().copied().filter(|width| *width <= 32)?;
                decode(&rest, width, count, |number| number, &mut page.numbers)?;
            }
            _ => {}
        }
        page.find_rows(max_repetition, max_definition, levels)
    }

    /// The same by Parquet's own decoders.
    fn read_decoded(&self, data: Page, page: &mut LeafPage) -> Result<Option<()>, ParquetError> {
        match self.column.physical_type() {
            Type::BOOLEAN => {
                let values = self.decoded::<BoolType>(data, page)?;
                page.numbers.extend(values.iter().map(|value| u32::from(*value)));
                page.values = PageValues::Booleans;
            }
            Type::INT32 => self.decoded_own::<Int32Type>(data, page)?,
            Type::INT64 => self.decoded_own::<Int64Type>(data, page)?,
            Type::DOUBLE => self.decoded_own::<DoubleType>(data, page)?,
            Type::BYTE_ARRAY => self.decoded_own::<ByteArrayType>(data, page)?,
            other => return Err(ParquetError::NYI(format!("{other} in segments"))),
        }
        let levels = page.definitions.len().max(page.numbers.len());
        Ok(page.find_rows(self.column.max_rep_level(), self.column.max_def_level(), levels))
    }

    fn decoded_own<T: DataType>(&self, data: Page, page: &mut LeafPage) -> Result<(), ParquetError> {
        let values = self.decoded::<T>(data, page)?;
        let own = Values::of(values.iter().map(AsBytes::as_bytes));
        let own = own.ok_or_else(|| ParquetError::General("a page has more than 4 GiB of values".to_owned()))?;
        page.numbers.extend(0..own.len() as u32);
        page.values = PageValues::Own(own);
        Ok(())
    }

    fn decoded<T: DataType>(&self, data: Page, page: &mut LeafPage) -> Result<Vec<T::T>, ParquetError> {
        let levels = data.num_values() as usize;
        let mut reader = ColumnReaderImpl::<T>::new(self.column.clone(), Box::new(OnePage(Some(data))));
        let (mut definitions, mut repetitions, mut values) = (Vec::new(), Vec::new(), Vec::new());
        reader.read_records(levels, Some(&mut definitions), Some(&mut repetitions), &mut values)?;
        page.definitions.extend(definitions.iter().map(|level| *level as u8));
        page.repetitions.extend(repetitions.iter().map(|level| *level as u8));
        Ok(values)
    }

    /// Gives a flat page the levels that the table's column has.
    fn adapt(&self, page: &mut LeafPage) -> Result<()> {
        match (self.column.max_def_level(), self.max_definition) {
            (0, 1) => page.definitions.resize(page.rows, 1),
            (1, 0) if page.is_missing || page.numbers.len() < page.rows => {
                return Err(self.damaged("it has NULL, which the table has not"));
            }
            (1, 0) => page.definitions.clear(),
            _ => {}
        }
        Ok(())
    }
}

/// How many levels are `level`: counted in bytes, as many at once as there can be.
fn count_equal(levels: &[u8], level: u8) -> usize {
    let of_part = |part: &[u8]| usize::from(part.iter().map(|other| u8::from(*other == level)).sum::<u8>());
    levels.chunks(usize::from(u8::MAX)).map(of_part).sum()
}

fn cut(bytes: &mut Bytes, length: usize) -> Option<Bytes> {
    (length <= bytes.len()).then(|| bytes.split_to(length))
}

fn cut_with_length(bytes: &mut Bytes) -> Option<Bytes> {
    let length = cut(bytes, 4)?;
    let length = length.as_ref().try_into().map(u32::from_le_bytes).ok()?;
    cut(bytes, length as usize)
}

/// A page by itself, for a decoder of whole columns.
struct OnePage(Option<Page>);

impl Iterator for OnePage {
    type Item = Result<Page, ParquetError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take().map(Ok)
    }
}

impl PageReader for OnePage {
    fn get_next_page(&mut self) -> Result<Option<Page>, ParquetError> {
        Ok(self.0.take())
    }

    fn peek_next_page(&mut self) -> Result<Option<parquet::column::page::PageMetadata>, ParquetError> {
        Ok(None)
    }

    fn skip_next_page(&mut self) -> Result<(), ParquetError> {
        self.0 = None;
        Ok(())
    }
}
