//! Writes the columns of promoted attributes, behind a segment's others.
//!
//! A span's values are gathered row by row, since each row has few of all columns, and then written column by column, so that
//! one table serves all columns to find a value's number. Those of resources are looked at once a template.

use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, BooleanBufferBuilder, Float64Array, Int64Array};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use parquet::arrow::arrow_writer::{ArrowColumnWriter, compute_leaves};
use parquet::errors::{ParquetError, Result};
use parquet::schema::types::ColumnDescPtr;

use super::layout;
use super::leaf::PageRows;
use super::placing::Placing;
use super::spans::{NONE, RowGroup, UNKNOWN, number_of, parts};
use crate::model::{SpanBatch, TextId, ValueId};
use crate::rows::SpanRows;
use crate::schema::promoted::{Promoted, PromotedType, Scope};

/// A column's values, and which rows of the group have them.
#[derive(Debug, Default)]
struct Gathered {
    /// Rows one after the other that all have one.
    runs: Vec<Range<u32>>,
    /// Texts by number among all batches'.
    texts: Vec<u32>,
    /// Of other types.
    words: Vec<u64>,
}

impl Gathered {
    fn add_row(&mut self, row: u32) {
        match self.runs.last_mut() {
            Some(run) if run.end == row => run.end += 1,
            _ => self.runs.push(row..row + 1),
        }
    }

    fn add_word(&mut self, row: u32, word: u64) {
        self.add_row(row);
        self.words.push(word);
    }

    /// The same as an array over `rows`.
    fn into_array(self, value_type: PromotedType, rows: &Range<u32>) -> ArrayRef {
        let nulls = Some(NullBuffer::new(self.presence(rows)));
        let mut words = vec![0; rows.len()];
        let places = self.runs.into_iter().flatten().map(|row| (row - rows.start) as usize);
        places.zip(self.words).for_each(|(at, word)| words[at] = word);
        match value_type {
            PromotedType::Bool => {
                Arc::new(BooleanArray::new(BooleanBuffer::from_iter(words.into_iter().map(|word| word != 0)), nulls))
            }
            PromotedType::Float => Arc::new(Float64Array::new(words.into_iter().map(f64::from_bits).collect(), nulls)),
            // Texts have their own way.
            PromotedType::Int | PromotedType::Text => {
                Arc::new(Int64Array::new(words.into_iter().map(u64::cast_signed).collect(), nulls))
            }
        }
    }

    fn presence(&self, rows: &Range<u32>) -> BooleanBuffer {
        let mut presence = BooleanBufferBuilder::new(rows.len());
        for run in &self.runs {
            presence.append_n((run.start - rows.start) as usize - presence.len(), false);
            presence.append_n(run.len(), true);
        }
        presence.append_n(rows.len() - presence.len(), false);
        presence.finish()
    }
}

fn word(batch: &SpanBatch, value_type: PromotedType, value: ValueId) -> u64 {
    match value_type {
        PromotedType::Bool => u64::from(value.0 != 0),
        _ => batch.word(value),
    }
}

/// The texts of all batches, numbered.
struct AllTexts {
    firsts: Vec<u32>,
    /// By text: the column that saw it last, counted from 1, and its number in it.
    seen: Vec<(u32, u32)>,
}

impl AllTexts {
    fn new(spans: &SpanRows) -> Result<Self> {
        let mut firsts = Vec::with_capacity(spans.batches.len());
        let mut count = 0_u32;
        for batch in &spans.batches {
            firsts.push(count);
            let more = u32::try_from(batch.texts().len()).ok().and_then(|texts| count.checked_add(texts));
            count = more.ok_or_else(|| ParquetError::General("more texts than can be numbered".to_owned()))?;
        }
        Ok(Self { firsts, seen: vec![(0, 0); count as usize] })
    }

    fn bytes<'s>(&self, spans: &'s SpanRows, text: u32) -> &'s [u8] {
        let batch = self.firsts.partition_point(|first| *first <= text) - 1;
        spans.batches[batch].texts().bytes(TextId(text - self.firsts[batch]))
    }
}

impl<W: Write + Send, L: Iterator<Item = (ColumnDescPtr, ArrowColumnWriter)>> RowGroup<'_, W, L> {
    /// Writes all of them.
    pub fn promoted(&mut self) -> Result<()> {
        let placing = self.placing;
        if placing.columns().next().is_none() {
            return Ok(());
        }
        let mut texts = AllTexts::new(self.spans)?;
        let mut gathered = self.gather(&texts.firsts);
        for (number, promoted) in placing.columns() {
            match (promoted.scope, promoted.value_type) {
                (Scope::Attributes, PromotedType::Text) => {
                    self.texts(number, std::mem::take(&mut gathered[number as usize]), &mut texts)?;
                }
                (Scope::Resource, PromotedType::Text) => self.texts_of_resources(number)?,
                (Scope::Attributes, _) => self.words(promoted, std::mem::take(&mut gathered[number as usize]))?,
                (Scope::Resource, _) => {
                    let words = self.words_of_resources(number, promoted.value_type);
                    self.words(promoted, words)?;
                }
            }
        }
        Ok(())
    }

    /// The spans' own values, by column.
    fn gather(&self, firsts: &[u32]) -> Vec<Gathered> {
        let (spans, templates, placing) = (self.spans, self.templates, self.placing);
        let mut gathered: Vec<Gathered> = Vec::new();
        gathered.resize_with(placing.table_len(), Gathered::default);
        let types: Vec<PromotedType> =
            (0..placing.table_len() as u32).map(|number| placing.column(number).value_type).collect();
        for row in self.rows.clone() {
            let places = placing.attributes.places(templates.of_row(row) as usize);
            if places.is_empty() {
                continue;
            }
            let span = spans.rows[row as usize].span;
            let batch = spans.batch(span);
            let values = batch.values(span.row as usize);
            for place in places {
                let (value, column) = (values[place.at as usize], &mut gathered[place.column as usize]);
                column.add_row(row);
                match types[place.column as usize] {
                    PromotedType::Text => column.texts.push(firsts[span.batch as usize] + value.0),
                    value_type => column.words.push(word(batch, value_type, value)),
                }
            }
        }
        gathered
    }

    fn texts(&mut self, column: u32, gathered: Gathered, texts: &mut AllTexts) -> Result<()> {
        let mut leaf = self.next_column(layout::DICTIONARY_BYTES, true)?;
        let spans = self.spans;
        let mut runs = gathered.runs.into_iter().peekable();
        let mut values = gathered.texts.into_iter();
        let mut page = PageRows::default();
        for rows in parts(self.rows.clone(), layout::ATTRIBUTE_PAGE_ROWS) {
            page.clear();
            while let Some(run) = runs.peek_mut().filter(|run| run.start < rows.end) {
                page.definitions.resize((run.start - rows.start) as usize, 0);
                let end = run.end.min(rows.end);
                let count = (end - run.start) as usize;
                page.definitions.resize(page.definitions.len() + count, 1);
                page.numbers.extend(values.by_ref().take(count).map(|text| {
                    if texts.seen[text as usize].0 != column + 1 {
                        let number = leaf.dictionary.add(texts.bytes(spans, text));
                        texts.seen[text as usize] = (column + 1, number);
                    }
                    texts.seen[text as usize].1
                }));
                if end == run.end {
                    runs.next();
                } else {
                    run.start = end;
                }
            }
            page.definitions.resize(rows.len(), 0);
            leaf.end_page(rows.len(), &page, &mut self.compressor)?;
        }
        leaf.finish(&mut self.row_group, &mut self.compressor, None)
    }

    fn words(&mut self, promoted: &Promoted, gathered: Gathered) -> Result<()> {
        let array = gathered.into_array(promoted.value_type, &self.rows);
        for leaf in compute_leaves(&promoted.field(), &array)? {
            let (_, mut writer) = self.next_leaf()?;
            writer.write(&leaf)?;
            writer.close()?.append_to_row_group(&mut self.row_group)?;
        }
        Ok(())
    }

    fn texts_of_resources(&mut self, column: u32) -> Result<()> {
        let leaf = self.next_column(layout::DICTIONARY_BYTES, true)?;
        let (spans, templates, placing) = (self.spans, self.templates, self.placing);
        let mut numbers = vec![UNKNOWN; templates.count()];
        let number = |leaf: &mut super::leaf::LeafWriter, row: u32| {
            let at = templates.of_row(row) as usize;
            if numbers[at] == UNKNOWN {
                let batch = spans.rows[row as usize].span.batch;
                numbers[at] = match of_resource(spans, placing, row, column) {
                    Some(value) => number_of(leaf, batch, &spans.batches[batch as usize], TextId(value.0)),
                    None => NONE,
                };
            }
            numbers[at]
        };
        self.flat(leaf, number, None)
    }

    fn words_of_resources(&self, column: u32, value_type: PromotedType) -> Gathered {
        let (spans, templates, placing) = (self.spans, self.templates, self.placing);
        let mut of_templates: Vec<Option<Option<u64>>> = vec![None; templates.count()];
        let mut gathered = Gathered::default();
        for row in self.rows.clone() {
            let known = of_templates[templates.of_row(row) as usize].get_or_insert_with(|| {
                let value = of_resource(spans, placing, row, column)?;
                Some(word(spans.batch(spans.rows[row as usize].span), value_type, value))
            });
            if let Some(word) = known {
                gathered.add_word(row, *word);
            }
        }
        gathered
    }
}

/// What the row's resource has in a column.
fn of_resource(spans: &SpanRows, placing: &Placing, row: u32, column: u32) -> Option<ValueId> {
    let (batch, template) = spans.template(row as usize);
    let resource = batch.resource_of(template);
    let list = placing.resource(spans.rows[row as usize].span.batch as usize, resource.index());
    let place = placing.resources.places(list).iter().find(|place| place.column == column)?;
    Some(batch.resource(resource)[place.at as usize].value)
}
