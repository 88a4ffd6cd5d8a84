//! Traces that leave as OTLP: what the binary does for this room, which knows no wire format but its own.

use query::trace::TraceRows;

use crate::control::ControlError;

/// How a request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtlpForm {
    Protobuf,
    Json,
}

/// Writes the spans of a trace as one `ExportTraceServiceRequest`. It computes, so it is called off the async threads.
pub trait OtlpEncoder: Send + Sync + 'static {
    fn encode(&self, trace: &TraceRows, form: OtlpForm) -> Result<Vec<u8>, ControlError>;
}
