//! From a body to an acknowledgement: decode, hand to the sink, count.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use storage::model::UnixNanos;
use storage::{Appended, ContentType, Encoding, Request};
use tokio::time::timeout;

use super::Receiver;
use super::in_flight::Reserved;
use super::metrics::add;
use crate::otlp::{self, Decoded};
use crate::{Error, Result};

/// Smaller bodies are decoded where they are: that takes less than a hop to another thread.
const INLINE_BYTES: usize = 16 * 1024;
/// The same for compressed ones, which may be a thousand times larger inside.
const INLINE_COMPRESSED_BYTES: usize = 2 * 1024;

/// A body and how it is written.
#[derive(Debug)]
pub struct Intake {
    pub content_type: ContentType,
    pub encoding: Encoding,
    pub body: Bytes,
    pub reserved: Reserved,
    /// What is left of the client's deadline, if it gave one.
    pub deadline: Option<Duration>,
}

/// What a client is told of a request that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    pub rejected_spans: u64,
    /// Empty if there is nothing to say.
    pub message: String,
}

impl Receiver {
    /// Returns once the request is durable. What happens to it goes on if the caller stops waiting, so that a client
    /// that leaves never stops an append half-way.
    pub(super) async fn take(self: &Arc<Self>, intake: Intake) -> Result<Accepted> {
        let deadline = intake.deadline;
        let patience =
            deadline.map_or(self.config.receiver.ack_timeout, |left| left.min(self.config.receiver.ack_timeout));
        let work = tokio::spawn(Arc::clone(self).decode_and_append(intake));
        match timeout(patience, work).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(failed)) => Err(Error::Internal(failed.to_string())),
            Err(_) if deadline.is_some_and(|left| left <= patience) => Err(Error::DeadlineExceeded),
            Err(_) => Err(Error::Unavailable("making the request durable takes too long".to_owned())),
        }
    }

    async fn decode_and_append(self: Arc<Self>, intake: Intake) -> Result<Accepted> {
        let Intake { content_type, encoding, body, mut reserved, .. } = intake;
        let arrival = self.clock.now();
        let decoded = self.decode(content_type, encoding, body.clone(), arrival).await?;
        // The columns stand in for the body from here on, and are larger.
        reserved.grow_to(decoded.inflated_bytes)?;
        let Decoded { batch, rejected, warnings, inflated_bytes, content_hash } = decoded;
        let body_bytes = body.len();
        let span_count = batch.as_ref().map_or(0, |batch| batch.span_count() as u64);
        let carried = self.metrics.receive(span_count.saturating_add(rejected.spans));
        let appended = match batch {
            Some(batch) => {
                let judged_by = self.config.limits.judging();
                let request = Request { arrival, content_type, encoding, body, content_hash, judged_by };
                let appended = self.sink.append(request, batch).await?;
                self.metrics.arrived(arrival);
                appended
            }
            None => Appended::Stored,
        };
        add(&self.metrics.requests, 1);
        add(&self.metrics.body_bytes, body_bytes as u64);
        add(&self.metrics.inflated_bytes, inflated_bytes as u64);
        match appended {
            Appended::Stored => {
                carried.stored(&rejected);
                for warning in warnings.iter() {
                    self.metrics.warn(warning.cause, warning.count);
                }
            }
            Appended::Duplicate => {
                carried.duplicate();
                add(&self.metrics.duplicates, 1);
            }
        }
        let told = self.told.due(&warnings, arrival);
        let message = match (rejected.spans, told.is_empty()) {
            (0, _) => told,
            (_, true) => rejected.to_string(),
            (_, false) => format!("{rejected}; {told}"),
        };
        Ok(Accepted { rejected_spans: rejected.spans, message })
    }

    async fn decode(
        self: &Arc<Self>,
        content_type: ContentType,
        encoding: Encoding,
        body: Bytes,
        arrival: UnixNanos,
    ) -> Result<Decoded> {
        let inline_bytes = if encoding == Encoding::Identity { INLINE_BYTES } else { INLINE_COMPRESSED_BYTES };
        if body.len() <= inline_bytes {
            return otlp::decode(&self.config.limits, content_type, encoding, &body, arrival);
        }
        // Few at a time: each may need memory up to the limits.
        let Ok(permit) = Arc::clone(&self.decoders).acquire_owned().await else {
            return Err(Error::Unavailable("the server is closing".to_owned()));
        };
        let receiver = Arc::clone(self);
        let work = tokio::task::spawn_blocking(move || {
            let decoded = otlp::decode(&receiver.config.limits, content_type, encoding, &body, arrival);
            drop(permit);
            decoded
        });
        work.await.unwrap_or_else(|failed| Err(Error::Internal(failed.to_string())))
    }
}

/// Encodes an answer within `limit_bytes`: the text is shortened as needed, the count stays.
pub fn fit(accepted: &Accepted, limit_bytes: usize, encode: fn(u64, &str) -> Vec<u8>) -> Result<Vec<u8>> {
    let mut message = accepted.message.as_str();
    loop {
        let answer = encode(accepted.rejected_spans, message);
        if answer.len() <= limit_bytes {
            return Ok(answer);
        }
        if message.is_empty() {
            return Err(Error::ResponseTooLarge(limit_bytes));
        }
        let length = message.len().saturating_sub(answer.len().saturating_sub(limit_bytes).max(1));
        message = message.get(..message.floor_char_boundary(length)).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::super::rpc::{response_json, response_protobuf};
    use super::*;

    #[test]
    fn otlp_605_a_long_message_is_shortened_and_the_count_stays() {
        let accepted = Accepted { rejected_spans: 300, message: "\"é".repeat(1_000) };
        for limit in [60, 100, 3_000, 10_000] {
            for encode in [response_protobuf, response_json] {
                let answer = fit(&accepted, limit, encode).unwrap_or_default();
                assert!(!answer.is_empty() && answer.len() <= limit, "{limit}");
            }
        }
    }

    #[test]
    fn otlp_606_an_answer_that_cannot_fit_is_an_error() {
        let accepted = Accepted { rejected_spans: 300, message: "text".to_owned() };
        assert!(matches!(fit(&accepted, 3, response_protobuf), Err(Error::ResponseTooLarge(3))));
        let warned = Accepted { rejected_spans: 0, message: "text".to_owned() };
        assert_eq!(fit(&warned, 3, response_protobuf).ok(), Some(Vec::new()));
    }
}
