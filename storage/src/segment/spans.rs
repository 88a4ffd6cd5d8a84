//! Writes the file of a segment of `spans`.
//!
//! Texts, ids and attributes go to their pages by number, without becoming columns in memory first; times and flags go
//! through Parquet's own writer. Promoted attributes come last.

use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::{Field, Fields, Schema, SchemaRef};
use parquet::arrow::arrow_writer::{ArrowColumnWriter, compute_leaves};
use parquet::bloom_filter::Sbbf;
use parquet::errors::{ParquetError, Result};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::ColumnDescPtr;
use zstd::bulk::Compressor;

use super::exceptions::ExceptionRows;
use super::layout;
use super::leaf::{LeafWriter, PageRows};
use super::maps::{self, MapLevels, MapsWriter, NumberedKeys};
use super::order::Templates;
use super::placing::Placing;
use crate::derive::is_exception;
use crate::model::{Entry, Event, Link, SpanBatch, Template, TextId};
use crate::rows::{SpanRow, SpanRows};
use crate::schema::{Table, spans as schema};

/// The file with these rows, in groups of at most `group_rows`.
pub(super) fn write(
    spans: &SpanRows,
    templates: &Templates,
    placing: &Placing,
    rows: Range<u32>,
    group_rows: usize,
) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let table = Table::Spans.schema();
    let promoted = placing.columns().map(|(_, promoted)| Arc::new(promoted.field()));
    let columns: SchemaRef = Arc::new(Schema::new(Fields::from_iter(table.fields().iter().cloned().chain(promoted))));
    let properties = layout::properties(Table::Spans, rows.len(), layout::ZSTD_LEVEL);
    let writer = layout::writer(&mut bytes, columns, properties)?;
    let (mut file, own_writers) = writer.into_serialized_writer()?;
    for (number, rows) in parts(rows, group_rows).enumerate() {
        let columns = file.schema_descr().columns().to_vec();
        let own_writers = own_writers.create_column_writers(number)?;
        let leaves = columns.into_iter().zip(own_writers);
        let row_group = file.next_row_group()?;
        let compressor = Compressor::new(layout::ZSTD_LEVEL)?;
        let mut group = RowGroup {
            spans,
            templates,
            placing,
            rows,
            exceptions: ExceptionRows::default(),
            leaves: leaves.into_iter(),
            row_group,
            compressor,
        };
        for field in table.fields() {
            group.write(field)?;
        }
        group.promoted()?;
        group.row_group.close()?;
    }
    close(file)?;
    Ok(bytes)
}

/// `rows` in parts of at most `count`.
pub(super) fn parts(rows: Range<u32>, count: usize) -> impl Iterator<Item = Range<u32>> {
    let end = rows.end;
    rows.step_by(count).map(move |start| start..end.min(start + count as u32))
}

fn close<W: Write + Send>(file: SerializedFileWriter<W>) -> Result<()> {
    file.close().map(drop)
}

pub(super) struct RowGroup<'r, W: Write + Send, L> {
    pub spans: &'r SpanRows,
    pub templates: &'r Templates,
    pub placing: &'r Placing,
    pub rows: Range<u32>,
    /// Noted while events are written.
    pub exceptions: ExceptionRows,
    /// What is left of the leaves, and Parquet's own writers for them.
    leaves: L,
    pub row_group: SerializedRowGroupWriter<'r, W>,
    pub compressor: Compressor<'static>,
}

/// No number: NULL.
pub(super) const NONE: u32 = u32::MAX;
/// Not looked at yet.
pub(super) const UNKNOWN: u32 = u32::MAX - 1;

impl<W: Write + Send, L: Iterator<Item = (ColumnDescPtr, ArrowColumnWriter)>> RowGroup<'_, W, L> {
    fn write(&mut self, field: &Field) -> Result<()> {
        match field.name().as_str() {
            schema::TRACE_ID => self.trace_ids(),
            schema::SERVICE_NAME => self.templated(|batch, template| batch.service_name(template)),
            schema::SPAN_NAME => self.templated(|_, template| template.span_name),
            schema::KIND => self.templated(|_, template| template.kind),
            schema::STATUS_CODE => self.templated(|_, template| template.status_code),
            schema::STATUS_MESSAGE => self.templated(|_, template| template.status_message),
            schema::SCOPE_NAME => self.templated(|batch, template| batch.scope_name(template)),
            schema::SCOPE_VERSION => self.templated(|batch, template| batch.scope_version(template)),
            schema::TRACE_STATE => self.templated(|_, template| template.trace_state),
            schema::PARENT_SERVICE => self.parent_services(),
            schema::ROOT_SERVICE => self.of_traces(|trace| trace.root.as_ref().map(|root| &*root.service)),
            schema::ROOT_NAME => self.of_traces(|trace| trace.root.as_ref().map(|root| &*root.name)),
            schema::KEEP_REASON => self.of_traces(|trace| Some(&*trace.verdict.keep_reason)),
            schema::EXCEPTION_TYPE => self.exception_types(),
            schema::ATTRIBUTES => self.attributes(),
            schema::RESOURCE => self.resources(),
            schema::EVENTS => self.events(),
            schema::LINKS => self.links(),
            _ => self.plain_column(field),
        }
    }

    pub fn next_leaf(&mut self) -> Result<(ColumnDescPtr, ArrowColumnWriter)> {
        self.leaves.next().ok_or_else(|| ParquetError::General("the schema has too few columns".to_owned()))
    }

    pub fn next_column(&mut self, limit_bytes: usize, has_ranges: bool) -> Result<LeafWriter> {
        Ok(LeafWriter::new(self.next_leaf()?.0, limit_bytes, has_ranges))
    }

    fn next_maps(&mut self, levels: MapLevels) -> MapsWriter {
        let mut columns = self.leaves.by_ref().map(|(column, _)| column).take(maps::LEAVES);
        MapsWriter::new(&mut columns, levels)
    }

    /// A column of numbers or flags, by Parquet's own writer.
    fn plain_column(&mut self, field: &Field) -> Result<()> {
        let index = Table::Spans.schema().index_of(field.name())?;
        let column = self.spans.columns(&[index], &self.rows.clone().collect::<Vec<_>>())?;
        for leaf in compute_leaves(field, column.column(0))? {
            let (_, mut writer) = self.next_leaf()?;
            writer.write(&leaf)?;
            writer.close()?.append_to_row_group(&mut self.row_group)?;
        }
        Ok(())
    }

    /// Writes a flat column from a number a row, [`NONE`] for NULL.
    pub fn flat(
        &mut self,
        mut leaf: LeafWriter,
        mut number: impl FnMut(&mut LeafWriter, u32) -> u32,
        bloom: Option<Sbbf>,
    ) -> Result<()> {
        let mut page = PageRows::default();
        for rows in parts(self.rows.clone(), layout::PAGE_ROWS) {
            page.clear();
            for row in rows.clone() {
                let number = number(&mut leaf, row);
                page.definitions.push(u8::from(number != NONE));
                if number != NONE {
                    page.numbers.push(number);
                }
            }
            leaf.end_page(rows.len(), &page, &mut self.compressor)?;
        }
        leaf.finish(&mut self.row_group, &mut self.compressor, bloom)
    }

    fn trace_ids(&mut self) -> Result<()> {
        let leaf = self.next_column(layout::TRACE_ID_DICTIONARY_BYTES, false)?;
        let spans = self.spans;
        let mut numbers = vec![UNKNOWN; spans.traces.len()];
        // The filter is sized by the traces of this group, which may be few of a flush of many dates.
        let mut ids = Vec::new();
        for row in self.rows.clone() {
            let trace = spans.rows[row as usize].trace as usize;
            if std::mem::replace(&mut numbers[trace], NONE) == UNKNOWN {
                ids.push(spans.traces[trace].trace_id);
            }
        }
        let mut bloom = Sbbf::new_with_ndv_fpp(ids.len().max(1) as u64, layout::BLOOM_FALSE_POSITIVES)?;
        ids.iter().for_each(|id| bloom.insert(id.as_bytes().as_slice()));
        numbers.fill(UNKNOWN);
        let number = |leaf: &mut LeafWriter, row: u32| {
            let trace = spans.rows[row as usize].trace as usize;
            if numbers[trace] == UNKNOWN {
                numbers[trace] = leaf.dictionary.add(spans.traces[trace].trace_id.as_bytes());
            }
            numbers[trace]
        };
        self.flat(leaf, number, Some(bloom))
    }

    /// A text that spans of a template have in common.
    fn templated(&mut self, text: fn(&SpanBatch, &Template) -> TextId) -> Result<()> {
        let leaf = self.next_column(layout::DICTIONARY_BYTES, true)?;
        let (spans, templates) = (self.spans, self.templates);
        let mut numbers = vec![UNKNOWN; templates.count()];
        let number = |leaf: &mut LeafWriter, row: u32| {
            let at = templates.of_row(row) as usize;
            if numbers[at] == UNKNOWN {
                let (batch, template) = spans.template(row as usize);
                numbers[at] = number_of(leaf, spans.rows[row as usize].span.batch, batch, text(batch, template));
            }
            numbers[at]
        };
        self.flat(leaf, number, None)
    }

    fn parent_services(&mut self) -> Result<()> {
        let leaf = self.next_column(layout::DICTIONARY_BYTES, true)?;
        let (spans, templates) = (self.spans, self.templates);
        let mut numbers = vec![UNKNOWN; templates.count()];
        let number = |leaf: &mut LeafWriter, row: u32| {
            let parent = spans.rows[row as usize].parent;
            if parent == SpanRow::NOWHERE {
                return NONE;
            }
            let at = templates.of_row(parent) as usize;
            if numbers[at] == UNKNOWN {
                let (batch, service) = spans.service(parent as usize);
                numbers[at] = number_of(leaf, batch, &spans.batches[batch as usize], service);
            }
            numbers[at]
        };
        self.flat(leaf, number, None)
    }

    /// A text that the rows of a trace have in common.
    fn of_traces(&mut self, text: fn(&crate::rows::TraceFacts) -> Option<&str>) -> Result<()> {
        let leaf = self.next_column(layout::DICTIONARY_BYTES, true)?;
        let spans = self.spans;
        let mut numbers = vec![UNKNOWN; spans.traces.len()];
        let number = |leaf: &mut LeafWriter, row: u32| {
            let trace = spans.rows[row as usize].trace as usize;
            if numbers[trace] == UNKNOWN {
                numbers[trace] = text(&spans.traces[trace]).map_or(NONE, |text| leaf.dictionary.add(text.as_bytes()));
            }
            numbers[trace]
        };
        self.flat(leaf, number, None)
    }

    fn attributes(&mut self) -> Result<()> {
        let mut maps = self.next_maps(MapLevels { definition: 0, repetition: 1 });
        let (spans, templates, placing) = (self.spans, self.templates, self.placing);
        let mut keys: Vec<Option<NumberedKeys>> = Vec::new();
        keys.resize_with(templates.count(), || None);
        for rows in parts(self.rows.clone(), layout::ATTRIBUTE_PAGE_ROWS) {
            for row in rows.clone() {
                let span = spans.rows[row as usize].span;
                let (batch, template) = spans.template(row as usize);
                let list = templates.of_row(row) as usize;
                let keys = keys[list].get_or_insert_with(|| {
                    let keys = batch.keys(template).iter().copied();
                    maps.number_keys(span.batch, batch, placing.attributes.rest(list, keys))
                });
                let values = batch.values(span.row as usize);
                maps.push(span.batch, batch, 0, keys, |place| values[place]);
            }
            maps.end_page(rows.len(), &mut self.compressor)?;
        }
        maps.finish(&mut self.row_group, &mut self.compressor)
    }

    fn resources(&mut self) -> Result<()> {
        let mut maps = self.next_maps(MapLevels { definition: 0, repetition: 1 });
        let (spans, placing) = (self.spans, self.placing);
        let mut keys: Vec<Vec<Option<NumberedKeys>>> = Vec::new();
        for batch in &spans.batches {
            let mut of_batch = Vec::new();
            of_batch.resize_with(batch.resource_count(), || None);
            keys.push(of_batch);
        }
        for rows in parts(self.rows.clone(), layout::ATTRIBUTE_PAGE_ROWS) {
            for row in rows.clone() {
                let number = spans.rows[row as usize].span.batch;
                let (batch, template) = spans.template(row as usize);
                let resource = batch.resource_of(template);
                let entries = batch.resource(resource);
                let keys = keys[number as usize][resource.index()].get_or_insert_with(|| {
                    let list = placing.resource(number as usize, resource.index());
                    let keys = entries.iter().map(|entry| entry.key);
                    maps.number_keys(number, batch, placing.resources.rest(list, keys))
                });
                maps.push(number, batch, 0, keys, |place| entries[place].value);
            }
            maps.end_page(rows.len(), &mut self.compressor)?;
        }
        maps.finish(&mut self.row_group, &mut self.compressor)
    }

    fn events(&mut self) -> Result<()> {
        let mut exceptions = ExceptionRows::default();
        let push = |[time, time_nanos, name]: &mut [Items; 3], row, at, batch: &SpanBatch, event: &Event| {
            time.push(at, Some(&event.time.micros().to_le_bytes()));
            time_nanos.push(at, Some(&event.time.remainder().to_le_bytes()));
            name.push(at, Some(batch.texts().bytes(event.name)));
            if is_exception(batch, event) {
                exceptions.note(row);
            }
        };
        self.lists(SpanBatch::events, SpanBatch::event_attributes, push)?;
        self.exceptions = exceptions;
        Ok(())
    }

    fn links(&mut self) -> Result<()> {
        let push = |[trace_id, span_id, trace_state, flags]: &mut [Items; 4], _, at, batch: &SpanBatch, link: &Link| {
            trace_id.push(at, Some(link.trace_id.as_bytes()));
            span_id.push(at, Some(link.span_id.as_bytes()));
            trace_state.push(at, (!link.trace_state.is_none()).then(|| batch.texts().bytes(link.trace_state)));
            flags.push(at, Some(&i64::from(link.flags).to_le_bytes()));
        };
        self.lists(SpanBatch::links, SpanBatch::link_attributes, push)
    }

    /// Writes a column of lists: `N` scalars of each item, which `push` gives by row and place in the list, and the items'
    /// attributes.
    fn lists<T, const N: usize>(
        &mut self,
        list: fn(&SpanBatch, usize) -> &[T],
        attributes: for<'b> fn(&'b SpanBatch, &T) -> &'b [Entry],
        mut push: impl FnMut(&mut [Items; N], u32, usize, &SpanBatch, &T),
    ) -> Result<()> {
        let mut scalars = Vec::with_capacity(N);
        for _ in 0..N {
            scalars.push(Items::new(self.next_column(layout::DICTIONARY_BYTES, false)?));
        }
        let too_few = |_| ParquetError::General("the schema has too few columns".to_owned());
        let mut scalars: [Items; N] = scalars.try_into().map_err(too_few)?;
        let mut maps = self.next_maps(MapLevels { definition: 1, repetition: 2 });
        let spans = self.spans;
        for rows in parts(self.rows.clone(), layout::ATTRIBUTE_PAGE_ROWS) {
            // Rows without any come in long runs.
            let mut missing = 0;
            for row in rows.clone() {
                let span = spans.rows[row as usize].span;
                let batch = spans.batch(span);
                let items = list(batch, span.row as usize);
                if items.is_empty() {
                    missing += 1;
                    continue;
                }
                scalars.iter_mut().for_each(|scalar| scalar.page.missing(missing));
                maps.missing(std::mem::take(&mut missing));
                for (at, item) in items.iter().enumerate() {
                    push(&mut scalars, row, at, batch, item);
                    maps.push_entries(span.batch, batch, u8::from(at > 0), attributes(batch, item));
                }
            }
            maps.missing(missing);
            for scalar in &mut scalars {
                scalar.page.missing(missing);
                scalar.end_page(rows.len(), &mut self.compressor)?;
            }
            maps.end_page(rows.len(), &mut self.compressor)?;
        }
        for scalar in scalars {
            scalar.leaf.finish(&mut self.row_group, &mut self.compressor, None)?;
        }
        maps.finish(&mut self.row_group, &mut self.compressor)
    }
}

pub(super) fn number_of(leaf: &mut LeafWriter, number: u32, batch: &SpanBatch, text: TextId) -> u32 {
    if text.is_none() {
        return NONE;
    }
    let texts = batch.texts();
    leaf.dictionary.number(number, text.0, texts.len(), || texts.bytes(text))
}

/// A scalar of a list's items.
struct Items {
    leaf: LeafWriter,
    page: PageRows,
}

impl Items {
    fn new(leaf: LeafWriter) -> Self {
        Self { leaf, page: PageRows::default() }
    }

    /// Item `at` of a list.
    fn push(&mut self, at: usize, value: Option<&[u8]>) {
        self.page.repetitions.push(u8::from(at > 0));
        self.page.definitions.push(1 + u8::from(value.is_some() && self.leaf.is_optional()));
        if let Some(value) = value {
            let number = self.leaf.dictionary.add(value);
            self.page.numbers.push(number);
        }
    }

    fn end_page(&mut self, rows: usize, compressor: &mut Compressor<'_>) -> Result<()> {
        self.leaf.end_page(rows, &self.page, compressor)?;
        self.page.clear();
        Ok(())
    }
}
