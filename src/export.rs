//! Traces that leave as OTLP: the collector's encoder, for the page's port.

use collector::otlp::encode::{Form, encode};
use query::trace::TraceRows;
use ui::{ControlError, OtlpEncoder, OtlpForm};

#[derive(Debug, Clone, Copy)]
pub struct Encoder;

impl OtlpEncoder for Encoder {
    fn encode(&self, trace: &TraceRows, form: OtlpForm) -> Result<Vec<u8>, ControlError> {
        let form = match form {
            OtlpForm::Protobuf => Form::Protobuf,
            OtlpForm::Json => Form::Json,
        };
        encode(&trace.batches, trace.head_count, form).map_err(|error| ControlError::Internal(error.to_string()))
    }
}
