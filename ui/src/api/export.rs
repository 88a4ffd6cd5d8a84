//! A trace that leaves as OTLP, to be kept as a file or read by another backend.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, header};

use super::Server;
use super::body::accepts;
use super::error::ApiError;
use super::traces::trace_id;
use crate::otlp::OtlpForm;

const PROTOBUF: &str = "application/x-protobuf";

pub(super) async fn otlp(
    State(server): State<Server>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let id = trace_id(&id)?;
    let (form, content_type, ending) = match accepts(&headers, PROTOBUF) {
        true => (OtlpForm::Protobuf, PROTOBUF, "pb"),
        false => (OtlpForm::Json, "application/json", "json"),
    };
    let rows = server.engine.trace_rows(id).await?;
    let encoded = tokio::task::spawn_blocking(move || server.otlp.encode(&rows, form)).await;
    let body = encoded.map_err(|error| ApiError::internal(format!("cannot encode the trace: {error}")))??;
    let file = format!("attachment; filename=\"trace-{id}.otlp.{ending}\"");
    let headers = [
        (header::CONTENT_TYPE, content_type.to_owned()),
        (header::CONTENT_DISPOSITION, file),
        (header::VARY, "accept".to_owned()),
    ];
    Ok((headers, body).into_response())
}
