//! Entries that leave the maps of older inputs, and the columns that they make.
//!
//! Keys and values of a map are written one after the other, and both times the keys say which entries go. With the values
//! they are gathered by column, in the order of the output, as a file in memory of which the column's turn comes later.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrow::datatypes::Schema;
use bytes::Bytes;
use parquet::arrow::ArrowSchemaConverter;
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::SchemaDescriptor;
use zstd::bulk::Compressor;

use super::super::leaf::{LeafWriter, PageRows, Part};
use super::column::Column;
use super::input::Input;
use super::numbered::{self, Known, Target, Value};
use super::pages::{LeafPage, LeafPages, PageValues};
use super::promotion::{Class, MapName, Promotion, STAYS};
use super::sources::Source;
use super::write_failed;
use crate::Result;
use crate::schema::promoted::Promoted;

/// What is written for a moment only is compressed for as long.
const ZSTD_LEVEL: i32 = 1;

/// Where the entries of a map's rows go, read from the leaf of its keys.
pub(super) struct Marks<'i> {
    pages: LeafPages<'i>,
    page: LeafPage,
    at: usize,
    map: MapName,
    class: &'i Class,
    generation: u32,
    /// By number in the dictionary.
    targets: Vec<u32>,
    /// Whether any of those moves.
    is_any: bool,
    marks: Vec<u32>,
}

impl<'i> Marks<'i> {
    /// `leaf` is the file's, of keys.
    pub fn open(input: &'i Input, leaf: usize, map: MapName, class: &'i Class, first_row: u64) -> Self {
        let pages = LeafPages::open(input, leaf, input.column(leaf).max_def_level(), first_row);
        let (page, targets, marks) = (LeafPage::default(), Vec::new(), Vec::new());
        Self { pages, page, at: 0, map, class, generation: 0, targets, is_any: false, marks }
    }

    /// A mark for each level of the next rows, in which maps without entries have one that stays. `None` if all stay.
    pub fn next(&mut self, mut rows: usize) -> Result<Option<&[u32]>> {
        self.marks.clear();
        let mut do_all_stay = true;
        while rows > 0 {
            if self.at == self.page.rows {
                let first = self.pages.next(&mut self.page)?;
                self.at = first.ok_or_else(|| self.pages.damaged("it has fewer rows than its footer says"))?;
                self.learn();
                continue;
            }
            let count = rows.min(self.page.rows - self.at);
            let (from, to) = (self.at, self.at + count);
            (rows, self.at) = (rows - count, to);
            let (start, end) = self.page.levels(from, to);
            let Some(definitions) = self.page.definitions.get(start..end).filter(|_| self.is_any) else {
                self.marks.resize(self.marks.len() + end - start, STAYS);
                continue;
            };
            let (first, last) = self.page.numbers_of(from, to);
            let mut numbers = self.page.numbers[first..last].iter();
            self.marks.extend(definitions.iter().map(|definition| {
                let number = if *definition > 0 { numbers.next() } else { None };
                let target = number.and_then(|number| self.targets.get(*number as usize)).copied().unwrap_or(STAYS);
                do_all_stay &= target == STAYS;
                target
            }));
        }
        Ok((!do_all_stay).then_some(&self.marks))
    }

    /// Leaves the next rows out.
    fn pass(&mut self, rows: usize) {
        self.at = self.pages.pass(&self.page, self.at, rows);
    }

    /// Looks the keys of a page up, once a dictionary.
    fn learn(&mut self) {
        let Self { pages, page, targets, class, map, .. } = self;
        match &page.values {
            PageValues::Own(values) => {
                targets.clear();
                targets.extend((0..values.len() as u32).map(|number| class.target(*map, values.get(number))));
                self.generation = 0;
            }
            _ if self.generation == pages.generation => return,
            _ => {
                targets.clear();
                let keys = &pages.dictionary;
                targets.extend((0..keys.len() as u32).map(|number| class.target(*map, keys.get(number))));
                self.generation = pages.generation;
            }
        }
        self.is_any = targets.iter().any(|target| *target != STAYS);
    }
}

/// An entry that leaves its map.
#[derive(Debug, Clone, Copy)]
struct Going {
    /// Of the class.
    column: u32,
    /// Among those taken last.
    row: u32,
    number: u32,
}

/// What is known of a value in an input's dictionary: the column that it went to last, and what it is there.
#[derive(Debug, Clone, Copy)]
struct KnownOf {
    column: u32,
    known: Known,
}

/// Takes rows of a map's leaf apart into what stays and what goes.
pub(super) struct Split<'i> {
    marks: Marks<'i>,
    staying: PageRows,
    going: Vec<Going>,
    known: Vec<KnownOf>,
    generation: u32,
}

impl<'i> Split<'i> {
    pub fn new(marks: Marks<'i>) -> Self {
        Self { marks, staying: PageRows::default(), going: Vec::new(), known: Vec::new(), generation: 0 }
    }

    /// Leaves the next rows out.
    pub fn pass(&mut self, rows: usize) {
        self.marks.pass(rows);
    }

    /// What stays of the next rows, which are some of `page`. `None` if all does.
    pub fn take(&mut self, page: &LeafPage, from: usize, to: usize, pages: &LeafPages<'_>) -> Result<Option<Part<'_>>> {
        let Self { marks, staying, going, .. } = self;
        staying.clear();
        going.clear();
        let Some(marks) = marks.next(to - from)? else { return Ok(None) };
        let part = page.part(from, to);
        if part.repetitions.len() != marks.len() || part.definitions.len() != marks.len() {
            return Err(pages.damaged("keys and values are not of the same entries"));
        }
        let mut numbers = part.numbers.iter();
        let (mut row, mut is_empty) = (0, false);
        for ((&repetition, &definition), &column) in part.repetitions.iter().zip(part.definitions).zip(marks) {
            if repetition == 0 {
                if is_empty {
                    staying.missing(1);
                }
                (row, is_empty) = (row + 1, true);
            }
            let number = if i16::from(definition) == pages.max_definition() { numbers.next() } else { None };
            if column == STAYS {
                staying.repetitions.push(if is_empty { 0 } else { repetition });
                staying.definitions.push(definition);
                staying.numbers.extend(number);
                is_empty = false;
            } else {
                let number = *number.ok_or_else(|| pages.damaged("an attribute has no value"))?;
                going.push(Going { column, row: row - 1, number });
            }
        }
        if is_empty {
            staying.missing(1);
        }
        Ok(Some(staying.whole()))
    }

    /// Hands on what went. False if a column has a value of the row already.
    pub fn gather(
        &mut self,
        first: usize,
        values: &PageValues,
        pages: &LeafPages<'_>,
        gathered: &mut Gathered,
    ) -> Result<bool> {
        if self.generation != pages.generation {
            self.known.clear();
            self.generation = pages.generation;
        }
        self.known.resize(pages.dictionary.len(), KnownOf { column: STAYS, known: (0, 0) });
        let Gathered { columns, compressor, .. } = gathered;
        for Going { column, row, number } in self.going.drain(..) {
            let Some(Some(target)) = columns.get_mut(column as usize) else { continue };
            let row = first + row as usize;
            if target.row_count() > row {
                return Ok(false);
            }
            target.fill(row, compressor)?;
            let value = match values {
                PageValues::Booleans => Value::Bool(number),
                PageValues::Own(values) => Value::Own(values.get(number)),
                PageValues::Dictionary => {
                    let of_value = &mut self.known[number as usize];
                    if of_value.column != column {
                        *of_value = KnownOf { column, known: (0, 0) };
                    }
                    Value::Known(&mut of_value.known, pages.dictionary.get(number))
                }
            };
            target.put(value, compressor)?;
        }
        Ok(true)
    }
}

/// What happens to a leaf of a map.
pub(super) struct MapMoves<'m> {
    promotion: &'m Promotion,
    map: MapName,
    /// The table's leaf of its keys.
    key_leaf: usize,
    is_value: bool,
    gathered: &'m mut [Gathered],
    /// By class: its rows so far.
    rows: Vec<usize>,
}

impl<'m> MapMoves<'m> {
    /// `None` if nothing happens.
    pub fn of(column: &Column, promotion: &'m Promotion, gathered: &'m mut [Gathered]) -> Option<Self> {
        let (map, is_value) = MapName::of_leaf(column.descriptor.path().parts())?;
        let key_leaf = if is_value { column.leaf.checked_sub(1)? } else { column.leaf };
        let rows = vec![0; gathered.len()];
        promotion.is_lost_from(map).then_some(Self { promotion, map, key_leaf, is_value, gathered, rows })
    }

    pub fn marks(&self, input: usize, source: &Source<'m>) -> Option<Marks<'m>> {
        let class = self.promotion.class_of(input).and_then(|class| self.promotion.classes.get(class));
        let leaf = source.input.leaf(self.key_leaf);
        let (class, leaf) = class.zip(leaf).filter(|_| self.promotion.loses(input, self.map))?;
        Some(Marks::open(source.input, leaf, self.map, class, source.first_row))
    }

    /// After `count` rows were taken from `source`.
    pub fn gather(&mut self, input: usize, count: usize, source: &mut numbered::Source<'_>) -> Result<()> {
        let Some(class) = self.promotion.class_of(input).filter(|_| self.is_value) else { return Ok(()) };
        let first = self.rows[class];
        self.rows[class] += count;
        source.gather(first, &mut self.gathered[class])
    }
}

/// What the maps of a class lose in a row group, by column of the class.
pub(super) struct Gathered {
    columns: Vec<Option<Target<'static>>>,
    schemas: Vec<SchemaDescriptor>,
    rows: usize,
    compressor: Compressor<'static>,
    cancelled: Arc<AtomicBool>,
}

impl Gathered {
    /// `rows` are those of the group that its inputs have.
    pub fn new(class: &Class, list: &[Promoted], rows: usize, cancelled: &Arc<AtomicBool>) -> Result<Self> {
        let compressor = Compressor::new(ZSTD_LEVEL).map_err(|error| write_failed(error.into()))?;
        let (mut columns, mut schemas) = (Vec::new(), Vec::new());
        for promoted in class.columns.iter().filter_map(|place| list.get(*place)) {
            let schema = Schema::new(vec![promoted.field()]);
            let schema = ArrowSchemaConverter::new().convert(&schema).map_err(write_failed)?;
            columns.push(Some(Target::new(&Column::passing(schema.column(0)), &[])));
            schemas.push(schema);
        }
        Ok(Self { columns, schemas, rows, compressor, cancelled: Arc::clone(cancelled) })
    }

    /// A column as a file of its own. `None` if it was taken before.
    pub fn take(&mut self, column: usize) -> Result<Option<Input>> {
        let target = self.columns.get_mut(column).and_then(Option::take);
        let (Some(mut target), Some(schema)) = (target, self.schemas.get(column)) else { return Ok(None) };
        target.fill(self.rows, &mut self.compressor)?;
        let leaf = target.finish(&mut self.compressor)?;
        let file = in_memory(schema, leaf, &mut self.compressor).map_err(write_failed)?;
        let name = format!("of {} that is gathered", schema.root_schema().name());
        Input::open(name, Bytes::from(file), schema, Arc::clone(&self.cancelled)).map(Some)
    }
}

fn in_memory(
    schema: &SchemaDescriptor,
    leaf: LeafWriter,
    compressor: &mut Compressor<'_>,
) -> Result<Vec<u8>, ParquetError> {
    let mut bytes = Vec::new();
    let mut file = SerializedFileWriter::new(&mut bytes, schema.root_schema_ptr(), Arc::default())?;
    let mut row_group = file.next_row_group()?;
    leaf.finish(&mut row_group, compressor, None)?;
    row_group.close()?;
    file.close()?;
    Ok(bytes)
}
