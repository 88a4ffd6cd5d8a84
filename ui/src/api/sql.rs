//! `POST /api/sql`.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::header;
use query::{Parameter, SqlAnswer, SqlRequest, present};
use serde::Deserialize;

use super::Server;
use super::body::JsonBody;
use super::encode::{csv, ipc, json};
use super::error::ApiError;

/// An answer in JSON is made whole before it is sent, so that an error in its middle is still an error.
const MAX_JSON_BYTES: usize = 256 << 20;

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Json,
    Arrow,
    Csv,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    query: String,
    #[serde(default)]
    format: Format,
    limit: Option<usize>,
    #[serde(default)]
    parameters: Vec<serde_json::Value>,
}

pub(super) async fn run(
    State(server): State<Server>,
    JsonBody(request): JsonBody<Request>,
) -> Result<Response, ApiError> {
    let parameters = request.parameters.iter().enumerate().map(parameter).collect::<Result<Vec<_>, _>>()?;
    let query = SqlRequest { query: request.query, parameters, limit: request.limit };
    let answer = server.engine.sql(query).await?;
    match request.format {
        Format::Json => whole(answer).await,
        Format::Arrow => streamed(answer, super::ARROW, ipc::Encoder::new).await,
        Format::Csv => streamed(answer, "text/csv; charset=utf-8", csv::Encoder::new).await,
    }
}

fn parameter((index, value): (usize, &serde_json::Value)) -> Result<Parameter, ApiError> {
    use serde_json::Value;
    Ok(match value {
        Value::Null => Parameter::Null,
        Value::Bool(bool) => Parameter::Bool(*bool),
        Value::String(text) => Parameter::Text(text.clone()),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(int), _) => Parameter::Int(int),
            (None, Some(float)) => Parameter::Float(float),
            (None, None) => return Err(ApiError::bad_query(format!("parameter ${} is out of range", index + 1))),
        },
        Value::Array(_) | Value::Object(_) => {
            return Err(ApiError::bad_query(format!(
                "parameter ${} must be text, a number, a boolean or null",
                index + 1
            )));
        }
    })
}

async fn whole(mut answer: SqlAnswer) -> Result<Response, ApiError> {
    let columns = json::columns(&answer.schema());
    let mut body = format!("{{\"columns\":{columns},\"rows\":[");
    let mut first = true;
    while let Some(batch) = answer.next().await {
        let batch = present::batch(&batch?)?;
        json::push_rows(&batch, &mut first, &mut body)?;
        if body.len() > MAX_JSON_BYTES {
            return Err(ApiError::too_large(format!(
                "the answer has more than {MAX_JSON_BYTES} bytes of JSON; lower the limit or take format arrow"
            )));
        }
    }
    let stats = serde_json::to_string(&answer.stats()).unwrap_or_default();
    body.push_str(&format!("],\"truncated\":{},\"stats\":{stats}}}", answer.truncated()));
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// Turns batches into bytes, one after the other.
pub(crate) trait Encode: Send + 'static {
    fn batch(&mut self, batch: &arrow::array::RecordBatch) -> Result<Bytes, ApiError>;
    fn end(&mut self) -> Result<Bytes, ApiError>;
}

async fn streamed<E: Encode>(
    mut answer: SqlAnswer,
    content_type: &'static str,
    encoder: fn(&arrow::datatypes::Schema) -> Result<E, ApiError>,
) -> Result<Response, ApiError> {
    let mut encoder = encoder(&present::schema(&answer.schema()))?;
    // Most errors come before the first row, when the status can still say so; a later one breaks the body off.
    let first = match answer.next().await {
        Some(batch) => Some(encoder.batch(&present::batch(&batch?)?)?),
        None => None,
    };
    let ended = first.is_none();
    let rest = chunks(answer, encoder, ended);
    let first = futures::stream::iter(first.map(Ok));
    // Compression polls once more after the end, which an unfolded stream does not bear.
    let body = Body::from_stream(first.chain(rest).fuse());
    Ok(([(header::CONTENT_TYPE, content_type)], body).into_response())
}

fn chunks<E: Encode>(
    answer: SqlAnswer,
    encoder: E,
    ended: bool,
) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send {
    futures::stream::unfold(Some((answer, encoder, ended)), |state| async move {
        let (mut answer, mut encoder, ended) = state?;
        let batch = if ended { None } else { answer.next().await };
        let broken = |error: ApiError| Err(std::io::Error::other(error.message().to_owned()));
        match batch {
            None => Some((encoder.end().or_else(broken), None)),
            Some(batch) => {
                let encoded = batch
                    .and_then(|batch| present::batch(&batch))
                    .map_err(ApiError::from)
                    .and_then(|batch| encoder.batch(&batch));
                match encoded {
                    Ok(bytes) => Some((Ok(bytes), Some((answer, encoder, false)))),
                    Err(error) => Some((broken(error), None)),
                }
            }
        }
    })
}
