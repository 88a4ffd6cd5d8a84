//! One trace: its facts, and its spans as a tree in pre-order.
//!
//! - `tree`: the order, from span and parent ids as they came: parents missing, doubled or in a circle.
//! - `columns`: the spans as columns, for a page that draws them.
//! - `scan`: the plans that find both, without SQL.
//! - `digests`: which digest tells of a trace that has several, and how many spans they count.
//! - `rows`: the spans as the table has them, for what writes traces in other forms.

mod columns;
mod digests;
mod rows;
mod scan;
mod tree;

use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use storage::model::{TraceId, UnixNanos};

use crate::answer::Stats;
use crate::engine::{Engine, Planned};
use crate::error::{Error, Result};
use crate::rows::{Rows, hex_at, text_at};
use crate::text::quoted;
use digests::{Digests, MAX_DIGESTS};
pub use rows::TraceRows;
pub(crate) use scan::columns_in_sql;
use tree::Tree;

type Plan = Box<dyn FnOnce() -> Result<Planned> + Send>;

/// Spans of a trace that one answer has at most.
const MAX_SPANS: usize = 500_000;

/// What is said of a trace as a whole.
#[derive(Debug, Clone)]
pub struct TraceFacts {
    pub trace_id: TraceId,
    pub start: UnixNanos,
    pub duration_ns: i64,
    pub span_count: usize,
    pub error_count: usize,
    /// Sorted by name.
    pub services: Vec<String>,
    pub root_service: Option<String>,
    pub root_name: Option<String>,
    /// Every parent is there, and there is one root.
    pub complete: bool,
    /// Not decided yet; more spans may come.
    pub pending: bool,
    /// Spans whose parent is not among the spans.
    pub missing_parents: usize,
    /// More spans exist than are answered.
    pub truncated: bool,
    pub keep_reason: Option<String>,
    pub adjusted_count: Option<f64>,
}

/// One span of a trace.
#[derive(Debug, Clone, PartialEq)]
pub struct SpanSummary {
    pub span_id: String,
    pub parent_span_id: Option<String>,
    pub service_name: String,
    pub span_name: String,
    pub kind: String,
    pub status_code: String,
    pub status_message: Option<String>,
    /// Of the exception that left the span.
    pub exception_type: Option<String>,
    pub start: UnixNanos,
    pub duration_ns: i64,
    /// In the tree as it is answered.
    pub depth: i64,
    pub self_ns: Option<i64>,
    pub is_root: bool,
    pub is_entry: bool,
    pub event_count: i64,
    pub link_count: i64,
}

/// A trace and its spans.
#[derive(Debug)]
pub struct TraceAnswer {
    pub facts: TraceFacts,
    pub stats: Stats,
    /// The same spans in the SQL console.
    pub sql: String,
    /// The trace's row of `traces` as people read it, with what sampling decided; no row where there is none. Of several, the first that
    /// was kept.
    pub digest: RecordBatch,
    /// Spans that the digests say were stored.
    counted: Option<u64>,
    /// Rules of the retention have taken spans, of this trace or of others.
    is_thinned: bool,
    rows: Rows,
    starts: Vec<UnixNanos>,
    tree: Tree,
}

impl Engine {
    /// A trace by its id; not found if there is neither a span nor a digest of it.
    pub async fn trace(&self, trace_id: TraceId) -> Result<TraceAnswer> {
        self.trace_within(trace_id, MAX_SPANS).await
    }

    async fn trace_within(&self, trace_id: TraceId, max_spans: usize) -> Result<TraceAnswer> {
        let tables = self.tables().await?;
        let (of_digest, is_thinned) = (Arc::clone(&tables), tables.are_thinned());
        let spans: Plan = Box::new(move || scan::spans(&tables, &trace_id, max_spans));
        let digest: Plan = Box::new(move || scan::digest(&of_digest, &trace_id));
        let (spans, digest) = self.run_both([(spans, max_spans), (digest, MAX_DIGESTS)]).await?;
        if spans.rows.count() == 0 && digest.rows.count() == 0 {
            return Err(Error::NotFound(format!(
                "there is no trace {trace_id}: none of its spans is stored or pending"
            )));
        }
        let starts = spans.rows.starts()?;
        let digests = Digests::new(digest.rows, digest.truncated)?;
        let tree = Tree::new(&spans.rows.id("span_id")?, &spans.rows.id("parent_span_id")?);
        let facts = facts(trace_id, &spans.rows, &starts, &tree, &digests.shown, spans.truncated)?;
        Ok(TraceAnswer {
            facts,
            stats: spans.stats.and(digest.stats),
            digest: digests.shown.presented()?,
            counted: digests.counted,
            is_thinned,
            sql: format!(
                "SELECT * FROM spans WHERE trace_id = {} ORDER BY start_time, start_nanos",
                quoted(&trace_id.to_string())
            ),
            rows: spans.rows,
            starts,
            tree,
        })
    }
}

fn facts(
    trace_id: TraceId,
    spans: &Rows,
    starts: &[UnixNanos],
    tree: &Tree,
    digest: &Rows,
    truncated: bool,
) -> Result<TraceFacts> {
    let in_digest = digest.count() > 0;
    let durations = spans.int("duration_ns")?;
    let names = spans.text("service_name")?;
    let mut services: Vec<String> = names.iter().flatten().map(str::to_owned).collect();
    services.sort_unstable();
    services.dedup();
    let errors = spans.text("status_code")?.iter().flatten().filter(|status| *status == "error").count();
    let start = starts.iter().min().copied();
    let end = starts.iter().zip(durations.values()).map(|(start, duration)| start.plus(*duration)).max();
    let keep_reason = if in_digest { text_at(&digest.text("keep_reason")?, 0) } else { None };
    let roots = tree.rows().filter(|row| tree.is_true_root(*row));
    let root = roots.min_by_key(|row| starts[*row]);
    let of_root = |column: &str| -> Result<Option<String>> {
        match root {
            Some(row) => Ok(text_at(&spans.text(column)?, row)),
            None if in_digest => {
                Ok(text_at(&digest.text(if column == "span_name" { "root_name" } else { "root_service" })?, 0))
            }
            None => Ok(None),
        }
    };
    let mut facts = TraceFacts {
        trace_id,
        start: start.unwrap_or_default(),
        duration_ns: end.zip(start).map_or(0, |(end, start)| end.since(start)),
        span_count: spans.count(),
        error_count: errors,
        services,
        root_service: of_root("service_name")?,
        root_name: of_root("span_name")?,
        complete: tree.is_complete(),
        pending: keep_reason.as_deref() == Some("pending"),
        missing_parents: tree.missing_parents(),
        truncated,
        keep_reason,
        adjusted_count: None,
    };
    if in_digest {
        facts.adjusted_count = digest.float("adjusted_count")?.iter().next().flatten();
        if spans.count() == 0 {
            // Not kept: the digest is what there is.
            facts.start = digest.starts()?.first().copied().unwrap_or_default();
            facts.duration_ns = digest.int("duration_ns")?.value(0);
            facts.span_count = usize::try_from(digest.int("span_count")?.value(0)).unwrap_or_default();
            facts.error_count = usize::try_from(digest.int("error_count")?.value(0)).unwrap_or_default();
            facts.services = crate::search::texts_of(digest.list("services")?, 0)?;
            facts.complete = digest.bool("trace_complete")?.value(0);
        }
    }
    Ok(facts)
}

impl TraceAnswer {
    /// Spans that were stored and are there no longer, as the retention takes them: at least so many, since late spans, which no digest
    /// counts, may stand for others. `None` if nobody knows: the digest is gone, more spans came than are answered, or late ones
    /// to a store of which rules have taken spans.
    pub fn missing_spans(&self) -> Option<u64> {
        let (counted, there) = (self.counted.filter(|_| !self.facts.truncated)?, self.rows.count() as u64);
        counted.checked_sub(there).or(if self.is_thinned { None } else { Some(0) })
    }

    /// The spans in pre-order: children by start, then span id.
    pub fn spans(&self) -> Result<Vec<SpanSummary>> {
        let order: Vec<(usize, i64)> =
            self.tree.order().iter().map(|placed| (placed.row, i64::from(placed.depth))).collect();
        summaries(&self.rows, &self.starts, &order)
    }
}

/// The spans in the rows named, each with its depth.
pub(crate) fn summaries(rows: &Rows, starts: &[UnixNanos], order: &[(usize, i64)]) -> Result<Vec<SpanSummary>> {
    let (span_ids, parents) = (rows.id("span_id")?, rows.id("parent_span_id")?);
    let text = |name| rows.text(name);
    let (services, names, kinds) = (text("service_name")?, text("span_name")?, text("kind")?);
    let (statuses, messages) = (text("status_code")?, text("status_message")?);
    let exceptions = text("exception_type")?;
    let (durations, selves) = (rows.int("duration_ns")?, rows.int("self_ns")?);
    let (roots, entries) = (rows.bool("is_root")?, rows.bool("is_entry")?);
    let (events, links) = (rows.lengths("event_count")?, rows.lengths("link_count")?);
    let summary = |&(row, depth): &(usize, i64)| SpanSummary {
        span_id: hex_at(&span_ids, row).unwrap_or_default(),
        parent_span_id: hex_at(&parents, row),
        service_name: services.value(row).to_owned(),
        span_name: names.value(row).to_owned(),
        kind: kinds.value(row).to_owned(),
        status_code: statuses.value(row).to_owned(),
        status_message: text_at(&messages, row),
        exception_type: text_at(&exceptions, row),
        start: starts[row],
        duration_ns: durations.value(row),
        depth,
        self_ns: selves.is_valid(row).then(|| selves.value(row)),
        is_root: roots.value(row),
        is_entry: entries.value(row),
        event_count: events[row],
        link_count: links[row],
    };
    Ok(order.iter().map(summary).collect())
}

#[cfg(test)]
mod tests;
