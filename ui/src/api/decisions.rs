//! What sampling decided of traces: from their digests, which are there whether spans are stored or not.
//!
//! Asked beside the lists, which tell of spans. A trace that is decided in between has the later answer.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use query::trace::TraceAnswer;
use query::{Engine, SqlRequest, UnixNanos, present};
use serde_json::{Map, Value, json};

use super::error::ApiError;

/// The fields of an answer that a decision adds, by trace id.
pub(super) type Decisions = HashMap<String, Map<String, Value>>;

/// The decisions of traces that are listed with the starts of their digests, which spares reading all others.
pub(super) async fn of_listed<'a>(
    engine: &Engine,
    traces: impl Iterator<Item = (&'a str, UnixNanos)>,
) -> Result<Decisions, ApiError> {
    let (ids, starts): (Vec<&str>, Vec<UnixNanos>) = traces.unzip();
    let (Some(first), Some(last)) = (starts.iter().min(), starts.iter().max()) else {
        return Ok(Decisions::new());
    };
    let (first, last) = (first.micros(), last.micros());
    let range = format!(" AND start_time BETWEEN to_timestamp_micros({first}) AND to_timestamp_micros({last})");
    asked(engine, &ids, &range).await
}

/// The decision of one trace, which came with it.
pub(super) fn of_trace(answer: &TraceAnswer) -> Result<Map<String, Value>, ApiError> {
    let mut found = Decisions::new();
    read(&answer.digest, &mut found)?;
    Ok(found.remove(&answer.facts.trace_id.to_string()).unwrap_or_default())
}

/// `ids` are the server's own hex.
async fn asked(engine: &Engine, ids: &[&str], and: &str) -> Result<Decisions, ApiError> {
    let query = format!(
        "SELECT trace_id, kept, class, adjusted_count, head_count, policy_revision FROM traces \
         WHERE trace_id IN ('{}'){and}",
        ids.join("', '"),
    );
    let request = SqlRequest { limit: Some(ids.len()), ..SqlRequest::new(query) };
    let mut answer = engine.sql(request).await?;
    let mut found = Decisions::new();
    while let Some(batch) = answer.next().await {
        read(&present::batch(&batch?)?, &mut found)?;
    }
    Ok(found)
}

fn read(batch: &RecordBatch, found: &mut Decisions) -> Result<(), ApiError> {
    let column = |name: &str, as_type: &DataType| -> Result<ArrayRef, ApiError> {
        let column = batch.column_by_name(name);
        let column = column.ok_or_else(|| ApiError::internal(format!("the digests have no column {name}")))?;
        Ok(cast(column, as_type)?)
    };
    let (ids, classes) = (column("trace_id", &DataType::Utf8)?, column("class", &DataType::Utf8)?);
    let kept = column("kept", &DataType::Boolean)?;
    let weights = column("adjusted_count", &DataType::Float64)?;
    let heads = column("head_count", &DataType::Float64)?;
    let revisions = column("policy_revision", &DataType::Int64)?;
    let (ids, classes) = (ids.as_string::<i32>(), classes.as_string::<i32>());
    let (weights, heads) = (weights.as_primitive::<Float64Type>(), heads.as_primitive::<Float64Type>());
    let (kept, revisions) = (kept.as_boolean(), revisions.as_primitive::<Int64Type>());
    for row in 0..batch.num_rows() {
        let fields = json!({
            "kept": kept.value(row),
            "class": classes.is_valid(row).then(|| classes.value(row)),
            "adjusted_count": weights.is_valid(row).then(|| weights.value(row)),
            "head_count": heads.is_valid(row).then(|| heads.value(row)),
            "policy_revision": revisions.is_valid(row).then(|| revisions.value(row)),
        });
        if let Value::Object(fields) = fields {
            found.insert(ids.value(row).to_owned(), fields);
        }
    }
    Ok(())
}
