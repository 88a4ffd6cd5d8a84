//! Columns of `spans` from rows in memory.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryViewBuilder, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringViewBuilder,
    TimestampMicrosecondArray,
};
use arrow::error::ArrowError;

use super::{SpanRow, SpanRows, attributes};
use crate::derive::PathId;
use crate::model::{SpanBatch, Template, TextId};
use crate::schema::spans as schema;

/// Texts up to this length lie within a view.
const INLINE_BYTES: usize = 12;

pub(super) fn of(spans: &SpanRows, columns: &[usize], rows: &[u32]) -> Result<RecordBatch, ArrowError> {
    let table = schema::stored();
    let schema = Arc::new(table.project(columns)?);
    let arrays =
        schema.fields().iter().map(|field| column(spans, field.name(), rows)).collect::<Result<Vec<_>, _>>()?;
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(schema, arrays, &options)
}

fn column(spans: &SpanRows, name: &str, rows: &[u32]) -> Result<ArrayRef, ArrowError> {
    let head = |row: &u32| spans.head(*row as usize);
    let row = |at: &u32| &spans.rows[*at as usize];
    let facts = |at: &u32| spans.facts(*at as usize);
    let template = |name: fn(&SpanBatch, &Template) -> TextId| {
        texts(spans, rows, |row| {
            let (batch, template) = spans.template(row);
            let id = name(batch, template);
            (!id.is_none()).then_some((spans.rows[row].span.batch, id))
        })
    };
    Ok(match name {
        schema::TRACE_ID => ids(rows.iter().map(|row| Some(head(row).trace_id.as_bytes().as_slice()))),
        schema::SPAN_ID => ids(rows.iter().map(|row| Some(head(row).span_id.as_bytes().as_slice()))),
        schema::PARENT_SPAN_ID => {
            let mut ids = BinaryViewBuilder::with_capacity(rows.len());
            rows.iter().for_each(|row| ids.append_option(head(row).parent_span_id().map(|id| *id.as_bytes())));
            Arc::new(ids.finish())
        }
        schema::SERVICE_NAME => template(|batch, template| batch.service_name(template))?,
        schema::SPAN_NAME => template(|_, template| template.span_name)?,
        schema::KIND => template(|_, template| template.kind)?,
        schema::STATUS_CODE => template(|_, template| template.status_code)?,
        schema::STATUS_MESSAGE => template(|_, template| template.status_message)?,
        schema::START_TIME => Arc::new(
            TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| head(row).start.micros()))
                .with_timezone("UTC"),
        ),
        schema::START_NANOS => {
            Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| head(row).start.remainder())))
        }
        schema::DURATION_NS => Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| head(row).duration_nanos))),
        schema::ATTRIBUTES => attributes::of_spans(spans, rows),
        schema::RESOURCE => attributes::of_resources(spans, rows),
        schema::EVENTS => attributes::events(spans, rows),
        schema::LINKS => attributes::links(spans, rows),
        schema::SCOPE_NAME => template(|batch, template| batch.scope_name(template))?,
        schema::SCOPE_VERSION => template(|batch, template| batch.scope_version(template))?,
        schema::TRACE_STATE => template(|_, template| template.trace_state)?,
        schema::FLAGS => Arc::new(Int64Array::from_iter_values(
            rows.iter().map(|row| i64::from(spans.template(*row as usize).1.flags)),
        )),
        schema::IS_ROOT => Arc::new(BooleanArray::from_iter(rows.iter().map(|at| Some(row(at).is_root)))),
        schema::IS_ENTRY => Arc::new(BooleanArray::from_iter(rows.iter().map(|at| Some(row(at).is_entry)))),
        schema::DEPTH => Arc::new(Int32Array::from_iter(
            rows.iter().map(|at| row(at).depth).map(|depth| (depth >= 0).then_some(depth)),
        )),
        schema::PARENT_SERVICE => texts(spans, rows, |at| {
            let parent = spans.rows[at].parent;
            (parent != SpanRow::NOWHERE).then(|| spans.service(parent as usize))
        })?,
        schema::ROOT_SERVICE => words(rows.iter().map(|at| facts(at).root.as_ref().map(|root| &*root.service))),
        schema::ROOT_NAME => words(rows.iter().map(|at| facts(at).root.as_ref().map(|root| &*root.name))),
        schema::SELF_NS => Arc::new(Int64Array::from_iter_values(rows.iter().map(|at| row(at).self_ns))),
        schema::CRITICAL_NS => Arc::new(Int64Array::from_iter(
            rows.iter().map(|at| row(at).critical_ns).map(|nanos| (nanos != SpanRow::UNKNOWN).then_some(nanos)),
        )),
        schema::PATH_ID => Arc::new(Int64Array::from_iter(rows.iter().map(|at| row(at).path.map(PathId::signed)))),
        schema::EXCEPTION_TYPE => words(rows.iter().map(|at| spans.exception_type(*at as usize))),
        schema::ADJUSTED_COUNT => {
            Arc::new(Float64Array::from_iter(rows.iter().map(|at| facts(at).verdict.adjusted_count)))
        }
        schema::KEEP_REASON => words(rows.iter().map(|at| Some(&*facts(at).verdict.keep_reason))),
        schema::POLICY_REVISION => {
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|at| facts(at).verdict.policy_revision)))
        }
        schema::TRACE_COMPLETE => Arc::new(BooleanArray::from_iter(rows.iter().map(|at| Some(facts(at).complete)))),
        unknown => return Err(ArrowError::SchemaError(format!("spans has no column {unknown}"))),
    })
}

fn ids<'a>(values: impl Iterator<Item = Option<&'a [u8]>>) -> ArrayRef {
    let mut ids = BinaryViewBuilder::new().with_fixed_block_size(1 << 20);
    values.for_each(|id| ids.append_option(id));
    Arc::new(ids.finish())
}

/// Texts that lie in few places, each copied once.
fn words<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    let mut texts = StringViewBuilder::new().with_deduplicate_strings();
    values.for_each(|text| texts.append_option(text));
    Arc::new(texts.finish())
}

/// Texts of batches, left where they are: the column's views point into the batches.
fn texts(
    spans: &SpanRows,
    rows: &[u32],
    text_of: impl Fn(usize) -> Option<(u32, TextId)>,
) -> Result<ArrayRef, ArrowError> {
    let mut views = StringViewBuilder::with_capacity(rows.len());
    let mut blocks: Vec<Option<u32>> = vec![None; spans.batches.len()];
    for &row in rows {
        let Some((number, id)) = text_of(row as usize) else {
            views.append_null();
            continue;
        };
        let texts = spans.batches[number as usize].texts();
        let bytes = texts.bytes(id);
        if bytes.len() <= INLINE_BYTES {
            views.append_value(texts.text(id));
            continue;
        }
        let block = match blocks[number as usize] {
            Some(block) => block,
            None => *blocks[number as usize].insert(views.append_block(texts.buffer().clone())),
        };
        views.try_append_view(block, texts.start(id), bytes.len() as u32)?;
    }
    Ok(Arc::new(views.finish()))
}
