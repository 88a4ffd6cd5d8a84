//! The server itself: status, flush, sampling, health, metrics, and the description of this API.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde::Deserialize;

use super::Server;
use super::body::JsonBody;
use super::error::ApiError;
use crate::control::{Compacted, Flushed, Retention, SamplingPolicy, Status};

pub(super) const OPENAPI: &str = include_str!("openapi.json");

pub(super) async fn status(State(server): State<Server>) -> Json<Status> {
    Json(server.control.status())
}

pub(super) async fn flush(State(server): State<Server>) -> Result<Json<Flushed>, ApiError> {
    Ok(Json(server.control.flush().await?))
}

/// What a compaction is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Compact {
    to_the_end: bool,
}

pub(super) async fn compact(
    State(server): State<Server>,
    JsonBody(asked): JsonBody<Compact>,
) -> Result<Json<Compacted>, ApiError> {
    Ok(Json(server.control.compact(asked.to_the_end).await?))
}

pub(super) async fn retention(State(server): State<Server>) -> Result<Json<Retention>, ApiError> {
    Ok(Json(server.control.retention().await?))
}

pub(super) async fn sampling(State(server): State<Server>) -> Json<SamplingPolicy> {
    Json(server.control.sampling())
}

pub(super) async fn set_sampling(
    State(server): State<Server>,
    JsonBody(policy): JsonBody<serde_json::Value>,
) -> Result<Json<SamplingPolicy>, ApiError> {
    Ok(Json(server.control.set_sampling(policy).await?))
}

pub(super) async fn preview_sampling(
    State(server): State<Server>,
    JsonBody(policy): JsonBody<serde_json::Value>,
) -> Result<Json<serde_json::Value>, ApiError> {
    Ok(Json(server.control.preview_sampling(policy).await?))
}

pub(super) async fn healthz() -> &'static str {
    "ok"
}

pub(super) async fn readyz(State(server): State<Server>) -> Response {
    if server.control.status().ready {
        "ready".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "starting: the log is being replayed").into_response()
    }
}

pub(super) async fn metrics(State(server): State<Server>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], server.control.metrics()).into_response()
}

pub(super) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}
