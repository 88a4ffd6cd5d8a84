//! One span with everything that is known of it.

use arrow::array::{Array, ArrayRef, AsArray, StructArray};
use arrow::datatypes::Int64Type;
use storage::model::{SpanId, TraceId, UnixNanos};

use crate::answer::Stats;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::rows::{Rows, hex, text_at, times};
use crate::semantics::attributes::json::objects;
use crate::text::quoted;
use crate::trace::{SpanSummary, columns_in_sql, summaries};

/// A span's event. `attributes` is a JSON object, as everywhere here.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub time: UnixNanos,
    pub name: String,
    pub attributes: String,
}

/// A span's link to another span.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    pub trace_id: String,
    pub span_id: String,
    pub attributes: String,
}

/// A span.
#[derive(Debug)]
pub struct SpanAnswer {
    pub span: SpanSummary,
    pub attributes: String,
    pub resource: String,
    pub scope_name: Option<String>,
    pub scope_version: Option<String>,
    pub trace_state: Option<String>,
    pub flags: i64,
    pub events: Vec<Event>,
    pub links: Vec<Link>,
    pub stats: Stats,
    pub sql: String,
}

impl Engine {
    /// A span by its ids. Where a client sent it twice, the first by start.
    pub async fn span(&self, trace_id: TraceId, span_id: SpanId) -> Result<SpanAnswer> {
        let session = self.session().await?;
        let filter =
            format!("trace_id = {} AND span_id = {}", quoted(&trace_id.to_string()), quoted(&span_id.to_string()));
        let query = format!(
            "SELECT {}, attributes, resource, scope_name, scope_version, trace_state, flags, events, links \
             FROM spans WHERE {filter} ORDER BY start_time, start_nanos",
            columns_in_sql()
        );
        let answer = self.ask(&session, &query, 1).await?;
        let rows = &answer.rows;
        if rows.count() == 0 {
            return Err(Error::NotFound(format!("trace {trace_id} has no span {span_id}")));
        }
        let depth = rows.int("depth")?;
        let depth = if depth.is_valid(0) { depth.value(0) } else { 0 };
        let span = summaries(rows, &rows.starts()?, &[(0, depth)])?.swap_remove(0);
        let text = |name| rows.text(name).map(|texts| text_at(&texts, 0));
        Ok(SpanAnswer {
            span,
            attributes: json(rows.column("attributes")?, 0)?,
            resource: json(rows.column("resource")?, 0)?,
            scope_name: text("scope_name")?,
            scope_version: text("scope_version")?,
            trace_state: text("trace_state")?,
            flags: rows.column("flags")?.as_primitive::<Int64Type>().value(0),
            events: events(rows)?,
            links: links(rows)?,
            stats: answer.stats,
            sql: format!("SELECT * FROM spans WHERE {filter}"),
        })
    }
}

fn json(attributes: &ArrayRef, row: usize) -> Result<String> {
    Ok(objects(attributes.as_struct())?.value(row).to_owned())
}

fn field<'a>(items: &'a StructArray, name: &str) -> Result<&'a ArrayRef> {
    items.column_by_name(name).ok_or_else(|| Error::Internal(format!("the list has no field {name}")))
}

fn events(rows: &Rows) -> Result<Vec<Event>> {
    let items = rows.list("events")?.value(0);
    let items = items.as_struct();
    let times = times(field(items, "time")?, field(items, "time_nanos")?)?;
    let names = field(items, "name")?.as_string::<i32>();
    let attributes = objects(field(items, "attributes")?.as_struct())?;
    let event =
        |(row, time)| Event { time, name: names.value(row).to_owned(), attributes: attributes.value(row).to_owned() };
    Ok(times.into_iter().enumerate().map(event).collect())
}

fn links(rows: &Rows) -> Result<Vec<Link>> {
    let items = rows.list("links")?.value(0);
    let items = items.as_struct();
    let (traces, spans) = (field(items, "trace_id")?.as_binary::<i32>(), field(items, "span_id")?.as_binary::<i32>());
    let attributes = objects(field(items, "attributes")?.as_struct())?;
    let link = |row| Link {
        trace_id: hex(traces.value(row)),
        span_id: hex(spans.value(row)),
        attributes: attributes.value(row).to_owned(),
    };
    Ok((0..items.len()).map(link).collect())
}
