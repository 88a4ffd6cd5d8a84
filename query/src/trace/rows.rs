//! Every span of one trace with all of its columns, for what writes traces in other forms.

use arrow::array::{Array, RecordBatch};
use storage::model::TraceId;

use super::MAX_SPANS;
use crate::engine::{Engine, SqlRequest};
use crate::error::{Error, Result};
use crate::text::quoted;

/// What the rows of one answer take in memory at most; written as JSON they take about twice that.
const MAX_BYTES: usize = 256 << 20;

/// The stored and pending spans of a trace, by start.
#[derive(Debug, Clone)]
pub struct TraceRows {
    pub trace_id: TraceId,
    /// With the columns of `spans`.
    pub batches: Vec<RecordBatch>,
    /// Of its digest: how many traces of the real stream arrived as this one. `None` where that is unknown.
    pub head_count: Option<f64>,
}

impl Engine {
    /// The rows of a trace, all or none: not found if none of its spans is stored or pending.
    pub async fn trace_rows(&self, trace_id: TraceId) -> Result<TraceRows> {
        self.trace_rows_within(trace_id, MAX_SPANS, MAX_BYTES).await
    }

    async fn trace_rows_within(&self, trace_id: TraceId, max_spans: usize, max_bytes: usize) -> Result<TraceRows> {
        let session = self.session().await?;
        let id = quoted(&trace_id.to_string());
        let query = format!("SELECT * FROM spans WHERE trace_id = {id} ORDER BY start_time, start_nanos, span_id");
        let request = SqlRequest { limit: Some(max_spans), ..SqlRequest::new(query) };
        let mut answer = self.sql_in(&session, request).await?;
        let (mut batches, mut bytes) = (Vec::new(), 0_usize);
        while let Some(batch) = answer.next().await {
            let batch = batch?;
            for column in batch.columns() {
                bytes = bytes.saturating_add(column.to_data().get_slice_memory_size()?);
            }
            if bytes > max_bytes {
                return Err(too_large(trace_id, &format!("{max_bytes} bytes of spans")));
            }
            batches.push(batch);
        }
        if answer.truncated() {
            return Err(too_large(trace_id, &format!("{max_spans} spans")));
        }
        if batches.is_empty() {
            return Err(Error::NotFound(format!("none of the spans of trace {trace_id} is stored or pending")));
        }
        // A trace that came again after an hour has two; the one that was decided knows more.
        let digest = format!("SELECT head_count FROM traces WHERE trace_id = {id} ORDER BY keep_reason = 'pending'");
        let digest = self.ask(&session, &digest, 1).await?;
        let head_count =
            if digest.rows.count() > 0 { digest.rows.float("head_count")?.iter().next().flatten() } else { None };
        Ok(TraceRows { trace_id, batches, head_count })
    }
}

fn too_large(trace_id: TraceId, bound: &str) -> Error {
    Error::Resources(format!("trace {trace_id} has more than {bound}, the most that leave in one answer"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Config;
    use crate::testing::{TestSource, TestSpan, trace_id};

    async fn engine() -> Engine {
        let memory = [TestSpan::new(1, 2, Some(1)), TestSpan::new(2, 3, None), TestSpan::new(3, 9, None).dropped()];
        let segment = vec![TestSpan::new(1, 1, None)];
        let source: Arc<TestSource> = TestSource::new(&memory, &[segment]).await;
        Engine::new(Config { threads: 1, ..Config::default() }, source).unwrap()
    }

    #[tokio::test]
    async fn a_trace_is_answered_whole_from_memory_and_segments_with_the_columns_of_the_table() {
        let rows = engine().await.trace_rows(trace_id(1)).await.unwrap();
        assert_eq!(rows.batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 2);
        let names = |schema: arrow::datatypes::SchemaRef| -> Vec<String> {
            schema.fields().iter().map(|field| field.name().clone()).collect()
        };
        assert_eq!(names(rows.batches[0].schema()), names(storage::schema::spans::stored()));
        assert_eq!(rows.head_count, Some(1.0));
    }

    #[tokio::test]
    async fn what_is_too_large_or_not_there_is_named() {
        let engine = engine().await;
        let error = |outcome: Result<TraceRows>| outcome.unwrap_err().to_string();
        let spans = error(engine.trace_rows_within(trace_id(1), 1, MAX_BYTES).await);
        assert!(spans.contains("more than 1 spans"), "{spans}");
        let bytes = error(engine.trace_rows_within(trace_id(1), MAX_SPANS, 100).await);
        assert!(bytes.contains("more than 100 bytes"), "{bytes}");
        // Its digest is there.
        let dropped = engine.trace_rows(trace_id(3)).await.unwrap_err();
        assert!(matches!(dropped, Error::NotFound(_)), "{dropped}");
    }
}
