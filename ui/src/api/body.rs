//! What comes in: JSON bodies, parameters and headers, read so that what is wrong with them is answered like every
//! other error.

use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use query::{TimeRange, UnixNanos};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// A body of JSON.
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection: BytesRejection| {
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                ApiError::too_large("the body is larger than this route takes".to_owned())
            } else {
                ApiError::bad_query(rejection.body_text())
            }
        })?;
        let body = serde_json::from_slice(&bytes)
            .map_err(|error| ApiError::bad_query(format!("the body is not what this route takes: {error}")))?;
        Ok(Self(body))
    }
}

/// The parameters behind the question mark.
pub(super) struct Parameters<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Query(parameters) = Query::<T>::from_request_parts(parts, state)
            .await
            .map_err(|rejection: QueryRejection| ApiError::bad_query(rejection.body_text().to_lowercase()))?;
        Ok(Self(parameters))
    }
}

/// `from` and `to`, nanoseconds as decimal text; empty means open.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Range {
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
}

impl Range {
    pub(super) fn times(&self) -> Result<TimeRange, ApiError> {
        let time = |name: &str, text: &Option<String>| match text.as_deref() {
            None | Some("") => Ok(None),
            Some(text) => text.parse().map(|nanos| Some(UnixNanos(nanos))).map_err(|_| {
                ApiError::bad_query(format!("{name} is '{text}', but must be nanoseconds since 1970 as decimal text"))
            }),
        };
        Ok(TimeRange { from: time("from", &self.from)?, to: time("to", &self.to)? })
    }
}

pub(super) fn wants_arrow(headers: &HeaderMap) -> bool {
    accepts(headers, super::ARROW)
}

pub(super) fn accepts(headers: &HeaderMap, content_type: &str) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|value| value.trim().starts_with(content_type))
}
