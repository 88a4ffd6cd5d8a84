//! Errors as HTTP answers; the one place that knows which status each has.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use query::{Error, Position};
use serde_json::json;

use crate::control::ControlError;

/// An error on its way to the client.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    position: Option<Position>,
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, message: String) -> Self {
        Self { status, code, message, position: None }
    }

    pub(crate) fn bad_query(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_query", message.into())
    }

    pub(crate) fn forbidden(message: String) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    pub(crate) fn not_found(message: String) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(crate) fn wrong_method(message: String) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "bad_query", message)
    }

    pub(crate) fn too_large(message: String) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message.into())
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::BadQuery { position, .. } => Self { position, ..Self::bad_query(message) },
            Error::Timeout { .. } => Self::new(StatusCode::GATEWAY_TIMEOUT, "timeout", message),
            Error::Resources(_) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "resources", message),
            Error::NotFound(_) => Self::not_found(message),
            Error::Unavailable(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message),
            Error::Internal(_) => {
                tracing::error!(error = %message, "a query failed");
                Self::internal(message)
            }
        }
    }
}

impl From<ControlError> for ApiError {
    fn from(error: ControlError) -> Self {
        let message = error.to_string();
        match error {
            ControlError::Refused(_) => Self::bad_query(message),
            ControlError::Unavailable(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message),
            ControlError::Internal(_) => Self::internal(message),
        }
    }
}

impl From<arrow::error::ArrowError> for ApiError {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::internal(format!("cannot encode the answer: {error}"))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let position = self.position.map(|place| json!({"line": place.line, "column": place.column}));
        let body = json!({"error": {"code": self.code, "message": self.message, "position": position}});
        (self.status, Json(body)).into_response()
    }
}
