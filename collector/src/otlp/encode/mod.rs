//! A stored trace as an `ExportTraceServiceRequest`, so that what reads OTLP can have it: the way back of decoding.
//!
//! - `columns`: the rows of `spans`, typed.
//! - `attributes`, `value`: the five maps as one list; JSON text as lists, key-value lists and bytes again.
//! - `span`: a row as a span; what was folded into attributes has its fields again.
//! - `grouped`: spans under their resources and scopes.
//! - `weight`: what is said of sampling in `trace_state`.
//! - `json`: the messages in OTLP/JSON.
//!
//! Invariants: decoded again, the rows are those that were encoded, but for `trace_state` of sampled traces; rows alone decide,
//! there are no clocks and no settings. What columns do not tell apart comes back as the likelier: an object of the one key
//! `bytes` with base64 as bytes, and `NaN` inside a list as text.

mod attributes;
mod columns;
mod grouped;
mod json;
mod span;
mod value;
mod weight;

#[cfg(test)]
mod tests;

use arrow::array::RecordBatch;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

use crate::{Error, Result};
use columns::Columns;
use grouped::Grouped;
use weight::Weights;

/// How a request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Protobuf,
    Json,
}

/// Writes the spans of one trace. `batches` have the columns of `spans`; `head_count` is that of its row in `traces`.
pub fn encode(batches: &[RecordBatch], head_count: Option<f64>, form: Form) -> Result<Vec<u8>> {
    let request = request(batches, head_count)?;
    match form {
        Form::Protobuf => Ok(request.encode_to_vec()),
        Form::Json => serde_json::to_vec(&json::Request(&request)).map_err(|error| Error::Internal(error.to_string())),
    }
}

fn request(batches: &[RecordBatch], head_count: Option<f64>) -> Result<ExportTraceServiceRequest> {
    let batches = batches.iter().map(Columns::new).collect::<Result<Vec<_>>>()?;
    let mut weights = Weights::new(&batches, head_count);
    let mut grouped = Grouped::default();
    for columns in &batches {
        for row in 0..columns.len() {
            let trace_state = weights.write(columns, row);
            span::add(columns, row, trace_state, &mut grouped);
        }
    }
    Ok(grouped.finish())
}
