//! Where a page ended: start, trace id, and span id for spans, as text that clients hand back unread.

use storage::model::{SpanId, TraceId, UnixNanos};

use crate::error::{Error, Result};
use crate::text::{micros, quoted};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    start: UnixNanos,
    trace: TraceId,
    span: Option<SpanId>,
}

impl Cursor {
    pub(super) fn of_trace(start: UnixNanos, trace: &str) -> String {
        format!("{}.{trace}", start.0)
    }

    pub(super) fn of_span(start: UnixNanos, trace: &str, span: &str) -> String {
        format!("{}.{trace}.{span}", start.0)
    }

    pub(super) fn parse(text: &str) -> Result<Self> {
        let wrong = || Error::bad_query("cursor is not one that a search answered; leave it out for the first page");
        let mut parts = text.split('.');
        let start = parts.next().and_then(|start| start.parse().ok()).ok_or_else(wrong)?;
        let trace = parts.next().and_then(|trace| trace.parse().ok()).ok_or_else(wrong)?;
        let span = parts.next().map(|span| span.parse().map_err(|_| wrong())).transpose()?;
        if parts.next().is_some() {
            return Err(wrong());
        }
        Ok(Self { start: UnixNanos(start), trace, span })
    }

    /// Traces after the cursor, newest first.
    pub(super) fn trace_condition(&self, table: &str) -> String {
        self.after(table, &format!("{table}.trace_id > {}", quoted(&self.trace.to_string())))
    }

    /// Spans after the cursor, newest first.
    pub(super) fn span_condition(&self, table: &str) -> Result<String> {
        let Some(span) = self.span else {
            return Err(Error::bad_query("cursor is one of traces, not of spans; leave it out for the first page"));
        };
        let (trace, span) = (quoted(&self.trace.to_string()), quoted(&span.to_string()));
        let same_start =
            format!("({table}.trace_id > {trace} OR ({table}.trace_id = {trace} AND {table}.span_id > {span}))");
        Ok(self.after(table, &same_start))
    }

    fn after(&self, table: &str, same_start: &str) -> String {
        let (start, nanos) = (micros(self.start.micros()), self.start.remainder());
        // The first term is implied by the rest; it is the one that prunes.
        format!(
            "{table}.start_time <= {start} AND ({table}.start_time < {start} OR {table}.start_nanos < {nanos} \
             OR ({table}.start_nanos = {nanos} AND {same_start}))"
        )
    }
}
