//! Searches: a filter tree, a time range and a cursor become SQL, and its rows traces or spans, newest first.
//!
//! - `filter`: the tree, and the condition that it is.
//! - `cursor`: where the next page begins.
//!
//! The same search gives the same rows in the same order, since start, trace id and span id order every row.

mod cursor;
mod filter;

#[cfg(test)]
mod tests;

use arrow::array::{Array, AsArray, ListArray};
use storage::model::UnixNanos;

use crate::answer::Stats;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::rows::{Rows, hex_at, text_at};
use crate::text::{TimeRange, filter as where_clause};
use cursor::Cursor;
pub use filter::{AttributeScope, Comparison, Field, Filter, FilterValue};

/// Rows of a page at most.
pub const MAX_LIMIT: usize = 1_000;

/// What is looked for.
#[derive(Debug, Clone, Default)]
pub struct Search {
    pub range: TimeRange,
    pub filter: Option<Filter>,
    /// Rows of the page.
    pub limit: usize,
    /// Where the page before ended.
    pub cursor: Option<String>,
}

/// A page of rows.
#[derive(Debug)]
pub struct Page<T> {
    pub rows: Vec<T>,
    /// `None` on the last page.
    pub cursor: Option<String>,
    pub stats: Stats,
    pub sql: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct TraceRow {
    pub trace_id: String,
    pub start: UnixNanos,
    pub duration_ns: i64,
    pub root_service: Option<String>,
    pub root_name: Option<String>,
    pub span_count: i64,
    pub error_count: i64,
    pub services: Vec<String>,
    pub kept: bool,
    pub keep_reason: String,
    pub pending: bool,
    /// The first matching span by start; `None` where nothing was asked of spans.
    pub matched_span_id: Option<String>,
    pub matched_spans: i64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SpanRow {
    pub trace_id: String,
    pub span_id: String,
    pub start: UnixNanos,
    pub duration_ns: i64,
    pub service_name: String,
    pub span_name: String,
    pub kind: String,
    pub status_code: String,
    pub root_service: Option<String>,
    pub root_name: Option<String>,
}

const TRACE_COLUMNS: &str = "t.trace_id, t.start_time, t.start_nanos, t.duration_ns, t.root_service, t.root_name, \
t.span_count, t.error_count, t.services, t.kept, t.keep_reason";

impl Engine {
    /// Traces with a span that matches, newest trace first, then by trace id. Without a filter: those that started in
    /// the range.
    pub async fn search_traces(&self, search: &Search) -> Result<Page<TraceRow>> {
        let limit = checked_limit(search)?;
        let after = search.cursor.as_deref().map(Cursor::parse).transpose()?;
        let order = "ORDER BY t.start_time DESC, t.start_nanos DESC, t.trace_id";
        let sql = match &search.filter {
            None => {
                let mut conditions = search.range.conditions("t");
                conditions.extend(after.map(|cursor| cursor.trace_condition("t")));
                format!(
                    "SELECT {TRACE_COLUMNS}, NULL AS matched_span_id, t.span_count AS matched_spans FROM traces t{} {order} LIMIT {}",
                    where_clause(&conditions),
                    limit + 1
                )
            }
            Some(filter) => {
                let mut conditions = search.range.conditions("s");
                conditions.push(filter.condition()?);
                let outer: Vec<String> = after.iter().map(|cursor| cursor.trace_condition("t")).collect();
                format!(
                    "SELECT {TRACE_COLUMNS}, m.matched_span_id, m.matched_spans FROM traces t JOIN (\
                     SELECT s.trace_id, count(*) AS matched_spans, \
                     first_value(s.span_id ORDER BY s.start_time, s.start_nanos, s.span_id) AS matched_span_id \
                     FROM {}{} GROUP BY s.trace_id) m ON t.trace_id = m.trace_id{} {order} LIMIT {}",
                    source(filter),
                    where_clause(&conditions),
                    where_clause(&outer),
                    limit + 1
                )
            }
        };
        let answer = self.ask(&self.session().await?, &sql, limit + 1).await?;
        let mut rows = trace_rows(&answer.rows)?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let cursor = rows.last().filter(|_| more).map(|row| Cursor::of_trace(row.start, &row.trace_id));
        Ok(Page { rows, cursor, stats: answer.stats, sql })
    }

    /// Spans that match, newest first.
    pub async fn search_spans(&self, search: &Search) -> Result<Page<SpanRow>> {
        let limit = checked_limit(search)?;
        let mut conditions = search.range.conditions("s");
        if let Some(cursor) = search.cursor.as_deref().map(Cursor::parse).transpose()? {
            conditions.push(cursor.span_condition("s")?);
        }
        let mut from = "spans s".to_owned();
        if let Some(filter) = &search.filter {
            conditions.push(filter.condition()?);
            from = source(filter);
        }
        let sql = format!(
            "SELECT s.trace_id, s.span_id, s.start_time, s.start_nanos, s.duration_ns, s.service_name, s.span_name, \
             s.kind, s.status_code, s.root_service, s.root_name FROM {from}{} \
             ORDER BY s.start_time DESC, s.start_nanos DESC, s.trace_id, s.span_id LIMIT {}",
            where_clause(&conditions),
            limit + 1
        );
        let answer = self.ask(&self.session().await?, &sql, limit + 1).await?;
        let mut rows = span_rows(&answer.rows)?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let cursor = rows.last().filter(|_| more).map(|row| Cursor::of_span(row.start, &row.trace_id, &row.span_id));
        Ok(Page { rows, cursor, stats: answer.stats, sql })
    }
}

fn checked_limit(search: &Search) -> Result<usize> {
    if (1..=MAX_LIMIT).contains(&search.limit) {
        Ok(search.limit)
    } else {
        Err(Error::bad_query(format!("limit is {}, but must be from 1 to {MAX_LIMIT}", search.limit)))
    }
}

/// Spans, with their trace where the filter asks about it.
fn source(filter: &Filter) -> String {
    if filter.names_trace() {
        // Only what the filter names, so that no other column is ambiguous.
        "spans s JOIN (SELECT trace_id, duration_ns AS trace_duration_ns FROM traces) d ON s.trace_id = d.trace_id"
            .to_owned()
    } else {
        "spans s".to_owned()
    }
}

fn trace_rows(rows: &Rows) -> Result<Vec<TraceRow>> {
    let (ids, starts) = (rows.id("trace_id")?, rows.starts()?);
    let (durations, matched) = (rows.int("duration_ns")?, rows.int("matched_spans")?);
    let (services, names) = (rows.text("root_service")?, rows.text("root_name")?);
    let (spans, errors) = (rows.int("span_count")?, rows.int("error_count")?);
    let (kept, reasons) = (rows.bool("kept")?, rows.text("keep_reason")?);
    let matched_ids = rows.id("matched_span_id")?;
    let all_services = rows.list("services")?;
    (0..rows.count())
        .map(|row| {
            Ok(TraceRow {
                trace_id: hex_at(&ids, row).unwrap_or_default(),
                start: starts[row],
                duration_ns: durations.value(row),
                root_service: text_at(&services, row),
                root_name: text_at(&names, row),
                span_count: spans.value(row),
                error_count: errors.value(row),
                services: texts_of(all_services, row)?,
                kept: kept.value(row),
                keep_reason: reasons.value(row).to_owned(),
                pending: reasons.value(row) == "pending",
                matched_span_id: hex_at(&matched_ids, row),
                matched_spans: matched.value(row),
            })
        })
        .collect()
}

/// The texts of a list.
pub(crate) fn texts_of(list: &ListArray, row: usize) -> Result<Vec<String>> {
    let items = list.value(row);
    let items = arrow::compute::cast(&items, &arrow::datatypes::DataType::Utf8)?;
    Ok(items.as_string::<i32>().iter().flatten().map(str::to_owned).collect())
}

fn span_rows(rows: &Rows) -> Result<Vec<SpanRow>> {
    let (traces, spans, starts) = (rows.id("trace_id")?, rows.id("span_id")?, rows.starts()?);
    let durations = rows.int("duration_ns")?;
    let (services, names) = (rows.text("service_name")?, rows.text("span_name")?);
    let (kinds, statuses) = (rows.text("kind")?, rows.text("status_code")?);
    let (root_services, root_names) = (rows.text("root_service")?, rows.text("root_name")?);
    let row = |row: usize| SpanRow {
        trace_id: hex_at(&traces, row).unwrap_or_default(),
        span_id: hex_at(&spans, row).unwrap_or_default(),
        start: starts[row],
        duration_ns: durations.value(row),
        service_name: services.value(row).to_owned(),
        span_name: names.value(row).to_owned(),
        kind: kinds.value(row).to_owned(),
        status_code: statuses.value(row).to_owned(),
        root_service: text_at(&root_services, row),
        root_name: text_at(&root_names, row),
    };
    debug_assert!(traces.len() == rows.count());
    Ok((0..rows.count()).map(row).collect())
}
